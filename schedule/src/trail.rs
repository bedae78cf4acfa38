//! The L1 heads seen so far, to tell a new block from a reorg.

use crate::L1Head;
use alloy::primitives::B256;
use std::collections::VecDeque;

/// How many heads are remembered. A reorg that reaches behind all of them makes the follower read everything anew, which is right but slow.
const REMEMBERED: usize = 256;

/// Whether a remembered head is an ancestor of a new one (or the new one itself).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ancestor {
    /// It is.
    Yes,
    /// It isn't: it was dropped by a reorg.
    No,
    /// Numbers and hashes at hand don't say; ask the L1 which hash it has at this number.
    AskHashAt(u64),
}

/// Number and hash of heads seen, oldest first, with rising numbers.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HeadTrail {
    heads: VecDeque<(u64, B256)>,
}

impl HeadTrail {
    /// The newest head.
    pub fn newest(&self) -> Option<(u64, B256)> {
        self.heads.back().copied()
    }

    /// The number of the oldest head; 0 if none is remembered.
    pub fn oldest(&self) -> u64 {
        self.heads.front().map_or(0, |(number, _)| *number)
    }

    /// Whether a block was seen as a head and not dropped since.
    pub fn contains(&self, number: u64, hash: B256) -> bool {
        self.heads.iter().any(|seen| *seen == (number, hash))
    }

    /// Whether the newest remembered head leads up to `head`; `None` if none is remembered.
    pub fn newest_is_ancestor_of(&self, head: &L1Head) -> Option<Ancestor> {
        let (number, hash) = self.newest()?;
        let yes_if = |same| if same { Ancestor::Yes } else { Ancestor::No };
        Some(match head.number.checked_sub(number) {
            None => Ancestor::No,
            Some(0) => yes_if(hash == head.hash),
            Some(1) => yes_if(hash == head.parent_hash),
            Some(_) => Ancestor::AskHashAt(number),
        })
    }

    /// Forgets the newest head, which a reorg dropped.
    pub fn drop_newest(&mut self) {
        self.heads.pop_back();
    }

    /// Adds a head whose ancestors are all that are left here. One that isn't above them is one of them.
    pub fn push(&mut self, head: &L1Head) {
        if self.newest().is_some_and(|(number, _)| head.number <= number) {
            return;
        }
        if self.heads.len() == REMEMBERED {
            self.heads.pop_front();
        }
        self.heads.push_back((head.number, head.hash));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn head(number: u64, fork: u8, parent_fork: u8) -> L1Head {
        let hash = |number: u64, fork| B256::from(alloy::primitives::U256::from(number * 256 + u64::from(fork)));
        L1Head {
            number,
            hash: hash(number, fork),
            parent_hash: hash(number.saturating_sub(1), parent_fork),
            timestamp: number,
        }
    }

    #[test]
    fn a_child_extends() {
        let mut trail = HeadTrail::default();
        assert_eq!(trail.newest_is_ancestor_of(&head(5, 0, 0)), None);
        trail.push(&head(5, 0, 0));
        assert_eq!(trail.newest_is_ancestor_of(&head(5, 0, 0)), Some(Ancestor::Yes));
        assert_eq!(trail.newest_is_ancestor_of(&head(6, 0, 0)), Some(Ancestor::Yes));
    }

    #[test]
    fn a_gap_is_asked_about() {
        let mut trail = HeadTrail::default();
        trail.push(&head(5, 0, 0));
        assert_eq!(trail.newest_is_ancestor_of(&head(7, 0, 0)), Some(Ancestor::AskHashAt(5)));
    }

    #[test]
    fn a_reorg_is_seen_at_the_same_height_a_higher_and_a_lower_one() {
        let mut trail = HeadTrail::default();
        trail.push(&head(5, 0, 0));
        assert_eq!(trail.newest_is_ancestor_of(&head(5, 1, 0)), Some(Ancestor::No));
        assert_eq!(trail.newest_is_ancestor_of(&head(6, 1, 1)), Some(Ancestor::No));
        assert_eq!(trail.newest_is_ancestor_of(&head(4, 1, 0)), Some(Ancestor::No));
        trail.drop_newest();
        assert_eq!((trail.newest(), trail.oldest()), (None, 0));
    }

    #[test]
    fn remembers_a_bounded_number() {
        let mut trail = HeadTrail::default();
        for number in 0..2 * REMEMBERED as u64 {
            trail.push(&head(number, 0, 0));
        }
        assert_eq!((trail.heads.len(), trail.oldest()), (REMEMBERED, REMEMBERED as u64));
        assert!(!trail.contains(0, head(0, 0, 0).hash));
        let last = head(2 * REMEMBERED as u64 - 1, 0, 0);
        assert!(trail.contains(last.number, last.hash));
        trail.push(&last);
        assert_eq!(trail.heads.len(), REMEMBERED);
    }
}
