//! Whatever the blobs hold: no panic, no unbounded memory, and the fault by its name.
#![allow(clippy::unwrap_used, reason = "a test fails loudly")]

mod chain;

use alloy::{eips::eip4844::Blob, primitives::Bytes};
use baton_batch::{
    BatchEncoder, BatchError, BlobError, CHANNEL_VERSION_BROTLI, ChannelId, DecodeError, DecodeLimits, DecompressError,
    EncoderConfig, Frame, FrameError, SingularBatch, decode_batches, decode_blobs, decompress_channel, pack_blob,
    unpack_blob,
};
use chain::Chain;
use proptest::prelude::*;

const ID: ChannelId = ChannelId::repeat_byte(7);

/// A channel of any bytes, compressed by the brotli crate's one-shot function.
fn compress(data: &[u8]) -> Vec<u8> {
    let mut out = vec![CHANNEL_VERSION_BROTLI];
    let params = brotli::enc::BrotliEncoderParams { quality: 5, ..Default::default() };
    brotli::BrotliCompress(&mut &data[..], &mut out, &params).unwrap();
    out
}

/// Boxed, as all blobs here: a test thread's stack holds only a few by value.
fn blob_of(data: &[u8]) -> Box<Blob> {
    let mut blob = Box::new(Blob::ZERO);
    pack_blob(data, &mut blob).unwrap();
    blob
}

/// A blob with one frame in it.
fn framed(id: ChannelId, number: u16, data: &[u8], is_last: bool) -> Box<Blob> {
    blob_of(&Frame { id, number, data: Bytes::copy_from_slice(data), is_last }.to_blob_data())
}

fn batch(transactions: Vec<Bytes>) -> Vec<u8> {
    let mut out = Vec::new();
    let batch = SingularBatch {
        parent_hash: Default::default(),
        epoch_number: 1,
        epoch_hash: Default::default(),
        timestamp: 2,
        transactions,
    };
    batch.encode(&mut out);
    out
}

fn decode(blobs: &[&Blob]) -> Result<usize, DecodeError> {
    decode_blobs(blobs.iter().copied(), &DecodeLimits::default()).map(|channel| channel.batches.len())
}

#[test]
fn frames_out_of_order_are_refused() {
    let channel = compress(&batch(vec![]));
    let (head, tail) = channel.split_at(20);
    let (first, last) = (framed(ID, 0, head, false), framed(ID, 1, tail, true));
    assert_eq!(decode(&[&first, &last]), Ok(1));
    assert_eq!(decode(&[&last, &first]), Err(DecodeError::FrameOrder { blob: 0, expected: 0, found: 1 }));
    assert_eq!(decode(&[&first, &first]), Err(DecodeError::FrameOrder { blob: 1, expected: 1, found: 0 }));
    assert_eq!(decode(&[&first]), Err(DecodeError::NotClosed { frames: 1 }));
    assert_eq!(decode(&[&first, &last, &last]), Err(DecodeError::FrameAfterLast { blob: 2 }));
    let other = ChannelId::repeat_byte(8);
    let stranger = framed(other, 1, tail, true);
    assert_eq!(decode(&[&first, &stranger]), Err(DecodeError::ChannelId { blob: 1, expected: ID, found: other }));
    assert_eq!(decode(&[]), Err(DecodeError::NoBlobs));
}

#[test]
fn faults_keep_the_blob_s_position() {
    let channel = compress(&batch(vec![]));
    let good = framed(ID, 0, &channel[..9], false);
    let mut version = good.clone();
    version[1] = 1;
    assert_eq!(decode(&[&good, &version]), Err(DecodeError::Blob { blob: 1, source: BlobError::Version(1) }));
    assert_eq!(decode(&[&good, &blob_of(&[])]), Err(DecodeError::Frame { blob: 1, source: FrameError::Empty }));
    assert_eq!(decode(&[&good, &blob_of(&[0])]), Err(DecodeError::Frame { blob: 1, source: FrameError::NoFrame }));
    assert_eq!(decode(&[&blob_of(&[1, 2])]), Err(DecodeError::Frame { blob: 0, source: FrameError::Version(1) }));
}

#[test]
fn what_follows_the_last_byte_is_refused() {
    let one = |channel: &[u8]| decode(&[&framed(ID, 0, channel, true)]);
    let good = compress(&batch(vec![]));
    assert_eq!(one(&[&good[..], &[0]].concat()), Err(DecompressError::Trailing(1).into()));
    assert_eq!(one(&[]), Err(DecompressError::Empty.into()));
    assert_eq!(one(&compress(&[])), Err(DecodeError::NoBatches));
    let twice = [batch(vec![]), batch(vec![])].concat();
    assert_eq!(one(&compress(&twice)), Ok(2));
    let stray = [&twice[..], &[0xc0]].concat();
    assert!(matches!(one(&compress(&stray)), Err(DecodeError::Stream { offset, .. }) if offset == twice.len()));
    let span = alloy_rlp::encode(Bytes::from_static(&[1, 2, 3]));
    let source = BatchError::Type(1);
    assert_eq!(one(&compress(&[batch(vec![]), span].concat())), Err(DecodeError::Batch { batch: 1, source }));
}

#[test]
fn bombs_stop_at_their_limits() {
    // 100 MB of zeros in a single frame.
    let bomb = framed(ID, 0, &compress(&vec![0; 100_000_001]), true);
    assert_eq!(decode(&[&bomb]), Err(DecompressError::TooLarge(100_000_000).into()));

    // One-byte transactions take 32 times their size in memory; the bound counts over all batches.
    let many = batch(vec![Bytes::from_static(&[1]); 400]);
    let rlp = Bytes::from([many.clone(), many.clone(), many].concat());
    let source = BatchError::TooManyTransactions(1000);
    assert_eq!(decode_batches(&rlp, 1000), Err(DecodeError::Batch { batch: 2, source }));
    assert_eq!(decode_batches(&rlp, 1200).unwrap().len(), 3);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]

    #[test]
    fn random_blobs(seed: u64, tame: bool) {
        use rand::RngCore;
        let mut blob = Box::new(Blob::ZERO);
        Chain::new(seed).rng.fill_bytes(blob.as_mut_slice());
        if tame {
            // Past the first checks: legal field elements, the right version, a length that can be.
            blob.iter_mut().step_by(32).for_each(|byte| *byte &= 0x3f);
            (blob[1], blob[2]) = (0, blob[2] & 1);
        }
        prop_assert!(decode(&[&blob]).is_err());
    }

    #[test]
    fn random_blob_data(data in prop::collection::vec(any::<u8>(), 0..200), prefix: bool) {
        let mut data = data;
        if prefix {
            data.insert(0, 0);
        }
        let _ = decode(&[&blob_of(&data)]);
    }

    #[test]
    fn random_channels(data in prop::collection::vec(any::<u8>(), 0..3000)) {
        let _ = decode(&[&framed(ID, 0, &data, true)]);
        let brotli = [&[CHANNEL_VERSION_BROTLI][..], &data].concat();
        if let Ok(out) = decompress_channel(&brotli, 100_000) {
            prop_assert!(out.len() <= 100_000);
        }
    }

    #[test]
    fn random_streams(data in prop::collection::vec(any::<u8>(), 0..3000), batch_like: bool) {
        let mut data = data;
        if batch_like {
            let mut inner = vec![0u8];
            alloy_rlp::Header { list: true, payload_length: data.len() }.encode(&mut inner);
            inner.extend_from_slice(&data);
            data = alloy_rlp::encode(Bytes::from(inner));
        }
        let _ = decode_batches(&data.into(), 1000);
    }

    #[test]
    fn what_is_accepted_kona_reads_alike(seed: u64, at: prop::sample::Index, bit in 0..8u8, inside: bool) {
        let blocks = Chain::realistic(seed, 3, 3);
        let posting = BatchEncoder::new(EncoderConfig { quality: 5, max_blobs: 1 }).unwrap().encode(&blocks).unwrap();
        let mut blobs = posting.blobs().to_vec();
        if inside {
            // Behind the compression, where a changed bit most often leaves something that still parses.
            let mut rlp = Vec::new();
            blocks.iter().for_each(|block| SingularBatch::from(block).encode(&mut rlp));
            let at = at.index(rlp.len());
            rlp[at] ^= 1 << bit;
            blobs.truncate(1);
            blobs[0].copy_from_slice(framed(ID, 0, &compress(&rlp), true).as_slice());
        } else {
            blobs[0][at.index(posting.channel_bytes() + 100)] ^= 1 << bit;
        }
        if let Ok(decoded) = decode_blobs(&blobs, &DecodeLimits::default()) {
            prop_assert_eq!(decoded.batches, kona_reads(&blobs));
        }
    }
}

/// The batches that kona's frames, channel and reader find.
fn kona_reads(blobs: &[Blob]) -> Vec<SingularBatch> {
    let mut channel: Option<kona_protocol::Channel> = None;
    for blob in blobs {
        for frame in kona_protocol::Frame::parse_frames(&unpack_blob(blob).unwrap()).unwrap() {
            let channel = channel.get_or_insert_with(|| kona_protocol::Channel::new(frame.id, Default::default()));
            channel.add_frame(frame, Default::default()).unwrap();
        }
    }
    let config = kona_genesis::RollupConfig {
        hardforks: kona_genesis::HardForkConfig { fjord_time: Some(0), ..Default::default() },
        ..Default::default()
    };
    let mut reader = kona_protocol::BatchReader::new(channel.unwrap().frame_data().unwrap(), 100_000_000);
    std::iter::from_fn(|| reader.next_batch(&config))
        .map(|batch| match batch {
            kona_protocol::Batch::Single(batch) => SingularBatch {
                parent_hash: batch.parent_hash,
                epoch_number: batch.epoch_num,
                epoch_hash: batch.epoch_hash,
                timestamp: batch.timestamp,
                transactions: batch.transactions,
            },
            span => panic!("{span}"),
        })
        .collect()
}
