//! The beacon chain's state, read from its SSZ bytes while they come in, and what the contracts want proven of it.

mod container;
mod element;
mod error;
mod field;
mod fork;
pub(crate) mod hash;
mod header;
mod layout;
pub(crate) mod merkleizer;
mod proof;
mod prover;
pub(crate) mod validator;

pub use error::StateError;
pub use fork::Fork;
pub use header::BeaconHeader;
pub use proof::{LookaheadProof, ValidatorProof};
pub use prover::{ProvenState, StateProver};
pub use validator::Validator;
