//! The OP Stack's packing of bytes into a blob (specs: protocol/derivation, "Blob Encoding", version 0).

use alloy::{
    eips::eip4844::{BYTES_PER_BLOB, Blob},
    primitives::Bytes,
};

/// Payload bytes that one blob carries in this packing.
pub const BLOB_CAPACITY: usize = ROUNDS * ROUND_DATA - PREFIX;

/// Version byte of the packing; the only one that exists.
const ENCODING_VERSION: u8 = 0;
/// Groups of four field elements in a blob.
const ROUNDS: usize = 1024;
/// Bytes that four field elements carry: 31 low bytes each, and 24 bits spread over the four high bytes.
const ROUND_DATA: usize = 4 * 31 + 3;
/// Bytes that four field elements occupy.
const ROUND_BLOB: usize = 4 * 32;
/// The packed stream starts with the version byte and the payload's length in three bytes, big-endian.
const PREFIX: usize = 4;
/// Bits of a field element's first byte that have to stay zero, so that the element is below the BLS modulus.
const HIGH_BITS: u8 = 0b1100_0000;

/// Why bytes can't be packed into a blob, or a blob can't be unpacked. Never retryable.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BlobError {
    /// More bytes than one blob holds.
    #[error("payload of {0} bytes exceeds a blob's capacity of {BLOB_CAPACITY}: split it over several blobs")]
    PayloadTooLong(usize),
    /// The blob's encoding version isn't 0.
    #[error("blob encoding version is {0}, only version 0 is defined")]
    Version(u8),
    /// The blob declares a longer payload than it can hold.
    #[error("blob declares a payload of {0} bytes, more than its capacity of {BLOB_CAPACITY}")]
    Length(usize),
    /// One of the two high bits of a field element is set.
    #[error("field element {0} of the blob has a high bit set")]
    FieldElement(usize),
    /// Bytes after the declared payload aren't zero.
    #[error("blob has nonzero bytes after its declared payload of {0} bytes")]
    Padding(usize),
}

/// Packs up to [`BLOB_CAPACITY`] bytes into `blob`, whatever was in it before; the rest of it becomes zero.
///
/// In place, because a blob is too large for the stack of a worker thread when it passes through a few hands.
///
/// The stream (version, length, payload) is cut into rounds of 127 bytes. Each round fills four field elements with
/// 31 bytes each, and the three bytes between them go, six bits at a time, into the elements' first bytes.
///
/// # Errors
/// [`BlobError::PayloadTooLong`].
pub fn pack_blob(payload: &[u8], blob: &mut Blob) -> Result<(), BlobError> {
    let too_long = BlobError::PayloadTooLong(payload.len());
    if payload.len() > BLOB_CAPACITY {
        return Err(too_long);
    }
    let length = u32::try_from(payload.len()).map_err(|_| too_long)?;

    let mut stream = vec![0u8; ROUNDS * ROUND_DATA];
    // Three bytes of length leave room for the version in the first byte of the four.
    stream[..PREFIX].copy_from_slice(&length.to_be_bytes());
    stream[0] = ENCODING_VERSION;
    stream[PREFIX..PREFIX + payload.len()].copy_from_slice(payload);

    let used = (PREFIX + payload.len()).div_ceil(ROUND_DATA);
    let (head, tail) = blob.split_at_mut(used * ROUND_BLOB);
    for (out, data) in head.chunks_exact_mut(ROUND_BLOB).zip(stream.chunks_exact(ROUND_DATA)) {
        pack_round(data, out);
    }
    tail.fill(0);
    Ok(())
}

/// Reads the payload back out of a blob.
///
/// # Errors
/// Any [`BlobError`] but [`BlobError::PayloadTooLong`]; a blob that this function accepts packs back to itself.
pub fn unpack_blob(blob: &Blob) -> Result<Bytes, BlobError> {
    if let Some(element) = blob.chunks_exact(32).position(|element| element[0] & HIGH_BITS != 0) {
        return Err(BlobError::FieldElement(element));
    }
    debug_assert_eq!(blob.len(), BYTES_PER_BLOB);
    let mut stream = vec![0u8; ROUNDS * ROUND_DATA];
    for (data, packed) in stream.chunks_exact_mut(ROUND_DATA).zip(blob.chunks_exact(ROUND_BLOB)) {
        unpack_round(packed, data);
    }
    if stream[0] != ENCODING_VERSION {
        return Err(BlobError::Version(stream[0]));
    }
    let length = usize::from(stream[1]) << 16 | usize::from(stream[2]) << 8 | usize::from(stream[3]);
    if length > BLOB_CAPACITY {
        return Err(BlobError::Length(length));
    }
    if stream[PREFIX + length..].iter().any(|byte| *byte != 0) {
        return Err(BlobError::Padding(length));
    }
    Ok(Bytes::from(stream).slice(PREFIX..PREFIX + length))
}

/// `data` is 127 bytes, `out` 128.
fn pack_round(data: &[u8], out: &mut [u8]) {
    let (x, y, z) = (data[31], data[63], data[95]);
    out[0] = x & 0x3f;
    out[32] = (y & 0x0f) | (x & 0xc0) >> 2;
    out[64] = z & 0x3f;
    out[96] = (z & 0xc0) >> 2 | y >> 4;
    for element in 0..4 {
        out[32 * element + 1..32 * (element + 1)].copy_from_slice(&data[32 * element..32 * element + 31]);
    }
}

/// `packed` is 128 bytes, `data` 127.
fn unpack_round(packed: &[u8], data: &mut [u8]) {
    for element in 0..4 {
        data[32 * element..32 * element + 31].copy_from_slice(&packed[32 * element + 1..32 * (element + 1)]);
    }
    let (a, b, c, d) = (packed[0], packed[32], packed[64], packed[96]);
    data[31] = a & 0x3f | (b & 0x30) << 2;
    data[63] = b & 0x0f | (d & 0x0f) << 4;
    data[95] = c & 0x3f | (d & 0x30) << 2;
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pack(payload: &[u8]) -> Box<Blob> {
        let mut blob = Box::new(Blob::repeat_byte(0xff));
        pack_blob(payload, &mut blob).unwrap();
        blob
    }

    #[test]
    fn capacity_is_the_specification_s() {
        assert_eq!(BLOB_CAPACITY, 130_044);
        assert_eq!(ROUNDS * ROUND_BLOB, BYTES_PER_BLOB);
    }

    #[test]
    fn the_first_element_holds_version_and_length() {
        let blob = pack(&[0xff; 27]);
        assert_eq!(blob[..5], [0, 0, 0, 0, 27]);
        assert_eq!(blob[5..32], [0xff; 27]);
        assert!(blob[32..].iter().all(|byte| *byte == 0));
    }

    #[test]
    fn the_bytes_between_elements_are_spread_over_the_high_bytes() {
        let mut payload = [0u8; 127 - PREFIX];
        (payload[27], payload[59], payload[91]) = (0xff, 0xff, 0xff);
        let blob = pack(&payload);
        assert_eq!((blob[0], blob[32], blob[64], blob[96]), (0x3f, 0x3f, 0x3f, 0x3f));
        payload[59] = 0;
        let blob = pack(&payload);
        assert_eq!((blob[0], blob[32], blob[64], blob[96]), (0x3f, 0x30, 0x3f, 0x30));
    }

    #[test]
    fn lengths_at_every_edge_round_trip() {
        for length in [0, 1, 26, 27, 28, 122, 123, 124, 250, BLOB_CAPACITY - 1, BLOB_CAPACITY] {
            let payload: Vec<u8> = (1..=251u8).cycle().take(length).collect();
            assert_eq!(unpack_blob(&pack(&payload)).unwrap()[..], payload, "{length}");
        }
    }

    #[test]
    fn one_byte_too_many_is_refused() {
        let mut blob = Box::new(Blob::ZERO);
        assert_eq!(pack_blob(&[1; BLOB_CAPACITY + 1], &mut blob), Err(BlobError::PayloadTooLong(BLOB_CAPACITY + 1)));
    }

    #[test]
    fn a_malformed_blob_names_its_fault() {
        let good = pack(b"payload");
        let with = |index: usize, value: u8| {
            let mut blob = good.clone();
            blob[index] = value;
            unpack_blob(&blob)
        };
        assert_eq!(with(1, 1), Err(BlobError::Version(1)));
        assert_eq!(with(64, 0x40), Err(BlobError::FieldElement(2)));
        assert_eq!(with(BYTES_PER_BLOB - 32, 0x80), Err(BlobError::FieldElement(4095)));
        assert_eq!(with(4, 6), Err(BlobError::Padding(6)));
        assert_eq!(with(BYTES_PER_BLOB - 1, 1), Err(BlobError::Padding(7)));
        assert_eq!(with(2, 2), Err(BlobError::Length(2 << 16 | 7)));
    }
}
