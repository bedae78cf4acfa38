//! The newest beacon block that a contract can be shown a proof of.

use crate::{
    beacon::{BeaconClient, BeaconError},
    l1::{L1, L1Error},
    l1_blocks::L1Block,
};
use baton_protocol::beacon::BeaconHeader;

/// A beacon block whose root EIP-4788's contract holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ProvableBlock {
    /// Timestamp of the L1 block after it, which is its key in the contract.
    pub timestamp: u64,
    /// Its header.
    pub header: BeaconHeader,
}

/// Why there is none.
#[derive(Debug, thiserror::Error)]
pub enum ProvableError {
    /// The L1.
    #[error("{0}")]
    L1(#[from] L1Error),
    /// The beacon nodes.
    #[error("{0}")]
    Beacon(#[from] BeaconError),
    /// EIP-4788's contract has no root for an L1 block.
    #[error("EIP-4788's contract has no beacon root for L1 block {number}; is `l1.urls` an L1 with a beacon chain?")]
    NoRoot {
        /// The L1 block.
        number: u64,
    },
}

impl ProvableError {
    /// Whether it can go away without anybody changing something.
    pub fn is_retryable(&self) -> bool {
        match self {
            Self::L1(error) => error.is_retryable(),
            Self::Beacon(error) => error.is_retryable(),
            Self::NoRoot { .. } => true,
        }
    }
}

/// The beacon block before an L1 block, as EIP-4788's contract says at that L1 block: headers of execution blocks may not tell it.
///
/// # Errors
/// See [`ProvableError`].
pub async fn newest_provable(l1: &L1, beacon: &BeaconClient, newest: &L1Block) -> Result<ProvableBlock, ProvableError> {
    let root = l1.parent_beacon_root(newest).await?.ok_or(ProvableError::NoRoot { number: newest.number })?;
    Ok(ProvableBlock { timestamp: newest.timestamp, header: beacon.header(root).await? })
}
