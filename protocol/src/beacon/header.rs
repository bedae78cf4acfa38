use alloy::primitives::B256;

use super::{
    hash::{NODE, uint_leaf},
    merkleizer::{Merkleizer, Shape},
};

/// A beacon block's header (consensus-specs, `BeaconBlockHeader`): its root is what EIP-4788 answers with.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct BeaconHeader {
    /// The block's slot.
    pub slot: u64,
    /// Validator index of its proposer.
    pub proposer_index: u64,
    /// Root of the block before.
    pub parent_root: B256,
    /// Root of the state after it.
    pub state_root: B256,
    /// Root of its body.
    pub body_root: B256,
}

impl BeaconHeader {
    /// Serialized length.
    pub(crate) const LENGTH: usize = 112;

    /// SSZ's `hash_tree_root`: the block's root.
    pub fn root(&self) -> B256 {
        let leaves = [
            uint_leaf(self.slot),
            uint_leaf(self.proposer_index),
            self.parent_root.0,
            self.state_root.0,
            self.body_root.0,
        ];
        Merkleizer::of(Shape::for_chunks(5), &leaves, None).root.into()
    }

    /// SSZ's serialization.
    pub fn to_ssz(&self) -> [u8; 112] {
        let mut out = [0; Self::LENGTH];
        out[..8].copy_from_slice(&self.slot.to_le_bytes());
        out[8..16].copy_from_slice(&self.proposer_index.to_le_bytes());
        for (room, root) in out[16..].chunks_exact_mut(NODE).zip([self.parent_root, self.state_root, self.body_root]) {
            room.copy_from_slice(root.as_slice());
        }
        out
    }

    /// From SSZ's serialization.
    pub fn from_ssz(bytes: &[u8; 112]) -> Self {
        Self {
            slot: uint(bytes, 0),
            proposer_index: uint(bytes, 8),
            parent_root: B256::from_slice(&bytes[16..48]),
            state_root: B256::from_slice(&bytes[48..80]),
            body_root: B256::from_slice(&bytes[80..]),
        }
    }
}

/// A little-endian integer in the middle of bytes; what lies beyond them counts as zero.
pub(crate) fn uint(bytes: &[u8], at: usize) -> u64 {
    bytes.iter().skip(at).take(8).rev().fold(0, |value, byte| value << 8 | u64::from(*byte))
}
