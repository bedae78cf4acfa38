//! Channels: compressed runs of batches (specs: protocol/derivation, "Channel Format"; Fjord for brotli).

use std::io::Write;

use alloy::primitives::{B128, keccak256};
use brotli::{
    BrotliDecompressStream, BrotliResult, BrotliState, CompressorWriter,
    enc::{BrotliEncoderParams, StandardAlloc},
};

/// Identifier that the frames of one channel share.
pub type ChannelId = B128;

/// First byte of a channel compressed with brotli.
pub const CHANNEL_VERSION_BROTLI: u8 = 1;

/// Bytes of uncompressed batches that derivation reads from a channel since Fjord.
pub const MAX_CHANNEL_RLP_BYTES: usize = 100_000_000;

/// Bytes of uncompressed batches that are put into a channel. Half of what the rules allow: kona 0.4.5 finds room by
/// doubling, starting from the compressed size, and gives up when the next doubling would pass
/// [`MAX_CHANNEL_RLP_BYTES`], which may happen anywhere above the half.
pub const MAX_POSTED_RLP_BYTES: usize = MAX_CHANNEL_RLP_BYTES / 2;

/// log2 of brotli's window. 22 is what readers of the OP Stack see most; channels are seldom larger than 4 MiB.
const WINDOW_BITS: i32 = 22;
/// Bytes that leave the decompressor at once.
const BUFFER: usize = 64 * 1024;
/// Bytes that leave the compressor at once: more than it holds back, so that what has come out is all there is.
const COMPRESSOR_BUFFER: usize = 2 * 1024 * 1024;

/// Why a channel can't be decompressed. Never retryable.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum DecompressError {
    /// The channel has no bytes.
    #[error("the channel is empty, a version byte was expected")]
    Empty,
    /// The channel's first byte isn't brotli's. Zlib channels (low bits 8 or 15) aren't read.
    #[error("the channel starts with {0:#04x}, only brotli (0x01) is read")]
    Version(u8),
    /// The brotli stream is malformed.
    #[error("the channel isn't a valid brotli stream")]
    Malformed,
    /// The brotli stream stops before its end.
    #[error("the channel's brotli stream is cut off")]
    Truncated,
    /// Bytes follow the brotli stream.
    #[error("{0} bytes follow the channel's brotli stream")]
    Trailing(usize),
    /// Decompression was stopped at the limit.
    #[error("the channel decompresses to more than {0} bytes")]
    TooLarge(usize),
}

/// Identifier of a channel: the first half of its content's hash.
///
/// The same blocks compressed the same way always make the same channel, so a transaction that is built again after a
/// crash is byte for byte the one that may already be out; and frames of two different channels never share an id.
/// That an id can be foreseen harms nobody: only the batcher's frames are read, and since Holocene a frame numbered 0
/// starts its channel anew.
pub fn channel_id(channel: &[u8]) -> ChannelId {
    let mut id = ChannelId::ZERO;
    id.copy_from_slice(&keccak256(channel)[..ChannelId::len_bytes()]);
    id
}

/// What came of compressing batches into a bounded channel.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Compressed {
    /// The whole channel, within the bound.
    Fits(Vec<u8>),
    /// Already the first `batches` need more than the bound: `output` bytes were out by then.
    Exceeds {
        /// Batches that had been put in, at least one.
        batches: usize,
        /// Channel bytes that had come out, more than the bound.
        output: usize,
    },
}

/// Compresses batches into a channel of at most `capacity` bytes, version byte included, and gives up as soon as it is
/// sure to become longer.
pub(crate) fn compress_channel<'a>(
    batches: impl IntoIterator<Item = &'a [u8]>,
    quality: u8,
    capacity: usize,
) -> Compressed {
    let params = BrotliEncoderParams { quality: quality.into(), lgwin: WINDOW_BITS, ..Default::default() };
    let mut writer = CompressorWriter::with_params(vec![CHANNEL_VERSION_BROTLI], COMPRESSOR_BUFFER, &params);
    let mut count = 0;
    for batch in batches {
        count += 1;
        // Writing to a vector can't fail.
        let _ = writer.write_all(batch);
        let output = writer.get_ref().len();
        if output > capacity {
            return Compressed::Exceeds { batches: count, output };
        }
    }
    let channel = writer.into_inner();
    if channel.len() > capacity {
        return Compressed::Exceeds { batches: count, output: channel.len() };
    }
    Compressed::Fits(channel)
}

/// Decompresses a channel of at most `max_bytes` bytes of batches. Memory stays within that bound plus brotli's window
/// (at most 16 MiB).
///
/// # Errors
/// See [`DecompressError`]; unlike derivation, which cuts a channel off at the limit, a longer one is an error.
pub fn decompress_channel(channel: &[u8], max_bytes: usize) -> Result<Vec<u8>, DecompressError> {
    let (version, compressed) = channel.split_first().ok_or(DecompressError::Empty)?;
    if *version != CHANNEL_VERSION_BROTLI {
        return Err(DecompressError::Version(*version));
    }
    // Strict: without the extension for windows of up to 1 GiB.
    let mut state =
        BrotliState::new_strict(StandardAlloc::default(), StandardAlloc::default(), StandardAlloc::default());
    let mut buffer = vec![0u8; BUFFER];
    let (mut available_in, mut input_offset, mut total) = (compressed.len(), 0, 0);
    let mut out = Vec::new();
    loop {
        let (mut available_out, mut output_offset) = (buffer.len(), 0);
        let result = BrotliDecompressStream(
            &mut available_in,
            &mut input_offset,
            compressed,
            &mut available_out,
            &mut output_offset,
            &mut buffer,
            &mut total,
            &mut state,
        );
        if out.len() + output_offset > max_bytes {
            return Err(DecompressError::TooLarge(max_bytes));
        }
        out.extend_from_slice(&buffer[..output_offset]);
        match result {
            BrotliResult::ResultSuccess if available_in > 0 => return Err(DecompressError::Trailing(available_in)),
            BrotliResult::ResultSuccess => return Ok(out),
            BrotliResult::NeedsMoreOutput => {}
            BrotliResult::NeedsMoreInput => return Err(DecompressError::Truncated),
            BrotliResult::ResultFailure => return Err(DecompressError::Malformed),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn compress(data: &[u8]) -> Vec<u8> {
        match compress_channel([data], 9, usize::MAX) {
            Compressed::Fits(channel) => channel,
            exceeds => panic!("{exceeds:?}"),
        }
    }

    #[test]
    fn a_channel_round_trips_and_is_bounded_to_the_byte() {
        for length in [0, 1, BUFFER - 1, BUFFER, BUFFER + 1, 1_000_000] {
            let data: Vec<u8> = (0..=255u8).cycle().flat_map(|byte| [byte; 7]).take(length).collect();
            let channel = compress(&data);
            assert_eq!(decompress_channel(&channel, length), Ok(data.clone()));
            if length > 0 {
                assert_eq!(decompress_channel(&channel, length - 1), Err(DecompressError::TooLarge(length - 1)));
            }
            assert_eq!(compress_channel([&data[..]], 9, channel.len()), Compressed::Fits(channel.clone()));
            let short = compress_channel([&data[..]], 9, channel.len() - 1);
            assert!(
                matches!(short, Compressed::Exceeds { batches: 1, output } if output >= channel.len()),
                "{short:?}"
            );
        }
    }

    #[test]
    fn a_malformed_channel_names_its_fault() {
        let good = compress(b"some batches, some batches");
        assert_eq!(decompress_channel(&[], 100), Err(DecompressError::Empty));
        assert_eq!(decompress_channel(&[0x78, 1], 100), Err(DecompressError::Version(0x78)));
        assert_eq!(decompress_channel(&good[..1], 100), Err(DecompressError::Truncated));
        assert_eq!(decompress_channel(&good[..good.len() - 1], 100), Err(DecompressError::Truncated));
        assert_eq!(decompress_channel(&[&good[..], &[0, 0]].concat(), 100), Err(DecompressError::Trailing(2)));
        assert_eq!(decompress_channel(&[1, 0xff, 0xff, 0xff], 100), Err(DecompressError::Malformed));
    }

    #[test]
    fn a_bomb_stops_at_the_limit() {
        let bomb = compress(&vec![0; 50_000_000]);
        assert!(bomb.len() < 1000, "{}", bomb.len());
        assert_eq!(decompress_channel(&bomb, 1_000_000), Err(DecompressError::TooLarge(1_000_000)));
    }

    #[test]
    fn ids_follow_the_content() {
        assert_eq!(channel_id(b"a"), channel_id(b"a"));
        assert_ne!(channel_id(b"a"), channel_id(b"b"));
    }
}
