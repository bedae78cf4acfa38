//! Blobs of one settlement back into batches.

use alloy::{eips::eip4844::Blob, primitives::Bytes};
use alloy_rlp::Header;

use crate::{
    BatchError, BlobError, ChannelId, DecompressError, Frame, FrameError, MAX_CHANNEL_RLP_BYTES, SingularBatch,
    decompress_channel, unpack_blob,
};

/// Bounds on what a reader holds in memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DecodeLimits {
    /// Bytes of uncompressed batches.
    pub max_rlp_bytes: usize,
    /// Transactions in all batches together. A transaction in memory costs 32 bytes besides its own, so that without
    /// this bound one-byte transactions would take 32 times the uncompressed bytes.
    pub max_transactions: usize,
}

impl Default for DecodeLimits {
    /// Fjord's bound on bytes; a million transactions, which is far beyond what six blobs of signed ones hold.
    fn default() -> Self {
        Self { max_rlp_bytes: MAX_CHANNEL_RLP_BYTES, max_transactions: 1_000_000 }
    }
}

/// A channel as it was posted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DecodedChannel {
    /// Identifier of the channel.
    pub id: ChannelId,
    /// The batches, at least one, in the order in which they were posted.
    pub batches: Vec<SingularBatch>,
    /// Bytes of the channel, its version byte included.
    pub channel_bytes: usize,
    /// Bytes of the batches before compression.
    pub rlp_bytes: usize,
}

/// Why blobs aren't one channel of singular batches. Never retryable.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    /// There is nothing to decode.
    #[error("no blobs to decode: pass at least one")]
    NoBlobs,
    /// A blob that isn't packed by the OP Stack's rules.
    #[error("blob {blob}: {source}")]
    Blob {
        /// Position of the blob.
        blob: usize,
        /// What is wrong with it.
        source: BlobError,
    },
    /// A blob whose data isn't made up of frames.
    #[error("blob {blob}: {source}")]
    Frame {
        /// Position of the blob.
        blob: usize,
        /// What is wrong with its data.
        source: FrameError,
    },
    /// A frame of another channel than the first frame's.
    #[error("blob {blob} has a frame of channel {found}, the first frame is of {expected}")]
    ChannelId {
        /// Position of the blob.
        blob: usize,
        /// Channel of the first frame.
        expected: ChannelId,
        /// Channel of this frame.
        found: ChannelId,
    },
    /// A frame that isn't the next one.
    #[error("blob {blob} has frame {found} where frame {expected} was expected")]
    FrameOrder {
        /// Position of the blob.
        blob: usize,
        /// Number that was due.
        expected: u16,
        /// Number of this frame.
        found: u16,
    },
    /// A frame after the one that closed the channel.
    #[error("blob {blob} has a frame behind the one that closed the channel")]
    FrameAfterLast {
        /// Position of the blob.
        blob: usize,
    },
    /// No frame closes the channel.
    #[error("the channel isn't closed: none of its {frames} frames is the last")]
    NotClosed {
        /// Frames of the channel.
        frames: usize,
    },
    /// The channel can't be decompressed.
    #[error(transparent)]
    Decompress(#[from] DecompressError),
    /// The uncompressed stream isn't a run of RLP strings.
    #[error("byte {offset} of the uncompressed channel isn't the start of an RLP string: {source}")]
    Stream {
        /// Where the string should start.
        offset: usize,
        /// What the parser found.
        source: alloy_rlp::Error,
    },
    /// A batch that can't be read.
    #[error("batch {batch} of the channel: {source}")]
    Batch {
        /// Position of the batch.
        batch: usize,
        /// What is wrong with it.
        source: BatchError,
    },
    /// The channel holds no batch.
    #[error("the channel holds no batch")]
    NoBatches,
}

/// Decodes the blobs of one settlement: one channel that opens and closes in them, and nothing else.
///
/// Stricter than derivation, which skips what it can't read and goes on: what this function accepts, derivation reads
/// alike. Never panics and stays within `limits`, whatever the blobs hold.
///
/// # Errors
/// See [`DecodeError`].
pub fn decode_blobs<'a>(
    blobs: impl IntoIterator<Item = &'a Blob>,
    limits: &DecodeLimits,
) -> Result<DecodedChannel, DecodeError> {
    let mut assembly: Option<Assembly> = None;
    for (blob, packed) in blobs.into_iter().enumerate() {
        let data = unpack_blob(packed).map_err(|source| DecodeError::Blob { blob, source })?;
        for frame in Frame::parse_blob_data(&data).map_err(|source| DecodeError::Frame { blob, source })? {
            assembly.get_or_insert_with(|| Assembly::new(frame.id)).add(frame, blob)?;
        }
    }
    let Assembly { id, channel, frames, closed } = assembly.ok_or(DecodeError::NoBlobs)?;
    if !closed {
        return Err(DecodeError::NotClosed { frames: frames.into() });
    }
    let rlp = Bytes::from(decompress_channel(&channel, limits.max_rlp_bytes)?);
    let batches = decode_batches(&rlp, limits.max_transactions)?;
    Ok(DecodedChannel { id, batches, channel_bytes: channel.len(), rlp_bytes: rlp.len() })
}

/// Decodes an uncompressed channel: a run of RLP strings, a singular batch in each. The batches share its memory.
///
/// # Errors
/// [`DecodeError::Stream`], [`DecodeError::Batch`] or [`DecodeError::NoBatches`].
pub fn decode_batches(rlp: &Bytes, max_transactions: usize) -> Result<Vec<SingularBatch>, DecodeError> {
    let mut batches: Vec<SingularBatch> = Vec::new();
    let mut transactions = 0;
    let mut rest = rlp.as_ref();
    while !rest.is_empty() {
        let (batch, offset) = (batches.len(), rlp.len() - rest.len());
        let data = Header::decode_bytes(&mut rest, false).map_err(|source| DecodeError::Stream { offset, source })?;
        let decoded = SingularBatch::decode(&rlp.slice_ref(data), max_transactions - transactions)
            .map_err(|source| match source {
                // Said with the bound that was set, not with what earlier batches left of it.
                BatchError::TooManyTransactions(_) => BatchError::TooManyTransactions(max_transactions),
                source => source,
            })
            .map_err(|source| DecodeError::Batch { batch, source })?;
        transactions += decoded.transactions.len();
        batches.push(decoded);
    }
    if batches.is_empty() { Err(DecodeError::NoBatches) } else { Ok(batches) }
}

/// A channel that is being put together.
struct Assembly {
    id: ChannelId,
    channel: Vec<u8>,
    frames: u16,
    closed: bool,
}

impl Assembly {
    const fn new(id: ChannelId) -> Self {
        Self { id, channel: Vec::new(), frames: 0, closed: false }
    }

    fn add(&mut self, frame: Frame, blob: usize) -> Result<(), DecodeError> {
        if frame.id != self.id {
            return Err(DecodeError::ChannelId { blob, expected: self.id, found: frame.id });
        }
        if self.closed {
            return Err(DecodeError::FrameAfterLast { blob });
        }
        if frame.number != self.frames {
            return Err(DecodeError::FrameOrder { blob, expected: self.frames, found: frame.number });
        }
        // A channel that uses the last number up can't have another frame: the wrapped count never matches.
        self.frames = self.frames.wrapping_add(1);
        self.closed = frame.is_last;
        self.channel.extend_from_slice(&frame.data);
        Ok(())
    }
}
