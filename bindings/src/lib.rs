//! Rust bindings of Baton's contracts, made by `sol!` from the committed ABIs in `bindings/abi`.
//!
//! `make bindings` writes the ABIs anew from the Solidity sources; `make test` fails when they differ from what the sources say.
//! Structs that rules are about (soft blocks, receipts, windows) have one canonical type in `baton-protocol`; the ABI's
//! twins convert into and from it.

pub mod inbox;
mod outcome;
pub mod registry;
mod verification;

pub use inbox::IInbox;
pub use outcome::{Outcome, RunKind};
pub use registry::IRegistry;
pub use verification::{IBeaconStateVerifier, IDelegationSignatures};
