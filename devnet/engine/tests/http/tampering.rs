//! A payload with one field changed and its hash recomputed, so that only the field's own rule can reject it.

use alloy::primitives::{B256, Bytes, U256};
use baton_devnet_engine::rpc::{engine_api::new_payload_v4, jsonrpc};
use serde_json::{Value, json};

use crate::harness::{Node, attributes_at, new_payload_params, transfer, wallet};

/// Sets `blockHash` to what the other fields hash to.
fn rehash(envelope: &mut Value) {
    let body = json!({ "jsonrpc": "2.0", "id": 1, "method": "m", "params": new_payload_params(envelope) }).to_string();
    let mut hash = B256::ZERO;
    jsonrpc::answer(body.as_bytes(), |_, params| {
        hash = new_payload_v4(params).unwrap().header().unwrap().hash_slow();
        Ok(Value::Null)
    });
    envelope["executionPayload"]["blockHash"] = json!(hash);
}

/// Builds a block with a transfer on one engine, lets `change` at its payload, and expects a second engine to reject
/// it with an error that names `field`; the unchanged payload is valid afterwards.
async fn assert_rejected(field: &str, change: impl FnOnce(&mut Value)) {
    let (builder, validator) = (Node::start().await, Node::start().await);
    builder.send(transfer(0, 0, wallet(1).address(), U256::from(5))).await;
    let parent = builder.engine.head().hash();
    let envelope = builder.build(parent, &attributes_at(1)).await;
    assert_eq!(envelope["executionPayload"]["transactions"].as_array().unwrap().len(), 2);

    let mut tampered = envelope.clone();
    change(&mut tampered["executionPayload"]);
    assert_ne!(tampered, envelope, "nothing was changed");
    rehash(&mut tampered);
    let status = validator.new_payload(&tampered).await;
    assert_eq!(status["status"], "INVALID", "{status}");
    assert_eq!(status["latestValidHash"], json!(parent));
    let error = status["validationError"].as_str().unwrap();
    assert!(error.contains(field), "expected {field} in: {error}");

    let status = validator.new_payload(&envelope).await;
    assert_eq!(status["status"], "VALID", "{status}");
}

#[tokio::test]
async fn wrong_state_root() {
    assert_rejected("stateRoot", |payload| payload["stateRoot"] = json!(B256::repeat_byte(1))).await;
}

#[tokio::test]
async fn wrong_receipts_root() {
    assert_rejected("receiptsRoot", |payload| payload["receiptsRoot"] = json!(B256::repeat_byte(1))).await;
}

#[tokio::test]
async fn wrong_logs_bloom() {
    let bloom = format!("0x{}", "01".repeat(256));
    assert_rejected("logsBloom", |payload| payload["logsBloom"] = json!(bloom)).await;
}

#[tokio::test]
async fn wrong_gas_used() {
    assert_rejected("gasUsed", |payload| payload["gasUsed"] = json!("0x5208")).await;
}

#[tokio::test]
async fn gas_used_above_the_limit() {
    assert_rejected("gasLimit", |payload| payload["gasUsed"] = json!("0x1c9c381")).await;
}

#[tokio::test]
async fn extra_data_of_another_version() {
    assert_rejected("extraData", |payload| payload["extraData"] = json!("0x01000000fa00000006")).await;
}

#[tokio::test]
async fn extra_data_without_denominator() {
    assert_rejected("extraData", |payload| payload["extraData"] = json!("0x000000000000000006")).await;
}

#[tokio::test]
async fn wrong_base_fee() {
    assert_rejected("baseFeePerGas", |payload| payload["baseFeePerGas"] = json!("0x3b5dc101")).await;
}

#[tokio::test]
async fn wrong_withdrawals_root() {
    assert_rejected("withdrawalsRoot", |payload| payload["withdrawalsRoot"] = json!(B256::repeat_byte(1))).await;
}

#[tokio::test]
async fn wrong_number() {
    assert_rejected("blockNumber", |payload| payload["blockNumber"] = json!("0x2")).await;
}

#[tokio::test]
async fn time_that_stands_still() {
    assert_rejected("timestamp", |payload| payload["timestamp"] = json!("0x6553f100")).await;
}

#[tokio::test]
async fn blob_gas() {
    assert_rejected("blobGasUsed", |payload| payload["blobGasUsed"] = json!("0x20000")).await;
}

#[tokio::test]
async fn excess_blob_gas() {
    assert_rejected("excessBlobGas", |payload| payload["excessBlobGas"] = json!("0x1")).await;
}

#[tokio::test]
async fn a_transaction_left_out() {
    assert_rejected("gasUsed", |payload| {
        payload["transactions"].as_array_mut().unwrap().pop();
    })
    .await;
}

#[tokio::test]
async fn a_transaction_exchanged() {
    // Same gas and same receipt: only the state tells that somebody else was paid.
    let other = transfer(0, 0, wallet(2).address(), U256::from(5));
    assert_rejected("stateRoot", |payload| payload["transactions"][1] = json!(other)).await;
}

#[tokio::test]
async fn a_transaction_that_cannot_execute() {
    let gapped = transfer(0, 1, wallet(1).address(), U256::from(5));
    assert_rejected("can't be executed", |payload| payload["transactions"][1] = json!(gapped)).await;
}

#[tokio::test]
async fn a_transaction_that_does_not_decode() {
    assert_rejected("transactions[1]", |payload| payload["transactions"][1] = json!(Bytes::from_static(&[2, 1]))).await;
}

#[tokio::test]
async fn another_hash_than_the_fields_have() {
    let (builder, validator) = (Node::start().await, Node::start().await);
    let mut envelope = builder.build(builder.engine.head().hash(), &attributes_at(1)).await;
    envelope["executionPayload"]["blockHash"] = json!(B256::repeat_byte(9));
    let status = validator.new_payload(&envelope).await;
    assert_eq!(status["status"], "INVALID");
    assert_eq!(status["latestValidHash"], Value::Null);
    assert!(status["validationError"].as_str().unwrap().contains("blockHash"), "{status}");
}

/// From Isthmus on no header field commits to the list of withdrawals, so that the block's hash must not be held
/// against the block itself.
#[tokio::test]
async fn a_withdrawal_is_rejected_without_a_grudge_against_the_hash() {
    let (builder, validator) = (Node::start().await, Node::start().await);
    let envelope = builder.build(builder.engine.head().hash(), &attributes_at(1)).await;
    let mut tampered = envelope.clone();
    tampered["executionPayload"]["withdrawals"] = json!([
        { "index": "0x0", "validatorIndex": "0x0", "address": wallet(0).address(), "amount": "0x1" }
    ]);
    let status = validator.new_payload(&tampered).await;
    assert_eq!((&status["status"], &status["latestValidHash"]), (&json!("INVALID"), &Value::Null));
    assert!(status["validationError"].as_str().unwrap().contains("withdrawals"), "{status}");
    assert_eq!(validator.new_payload(&envelope).await["status"], "VALID");
}

#[tokio::test]
async fn children_of_an_invalid_block_are_invalid_too() {
    let (builder, validator) = (Node::start().await, Node::start().await);
    let parent = builder.engine.head().hash();
    let mut bad = builder.build(parent, &attributes_at(1)).await;
    bad["executionPayload"]["stateRoot"] = json!(B256::repeat_byte(1));
    rehash(&mut bad);
    assert_eq!(validator.new_payload(&bad).await["status"], "INVALID");

    builder.advance_by_one().await;
    let mut child = builder.build(builder.engine.head().hash(), &attributes_at(2)).await;
    child["executionPayload"]["parentHash"] = bad["executionPayload"]["blockHash"].clone();
    rehash(&mut child);
    for bad in [&child, &bad] {
        let status = validator.new_payload(bad).await;
        assert_eq!((&status["status"], &status["latestValidHash"]), (&json!("INVALID"), &json!(parent)));
        let head: B256 = serde_json::from_value(bad["executionPayload"]["blockHash"].clone()).unwrap();
        assert_eq!(validator.set_head(head).await["payloadStatus"]["status"], "INVALID");
    }
    assert_eq!(validator.engine.head().hash(), parent);
}
