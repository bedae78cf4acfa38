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
    /// A frame that isn't the next one: the channel would take it, but derivation drops it since Holocene.
    #[error("blob {blob} has frame {found} where frame {expected} was expected")]
    FrameOrder {
        /// Position of the blob.
        blob: usize,
        /// Number that was due.
        expected: usize,
        /// Number of this frame.
        found: u16,
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
                if usize::from(frame.number) != channel.len() {
                    return Err(VerifyError::FrameOrder { blob, expected: channel.len(), found: frame.number });
                }
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
    RollupConfig { hardforks: HardForkConfig { fjord_time: Some(0), ..Default::default() }, ..Default::default() }
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

#[cfg(test)]
mod tests {
    use alloy::primitives::{B256, Bytes};
    use kona_protocol::ChannelError;

    use super::*;
    use crate::{
        BatchEncoder, BlockId, ChannelId, EncoderConfig,
        chain::{Chain, l1_attributes},
    };

    /// Two blobs of blocks.
    fn posting() -> (Posting, Vec<L2Block>) {
        let mut chain = Chain::new(1);
        let blocks: Vec<L2Block> = (0..4)
            .map(|_| {
                let transactions = vec![chain.transaction(), chain.incompressible(40_000)];
                chain.block(transactions)
            })
            .collect();
        let posting = BatchEncoder::new(EncoderConfig::default()).unwrap().encode(&blocks).unwrap();
        assert_eq!(posting.blobs.len(), 2);
        (posting, blocks)
    }

    /// Verifies after a change to the posting.
    fn tampered(change: impl FnOnce(&mut Posting)) -> VerifyError {
        let (mut posting, blocks) = posting();
        posting.verify(&blocks).unwrap();
        change(&mut posting);
        posting.verify(&blocks).unwrap_err()
    }

    #[test]
    fn every_field_of_every_block_is_compared() {
        let (posting, blocks) = posting();
        let with = |change: &dyn Fn(&mut BlockId, &mut Vec<Bytes>)| {
            let mut blocks = blocks.clone();
            let (mut id, mut transactions) = (*blocks[2].id(), blocks[2].transactions().to_vec());
            change(&mut id, &mut transactions);
            blocks[2] = L2Block::from_parts(id, transactions).unwrap();
            posting.verify(&blocks)
        };
        let differs = |field| Err(VerifyError::Differs { number: 3, field });
        assert_eq!(with(&|_, _| ()), Ok(()));
        assert_eq!(with(&|id, _| id.parent_hash = B256::ZERO), differs("parent_hash"));
        assert_eq!(with(&|id, _| id.timestamp += 1), differs("timestamp"));
        assert_eq!(with(&|_, transactions| transactions[0] = l1_attributes(1, 0)), differs("epoch"));
        assert_eq!(with(&|_, transactions| transactions.swap(1, 2)), differs("transactions"));
        assert_eq!(with(&|_, transactions| drop(transactions.pop())), differs("transactions"));
    }

    #[test]
    fn a_posting_of_other_size_is_refused() {
        let (posting, blocks) = posting();
        let few = VerifyError::TooFewBlocks { posted: 4, given: 3 };
        assert_eq!(posting.verify(&blocks[..3]), Err(few));
        assert_eq!(tampered(|posting| posting.posted -= 1), VerifyError::Surplus);
        let expected = posting.rlp_bytes - 1;
        assert_eq!(
            tampered(|posting| posting.rlp_bytes -= 1),
            VerifyError::RlpBytes { expected, found: posting.rlp_bytes }
        );
        let mut longer = blocks.clone();
        longer.push(blocks[3].clone());
        let more = Posting { posted: 5, ..posting };
        assert_eq!(more.verify(&longer), Err(VerifyError::Missing { number: 4 }));
    }

    #[test]
    fn blobs_that_derivation_would_not_take_are_refused() {
        let order = VerifyError::FrameOrder { blob: 0, expected: 0, found: 1 };
        assert_eq!(tampered(|posting| posting.blobs.reverse()), order);
        assert_eq!(tampered(|posting| posting.blobs.truncate(1)), VerifyError::ChannelIncomplete);
        assert_eq!(
            tampered(|posting| posting.channel_id = ChannelId::ZERO),
            VerifyError::Channel { blob: 0, source: ChannelError::FrameIdMismatch }
        );
        assert_eq!(
            tampered(|posting| posting.blobs[1][1] = 1),
            VerifyError::Blob { blob: 1, source: BlobError::Version(1) }
        );
        // The first byte of the payload is the derivation version.
        assert_eq!(
            tampered(|posting| posting.blobs[1][5] = 1),
            VerifyError::Frames { blob: 1, source: FrameParseError::UnsupportedVersion }
        );
    }

    #[test]
    fn a_changed_byte_in_the_middle_of_a_channel_is_noticed() {
        for at in (1000..120_000).step_by(9_999) {
            tampered(|posting| posting.blobs[0][at / 32 * 32 + 7] ^= 0x55);
        }
    }
}
