//! The L1 chain as the keeper knows it: which block is canonical at a height, which slots had a block.

use crate::anchor::Anchor;
use alloy::primitives::B256;
use baton_protocol::SlotClock;
use std::collections::{BTreeMap, BTreeSet};

/// An L1 block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct L1Block {
    /// Number.
    pub number: u64,
    /// Hash.
    pub hash: B256,
    /// Parent's hash.
    pub parent_hash: B256,
    /// Unix seconds.
    pub timestamp: u64,
}

/// How many blocks are remembered.
const REMEMBERED: usize = 1024;

/// Canonical L1 blocks by number: the newest without a gap, older ones where somebody asked for them.
#[derive(Clone, Debug, Default)]
pub struct L1Blocks {
    blocks: BTreeMap<u64, L1Block>,
}

impl L1Blocks {
    /// The newest block.
    pub fn newest(&self) -> Option<&L1Block> {
        self.blocks.last_key_value().map(|(_, block)| block)
    }

    /// Takes a new head with its ancestors, newest first, as far back as [`Self::connects`] said no. All above it, and whatever it replaces, goes.
    /// The answer is how many blocks went: a reorg, or a gap too long to be followed, if it isn't 0.
    pub fn adopt(&mut self, newest_first: &[L1Block]) -> usize {
        let Some(oldest) = newest_first.last() else { return 0 };
        let mut replaced = self.blocks.split_off(&oldest.number).len();
        // What doesn't connect is of another chain, all of it.
        if !self.connects(oldest) {
            replaced += self.blocks.len();
            self.blocks.clear();
        }
        self.blocks.extend(newest_first.iter().map(|block| (block.number, *block)));
        while self.blocks.len() > REMEMBERED {
            self.blocks.pop_first();
        }
        replaced
    }

    /// Whether a block's parent is known as canonical.
    pub fn connects(&self, block: &L1Block) -> bool {
        block
            .number
            .checked_sub(1)
            .and_then(|parent| self.blocks.get(&parent))
            .is_some_and(|parent| parent.hash == block.parent_hash)
    }

    /// Adds a block from before the ones known, as an L1 node gave it by number.
    pub fn add_older(&mut self, block: L1Block) {
        self.blocks.entry(block.number).or_insert(block);
    }

    /// Whether an anchor is canonical; `None` if its height isn't known here.
    pub fn canonical(&self, anchor: &Anchor) -> Option<bool> {
        self.blocks.get(&anchor.number).map(|block| block.hash == anchor.hash)
    }

    /// The slots that had a block.
    pub fn live_slots(&self, clock: &SlotClock) -> BTreeSet<u64> {
        self.blocks.values().map(|block| clock.slot_at(block.timestamp)).collect()
    }

    /// The lowest height known.
    pub fn lowest(&self) -> Option<u64> {
        self.blocks.first_key_value().map(|(number, _)| *number)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn block(number: u64, branch: u8, parent_branch: u8) -> L1Block {
        let hash = |number: u64, branch: u8| B256::with_last_byte(u8::try_from(number).expect("small") + branch * 50);
        L1Block {
            number,
            hash: hash(number, branch),
            parent_hash: hash(number.saturating_sub(1), parent_branch),
            timestamp: number * 12,
        }
    }

    fn canonical(blocks: &L1Blocks, number: u64, branch: u8) -> Option<bool> {
        blocks.canonical(&Anchor { number, hash: block(number, branch, 0).hash })
    }

    fn chain() -> L1Blocks {
        let mut blocks = L1Blocks::default();
        blocks.adopt(&[block(7, 0, 0), block(6, 0, 0), block(5, 0, 0)]);
        blocks
    }

    #[test]
    fn a_reorg_replaces_what_it_forks_off() {
        let mut blocks = chain();
        assert!(blocks.connects(&block(7, 1, 0)) && !blocks.connects(&block(8, 1, 1)));
        assert_eq!(blocks.adopt(&[block(8, 1, 1), block(7, 1, 0)]), 1);
        assert_eq!(blocks.adopt(&[block(9, 1, 1)]), 0);
        blocks.adopt(&[block(8, 1, 1)]);
        assert_eq!(
            (canonical(&blocks, 6, 0), canonical(&blocks, 7, 0), canonical(&blocks, 7, 1)),
            (Some(true), Some(false), Some(true))
        );
        assert_eq!(blocks.newest().map(|block| block.number), Some(8));
    }

    #[test]
    fn a_shorter_chain_leaves_nothing_above() {
        let mut blocks = chain();
        blocks.adopt(&[block(6, 1, 0)]);
        assert_eq!((canonical(&blocks, 7, 0), canonical(&blocks, 6, 0)), (None, Some(false)));
    }

    #[test]
    fn what_does_not_connect_replaces_everything() {
        let mut blocks = chain();
        blocks.adopt(&[block(9, 1, 1)]);
        assert_eq!((canonical(&blocks, 6, 0), canonical(&blocks, 9, 1)), (None, Some(true)));
    }

    #[test]
    fn slots_without_a_block_are_missed() {
        let clock = SlotClock {
            l1_genesis_time: 0,
            slot_length: 12,
            l2_genesis_time: 0,
            l2_block_time: 2,
            settlement_delay: 2,
        };
        let mut blocks = chain();
        blocks.adopt(&[L1Block { timestamp: 9 * 12, ..block(8, 0, 0) }]);
        assert_eq!(blocks.live_slots(&clock).into_iter().collect::<Vec<_>>(), [5, 6, 7, 9]);
    }
}
