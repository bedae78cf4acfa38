//! What one settlement posts.

use std::fmt;

use alloy::eips::eip4844::Blob;

use crate::ChannelId;

/// Batch data of one settlement: one channel, opened and closed in its blobs.
#[derive(Clone, PartialEq, Eq)]
pub struct Posting {
    pub(crate) channel_id: ChannelId,
    pub(crate) blobs: Vec<Blob>,
    pub(crate) posted: usize,
    pub(crate) remaining: usize,
    pub(crate) rlp_bytes: usize,
    pub(crate) channel_bytes: usize,
}

impl Posting {
    /// Identifier of the channel.
    pub const fn channel_id(&self) -> ChannelId {
        self.channel_id
    }

    /// The blobs, in the order in which the transaction has to name them.
    pub fn blobs(&self) -> &[Blob] {
        &self.blobs
    }

    /// The blobs, without copying them.
    pub fn into_blobs(self) -> Vec<Blob> {
        self.blobs
    }

    /// How many of the given blocks are in, from the first on; at least one.
    pub const fn posted(&self) -> usize {
        self.posted
    }

    /// How many of the given blocks are left for the next settlement.
    pub const fn remaining(&self) -> usize {
        self.remaining
    }

    /// Bytes of the batches before compression.
    pub const fn rlp_bytes(&self) -> usize {
        self.rlp_bytes
    }

    /// Bytes of the channel, its version byte included.
    pub const fn channel_bytes(&self) -> usize {
        self.channel_bytes
    }
}

/// Without the blobs, which are 128 KiB each.
impl fmt::Debug for Posting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Posting")
            .field("channel_id", &self.channel_id)
            .field("blobs", &self.blobs.len())
            .field("posted", &self.posted)
            .field("remaining", &self.remaining)
            .field("rlp_bytes", &self.rlp_bytes)
            .field("channel_bytes", &self.channel_bytes)
            .finish()
    }
}
