//! Blocks into blobs and back, by this crate's reader and by kona's.
#![allow(clippy::unwrap_used, reason = "a test fails loudly")]

mod chain;

use alloy::primitives::Bytes;
use baton_batch::{
    BLOB_CAPACITY, BatchEncoder, DecodeLimits, EncodeError, EncoderConfig, FRAME_CAPACITY, FRAME_OVERHEAD, L2Block,
    Posting, SingularBatch, decode_blobs, unpack_blob,
};
use chain::Chain;
use proptest::prelude::*;

fn encoder(quality: u8, max_blobs: usize) -> BatchEncoder {
    BatchEncoder::new(EncoderConfig { quality, max_blobs }).unwrap()
}

/// Both readers give back exactly the blocks that the posting says are in it.
fn assert_reads_back(posting: &Posting, blocks: &[L2Block]) {
    assert_eq!(posting.posted() + posting.remaining(), blocks.len());
    let decoded = decode_blobs(posting.blobs(), &DecodeLimits::default()).unwrap();
    let expected: Vec<SingularBatch> = blocks[..posting.posted()].iter().map(SingularBatch::from).collect();
    assert_eq!(decoded.batches, expected);
    assert_eq!(
        (decoded.id, decoded.channel_bytes, decoded.rlp_bytes),
        (posting.channel_id(), posting.channel_bytes(), posting.rlp_bytes())
    );
    posting.verify(blocks).unwrap();
}

/// Every blob but the last is full, and there are no more than the channel needs.
fn assert_filled(posting: &Posting) {
    assert_eq!(posting.blobs().len(), posting.channel_bytes().div_ceil(FRAME_CAPACITY));
    let (last, full) = posting.blobs().split_last().unwrap();
    for blob in full {
        assert_eq!(unpack_blob(blob).unwrap().len(), BLOB_CAPACITY);
    }
    let rest = posting.channel_bytes() - full.len() * FRAME_CAPACITY;
    assert_eq!(unpack_blob(last).unwrap().len(), 1 + FRAME_OVERHEAD + rest);
}

/// One more block wouldn't have fitted.
fn assert_greedy(posting: &Posting, blocks: &[L2Block], quality: u8, max_blobs: usize) {
    if posting.remaining() > 0 {
        let roomy = encoder(quality, 6).encode(&blocks[..=posting.posted()]).unwrap();
        let overflows = roomy.remaining() > 0 || roomy.channel_bytes() > max_blobs * FRAME_CAPACITY;
        assert!(overflows, "{} blocks would have fitted", posting.posted() + 1);
    }
}

#[derive(Debug, Clone)]
enum Shape {
    Realistic(usize),
    Random(Vec<usize>),
    Zeros(usize),
}

fn shape() -> impl Strategy<Value = Shape> {
    prop_oneof![
        2 => Just(Shape::Realistic(0)),
        4 => (0..40usize).prop_map(Shape::Realistic),
        3 => prop::collection::vec(0..20_000usize, 0..4).prop_map(Shape::Random),
        1 => (0..200_000usize).prop_map(Shape::Zeros),
    ]
}

fn build(seed: u64, shapes: &[Shape]) -> Vec<L2Block> {
    let mut chain = Chain::new(seed);
    shapes
        .iter()
        .map(|shape| {
            let transactions = match shape {
                Shape::Realistic(count) => (0..*count).map(|_| chain.transaction()).collect(),
                Shape::Random(sizes) => sizes.iter().map(|size| chain.incompressible(*size)).collect(),
                Shape::Zeros(size) => vec![chain.legacy(vec![0; *size].into())],
            };
            chain.block(transactions)
        })
        .collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 32, ..ProptestConfig::default() })]

    #[test]
    fn any_blocks_read_back(
        seed: u64,
        shapes in prop::collection::vec(shape(), 1..40),
        quality in prop_oneof![4 => Just(9u8), 1 => 0..=11u8],
        max_blobs in 1..=6usize,
    ) {
        let blocks = build(seed, &shapes);
        let posting = encoder(quality, max_blobs).encode(&blocks).unwrap();
        prop_assert!(posting.blobs().len() <= max_blobs);
        assert_filled(&posting);
        assert_reads_back(&posting, &blocks);
        assert_greedy(&posting, &blocks, quality, max_blobs);
    }
}

/// A block whose channel has exactly `target` bytes: random calldata costs its length plus a constant or two.
fn block_of_channel_bytes(target: usize) -> L2Block {
    let encoder = encoder(9, 6);
    let measure = |calldata: usize| {
        let mut chain = Chain::new(7);
        let raw = chain.incompressible(calldata);
        let block = chain.block(vec![raw]);
        encoder.encode(std::slice::from_ref(&block)).map(|posting| (posting.channel_bytes(), block))
    };
    let mut calldata = target - 300;
    for _ in 0..50 {
        match measure(calldata) {
            Ok((bytes, block)) if bytes == target => return block,
            Ok((bytes, _)) => calldata = calldata + target - bytes,
            Err(EncodeError::FirstBlockTooLarge { .. }) => calldata -= 50,
            Err(error) => panic!("{error}"),
        }
    }
    panic!("no calldata gives {target} channel bytes");
}

#[test]
fn a_full_blob_and_one_byte_more() {
    let full = [block_of_channel_bytes(FRAME_CAPACITY)];
    let posting = encoder(9, 1).encode(&full).unwrap();
    assert_eq!((posting.blobs().len(), posting.channel_bytes()), (1, FRAME_CAPACITY));
    assert_eq!(unpack_blob(&posting.blobs()[0]).unwrap().len(), BLOB_CAPACITY);
    assert_reads_back(&posting, &full);

    let more = [block_of_channel_bytes(FRAME_CAPACITY + 1)];
    assert_eq!(
        encoder(9, 1).encode(&more),
        Err(EncodeError::FirstBlockTooLarge { number: 1, capacity: FRAME_CAPACITY })
    );
    let posting = encoder(9, 2).encode(&more).unwrap();
    assert_eq!(posting.blobs().len(), 2);
    assert_eq!(unpack_blob(&posting.blobs()[1]).unwrap().len(), 1 + FRAME_OVERHEAD + 1);
    assert_reads_back(&posting, &more);
}

#[test]
fn six_full_blobs_and_no_more() {
    let full = [block_of_channel_bytes(6 * FRAME_CAPACITY)];
    let posting = encoder(9, 6).encode(&full).unwrap();
    assert_eq!(posting.blobs().len(), 6);
    for blob in posting.blobs() {
        assert_eq!(unpack_blob(blob).unwrap().len(), BLOB_CAPACITY);
    }
    assert_reads_back(&posting, &full);

    let mut chain = Chain::new(7);
    let raw = chain.incompressible(6 * FRAME_CAPACITY);
    let block = chain.block(vec![raw]);
    assert!(matches!(encoder(9, 6).encode(&[block]), Err(EncodeError::FirstBlockTooLarge { number: 1, .. })));
}

#[test]
fn a_backlog_is_cut_at_the_last_block_that_fits() {
    let blocks = Chain::realistic(1, 1000, 8);
    for max_blobs in [1, 6] {
        let posting = encoder(9, max_blobs).encode(&blocks).unwrap();
        assert_eq!(posting.blobs().len(), max_blobs);
        assert!(posting.remaining() > 0);
        assert_reads_back(&posting, &blocks);
        assert_greedy(&posting, &blocks, 9, max_blobs);
        // The rest is posted by the next settlements.
        let rest = encoder(9, max_blobs).encode(&blocks[posting.posted()..]).unwrap();
        assert_reads_back(&rest, &blocks[posting.posted()..]);
    }
}

#[test]
fn a_retry_is_the_same_to_the_byte() {
    let blocks = Chain::realistic(2, 20, 8);
    let first = encoder(9, 6).encode(&blocks).unwrap();
    assert_eq!(first, encoder(9, 6).encode(&blocks).unwrap());
    let other = encoder(8, 6).encode(&blocks).unwrap();
    assert_ne!(first.channel_id(), other.channel_id(), "other frames may not share a channel's id");
}

#[test]
fn a_channel_stays_readable_for_readers_that_double_their_buffer() {
    // 49 blocks of a million zeros each are within the bound of 50,000,000 bytes, 50 aren't.
    let mut chain = Chain::new(3);
    let zeros = Bytes::from(vec![0; 1_000_000]);
    let blocks: Vec<L2Block> = (0..52)
        .map(|_| {
            let raw = chain.legacy(zeros.clone());
            chain.block(vec![raw])
        })
        .collect();
    let posting = encoder(9, 6).encode(&blocks).unwrap();
    assert_eq!((posting.posted(), posting.blobs().len()), (49, 1));
    assert_reads_back(&posting, &blocks);
}

#[test]
fn only_a_chain_is_encoded() {
    let blocks = Chain::realistic(4, 3, 1);
    let encoder = encoder(9, 6);
    let not_contiguous = |field| Err(EncodeError::NotContiguous { number: 3, field });
    assert_eq!(encoder.encode(&[]), Err(EncodeError::NoBlocks));
    assert_eq!(encoder.encode(&[blocks[0].clone(), blocks[2].clone()]), not_contiguous("number"));
    let stranger = Chain::realistic(5, 3, 1).remove(2);
    assert_eq!(encoder.encode(&[blocks[1].clone(), stranger]), not_contiguous("parent_hash"));
    let mut late = *blocks[1].id();
    late.timestamp = blocks[2].id().timestamp;
    let late = L2Block::from_parts(late, blocks[1].transactions().to_vec()).unwrap();
    assert_eq!(encoder.encode(&[late, blocks[2].clone()]), not_contiguous("timestamp"));
}
