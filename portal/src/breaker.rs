//! One gateway's circuit breaker: who fails too often isn't asked for a while, then tried without op-node noticing. Pure: the time is given.

use crate::selection::OwnerOutcome;
use serde::{Deserialize, Serialize};

/// What a gateway can do wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Fault {
    /// No payload in time, for whatever reason: slow, down, not building.
    Late,
    /// A payload without transactions of its own, when the fallback found some.
    Empty,
    /// No payload at all in the answer, or one that the fallback calls `INVALID`.
    Invalid,
    /// Another payload than was asked for.
    Mismatch,
}

impl Fault {
    /// As in the configuration's limits and in logs.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Late => "late",
            Self::Empty => "empty",
            Self::Invalid => "invalid",
            Self::Mismatch => "mismatch",
        }
    }
}

/// All of them, the one at the end that is noted apart from the others, because it is heard of later.
const FAULTS: [Fault; 4] = [Fault::Late, Fault::Invalid, Fault::Mismatch, Fault::Empty];
/// How many of them are noted at once.
const AT_ONCE: usize = 3;

/// How many blocks in a row with a fault open the breaker, and for how long. 0: that fault never does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Limits {
    /// For [`Fault::Late`].
    pub late: u32,
    /// For [`Fault::Empty`].
    pub empty: u32,
    /// For [`Fault::Invalid`].
    pub invalid: u32,
    /// For [`Fault::Mismatch`].
    pub mismatch: u32,
    /// The first pause, in milliseconds. It doubles with each trial that fails.
    pub pause_ms: u64,
    /// The longest pause, in milliseconds.
    pub longest_pause_ms: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self { late: 3, empty: 0, invalid: 1, mismatch: 1, pause_ms: 12_000, longest_pause_ms: 384_000 }
    }
}

impl Limits {
    const fn of(&self, fault: Fault) -> u32 {
        match fault {
            Fault::Late => self.late,
            Fault::Empty => self.empty,
            Fault::Invalid => self.invalid,
            Fault::Mismatch => self.mismatch,
        }
    }
}

/// How a gateway may be asked for a block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Admission {
    /// Like any other.
    Yes,
    /// To see whether it works again: its payload is checked but not served, and nobody waits for it.
    Trial,
    /// Not at all.
    No,
}

/// What a breaker looks like from outside.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Condition {
    /// The gateway is asked.
    Closed,
    /// It isn't.
    Open,
    /// Its next block is a trial, or one is under way.
    HalfOpen,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// Faults in a row, by kind.
    Closed([u32; FAULTS.len()]),
    Open {
        until: u64,
        pause: u64,
    },
    /// Tried, until something is heard of a trial.
    HalfOpen {
        pause: u64,
    },
}

/// One gateway's breaker. Times are milliseconds on any clock that only goes forward.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Breaker(State);

impl Default for Breaker {
    fn default() -> Self {
        Self(State::Closed([0; FAULTS.len()]))
    }
}

impl Breaker {
    /// Asks whether the gateway may be asked for a block. When the pause is over, any block is a trial until one has shown something: of an order nobody knows
    /// whether its payload will be got, or whether it is only another one repeated.
    pub fn admit(&mut self, now: u64) -> Admission {
        match self.0 {
            State::Closed(_) => Admission::Yes,
            State::Open { until, .. } if now < until => Admission::No,
            State::Open { pause, .. } | State::HalfOpen { pause } => {
                self.0 = State::HalfOpen { pause };
                Admission::Trial
            }
        }
    }

    /// Notes how it went. What was no fault closes the breaker; `true` if it opens with this one.
    pub fn note(&mut self, fault: Option<Fault>, limits: &Limits, now: u64) -> bool {
        let Some(fault) = fault else {
            // A block that was ordered before the breaker opened says nothing about the gateway since.
            match &mut self.0 {
                State::Closed(counts) => counts[..AT_ONCE].fill(0),
                State::HalfOpen { .. } => *self = Self::default(),
                State::Open { .. } => {}
            }
            return false;
        };
        let limit = limits.of(fault);
        if limit == 0 {
            return false;
        }
        match &mut self.0 {
            State::Closed(counts) => {
                for (kind, count) in FAULTS.iter().zip(counts.iter_mut()) {
                    if *kind == fault {
                        *count += 1;
                        if *count >= limit {
                            let pause = limits.pause_ms;
                            self.0 = State::Open { until: now.saturating_add(pause), pause };
                            return true;
                        }
                        break;
                    }
                }
                false
            }
            State::HalfOpen { pause } => {
                let pause = pause.saturating_mul(2).min(limits.longest_pause_ms).max(limits.pause_ms);
                self.0 = State::Open { until: now.saturating_add(pause), pause };
                true
            }
            State::Open { .. } => false,
        }
    }

    /// Notes that a block of its own had not this fault, whatever else is or will be known of it.
    pub fn clear(&mut self, fault: Fault) {
        if let State::Closed(counts) = &mut self.0 {
            FAULTS.iter().zip(counts).filter(|(kind, _)| **kind == fault).for_each(|(_, count)| *count = 0);
        }
    }

    /// Notes that checking a trial's payload took too long, which says nothing about the gateway, but may with each block: the next trial comes after a pause, as
    /// long as the last. How long, in milliseconds; `None` if it isn't tried.
    pub const fn put_off(&mut self, now: u64) -> Option<u64> {
        let State::HalfOpen { pause } = self.0 else { return None };
        self.0 = State::Open { until: now.saturating_add(pause), pause };
        Some(pause)
    }

    /// Whether the gateway is asked as any other.
    pub const fn is_closed(&self) -> bool {
        matches!(self.0, State::Closed(_))
    }

    /// How long it leaves the gateway out, in milliseconds; `None` while it is closed.
    pub const fn pause_ms(&self) -> Option<u64> {
        match self.0 {
            State::Closed(_) => None,
            State::Open { pause, .. } | State::HalfOpen { pause, .. } => Some(pause),
        }
    }

    /// What it looks like at a time.
    pub const fn condition(&self, now: u64) -> Condition {
        match self.0 {
            State::Closed(_) => Condition::Closed,
            State::Open { until, .. } if now < until => Condition::Open,
            State::Open { .. } | State::HalfOpen { .. } => Condition::HalfOpen,
        }
    }
}

/// What an outcome says about the gateway. `None`: nothing, because it wasn't asked, or because the fallback couldn't judge.
#[allow(clippy::option_option)] // Nothing to note, no fault to note, a fault to note: three things.
pub const fn verdict(outcome: &OwnerOutcome) -> Option<Option<Fault>> {
    Some(match outcome {
        OwnerOutcome::Valid => None,
        OwnerOutcome::Skipped(_) | OwnerOutcome::Unchecked(_) | OwnerOutcome::Undecided(_) => return None,
        // Their own doing are neither another address or other settings in the middle of a block, nor an order that is repeated, nor what the fallback lacks.
        OwnerOutcome::LaneClosed(_) | OwnerOutcome::Replaced | OwnerOutcome::Unsupported(_) => return None,
        OwnerOutcome::Late(stage) if stage.is_ours() => return None,
        OwnerOutcome::Late(_) | OwnerOutcome::NotBuilding(_) | OwnerOutcome::Unreachable(_) => Some(Fault::Late),
        OwnerOutcome::BadAnswer(_) | OwnerOutcome::Rejected(_) | OwnerOutcome::Disputed(_) => Some(Fault::Invalid),
        OwnerOutcome::Mismatch(_) => Some(Fault::Mismatch),
        // The policy prefers the fallback's: no fault.
        OwnerOutcome::Outbid(_) => None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn faults_are_named_as_the_configuration_names_them() {
        let limits = serde_json::to_value(Limits::default()).expect("JSON");
        for fault in FAULTS {
            assert_eq!(serde_json::to_value(fault).expect("JSON"), fault.name());
            assert!(limits.get(fault.name()).is_some(), "{fault:?}");
        }
    }
    use proptest::prelude::*;

    const LIMITS: Limits = Limits { late: 3, empty: 0, invalid: 1, mismatch: 2, pause_ms: 100, longest_pause_ms: 350 };

    #[test]
    fn it_opens_after_so_many_in_a_row() {
        let mut breaker = Breaker::default();
        assert!(!breaker.note(Some(Fault::Late), &LIMITS, 0));
        assert!(!breaker.note(Some(Fault::Late), &LIMITS, 1));
        // A good one between them: not in a row.
        assert!(!breaker.note(None, &LIMITS, 2));
        assert!(!breaker.note(Some(Fault::Late), &LIMITS, 3));
        assert!(!breaker.note(Some(Fault::Late), &LIMITS, 4));
        assert_eq!(breaker.admit(4), Admission::Yes);
        assert!(breaker.note(Some(Fault::Late), &LIMITS, 5));
        assert_eq!(breaker.admit(104), Admission::No);
        assert_eq!((breaker.condition(104), breaker.condition(105)), (Condition::Open, Condition::HalfOpen));
    }

    #[test]
    fn each_fault_has_its_own_limit() {
        let opened_by = |fault| {
            let mut breaker = Breaker::default();
            (1..10).find(|_| breaker.note(Some(fault), &LIMITS, 0))
        };
        assert_eq!(opened_by(Fault::Late), Some(3));
        assert_eq!(opened_by(Fault::Invalid), Some(1));
        assert_eq!(opened_by(Fault::Mismatch), Some(2));
        // Zero switches a rule off.
        assert_eq!(opened_by(Fault::Empty), None);
    }

    #[test]
    fn good_payloads_are_no_excuse_for_what_is_heard_of_later() {
        let limits = Limits { late: 2, invalid: 2, empty: 2, mismatch: 2, ..LIMITS };
        for (index, fault) in FAULTS.into_iter().enumerate() {
            let mut breaker = Breaker::default();
            assert!(!breaker.note(Some(fault), &limits, 0));
            breaker.note(None, &limits, 0);
            assert_eq!(breaker.note(Some(fault), &limits, 0), index >= AT_ONCE, "{fault:?}");
            let mut breaker = Breaker::default();
            breaker.note(Some(fault), &limits, 0);
            breaker.clear(FAULTS[(index + 1) % FAULTS.len()]);
            breaker.clear(fault);
            assert!(!breaker.note(Some(fault), &limits, 0));
            breaker.clear(FAULTS[(index + 1) % FAULTS.len()]);
            assert!(breaker.note(Some(fault), &limits, 0));
        }
    }

    #[test]
    fn one_trial_decides_and_the_pause_doubles_up_to_its_limit() {
        let mut breaker = Breaker::default();
        breaker.note(Some(Fault::Invalid), &LIMITS, 0);
        let mut now = 100;
        for pause in [200, 350, 350] {
            assert_eq!(breaker.admit(now - 1), Admission::No);
            assert_eq!(breaker.admit(now), Admission::Trial);
            assert_eq!(breaker.condition(now), Condition::HalfOpen);
            assert!(breaker.note(Some(Fault::Late), &LIMITS, now));
            now += pause;
        }
        assert_eq!(breaker.admit(now), Admission::Trial);
        breaker.note(None, &LIMITS, now);
        assert_eq!(breaker.admit(now), Admission::Yes);
        // And the next pause is the first one again.
        breaker.note(Some(Fault::Invalid), &LIMITS, now);
        assert_eq!(breaker.admit(now + 100), Admission::Trial);
    }

    #[test]
    fn every_block_is_a_trial_until_something_is_heard_of_one() {
        let mut breaker = Breaker::default();
        breaker.note(Some(Fault::Invalid), &LIMITS, 0);
        assert_eq!(breaker.admit(99), Admission::No);
        for now in [100, 100, 101, 500] {
            assert_eq!(breaker.admit(now), Admission::Trial);
        }
        // What is heard of the others then counts no more.
        assert!(breaker.note(Some(Fault::Late), &LIMITS, 500));
        assert!(!breaker.note(Some(Fault::Late), &LIMITS, 500));
        breaker.note(None, &LIMITS, 501);
        assert_eq!((breaker.admit(699), breaker.admit(700)), (Admission::No, Admission::Trial));
    }

    #[test]
    fn a_trial_whose_check_was_late_is_put_off_for_no_longer_than_before() {
        let mut breaker = Breaker::default();
        assert_eq!(breaker.put_off(0), None);
        assert_eq!(breaker.admit(0), Admission::Yes);
        breaker.note(Some(Fault::Invalid), &LIMITS, 0);
        for now in [100, 200, 300] {
            assert_eq!(breaker.put_off(now - 1), None, "no trial is under way");
            assert_eq!(breaker.admit(now - 1), Admission::No);
            // An order that is repeated loses nothing.
            assert_eq!([breaker.admit(now), breaker.admit(now)], [Admission::Trial; 2]);
            assert_eq!(breaker.put_off(now), Some(100));
        }
    }

    #[test]
    fn a_block_from_before_does_not_close_it() {
        let mut breaker = Breaker::default();
        breaker.note(Some(Fault::Invalid), &LIMITS, 0);
        breaker.note(None, &LIMITS, 1);
        assert_eq!(breaker.admit(1), Admission::No);
    }

    proptest! {
        /// However it went before: a gateway that does nothing wrong any more is asked again within twice the longest pause.
        #[test]
        fn nobody_is_shut_out_for_ever(history in prop::collection::vec((0u64..500, prop::option::of(0..FAULTS.len())), 0..50)) {
            let (mut breaker, mut now) = (Breaker::default(), 0);
            for (step, fault) in history {
                now += step;
                breaker.admit(now);
                breaker.note(fault.map(|index| FAULTS[index]), &LIMITS, now);
            }
            let end = now + 2 * LIMITS.longest_pause_ms;
            while now <= end {
                match breaker.admit(now) {
                    Admission::Yes => return Ok(()),
                    Admission::Trial => { breaker.note(None, &LIMITS, now); }
                    Admission::No => now += 10,
                }
            }
            prop_assert!(false, "{breaker:?} at {now}");
        }
    }
}
