//! Delegations of proposers' slots to gateways, rules `[D1]` to `[D6]`: what to sign, what was signed, and the transactions.

mod act;
mod message;
mod proving;
mod sending;
mod signed;
mod standing;

pub use act::{ActError, accept, offer, owner_of, renounce, revoke, submit};
pub use message::{CommitBoostRequest, SigningRequest};
pub use proving::{ProvenValidators, ProvingError, prove_validators};
pub use sending::{DelegationCall, SendingError, Sent, TransactionEnd, send_and_wait};
pub use signed::{SignatureFault, SignedDelegation, SignedFileError, parse_signed, sign};
pub use standing::{Offer, Standing, standing};
