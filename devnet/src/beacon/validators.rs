//! The validators: who they are and whom they sequence through.

use alloy::primitives::{Address, B256, keccak256};

/// How many validators the devnet has for each choice.
const COUNTS: [(Delegate, usize); 3] = [(Delegate::A, 8), (Delegate::B, 8), (Delegate::Nobody, 32)];

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
    /// Its BLS key. Made from its index: good for a devnet only.
    pub key: BlsSecretKey,
    /// Its withdrawal address (0x01 credentials).
    pub withdrawal_address: Address,
    /// Whom it wants to delegate to.
    pub delegate: Delegate,
}

impl Validator {
    /// `withdrawal_credentials` of the Validator container, with the prefix of an execution address.
    pub fn withdrawal_credentials(&self) -> B256 {
        let mut credentials = B256::ZERO;
        credentials[0] = 1;
        credentials[12..].copy_from_slice(self.withdrawal_address.as_slice());
        credentials
    }
}

/// All validators, by index.
#[derive(Clone, Debug)]
pub struct Validators {
    all: Vec<Validator>,
    by_delegate: [Vec<u64>; 3],
}
