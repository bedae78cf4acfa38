//! Generated chains: real headers and real transaction encodings, reproducible from a seed.
#![allow(
    clippy::unwrap_used,
    dead_code,
    unreachable_pub,
    reason = "each test binary and the benchmark take a part of it"
)]

use alloy::{
    consensus::{Header, SignableTransaction, TxEip1559, TxLegacy, proofs::ordered_trie_root_with_encoder},
    eips::eip2718::Encodable2718,
    primitives::{Address, B256, Bytes, Signature, TxKind, U256, address, keccak256},
};
use alloy_rlp::Encodable;
use baton_batch::{BlockId, L2Block};
use op_alloy::consensus::TxDeposit;
use rand::{Rng, RngCore, SeedableRng, rngs::StdRng};

/// Seconds between L2 blocks.
pub const L2_BLOCK_TIME: u64 = 2;
/// Seconds between L1 blocks.
pub const L1_BLOCK_TIME: u64 = 12;
/// Unix time of L1 block 0 and L2 block 0.
pub const GENESIS: u64 = 1_700_000_004;
pub const L2_CHAIN_ID: u64 = 901;

const DEPOSITOR: Address = address!("0xDeaDDEaDDeAdDeAdDEAdDEaddeAddEAdDEAd0001");
const L1_BLOCK: Address = address!("0x4200000000000000000000000000000000000015");

/// Hash of a generated L1 block.
pub fn l1_hash(number: u64) -> B256 {
    keccak256(format!("L1 block {number}"))
}

/// Unix time of a generated L1 block.
pub fn l1_timestamp(number: u64) -> u64 {
    GENESIS + number * L1_BLOCK_TIME
}

/// A chain of L2 blocks that grows block by block.
pub struct Chain {
    pub rng: StdRng,
    number: u64,
    head: B256,
    tokens: Vec<Address>,
    users: Vec<Address>,
}

impl Chain {
    pub fn new(seed: u64) -> Self {
        let mut rng = StdRng::seed_from_u64(seed);
        let tokens = (0..20).map(|_| Address::from(rng.random::<[u8; 20]>())).collect();
        let users = (0..2000).map(|_| Address::from(rng.random::<[u8; 20]>())).collect();
        Self { rng, number: 0, head: keccak256("L2 genesis"), tokens, users }
    }

    /// `blocks` blocks of `transactions` realistic transactions each.
    pub fn realistic(seed: u64, blocks: usize, transactions: usize) -> Vec<L2Block> {
        let mut chain = Self::new(seed);
        (0..blocks)
            .map(|_| {
                let raw = (0..transactions).map(|_| chain.transaction()).collect();
                chain.block(raw)
            })
            .collect()
    }

    /// The next block, of these transactions behind the L1-attributes deposit. Its header has no transactions root,
    /// which would cost more time than all the rest of a test.
    pub fn block(&mut self, transactions: Vec<Bytes>) -> L2Block {
        let (header, all) = self.extend(transactions, |_| B256::ZERO);
        let id = BlockId {
            number: header.number,
            hash: self.head,
            parent_hash: header.parent_hash,
            timestamp: header.timestamp,
        };
        L2Block::from_parts(id, all).unwrap()
    }

    /// RLP of the next block, transactions root included.
    pub fn block_rlp(&mut self, transactions: Vec<Bytes>) -> Bytes {
        let (header, all) =
            self.extend(transactions, |all| ordered_trie_root_with_encoder(all, |raw, out| out.extend_from_slice(raw)));
        encode_block(&header, &all)
    }

    fn extend(&mut self, transactions: Vec<Bytes>, root: impl FnOnce(&[Bytes]) -> B256) -> (Header, Vec<Bytes>) {
        self.number += 1;
        let timestamp = GENESIS + self.number * L2_BLOCK_TIME;
        let origin = (timestamp - GENESIS) / L1_BLOCK_TIME;
        let sequence = (timestamp - l1_timestamp(origin)) / L2_BLOCK_TIME;
        let mut all = vec![l1_attributes(origin, sequence)];
        all.extend(transactions);
        let header = Header {
            parent_hash: self.head,
            beneficiary: address!("0x4200000000000000000000000000000000000011"),
            state_root: self.rng.random::<[u8; 32]>().into(),
            transactions_root: root(&all),
            number: self.number,
            gas_limit: 30_000_000,
            timestamp,
            base_fee_per_gas: Some(1_000_000),
            withdrawals_root: Some(self.rng.random::<[u8; 32]>().into()),
            blob_gas_used: Some(0),
            excess_blob_gas: Some(0),
            parent_beacon_block_root: Some(self.rng.random::<[u8; 32]>().into()),
            requests_hash: Some(B256::ZERO),
            ..Default::default()
        };
        self.head = header.hash_slow();
        (header, all)
    }

    /// A transfer, an ERC-20 transfer or a call with a few words of arguments, signed at random.
    pub fn transaction(&mut self) -> Bytes {
        let user = self.users[self.rng.random_range(0..self.users.len())];
        let token = self.tokens[self.rng.random_range(0..self.tokens.len())];
        let amount = U256::from(self.rng.random_range(1..1_000_000u64)) * U256::from(10u64.pow(12));
        let (to, value, input) = match self.rng.random_range(0..10u8) {
            0..4 => (user, amount, Bytes::new()),
            4..8 => (token, U256::ZERO, call([0xa9, 0x05, 0x9c, 0xbb], &[user.into_word(), amount.into()])),
            _ => {
                let deadline = U256::from(GENESIS + self.number * L2_BLOCK_TIME + 600);
                let path = [token.into_word(), user.into_word(), amount.into(), U256::ZERO.into(), deadline.into()];
                (token, U256::ZERO, call([0x38, 0xed, 0x17, 0x39], &path))
            }
        };
        let tx = TxEip1559 {
            chain_id: L2_CHAIN_ID,
            nonce: self.rng.random_range(0..3000),
            gas_limit: if input.is_empty() { 21_000 } else { self.rng.random_range(40_000..200_000) },
            max_fee_per_gas: self.rng.random_range(1_000_000..5_000_000),
            max_priority_fee_per_gas: 1_000_000,
            to: TxKind::Call(to),
            value,
            access_list: Default::default(),
            input,
        };
        tx.into_signed(self.signature()).encoded_2718().into()
    }

    /// A legacy transaction with that much calldata of random bytes, which don't compress.
    pub fn incompressible(&mut self, calldata: usize) -> Bytes {
        let mut input = vec![0u8; calldata];
        self.rng.fill_bytes(&mut input);
        self.legacy(input.into())
    }

    pub fn legacy(&mut self, input: Bytes) -> Bytes {
        let tx = TxLegacy { chain_id: Some(L2_CHAIN_ID), input, to: TxKind::Call(self.users[0]), ..Default::default() };
        tx.into_signed(self.signature()).encoded_2718().into()
    }

    fn signature(&mut self) -> Signature {
        let mut word = || U256::from_be_bytes(self.rng.random::<[u8; 32]>());
        Signature::new(word(), word() >> 1, self.rng.random())
    }
}

/// A raw L1-attributes deposit of Isthmus.
pub fn l1_attributes(origin: u64, sequence: u64) -> Bytes {
    let info = kona_protocol::L1BlockInfoIsthmus {
        number: origin,
        time: l1_timestamp(origin),
        block_hash: l1_hash(origin),
        sequence_number: sequence,
        base_fee: 1_000_000_000,
        ..Default::default()
    };
    let source = keccak256([l1_hash(origin).0, keccak256(sequence.to_be_bytes()).0].concat());
    let deposit = TxDeposit {
        source_hash: source,
        from: DEPOSITOR,
        to: TxKind::Call(L1_BLOCK),
        gas_limit: 1_000_000,
        input: info.encode_calldata(),
        ..Default::default()
    };
    deposit.encoded_2718().into()
}

/// RLP of a block: header, transactions (typed ones as strings), no ommers, no withdrawals.
pub fn encode_block(header: &Header, transactions: &[Bytes]) -> Bytes {
    let mut list = Vec::new();
    for raw in transactions {
        if raw.first().is_some_and(|byte| *byte >= 0xc0) {
            list.extend_from_slice(raw);
        } else {
            raw.encode(&mut list);
        }
    }
    let mut body = Vec::new();
    header.encode(&mut body);
    alloy_rlp::Header { list: true, payload_length: list.len() }.encode(&mut body);
    body.extend_from_slice(&list);
    body.extend([0xc0, 0xc0]);
    let mut out = Vec::new();
    alloy_rlp::Header { list: true, payload_length: body.len() }.encode(&mut out);
    out.extend_from_slice(&body);
    out.into()
}

fn call(selector: [u8; 4], words: &[B256]) -> Bytes {
    let mut input = selector.to_vec();
    for word in words {
        input.extend_from_slice(word.as_slice());
    }
    input.into()
}
