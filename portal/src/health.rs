//! Whether the fallback can be relied on, by what was heard of it. Pure: the time is given.

use std::{
    sync::atomic::{AtomicBool, AtomicU64, Ordering},
    time::Duration,
};

/// For how long beyond its own time a payload call that failed counts where no other is made: op-node makes one with each block, and where it makes none,
/// because nothing is sent to a port that says it is unhealthy, or because it isn't the sequencer's, one failure mustn't count for ever.
const STANDS: Duration = Duration::from_secs(30);
/// No payload call has failed since one last succeeded.
const NEVER: u64 = u64::MAX;

/// What was heard of the fallback. Probes and payload calls each speak for themselves: one that hangs in its engine answers a probe, so a probe takes back
/// no failure of a payload call, nor the other way round. Times are milliseconds on any clock that only goes forward.
#[derive(Debug)]
pub(crate) struct FallbackHealth {
    /// Whether it answered the last probe in time.
    answers: AtomicBool,
    /// When a payload call failed, if none has succeeded since.
    failed_at: AtomicU64,
    stands_ms: u64,
    head_old: AtomicBool,
}

impl FallbackHealth {
    /// Nothing was heard yet, which is down. A call may take so long.
    pub(crate) fn new(call_time: Duration) -> Self {
        let stands_ms = u64::try_from(call_time.saturating_add(STANDS).as_millis()).unwrap_or(u64::MAX);
        Self {
            answers: AtomicBool::new(false),
            failed_at: AtomicU64::new(NEVER),
            stands_ms,
            head_old: AtomicBool::new(false),
        }
    }

    /// Notes whether a probe was answered in time.
    pub(crate) fn probed(&self, answered: bool) {
        self.answers.store(answered, Ordering::Relaxed);
    }

    /// Notes that a payload call was answered; `false` if that is nothing new.
    pub(crate) fn succeeded(&self) -> bool {
        // Read first: it is nearly always nothing new, and this is on the way of every call.
        self.failed_at.load(Ordering::Relaxed) != NEVER && self.failed_at.swap(NEVER, Ordering::Relaxed) != NEVER
    }

    /// Notes that a payload call wasn't answered.
    pub(crate) fn failed(&self, now: u64) {
        self.failed_at.store(now.min(NEVER - 1), Ordering::Relaxed);
    }

    /// Notes whether the newest block is older than it may be; `true` if that is new.
    pub(crate) fn head_is(&self, old: bool) -> bool {
        self.head_old.swap(old, Ordering::Relaxed) != old
    }

    /// Whether it answers.
    pub(crate) fn is_up(&self, now: u64) -> bool {
        let failed_at = self.failed_at.load(Ordering::Relaxed);
        let failing = failed_at != NEVER && now.saturating_sub(failed_at) < self.stands_ms;
        self.answers.load(Ordering::Relaxed) && !failing
    }

    /// Whether its newest block is older than it may be.
    pub(crate) fn has_old_head(&self) -> bool {
        self.head_old.load(Ordering::Relaxed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// One that has answered a probe, and whose calls may take a second.
    fn up() -> FallbackHealth {
        let health = FallbackHealth::new(Duration::from_secs(1));
        assert!(!health.is_up(0), "nothing was heard of it");
        health.probed(true);
        assert!(health.is_up(0));
        health
    }

    #[test]
    fn a_probe_takes_back_no_failure_of_a_payload_call() {
        let health = up();
        health.failed(1000);
        for now in [1000, 1400, 31_999] {
            health.probed(true);
            assert!(!health.is_up(now), "{now}");
        }
        assert!(health.succeeded());
        assert!(health.is_up(1400));
        assert!(!health.succeeded(), "nothing new");
    }

    #[test]
    fn a_payload_call_takes_back_no_failure_of_a_probe() {
        let health = up();
        health.probed(false);
        assert!(!health.succeeded());
        assert!(!health.is_up(0));
        health.probed(true);
        assert!(health.is_up(0));
    }

    #[test]
    fn one_failure_does_not_count_for_ever_where_no_other_call_is_made() {
        let health = up();
        health.failed(1000);
        assert!(!health.is_up(31_999));
        assert!(health.is_up(32_000));
        // Each counts anew.
        health.failed(31_000);
        assert!(!health.is_up(32_000));
    }

    #[test]
    fn an_old_head_is_news_once() {
        let health = up();
        assert!(!health.head_is(false));
        assert!(health.head_is(true) && health.has_old_head());
        assert!(!health.head_is(true));
        assert!(health.head_is(false) && !health.has_old_head());
    }
}
