//! The running hash over all claimed block hashes, rule `[L1]`.

use alloy::primitives::{B256, keccak256};
use serde::{Deserialize, Serialize};

/// A commitment to every block hash claimed up to and including one block: `keccak256(previous link ‖ block hash)`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Link(pub B256);

impl Link {
    /// The link after one more block.
    pub fn then(self, block_hash: B256) -> Self {
        let mut both = [0u8; 64];
        both[..32].copy_from_slice(self.0.as_slice());
        both[32..].copy_from_slice(block_hash.as_slice());
        Self(keccak256(both))
    }

    /// The link after a run of blocks.
    pub fn extend(self, block_hashes: impl IntoIterator<Item = B256>) -> Self {
        block_hashes.into_iter().fold(self, Self::then)
    }
}

impl std::fmt::Display for Link {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.fmt(f)
    }
}
