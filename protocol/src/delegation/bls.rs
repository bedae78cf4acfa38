//! BLS signatures as validators make them: public keys in G1, signatures in G2, proof-of-possession scheme.

use std::{fmt, str::FromStr};

use alloy::primitives::{B256, FixedBytes};
use blst::{BLST_ERROR, min_pk};

use crate::beacon::validator::pubkey_root;

/// Ethereum's tag for hashing to G2 (consensus-specs, "BLS signatures").
const TAG: &[u8] = b"BLS_SIG_BLS12381G2_XMD:SHA-256_SSWU_RO_POP_";

/// Bytes of a field element, and of its EIP-2537 form: padded with zeros in front.
const ELEMENT: usize = 48;
const PADDED: usize = 64;

/// Why a key or signature can't be used. No message repeats key material.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BlsError {
    /// Not 32 bytes of hex, zero, or not below the group's order.
    #[error("secret key isn't 32 bytes of hex that are above zero and below the order of the BLS12-381 groups")]
    SecretKey,
    /// Not a point of the subgroup, or the point at infinity.
    #[error("public key isn't a compressed point of G1's subgroup other than infinity")]
    PublicKey,
    /// Not a point of the subgroup, or the point at infinity.
    #[error("signature isn't a compressed point of G2's subgroup other than infinity")]
    Signature,
    /// Another key signed, or another message.
    #[error("the signature isn't this key's over this message")]
    Mismatch,
}

/// A validator's secret key. Cleared from memory when dropped, never shown.
#[derive(Clone)]
pub struct BlsSecretKey(min_pk::SecretKey);

/// A validator's public key: in the subgroup, not infinity.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BlsPublicKey(min_pk::PublicKey);

/// A signature: in the subgroup, not infinity.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BlsSignature(min_pk::Signature);

impl BlsSecretKey {
    /// From 32 big-endian bytes.
    pub fn from_bytes(bytes: &[u8; 32]) -> Result<Self, BlsError> {
        min_pk::SecretKey::from_bytes(bytes).map(Self).map_err(|_| BlsError::SecretKey)
    }

    /// Its public key.
    pub fn public_key(&self) -> BlsPublicKey {
        BlsPublicKey(self.0.sk_to_pk())
    }

    /// Signs a root, as it is: domains are the caller's.
    pub fn sign(&self, root: B256) -> BlsSignature {
        BlsSignature(self.0.sign(root.as_slice(), TAG, &[]))
    }
}

impl FromStr for BlsSecretKey {
    type Err = BlsError;

    /// From hex, with 0x or without.
    fn from_str(hex: &str) -> Result<Self, BlsError> {
        let bytes: B256 = hex.trim().parse().map_err(|_| BlsError::SecretKey)?;
        Self::from_bytes(&bytes.0)
    }
}

impl fmt::Debug for BlsSecretKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("BlsSecretKey(..)")
    }
}

impl BlsPublicKey {
    /// From the consensus layer's 48 bytes.
    pub fn from_compressed(bytes: &FixedBytes<48>) -> Result<Self, BlsError> {
        min_pk::PublicKey::key_validate(bytes.as_slice()).map(Self).map_err(|_| BlsError::PublicKey)
    }

    /// The consensus layer's 48 bytes.
    pub fn to_compressed(&self) -> FixedBytes<48> {
        self.0.compress().into()
    }

    /// EIP-2537's 128 bytes, as the contracts take it.
    pub fn to_eip2537(&self) -> [u8; 128] {
        let mut out = [0; 128];
        pad(&self.0.serialize(), [0, 1], &mut out);
        out
    }

    /// SSZ root: the first leaf of the validator's container.
    pub fn root(&self) -> B256 {
        pubkey_root(&self.to_compressed())
    }
}

impl BlsSignature {
    /// From the consensus layer's 96 bytes.
    pub fn from_compressed(bytes: &FixedBytes<96>) -> Result<Self, BlsError> {
        min_pk::Signature::sig_validate(bytes.as_slice(), true).map(Self).map_err(|_| BlsError::Signature)
    }

    /// The consensus layer's 96 bytes.
    pub fn to_compressed(&self) -> FixedBytes<96> {
        self.0.compress().into()
    }

    /// EIP-2537's 256 bytes, as the contracts take it.
    pub fn to_eip2537(&self) -> [u8; 256] {
        let mut out = [0; 256];
        // Of an element of Fp2 the serialization has the imaginary part first, EIP-2537 the real one.
        pad(&self.0.serialize(), [1, 0, 3, 2], &mut out);
        out
    }

    /// Checks that a key signed a root.
    pub fn verify(&self, root: B256, key: &BlsPublicKey) -> Result<(), BlsError> {
        // Both were checked for subgroup and infinity when they were made.
        match self.0.verify(false, root.as_slice(), TAG, &[], &key.0, false) {
            BLST_ERROR::BLST_SUCCESS => Ok(()),
            _ => Err(BlsError::Mismatch),
        }
    }
}

/// Field elements in another order, each padded.
fn pad<const N: usize>(elements: &[u8], order: [usize; N], out: &mut [u8]) {
    let elements = elements.as_chunks::<ELEMENT>().0;
    for (room, element) in out.chunks_exact_mut(PADDED).zip(order.iter().filter_map(|at| elements.get(*at))) {
        room[PADDED - ELEMENT..].copy_from_slice(element);
    }
}
