//! A proposer's delegation of its slots to a gateway: the message, what a validator key signs of it, and that signature.

mod bls;
mod commit_boost;
mod message;

pub use bls::{BlsError, BlsPublicKey, BlsSecretKey, BlsSignature};
pub use commit_boost::{DOMAIN_TYPE, ProposerCommitment, SIGNING_ID, domain};
pub use message::{Delegation, DelegationDomain};
