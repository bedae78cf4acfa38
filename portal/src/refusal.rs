//! Calls that are refused before anybody is asked: counted, and said in the log now and then, however many there are.

use crate::telemetry;
use http::StatusCode;
use std::{
    fmt,
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};
use tracing::warn;

/// How often the log says so at most.
const INTERVAL: Duration = Duration::from_secs(10);

/// What was refused since the log last said so.
#[derive(Debug, Default)]
pub(crate) struct Refusals(Mutex<Count>);

#[derive(Debug, Default)]
struct Count {
    refused: u64,
    said: Option<Instant>,
}

impl Count {
    /// Counts one; how many there are to be said, if it is time for that.
    fn add(&mut self, now: Instant) -> Option<u64> {
        self.refused += 1;
        if self.said.is_some_and(|said| now.duration_since(said) < INTERVAL) {
            return None;
        }
        self.said = Some(now);
        Some(std::mem::take(&mut self.refused))
    }
}

impl Refusals {
    /// Counts a call that is refused. The reason, which must hold no secret, is that of the last one.
    pub(crate) fn note(&self, status: StatusCode, reason: &impl fmt::Display) {
        telemetry::refused(status);
        let due = self.0.lock().unwrap_or_else(PoisonError::into_inner).add(Instant::now());
        if let Some(refused) = due {
            warn!(refused, status = status.as_u16(), %reason, "refused calls to the engine port");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_is_said_at_once_and_the_others_together() {
        let (mut count, start) = (Count::default(), Instant::now());
        assert_eq!(count.add(start), Some(1));
        for ms in [1, 5000, 9999] {
            assert_eq!(count.add(start + Duration::from_millis(ms)), None);
        }
        assert_eq!(count.add(start + INTERVAL), Some(4));
        assert_eq!(count.add(start + INTERVAL), None);
        assert_eq!(count.add(start + 3 * INTERVAL), Some(2));
    }
}
