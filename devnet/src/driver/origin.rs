//! Which L1 block an L2 block refers to (OP Stack specs, "L1 origin"): never older than one L2 block's before, never more than one
//! ahead of it, never with a later timestamp than the L2 block.

use alloy::{
    primitives::B256,
    providers::{DynProvider, Provider},
};
use eyre::{Result, eyre};

/// An L2 block's L1 origin.
#[derive(Clone, Copy, Debug)]
pub(super) struct Origin {
    /// Number of the L1 block.
    pub(super) number: u64,
    /// Its hash.
    pub(super) hash: B256,
    /// Its timestamp.
    pub(super) timestamp: u64,
    /// Its base fee, wei.
    pub(super) base_fee: u64,
    /// Its randomness, handed on to the L2.
    pub(super) prev_randao: B256,
    /// Its parent beacon block root, handed on to the L2.
    pub(super) parent_beacon_block_root: B256,
    /// How many L2 blocks with this origin came before.
    pub(super) sequence_number: u64,
}

/// Chooses origins, block after block.
pub(super) struct OriginSelector {
    l1: DynProvider,
    start: u64,
    current: Option<Origin>,
}

impl OriginSelector {
    pub(super) const fn new(l1: DynProvider, start: u64) -> Self {
        Self { l1, start, current: None }
    }

    /// The origin of the next L2 block.
    pub(super) async fn next(&mut self, l2_timestamp: u64) -> Result<Origin> {
        let next = match self.current {
            None => self.block(self.start).await?.ok_or_else(|| eyre!("L1 block {} is missing", self.start))?,
            Some(current) => match self.block(current.number + 1).await? {
                Some(later) if later.timestamp <= l2_timestamp => later,
                _ => Origin { sequence_number: current.sequence_number + 1, ..current },
            },
        };
        self.current = Some(next);
        Ok(next)
    }

    async fn block(&self, number: u64) -> Result<Option<Origin>> {
        let block = self.l1.get_block_by_number(number.into()).await?;
        Ok(block.map(|block| Origin {
            number,
            hash: block.header.hash,
            timestamp: block.header.timestamp,
            base_fee: block.header.base_fee_per_gas.unwrap_or_default(),
            prev_randao: block.header.mix_hash,
            parent_beacon_block_root: block.header.parent_beacon_block_root.unwrap_or_default(),
            sequence_number: 0,
        }))
    }
}
