use alloy::primitives::{Address, B256, FixedBytes};
use alloy_sol_types::{Eip712Domain, SolStruct, eip712_domain, sol};

use super::commit_boost::{ProposerCommitment, SIGNING_ID, domain};

sol! {
    /// What a validator agrees to: its slots are a gateway's, until one of them changes its mind.
    #[derive(Debug, PartialEq, Eq)]
    struct Delegation {
        /// Index in the beacon chain's registry.
        uint64 validatorIndex;
        /// The gateway's id; 0 revokes.
        uint16 gateway;
        /// The validator's nonce in the registry contract: each change takes one.
        uint64 nonce;
        /// Last second, by L1 block timestamps, at which it may be submitted.
        uint64 deadline;
    }
}

/// Where delegations hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DelegationDomain {
    /// L1's chain id.
    pub chain_id: u64,
    /// The registry contract.
    pub registry: Address,
    /// Version of the beacon chain's genesis fork, as its `genesis` endpoint tells.
    pub genesis_fork_version: FixedBytes<4>,
}

impl DelegationDomain {
    /// The EIP-712 domain.
    pub fn eip712(&self) -> Eip712Domain {
        eip712_domain! {
            name: "Baton",
            version: "1",
            chain_id: self.chain_id,
            verifying_contract: self.registry,
        }
    }

    /// EIP-712 digest: what a Commit-Boost signer is asked to sign, as the request's data (`object_root`).
    pub fn digest(&self, delegation: &Delegation) -> B256 {
        delegation.eip712_signing_hash(&self.eip712())
    }

    /// The proposer commitment that carries a delegation.
    pub fn commitment(&self, delegation: &Delegation) -> ProposerCommitment {
        ProposerCommitment {
            data: self.digest(delegation),
            signing_id: SIGNING_ID,
            nonce: delegation.nonce,
            chain_id: self.chain_id,
        }
    }

    /// The message that the validator key signs.
    pub fn signing_root(&self, delegation: &Delegation) -> B256 {
        self.commitment(delegation).signing_root(domain(self.genesis_fork_version))
    }
}
