//! The portal's own follower on a real L1: from the registry's contract to who is asked.

use crate::{
    l1::L1,
    node::{GENESIS, Node},
    stand::{GATEWAYS, OpNode, Options, config},
};
use baton_portal::{Secret, run};
use serde_json::{Value, json};
use std::time::Duration;
use tokio_util::sync::CancellationToken;

#[tokio::test]
async fn the_schedule_that_is_followed_from_l1_says_whose_turn_it_is() {
    let fallback = Node::start("fallback", 3, Secret::new([2; 32])).await;
    let mut gateways = [
        Node::start("gateway 1", 4, Secret::new(GATEWAYS)).await,
        Node::start("gateway 2", 4, Secret::new(GATEWAYS)).await,
    ];
    let l1 = L1::with_gateways([gateways[0].url(), gateways[1].url()]).await;
    let secrets = tempfile::tempdir().expect("temporary directory");
    let mut config = config(&secrets, &fallback.url(), &Options::DEFAULT);
    config.schedule.l1_urls = vec![l1.url.clone().into()];
    config.schedule.registry = Some(l1.registry());
    config.schedule.clock = Some(l1.clock);
    let portal = run(&config, CancellationToken::new()).await.expect("the portal starts");
    let op_node = OpNode::new(&portal);
    let mut schedule = portal.schedule.clone();
    let known = tokio::time::timeout(Duration::from_secs(30), schedule.known()).await;
    known.expect("in time").expect("followed");
    op_node.wait_for_admin("/readyz", 200).await;

    // Whoever the contract says, and where the registry says.
    let current = op_node.call("registry_currentGateway", json!([])).await;
    let block = current["result"][0].as_u64().unwrap_or_else(|| panic!("{current}"));
    let turn = l1.gateway_at(l1.clock.owner_slot(block)).await;
    assert!(matches!(turn, 1 | 2), "{turn}");
    let index = usize::from(turn - 1);
    assert_eq!(current["result"][1], gateways[index].url());
    let next = op_node.call("registry_nextGateway", json!([])).await;
    let slot = next["result"]["ownerSlot"].as_u64().unwrap_or_else(|| panic!("{next}"));
    assert_eq!(next["result"]["gateway"]["id"], l1.gateway_at(slot).await);
    assert_ne!(next["result"]["gateway"]["id"], turn);

    // It is the one that is asked what users read, and whose loss is told.
    let read = async || op_node.call("eth_call", json!([{}, "latest"])).await["result"]["by"].clone();
    assert_eq!(read().await, Value::from(format!("gateway {turn}")));
    op_node.wait_for_admin("/healthz", 200).await;
    gateways[index].stop().await;
    assert_eq!(read().await, "fallback");
    op_node.call("engine_forkchoiceUpdatedV3", json!([OpNode::forkchoice(GENESIS), null])).await;
    op_node.wait_for_admin("/healthz", 206).await;
}
