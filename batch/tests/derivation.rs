//! Postings through kona-derive, an independent implementation of the derivation pipeline: from signed blob transactions
//! in L1 blocks to the batches that become payload attributes.
#![allow(clippy::unwrap_used, reason = "a test fails loudly")]

mod chain;

use std::sync::Arc;

use alloy::{
    consensus::{SignableTransaction, TxEip4844},
    primitives::{Address, B256, Bytes, Signature, address, keccak256},
};
use alloy_rlp::Decodable;
use baton_batch::{BatchEncoder, EncoderConfig, L2Block, Posting};
use chain::{Chain, GENESIS, L2_BLOCK_TIME, l1_hash, l1_timestamp};
use futures::executor::block_on;
use k256::ecdsa::SigningKey;
use kona_derive::{
    AttributesProvider, BatchStream, BatchValidator, ChannelAssembler, ChannelReader, EthereumDataSource, FrameQueue,
    L1Retrieval, OriginAdvancer, PipelineError, PipelineErrorKind, PollingTraversal, ResetSignal, Signal,
    SignalReceiver,
    test_utils::{TestBlobProvider, TestChainProvider, TestL2ChainProvider},
};
use kona_genesis::{HardForkConfig, RollupConfig, SystemConfig};
use kona_protocol::{BlockInfo, L2BlockInfo, SingleBatch};

const INBOX: Address = address!("0x00000000000000000000000000000000000ba708");

/// An L1 with settlements in it.
struct L1 {
    chain: TestChainProvider,
    blobs: TestBlobProvider,
    settler: SigningKey,
}

fn l1_block(number: u64) -> BlockInfo {
    let parent_hash = number.checked_sub(1).map(l1_hash).unwrap_or_default();
    BlockInfo { number, hash: l1_hash(number), parent_hash, timestamp: l1_timestamp(number) }
}

impl L1 {
    fn new(blocks: u64) -> Self {
        let mut chain = TestChainProvider::default();
        for number in 0..=blocks {
            chain.insert_block(number, l1_block(number));
            chain.insert_receipts(l1_hash(number), vec![]);
        }
        let settler = SigningKey::from_slice(&[7; 32]).unwrap();
        Self { chain, blobs: TestBlobProvider::default(), settler }
    }

    fn settler(&self) -> Address {
        Address::from_private_key(&self.settler)
    }

    /// Puts blob transactions to the inbox into an L1 block, one for each posting, signed by the settler.
    fn settle(&mut self, number: u64, postings: &[&Posting]) {
        let transactions = postings.iter().map(|posting| self.transaction(posting)).collect::<Vec<_>>();
        self.chain.transactions.push((
            l1_hash(number),
            transactions.iter().map(|raw| Decodable::decode(&mut raw.as_ref()).unwrap()).collect(),
        ));
    }

    /// The transaction in the network encoding: kona's own transaction type is of an older alloy.
    fn transaction(&mut self, posting: &Posting) -> Bytes {
        let hashes: Vec<B256> = posting
            .blobs()
            .iter()
            .map(|blob| {
                // Derivation finds blobs by these; whether KZG made them is L1's business.
                let mut hash = keccak256(blob.as_slice());
                hash[0] = 1;
                self.blobs.insert_blob(hash, *blob);
                hash
            })
            .collect();
        let tx = TxEip4844 { to: INBOX, blob_versioned_hashes: hashes, input: call_data(), ..Default::default() };
        let (signature, recovery) = self.settler.sign_prehash_recoverable(tx.signature_hash().as_slice()).unwrap();
        let mut out = Vec::new();
        tx.into_signed(Signature::from((signature, recovery))).network_encode(&mut out);
        out.into()
    }
}

/// Calldata as `settle` has it, a selector and words; derivation ignores it.
fn call_data() -> Bytes {
    [&[0xaa, 0xbb, 0xcc, 0xdd][..], &[1; 64]].concat().into()
}

fn config() -> RollupConfig {
    let mut config = RollupConfig {
        block_time: L2_BLOCK_TIME,
        max_sequencer_drift: 600,
        seq_window_size: 3600,
        channel_timeout: 300,
        granite_channel_timeout: 50,
        batch_inbox_address: INBOX,
        hardforks: HardForkConfig {
            regolith_time: Some(0),
            canyon_time: Some(0),
            delta_time: Some(0),
            ecotone_time: Some(0),
            fjord_time: Some(0),
            granite_time: Some(0),
            holocene_time: Some(0),
            isthmus_time: Some(0),
            ..Default::default()
        },
        ..Default::default()
    };
    config.genesis.l2_time = GENESIS;
    config
}

fn info(block: &L2Block) -> L2BlockInfo {
    let id = block.id();
    L2BlockInfo {
        block_info: BlockInfo {
            number: id.number,
            hash: id.hash,
            parent_hash: id.parent_hash,
            timestamp: id.timestamp,
        },
        l1_origin: l1_block(block.origin().number).id(),
        seq_num: block.origin().sequence_number,
    }
}

/// Derives on top of `blocks[0]`, the safe head, until L1 ends; each batch has to be that of the next block.
/// Returns how many blocks became safe.
fn derive(l1: &L1, blocks: &[L2Block]) -> usize {
    let config = Arc::new(config());
    let source = EthereumDataSource::new_from_parts(l1.chain.clone(), l1.blobs.clone(), &config);
    let traversal = PollingTraversal::new(l1.chain.clone(), config.clone());
    let frames = FrameQueue::new(L1Retrieval::new(traversal, source), config.clone());
    let channels = ChannelReader::new(ChannelAssembler::new(config.clone(), frames), config.clone());
    let stream = BatchStream::new(channels, config.clone(), TestL2ChainProvider::default());
    let mut validator = BatchValidator::new(config, stream);

    let mut safe = info(&blocks[0]);
    let origin = l1_block(safe.l1_origin.number);
    let system_config = Some(SystemConfig { batcher_address: l1.settler(), ..Default::default() });
    let reset = ResetSignal { l2_safe_head: safe, l1_origin: origin, system_config };
    block_on(validator.signal(Signal::Reset(reset))).unwrap();

    let mut derived = 0;
    loop {
        match block_on(validator.next_batch(safe)) {
            Ok(batch) => {
                derived += 1;
                let block = blocks.get(derived).expect("a batch beyond the last block");
                assert_same(&batch, block);
                safe = info(block);
            }
            Err(PipelineErrorKind::Temporary(PipelineError::NotEnoughData)) => {}
            Err(PipelineErrorKind::Temporary(PipelineError::Eof)) => {
                if block_on(validator.advance_origin()).is_err() {
                    return derived;
                }
            }
            Err(error) => panic!("{error}"),
        }
    }
}

fn assert_same(batch: &SingleBatch, block: &L2Block) {
    assert_eq!(batch.parent_hash, block.id().parent_hash);
    assert_eq!((batch.epoch_num, batch.epoch_hash), (block.origin().number, block.origin().hash));
    assert_eq!(batch.timestamp, block.id().timestamp);
    assert_eq!(batch.transactions, block.posted_transactions());
}

fn encode(blocks: &[L2Block]) -> Posting {
    let posting = BatchEncoder::new(EncoderConfig::default()).unwrap().encode(blocks).unwrap();
    posting.verify(blocks).unwrap();
    posting
}

/// The first L1 block in which blocks of these numbers can be settled.
fn after(blocks: &[L2Block]) -> u64 {
    blocks.last().unwrap().origin().number + 2
}

#[test]
fn settled_blocks_are_derived_as_they_were() {
    let blocks = Chain::realistic(1, 60, 5);
    let inclusion = after(&blocks);
    let mut l1 = L1::new(inclusion + 1);
    l1.settle(inclusion, &[&encode(&blocks[1..])]);
    assert_eq!(derive(&l1, &blocks), 59);
}

#[test]
fn a_channel_over_several_blobs_is_derived() {
    let blocks = Chain::realistic(2, 250, 12);
    let posting = encode(&blocks[1..]);
    assert!(posting.blobs().len() >= 3, "{posting:?}");
    let inclusion = after(&blocks);
    let mut l1 = L1::new(inclusion + 1);
    l1.settle(inclusion, &[&posting]);
    assert_eq!(derive(&l1, &blocks), 249);
}

#[test]
fn a_channel_that_starts_before_the_safe_head_is_derived_from_there() {
    let blocks = Chain::realistic(3, 40, 5);
    let inclusion = after(&blocks);
    // The safe head is blocks[10]: the channel starts with it, one before it, and far before it.
    for start in [10, 9, 0] {
        let mut l1 = L1::new(inclusion + 1);
        l1.settle(inclusion, &[&encode(&blocks[start..])]);
        assert_eq!(derive(&l1, &blocks[10..]), 29, "channel from block {start}");
    }
}

#[test]
fn a_gap_before_the_channel_is_not_bridged() {
    let blocks = Chain::realistic(4, 20, 2);
    let inclusion = after(&blocks);
    let mut l1 = L1::new(inclusion + 1);
    l1.settle(inclusion, &[&encode(&blocks[2..])]);
    assert_eq!(derive(&l1, &blocks), 0);
}

#[test]
fn settlements_in_turn_make_one_chain() {
    let blocks = Chain::realistic(5, 60, 4);
    let inclusion = after(&blocks);
    let mut l1 = L1::new(inclusion + 3);
    // Two in one L1 block, one in the next; the last overlaps.
    l1.settle(inclusion, &[&encode(&blocks[1..20]), &encode(&blocks[20..40])]);
    l1.settle(inclusion + 1, &[&encode(&blocks[35..])]);
    assert_eq!(derive(&l1, &blocks), 59);
}

#[test]
fn another_sender_s_settlement_is_not_derived() {
    let blocks = Chain::realistic(6, 10, 1);
    let inclusion = after(&blocks);
    let mut l1 = L1::new(inclusion + 1);
    l1.settle(inclusion, &[&encode(&blocks[1..])]);
    l1.settler = SigningKey::from_slice(&[8; 32]).unwrap();
    assert_eq!(derive(&l1, &blocks), 0);
}
