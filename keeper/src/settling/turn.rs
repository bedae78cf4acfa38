//! Whose turn it is to settle in the slot of the next L1 block, rules `[I2]` and `[S5]`.

use crate::settling::Situation;
use baton_protocol::{GatewayId, Kind, NOBODY, ScheduleError, SlotClock, Window};

/// In which slot a transaction sent now is included.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Landing {
    /// The earliest slot.
    pub slot: u64,
    /// `slot` has begun without its block, whose proposer may have chosen its transactions already.
    pub due: bool,
    /// The block of `slot` is overdue: more likely the slot is missed, and the transaction lands in the next one.
    pub overdue: bool,
}

impl Landing {
    /// From wall-clock time and the newest L1 block, both Unix time.
    ///
    /// A block counts as overdue a third into its slot, when attesters stop waiting for it (consensus specs, `ATTESTATION_DUE_BPS`).
    pub const fn at(clock: &SlotClock, now_millis: u64, newest_block_timestamp: u64) -> Self {
        let now = clock.slot_at(now_millis / 1000);
        let newest = clock.slot_at(newest_block_timestamp);
        if newest >= now {
            return Self { slot: newest + 1, due: false, overdue: false };
        }
        let into_slot = now_millis.saturating_sub(clock.slot_start(now) * 1000);
        Self { slot: now, due: true, overdue: into_slot * 3 > clock.slot_length * 1000 }
    }
}

/// By what right a keeper may settle in a slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Turn {
    /// The slot is the gateway's own.
    Holder(Window),
    /// The slot is open, and it is the gateway's turn among the eligible ones.
    Open,
    /// Nobody settled for too long, and it is the gateway's turn among the eligible ones.
    Silent,
    /// Somebody else's.
    NotMine,
}

/// Decides by what right the keeper's gateway may settle in a slot.
///
/// In slots open to all the eligible gateways take turns by slot, so that they neither race each other nor wait for one that is dead.
pub fn turn(situation: &Situation<'_>, slot: u64) -> Result<Turn, ScheduleError> {
    let Situation { me, head, rules, eligible, .. } = *situation;
    let window = situation.schedule.window_at(slot)?;
    let has_ended = |gateway: GatewayId| situation.ended.get(&gateway).is_some_and(|from| slot >= *from);
    let open = window.gateway == NOBODY || has_ended(window.gateway);
    if !open && window.gateway == me {
        return Ok(Turn::Holder(window));
    }
    // Before the first settlement, silence is counted from when there could have been one.
    let since = if head.slot == 0 { situation.clock.owner_slot(1) } else { head.slot };
    // The last slot of a proven window is its own proposer's and may be all that its gateway has. Taking it is for when nothing else helps, `[K10]`.
    let last_chance = window.kind == Kind::Proven && slot + 1 == window.end;
    let patience = if last_chance { rules.silence.saturating_mul(2) } else { rules.silence };
    let silent = slot > since.saturating_add(patience);
    if !open && !silent || eligible.is_empty() {
        return Ok(Turn::NotMine);
    }
    let next = usize::try_from(slot % eligible.len() as u64).unwrap_or_default();
    Ok(match eligible.get(next) {
        Some(id) if *id == me && open => Turn::Open,
        Some(id) if *id == me => Turn::Silent,
        _ => Turn::NotMine,
    })
}

/// Decides by what right a transaction sent now may settle, wherever it lands: one that may miss its slot's block needs the next slot, too.
///
/// In the last slot of a proven window the gateway's own proposer builds, and takes what comes until its block is out.
pub fn landing_turn(situation: &Situation<'_>) -> Result<Turn, ScheduleError> {
    let Landing { slot, due, overdue } = situation.landing;
    let by = turn(situation, slot)?;
    let own_proposer = matches!(by, Turn::Holder(window) if window.kind == Kind::Proven && slot + 1 == window.end);
    let may_miss = overdue || due && !own_proposer;
    if may_miss && by != Turn::NotMine && turn(situation, slot + 1)? == Turn::NotMine {
        return Ok(Turn::NotMine);
    }
    Ok(by)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{links::SettledHead, settling::SettlementRules};
    use baton_protocol::{EpochSchedule, Link, Schedule};
    use std::collections::{BTreeMap, BTreeSet};

    const CLOCK: SlotClock =
        SlotClock { l1_genesis_time: 0, slot_length: 12, l2_genesis_time: 0, l2_block_time: 2, settlement_delay: 2 };
    const RULES: SettlementRules = SettlementRules { min_chances: 3, silence: 20, evidence_horizon: 100 };

    /// Gateway 1 in slots 0 to 7, 2 in 8 to 15, nobody in 16 to 23, 1 again.
    fn schedule() -> Schedule {
        let slots = std::array::from_fn(|slot| match slot / 8 {
            1 => (2, Kind::Fallback),
            2 => (NOBODY, Kind::Open),
            _ => (1, Kind::Fallback),
        });
        let mut schedule = Schedule::default();
        schedule.insert(EpochSchedule { epoch: 0, slots });
        schedule
    }

    fn ask(me: GatewayId, slot: u64, last: u64, ended: &[(GatewayId, u64)]) -> Turn {
        let head = SettledHead { number: 1, link: Link::default(), slot: last };
        let ended: BTreeMap<_, _> = ended.iter().copied().collect();
        let situation = Situation {
            me,
            clock: &CLOCK,
            schedule: &schedule(),
            rules: RULES,
            head,
            landing: Landing { slot, due: false, overdue: false },
            ended: &ended,
            eligible: &[1, 2],
            live_slots: &BTreeSet::new(),
            claims: &[],
        };
        turn(&situation, slot).expect("known epoch")
    }

    #[test]
    fn silence_leaves_the_last_slot_of_a_proven_window_alone() {
        let mut schedule = Schedule::default();
        schedule.insert(EpochSchedule { epoch: 0, slots: [(1, Kind::Proven); 32] });
        let ask_after = |silence, slot, ended: &BTreeMap<GatewayId, u64>| {
            let situation = Situation {
                me: 2,
                clock: &CLOCK,
                schedule: &schedule,
                rules: SettlementRules { silence, ..RULES },
                head: SettledHead { number: 1, link: Link::default(), slot: 1 },
                landing: Landing { slot, due: false, overdue: false },
                ended,
                eligible: &[2],
                live_slots: &BTreeSet::new(),
                claims: &[],
            };
            turn(&situation, slot).expect("known epoch")
        };
        let ask = |slot, ended: &BTreeMap<GatewayId, u64>| ask_after(20, slot, ended);
        assert_eq!(ask(30, &BTreeMap::new()), Turn::Silent);
        assert_eq!(ask(31, &BTreeMap::new()), Turn::NotMine);
        assert_eq!(ask_after(14, 31, &BTreeMap::new()), Turn::Silent, "the silence lasts for too long");
        assert_eq!(ask(31, &BTreeMap::from([(1, 5)])), Turn::Open, "an ended gateway has no chances to lose");
    }

    #[test]
    fn the_next_block_after_one_of_this_slot_is_the_next_slots() {
        assert_eq!(Landing::at(&CLOCK, 125_000, 120), Landing { slot: 11, due: false, overdue: false });
    }

    #[test]
    fn a_block_that_is_awaited_is_this_slots_until_it_is_overdue() {
        assert_eq!(Landing::at(&CLOCK, 123_000, 108), Landing { slot: 10, due: true, overdue: false });
        assert_eq!(Landing::at(&CLOCK, 125_000, 108), Landing { slot: 10, due: true, overdue: true });
        assert_eq!(Landing::at(&CLOCK, 133_000, 108), Landing { slot: 11, due: true, overdue: false });
    }

    #[test]
    fn an_l1_clock_ahead_of_ours_counts() {
        assert_eq!(Landing::at(&CLOCK, 119_000, 120), Landing { slot: 11, due: false, overdue: false });
    }

    #[test]
    fn the_holder_may_settle() {
        assert_eq!(ask(1, 5, 4, &[]), Turn::Holder(Window { gateway: 1, kind: Kind::Fallback, first: 0, end: 8 }));
        assert_eq!(ask(2, 5, 4, &[]), Turn::NotMine);
    }

    #[test]
    fn in_open_slots_gateways_take_turns() {
        assert_eq!((ask(1, 16, 15, &[]), ask(2, 16, 15, &[])), (Turn::Open, Turn::NotMine));
        assert_eq!((ask(1, 17, 15, &[]), ask(2, 17, 15, &[])), (Turn::NotMine, Turn::Open));
    }

    #[test]
    fn slots_of_an_ended_gateway_are_open_from_its_end_on() {
        assert_eq!(ask(1, 9, 8, &[(2, 9)]), Turn::NotMine);
        assert_eq!(ask(1, 10, 8, &[(2, 9)]), Turn::Open);
        assert_eq!(
            ask(2, 8, 7, &[(2, 9)]),
            Turn::Holder(Window { gateway: 2, kind: Kind::Fallback, first: 8, end: 16 })
        );
    }

    #[test]
    fn after_silence_gateways_take_turns_in_anybodys_slots() {
        assert_eq!(ask(2, 24, 4, &[]), Turn::NotMine);
        assert_eq!(ask(2, 25, 4, &[]), Turn::Silent);
        // Before the first settlement it counts from the first slot that could have had one.
        assert_eq!(ask(2, 25, 0, &[]), Turn::Silent);
        assert_eq!(ask(1, 10, 0, &[]), Turn::NotMine);
    }
}
