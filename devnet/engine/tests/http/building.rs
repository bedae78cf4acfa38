//! Payloads from attributes.

use alloy::{
    eips::eip2718::{Decodable2718, Encodable2718},
    primitives::{B256, Bytes, TxKind, U256},
};
use baton_devnet_engine::Fork;
use op_alloy::consensus::OpTxEnvelope;
use serde_json::{Value, json};

use crate::harness::{
    GWEI, Node, attributes_at, attributes_with, block_hash, genesis, l1_info, sign, transaction, transactions,
    transfer, wallet,
};

#[tokio::test]
async fn transactions_that_arrive_after_the_start_are_included() {
    let node = Node::start().await;
    let id = node.start_building(node.engine.head().hash(), &attributes_at(1)).await;
    let late = transfer(0, 0, wallet(1).address(), U256::from(5));
    node.send(late.clone()).await;
    let envelope = node.call("engine_getPayloadV4", json!([id])).await;
    assert_eq!(transactions(&envelope)[1], late);
    assert_eq!(node.new_payload(&envelope).await["status"], "VALID");
}

#[tokio::test]
async fn a_payload_once_handed_out_never_changes() {
    let node = Node::start().await;
    let id = node.start_building(node.engine.head().hash(), &attributes_at(1)).await;
    let envelope = node.call("engine_getPayloadV4", json!([id])).await;
    node.send(transfer(0, 0, wallet(1).address(), U256::from(5))).await;
    assert_eq!(node.call("engine_getPayloadV4", json!([id])).await, envelope);
}

#[tokio::test]
async fn same_attributes_and_parent_give_the_same_id_others_another() {
    let node = Node::start().await;
    let parent = node.engine.head().hash();
    let id = node.start_building(parent, &attributes_at(1)).await;
    assert_eq!(node.start_building(parent, &attributes_at(1)).await, id);
    assert!(id.as_str().unwrap().starts_with("0x03"), "{id}");
    assert_ne!(node.start_building(parent, &attributes_with(1, &[l1_info(9, 0, 0)])).await, id);
}

#[tokio::test]
async fn no_tx_pool_takes_forced_transactions_only() {
    let node = Node::start().await;
    node.send(transfer(0, 0, wallet(1).address(), U256::from(5))).await;
    let mut attributes = attributes_at(1);
    attributes["noTxPool"] = json!(true);
    let id = node.start_building(node.engine.head().hash(), &attributes).await;
    node.send(transfer(1, 0, wallet(0).address(), U256::from(5))).await;
    let envelope = node.call("engine_getPayloadV4", json!([id])).await;
    assert_eq!(transactions(&envelope), [l1_info(1, 0, 0)]);
}

#[tokio::test]
async fn forced_transactions_come_first_then_the_best_paying() {
    let node = Node::start().await;
    let tipped = |from: u8, nonce: u64, tip: u128| {
        let to = TxKind::Call(wallet(3).address());
        let transaction = transaction(nonce, to, U256::from(1), Bytes::new());
        sign(&wallet(from), alloy::consensus::TxEip1559 { max_priority_fee_per_gas: tip, ..transaction })
    };
    let forced = tipped(2, 0, 1);
    let (low, high, second_of_high) = (tipped(0, 0, 1000), tipped(1, 0, 2000), tipped(1, 1, 500));
    for transaction in [&second_of_high, &low, &high] {
        node.send(transaction.clone()).await;
    }
    let attributes = attributes_with(1, &[l1_info(1, 0, 0), forced.clone()]);
    let envelope = node.advance(&attributes).await;
    assert_eq!(transactions(&envelope), [l1_info(1, 0, 0), forced, high, low, second_of_high]);
    let tips = |gas: u64, tip: u64| U256::from(gas) * U256::from(tip);
    let value: U256 = serde_json::from_value(envelope["blockValue"].clone()).unwrap();
    assert_eq!(value, tips(21_000, 1 + 1000 + 2000 + 500));
}

#[tokio::test]
async fn blocks_end_at_the_gas_limit() {
    let node = Node::start().await;
    for nonce in 0..4 {
        node.send(transfer(0, nonce, wallet(1).address(), U256::from(1))).await;
    }
    let mut attributes = attributes_at(1);
    // The deposit declares a million, a transfer 200,000 of which it uses 21,000.
    attributes["gasLimit"] = json!("0x100000");
    let envelope = node.advance(&attributes).await;
    assert_eq!(transactions(&envelope).len(), 5, "gas used counts, not gas declared");
    assert_eq!(envelope["executionPayload"]["gasLimit"], "0x100000");

    for nonce in 4..8 {
        node.send(transfer(0, nonce, wallet(1).address(), U256::from(1))).await;
    }
    let mut attributes = attributes_with(2, &[]);
    attributes["gasLimit"] = json!(format!("{:#x}", 200_000 + 2 * 21_000));
    let envelope = node.advance(&attributes).await;
    assert_eq!(transactions(&envelope).len(), 3, "the fourth no longer fits");
    assert_eq!(transactions(&node.advance_by_one().await).len(), 2);
}

#[tokio::test]
async fn pool_transactions_that_became_unexecutable_are_left_out() {
    let node = Node::start().await;
    let all = U256::from(99) * crate::harness::ether();
    node.send(transfer(0, 0, wallet(1).address(), all)).await;
    // Enough when it arrives, not once the first has been executed; its successor is stuck behind it.
    node.send(transfer(0, 1, wallet(1).address(), all)).await;
    node.send(transfer(0, 2, wallet(1).address(), U256::from(1))).await;
    node.send(transfer(2, 0, wallet(1).address(), U256::from(1))).await;
    let envelope = node.advance_by_one().await;
    assert_eq!(transactions(&envelope).len(), 3, "deposit and one transfer of each sender");
}

#[tokio::test]
async fn unexecutable_forced_transactions_are_invalid_attributes() {
    let node = Node::start().await;
    let genesis = node.engine.head().hash();
    let gapped = transfer(0, 3, wallet(1).address(), U256::from(1));
    for (transactions, reason) in [
        (vec![l1_info(1, 0, 0), gapped], "transaction 1"),
        (vec![Bytes::from_static(&[0x02, 0xff])], "transactions[0]"),
    ] {
        let state = json!({ "headBlockHash": genesis, "safeBlockHash": genesis, "finalizedBlockHash": genesis });
        let params = json!([state, attributes_with(1, &transactions)]);
        let (code, message) = node.error("engine_forkchoiceUpdatedV3", params).await;
        assert_eq!(code, -38003);
        assert!(message.contains(reason), "{message}");
    }
    assert_eq!(node.engine.safe().map(|block| block.hash()), Some(genesis), "the forkchoice itself holds");
}

#[tokio::test]
async fn attributes_must_fit_the_fork() {
    let node = Node::start().await;
    let head = node.engine.head().hash();
    let cases: [(&str, Value, &str); 8] = [
        ("gasLimit", Value::Null, "gasLimit"),
        ("withdrawals", Value::Null, "withdrawals"),
        ("parentBeaconBlockRoot", Value::Null, "parentBeaconBlockRoot"),
        ("eip1559Params", Value::Null, "eip1559Params"),
        ("eip1559Params", json!("0x0000000000000006"), "denominator"),
        ("minBaseFee", json!(0), "minBaseFee"),
        ("timestamp", json!("0x6553f100"), "timestamp"),
        ("transactions", json!("0x"), "transactions"),
    ];
    for (field, value, expected) in cases {
        let mut attributes = attributes_at(1);
        attributes[field] = value;
        let state = json!({ "headBlockHash": head, "safeBlockHash": head, "finalizedBlockHash": head });
        let (code, message) = node.error("engine_forkchoiceUpdatedV3", json!([state, attributes])).await;
        assert_eq!(code, -38003, "{field}: {message}");
        if field != "transactions" {
            assert!(message.contains(expected), "{field}: {message}");
        }
    }
}

#[tokio::test]
async fn zero_fee_parameters_mean_the_chains_own() {
    let node = Node::start().await;
    let mut attributes = attributes_at(1);
    attributes["eip1559Params"] = json!("0x0000000000000000");
    let envelope = node.advance(&attributes).await;
    assert_eq!(envelope["executionPayload"]["extraData"], "0x00000000fa00000006");
}

#[tokio::test]
async fn base_fee_follows_the_parents_parameters() {
    let node = Node::start().await;
    let mut attributes = attributes_at(1);
    // Denominator 2, elasticity 1: an almost empty block lowers the next base fee by nearly half.
    attributes["eip1559Params"] = json!("0x0000000200000001");
    let first = node.advance(&attributes).await;
    let second = node.advance_by_one().await;
    let fee = |envelope: &Value| {
        serde_json::from_value::<U256>(envelope["executionPayload"]["baseFeePerGas"].clone()).unwrap().to::<u128>()
    };
    assert_eq!(fee(&first), GWEI - GWEI / 250, "genesis has the chain's own parameters");
    let used = node.engine.block(block_hash(&first)).unwrap().header.gas_used as u128;
    let target = 30_000_000;
    assert_eq!(fee(&second), fee(&first) - fee(&first) * (target - used) / target / 2);
}

#[tokio::test]
async fn jovian_keeps_the_minimum_base_fee_and_counts_the_data_footprint() {
    let node = Node::with_genesis(&genesis(Fork::Jovian)).await;
    let fee = |envelope: &Value| {
        serde_json::from_value::<U256>(envelope["executionPayload"]["baseFeePerGas"].clone()).unwrap().to::<u128>()
    };
    // Jovian's deposit layout: the Isthmus fields, then the footprint scalar.
    let mut info = OpTxEnvelope::decode_2718(&mut l1_info(1, 0, 0).as_ref())
        .map(|envelope| envelope.as_deposit().unwrap().inner().clone())
        .unwrap();
    let mut input = info.input.to_vec();
    input[..4].copy_from_slice(&[0x3d, 0xb6, 0xbe, 0x2b]);
    input.extend_from_slice(&60_000u16.to_be_bytes());
    info.input = input.into();
    let info: Bytes = OpTxEnvelope::from(info).encoded_2718().into();

    let mut attributes = attributes_with(1, &[info]);
    attributes["minBaseFee"] = json!(0);
    node.send(transfer(0, 0, wallet(1).address(), U256::from(5))).await;
    let first = node.advance(&attributes).await;
    assert_eq!(transactions(&first).len(), 2);
    // A transaction's estimated compressed size is at least 100 bytes (Fjord).
    let footprint = 100 * 60_000;
    assert_eq!(first["executionPayload"]["blobGasUsed"], json!(format!("{footprint:#x}")));

    // The footprint is above the target where the gas is far below it: the base fee rises.
    let mut attributes = attributes_at(2);
    attributes["minBaseFee"] = json!(5 * GWEI as u64);
    let second = node.advance(&attributes).await;
    let target = 30_000_000 / 6;
    assert_eq!(fee(&second), fee(&first) + fee(&first) * (footprint - target) / target / 250);

    let mut attributes = attributes_at(3);
    attributes["minBaseFee"] = json!(0);
    assert_eq!(fee(&node.advance(&attributes).await), 5 * GWEI);
}

#[tokio::test]
async fn unknown_payload_ids_are_answered_as_such() {
    let node = Node::start().await;
    assert_eq!(node.error("engine_getPayloadV4", json!(["0x0300000000000000"])).await.0, -38001);
    assert_eq!(node.error("engine_getPayloadV4", json!(["0x03"])).await.0, -32602);
    let unknown = json!([{
        "headBlockHash": B256::repeat_byte(1), "safeBlockHash": B256::ZERO, "finalizedBlockHash": B256::ZERO,
    }, attributes_at(1)]);
    let answer = node.call("engine_forkchoiceUpdatedV3", unknown).await;
    assert_eq!((&answer["payloadStatus"]["status"], &answer["payloadId"]), (&json!("SYNCING"), &Value::Null));
}
