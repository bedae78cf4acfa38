//! What each party to a delegation can do, each checked before anything is sent.

use crate::{
    beacon::{BeaconClient, Progress},
    delegation::{
        DelegationCall, ProvenValidators, ProvingError, SendingError, Sent, SignatureFault, SignedDelegation,
        prove_validators, send_and_wait, standing,
    },
    l1::{L1, L1Error},
    posting::Sender,
};
use alloy::{
    primitives::{Address, B256, Bytes},
    sol_types::SolCall,
};
use baton_bindings::IRegistry;
use baton_protocol::{GatewayId, NOBODY, delegation::DelegationDomain};
use std::collections::BTreeSet;

/// Why nothing was sent.
#[derive(Debug, thiserror::Error)]
pub enum ActError {
    /// The L1.
    #[error("{0}")]
    L1(#[from] L1Error),
    /// Validators can't be proven.
    #[error("{0}")]
    Proving(#[from] ProvingError),
    /// A signature can't be used.
    #[error("{0}")]
    Signature(#[from] SignatureFault),
    /// The transactions.
    #[error("{0}")]
    Sending(#[from] SendingError),
    /// A validator is named twice.
    #[error("validator {0} is named twice; name each once")]
    Twice(u64),
    /// No validator is named.
    #[error("no validator is named")]
    Nothing,
    /// There is no such gateway.
    #[error("there is no gateway {0} in this registry; check `contracts.registry` and the gateway's id")]
    UnknownGateway(GatewayId),
    /// The key isn't the owner's.
    #[error("gateway {gateway} is owned by {owner}, but the key file is {account}'s; give the owner's key")]
    NotOwner {
        /// The gateway.
        gateway: GatewayId,
        /// Its owner.
        owner: Address,
        /// Whose key was given.
        account: Address,
    },
    /// The key isn't the withdrawal address's.
    #[error(
        "validator {validator_index}: withdrawal credentials {credentials} don't name {account}, whose key was given; \
         give the withdrawal address's key (0x01 or 0x02 credentials), or let the validator's key sign (`keeper delegation message`)"
    )]
    NotWithdrawalAddress {
        /// The validator.
        validator_index: u64,
        /// Its credentials.
        credentials: B256,
        /// Whose key was given.
        account: Address,
    },
    /// There is nothing to accept.
    #[error("validator {validator_index}: there is no offer to gateway {gateway}; see `keeper delegation show`")]
    NoOffer {
        /// The validator.
        validator_index: u64,
        /// The gateway.
        gateway: GatewayId,
    },
    /// There is nothing to give back.
    #[error("validator {0} isn't delegated to anybody")]
    NotDelegated(u64),
}

/// Submits signed delegations, each in a transaction of its own, in the name of the gateway's owner; for revocations, of anybody. `now` is in Unix
/// seconds, `slot_length` in seconds.
///
/// # Errors
/// See [`ActError`]; nothing was sent then.
#[allow(clippy::too_many_arguments)]
pub async fn submit(
    l1: &L1,
    beacon: &BeaconClient,
    sender: &Sender,
    domain: &DelegationDomain,
    signed: &[SignedDelegation],
    now: u64,
    slot_length: u64,
    progress: &(dyn Fn(Progress) + Send + Sync),
) -> Result<Vec<Sent>, ActError> {
    let indices = each_once(signed.iter().map(|signed| signed.validator_index))?;
    for gateway in signed.iter().map(|signed| signed.gateway).collect::<BTreeSet<_>>() {
        check_owner(l1, sender, gateway).await?;
    }
    let mut nonces = Vec::new();
    for index in &indices {
        nonces.push(standing(l1, *index).await?.nonce);
    }
    let proven = prove_validators(l1, beacon, &indices, progress).await?;
    let mut calls = Vec::new();
    for (signed, nonce) in signed.iter().zip(nonces) {
        let index = signed.validator_index;
        let (key, signature) = signed.check(domain, proven.validator(index)?, nonce, now)?;
        let call = IRegistry::delegateCall {
            proof: proven.proof(index)?.into(),
            timestamp: proven.timestamp(),
            key: words(&key.to_eip2537()),
            signature: words(&signature.to_eip2537()),
            gateway: signed.gateway,
            deadline: signed.deadline,
        };
        calls.push(DelegationCall { validator_index: index, data: call.abi_encode().into() });
    }
    Ok(send_and_wait(l1, sender, calls, slot_length).await?)
}

/// Offers validators to a gateway until `deadline`, Unix time, in the name of their withdrawal address.
///
/// # Errors
/// See [`ActError`]; nothing was sent then.
#[allow(clippy::too_many_arguments)]
pub async fn offer(
    l1: &L1,
    beacon: &BeaconClient,
    sender: &Sender,
    validators: &[u64],
    gateway: GatewayId,
    deadline: u64,
    slot_length: u64,
    progress: &(dyn Fn(Progress) + Send + Sync),
) -> Result<Vec<Sent>, ActError> {
    owner_of(l1, gateway).await?;
    by_withdrawal_address(l1, beacon, sender, validators, slot_length, progress, |index, proven| {
        let proof = proven.proof(index)?.into();
        let call = IRegistry::offerDelegationCall { proof, timestamp: proven.timestamp(), gateway, deadline };
        Ok(call.abi_encode().into())
    })
    .await
}

/// Revokes validators' delegations, and what was offered or signed and not used yet, in the name of their withdrawal address.
///
/// # Errors
/// See [`ActError`]; nothing was sent then.
pub async fn revoke(
    l1: &L1,
    beacon: &BeaconClient,
    sender: &Sender,
    validators: &[u64],
    slot_length: u64,
    progress: &(dyn Fn(Progress) + Send + Sync),
) -> Result<Vec<Sent>, ActError> {
    by_withdrawal_address(l1, beacon, sender, validators, slot_length, progress, |index, proven| {
        let proof = proven.proof(index)?.into();
        Ok(IRegistry::revokeDelegationCall { proof, timestamp: proven.timestamp() }.abi_encode().into())
    })
    .await
}

/// Accepts validators' offers in the name of the gateway's owner.
///
/// # Errors
/// See [`ActError`]; nothing was sent then.
pub async fn accept(
    l1: &L1,
    sender: &Sender,
    validators: &[u64],
    gateway: GatewayId,
    slot_length: u64,
) -> Result<Vec<Sent>, ActError> {
    check_owner(l1, sender, gateway).await?;
    let mut calls = Vec::new();
    for validator_index in each_once(validators.iter().copied())? {
        let standing = standing(l1, validator_index).await?;
        if standing.offer.is_none_or(|offer| offer.gateway != gateway) {
            return Err(ActError::NoOffer { validator_index, gateway });
        }
        let call = IRegistry::acceptDelegationCall { validatorIndex: validator_index, gateway };
        calls.push(DelegationCall { validator_index, data: call.abi_encode().into() });
    }
    Ok(send_and_wait(l1, sender, calls, slot_length).await?)
}

/// Gives validators' delegations back in the name of the owner of the gateway that they are to.
///
/// # Errors
/// See [`ActError`]; nothing was sent then.
pub async fn renounce(l1: &L1, sender: &Sender, validators: &[u64], slot_length: u64) -> Result<Vec<Sent>, ActError> {
    let mut calls = Vec::new();
    for validator_index in each_once(validators.iter().copied())? {
        let gateway = standing(l1, validator_index).await?.gateway;
        if gateway == NOBODY {
            return Err(ActError::NotDelegated(validator_index));
        }
        check_owner(l1, sender, gateway).await?;
        let call = IRegistry::renounceDelegationCall { validatorIndex: validator_index };
        calls.push(DelegationCall { validator_index, data: call.abi_encode().into() });
    }
    Ok(send_and_wait(l1, sender, calls, slot_length).await?)
}

async fn by_withdrawal_address(
    l1: &L1,
    beacon: &BeaconClient,
    sender: &Sender,
    validators: &[u64],
    slot_length: u64,
    progress: &(dyn Fn(Progress) + Send + Sync),
    call: impl Fn(u64, &ProvenValidators) -> Result<Bytes, ProvingError>,
) -> Result<Vec<Sent>, ActError> {
    let indices = each_once(validators.iter().copied())?;
    let proven = prove_validators(l1, beacon, &indices, progress).await?;
    let mut calls = Vec::new();
    for validator_index in indices {
        let validator = proven.validator(validator_index)?;
        if validator.withdrawal_address() != Some(sender.address()) {
            let credentials = validator.withdrawal_credentials;
            return Err(ActError::NotWithdrawalAddress { validator_index, credentials, account: sender.address() });
        }
        calls.push(DelegationCall { validator_index, data: call(validator_index, &proven)? });
    }
    Ok(send_and_wait(l1, sender, calls, slot_length).await?)
}

/// The owner of a gateway.
///
/// # Errors
/// The L1's; [`ActError::UnknownGateway`].
pub async fn owner_of(l1: &L1, gateway: GatewayId) -> Result<Address, ActError> {
    let owner = l1.registry().ownerOf(gateway).call().await.map_err(L1Error::from)?;
    // The registry knows no owner of a gateway that it doesn't know.
    if owner.is_zero() { Err(ActError::UnknownGateway(gateway)) } else { Ok(owner) }
}

/// Nobody's consent is asked for a delegation to nobody.
async fn check_owner(l1: &L1, sender: &Sender, gateway: GatewayId) -> Result<(), ActError> {
    if gateway == NOBODY {
        return Ok(());
    }
    let owner = owner_of(l1, gateway).await?;
    if owner == sender.address() {
        return Ok(());
    }
    Err(ActError::NotOwner { gateway, owner, account: sender.address() })
}

fn each_once(validators: impl Iterator<Item = u64>) -> Result<Vec<u64>, ActError> {
    let mut seen = BTreeSet::new();
    let indices: Vec<u64> = validators.collect();
    match indices.iter().find(|index| !seen.insert(**index)) {
        Some(twice) => Err(ActError::Twice(*twice)),
        None if indices.is_empty() => Err(ActError::Nothing),
        None => Ok(indices),
    }
}

/// A point as the ABI has it.
fn words<const N: usize>(point: &[u8]) -> [B256; N] {
    let mut words = [B256::ZERO; N];
    for (word, bytes) in words.iter_mut().zip(point.chunks_exact(32)) {
        *word = B256::from_slice(bytes);
    }
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_validator_is_named_once() {
        assert!(matches!(each_once([3, 4, 3].into_iter()), Err(ActError::Twice(3))));
        assert!(matches!(each_once([].into_iter()), Err(ActError::Nothing)));
        assert_eq!(each_once([4, 3].into_iter()).expect("good"), [4, 3]);
    }

    #[test]
    fn points_are_cut_into_words() {
        let point: Vec<u8> = (0..128).collect();
        let words: [B256; 4] = words(&point);
        assert_eq!((words[0][0], words[1][0], words[3][31]), (0, 32, 127));
    }
}
