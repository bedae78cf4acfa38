//! Whether the fallback can be relied on, by what was heard of it. Pure: the time is given.

use std::{
    fmt,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

/// For how long beyond its own time a payload call that failed counts where no other is made: op-node makes one with each block, and where it makes none,
/// because nothing is sent to a port that says it is unhealthy, or because it isn't the sequencer's, one failure mustn't count for ever.
const STANDS: Duration = Duration::from_secs(30);
/// For how long op-node's payload call may wait before that counts, in milliseconds: the second in which the portal must say so, less what it takes to ask
/// the portal.
const PATIENCE_MS: u64 = 800;
/// How many calls that wait are watched at once. op-node makes one after the other.
const WATCHED: usize = 4;
/// No time.
const NEVER: u64 = u64::MAX;

/// What was heard of the fallback. Probes and payload calls each speak for themselves: one that hangs in its engine answers a probe, so a probe takes back
/// no failure of a payload call, nor the other way round. Only a probe that took too long is no proof against an engine that answers. Times are milliseconds
/// on any clock that only goes forward.
#[derive(Debug)]
pub(crate) struct FallbackHealth {
    /// How the last probe went, and the last payload call that failed. Locked by probes and where something has failed, not by calls that succeed.
    heard: Mutex<Heard>,
    /// When a payload call failed, if none has succeeded since.
    failed_at: AtomicU64,
    /// When the engine last answered a payload call.
    answered_at: AtomicU64,
    /// Payload calls of op-node's that the engine hasn't answered, as [`Call::since`] writes them.
    waiting: [AtomicU64; WATCHED],
    stands_ms: u64,
    head_old: AtomicBool,
}

#[derive(Debug, Default)]
struct Heard {
    probe: Probe,
    failure: Option<Arc<str>>,
}

/// How a probe went.
#[derive(Clone, Debug, Default)]
pub(crate) enum Probe {
    /// There was none yet.
    #[default]
    None,
    /// It was answered in time.
    Answered,
    /// It began at a time, and nothing came back in its own time. The reason in words.
    Silent(u64, Arc<str>),
    /// It was refused, or what came back is no answer. The reason in words.
    Failed(Arc<str>),
}

/// A payload call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Call {
    NewPayload,
    ForkchoiceUpdated,
    GetPayload,
}

const CALLS: [Call; 4] = [Call::NewPayload, Call::ForkchoiceUpdated, Call::GetPayload, Call::GetPayload];

impl Call {
    const fn name(self) -> &'static str {
        match self {
            Self::NewPayload => "engine_newPayload",
            Self::ForkchoiceUpdated => "engine_forkchoiceUpdated",
            Self::GetPayload => "engine_getPayload",
        }
    }

    /// The call and when it was made, in one number.
    const fn since(self, now: u64) -> u64 {
        (now << 2) | self as u64
    }
}

/// A payload call that op-node waits for. It has its answer when this is dropped.
#[derive(Debug)]
pub(crate) struct Waiting<'a>(Option<&'a AtomicU64>);

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        if let Some(place) = self.0 {
            place.store(NEVER, Ordering::Relaxed);
        }
    }
}

/// Why the fallback can't be relied on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Trouble {
    /// It was never asked.
    NotProbed,
    /// It doesn't answer a probe, and why.
    NoAnswer(Arc<str>),
    /// It hasn't answered a payload call of op-node's for so many milliseconds.
    Hangs(&'static str, u64),
    /// A payload call failed so many milliseconds ago, and why.
    CallFailed(u64, Arc<str>),
}

impl fmt::Display for Trouble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotProbed => f.write_str("the fallback hasn't been asked yet"),
            Self::NoAnswer(reason) => write!(f, "the fallback doesn't answer: {reason}"),
            Self::Hangs(method, ms) => {
                write!(f, "the fallback hangs: {method} has waited for {}.{} s", ms / 1000, ms % 1000 / 100)
            }
            Self::CallFailed(ms, reason) => {
                write!(f, "the fallback's last engine call failed {} s ago: {reason}", ms / 1000)
            }
        }
    }
}

impl FallbackHealth {
    /// Nothing was heard yet, which is down. A call may take so long.
    pub(crate) fn new(call_time: Duration) -> Self {
        let stands_ms = u64::try_from(call_time.saturating_add(STANDS).as_millis()).unwrap_or(u64::MAX);
        Self {
            heard: Mutex::default(),
            failed_at: AtomicU64::new(NEVER),
            answered_at: AtomicU64::new(NEVER),
            waiting: [const { AtomicU64::new(NEVER) }; WATCHED],
            stands_ms,
            head_old: AtomicBool::new(false),
        }
    }

    /// Notes how a probe went.
    pub(crate) fn probed(&self, probe: Probe) {
        self.heard.lock().unwrap_or_else(PoisonError::into_inner).probe = probe;
    }

    /// Notes that op-node waits for the answer to a payload call, until what this gives is dropped.
    pub(crate) fn wait(&self, call: Call, now: u64) -> Waiting<'_> {
        let since = call.since(now);
        let free =
            |place: &&AtomicU64| place.compare_exchange(NEVER, since, Ordering::Relaxed, Ordering::Relaxed).is_ok();
        // With none free, those that wait already say enough.
        Waiting(self.waiting.iter().find(free))
    }

    /// Notes that a payload call was answered; `false` if that is nothing new.
    pub(crate) fn succeeded(&self, now: u64) -> bool {
        self.answered_at.store(now.min(NEVER - 1), Ordering::Relaxed);
        // Read first: it is nearly always nothing new, and this is on the way of every call.
        self.failed_at.load(Ordering::Relaxed) != NEVER && self.failed_at.swap(NEVER, Ordering::Relaxed) != NEVER
    }

    /// Notes that a payload call wasn't answered, and why.
    pub(crate) fn failed(&self, now: u64, reason: &dyn fmt::Display) {
        self.heard.lock().unwrap_or_else(PoisonError::into_inner).failure = Some(reason.to_string().into());
        self.failed_at.store(now.min(NEVER - 1), Ordering::Relaxed);
    }

    /// Notes whether the newest block is older than it may be; `true` if that is new.
    pub(crate) fn head_is(&self, old: bool) -> bool {
        self.head_old.swap(old, Ordering::Relaxed) != old
    }

    /// What is wrong with it, if anything is.
    pub(crate) fn trouble(&self, now: u64) -> Option<Trouble> {
        let answered_at = self.answered_at.load(Ordering::Relaxed);
        let answered_since = |then| answered_at != NEVER && answered_at >= then;
        let Heard { probe, failure } = &*self.heard.lock().unwrap_or_else(PoisonError::into_inner);
        match probe {
            Probe::None => return Some(Trouble::NotProbed),
            Probe::Silent(since, _) if answered_since(*since) => {}
            Probe::Silent(_, reason) | Probe::Failed(reason) => return Some(Trouble::NoAnswer(reason.clone())),
            Probe::Answered => {}
        }
        let waiting = self.waiting.iter().map(|place| place.load(Ordering::Relaxed)).filter(|since| *since != NEVER);
        if let Some(oldest) = waiting.min() {
            // One that has answered another call meanwhile isn't hanging, but busy with this one.
            let since = if answered_since(oldest >> 2) { answered_at } else { oldest >> 2 };
            if now.saturating_sub(since) >= PATIENCE_MS {
                let call = CALLS[usize::try_from(oldest & 3).unwrap_or_default()];
                return Some(Trouble::Hangs(call.name(), now.saturating_sub(oldest >> 2)));
            }
        }
        let failed_at = self.failed_at.load(Ordering::Relaxed);
        let ago = now.saturating_sub(failed_at);
        (failed_at != NEVER && ago < self.stands_ms)
            .then(|| Trouble::CallFailed(ago, failure.clone().unwrap_or_else(|| "no reason known".into())))
    }

    /// Whether its newest block is older than it may be.
    pub(crate) fn has_old_head(&self) -> bool {
        self.head_old.load(Ordering::Relaxed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    impl FallbackHealth {
        fn is_up(&self, now: u64) -> bool {
            self.trouble(now).is_none()
        }
    }

    /// One that has answered a probe, and whose calls may take a second.
    fn up() -> FallbackHealth {
        let health = FallbackHealth::new(Duration::from_secs(1));
        assert_eq!(health.trouble(0), Some(Trouble::NotProbed));
        health.probed(Probe::Answered);
        assert!(health.is_up(0));
        health
    }

    #[test]
    fn a_probe_takes_back_no_failure_of_a_payload_call() {
        let health = up();
        health.failed(1000, &"reset");
        for now in [1000, 1400, 31_999] {
            health.probed(Probe::Answered);
            assert_eq!(health.trouble(now), Some(Trouble::CallFailed(now - 1000, "reset".into())));
        }
        assert!(health.succeeded(1400));
        assert!(health.is_up(1400));
        assert!(!health.succeeded(1400), "nothing new");
    }

    #[test]
    fn a_payload_call_takes_back_no_refused_probe() {
        let health = up();
        health.probed(Probe::Failed("refused".into()));
        assert!(!health.succeeded(10));
        assert_eq!(health.trouble(10), Some(Trouble::NoAnswer("refused".into())));
        health.probed(Probe::Answered);
        assert!(health.is_up(10));
    }

    #[test]
    fn an_engine_that_answers_outweighs_a_slow_probe_and_none_that_answered_before() {
        let health = up();
        health.succeeded(999);
        health.probed(Probe::Silent(1000, "late".into()));
        assert_eq!(health.trouble(1450), Some(Trouble::NoAnswer("late".into())));
        health.succeeded(1000);
        assert!(health.is_up(1450));
        // The next one is silent as well, and so is the engine by now.
        health.probed(Probe::Silent(1450, "late".into()));
        assert!(!health.is_up(1900));
    }

    #[test]
    fn a_call_that_waits_too_long_counts_until_it_is_answered() {
        let health = up();
        let first = health.wait(Call::ForkchoiceUpdated, 1000);
        let second = health.wait(Call::NewPayload, 1200);
        assert!(health.is_up(1799));
        assert_eq!(health.trouble(1800), Some(Trouble::Hangs("engine_forkchoiceUpdated", 800)));
        drop(first);
        assert!(health.is_up(1999));
        let hangs = health.trouble(2500).expect("trouble");
        assert_eq!(hangs.to_string(), "the fallback hangs: engine_newPayload has waited for 1.3 s");
        // However often probes are answered.
        health.probed(Probe::Answered);
        assert!(!health.is_up(2500));
        drop(second);
        assert!(health.is_up(2500));
    }

    #[test]
    fn an_engine_that_answers_other_calls_does_not_hang() {
        let health = up();
        let _waits = health.wait(Call::GetPayload, 1000);
        health.succeeded(1800);
        assert!(health.is_up(2599));
        assert_eq!(health.trouble(2600), Some(Trouble::Hangs("engine_getPayload", 1600)));
    }

    #[test]
    fn more_calls_than_are_watched_do_no_harm() {
        let health = up();
        let mut all: Vec<_> = (0..10).map(|_| health.wait(Call::NewPayload, 0)).collect();
        assert!(!health.is_up(900));
        all.drain(..5);
        assert!(health.is_up(900));
        all.push(health.wait(Call::NewPayload, 100));
        assert!(!health.is_up(1000));
        drop(all);
        assert!(health.is_up(1000));
    }

    #[test]
    fn one_failure_does_not_count_for_ever_where_no_other_call_is_made() {
        let health = up();
        health.failed(1000, &"reset");
        assert!(!health.is_up(31_999));
        assert!(health.is_up(32_000));
        // Each counts anew.
        health.failed(31_000, &"reset");
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
