//! When to publish, rules `[S2]` and `[S6]`: pure decisions.
//!
//! A publication is worth as much whoever makes it, and costs whoever makes it. So the eligible gateways' keepers take turns: who is first changes with the
//! epoch, each has some slots for itself before the next one's turn comes, and the last slots before the deadline are everybody's.

use baton_protocol::{SLOTS_PER_EPOCH, SlotClock};
use std::time::Duration;

/// Slots of an epoch that must pass before the next one's lookahead can be included: its first block is what is proven, the second holds that block's root.
const FIRST: u64 = 2;
/// Slots before the deadline that are everybody's.
const EVERYBODYS: u64 = 3;
/// Slots that each turn has at least: one to send in, one more in case that one is missed.
const LEAST_TURN: u64 = 2;
/// Live slots that may pass a transaction by before it is replaced.
const PATIENCE: u64 = 1;

/// What the deployment says of publications.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PublicationRules {
    /// Slots from a block's own slot to its owner's, `[T3]`.
    pub settlement_delay: u64,
    /// Slots that are kept free before that, `[S6]`.
    pub margin: u64,
}

impl PublicationRules {
    /// The first slot in which an epoch's lookahead can be included.
    pub const fn first(epoch: u64) -> u64 {
        SlotClock::epoch_start(epoch.saturating_sub(1)).saturating_add(FIRST)
    }

    /// The deadline: the first slot in which it can't be included any more, `[S6]`.
    pub const fn deadline(&self, epoch: u64) -> u64 {
        SlotClock::epoch_start(epoch).saturating_sub(self.settlement_delay).saturating_sub(self.margin)
    }

    /// The slot from which a keeper publishes an epoch. `rank` is its place, 0 for the first, among `count` keepers; one that isn't among them comes after
    /// them.
    pub fn turn(&self, epoch: u64, rank: u64, count: u64) -> u64 {
        let (first, deadline) = (Self::first(epoch), self.deadline(epoch));
        let everybodys = deadline.saturating_sub(EVERYBODYS).max(first);
        let length = ((everybodys - first) / count.max(1)).max(LEAST_TURN);
        first.saturating_add(rank.saturating_mul(length)).min(everybodys)
    }
}

/// A gateway's place among the eligible ones, given in order, for an epoch; their number if it isn't one of them.
pub(super) fn rank<T: PartialEq>(me: &T, eligible: &[T], epoch: u64) -> u64 {
    let count = eligible.len() as u64;
    match eligible.iter().position(|other| other == me) {
        Some(place) => (place as u64 + count - epoch % count) % count,
        None => count,
    }
}

/// What a decision depends on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Situation {
    /// The deployment's rules.
    pub rules: PublicationRules,
    /// The slot of the newest L1 block.
    pub newest: u64,
    /// The slot that a transaction sent now is included in, as far as one can tell.
    pub landing: u64,
    /// Whether the lookahead of the epoch after the landing's was published, as of the newest block.
    pub published: bool,
    /// The keeper's place.
    pub rank: u64,
    /// How many have one.
    pub count: u64,
}

impl Situation {
    /// The epoch that is to be published: the one after the landing's.
    pub const fn epoch(&self) -> u64 {
        SlotClock::epoch_of(self.landing) + 1
    }
}

/// What to do about an epoch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Decision {
    /// Somebody has published it.
    Published,
    /// It is another's turn, or nothing can be proven yet.
    Wait,
    /// Publish.
    Publish,
    /// The deadline has passed: the epoch falls back.
    TooLate,
}

/// Decides about the epoch after the one that a transaction sent now lands in.
pub fn decide(situation: &Situation) -> Decision {
    let Situation { rules, newest, landing, published, rank, count } = *situation;
    let epoch = situation.epoch();
    if published {
        return Decision::Published;
    }
    if landing >= rules.deadline(epoch) {
        return Decision::TooLate;
    }
    // The block that is proven, the newest one's parent, must be of the epoch before. If the epoch's first slots were missed, it isn't yet, which
    // its header tells.
    let provable = newest > SlotClock::epoch_start(epoch - 1);
    if provable && landing >= rules.turn(epoch, rank, count) { Decision::Publish } else { Decision::Wait }
}

/// What to do about a publication that was sent and isn't included.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PendingDecision {
    /// Give it time.
    Wait,
    /// Offer more.
    Replace,
    /// It would come too late, or another's has come.
    GiveUp,
}

/// Decides about a publication of `epoch` that was sent for slot `sent`.
pub fn decide_pending(situation: &Situation, epoch: u64, sent: u64) -> PendingDecision {
    if situation.epoch() != epoch || situation.published || situation.landing >= situation.rules.deadline(epoch) {
        PendingDecision::GiveUp
    } else if situation.newest >= sent.saturating_add(PATIENCE) {
        PendingDecision::Replace
    } else {
        PendingDecision::Wait
    }
}

/// Pauses after failures in a row.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Backoff {
    failures: u32,
}

impl Backoff {
    /// A failure; the answer is how long to pause: an eighth of a slot at first, twice as long after each further one, at most a slot.
    pub fn failed(&mut self, slot_length: u64) -> Duration {
        let slot = Duration::from_secs(slot_length);
        let pause = (slot / 8).saturating_mul(1 << self.failures.min(3));
        self.failures = self.failures.saturating_add(1);
        pause.min(slot)
    }

    /// It works again.
    pub fn worked(&mut self) {
        self.failures = 0;
    }
}

const _: () = assert!(FIRST + EVERYBODYS < SLOTS_PER_EPOCH);

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeSet;

    const RULES: PublicationRules = PublicationRules { settlement_delay: 2, margin: 16 };
    /// Publications of epoch 11 are due in epoch 10, slots 320 to 351; from slot 334 on they come too late.
    const EPOCH: u64 = 11;
    const BEGIN: u64 = 320;

    const FIRST_TURN: Situation =
        Situation { rules: RULES, newest: BEGIN + 1, landing: BEGIN + 2, published: false, rank: 0, count: 1 };

    #[test]
    fn decisions_by_slot() {
        let cases = [
            (
                "the newest block's parent is of the epoch before",
                Situation { newest: BEGIN, ..FIRST_TURN },
                Decision::Wait,
            ),
            (
                "no block of the epoch",
                Situation { newest: BEGIN - 1, landing: BEGIN + 9, ..FIRST_TURN },
                Decision::Wait,
            ),
            ("the first slot", FIRST_TURN, Decision::Publish),
            (
                "the first slots were missed",
                Situation { newest: BEGIN + 5, landing: BEGIN + 6, ..FIRST_TURN },
                Decision::Publish,
            ),
            ("published", Situation { published: true, ..FIRST_TURN }, Decision::Published),
            ("another's turn", Situation { rank: 1, count: 2, ..FIRST_TURN }, Decision::Wait),
            ("published late", Situation { published: true, landing: 350, ..FIRST_TURN }, Decision::Published),
            ("the last slot", Situation { newest: 332, landing: 333, ..FIRST_TURN }, Decision::Publish),
            ("the deadline", Situation { newest: 333, landing: 334, ..FIRST_TURN }, Decision::TooLate),
            (
                "everybody's slots",
                Situation { newest: 330, landing: 331, rank: 90, count: 90, ..FIRST_TURN },
                Decision::Publish,
            ),
            ("before them", Situation { newest: 329, landing: 330, rank: 90, count: 90, ..FIRST_TURN }, Decision::Wait),
            ("the next epoch has begun", Situation { newest: 351, landing: 352, ..FIRST_TURN }, Decision::Wait),
        ];
        for (case, situation, decision) in cases {
            assert_eq!(decide(&situation), decision, "{case}");
        }
    }

    #[test]
    fn turns_are_spread_over_the_time_that_there_is() {
        let turns = |count: u64| (0..=count).map(|rank| RULES.turn(EPOCH, rank, count) - BEGIN).collect::<Vec<_>>();
        assert_eq!(turns(0), [2]);
        assert_eq!(turns(1), [2, 11]);
        assert_eq!(turns(2), [2, 6, 10]);
        assert_eq!(turns(4), [2, 4, 6, 8, 10]);
        assert_eq!(turns(7), [2, 4, 6, 8, 10, 11, 11, 11]);
    }

    #[test]
    fn the_first_turn_goes_round_with_the_epochs() {
        let eligible = [3, 5, 8];
        let ranks = |epoch| eligible.map(|me| rank(&me, &eligible, epoch));
        assert_eq!((ranks(0), ranks(1), ranks(2), ranks(3)), ([0, 1, 2], [2, 0, 1], [1, 2, 0], [0, 1, 2]));
        assert_eq!((rank(&4, &eligible, 7), rank(&4, &[], 7)), (3, 0));
    }

    #[test]
    fn decisions_about_a_pending_publication() {
        let sent = BEGIN + 2;
        let cases = [
            ("its slot's block isn't there", FIRST_TURN, PendingDecision::Wait),
            (
                "its slot passed it by",
                Situation { newest: sent, landing: sent + 1, ..FIRST_TURN },
                PendingDecision::Wait,
            ),
            (
                "two slots did",
                Situation { newest: sent + 1, landing: sent + 2, ..FIRST_TURN },
                PendingDecision::Replace,
            ),
            ("another's came", Situation { newest: sent, published: true, ..FIRST_TURN }, PendingDecision::GiveUp),
            ("the deadline", Situation { newest: 333, landing: 334, ..FIRST_TURN }, PendingDecision::GiveUp),
            ("another epoch", Situation { newest: 351, landing: 352, ..FIRST_TURN }, PendingDecision::GiveUp),
        ];
        for (case, situation, decision) in cases {
            assert_eq!(decide_pending(&situation, EPOCH, sent), decision, "{case}");
        }
    }

    #[test]
    fn pauses_grow_up_to_a_slot() {
        let mut backoff = Backoff::default();
        let pauses: Vec<_> = (0..5).map(|_| backoff.failed(12).as_millis()).collect();
        assert_eq!(pauses, [1_500, 3_000, 6_000, 12_000, 12_000]);
        backoff.worked();
        assert_eq!(backoff.failed(12).as_millis(), 1_500);
    }

    /// An epoch with `count` keepers that see each other's publications once they are in a block. The answer is who published, in which slot.
    fn epoch(rules: PublicationRules, count: u64, dead: &BTreeSet<u64>, missed: &BTreeSet<u64>) -> Vec<(u64, u64)> {
        let mut sent: Vec<(u64, u64)> = Vec::new();
        let mut included = false;
        let mut newest = BEGIN - 1;
        for landing in BEGIN..BEGIN + SLOTS_PER_EPOCH {
            for rank in 0..count {
                let situation = Situation { rules, newest, landing, published: included, rank, count };
                let has_sent = sent.iter().any(|(by, _)| *by == rank);
                if !dead.contains(&rank) && !has_sent && decide(&situation) == Decision::Publish {
                    sent.push((rank, landing));
                }
            }
            if !missed.contains(&landing) {
                newest = landing;
                included |= !sent.is_empty();
            }
        }
        sent
    }

    #[test]
    fn one_publishes_and_the_next_takes_over_from_the_dead() {
        for count in 1..=5 {
            let none = BTreeSet::new();
            assert_eq!(epoch(RULES, count, &none, &none), [(0, BEGIN + 2)], "{count}");
            for dead in 1..count {
                let sent = epoch(RULES, count, &(0..dead).collect(), &none);
                assert_eq!(sent, [(dead, RULES.turn(EPOCH, dead, count))], "{dead} of {count}");
            }
        }
        // A slot that is missed doesn't make the next one send as well.
        let missed = [BEGIN + 2].into();
        assert_eq!(epoch(RULES, 9, &BTreeSet::new(), &missed), [(0, BEGIN + 2)]);
    }

    proptest! {
        #[test]
        fn whatever_is_missed_and_dead_nobody_sends_early_late_or_over_anothers(
            delay in 0u64..4, margin in 16u64..24, count in 1u64..20,
            dead in prop::collection::btree_set(0u64..20, 0..20),
            missed in prop::collection::btree_set(BEGIN..BEGIN + 32, 0..20),
        ) {
            let rules = PublicationRules { settlement_delay: delay, margin };
            let sent = epoch(rules, count, &dead, &missed);
            let live = |slot: &u64| !missed.contains(slot);
            let provable = (BEGIN + 1..BEGIN + 32).find(live);
            for (_, slot) in &sent {
                prop_assert!(*slot < rules.deadline(EPOCH));
                prop_assert!(provable.is_some_and(|provable| *slot > provable));
                // Nobody sends once a block has one.
                prop_assert!(!sent.iter().any(|(_, earlier)| (*earlier..*slot).any(|between| live(&between))));
            }
            // With anybody alive, an epoch is published if blocks allow it in the last slots.
            let alive = (0..count).any(|rank| !dead.contains(&rank));
            let last = rules.deadline(EPOCH) - 1;
            if alive && provable.is_some_and(|provable| provable < last) {
                prop_assert!(!sent.is_empty());
            }
        }
    }
}
