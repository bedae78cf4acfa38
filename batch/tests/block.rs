//! Blocks from RLP and from parts.
#![allow(clippy::unwrap_used, reason = "a test fails loudly")]

mod chain;

use alloy::{
    consensus::Header,
    primitives::{B256, Bytes, hex, keccak256},
};
use alloy_rlp::Decodable;
use baton_batch::{BlockError, BlockId, L1InfoError, L1Origin, L2Block};
use chain::{Chain, encode_block, l1_attributes};
use proptest::prelude::*;

fn id(number: u64) -> BlockId {
    BlockId { number, hash: B256::repeat_byte(2), parent_hash: B256::repeat_byte(1), timestamp: 2 * number }
}

#[test]
fn a_block_is_read_from_its_rlp() {
    let mut chain = Chain::new(1);
    let transactions: Vec<Bytes> = vec![chain.transaction(), chain.legacy(Bytes::new()), chain.transaction()];
    let first = L2Block::from_rlp(&chain.block_rlp(vec![])).unwrap();
    let raw = chain.block_rlp(transactions.clone());
    let block = L2Block::from_rlp(&raw).unwrap();
    assert_eq!((block.id().number, block.id().timestamp), (2, chain::GENESIS + 4));
    assert_eq!(block.id().parent_hash, first.id().hash);
    assert_eq!(*block.origin(), L1Origin { number: 0, hash: chain::l1_hash(0), sequence_number: 2 });
    assert_eq!(block.posted_transactions(), transactions);
    assert_eq!(block.transactions()[1..], transactions);
    let next = L2Block::from_rlp(&chain.block_rlp(vec![])).unwrap();
    assert_eq!(next.id().parent_hash, block.id().hash);
}

/// A block that op-reth built, recorded: the origin is read from what a real node writes.
#[test]
fn op_reth_s_deposits_are_read() {
    for (raw, hash) in [
        (include_str!("fixtures/op_reth_deposit_holocene.hex"), "number 1, Ecotone's selector"),
        (include_str!("fixtures/op_reth_deposit_isthmus.hex"), "number 1, Isthmus's selector"),
        (include_str!("fixtures/op_reth_deposit_jovian.hex"), "number 1, Jovian's selector"),
    ] {
        let raw = hex::decode(raw.trim()).unwrap();
        let origin = L1Origin::from_deposit(&raw).unwrap();
        assert_eq!((origin.number, origin.sequence_number), (1, 1), "{hash}");
        assert_ne!(origin.hash, B256::ZERO);
    }
}

#[test]
fn transactions_must_be_the_header_s() {
    let mut chain = Chain::new(2);
    let transactions = vec![chain.transaction(), chain.transaction()];
    let raw = chain.block_rlp(transactions.clone());
    let mut body = &raw[..];
    let _ = alloy_rlp::Header::decode(&mut body).unwrap();
    let header = Header::decode(&mut body).unwrap();
    let mut all = vec![l1_attributes(0, 1)];
    all.extend(transactions);
    assert_eq!(encode_block(&header, &all), raw);
    all.swap(1, 2);
    assert!(matches!(
        L2Block::from_rlp(&encode_block(&header, &all)),
        Err(BlockError::TransactionsRoot { number: 1, expected, .. }) if expected == header.transactions_root
    ));
}

#[test]
fn deposits_come_first_and_the_l1_attributes_before_them() {
    let (info, deposit) = (l1_attributes(3, 1), l1_attributes(3, 0));
    let user = Bytes::from_static(&[2, 1, 2, 3]);
    let from_parts =
        |transactions: &[&Bytes]| L2Block::from_parts(id(9), transactions.iter().copied().cloned().collect());
    let block = from_parts(&[&info, &deposit, &user]).unwrap();
    assert_eq!((block.transactions().len(), block.posted_transactions()), (3, &[user.clone()][..]));
    assert_eq!(from_parts(&[&info, &user, &deposit]), Err(BlockError::LateDeposit { number: 9, index: 2 }));
    assert_eq!(from_parts(&[&info, &Bytes::new()]), Err(BlockError::EmptyTransaction { number: 9, index: 1 }));
    assert_eq!(from_parts(&[]), Err(BlockError::NoTransactions { number: 9 }));
    assert_eq!(from_parts(&[&user]), Err(BlockError::L1Info { number: 9, source: L1InfoError::NotDeposit }));
}

#[test]
fn nothing_may_follow_the_block() {
    let raw = Chain::new(3).block_rlp(vec![]);
    let longer: Bytes = [&raw[..], &[0]].concat().into();
    assert!(matches!(L2Block::from_rlp(&longer), Err(BlockError::Rlp { part: "end", .. })));
    assert!(matches!(L2Block::from_rlp(&raw.slice(..raw.len() - 1)), Err(BlockError::Rlp { part: "outer list", .. })));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]

    #[test]
    fn no_bytes_make_it_panic(raw in prop::collection::vec(any::<u8>(), 0..600)) {
        let _ = L2Block::from_rlp(&raw.into());
    }

    #[test]
    fn a_changed_byte_is_an_error_or_another_block(index: prop::sample::Index, change in 1..=255u8) {
        let mut chain = Chain::new(4);
        let transactions = vec![chain.transaction()];
        let raw = chain.block_rlp(transactions);
        let good = L2Block::from_rlp(&raw).unwrap();
        let mut bad = raw.to_vec();
        let at = index.index(bad.len());
        bad[at] ^= change;
        // The last bytes are the ommers and withdrawals, which aren't part of what is posted.
        if let Ok(block) = L2Block::from_rlp(&bad.into()) {
            prop_assert!(block.id().hash != good.id().hash || at >= raw.len() - 2);
            prop_assert_eq!(block.transactions(), good.transactions());
        }
    }
}

#[test]
fn the_hash_is_of_the_header_s_bytes() {
    let raw = Chain::new(5).block_rlp(vec![]);
    let mut body = &raw[..];
    let _ = alloy_rlp::Header::decode(&mut body).unwrap();
    let start = body;
    let header = Header::decode(&mut body).unwrap();
    let header_bytes = &start[..start.len() - body.len()];
    assert_eq!(L2Block::from_rlp(&raw).unwrap().id().hash, keccak256(header_bytes));
    assert_eq!(L2Block::from_rlp(&raw).unwrap().id().hash, header.hash_slow());
}
