//! The L2 chain that op-node adopted, as far as it isn't settled for long.

use crate::links::BlockSummary;
use alloy::primitives::B256;
use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

/// Adopted blocks by number, without a gap.
#[derive(Clone, Debug, Default)]
pub struct AdoptedChain {
    blocks: BTreeMap<u64, BlockSummary>,
    since: BTreeMap<u64, (B256, Instant)>,
}

impl AdoptedChain {
    /// Takes a new head with its ancestors, newest first, down to one whose parent is known, or as far as the chain is to be known. All above goes.
    /// The answer is how many blocks were replaced by others: a reorg, if it isn't 0.
    pub fn adopt(&mut self, newest_first: &[BlockSummary], now: Instant) -> usize {
        let Some(oldest) = newest_first.last() else { return 0 };
        let replaced = self.blocks.split_off(&oldest.number);
        if !self.knows(oldest.number.wrapping_sub(1), oldest.parent_hash) {
            self.blocks.clear();
        }
        self.blocks.extend(newest_first.iter().map(|block| (block.number, *block)));
        for block in newest_first {
            let seen = self.since.entry(block.number).or_insert((block.hash, now));
            if seen.0 != block.hash {
                *seen = (block.hash, now);
            }
        }
        replaced.len()
    }

    /// Whether a block is part of it.
    pub fn knows(&self, number: u64, hash: B256) -> bool {
        self.blocks.get(&number).is_some_and(|block| block.hash == hash)
    }

    /// The newest block.
    pub fn head(&self) -> Option<&BlockSummary> {
        self.blocks.last_key_value().map(|(_, block)| block)
    }

    /// The blocks by number.
    pub const fn blocks(&self) -> &BTreeMap<u64, BlockSummary> {
        &self.blocks
    }

    /// How long ago a block was adopted; nothing for one that isn't.
    pub fn age(&self, number: u64, hash: B256, now: Instant) -> Duration {
        match self.since.get(&number) {
            Some((adopted, at)) if *adopted == hash => now.saturating_duration_since(*at),
            _ => Duration::ZERO,
        }
    }

    /// Forgets blocks below a number.
    pub fn forget_below(&mut self, number: u64) {
        self.blocks = self.blocks.split_off(&number);
        self.since = self.since.split_off(&number);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::anchor::Anchor;

    fn block(number: u64, branch: u8, parent_branch: u8) -> BlockSummary {
        let hash = |number: u64, branch: u8| B256::with_last_byte(u8::try_from(number).expect("small") + branch * 50);
        BlockSummary {
            number,
            hash: hash(number, branch),
            parent_hash: hash(number - 1, parent_branch),
            origin: Anchor { number: 1, hash: B256::ZERO },
            deposits_only: false,
        }
    }

    #[test]
    fn a_reorg_replaces_and_restarts_the_age() {
        let (mut chain, start) = (AdoptedChain::default(), Instant::now());
        let later = start + Duration::from_secs(9);
        assert_eq!(chain.adopt(&[block(3, 0, 0), block(2, 0, 0)], start), 0);
        assert_eq!(chain.adopt(&[block(3, 1, 0)], later), 1);
        assert_eq!(chain.blocks().len(), 2);
        assert!(chain.knows(3, block(3, 1, 0).hash) && !chain.knows(3, block(3, 0, 0).hash));
        assert_eq!(chain.age(3, block(3, 1, 0).hash, later), Duration::ZERO);
        assert_eq!(chain.age(2, block(2, 0, 0).hash, later), Duration::from_secs(9));
    }

    #[test]
    fn a_head_that_goes_back_drops_what_was_above() {
        let mut chain = AdoptedChain::default();
        chain.adopt(&[block(4, 0, 0), block(3, 0, 0), block(2, 0, 0)], Instant::now());
        chain.adopt(&[block(3, 0, 0)], Instant::now());
        assert_eq!(chain.head().map(|block| block.number), Some(3));
    }

    #[test]
    fn what_does_not_connect_starts_anew() {
        let mut chain = AdoptedChain::default();
        chain.adopt(&[block(4, 0, 0), block(3, 0, 0)], Instant::now());
        chain.adopt(&[block(9, 1, 1)], Instant::now());
        assert_eq!(chain.blocks().keys().copied().collect::<Vec<_>>(), [9]);
    }
}
