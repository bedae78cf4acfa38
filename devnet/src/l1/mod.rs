//! The embedded L1: anvil, with its slots ticked by [`ticker`] and EIP-4788's contract fed as a beacon chain would.

mod node;
mod ticker;

pub use node::L1Node;
pub use ticker::{L1Slots, SlotTicker};
