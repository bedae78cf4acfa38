//! Checks what a run of the devnet left behind, against the chain alone: ether to the wei, every L2 block that was ever head, and the
//! posted data as a stock reader sees it.

mod blobs;
mod chain;
mod ether;

pub use blobs::{DerivedBlock, derive};
pub use chain::{LostBlock, check_chain, link_of};
pub use ether::{EtherBalance, GatewayBalance, balance};
