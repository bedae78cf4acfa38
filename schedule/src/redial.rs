//! When to dial a node's websocket again. Pure.

use std::time::Duration;
use tokio::time::Instant;

/// The pause after the first failure; it doubles with each further one.
const FIRST_PAUSE: Duration = Duration::from_millis(100);
/// The longest pause: a node that is back is noticed within half a slot.
const LONGEST_PAUSE: Duration = Duration::from_secs(5);
/// A connection that held so long was a good one. Load balancers end such connections as a matter of course, so its loss is no failure.
const STEADY: Duration = Duration::from_secs(5);

/// How often dialling has failed, and when to try again.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Redial {
    failures: u32,
    due: Option<Instant>,
}

impl Redial {
    /// When to dial next; `None` before anything has failed, which means at any time.
    pub(crate) const fn due(&self) -> Option<Instant> {
        self.due
    }

    /// Whether to dial now.
    pub(crate) fn is_due(&self, now: Instant) -> bool {
        self.due.is_none_or(|due| due <= now)
    }

    /// Dialling failed.
    pub(crate) fn failed(&mut self, now: Instant) {
        self.failures = self.failures.saturating_add(1);
        self.due = Some(now + pause(self.failures));
    }

    /// A connection that had held for a while was lost. One that hadn't counts as a failure: a node that takes calls and hangs up isn't dialled
    /// again and again without a pause.
    pub(crate) fn lost(&mut self, now: Instant, held: Duration) {
        if held >= STEADY {
            *self = Self { failures: 0, due: Some(now) };
        } else {
            self.failed(now);
        }
    }
}

fn pause(failures: u32) -> Duration {
    let doublings = failures.saturating_sub(1).min(16);
    (FIRST_PAUSE * (1 << doublings)).min(LONGEST_PAUSE)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_pause_doubles_up_to_a_limit() {
        let now = Instant::now();
        let mut redial = Redial::default();
        assert!(redial.is_due(now));
        for pause in [100, 200, 400, 800, 1600, 3200, 5000, 5000] {
            redial.failed(now);
            assert_eq!(redial.due(), Some(now + Duration::from_millis(pause)));
            assert!(!redial.is_due(now) && redial.is_due(now + Duration::from_millis(pause)));
        }
        redial.failures = u32::MAX;
        redial.failed(now);
        assert_eq!(redial.due(), Some(now + LONGEST_PAUSE));
    }

    #[test]
    fn a_steady_connection_is_dialled_again_at_once_and_its_failures_are_forgotten() {
        let now = Instant::now();
        let mut redial = Redial { failures: 7, due: None };
        redial.lost(now, STEADY);
        assert!(redial.is_due(now));
        redial.failed(now);
        assert_eq!(redial.due(), Some(now + FIRST_PAUSE));
    }

    #[test]
    fn one_that_breaks_at_once_is_a_failure() {
        let now = Instant::now();
        let mut redial = Redial::default();
        redial.lost(now, STEADY - Duration::from_millis(1));
        assert!(!redial.is_due(now));
        redial.lost(now, Duration::ZERO);
        assert_eq!(redial.due(), Some(now + 2 * FIRST_PAUSE));
    }
}
