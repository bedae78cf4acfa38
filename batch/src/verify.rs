//! The last look before a posting is sent, with other people's eyes.

use kona_genesis::{HardForkConfig, RollupConfig};
use kona_protocol::{Batch, BatchReader, BlockInfo, Channel, Frame, FrameParseError, SingleBatch};

use crate::{BlobError, L2Block, MAX_CHANNEL_RLP_BYTES, Posting, unpack_blob};

/// What an independent reader found wrong with a posting. Never retryable: it must not be sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum VerifyError {
    /// The posting was made from other blocks.
    #[error("the posting holds {posted} blocks, only {given} were given to compare with")]
    TooFewBlocks {
        /// Blocks in the posting.
        posted: usize,
        /// Blocks to compare with.
        given: usize,
    },
    /// A blob can't be unpacked.
    #[error("blob {blob}: {source}")]
    Blob {
        /// Position of the blob.
        blob: usize,
        /// What is wrong with it.
        source: BlobError,
    },
    /// A blob's frames can't be parsed.
    #[error("blob {blob}: {source}")]
    Frames {
        /// Position of the blob.
        blob: usize,
        /// What the reader says.
        source: FrameParseError,
    },
    /// A frame that its channel doesn't take.
    #[error("blob {blob}: the channel refused its frame: {source}")]
    Channel {
        /// Position of the blob.
        blob: usize,
        /// What the reader says.
        source: kona_protocol::ChannelError,
    },
    /// The frames don't make up a whole channel.
    #[error("the frames don't make up a whole channel")]
    ChannelIncomplete,
    /// The channel can't be decompressed.
    #[error("the channel can't be decompressed")]
    Decompress,
    /// The channel decompresses to another number of bytes than was put in.
    #[error("the channel decompresses to {found} bytes, {expected} were put in")]
    RlpBytes {
        /// Bytes that were put in.
        expected: usize,
        /// Bytes that came out.
        found: usize,
    },
    /// The reader stops before the last block.
    #[error("block {number} can't be read back")]
    Missing {
        /// The first block that is missing.
        number: u64,
    },
    /// The reader finds a batch behind the last block.
    #[error("a batch follows the last posted block")]
    Surplus,
    /// The batch of a block isn't a singular one.
    #[error("block {number} isn't in a singular batch")]
    NotSingular {
        /// The block.
        number: u64,
    },
    /// A field of a block reads differently.
    #[error("block {number} reads back with another {field}")]
    Differs {
        /// The block.
        number: u64,
        /// The field: `parent_hash`, `epoch`, `timestamp` or `transactions`.
        field: &'static str,
    },
}

impl Posting {
    /// Reads the blobs back with kona's frames, channel and batch reader, and compares the result with `blocks`, block
    /// by block. `blocks` starts with the posting's first block and may be longer than the posting.
    ///
    /// # Errors
    /// See [`VerifyError`].
    pub fn verify(&self, blocks: &[L2Block]) -> Result<(), VerifyError> {
        let blocks = blocks
            .get(..self.posted())
            .ok_or(VerifyError::TooFewBlocks { posted: self.posted(), given: blocks.len() })?;

        let mut reader = BatchReader::new(self.read_channel()?, MAX_CHANNEL_RLP_BYTES);
        reader.decompress().map_err(|_| VerifyError::Decompress)?;
        if reader.decompressed.len() != self.rlp_bytes() {
            return Err(VerifyError::RlpBytes { expected: self.rlp_bytes(), found: reader.decompressed.len() });
        }
        let config = brotli_config();
        for block in blocks {
            let number = block.id().number;
            match reader.next_batch(&config) {
                Some(Batch::Single(batch)) => compare(block, &batch)?,
                Some(Batch::Span(_)) => return Err(VerifyError::NotSingular { number }),
                None => return Err(VerifyError::Missing { number }),
            }
        }
        if reader.next_batch(&config).is_some() { Err(VerifyError::Surplus) } else { Ok(()) }
    }

    fn read_channel(&self) -> Result<Vec<u8>, VerifyError> {
        let l1_block = BlockInfo::default();
        let mut channel = Channel::new(self.channel_id().0, l1_block);
        for (blob, packed) in self.blobs().iter().enumerate() {
            let data = unpack_blob(packed).map_err(|source| VerifyError::Blob { blob, source })?;
            for frame in Frame::parse_frames(&data).map_err(|source| VerifyError::Frames { blob, source })? {
                channel.add_frame(frame, l1_block).map_err(|source| VerifyError::Channel { blob, source })?;
            }
        }
        if !channel.is_ready() {
            return Err(VerifyError::ChannelIncomplete);
        }
        channel.frame_data().map(Into::into).ok_or(VerifyError::ChannelIncomplete)
    }
}

/// The reader asks for one thing only when it reads singular batches: whether brotli is allowed.
fn brotli_config() -> RollupConfig {
    RollupConfig {
        hardforks: HardForkConfig { fjord_time: Some(0), ..Default::default() },
        ..Default::default()
    }
}

fn compare(block: &L2Block, batch: &SingleBatch) -> Result<(), VerifyError> {
    let field = if batch.parent_hash != block.id().parent_hash {
        "parent_hash"
    } else if (batch.epoch_num, batch.epoch_hash) != (block.origin().number, block.origin().hash) {
        "epoch"
    } else if batch.timestamp != block.id().timestamp {
        "timestamp"
    } else if batch.transactions != block.posted_transactions() {
        "transactions"
    } else {
        return Ok(());
    };
    Err(VerifyError::Differs { number: block.id().number, field })
}
