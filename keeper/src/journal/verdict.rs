//! Whether a soft block may be signed, given what was signed before: the rule by which two honest signatures never bind together, `[L4]`.

use crate::anchor::Anchor;
use alloy::primitives::B256;

/// What was, or is to be, committed to for one number on one base.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Intent {
    /// The L1 block that the commitment hangs on.
    pub anchor: Anchor,
    /// The L2 block.
    pub block_hash: B256,
}

/// The answer of [`may_sign`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Nothing stands against it: commit, then sign.
    Sign,
    /// It was committed to before: the same signature again.
    Again,
    /// It must not be signed.
    Refuse(Refusal),
}

/// Why a soft block must not be signed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// Another block was committed to under this very anchor: that one is to be resumed.
    #[error("block {bound} was committed to under this anchor; it has to be resumed")]
    Bound {
        /// The block that binds under the anchor.
        bound: B256,
    },
    /// A chain could hold this anchor and an earlier one.
    #[error("the anchor doesn't exclude the one used before, L1 block {} ({})", .earlier.number, .earlier.hash)]
    NotExcluded {
        /// The earlier anchor.
        earlier: Anchor,
    },
}

/// Decides about a candidate for a number on a base, given all that was ever committed to for that number on that base.
///
/// The first intent is free. The same intent may be repeated. Any other must hang on an anchor that excludes every anchor used before, also
/// those of the same block: a signature under two heights could never be followed by one that excludes both.
pub fn may_sign(history: &[Intent], candidate: &Intent) -> Verdict {
    if let Some(same) = history.iter().find(|intent| intent.anchor == candidate.anchor) {
        return if same.block_hash == candidate.block_hash {
            Verdict::Again
        } else {
            Verdict::Refuse(Refusal::Bound { bound: same.block_hash })
        };
    }
    match history.iter().find(|intent| !intent.anchor.excludes(&candidate.anchor)) {
        Some(intent) => Verdict::Refuse(Refusal::NotExcluded { earlier: intent.anchor }),
        None => Verdict::Sign,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn intent(number: u64, branch: u8, block: u8) -> Intent {
        Intent { anchor: Anchor { number, hash: B256::repeat_byte(branch) }, block_hash: B256::repeat_byte(block) }
    }

    #[test]
    fn the_first_is_free_and_can_be_repeated() {
        assert_eq!(may_sign(&[], &intent(100, 1, 1)), Verdict::Sign);
        assert_eq!(may_sign(&[intent(100, 1, 1)], &intent(100, 1, 1)), Verdict::Again);
    }

    #[test]
    fn a_second_block_under_the_same_anchor_is_refused() {
        assert_eq!(
            may_sign(&[intent(100, 1, 1)], &intent(100, 1, 2)),
            Verdict::Refuse(Refusal::Bound { bound: B256::repeat_byte(1) })
        );
    }

    #[test]
    fn another_height_is_refused_even_for_the_same_block() {
        for block in [1, 2] {
            assert_eq!(
                may_sign(&[intent(100, 1, 1)], &intent(101, 2, block)),
                Verdict::Refuse(Refusal::NotExcluded { earlier: intent(100, 1, 1).anchor })
            );
        }
    }

    #[test]
    fn a_reorged_anchor_frees_and_its_return_resumes() {
        // Scenario: anchor at height 100 reorged and re-signed, then the old 100 returns.
        let mut history = vec![intent(100, 1, 1)];
        assert_eq!(may_sign(&history, &intent(100, 2, 2)), Verdict::Sign);
        history.push(intent(100, 2, 2));
        assert_eq!(may_sign(&history, &intent(100, 1, 1)), Verdict::Again);
        assert!(matches!(may_sign(&history, &intent(100, 1, 3)), Verdict::Refuse(Refusal::Bound { .. })));
        assert_eq!(may_sign(&history, &intent(100, 3, 1)), Verdict::Sign);
    }

    proptest! {
        /// Whatever is asked for in whatever order, no L1 chain ever makes two of the signatures binding for different blocks.
        #[test]
        fn no_two_signatures_bind_together(asked in prop::collection::vec((98u64..102, 0u8..3, 0u8..4), 1..60)) {
            let mut history: Vec<Intent> = Vec::new();
            for (number, branch, block) in asked {
                let candidate = intent(number, branch, block);
                match may_sign(&history, &candidate) {
                    Verdict::Sign => history.push(candidate),
                    Verdict::Again => prop_assert!(history.contains(&candidate)),
                    Verdict::Refuse(_) => {}
                }
            }
            for (i, one) in history.iter().enumerate() {
                for other in &history[i + 1..] {
                    // Same height and another hash is the one thing that no chain can hold together.
                    prop_assert!(one.anchor.number == other.anchor.number && one.anchor.hash != other.anchor.hash);
                }
            }
        }
    }
}
