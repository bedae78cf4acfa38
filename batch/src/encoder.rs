//! L2 blocks into the blobs of one settlement.

use alloy::{eips::eip4844::Blob, primitives::Bytes};

use crate::{
    ChannelId, EncoderConfig, EncoderConfigError, FRAME_CAPACITY, Frame, L2Block, MAX_POSTED_RLP_BYTES, Posting,
    SingularBatch,
    blob::{BlobError, pack_blob},
    channel::{channel_id, compress_channel},
    fit::fit_channel,
};

/// Encodes runs of L2 blocks. Cheap to make and to copy; holds nothing but its settings.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BatchEncoder {
    config: EncoderConfig,
}

/// Why blocks can't be encoded. Never retryable with the same blocks and settings.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum EncodeError {
    /// There is nothing to encode.
    #[error("no blocks to encode: pass at least one")]
    NoBlocks,
    /// Two neighbours that aren't parent and child, or whose timestamps don't rise.
    #[error("block {number} doesn't follow the block before it: {field} doesn't match")]
    NotContiguous {
        /// Number of the second of the two.
        number: u64,
        /// The field that breaks the chain: `number`, `parent_hash` or `timestamp`.
        field: &'static str,
    },
    /// Not even the first block fits.
    #[error(
        "block {number} alone needs more than {capacity} channel bytes or {MAX_POSTED_RLP_BYTES} uncompressed: \
         raise max_blobs or quality"
    )]
    FirstBlockTooLarge {
        /// The block's number.
        number: u64,
        /// Channel bytes that the blobs hold.
        capacity: usize,
    },
    /// A frame didn't fit its blob: a defect of this crate.
    #[error("a frame didn't fit its blob: {0}")]
    Blob(#[from] BlobError),
}

impl BatchEncoder {
    /// An encoder with these settings.
    ///
    /// # Errors
    /// A setting out of its range.
    pub fn new(config: EncoderConfig) -> Result<Self, EncoderConfigError> {
        Ok(Self { config: config.check()? })
    }

    /// The settings.
    pub const fn config(&self) -> &EncoderConfig {
        &self.config
    }

    /// Channel bytes that the blobs of one settlement hold.
    pub const fn capacity(&self) -> usize {
        self.config.max_blobs * FRAME_CAPACITY
    }

    /// Encodes as many of the blocks, from the first on, as fit: [`Posting::posted`] says how many, and one more
    /// wouldn't have fitted. The same blocks give the same bytes.
    ///
    /// Takes processor time (tens of milliseconds per blob, several times that when not everything fits): not for an
    /// async task.
    ///
    /// # Errors
    /// See [`EncodeError`]. Too many blocks are no error.
    pub fn encode(&self, blocks: &[L2Block]) -> Result<Posting, EncodeError> {
        let first = blocks.first().ok_or(EncodeError::NoBlocks)?;
        for pair in blocks.windows(2) {
            check_follows(&pair[0], &pair[1])?;
        }
        let capacity = self.capacity();
        let stream = BatchStream::new(blocks);
        let fitted = fit_channel(&stream.ends, capacity, |count| {
            compress_channel((0..count).map(|index| stream.batch(index)), self.config.quality, capacity)
        });
        let (posted, channel) =
            fitted.ok_or(EncodeError::FirstBlockTooLarge { number: first.id().number, capacity })?;
        let channel = Bytes::from(channel);
        let channel_id = channel_id(&channel);
        Ok(Posting {
            channel_id,
            blobs: pack_channel(channel_id, &channel)?,
            posted,
            remaining: blocks.len() - posted,
            rlp_bytes: stream.ends[posted - 1],
            channel_bytes: channel.len(),
        })
    }
}

/// The uncompressed channel of the blocks that its size bound admits.
struct BatchStream {
    bytes: Vec<u8>,
    /// Where each batch ends.
    ends: Vec<usize>,
}

impl BatchStream {
    fn new(blocks: &[L2Block]) -> Self {
        let (mut bytes, mut ends) = (Vec::new(), Vec::new());
        for block in blocks {
            SingularBatch::from(block).encode(&mut bytes);
            if bytes.len() > MAX_POSTED_RLP_BYTES {
                break;
            }
            ends.push(bytes.len());
        }
        Self { bytes, ends }
    }

    fn batch(&self, index: usize) -> &[u8] {
        let start = index.checked_sub(1).map_or(0, |before| self.ends[before]);
        &self.bytes[start..self.ends[index]]
    }
}

fn check_follows(parent: &L2Block, child: &L2Block) -> Result<(), EncodeError> {
    let (parent, child) = (parent.id(), child.id());
    let field = if parent.number.checked_add(1) != Some(child.number) {
        "number"
    } else if parent.hash != child.parent_hash {
        "parent_hash"
    } else if parent.timestamp >= child.timestamp {
        "timestamp"
    } else {
        return Ok(());
    };
    Err(EncodeError::NotContiguous { number: child.number, field })
}

/// Cuts the channel into frames, each of which fills its blob but the last.
fn pack_channel(id: ChannelId, channel: &Bytes) -> Result<Vec<Blob>, BlobError> {
    let count = channel.len().div_ceil(FRAME_CAPACITY);
    let mut blobs = vec![Blob::ZERO; count];
    for ((number, index), blob) in (0u16..).zip(0..count).zip(&mut blobs) {
        let start = index * FRAME_CAPACITY;
        let data = channel.slice(start..channel.len().min(start + FRAME_CAPACITY));
        pack_blob(&Frame { id, number, data, is_last: index + 1 == count }.to_blob_data(), blob)?;
    }
    Ok(blobs)
}
