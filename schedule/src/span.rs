//! How many blocks one query for events spans. Pure.

/// After how many answers in a row a longer query is tried again.
const STEADY: u32 = 16;

/// As many blocks as are configured, and fewer after a query that failed: nodes refuse answers of too many events or bytes, which any gateway can bring about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Span {
    most: u64,
    now: u64,
    answered: u32,
}

impl Span {
    pub(crate) const fn new(most: u64) -> Self {
        Self { most, now: most, answered: 0 }
    }

    /// How many blocks to ask for.
    pub(crate) const fn now(&self) -> u64 {
        self.now
    }

    /// A query was answered.
    pub(crate) fn answered(&mut self) {
        self.answered += 1;
        if self.answered >= STEADY {
            (self.now, self.answered) = (self.now.saturating_mul(2).min(self.most), 0);
        }
    }

    /// A query of so many blocks failed.
    pub(crate) fn failed(&mut self, blocks: u64) {
        (self.now, self.answered) = ((blocks / 2).clamp(1, self.most), 0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_halves_it_and_answers_double_it_again() {
        let mut span = Span::new(2000);
        let answers = |span: &mut Span| (0..STEADY).for_each(|_| span.answered());
        answers(&mut span);
        assert_eq!(span.now(), 2000);
        // What is left may be shorter than a whole span.
        for (blocks, now) in [(2000, 1000), (300, 150), (3, 1), (1, 1)] {
            span.failed(blocks);
            assert_eq!(span.now(), now);
        }
        (1..STEADY).for_each(|_| span.answered());
        assert_eq!(span.now(), 1);
        span.answered();
        assert_eq!(span.now(), 2);
        (0..20).for_each(|_| answers(&mut span));
        assert_eq!(span.now(), 2000);
    }
}
