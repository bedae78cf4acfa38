//! Who may enter, what operators see, and how it ends.

use crate::{
    node::{Fault, GENESIS, Node},
    stand::{CLOCK, OpNode, Options, Stand, builder, config, snapshot},
};
use baton_portal::{Secret, run, run_with_schedule};
use baton_schedule::{Snapshot, channel};
use serde_json::json;
use std::{sync::Arc, time::Duration};
use tokio_util::sync::CancellationToken;

#[tokio::test]
async fn only_op_nodes_token_opens() {
    let stand = Stand::start().await;
    let body = r#"{"jsonrpc":"2.0","id":1,"method":"eth_chainId","params":[]}"#;
    let before = stand.fallback.arrived("").len();
    for wrong in ["", "Bearer x", &format!("Bearer {}", Secret::new([2; 32]).token(0)), &OpNode::token()[7..]] {
        assert_eq!(stand.post(body, wrong).await.status(), 401, "{wrong}");
    }
    let probes = |calls: Vec<crate::node::Arrived>| calls.iter().all(|call| call.json["id"] == 0);
    assert!(probes(stand.fallback.arrived("").split_off(before)), "a refused call got through");
    assert_eq!(stand.post(body, &OpNode::token()).await.status(), 200);
}

#[tokio::test]
async fn bodies_have_a_limit_and_it_is_a_large_one() {
    let stand = Stand::start().await;
    let body = |size: usize| {
        let data = "0".repeat(size);
        format!(r#"{{"jsonrpc":"2.0","id":1,"method":"eth_x","params":["{data}"]}}"#)
    };
    assert_eq!(stand.post(body((2 << 20) - 1000), &OpNode::token()).await.status(), 200);
    assert_eq!(stand.post(body(2 << 20), &OpNode::token()).await.status(), 413);
}

#[tokio::test]
async fn readiness_is_a_known_schedule() {
    let fallback = Node::start("fallback", 3, Secret::new([2; 32])).await;
    let secrets = tempfile::tempdir().expect("temporary directory");
    let config = config(&secrets, &fallback.url(), &Options::default());
    let (publisher, schedule) = channel(Snapshot::unread(CLOCK));
    let shutdown = CancellationToken::new();
    let portal = run_with_schedule(&config, schedule, shutdown.clone()).await.expect("the portal starts");
    let ready = format!("http://{}/readyz", portal.admin);
    let client = reqwest::Client::builder().no_proxy().build().expect("a client");
    let status = async || client.get(&ready).send().await.expect("an answer").status();
    assert_eq!(status().await, 503);
    publisher.publish(snapshot([String::new(), String::new()]));
    assert_eq!(status().await, 200);
    // Known stays known, even if the L1 can't be read any more.
    let known = publisher.latest();
    publisher.publish(Snapshot { stale: Some(Arc::from("L1 down")), ..(*known).clone() });
    assert_eq!(status().await, 200);
}

#[tokio::test]
async fn an_l1_that_is_down_costs_nobody_a_block() {
    let fallback = Node::start("fallback", 3, Secret::new([2; 32])).await;
    let secrets = tempfile::tempdir().expect("temporary directory");
    let config = config(&secrets, &fallback.url(), &Options::default());
    let shutdown = CancellationToken::new();
    // Its own follower, on a port that nobody listens on.
    let portal = run(&config, shutdown.clone()).await.expect("the portal starts");
    assert!(!portal.schedule.snapshot().is_known());
    let client = reqwest::Client::builder().no_proxy().build().expect("a client");
    let body = json!({"jsonrpc": "2.0", "id": 1, "method": "engine_forkchoiceUpdatedV3",
        "params": [OpNode::forkchoice(GENESIS), OpNode::attributes(1)]});
    let request = client.post(format!("http://{}", portal.engine)).header("authorization", OpNode::token());
    let answer = request.body(body.to_string()).send().await.expect("an answer").bytes().await.expect("a body");
    let answer: serde_json::Value = serde_json::from_slice(&answer).expect("JSON");
    assert!(answer["result"]["payloadId"].is_string(), "{answer}");
    shutdown.cancel();
    tokio::time::timeout(Duration::from_secs(10), portal.stopped()).await.expect("it stops");
}

#[tokio::test]
async fn metrics_and_decisions_are_served() {
    let stand = Stand::start().await;
    stand.block(GENESIS, 1).await;
    let (status, metrics) = stand.admin("/metrics").await;
    assert_eq!(status, 200);
    for name in ["baton_portal_request_seconds", "baton_portal_payloads_total", "baton_portal_fallback_up"] {
        assert!(metrics.contains(name), "{name} isn't in\n{metrics}");
    }
    assert_eq!(stand.admin("/nothing").await.0, 404);
    assert_eq!(stand.decision().await["number"], 1);
}

#[tokio::test]
async fn calls_under_way_are_answered_at_the_end() {
    let stand = Stand::start().await;
    stand.gateways[0].fail("engine_getPayload", Fault::Held);
    let id = stand.order(GENESIS, 1).await;
    let end = async {
        stand.gateways[0].wait_for("engine_getPayload", 1).await;
        stand.shutdown.cancel();
        stand.gateways[0].release();
    };
    let (answer, ()) = tokio::join!(stand.payload(&id), end);
    assert_eq!(builder(&answer), "gateway 1");
    let Stand { portal, .. } = stand;
    tokio::time::timeout(Duration::from_secs(10), portal.stopped()).await.expect("it stops");
}
