//! Commit-Boost's proposer commitments: what its signer makes of 32 bytes that a module asks it to sign, so that the signature can
//! be no attestation, no block, and nothing of another module or chain. See "Requesting Proposer Commitment Signatures" in
//! its documentation (`docs/docs/developing/prop-commit-signing.md`).

use alloy::primitives::{B256, FixedBytes, b256};

use crate::beacon::{
    hash::{NODE, hash, uint_leaf},
    merkleizer::{Merkleizer, Shape},
};

/// Commit-Boost's domain type.
pub const DOMAIN_TYPE: [u8; 4] = [0x6d, 0x6d, 0x6f, 0x43];

/// Baton's signing id among Commit-Boost's modules: `keccak256("baton.delegation.v1")`.
pub const SIGNING_ID: B256 = b256!("0xc8c3a570333743395c21b73a901012241aa5b27120dc18493e025ca64cebb734");

/// `compute_domain` of the consensus specification, for Commit-Boost's domain type and no genesis validators' root.
pub fn domain(genesis_fork_version: FixedBytes<4>) -> B256 {
    let mut version = [0; NODE];
    version[..4].copy_from_slice(genesis_fork_version.as_slice());
    let fork_data = hash(&version, &[0; NODE]);
    let mut domain = [0; NODE];
    domain[..4].copy_from_slice(&DOMAIN_TYPE);
    domain[4..].copy_from_slice(&fork_data[..28]);
    domain.into()
}

/// What a module asks Commit-Boost's signer to sign, and what that adds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ProposerCommitment {
    /// The module's 32 bytes.
    pub data: B256,
    /// Tells modules apart.
    pub signing_id: B256,
    /// Tells requests apart.
    pub nonce: u64,
    /// L1's chain id.
    pub chain_id: u64,
}

impl ProposerCommitment {
    /// SSZ root of the commitment.
    pub fn root(&self) -> B256 {
        let leaves = [self.data.0, self.signing_id.0, uint_leaf(self.nonce), uint_leaf(self.chain_id)];
        Merkleizer::of(Shape::for_chunks(4), &leaves, None).root.into()
    }

    /// The message to sign, under a domain.
    pub fn signing_root(&self, domain: B256) -> B256 {
        hash(&self.root().0, &domain.0).into()
    }
}

#[cfg(test)]
mod tests {
    use alloy::primitives::keccak256;

    use super::*;

    #[test]
    fn the_signing_id_is_the_hash_of_its_name() {
        assert_eq!(SIGNING_ID, keccak256("baton.delegation.v1"));
    }
}
