//! The L1's beacon side: blocks and proven states, from nodes that speak the standard Beacon API.

mod client;
mod error;
mod provable;

pub use client::{BeaconClient, Progress};
pub use error::{BeaconError, NodeError, NodeFailure};
pub use provable::{ProvableBlock, ProvableError, newest_provable};
