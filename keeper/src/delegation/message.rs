//! What a validator's key is asked to sign.

use alloy::primitives::B256;
use baton_protocol::{
    GatewayId,
    delegation::{Delegation, DelegationDomain},
};
use serde::Serialize;

/// A delegation in all the forms that a signer may want it in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct SigningRequest {
    /// The validator.
    pub validator_index: u64,
    /// To whom; 0 revokes.
    pub gateway: GatewayId,
    /// How often its delegation was set before.
    pub nonce: u64,
    /// The last second, Unix time, in which the signature counts.
    pub deadline: u64,
    /// The EIP-712 digest: the `object_root` that a Commit-Boost signer is asked to sign.
    pub object_root: B256,
    /// What else Commit-Boost has to know.
    pub commit_boost: CommitBoostRequest,
    /// What the key signs in the end, for signers that sign roots as they are.
    pub signing_root: B256,
}

/// The parameters of Commit-Boost's request (`request_signature`), beside object root and key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct CommitBoostRequest {
    /// The module's signing id, set in Commit-Boost's configuration.
    pub signing_id: B256,
    /// The request's nonce.
    pub nonce: u64,
    /// The chain that Commit-Boost has to be configured for.
    pub chain_id: u64,
}

impl SigningRequest {
    /// The request for a delegation.
    pub fn new(domain: &DelegationDomain, delegation: &Delegation) -> Self {
        let commitment = domain.commitment(delegation);
        Self {
            validator_index: delegation.validatorIndex,
            gateway: delegation.gateway,
            nonce: delegation.nonce,
            deadline: delegation.deadline,
            object_root: commitment.data,
            commit_boost: CommitBoostRequest {
                signing_id: commitment.signing_id,
                nonce: commitment.nonce,
                chain_id: commitment.chain_id,
            },
            signing_root: domain.signing_root(delegation),
        }
    }
}
