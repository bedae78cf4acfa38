//! What happens again and again, and is said in the log now and then.

use std::time::{Duration, Instant};

/// Counts what the log doesn't say.
#[derive(Debug)]
pub(crate) struct Recurring {
    /// How often the log says so at most.
    interval: Duration,
    /// How often it happened since the log last said so.
    unsaid: u64,
    said: Option<Instant>,
}

impl Recurring {
    pub(crate) const fn every(interval: Duration) -> Self {
        Self { interval, unsaid: 0, said: None }
    }

    /// Counts one; how many there are to be said, if it is time for that.
    pub(crate) fn add(&mut self, now: Instant) -> Option<u64> {
        self.unsaid += 1;
        if self.said.is_some_and(|said| now.duration_since(said) < self.interval) {
            return None;
        }
        self.said = Some(now);
        Some(std::mem::take(&mut self.unsaid))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_is_said_at_once_and_the_others_together() {
        const INTERVAL: Duration = Duration::from_secs(10);
        let (mut recurring, start) = (Recurring::every(INTERVAL), Instant::now());
        assert_eq!(recurring.add(start), Some(1));
        for ms in [1, 5000, 9999] {
            assert_eq!(recurring.add(start + Duration::from_millis(ms)), None);
        }
        assert_eq!(recurring.add(start + INTERVAL), Some(4));
        assert_eq!(recurring.add(start + INTERVAL), None);
        assert_eq!(recurring.add(start + 3 * INTERVAL), Some(2));
    }
}
