//! Whose turn it is now, by the schedule and the portal's own clock: who is asked what users read, who is named, and whose failing is told.

use crate::{
    node::{Fault, GENESIS},
    stand::{OpNode, Options, Stand, builder, present, snapshot, write_config},
};
use baton_portal::Config;
use baton_protocol::Kind;
use baton_schedule::Snapshot;
use serde_json::{Value, json};

/// On the present clock, all of it gateway 2's.
fn second_gateways(urls: [String; 2]) -> Snapshot {
    let mut other = present(urls);
    let mut epoch = other.schedule.epochs().next().cloned().expect("epoch 0");
    epoch.slots = [(2, Kind::Fallback); 32];
    other.schedule.insert(epoch);
    other
}

/// On the present clock, gateway 1 having been ended when the chain began.
fn ended(urls: [String; 2]) -> Snapshot {
    let mut other = present(urls);
    let gateway = other.gateways.get_mut(&1).expect("gateway 1");
    (gateway.ended_slot, gateway.eligible) = (Some(0), false);
    other
}

/// Who answered what a user reads.
pub(crate) async fn read_from(stand: &Stand) -> Value {
    stand.call("eth_call", json!([{}, "latest"])).await["result"]["by"].clone()
}

#[tokio::test]
async fn reads_go_first_to_the_gateway_whose_turn_it_is() {
    let stand = Stand::start().await;
    // The test chain's schedule ended long ago: nobody's turn.
    assert_eq!(read_from(&stand).await, "fallback");
    stand.publish(present);
    assert_eq!(read_from(&stand).await, "gateway 1");
    let answer = stand.call("eth_getBlockByNumber", json!(["latest", false])).await;
    assert_eq!(answer["result"]["by"], "fallback");
    for fault in [Fault::Error, Fault::Garbage, Fault::WrongId, Fault::HttpError, Fault::Held] {
        stand.gateways[0].recover();
        stand.gateways[0].fail("eth_", fault);
        assert_eq!(read_from(&stand).await, "fallback", "{fault:?}");
    }
    stand.publish(second_gateways);
    assert_eq!(read_from(&stand).await, "gateway 2");
}

#[tokio::test]
async fn reads_stay_with_the_fallback_when_multiplexing_is_off() {
    let mut stand = Stand::start().await;
    stand.publish(present);
    assert_eq!(read_from(&stand).await, "gateway 1");
    stand.options.gateways = "multiplex = false";
    let off = write_config(&stand.secrets, &stand.fallback.url(), &stand.options);
    stand.portal.reload(&Config::from_toml(&off).expect("a configuration")).expect("right");
    assert_eq!(read_from(&stand).await, "fallback");
    for node in &stand.gateways {
        assert_eq!(node.arrived("eth_").len(), usize::from(node.url() == stand.gateways[0].url()));
    }
}

#[tokio::test]
async fn the_gateway_whose_turn_it_is_is_named_and_so_is_the_next() {
    let stand = Stand::start().await;
    stand.publish(present);
    let current = stand.call("registry_currentGateway", json!([])).await;
    assert_eq!(current["result"][1], stand.gateways[0].url(), "{current}");
    let block = current["result"][0].as_u64().expect("a number");
    assert!(block.abs_diff(601) < 60, "{block}: ten minutes after the first, and what the test took");
    let next = stand.call("registry_nextGateway", json!([])).await;
    assert_eq!(next["result"]["gateway"]["id"], 2, "{next}");
    assert_eq!(next["result"]["ownerSlot"], 16);
    stand.publish(second_gateways);
    let current = stand.call("registry_currentGateway", json!([])).await;
    assert_eq!(current["result"][1], stand.gateways[1].url(), "{current}");
}

#[tokio::test]
async fn health_is_partial_while_the_gateway_whose_turn_it_is_cannot_be_reached() {
    let mut stand = Stand::start().await;
    stand.publish(present);
    stand.wait_for_admin("/healthz", 200).await;
    stand.gateways[0].stop().await;
    let head = json!([OpNode::forkchoice(GENESIS), null]);
    stand.call("engine_forkchoiceUpdatedV3", head).await;
    stand.wait_for_admin("/healthz", 206).await;
    // Whose turn it isn't may fail.
    stand.publish(second_gateways);
    stand.wait_for_admin("/healthz", 200).await;
}

#[tokio::test]
async fn transactions_that_a_gateway_refuses_say_nothing_about_its_health() {
    let stand = Stand::start().await;
    stand.publish(present);
    stand.call("engine_forkchoiceUpdatedV3", json!([OpNode::forkchoice(GENESIS), null])).await;
    stand.wait_for_gateway(|gateway| gateway["reachable"] == true).await;
    stand.gateways[0].fail("eth_sendRawTransaction", Fault::HttpError);
    stand.gateways[0].fail("miner_", Fault::HttpError);
    // So many are under way at once: of one more the lane has heard that one was refused.
    for _ in 0..33 {
        stand.call("eth_sendRawTransaction", json!(["0x02f8"])).await;
    }
    stand.gateways[0].wait_for("eth_sendRawTransaction", 33).await;
    for method in ["miner_setMaxDASize", "miner_setGasLimit"] {
        stand.call(method, json!(["0x1", "0x1"])).await;
    }
    stand.gateways[0].wait_for("miner_", 2).await;
    assert_eq!(stand.admin("/healthz").await, (200, "ok".to_owned()));
    let status: Value = serde_json::from_str(&stand.admin("/status.json").await.1).expect("JSON");
    let gateway = &status["gateways"][0];
    assert_eq!((&gateway["reachable"], &gateway["last"]), (&json!(true), &json!("valid")), "{gateway}");
}

#[tokio::test]
async fn health_is_partial_while_the_gateway_whose_turn_it_is_is_left_out() {
    let stand = Stand::start().await;
    stand.publish(present);
    stand.wait_for_admin("/healthz", 200).await;
    // Blocks of the test chain's time, for a while.
    stand.publish(snapshot);
    stand.gateways[0].fail("engine_getPayload", Fault::Garbage);
    assert_eq!(builder(&stand.block(GENESIS, 1).await), "fallback");
    stand.left_out().await;
    assert_eq!(stand.admin("/healthz").await.0, 200);
    stand.publish(present);
    stand.wait_for_admin("/healthz", 206).await;
    let status: Value = serde_json::from_str(&stand.admin("/status.json").await.1).expect("JSON");
    assert_eq!(status["gateways"][0]["reachable"], true, "{status}");
    // Nor is it asked what users read.
    assert_eq!(read_from(&stand).await, "fallback");
    stand.publish(second_gateways);
    stand.wait_for_admin("/healthz", 200).await;
}

#[tokio::test]
async fn an_ended_gateway_has_no_turn() {
    let stand = Stand::start().await;
    stand.publish(present);
    assert_eq!(read_from(&stand).await, "gateway 1");
    stand.publish(ended);
    assert_eq!(read_from(&stand).await, "fallback");
    for (method, params) in [("registry_currentGateway", json!([])), ("registry_futureGateway", json!([2]))] {
        let answer = stand.call(method, params).await;
        assert_eq!(answer["error"]["code"], -32001, "{method}: {answer}");
        assert!(answer["error"]["message"].as_str().is_some_and(|text| text.contains("open slot")), "{answer}");
    }
    let at = stand.call("registry_gatewayAtBlock", json!([])).await;
    assert_eq!((&at["result"]["gateway"], &at["result"]["window"]["gateway"]), (&Value::Null, &json!(0)), "{at}");
    let next = stand.call("registry_nextGateway", json!([])).await;
    assert_eq!(next["result"]["gateway"]["id"], 2, "{next}");
    // Its lane is closed, since the slots that are left aren't its; that the fallback builds alone in an open slot is no failure.
    stand.wait_for_gateway(|gateway| gateway["id"] == 2).await;
    assert_eq!(stand.admin("/healthz").await, (200, "ok".to_owned()));
}

#[tokio::test]
async fn health_is_partial_while_nobody_can_be_asked_because_the_validator_is_down() {
    let mut stand = Stand::start_with(Options { validator: true, ..Options::DEFAULT }).await;
    stand.publish(present);
    stand.wait_for_admin("/healthz", 200).await;
    stand.validator.stop().await;
    stand.call("engine_forkchoiceUpdatedV3", json!([OpNode::forkchoice(GENESIS), null])).await;
    stand.wait_for_admin("/healthz", 206).await;
    let (_, text) = stand.admin("/healthz").await;
    assert!(text.contains("second validator"), "{text}");
    // Nobody's turn: then it makes no difference.
    stand.publish(ended);
    stand.wait_for_admin("/healthz", 200).await;
}
