//! L1 blocks that commitments hang on, rule `[L4]`.

use alloy::primitives::B256;
use serde::{Deserialize, Serialize};

/// An L1 block by number and hash. A keeper anchors a soft block at the L2 block's own L1 origin: the signature then binds exactly as long
/// as the block can be derived, and everything after it on the same chain hangs on the same or a later L1 block.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Anchor {
    /// L1 block number.
    pub number: u64,
    /// L1 block hash.
    pub hash: B256,
}

impl Anchor {
    /// Whether no chain holds both. Only blocks of one height are known to exclude each other by what they name alone.
    pub fn excludes(&self, other: &Self) -> bool {
        self.number == other.number && self.hash != other.hash
    }
}
