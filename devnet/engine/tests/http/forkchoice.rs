//! Heads, branches and labels.

use alloy::primitives::{B256, U256};
use serde_json::{Value, json};

use crate::harness::{Node, attributes_at, attributes_with, block_hash, l1_info, transactions, transfer, wallet};

async fn number_of(node: &Node, tag: &str) -> Value {
    node.call("eth_getBlockByNumber", json!([tag, false])).await["number"].clone()
}

#[tokio::test]
async fn block_of_one_engine_becomes_the_head_of_another() {
    let (builder, follower) = (Node::start().await, Node::start().await);
    builder.send(transfer(0, 0, wallet(1).address(), U256::from(5))).await;
    for _ in 0..3 {
        let envelope = builder.advance_by_one().await;
        let status = follower.new_payload(&envelope).await;
        assert_eq!(status["status"], "VALID", "{status}");
        assert_eq!(status["latestValidHash"], envelope["executionPayload"]["blockHash"]);
        let answer = follower.set_head(block_hash(&envelope)).await;
        assert_eq!(answer["payloadStatus"]["status"], "VALID");
    }
    assert_eq!(follower.engine.head().hash(), builder.engine.head().hash());
    assert_eq!(follower.engine.head().state.root(), builder.engine.head().state.root());
    assert_eq!(number_of(&follower, "latest").await, "0x3");
}

#[tokio::test]
async fn unknown_parent_and_unknown_head_are_syncing_and_kept_out() {
    let (builder, follower) = (Node::start().await, Node::start().await);
    let first = builder.advance_by_one().await;
    let second = builder.advance_by_one().await;
    let status = follower.new_payload(&second).await;
    assert_eq!((&status["status"], &status["latestValidHash"]), (&json!("SYNCING"), &Value::Null));
    let answer = follower.set_head(block_hash(&second)).await;
    assert_eq!(answer["payloadStatus"]["status"], "SYNCING");
    assert_eq!(answer["payloadId"], Value::Null);
    assert!(follower.engine.block(block_hash(&second)).is_none());
    assert_eq!(follower.engine.head().number(), 0);

    // Once the gap is filled the same block is valid.
    for envelope in [&first, &second] {
        assert_eq!(follower.new_payload(envelope).await["status"], "VALID");
    }
}

#[tokio::test]
async fn reorg_to_a_sibling_and_back() {
    let node = Node::start().await;
    let hash = node.send(transfer(0, 0, wallet(3).address(), U256::from(5))).await;
    let before = node.balance(wallet(3).address()).await;
    let genesis = node.engine.head().hash();
    let first = node.advance_by_one().await;
    assert_eq!(node.balance(wallet(3).address()).await, before + U256::from(5));

    let mut without_pool = attributes_at(1);
    without_pool["noTxPool"] = json!(true);
    let sibling = node.build(genesis, &without_pool).await;
    assert_eq!(node.new_payload(&sibling).await["status"], "VALID");
    node.set_head(block_hash(&sibling)).await;
    assert_eq!(node.balance(wallet(3).address()).await, before);
    assert_eq!(node.call("eth_getTransactionReceipt", json!([hash])).await, Value::Null);
    let canonical = node.call("eth_getBlockByNumber", json!(["0x1", false])).await;
    assert_eq!(canonical["hash"], sibling["executionPayload"]["blockHash"]);
    // The transaction that lost its block waits again, and comes back with the next one.
    let pending = node.call("eth_getTransactionByHash", json!([hash])).await;
    assert_eq!((&pending["hash"], &pending["blockHash"]), (&hash, &Value::Null));
    let second = node.build(block_hash(&sibling), &attributes_at(2)).await;
    assert_eq!(transactions(&second).len(), 2);

    node.set_head(block_hash(&first)).await;
    assert_eq!(node.balance(wallet(3).address()).await, before + U256::from(5));
    let receipt = node.call("eth_getTransactionReceipt", json!([hash])).await;
    assert_eq!(receipt["blockHash"], first["executionPayload"]["blockHash"]);
    assert_eq!(node.call("txpool_status", json!([])).await, json!({ "pending": "0x0", "queued": "0x0" }));
}

#[tokio::test]
async fn head_goes_back_to_an_ancestor() {
    let node = Node::start().await;
    let first = node.advance_by_one().await;
    node.advance_by_one().await;
    node.set_head(block_hash(&first)).await;
    assert_eq!(number_of(&node, "latest").await, "0x1");
    assert_eq!(node.call("eth_getBlockByNumber", json!(["0x2", false])).await, Value::Null);
    node.advance(&attributes_with(2, &[l1_info(9, 0, 0)])).await;
    assert_eq!(number_of(&node, "latest").await, "0x2");
}

#[tokio::test]
async fn safe_and_finalized_are_null_until_named_and_must_be_ancestors() {
    let node = Node::start().await;
    let genesis = node.engine.head().hash();
    for label in ["safe", "finalized"] {
        assert_eq!(node.call("eth_getBlockByNumber", json!([label, false])).await, Value::Null);
    }
    let first = block_hash(&node.advance_by_one().await);
    let second = block_hash(&node.advance_by_one().await);
    let state = |head: B256, safe: B256, finalized: B256| json!([{ "headBlockHash": head, "safeBlockHash": safe, "finalizedBlockHash": finalized }, null]);
    node.call("engine_forkchoiceUpdatedV3", state(second, first, genesis)).await;
    assert_eq!(number_of(&node, "safe").await, "0x1");
    assert_eq!(number_of(&node, "finalized").await, "0x0");

    for (safe, finalized, field) in [
        (B256::repeat_byte(1), genesis, "safeBlockHash"),
        (second, genesis, "safeBlockHash"),
        (genesis, second, "finalizedBlockHash"),
    ] {
        let (code, message) = node.error("engine_forkchoiceUpdatedV3", state(first, safe, finalized)).await;
        assert_eq!(code, -38002);
        assert!(message.contains(field), "{message}");
    }
    assert_eq!(node.engine.head().hash(), second, "a refused update changes nothing");
}

#[tokio::test]
async fn bodies_are_served_by_hash_and_range() {
    let node = Node::start().await;
    let first = node.advance_by_one().await;
    let second = node.advance_by_one().await;
    let body = |envelope: &Value| json!({ "transactions": transactions(envelope), "withdrawals": [] });
    let by_hash = json!([[block_hash(&second), B256::repeat_byte(1), block_hash(&first)]]);
    assert_eq!(node.call("engine_getPayloadBodiesByHashV1", by_hash).await, json!([body(&second), null, body(&first)]));
    assert_eq!(
        node.call("engine_getPayloadBodiesByRangeV1", json!(["0x1", "0x10"])).await,
        json!([body(&first), body(&second)])
    );
    assert_eq!(node.error("engine_getPayloadBodiesByRangeV1", json!(["0x0", "0x1"])).await.0, -32602);
    assert_eq!(node.error("engine_getPayloadBodiesByRangeV1", json!(["0x1", "0x401"])).await.0, -38004);
}
