//! How many blocks one query for events spans. Pure.

/// After how many answers a longer query is tried again.
const STEADY: u32 = 16;
/// The same at most: a node that refuses such queries refuses one in so many, each of which costs a look at it.
const STEADIEST: u32 = 256;

/// As many blocks as are configured, and fewer after a query that failed: nodes refuse answers of too many events or bytes, which any gateway can bring about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Span {
    most: u64,
    now: u64,
    answered: u32,
    /// How many answers it takes until more is tried.
    steady: u32,
    /// How many blocks the last query that failed was about, until one about as many is answered, but for what halving takes from an odd number.
    refused: Option<u64>,
}

impl Span {
    pub(crate) const fn new(most: u64) -> Self {
        Self { most, now: most, answered: 0, steady: STEADY, refused: None }
    }

    /// How many blocks to ask for.
    pub(crate) const fn now(&self) -> u64 {
        self.now
    }

    /// A query of so many blocks was answered.
    pub(crate) fn answered(&mut self, blocks: u64) {
        if self.refused.is_some_and(|refused| refused <= blocks + 1) {
            (self.refused, self.steady) = (None, STEADY);
        }
        self.answered += 1;
        if self.answered >= self.steady {
            (self.now, self.answered) = (self.now.saturating_mul(2).min(self.most), 0);
        }
    }

    /// A query of so many blocks failed.
    pub(crate) fn failed(&mut self, blocks: u64) {
        // Not each time that it is halved, only when it has grown in vain.
        if self.refused.replace(blocks).is_some_and(|refused| refused <= blocks + 1) {
            self.steady = self.steady.saturating_mul(2).min(STEADIEST);
        }
        (self.now, self.answered) = ((blocks / 2).clamp(1, self.most), 0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answers(span: &mut Span, count: u32) {
        (0..count).for_each(|_| span.answered(span.now()));
    }

    #[test]
    fn a_failure_halves_it_and_answers_double_it_again() {
        let mut span = Span::new(2000);
        answers(&mut span, STEADY);
        assert_eq!(span.now(), 2000);
        span.failed(2000);
        assert_eq!(span.now(), 1000);
        answers(&mut span, STEADY - 1);
        assert_eq!(span.now(), 1000);
        answers(&mut span, 1);
        assert_eq!(span.now(), 2000);
        // What is left may be shorter than a whole span.
        for (blocks, now) in [(300, 150), (3, 1), (1, 1)] {
            span.failed(blocks);
            assert_eq!(span.now(), now);
        }
        answers(&mut span, 20 * STEADIEST);
        assert_eq!(span.now(), 2000);
    }

    #[test]
    fn a_stretch_of_many_events_is_soon_forgotten() {
        let mut span = Span::new(2000);
        for now in [1000, 500, 250, 125, 62] {
            span.failed(span.now());
            assert_eq!(span.now(), now);
        }
        answers(&mut span, 6 * STEADY);
        assert_eq!(span.now(), 2000);
    }

    #[test]
    fn a_length_that_is_refused_again_and_again_is_tried_ever_more_rarely() {
        const CAP: u64 = 5;
        let mut span = Span::new(2000);
        let mut ask = |count: u32| {
            let mut failures = 0;
            for _ in 0..count {
                let blocks = span.now();
                if blocks > CAP {
                    failures += 1;
                    span.failed(blocks);
                } else {
                    span.answered(blocks);
                }
            }
            (failures, span)
        };
        ask(1000);
        let (failures, mut span) = ask(10 * STEADIEST);
        assert!((1..=10).contains(&failures), "{failures}");
        // Until the node takes it.
        answers(&mut span, STEADIEST + 1);
        assert!(span.now() > CAP && span.steady == STEADY, "{span:?}");
    }
}
