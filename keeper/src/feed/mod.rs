//! Feeds of soft blocks: what a gateway signed, with the blocks, for those who may have to re-create them.
//!
//! JSON-RPC over HTTP and WebSocket. `baton_softBlocks(from, count)` gives up to 128 items from a number on, `baton_subscribeSoftBlocks` sends
//! each new one as `baton_softBlock`. An item is `{gateway, softBlock, signature, block}`: signature and RLP block in hex.

mod check;
mod follower;
mod server;

pub use baton_protocol::FeedItem;
pub use check::{ItemError, check, check_signature};
pub use follower::{FeedFollowers, FollowerContext};
pub use server::{FeedServer, FeedServerError};

/// Range method.
pub const SOFT_BLOCKS: &str = "baton_softBlocks";
/// Subscription method.
pub const SUBSCRIBE: &str = "baton_subscribeSoftBlocks";
/// Its counterpart.
pub const UNSUBSCRIBE: &str = "baton_unsubscribeSoftBlocks";
/// The notification's name.
pub const NOTIFICATION: &str = "baton_softBlock";
/// Items of one answer at most.
pub const MAX_COUNT: usize = 128;
