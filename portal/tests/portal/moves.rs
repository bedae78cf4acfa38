//! Gateways that get another address, or lanes that get other settings, between a block's order and its payload.

use crate::{
    node::{Fault, GENESIS, Node},
    stand::{GATEWAYS, OpNode, Options, Stand, builder, info, snapshot, write_config},
};
use baton_portal::{Config, Secret};
use serde_json::json;

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
