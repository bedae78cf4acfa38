//! Whether to settle now.

use crate::settling::{Evidence, Plan, Situation, Turn, landing_turn, plan};
use baton_protocol::{Kind, ScheduleError, Window};

/// How eager a keeper is. The limits keep it honest: see [`SettlingPolicy::validate`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SettlingPolicy {
    /// Own blocks that are worth a settlement.
    pub min_blocks: usize,
    /// Live slots that an own block may let pass before it must be sent. Whatever slots are missed later, a block that is settled within its
    /// first `min_chances` live slots can't be charged, `[V2]`, `[V3]`; what remains after the patience is for retries.
    pub patience: u64,
    /// Blocks of one settlement at most.
    pub max_blocks: usize,
    /// Live slots that may pass a transaction by before it is replaced: those are lost chances as well.
    pub resubmit_slots: u64,
}

/// A policy that could cost an honest gateway its collateral, or that settles nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PolicyError {
    /// Too few chances would remain.
    #[error(
        "`settling.patience` is {patience}, but blocks must be settled within {min_chances} live slots and a retry must fit in; set it to at \
         most {}", min_chances.saturating_sub(2)
    )]
    Patience {
        /// As configured.
        patience: u64,
        /// The deployment's.
        min_chances: u64,
    },
    /// A transaction that is passed by couldn't be replaced in time.
    #[error(
        "`settling.resubmit_slots` is {resubmit_slots}, but blocks must be settled within {min_chances} live slots, and with \
         `settling.patience` {patience} the replacement would come too late; set it to at most {}",
        min_chances.saturating_sub(patience + 1)
    )]
    Resubmit {
        /// As configured.
        resubmit_slots: u64,
        /// As configured.
        patience: u64,
        /// The deployment's.
        min_chances: u64,
    },
    /// Nothing could ever be settled.
    #[error("`settling.max_blocks` is 0; set it to at least the blocks of a few slots, or leave it out")]
    NoBlocks,
}

impl SettlingPolicy {
    /// Checks that two chances are left once the patience is used up: for the transaction, and for its replacement.
    pub const fn validate(&self, min_chances: u64) -> Result<(), PolicyError> {
        if self.patience.saturating_add(2) > min_chances {
            return Err(PolicyError::Patience { patience: self.patience, min_chances });
        }
        let Self { patience, resubmit_slots, .. } = *self;
        if patience.saturating_add(1).saturating_add(resubmit_slots) > min_chances {
            return Err(PolicyError::Resubmit { resubmit_slots, patience, min_chances });
        }
        if self.max_blocks == 0 {
            return Err(PolicyError::NoBlocks);
        }
        Ok(())
    }
}

/// Why to settle now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reason {
    /// Blocks from before the window are unsettled.
    Backlog,
    /// The oldest own block has let enough live slots pass.
    Patience,
    /// The window ends soon: each slot's blocks are settled in that slot.
    WindowEnds,
    /// Enough own blocks have gathered.
    Enough,
    /// The slot is open, or nobody settled for too long.
    OpenToAll,
}

/// What to do about settling.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Decision {
    /// Nothing now.
    Wait,
    /// Settle this.
    Settle {
        /// What.
        plan: Plan,
        /// Why.
        reason: Reason,
    },
}

/// Decides whether to settle in the slot where a transaction sent now lands, and what.
///
/// # Errors
/// The slot's epoch isn't known.
pub fn decide(
    situation: &Situation<'_>,
    policy: &SettlingPolicy,
    evidence: &impl Evidence,
) -> Result<Decision, ScheduleError> {
    let slot = situation.landing.slot;
    // One settlement a slot, `[I4]`.
    if situation.head.slot >= slot && situation.head.slot != 0 {
        return Ok(Decision::Wait);
    }
    let by = landing_turn(situation)?;
    if by == Turn::NotMine {
        return Ok(Decision::Wait);
    }
    let plan = plan(situation, policy.max_blocks, evidence);
    if plan.runs.is_empty() {
        return Ok(Decision::Wait);
    }
    let reason = match by {
        Turn::Holder(window) => urgency(situation, policy, &window, &plan),
        Turn::Open | Turn::Silent => Some(Reason::OpenToAll),
        Turn::NotMine => None,
    };
    Ok(reason.map_or(Decision::Wait, |reason| Decision::Settle { plan, reason }))
}

/// Whether a transaction that was sent for slot `sent` and isn't included yet may be replaced by a new one.
///
/// After `resubmit_slots` live slots that it could have been included in, since it may be underpriced (a missed slot is nobody's chance); and for the last slot of a proven window, in which the gateway's own proposer builds and
/// everything is liable, `[V2]`: what was sent before lacks the last blocks.
pub fn may_replace(situation: &Situation<'_>, sent: u64, resubmit_slots: u64) -> bool {
    let slot = situation.landing.slot;
    let last_of_proven = situation
        .schedule
        .window_at(slot)
        .is_ok_and(|window| window.kind == Kind::Proven && window.gateway == situation.me && slot + 1 == window.end);
    let passed_by = situation.live_slots.range(sent.min(slot)..slot).count() as u64;
    slot > sent && (passed_by >= resubmit_slots || last_of_proven)
}

fn urgency(situation: &Situation<'_>, policy: &SettlingPolicy, window: &Window, plan: &Plan) -> Option<Reason> {
    let slot = situation.landing.slot;
    let oldest = situation.clock.owner_slot(situation.head.number + 1);
    if oldest < window.first {
        return Some(Reason::Backlog);
    }
    if window.end - slot <= situation.rules.min_chances + 1 {
        return Some(Reason::WindowEnds);
    }
    if situation.live_slots.range(oldest..slot).count() as u64 >= policy.patience {
        return Some(Reason::Patience);
    }
    (plan.blocks() >= policy.min_blocks).then_some(Reason::Enough)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        anchor::Anchor,
        links::{BlockSummary, Claim, Commitment, SettledHead, claims},
        settling::{Landing, SettlementRules},
    };
    use alloy::primitives::B256;
    use baton_protocol::{EpochSchedule, Link, Schedule, SignedSoftBlock, SlotClock};
    use std::collections::{BTreeMap, BTreeSet};

    /// Two blocks a slot: blocks 2n and 2n + 1 have owner slot n + 2.
    const CLOCK: SlotClock =
        SlotClock { l1_genesis_time: 0, slot_length: 2, l2_genesis_time: 0, l2_block_time: 1, settlement_delay: 2 };
    const POLICY: SettlingPolicy = SettlingPolicy { min_blocks: 12, patience: 1, max_blocks: 100, resubmit_slots: 1 };

    struct OwnOnly;

    impl Evidence for OwnOnly {
        fn owner_signed(&self, _: &Claim) -> Option<SignedSoftBlock> {
            None
        }
        fn operator_signed(&self, _: &Claim) -> Option<SignedSoftBlock> {
            None
        }
        fn committed(&self, _: &Claim) -> bool {
            true
        }
    }

    struct Case {
        slot: u64,
        due: bool,
        overdue: bool,
        head: u64,
        head_slot: u64,
        live: std::ops::Range<u64>,
        policy: SettlingPolicy,
        kind: Kind,
    }

    /// Slots 0 to 15 are gateway 1's, the rest 2's; gateway 2 decides. Blocks from 28 on are its own; all hold deposits only.
    fn reason(case: Case) -> Option<Reason> {
        with_situation(&case, |situation| match decide(situation, &case.policy, &OwnOnly).expect("known epoch") {
            Decision::Wait => None,
            Decision::Settle { reason, .. } => Some(reason),
        })
    }

    fn with_situation<T>(case: &Case, ask: impl FnOnce(&Situation<'_>) -> T) -> T {
        let mut schedule = Schedule::default();
        let slots = std::array::from_fn(|slot| (if slot < 16 { 1 } else { 2 }, case.kind));
        schedule.insert(EpochSchedule { epoch: 0, slots });
        schedule.insert(EpochSchedule { epoch: 1, slots: [(1, Kind::Fallback); 32] });
        let hash = |number: u64| B256::with_last_byte(u8::try_from(number).expect("small"));
        let origin = Anchor { number: 1, hash: B256::ZERO };
        let block = |number: u64| BlockSummary {
            number,
            hash: hash(number),
            parent_hash: hash(number - 1),
            origin,
            deposits_only: true,
        };
        let head = SettledHead { number: case.head, link: Link::default(), slot: case.head_slot };
        let adopted: BTreeMap<_, _> = (1..60).map(|number| (number, block(number))).collect();
        let claims = claims(&head, &adopted, |_, _| Commitment::Free);
        ask(&Situation {
            me: 2,
            clock: &CLOCK,
            schedule: &schedule,
            rules: SettlementRules { min_chances: 3, silence: 100, evidence_horizon: 1000 },
            head,
            landing: Landing { slot: case.slot, due: case.due, overdue: case.overdue },
            ended: &BTreeMap::new(),
            eligible: &[1, 2],
            live_slots: &case.live.clone().collect::<BTreeSet<_>>(),
            claims: &claims,
        })
    }

    const CASE: Case = Case {
        slot: 18,
        due: false,
        overdue: false,
        head: 31,
        head_slot: 17,
        live: 0..18,
        policy: POLICY,
        kind: Kind::Fallback,
    };

    #[test]
    fn a_backlog_is_settled_at_once() {
        assert_eq!(reason(Case { slot: 16, head: 20, head_slot: 15, ..CASE }), Some(Reason::Backlog));
    }

    #[test]
    fn fresh_blocks_wait_for_their_first_live_slot_to_pass() {
        // Blocks 32 and 33 have owner slot 18, which is the one a transaction would land in.
        assert_eq!(reason(CASE), None);
        assert_eq!(reason(Case { slot: 19, live: 0..19, ..CASE }), Some(Reason::Patience));
        // Slot 18 was missed: no chance has passed.
        assert_eq!(reason(Case { slot: 19, ..CASE }), None);
        let hasty = SettlingPolicy { patience: 0, ..POLICY };
        assert_eq!(reason(Case { policy: hasty, ..CASE }), Some(Reason::Patience));
    }

    #[test]
    fn enough_blocks_are_settled_at_once() {
        let policy = SettlingPolicy { min_blocks: 2, ..POLICY };
        assert_eq!(reason(Case { policy, ..CASE }), Some(Reason::Enough));
    }

    #[test]
    fn each_of_the_last_slots_settles_its_own_blocks() {
        // The window ends with slot 31; blocks 54 and 55 belong to slot 29.
        assert_eq!(reason(Case { slot: 29, head: 53, head_slot: 28, live: 0..29, ..CASE }), Some(Reason::WindowEnds));
        assert_eq!(reason(Case { slot: 27, head: 49, head_slot: 26, live: 0..27, ..CASE }), None);
    }

    #[test]
    fn one_settlement_a_slot() {
        assert_eq!(reason(Case { slot: 19, live: 0..19, head_slot: 19, ..CASE }), None);
    }

    #[test]
    fn not_in_anothers_slot() {
        assert_eq!(reason(Case { slot: 15, head: 20, head_slot: 14, ..CASE }), None);
        assert_eq!(reason(Case { slot: 32, head: 50, head_slot: 30, ..CASE }), None);
    }

    #[test]
    fn an_overdue_block_may_push_it_into_anothers_slot() {
        let last = |due, overdue| Case { slot: 31, due, overdue, head: 57, head_slot: 30, live: 0..31, ..CASE };
        assert_eq!(reason(last(true, true)), None);
        assert_eq!(reason(last(false, false)), Some(Reason::WindowEnds));
        // Already when it is due: its proposer may be done.
        assert_eq!(reason(last(true, false)), None);
        // Slots before that are followed by one's own.
        assert_eq!(reason(Case { slot: 30, head: 55, head_slot: 29, ..last(true, true) }), Some(Reason::WindowEnds));
        // One's own proposer takes it until its block is late.
        let proven = |overdue| Case { kind: Kind::Proven, ..last(true, overdue) };
        assert_eq!((reason(proven(false)), reason(proven(true))), (Some(Reason::WindowEnds), None));
    }

    #[test]
    fn a_pending_transaction_is_replaced_after_its_time_and_for_a_proven_windows_last_slot() {
        let may = |slot, kind, sent| {
            with_situation(&Case { slot, kind, live: 0..20, ..CASE }, |situation| may_replace(situation, sent, 1))
        };
        assert!(!may(18, Kind::Fallback, 18) && may(19, Kind::Fallback, 18));
        // Slots from 20 on were missed: nothing passed it by.
        assert!(!may(23, Kind::Fallback, 20));
        let twice =
            |slot| with_situation(&Case { slot, live: 0..slot, ..CASE }, |situation| may_replace(situation, 18, 2));
        assert!(!twice(19) && twice(20));
        assert!(!may(31, Kind::Fallback, 30) && may(31, Kind::Proven, 30) && !may(31, Kind::Proven, 31));
    }

    #[test]
    fn a_policy_leaves_two_chances() {
        assert_eq!(POLICY.validate(3), Ok(()));
        assert_eq!(
            SettlingPolicy { patience: 2, ..POLICY }.validate(3),
            Err(PolicyError::Patience { patience: 2, min_chances: 3 })
        );
        // Sent for the second chance, passed by in it, replaced for the third; twice passed by is too late.
        let slow = SettlingPolicy { resubmit_slots: 2, ..POLICY };
        let refusal = slow.validate(3).expect_err("refused");
        assert_eq!(refusal, PolicyError::Resubmit { resubmit_slots: 2, patience: 1, min_chances: 3 });
        assert!(
            refusal.to_string().contains("`settling.resubmit_slots`") && refusal.to_string().ends_with("at most 1")
        );
        assert_eq!(slow.validate(4), Ok(()));
        assert_eq!(SettlingPolicy { max_blocks: 0, ..POLICY }.validate(3), Err(PolicyError::NoBlocks));
    }
}
