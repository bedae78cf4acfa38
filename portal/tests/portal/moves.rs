//! Gateways that get another address, or lanes that get other settings, between a block's order and its payload.

use crate::{
    node::{Fault, GENESIS, Node},
    stand::{GATEWAYS, OpNode, Options, Stand, builder, info, snapshot, write_config},
    updates::{hash, payload},
};
use baton_portal::{Config, Secret};
use serde_json::json;
use std::time::Duration;

/// Gateway 1 moves to a place of its own.
async fn move_gateway(stand: &Stand) -> Node {
    let place = Node::start("another place", 5, Secret::new(GATEWAYS)).await;
    let to = place.url();
    stand.publish(|urls| {
        let mut moved = snapshot(urls);
        moved.gateways.insert(1, info(1, to.clone()));
        moved
    });
    // A lane that is opened begins with the head.
    place.wait_for("engine_forkchoiceUpdated", 1).await;
    place
}

#[tokio::test]
async fn a_payload_is_got_where_it_was_ordered() {
    let stand = Stand::start().await;
    let id = stand.order(GENESIS, 1).await;
    stand.gateways[0].wait_for("engine_forkchoiceUpdated", 1).await;
    let place = move_gateway(&stand).await;
    assert_eq!(builder(&stand.payload(&id).await), "gateway 1", "{}", stand.decision().await);
    assert!(place.arrived("engine_getPayload").is_empty());
    // The next one is ordered, and got, at the new place.
    assert_eq!(builder(&stand.block(GENESIS, 2).await), "another place");
    assert_eq!(stand.decision().await["owner"], 1);
}

#[tokio::test]
async fn a_place_that_was_left_is_no_fault() {
    // The breaker would open at once.
    let gateways = "[gateways.breaker]\nlate = 1";
    let mut stand = Stand::start_with(Options { gateways, ..Options::DEFAULT }).await;
    let id = stand.order(GENESIS, 1).await;
    stand.gateways[0].wait_for("engine_forkchoiceUpdated", 1).await;
    let _place = move_gateway(&stand).await;
    stand.gateways[0].stop().await;
    assert_eq!(builder(&stand.payload(&id).await), "fallback");
    let decision = stand.decision().await;
    assert_eq!(decision["outcome"], "lane_closed", "{decision}");
    assert_eq!(builder(&stand.block(GENESIS, 2).await), "another place");
}

#[tokio::test]
async fn an_answer_that_is_still_awaited_at_the_old_place_counts() {
    let stand = Stand::start().await;
    stand.gateways[0].fail("engine_forkchoiceUpdated", Fault::Held);
    let id = stand.order(GENESIS, 1).await;
    stand.gateways[0].wait_for("engine_forkchoiceUpdated", 1).await;
    let _place = move_gateway(&stand).await;
    let (answer, ()) = tokio::join!(stand.payload(&id), async { stand.gateways[0].release() });
    assert_eq!(builder(&answer), "gateway 1", "{}", stand.decision().await);
}

#[tokio::test]
async fn a_lane_that_is_closed_sends_nothing_more() {
    const AT_ONCE: usize = 32;
    let stand = Stand::start().await;
    let node = &stand.gateways[0];
    node.fail("", Fault::Held);
    let id = stand.order(GENESIS, 1).await;
    node.wait_for("engine_forkchoiceUpdated", 1).await;
    // All of it waits behind what the gateway doesn't answer.
    for (number, parent) in [(1, GENESIS), (2, hash(1)), (3, hash(2))] {
        stand.call("engine_newPayloadV4", payload(number, parent)).await;
    }
    for number in 0..AT_ONCE + 8 {
        stand.call("eth_sendRawTransaction", json!([format!("0x{number:x}")])).await;
    }
    node.wait_for("eth_sendRawTransaction", AT_ONCE).await;
    stand.call("miner_setMaxDASize", json!(["0x1", "0x1"])).await;
    node.wait_for("miner_", 1).await;
    stand.call("miner_setMaxDASize", json!(["0x2", "0x2"])).await;
    for mode in ["disabled", "enabled"] {
        stand.debug("debug_setExecutionMode", json!([{"execution_mode": mode, "gateway": 1}])).await;
    }
    node.release();
    // What was on its way is answered, and the block got.
    assert_eq!(builder(&stand.payload(&id).await), "gateway 1", "{}", stand.decision().await);
    for (number, parent) in [(4, hash(3)), (5, hash(4))] {
        stand.call("engine_newPayloadV4", payload(number, parent)).await;
    }
    // The lane that was opened begins with the latest of each.
    let blocks = node.wait_for("engine_newPayload", 3).await;
    let numbers: Vec<_> = blocks.iter().map(|call| call.json["params"][0]["blockNumber"].clone()).collect();
    assert_eq!(numbers, ["0x3", "0x4", "0x5"]);
    let limits: Vec<_> = node.wait_for("miner_", 2).await.iter().map(|call| call.json["params"][0].clone()).collect();
    assert_eq!(limits, ["0x1", "0x2"]);
    assert_eq!(node.arrived("eth_sendRawTransaction").len(), AT_ONCE);
}

#[tokio::test]
async fn what_is_under_way_in_a_lane_that_is_closed_is_answered() {
    let stand = Stand::start().await;
    // No block was ordered here: nobody keeps the lane for a payload's sake.
    let node = &stand.gateways[1];
    node.fail("", Fault::Held);
    for (method, params) in [
        ("engine_newPayloadV4", payload(1, GENESIS)),
        ("eth_sendRawTransaction", json!(["0x02f8"])),
        ("miner_setMaxDASize", json!(["0x1", "0x1"])),
    ] {
        stand.call(method, params).await;
        node.wait_for(method, 1).await;
    }
    stand.debug("debug_setExecutionMode", json!([{"execution_mode": "disabled", "gateway": 2}])).await;
    // Long enough for a connection to be given up, and for the node to see it.
    tokio::time::sleep(Duration::from_millis(200)).await;
    node.release();
    let answered = async {
        while node.answered_late() < 3 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    assert!(tokio::time::timeout(Duration::from_secs(10), answered).await.is_ok(), "{}", node.answered_late());
}

#[tokio::test]
async fn what_is_answered_at_a_place_that_was_left_is_no_fault() {
    for fault in [Fault::Error, Fault::Garbage] {
        let stand = Stand::start().await;
        let id = stand.order(GENESIS, 1).await;
        stand.gateways[0].wait_for("engine_forkchoiceUpdated", 1).await;
        let _place = move_gateway(&stand).await;
        // Another engine is there by now, or something else.
        stand.gateways[0].fail("engine_getPayload", fault);
        assert_eq!(builder(&stand.payload(&id).await), "fallback");
        let decision = stand.decision().await;
        assert_eq!(decision["outcome"], "lane_closed", "{decision}");
        assert_eq!(builder(&stand.block(GENESIS, 2).await), "another place");
    }
}

#[tokio::test]
async fn an_order_that_waits_in_a_lane_that_is_closed_is_no_fault() {
    let stand = Stand::start_with(Options { gateways: "[gateways.breaker]\nlate = 1", ..Options::DEFAULT }).await;
    stand.gateways[0].fail("engine_newPayload", Fault::Held);
    stand.call("engine_newPayloadV4", payload(1, GENESIS)).await;
    stand.gateways[0].wait_for("engine_newPayload", 1).await;
    let id = stand.order(GENESIS, 1).await;
    let _place = move_gateway(&stand).await;
    assert_eq!(builder(&stand.payload(&id).await), "fallback");
    let decision = stand.decision().await;
    assert_eq!(decision["outcome"], "lane_closed", "{decision}");
    stand.gateways[0].release();
    assert_eq!(builder(&stand.block(GENESIS, 2).await), "another place");
    assert!(stand.gateways[0].arrived("engine_forkchoiceUpdated").is_empty());
}

#[tokio::test]
async fn a_reload_costs_no_block() {
    let mut stand = Stand::start().await;
    let changed = write_config(&stand.secrets, &stand.fallback.url(), &Options { queue: 65, ..Options::DEFAULT });
    stand.gateways[0].fail("engine_forkchoiceUpdated", Fault::Held);
    let id = stand.order(GENESIS, 1).await;
    stand.gateways[0].wait_for("engine_forkchoiceUpdated", 1).await;
    stand.portal.reload(&Config::from_toml(&changed).expect("a configuration")).expect("right");
    let (answer, ()) = tokio::join!(stand.payload(&id), async { stand.gateways[0].release() });
    assert_eq!(builder(&answer), "gateway 1", "{}", stand.decision().await);
}

#[tokio::test]
async fn a_gateway_that_is_disabled_is_asked_for_nothing_more() {
    let stand = Stand::start().await;
    let id = stand.order_with(GENESIS, &OpNode::attributes(1)).await;
    stand.gateways[0].wait_for("engine_forkchoiceUpdated", 1).await;
    stand.debug("debug_setExecutionMode", json!([{"execution_mode": "disabled", "gateway": 1}])).await;
    assert_eq!(builder(&stand.payload(&id).await), "fallback");
    let decision = stand.decision().await;
    assert!(decision["reason"].as_str().is_some_and(|reason| reason.contains("disabled")), "{decision}");
    assert!(stand.gateways[0].arrived("engine_getPayload").is_empty());
}
