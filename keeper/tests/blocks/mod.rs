//! L2 blocks made by hand, with an L1-attributes deposit and nothing else.

use alloy::{
    consensus::{Block, BlockBody, Header, proofs::calculate_transaction_root},
    primitives::{B256, Bytes, TxKind, U256, address},
};
use alloy_rlp::Encodable;
use baton_batch::L2Block;
use baton_keeper::anchor::Anchor;
use op_alloy::consensus::{OpTxEnvelope, TxDeposit};

/// RLP of a block of deposits, at a number and time, on a parent, with an L1 origin. `salt` tells siblings apart.
pub(crate) fn block(number: u64, timestamp: u64, parent: B256, origin: Anchor, salt: u8) -> (L2Block, Bytes) {
    // Ecotone's packed L1 attributes.
    let mut input = vec![0u8; 164];
    input[..4].copy_from_slice(&[0x44, 0x0a, 0x5e, 0x20]);
    input[28..36].copy_from_slice(&origin.number.to_be_bytes());
    input[100..132].copy_from_slice(origin.hash.as_slice());
    let raw = raw_block(number, timestamp, parent, input, salt);
    (L2Block::from_rlp(&raw).expect("a block that can be posted"), raw)
}

/// RLP of a block of one deposit with some input.
pub(crate) fn raw_block(number: u64, timestamp: u64, parent: B256, input: Vec<u8>, salt: u8) -> Bytes {
    let deposit = TxDeposit {
        source_hash: B256::repeat_byte(salt),
        from: address!("0xDeaDDEaDDeAdDeAdDEAdDEaddeAddEAdDEAd0001"),
        to: TxKind::Call(address!("0x4200000000000000000000000000000000000015")),
        mint: 0,
        value: U256::ZERO,
        gas_limit: 1_000_000,
        is_system_transaction: false,
        input: input.into(),
    };
    let transactions = vec![OpTxEnvelope::from(deposit)];
    let header = Header {
        number,
        timestamp,
        parent_hash: parent,
        transactions_root: calculate_transaction_root(&transactions),
        base_fee_per_gas: Some(1),
        withdrawals_root: Some(B256::ZERO),
        blob_gas_used: Some(0),
        excess_blob_gas: Some(0),
        parent_beacon_block_root: Some(B256::ZERO),
        ..Header::default()
    };
    let body = BlockBody { transactions, ommers: vec![], withdrawals: Some(Default::default()) };
    let mut raw = Vec::new();
    Block::new(header, body).encode(&mut raw);
    Bytes::from(raw)
}
