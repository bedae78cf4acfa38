//! What gateways are told beside blocks and heads: transactions, and limits for building.

use crate::{
    node::{Fault, GENESIS, Node},
    stand::{GATEWAYS, Options, Stand, snapshot},
    updates::{hash, payload},
};
use baton_portal::Secret;
use serde_json::json;

#[tokio::test]
async fn transactions_go_to_everybody_and_the_fallback_answers() {
    let stand = Stand::start().await;
    let answer = stand.call("eth_sendRawTransaction", json!(["0x02f8"])).await;
    assert_eq!(answer["result"]["by"], "fallback");
    for node in &stand.gateways {
        node.wait_for("eth_sendRawTransaction", 1).await;
    }
}

#[tokio::test]
async fn transactions_are_not_held_up_by_blocks_nor_blocks_by_transactions() {
    let stand = Stand::start().await;
    let node = &stand.gateways[0];
    node.fail("eth_sendRawTransaction", Fault::Held);
    for _ in 0..3 {
        stand.call("eth_sendRawTransaction", json!(["0x02f8"])).await;
    }
    stand.call("engine_newPayloadV4", payload(1, GENESIS)).await;
    node.wait_for("engine_newPayload", 1).await;
}

#[tokio::test]
async fn transactions_are_on_their_way_to_a_far_gateway_together() {
    const AT_ONCE: usize = 32;
    let stand = Stand::start().await;
    let [far, near] = &stand.gateways;
    far.fail("eth_sendRawTransaction", Fault::Held);
    for number in 0..AT_ONCE + 8 {
        stand.call("eth_sendRawTransaction", json!([format!("0x{number:x}")])).await;
    }
    // None of them is answered yet.
    far.wait_for("eth_sendRawTransaction", AT_ONCE).await;
    near.wait_for("eth_sendRawTransaction", AT_ONCE + 8).await;
    stand.call("engine_newPayloadV4", payload(1, GENESIS)).await;
    far.wait_for("engine_newPayload", 1).await;
    assert_eq!(far.arrived("eth_sendRawTransaction").len(), AT_ONCE);
    far.release();
    far.wait_for("eth_sendRawTransaction", AT_ONCE + 8).await;
}

#[tokio::test]
async fn limits_for_building_are_not_lost_among_transactions_and_the_latest_counts() {
    let mut stand = Stand::start_with(Options { queue: 2, ..Options::DEFAULT }).await;
    let node = &stand.gateways[0];
    node.fail("eth_sendRawTransaction", Fault::Held);
    node.fail("miner_", Fault::Held);
    for _ in 0..40 {
        stand.call("eth_sendRawTransaction", json!(["0x02f8"])).await;
    }
    stand.call("miner_setMaxDASize", json!(["0x1", "0x1"])).await;
    node.wait_for("miner_", 1).await;
    for (method, limit) in [("miner_setMaxDASize", "0x2"), ("miner_setGasLimit", "0x7"), ("miner_setMaxDASize", "0x3")]
    {
        stand.call(method, json!([limit, limit])).await;
    }
    node.release();
    let told = |calls: Vec<crate::node::Arrived>| -> Vec<_> {
        calls.iter().map(|call| call.json["params"][0].as_str().unwrap_or_default().to_owned()).collect()
    };
    assert_eq!(told(node.wait_for("miner_", 3).await), ["0x1", "0x7", "0x3"]);

    // Away for a while, it may have forgotten.
    let address = node.address;
    stand.gateways[0].stop().await;
    stand.call("engine_newPayloadV4", payload(1, GENESIS)).await;
    stand.wait_for_gateway(|gateway| gateway["last"] == "connection").await;
    stand.gateways[0] = Node::start_at("gateway 1", 4, Secret::new(GATEWAYS), address).await;
    stand.call("engine_newPayloadV4", payload(2, hash(1))).await;
    assert_eq!(told(stand.gateways[0].wait_for("miner_", 2).await), ["0x7", "0x3"]);

    // Elsewhere, it never knew.
    let moved = Node::start("gateway 2, elsewhere", 4, Secret::new(GATEWAYS)).await;
    stand.publisher.publish(snapshot([stand.gateways[0].url(), moved.url()]));
    assert_eq!(told(moved.wait_for("miner_", 2).await), ["0x7", "0x3"]);
}

#[tokio::test]
async fn limits_for_building_reach_gateways() {
    let stand = Stand::start().await;
    stand.call("miner_setMaxDASize", json!(["0x1", "0x1"])).await;
    for node in [&stand.fallback, &stand.gateways[0], &stand.gateways[1]] {
        node.wait_for("miner_setMaxDASize", 1).await;
    }
}
