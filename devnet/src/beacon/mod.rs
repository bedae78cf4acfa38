//! The L1's beacon side: a synthetic chain of real headers and states, its roots for EIP-4788, and a Beacon API that serves it.
//!
//! There is no consensus here, and no attestations: what is real is what can be proven of it. States are whole Fulu BeaconStates with real
//! validator keys and a `proposer_lookahead` (EIP-7917) that moves with the epochs; headers commit to them.

mod api;
mod chain;
mod proposers;
mod sidecars;
mod state;
mod validators;

pub use api::{BeaconApi, serve};
pub use chain::{BeaconChain, BeaconConfig};
pub use proposers::proposers;
pub use sidecars::BlobSource;
pub use state::FuluState;
pub use validators::{Delegate, Validator, Validators};
