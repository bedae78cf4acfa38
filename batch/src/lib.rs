#![doc = include_str!("../README.md")]

mod blob;
mod block;
mod channel;
mod config;
mod decoder;
mod encoder;
mod fit;
mod frame;
mod kzg;
mod l1_info;
mod posting;
mod singular;
mod verify;

pub use blob::{BLOB_CAPACITY, BlobError, pack_blob, unpack_blob};
pub use block::{BlockError, BlockId, L2Block};
pub use channel::{
    CHANNEL_VERSION_BROTLI, ChannelId, DecompressError, MAX_CHANNEL_RLP_BYTES, MAX_POSTED_RLP_BYTES, channel_id,
    decompress_channel,
};
pub use config::{EncoderConfig, EncoderConfigError, MAX_BLOBS_PER_TRANSACTION};
pub use decoder::{DecodeError, DecodeLimits, DecodedChannel, decode_batches, decode_blobs};
pub use encoder::{BatchEncoder, EncodeError};
pub use frame::{FRAME_CAPACITY, FRAME_OVERHEAD, Frame, FrameError};
pub use kzg::{Kzg, KzgError};
pub use l1_info::{L1InfoError, L1Origin};
pub use posting::Posting;
pub use singular::{BatchError, SINGULAR_BATCH_TYPE, SingularBatch};
pub use verify::VerifyError;

#[cfg(test)]
extern crate self as baton_batch;
#[cfg(test)]
#[path = "../tests/chain/mod.rs"]
mod chain;
