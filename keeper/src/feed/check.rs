//! What makes an item of somebody's feed worth keeping: a pure check.

use crate::{archive::ArchivedSoftBlock, feed::FeedItem};
use alloy::primitives::B256;
use baton_batch::{BlockError, L2Block};
use baton_protocol::{Domain, GatewayId, NOBODY, SignatureError, SlotClock};
use baton_schedule::Snapshot;

/// How far a peer's L1 may be ahead of ours.
const ANCHOR_LEAD: u64 = 64;

/// Why an item isn't kept.
#[derive(Debug, thiserror::Error)]
pub enum ItemError {
    /// It's of another gateway than the feed.
    #[error("an item of gateway {found} in the feed of gateway {expected}")]
    OtherGateway {
        /// Whose feed it is.
        expected: GatewayId,
        /// Whose item it says it is.
        found: GatewayId,
    },
    /// The schedule of its slot isn't known here (yet).
    #[error("the schedule of block {number}'s slot isn't known here")]
    UnknownEpoch {
        /// The block.
        number: u64,
    },
    /// The gateway doesn't own the block.
    #[error("block {number} belongs to gateway {owner}")]
    NotOwner {
        /// The block.
        number: u64,
        /// Its owner.
        owner: GatewayId,
    },
    /// The gateway has no key in the slot's epoch.
    #[error("no key of the gateway counts for block {number}")]
    NoKey {
        /// The block.
        number: u64,
    },
    /// The signature isn't one, or not the owner's.
    #[error("block {number}: {source}")]
    Signature {
        /// The block.
        number: u64,
        /// What is wrong.
        source: SignatureError,
    },
    /// The block isn't one.
    #[error("{0}")]
    Block(#[from] BlockError),
    /// Commitment and block contradict each other.
    #[error("block {number}: its {field} isn't what the commitment or the chain's rules say")]
    Mismatch {
        /// The block.
        number: u64,
        /// `hash`, `number`, `timestamp` or `anchor`.
        field: &'static str,
    },
}

impl ItemError {
    /// Whether it may be kept a moment later.
    pub const fn is_retryable(&self) -> bool {
        matches!(self, Self::UnknownEpoch { .. })
    }
}

/// Checks whose signature an item of the feed of `gateway` (0 for the operator's) has, against schedule and keys; its block isn't looked at.
///
/// # Errors
/// See [`ItemError`].
pub fn check_signature(
    item: FeedItem,
    gateway: GatewayId,
    snapshot: &Snapshot,
    domain: &Domain,
) -> Result<ArchivedSoftBlock, ItemError> {
    let number = item.soft_block.number;
    if item.gateway != gateway {
        return Err(ItemError::OtherGateway { expected: gateway, found: item.gateway });
    }
    let slot = snapshot.clock.owner_slot(number);
    let owner = snapshot.schedule.gateway_at(slot).map_err(|_| ItemError::UnknownEpoch { number })?;
    if gateway != NOBODY && owner != gateway {
        return Err(ItemError::NotOwner { number, owner });
    }
    let keys = snapshot.gateways.get(&gateway).map(|info| info.keys);
    let key = keys.and_then(|keys| keys.at(SlotClock::epoch_of(slot))).ok_or(ItemError::NoKey { number })?;
    let signed = item.signed().map_err(|source| ItemError::Signature { number, source })?;
    signed.verify(domain, key).map_err(|source| ItemError::Signature { number, source })?;
    Ok(ArchivedSoftBlock { gateway, signed, block: item.block })
}

/// Checks an item of the feed of `gateway` (0 for the operator's) against schedule, keys and the chain's rules. Gives it back with the block's parent.
///
/// The base isn't judged: which link is the right one depends on what will be settled, and is seen when the soft block is used. Nor is the
/// anchor's canonicity, for the same reason; only that it can be an anchor of this block, `[L4]`.
///
/// # Errors
/// See [`ItemError`].
pub fn check(
    item: FeedItem,
    gateway: GatewayId,
    snapshot: &Snapshot,
    domain: &Domain,
) -> Result<(ArchivedSoftBlock, B256), ItemError> {
    let number = item.soft_block.number;
    let archived = check_signature(item, gateway, snapshot, domain)?;
    let soft_block = &archived.signed.soft_block;
    let block = L2Block::from_rlp(&archived.block)?;
    let mismatch = |field| Err(ItemError::Mismatch { number, field });
    if block.id().hash != soft_block.blockHash {
        return mismatch("hash");
    }
    if block.id().number != number {
        return mismatch("number");
    }
    if block.id().timestamp != snapshot.clock.block_time(number) {
        return mismatch("timestamp");
    }
    let origin = block.origin();
    let newest = snapshot.l1_head.map_or(0, |head| head.number);
    let anchored = soft_block.anchorNumber > origin.number
        || (soft_block.anchorNumber == origin.number && soft_block.anchorHash == origin.hash);
    if !anchored || soft_block.anchorNumber > newest.saturating_add(ANCHOR_LEAD) {
        return mismatch("anchor");
    }
    let parent = block.id().parent_hash;
    Ok((archived, parent))
}
