//! What the contracts check of a beacon state: rules of the lookahead and of delegations by withdrawal credentials.

use alloy::primitives::B256;

use super::{
    Fork,
    hash::{climb, hash},
    header::{BeaconHeader, uint},
    merkleizer::{Merkleizer, Shape},
};

/// Entries of a half of `proposer_lookahead`: the slots of an epoch.
const SLOTS: usize = 32;
/// Depth of the tree of a half's eight chunks.
const HALF: Shape = Shape::Binary { depth: 3 };

/// Who proposes in the next epoch, proven against a beacon block's root. All branches have the lowest sibling first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LookaheadProof {
    /// Header of a block in the epoch before.
    pub header: BeaconHeader,
    /// Second half of the state's `proposer_lookahead`: little-endian indices, four to a chunk.
    pub chunks: [B256; 8],
    /// From the chunks' root to the state's.
    pub branch: Vec<B256>,
}

impl LookaheadProof {
    /// Validator indices of the next epoch's proposers, slot by slot.
    pub fn proposers(&self) -> [u64; 32] {
        let mut proposers = [0; SLOTS];
        for (at, proposer) in proposers.iter_mut().enumerate() {
            *proposer = uint(self.chunks[at / 4].as_slice(), 8 * (at % 4));
        }
        proposers
    }

    /// Whether it holds against a block root, by the state layout of a fork: what the fork's verifier contract answers.
    pub fn holds(&self, fork: Fork, block_root: B256) -> bool {
        let root = Merkleizer::of(HALF, &self.chunks.map(|chunk| chunk.0), None).root;
        self.header.root() == block_root
            && climb(root, &self.branch, fork.lookahead_index()) == Some(self.header.state_root.0)
    }
}

/// A validator's public key and withdrawal credentials, proven against a beacon block's root.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ValidatorProof {
    /// Header of a block.
    pub header: BeaconHeader,
    /// Index in the registry.
    pub index: u64,
    /// Root of the compressed public key.
    pub pubkey_root: B256,
    /// Who may withdraw.
    pub withdrawal_credentials: B256,
    /// From the parent of these two leaves to the state's root, lowest sibling first.
    pub branch: Vec<B256>,
}

impl ValidatorProof {
    /// Whether it holds against a block root, by the state layout of a fork: what the fork's verifier contract answers.
    pub fn holds(&self, fork: Fork, block_root: B256) -> bool {
        let Some(generalized_index) = fork.validator_index(self.index) else { return false };
        let leaves = hash(&self.pubkey_root.0, &self.withdrawal_credentials.0);
        self.header.root() == block_root
            && climb(leaves, &self.branch, generalized_index) == Some(self.header.state_root.0)
    }
}
