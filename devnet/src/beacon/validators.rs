//! The validators: who they are and whom they sequence through.

use alloy::primitives::{Address, B256, FixedBytes, keccak256};
use blst::{BLST_ERROR, min_pk::SecretKey};

/// How many validators the devnet has for each choice.
const COUNTS: [(Delegate, u64); 3] = [(Delegate::A, 8), (Delegate::B, 8), (Delegate::Nobody, 32)];

/// Whom a validator's slots are to go to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Delegate {
    /// Gateway A.
    A,
    /// Gateway B.
    B,
    /// Nobody.
    Nobody,
}

/// A validator.
#[derive(Clone, Debug)]
pub struct Validator {
    key: SecretKey,
    withdrawal_address: Address,
    delegate: Delegate,
}

impl Validator {
    /// Its key is made from its index: good for a devnet only.
    fn new(index: u64, delegate: Delegate) -> Result<Self, BLST_ERROR> {
        let seed = keccak256(format!("baton devnet validator {index}"));
        let withdrawal_address = Address::from_slice(&keccak256(seed)[12..]);
        Ok(Self { key: SecretKey::key_gen(seed.as_slice(), &[])?, withdrawal_address, delegate })
    }

    /// The secret key, 32 bytes.
    pub fn secret(&self) -> B256 {
        self.key.to_bytes().into()
    }

    /// The public key, compressed.
    pub fn pubkey(&self) -> FixedBytes<48> {
        self.key.sk_to_pk().compress().into()
    }

    /// `withdrawal_credentials` of the Validator container, those of an address.
    pub fn withdrawal_credentials(&self) -> B256 {
        let mut credentials = self.withdrawal_address.into_word();
        credentials[0] = 1;
        credentials
    }
}

/// All validators, by index.
#[derive(Clone, Debug)]
pub struct Validators {
    all: Vec<Validator>,
}

impl Validators {
    /// The devnet's.
    ///
    /// # Errors
    /// A key can't be made, which doesn't happen.
    pub fn new() -> Result<Self, BLST_ERROR> {
        let choices = COUNTS.into_iter().flat_map(|(delegate, count)| (0..count).map(move |_| delegate));
        let all = (0..).zip(choices).map(|(index, delegate)| Validator::new(index, delegate));
        Ok(Self { all: all.collect::<Result<_, _>>()? })
    }

    /// All of them, in the order of their indices.
    pub fn all(&self) -> &[Validator] {
        &self.all
    }

    /// The indices of those with a choice.
    pub fn of(&self, delegate: Delegate) -> Vec<u64> {
        (0..).zip(&self.all).filter(|(_, validator)| validator.delegate == delegate).map(|(index, _)| index).collect()
    }
}
