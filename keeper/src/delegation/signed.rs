//! Delegations that validators' keys have signed, as files.

use alloy::primitives::FixedBytes;
use baton_protocol::{
    GatewayId,
    beacon::Validator,
    delegation::{BlsError, BlsPublicKey, BlsSecretKey, BlsSignature, Delegation, DelegationDomain},
};
use serde::{Deserialize, Serialize};

/// A signed delegation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct SignedDelegation {
    /// The validator.
    pub validator_index: u64,
    /// To whom; 0 revokes.
    pub gateway: GatewayId,
    /// How often its delegation was set before.
    pub nonce: u64,
    /// The last second, Unix time, in which the signature counts.
    pub deadline: u64,
    /// The validator's key, compressed, if whoever signed says which it used.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub public_key: Option<FixedBytes<48>>,
    /// The signature, compressed.
    pub signature: FixedBytes<96>,
}

/// A file that isn't one of signed delegations.
#[derive(Debug, thiserror::Error)]
#[error(
    "{0}: a list of objects with `validatorIndex`, `gateway`, `nonce`, `deadline` and `signature` is expected, as `keeper delegation sign` prints it"
)]
pub struct SignedFileError(#[from] serde_json::Error);

/// Why a signed delegation can't be submitted.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SignatureFault {
    /// Its deadline has passed.
    #[error("validator {index}: the `deadline` {deadline} has passed; have it signed anew with a later one")]
    Expired {
        /// The validator.
        index: u64,
        /// The deadline.
        deadline: u64,
    },
    /// It was signed over another nonce than the registry asks for.
    #[error(
        "validator {index}: signed with `nonce` {signed}, but the registry asks for {registry}; have it signed anew"
    )]
    Nonce {
        /// The validator.
        index: u64,
        /// Signed.
        signed: u64,
        /// The registry's.
        registry: u64,
    },
    /// Another key signed than the validator's.
    #[error(
        "validator {index}: signed by the key {signed}, but the validator's key is {proven}; check the order of validators and keys"
    )]
    Key {
        /// The validator.
        index: u64,
        /// The key that signed.
        signed: FixedBytes<48>,
        /// The validator's.
        proven: FixedBytes<48>,
    },
    /// Key or signature aren't points.
    #[error("validator {index}: {error}")]
    Point {
        /// The validator.
        index: u64,
        /// What is wrong.
        error: BlsError,
    },
    /// The signature doesn't hold.
    #[error(
        "validator {index}: the `signature` isn't its key's over this delegation; check gateway, deadline, nonce, and the signer's chain and signing id"
    )]
    Signature {
        /// The validator.
        index: u64,
    },
}

impl SignedDelegation {
    /// What was signed.
    pub const fn delegation(&self) -> Delegation {
        Delegation {
            validatorIndex: self.validator_index,
            gateway: self.gateway,
            nonce: self.nonce,
            deadline: self.deadline,
        }
    }

    /// Checks all that the registry will: `validator` is the proven one, `nonce` the registry's, `now` in Unix seconds.
    ///
    /// # Errors
    /// See [`SignatureFault`].
    pub fn check(
        &self,
        domain: &DelegationDomain,
        validator: &Validator,
        nonce: u64,
        now: u64,
    ) -> Result<(BlsPublicKey, BlsSignature), SignatureFault> {
        let index = self.validator_index;
        if self.deadline < now {
            return Err(SignatureFault::Expired { index, deadline: self.deadline });
        }
        if self.nonce != nonce {
            return Err(SignatureFault::Nonce { index, signed: self.nonce, registry: nonce });
        }
        if let Some(signed) = self.public_key.filter(|key| *key != validator.pubkey) {
            return Err(SignatureFault::Key { index, signed, proven: validator.pubkey });
        }
        let point = |error| SignatureFault::Point { index, error };
        let key = BlsPublicKey::from_compressed(&validator.pubkey).map_err(point)?;
        let signature = BlsSignature::from_compressed(&self.signature).map_err(point)?;
        let root = domain.signing_root(&self.delegation());
        signature.verify(root, &key).map_err(|_| SignatureFault::Signature { index })?;
        Ok((key, signature))
    }
}

/// Signs a delegation with a validator's key.
pub fn sign(domain: &DelegationDomain, delegation: &Delegation, key: &BlsSecretKey) -> SignedDelegation {
    SignedDelegation {
        validator_index: delegation.validatorIndex,
        gateway: delegation.gateway,
        nonce: delegation.nonce,
        deadline: delegation.deadline,
        public_key: Some(key.public_key().to_compressed()),
        signature: key.sign(domain.signing_root(delegation)).to_compressed(),
    }
}

/// Reads signed delegations: a list, or a single one.
///
/// # Errors
/// Anything else.
pub fn parse_signed(text: &str) -> Result<Vec<SignedDelegation>, SignedFileError> {
    if text.trim_start().starts_with('{') {
        return Ok(vec![serde_json::from_str(text)?]);
    }
    Ok(serde_json::from_str(text)?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloy::primitives::{Address, B256};

    const DOMAIN: DelegationDomain =
        DelegationDomain { chain_id: 1, registry: Address::repeat_byte(7), genesis_fork_version: FixedBytes::ZERO };

    fn key(seed: u8) -> BlsSecretKey {
        BlsSecretKey::from_bytes(&B256::with_last_byte(seed).0).expect("a key")
    }

    fn validator(seed: u8) -> Validator {
        let mut bytes = [0; 121];
        bytes[..48].copy_from_slice(key(seed).public_key().to_compressed().as_slice());
        Validator::from_ssz(&bytes)
    }

    fn signed() -> SignedDelegation {
        sign(&DOMAIN, &Delegation { validatorIndex: 9, gateway: 3, nonce: 4, deadline: 100 }, &key(1))
    }

    #[test]
    fn what_was_signed_can_be_submitted_until_its_deadline() {
        assert!(signed().check(&DOMAIN, &validator(1), 4, 100).is_ok());
        let expired = SignatureFault::Expired { index: 9, deadline: 100 };
        assert_eq!(signed().check(&DOMAIN, &validator(1), 4, 101), Err(expired));
    }

    #[test]
    fn each_fault_is_named() {
        let check = |signed: SignedDelegation, domain: DelegationDomain, nonce| {
            signed.check(&domain, &validator(1), nonce, 0).expect_err("a fault")
        };
        assert_eq!(check(signed(), DOMAIN, 5), SignatureFault::Nonce { index: 9, signed: 4, registry: 5 });
        let (other, none) = (validator(2).pubkey, None);
        let by_other = SignedDelegation { public_key: Some(other), ..signed() };
        let fault = SignatureFault::Key { index: 9, signed: other, proven: validator(1).pubkey };
        assert_eq!(check(by_other, DOMAIN, 4), fault);
        let wrong = SignatureFault::Signature { index: 9 };
        for changed in [
            SignedDelegation { gateway: 4, ..signed() },
            SignedDelegation { deadline: 101, ..signed() },
            SignedDelegation { validator_index: 9, nonce: 5, ..signed() },
        ] {
            assert_eq!(check(changed, DOMAIN, changed.nonce), wrong, "{changed:?}");
        }
        let by_unnamed_key = sign(&DOMAIN, &signed().delegation(), &key(2));
        assert_eq!(check(SignedDelegation { public_key: none, ..by_unnamed_key }, DOMAIN, 4), wrong);
        for domain in [
            DelegationDomain { chain_id: 2, ..DOMAIN },
            DelegationDomain { registry: Address::ZERO, ..DOMAIN },
            DelegationDomain { genesis_fork_version: FixedBytes::repeat_byte(1), ..DOMAIN },
        ] {
            assert_eq!(check(signed(), domain, 4), wrong);
        }
        let nothing = SignedDelegation { signature: FixedBytes::ZERO, ..signed() };
        assert!(matches!(check(nothing, DOMAIN, 4), SignatureFault::Point { index: 9, error: BlsError::Signature }));
    }

    #[test]
    fn files_hold_one_or_many() {
        let one = serde_json::to_string(&signed()).expect("JSON");
        assert_eq!(parse_signed(&one).expect("one"), [signed()]);
        assert_eq!(parse_signed(&format!("[{one}, {one}]")).expect("two"), [signed(), signed()]);
        let without_key = one.replace("\"publicKey\"", "\"key\"");
        assert!(parse_signed(&without_key).expect_err("unknown field").to_string().contains("key"));
        assert!(parse_signed("0x12").is_err());
    }
}
