//! What a portal keeps of a gateway that signed another block than the one it delivered: a file that a portal writes and a keeper reads.
//!
//! As JSON: `{"chainId", "inbox", "other": item, "delivered": {"item": item}}`, with items as feeds have them, or `{"payload": …}` in place of the second one.

use crate::{Domain, FeedItem};
use alloy::primitives::Address;
use serde::{Deserialize, Serialize};

/// A signature over another block than the one that was delivered. `P` is how a payload is held.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Evidence<P> {
    /// L1's chain id, which the signatures are for.
    pub chain_id: u64,
    /// The rollup's inbox, which they are for.
    pub inbox: Address,
    /// Over the other block. Its block is empty if the feed had none, and has the header alone if it was too large to be kept: that says whose child it is.
    pub other: FeedItem,
    /// What was delivered instead.
    pub delivered: Delivered<P>,
}

/// A block that a gateway delivered to a portal.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Delivered<P> {
    /// The gateway signed it as well: two signatures, which anybody can check.
    Item(FeedItem),
    /// No signature over it was seen: `getPayload`'s result, for whose origin there is only the portal's word.
    Payload(P),
}

impl<P> Evidence<P> {
    /// Where the signatures hold.
    pub const fn domain(&self) -> Domain {
        Domain { chain_id: self.chain_id, inbox: self.inbox }
    }
}
