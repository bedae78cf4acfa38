//! What a settlement would hold: the unsettled chain cut into runs, rules `[I5]` to `[I9]`.

use crate::{
    links::{Claim, SettledHead},
    settling::{Situation, gas::Room},
};
use baton_bindings::RunKind;
use baton_protocol::{GatewayId, NOBODY, SignedSoftBlock, Window};

/// What is known for and against a block on its base. Signatures count only if their anchor is canonical and not above the view.
pub trait Evidence {
    /// The owner's signature over this very block on this base.
    fn owner_signed(&self, claim: &Claim) -> Option<SignedSoftBlock>;
    /// The rollup operator's.
    fn operator_signed(&self, claim: &Claim) -> Option<SignedSoftBlock>;
    /// Whether the keeper's own journal is committed to this very block on this base, so that settling it can't contradict a signature.
    fn committed(&self, claim: &Claim) -> bool;
}

/// Consecutive blocks of one kind.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PlannedRun {
    /// What they are to be declared as.
    pub kind: RunKind,
    /// Whose they are; for stale runs, which may span windows, the first block's owner.
    pub owner: GatewayId,
    /// How many.
    pub blocks: usize,
    /// The signature over the last one.
    pub proof: Option<SignedSoftBlock>,
}

/// What to settle.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plan {
    /// The head that it builds on.
    pub head: SettledHead,
    /// The runs in order; empty if nothing can be settled.
    pub runs: Vec<PlannedRun>,
}

impl Plan {
    /// How many blocks the runs cover.
    pub fn blocks(&self) -> usize {
        self.runs.iter().map(|run| run.blocks).sum()
    }

    /// Blocks of the gateway's own.
    pub fn own_blocks(&self) -> usize {
        self.runs.iter().filter(|run| run.kind == RunKind::Own).map(|run| run.blocks).sum()
    }
}

/// Cuts the claims into runs, from the first on, as far as they may be settled in the slot where a
/// transaction lands and no further than `limit` blocks, or than a transaction's gas allows (EIP-7825).
///
/// Stops before the first block that isn't allowed yet `[T4]`, that the keeper's journal isn't committed to although it is its own, or
/// that another owns and nobody proves. Blocks that the owner signed aren't declared vacant where `limit` cuts a run short, unless
/// the operator signed them too and nothing could be re-created at all.
pub fn plan(situation: &Situation<'_>, limit: usize, evidence: &impl Evidence) -> Plan {
    let Situation { me, clock, schedule, head, claims, .. } = *situation;
    let slot = situation.landing.slot;
    // `[I9]`: no charge, no bounty, no signature, and none of the other kinds.
    let stale =
        |claim: &Claim| clock.owner_slot(claim.block.number).saturating_add(situation.rules.evidence_horizon) < slot;
    let mut runs: Vec<PlannedRun> = Vec::new();
    let mut rest = claims;
    let mut room = Room::new(limit);
    while room.for_run() > 0 {
        let Some(first) = rest.first() else { break };
        let owner_slot = clock.owner_slot(first.block.number);
        if owner_slot > slot {
            break;
        }
        let Ok(window) = schedule.window_at(owner_slot) else {
            // Forgotten epochs lie beyond the horizon; their blocks need no owner.
            let old = leading(rest, stale).min(room.for_run());
            if old == 0 {
                break;
            }
            runs.push(PlannedRun { kind: RunKind::Stale, owner: NOBODY, blocks: old, proof: None });
            room.take_run(old);
            rest = &rest[old..];
            continue;
        };
        let group = leading(rest, |claim| {
            let owner_slot = clock.owner_slot(claim.block.number);
            owner_slot <= slot && window.contains(owner_slot)
        });
        let (mut cut, whole) = if window.gateway == me {
            cut_own(&rest[..group], me, room, evidence)
        } else {
            cut_others(&rest[..group], &window, room, stale, evidence)
        };
        for run in &cut {
            room.take_run(run.blocks);
            rest = &rest[run.blocks..];
        }
        runs.append(&mut cut);
        if !whole {
            break;
        }
    }
    Plan { head, runs }
}

fn leading(claims: &[Claim], belongs: impl Fn(&Claim) -> bool) -> usize {
    claims.iter().take_while(|claim| belongs(claim)).count()
}

/// `[I6]`: the keeper's own blocks, however late. The second value says whether the group was taken whole.
fn cut_own(group: &[Claim], me: GatewayId, room: Room, evidence: &impl Evidence) -> (Vec<PlannedRun>, bool) {
    let blocks = leading(&group[..group.len().min(room.for_run())], |claim| evidence.committed(claim));
    let run = (blocks > 0).then_some(PlannedRun { kind: RunKind::Own, owner: me, blocks, proof: None });
    (run.into_iter().collect(), blocks == group.len())
}

/// Blocks of one window of somebody else: stale, then re-created up to the owner's last signature, then vacant up to the operator's, then
/// vacant without a signature as long as they hold deposits only.
fn cut_others(
    group: &[Claim],
    window: &Window,
    mut room: Room,
    stale: impl Fn(&Claim) -> bool,
    evidence: &impl Evidence,
) -> (Vec<PlannedRun>, bool) {
    let owner = window.gateway;
    let mut runs = Vec::new();
    let mut rest = group;
    let mut take = |rest: &mut &[Claim], room: &mut Room, kind, blocks: usize, proof| {
        if blocks > 0 {
            runs.push(PlannedRun { kind, owner, blocks, proof });
            *rest = &rest[blocks..];
            room.take_run(blocks);
        }
    };

    let old = leading(rest, stale).min(room.for_run());
    take(&mut rest, &mut room, RunKind::Stale, old, None);

    let last_signed = |claims: &[Claim], by: &dyn Fn(&Claim) -> Option<SignedSoftBlock>| {
        claims.iter().enumerate().rev().find_map(|(index, claim)| by(claim).map(|proof| (index + 1, proof)))
    };
    let owner_signed = |claim: &Claim| evidence.owner_signed(claim);
    let operator_signed = |claim: &Claim| evidence.operator_signed(claim);

    // Nobody's blocks can't be re-created.
    let bound = if owner == NOBODY { 0 } else { last_signed(rest, &owner_signed).map_or(0, |(blocks, _)| blocks) };
    if bound > 0 {
        let fitting = &rest[..bound.min(room.for_run())];
        let Some((blocks, proof)) = last_signed(fitting, &owner_signed) else {
            // One signature over more than fits would stop everybody. The operator's word for the same blocks is no false record, only no bounty.
            if let Some((blocks, proof)) = last_signed(fitting, &operator_signed) {
                take(&mut rest, &mut room, RunKind::Vacant, blocks, Some(proof));
            }
            return (runs, false);
        };
        take(&mut rest, &mut room, RunKind::Recreated, blocks, Some(proof));
        if blocks < bound {
            return (runs, false);
        }
    }
    if let Some((blocks, proof)) = last_signed(&rest[..rest.len().min(room.for_run())], &operator_signed) {
        take(&mut rest, &mut room, RunKind::Vacant, blocks, Some(proof));
    }
    let deposits = leading(&rest[..rest.len().min(room.for_run())], |claim| claim.block.deposits_only);
    take(&mut rest, &mut room, RunKind::Vacant, deposits, None);
    let whole = rest.is_empty();
    (runs, whole)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        anchor::Anchor,
        links::{BlockSummary, Commitment, SettledHead, claims},
        settling::{Landing, MAX_TRANSACTION_GAS, SettlementRules, settle_gas_limit},
    };
    use alloy::primitives::{B256, Signature};
    use baton_protocol::{EpochSchedule, Kind, Link, Schedule, SlotClock, SoftBlock};
    use std::collections::{BTreeMap, BTreeSet};

    /// One block a slot, so that block n has owner slot n + 2.
    const CLOCK: SlotClock =
        SlotClock { l1_genesis_time: 0, slot_length: 2, l2_genesis_time: 0, l2_block_time: 2, settlement_delay: 2 };
    const A: GatewayId = 1;
    const B: GatewayId = 2;

    /// What is known: for block numbers.
    #[derive(Default)]
    struct Known {
        owner: BTreeSet<u64>,
        operator: BTreeSet<u64>,
        uncommitted: BTreeSet<u64>,
    }

    fn proof(claim: &Claim) -> SignedSoftBlock {
        SignedSoftBlock {
            soft_block: SoftBlock {
                number: claim.block.number,
                parentLink: claim.parent_link.0,
                blockHash: claim.block.hash,
                anchorNumber: 1,
                anchorHash: B256::ZERO,
            },
            signature: Signature::test_signature(),
        }
    }

    impl Evidence for Known {
        fn owner_signed(&self, claim: &Claim) -> Option<SignedSoftBlock> {
            self.owner.contains(&claim.block.number).then(|| proof(claim))
        }
        fn operator_signed(&self, claim: &Claim) -> Option<SignedSoftBlock> {
            self.operator.contains(&claim.block.number).then(|| proof(claim))
        }
        fn committed(&self, claim: &Claim) -> bool {
            !self.uncommitted.contains(&claim.block.number)
        }
    }

    /// Slots 0 to 15 are A's, 16 to 23 B's, 24 to 27 nobody's, 28 on B's. So blocks up to 13 are A's, 14 to 21 B's, 22 to 25 nobody's.
    fn schedule() -> Schedule {
        let slots = std::array::from_fn(|slot| match slot {
            0..16 => (A, Kind::Fallback),
            24..28 => (NOBODY, Kind::Open),
            _ => (B, Kind::Fallback),
        });
        let mut schedule = Schedule::default();
        schedule.insert(EpochSchedule { epoch: 0, slots });
        schedule
    }

    /// Blocks 2 to 40 on head 1, with users' transactions in every second of them.
    fn chain() -> (SettledHead, Vec<Claim>) {
        let hash = |number: u64| B256::with_last_byte(u8::try_from(number).expect("small"));
        let head = SettledHead { number: 1, link: Link(B256::repeat_byte(9)), slot: 3 };
        let blocks: BTreeMap<u64, BlockSummary> = (1..=40)
            .map(|number| {
                let origin = Anchor { number: 1, hash: B256::ZERO };
                let deposits_only = number % 2 == 1;
                (
                    number,
                    BlockSummary { number, hash: hash(number), parent_hash: hash(number - 1), origin, deposits_only },
                )
            })
            .collect();
        (head, claims(&head, &blocks, |_, _| Commitment::Free))
    }

    fn plan_as(
        me: GatewayId,
        slot: u64,
        limit: usize,
        horizon: u64,
        known: &Known,
    ) -> Vec<(RunKind, GatewayId, usize, Option<u64>)> {
        let (head, claims) = chain();
        let schedule = schedule();
        let situation = Situation {
            me,
            clock: &CLOCK,
            schedule: &schedule,
            rules: SettlementRules { min_chances: 3, silence: 100, evidence_horizon: horizon },
            head,
            landing: Landing { slot, due: false, overdue: false },
            ended: &BTreeMap::new(),
            eligible: &[A, B],
            live_slots: &BTreeSet::new(),
            claims: &claims,
        };
        let plan = plan(&situation, limit, known);
        assert!(plan.blocks() <= limit);
        plan.runs
            .into_iter()
            .map(|run| (run.kind, run.owner, run.blocks, run.proof.map(|proof| proof.soft_block.number)))
            .collect()
    }

    fn numbers(numbers: impl IntoIterator<Item = u64>) -> BTreeSet<u64> {
        numbers.into_iter().collect()
    }

    #[test]
    fn own_blocks_up_to_the_slot() {
        assert_eq!(plan_as(A, 12, 99, 100, &Known::default()), [(RunKind::Own, A, 9, None)]);
    }

    #[test]
    fn nothing_is_settled_before_its_owner_slot() {
        assert_eq!(plan_as(A, 3, 99, 100, &Known::default()), []);
        assert_eq!(plan_as(A, 4, 99, 100, &Known::default()), [(RunKind::Own, A, 1, None)]);
    }

    #[test]
    fn own_blocks_that_the_journal_is_not_committed_to_end_the_plan() {
        let known = Known { uncommitted: numbers([5]), ..Known::default() };
        assert_eq!(plan_as(A, 12, 99, 100, &known), [(RunKind::Own, A, 3, None)]);
    }

    #[test]
    fn signed_blocks_are_recreated_and_adopted_ones_after_them_vacant() {
        // A signed up to 11, adopted 12 and 13, and died; the operator signed those.
        let known = Known { owner: numbers(2..=11), operator: numbers([12, 13]), ..Known::default() };
        assert_eq!(
            plan_as(B, 16, 99, 100, &known),
            [(RunKind::Recreated, A, 10, Some(11)), (RunKind::Vacant, A, 2, Some(13)), (RunKind::Own, B, 1, None)]
        );
    }

    #[test]
    fn one_signature_over_the_last_block_is_enough() {
        let known = Known { owner: numbers([13]), ..Known::default() };
        assert_eq!(plan_as(B, 16, 99, 100, &known)[0], (RunKind::Recreated, A, 12, Some(13)));
    }

    #[test]
    fn unproven_blocks_with_transactions_end_the_plan() {
        // 12 holds transactions and nobody signed it.
        let known = Known { owner: numbers(2..=11), ..Known::default() };
        assert_eq!(plan_as(B, 17, 99, 100, &known), [(RunKind::Recreated, A, 10, Some(11))]);
        // 13 holds deposits only.
        let known = Known { owner: numbers(2..=11), operator: numbers([12]), ..Known::default() };
        assert_eq!(
            plan_as(B, 16, 99, 100, &known),
            [
                (RunKind::Recreated, A, 10, Some(11)),
                (RunKind::Vacant, A, 1, Some(12)),
                (RunKind::Vacant, A, 1, None),
                (RunKind::Own, B, 1, None)
            ]
        );
    }

    #[test]
    fn without_any_signature_only_deposits_are_vacant() {
        assert_eq!(plan_as(B, 17, 99, 100, &Known::default()), []);
    }

    #[test]
    fn nobodys_blocks_are_never_recreated() {
        let known = Known { owner: numbers(2..=40), operator: numbers(22..=25), ..Known::default() };
        let plan = plan_as(B, 28, 99, 100, &known);
        assert_eq!(
            plan[1..],
            [(RunKind::Own, B, 8, None), (RunKind::Vacant, NOBODY, 4, Some(25)), (RunKind::Own, B, 1, None)]
        );
    }

    #[test]
    fn a_limit_never_turns_signed_blocks_into_vacant_ones() {
        let known = Known { owner: numbers(2..=11), operator: numbers(2..=13), ..Known::default() };
        assert_eq!(plan_as(B, 16, 4, 100, &known), [(RunKind::Recreated, A, 4, Some(5))]);
        // What the owner's later signature binds isn't vacant, even where the operator signed it, too, and there is room.
        let known = Known { owner: numbers([3, 11]), operator: numbers(2..=13), ..Known::default() };
        assert_eq!(plan_as(B, 16, 4, 100, &known), [(RunKind::Recreated, A, 2, Some(3))]);
        // Only the last one is signed: what fits can't be proven to be A's, and must not be said to be vacant without anybody's signature.
        let known = Known { owner: numbers([11]), ..Known::default() };
        assert_eq!(plan_as(B, 16, 4, 100, &known), []);
        let known = Known { owner: numbers([11]), operator: numbers(2..=13), ..Known::default() };
        assert_eq!(plan_as(B, 16, 4, 100, &known), [(RunKind::Vacant, A, 4, Some(5))]);
        assert_eq!(
            plan_as(B, 16, 11, 100, &known),
            [(RunKind::Recreated, A, 10, Some(11)), (RunKind::Vacant, A, 1, Some(12))]
        );
    }

    #[test]
    fn a_limit_cuts_own_and_vacant_runs_anywhere() {
        assert_eq!(plan_as(A, 12, 4, 100, &Known::default()), [(RunKind::Own, A, 4, None)]);
        let known = Known { operator: numbers([3, 8]), ..Known::default() };
        assert_eq!(plan_as(B, 16, 4, 100, &known), [(RunKind::Vacant, A, 2, Some(3))]);
    }

    /// A backlog of `epochs` epochs whose slots change hands between A and C every `turn` slots, `per_slot` blocks each, settled by B.
    fn backlog(epochs: u64, turn: u64, per_slot: u64, known: &Known) -> (usize, Plan) {
        const C: GatewayId = 3;
        let clock = SlotClock { slot_length: 2 * per_slot, ..CLOCK };
        let mut schedule = Schedule::default();
        for epoch in 0..=epochs {
            let owner = |slot: u64| if (slot / turn).is_multiple_of(2) { A } else { C };
            let slots = std::array::from_fn(|slot| {
                (if epoch == epochs { B } else { owner(u64::try_from(slot).expect("small")) }, Kind::Fallback)
            });
            schedule.insert(EpochSchedule { epoch, slots });
        }
        let head = SettledHead { number: 1, link: Link::default(), slot: 3 };
        let hash = |number: u64| B256::from(alloy::primitives::U256::from(number));
        let blocks = (2..(epochs * 32 - 2) * per_slot).map(|number| {
            let origin = Anchor { number: 1, hash: B256::ZERO };
            let block =
                BlockSummary { number, hash: hash(number), parent_hash: hash(number - 1), origin, deposits_only: true };
            (number, block)
        });
        let claims = claims(&head, &blocks.collect(), |_, _| Commitment::Free);
        let situation = Situation {
            me: B,
            clock: &clock,
            schedule: &schedule,
            rules: SettlementRules { min_chances: 3, silence: 100, evidence_horizon: 100_000 },
            head,
            landing: Landing { slot: epochs * 32 + 1, due: false, overdue: false },
            ended: &BTreeMap::new(),
            eligible: &[A, B, C],
            live_slots: &BTreeSet::new(),
            claims: &claims,
        };
        (claims.len(), plan(&situation, usize::MAX, known))
    }

    #[test]
    fn a_plan_never_needs_more_gas_than_a_transaction_may_have() {
        let signed = Known { owner: numbers((2..100_000).filter(|number| number % 5 != 0)), ..Known::default() };
        // Hundreds of windows; windows of many blocks; both.
        for (epochs, turn, per_slot) in [(100, 4, 1), (10, 32, 60), (60, 8, 6)] {
            for known in [&Known::default(), &signed] {
                let (all, plan) = backlog(epochs, turn, per_slot, known);
                let gas = settle_gas_limit(plan.blocks(), plan.runs.len());
                assert!(gas <= MAX_TRANSACTION_GAS, "{gas} for {} runs", plan.runs.len());
                assert!(plan.blocks() < all, "the backlog is too short to say anything");
                // And hardly less than that: it has to end some day.
                assert!(gas + 1_000_000 > MAX_TRANSACTION_GAS, "{gas} for {} blocks", plan.blocks());
            }
        }
    }

    #[test]
    fn blocks_beyond_the_horizon_are_stale_unless_they_are_ones_own() {
        // Slot 17 less 6: blocks with owner slots below 11, up to number 8, are stale.
        let known = Known { owner: numbers(2..=13), ..Known::default() };
        assert_eq!(
            plan_as(B, 17, 99, 6, &known),
            [(RunKind::Stale, A, 7, None), (RunKind::Recreated, A, 5, Some(13)), (RunKind::Own, B, 2, None)]
        );
        assert_eq!(plan_as(A, 12, 99, 2, &Known::default()), [(RunKind::Own, A, 9, None)]);
    }
}
