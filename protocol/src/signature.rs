//! EIP-712 domain and signature checks shared by soft blocks and receipts, rules `[L2]` and `[L5]`.

use alloy::primitives::{Address, B256, Signature};
use alloy_sol_types::{Eip712Domain, SolStruct, eip712_domain};

/// Where signatures hold: an inbox on an L1 chain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Domain {
    /// L1's chain id.
    pub chain_id: u64,
    /// The rollup's inbox.
    pub inbox: Address,
}

/// Why a signature binds nobody.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SignatureError {
    /// Rule `[L5]`: not 65 bytes with a recovery id of 27 or 28 (or 0 or 1).
    #[error("signature isn't 65 bytes of r, s and v")]
    Malformed,
    /// Rule `[L5]`.
    #[error("signature has its s in the upper half: the malleable twin of a valid one")]
    HighS,
    /// No key signs like this.
    #[error("no key recovers from the signature")]
    Unrecoverable,
    /// Somebody else signed.
    #[error("signed by {recovered}, not by {expected}")]
    WrongSigner {
        /// Who signed.
        recovered: Address,
        /// Who should have.
        expected: Address,
    },
}

impl Domain {
    /// The EIP-712 domain.
    pub fn eip712(&self) -> Eip712Domain {
        eip712_domain! {
            name: "Baton",
            version: "1",
            chain_id: self.chain_id,
            verifying_contract: self.inbox,
        }
    }

    /// The digest to sign for a struct.
    pub fn digest(&self, message: &impl SolStruct) -> B256 {
        message.eip712_signing_hash(&self.eip712())
    }

    /// Who signed a digest. Refuses high-s signatures, as the contracts do.
    pub fn recover(digest: B256, signature: &Signature) -> Result<Address, SignatureError> {
        if signature.normalize_s().is_some() {
            return Err(SignatureError::HighS);
        }
        signature.recover_address_from_prehash(&digest).map_err(|_| SignatureError::Unrecoverable)
    }

    /// Checks that `expected` signed the digest.
    pub fn verify(digest: B256, signature: &Signature, expected: Address) -> Result<(), SignatureError> {
        let recovered = Self::recover(digest, signature)?;
        if recovered == expected { Ok(()) } else { Err(SignatureError::WrongSigner { recovered, expected }) }
    }
}
