//! One test for each way in which the fallback fails, named after it: like [`crate::failures`].

use crate::{
    failures::SHORT,
    node::{Fault, GENESIS, Node},
    stand::{OpNode, Options, Stand, builder, config, snapshot},
};
use baton_portal::{Secret, run_with_schedule};
use baton_schedule::channel;
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

#[tokio::test]
async fn fallback_syncing() {
    let stand = Stand::start().await;
    stand.fallback.fail("engine_forkchoiceUpdated", Fault::Status("SYNCING"));
    let params = json!([OpNode::forkchoice(GENESIS), OpNode::attributes(1)]);
    let answer = stand.call("engine_forkchoiceUpdatedV3", params).await;
    assert_eq!(answer["result"]["payloadStatus"]["status"], "SYNCING");
    assert_eq!(answer["result"]["payloadId"], Value::Null);
    // That is no reason for gateways not to know the head.
    for gateway in &stand.gateways {
        let head = &gateway.wait_for("engine_forkchoiceUpdated", 1).await[0].json["params"][0]["headBlockHash"];
        assert_eq!(head, &json!(GENESIS));
    }
}

#[tokio::test]
async fn fallback_begins_to_sync_between_order_and_payload() {
    let stand = Stand::start().await;
    let id = stand.order(GENESIS, 1).await;
    stand.fallback.fail("engine_forkchoiceUpdated", Fault::Status("SYNCING"));
    stand.fallback.fail("engine_newPayload", Fault::Status("SYNCING"));
    // It can't check the gateway's, and has its own all the same.
    assert_eq!(builder(&stand.payload(&id).await), "fallback");
    let decision = stand.decision().await;
    assert_eq!((&decision["choice"], &decision["outcome"]), (&json!("fallback"), &json!("undecided")), "{decision}");
}

#[tokio::test]
async fn fallback_refuses_the_token() {
    let fallback = Node::start("fallback", 3, Secret::new([9; 32])).await;
    let secrets = tempfile::tempdir().expect("temporary directory");
    let config = config(&secrets, &fallback.url(), &Options::DEFAULT);
    let (_publisher, schedule) = channel(snapshot([String::new(), String::new()]));
    let portal = run_with_schedule(&config, schedule, CancellationToken::new()).await.expect("the portal starts");
    let (status, text) = OpNode::new(&portal).admin("/healthz").await;
    assert_eq!(status, 503);
    assert!(text.contains("refuses the portal's token (401") && text.contains("JWT secret"), "{text}");
}

#[tokio::test]
async fn fallback_down() {
    let mut stand = Stand::start().await;
    stand.wait_for_admin("/healthz", 200).await;
    stand.stop_fallback().await;
    stand.wait_for_admin("/healthz", 503).await;
    let answer = stand.call("engine_getClientVersionV1", json!([])).await;
    assert_eq!(answer["error"]["code"], -32000, "{answer}");
    // A consensus client that doesn't get its capabilities ends.
    let answer = stand.call("engine_exchangeCapabilities", json!([[]])).await;
    let names = answer["result"].as_array().unwrap_or_else(|| panic!("{answer}"));
    assert!(names.contains(&json!("engine_newPayloadV4")), "{answer}");
    let answer = stand.call("engine_getPayloadV4", json!(["0x0000000000000001"])).await;
    assert_eq!(answer["error"]["code"], -32000, "{answer}");
}

#[tokio::test]
async fn fallback_down_is_said_within_a_second() {
    let mut stand = Stand::start().await;
    stand.wait_for_admin("/healthz", 200).await;
    stand.stop_fallback().await;
    let stopped = std::time::Instant::now();
    stand.wait_for_admin("/healthz", 503).await;
    assert!(stopped.elapsed() < std::time::Duration::from_secs(1), "{:?}", stopped.elapsed());
}

/// Makes a call to a fallback that hangs in its engine: that is said within a second, and no longer than it lasts.
async fn hanging_is_said_in_time(stand: &Stand, method: &str, call: impl Future<Output = Value>) {
    stand.wait_for_admin("/healthz", 200).await;
    stand.fallback.fail("engine_", Fault::Held);
    let called = std::time::Instant::now();
    let said = async {
        stand.wait_for_admin("/healthz", 503).await;
        assert!(called.elapsed() < std::time::Duration::from_secs(1), "{method}: {:?}", called.elapsed());
        let (_, text) = stand.admin("/healthz").await;
        assert!(text.contains(&format!("hangs: {method} has waited")), "{text}");
        stand.fallback.release();
    };
    tokio::join!(call, said);
    assert_eq!(stand.admin("/healthz").await.0, 200);
}

#[tokio::test]
async fn fallback_that_hangs_in_its_engine_is_said_within_a_second() {
    let stand = Stand::start().await;
    let head = json!([OpNode::forkchoice(GENESIS), null]);
    let call = stand.call("engine_forkchoiceUpdatedV3", head);
    hanging_is_said_in_time(&stand, "engine_forkchoiceUpdated", call).await;
    let stand = Stand::start().await;
    let payload = json!([{"blockHash": GENESIS, "parentHash": GENESIS}, [], GENESIS, []]);
    let call = stand.call("engine_newPayloadV4", payload);
    hanging_is_said_in_time(&stand, "engine_newPayload", call).await;
    let stand = Stand::start().await;
    // Whether the portal knows the order or not.
    let call = stand.payload("0x0000000000000001");
    hanging_is_said_in_time(&stand, "engine_getPayload", call).await;
    let stand = Stand::start().await;
    let id = stand.order(GENESIS, 1).await;
    hanging_is_said_in_time(&stand, "engine_getPayload", stand.payload(&id)).await;
}

#[tokio::test]
async fn fallback_slow_to_be_probed_is_not_down_while_its_engine_answers() {
    let stand = Stand::start().await;
    stand.wait_for_admin("/healthz", 200).await;
    stand.fallback.fail("eth_chainId", Fault::Held);
    let probes = stand.fallback.arrived("eth_chainId").len();
    while stand.fallback.arrived("eth_chainId").len() < probes + 3 {
        stand.call("engine_forkchoiceUpdatedV3", json!([OpNode::forkchoice(GENESIS), null])).await;
        assert_eq!(stand.admin("/healthz").await, (200, "ok".to_owned()));
    }
    // Nothing more is heard of it.
    let quiet = std::time::Instant::now();
    stand.wait_for_admin("/healthz", 503).await;
    assert!(quiet.elapsed() < std::time::Duration::from_secs(1), "{:?}", quiet.elapsed());
    let (_, text) = stand.admin("/healthz").await;
    assert!(text.contains("doesn't answer: no answer within"), "{text}");
}

#[tokio::test]
async fn fallback_hangs_in_its_engine() {
    // Users are answered within this, too, also by a busy machine.
    let stand = Stand::start_with(Options { fallback_timeout_ms: 2000, ..Options::DEFAULT }).await;
    stand.wait_for_admin("/healthz", 200).await;
    stand.fallback.fail("engine_", Fault::Held);
    let params = json!([OpNode::forkchoice(GENESIS), null]);
    let answer = stand.call("engine_forkchoiceUpdatedV3", params.clone()).await;
    assert_eq!(answer["error"]["code"], -32000, "{answer}");
    // It goes on answering probes and users, which says nothing about its engine.
    let probes = stand.fallback.arrived("eth_chainId").len();
    while stand.fallback.arrived("eth_chainId").len() < probes + 3 {
        let (status, text) = stand.admin("/healthz").await;
        assert_eq!(status, 503);
        assert!(text.contains("last engine call failed") && text.ends_with("s ago: no answer within 2s"), "{text}");
        assert_eq!(stand.call("eth_syncing", json!([])).await["result"]["by"], "fallback");
    }
    stand.fallback.recover();
    stand.call("engine_forkchoiceUpdatedV3", params).await;
    assert_eq!(stand.admin("/healthz").await.0, 200);
}

#[tokio::test]
async fn a_users_read_that_takes_too_long_is_not_the_fallbacks_end() {
    let stand = Stand::start_with(Options { fallback_timeout_ms: 200, ..Options::DEFAULT }).await;
    stand.wait_for_admin("/healthz", 200).await;
    stand.fallback.fail("eth_getLogs", Fault::Held);
    stand.gateways[0].fail("eth_", Fault::Error);
    let answer = stand.call("eth_getLogs", json!([{}])).await;
    assert_eq!(answer["error"]["code"], -32000, "{answer}");
    assert_eq!(stand.admin("/healthz").await.0, 200);
}

#[tokio::test]
async fn fallback_restarts() {
    let mut stand = Stand::start().await;
    stand.stop_fallback().await;
    stand.wait_for_admin("/healthz", 503).await;
    stand.restart_fallback().await;
    stand.wait_for_admin("/healthz", 200).await;
    assert_eq!(builder(&stand.block(GENESIS, 1).await), "gateway 1");
}

#[tokio::test]
async fn fallback_hangs() {
    let stand = Stand::start_with(Options { fallback_timeout_ms: 400, ..SHORT }).await;
    stand.fallback.fail("engine_", Fault::Held);
    for (method, params) in [
        ("engine_forkchoiceUpdatedV3", json!([OpNode::forkchoice(GENESIS), null])),
        ("engine_forkchoiceUpdatedV3", json!([OpNode::forkchoice(GENESIS), OpNode::attributes(1)])),
        ("engine_newPayloadV4", json!([{"blockHash": GENESIS, "parentHash": GENESIS}, [], GENESIS, []])),
        ("engine_getPayloadV4", json!(["0x0000000000000001"])),
    ] {
        let answer = stand.call(method, params).await;
        assert_eq!(answer["error"]["code"], -32000, "{method}: {answer}");
    }
}

#[tokio::test]
async fn fallback_lost_between_order_and_payload() {
    let mut stand = Stand::start().await;
    let id = stand.order(GENESIS, 1).await;
    stand.stop_fallback().await;
    // However good the gateway's is: nobody is there to check it.
    let answer = stand.payload(&id).await;
    assert_eq!(answer["error"]["code"], -32000, "{answer}");
    let decision = stand.decision().await;
    assert_eq!((&decision["choice"], &decision["outcome"]), (&json!("nothing"), &json!("unchecked")), "{decision}");
    assert_eq!(stand.gateways[0].arrived("engine_getPayload").len(), 1);
}

#[tokio::test]
async fn fallback_restarts_between_order_and_payload() {
    let mut stand = Stand::start().await;
    let id = stand.order(GENESIS, 1).await;
    stand.stop_fallback().await;
    stand.restart_fallback().await;
    // It has forgotten what it was building, and can check what the gateway has built.
    let answer = stand.payload(&id).await;
    assert_eq!(builder(&answer), "gateway 1");
    assert_eq!(stand.decision().await["choice"], "gateway");
    assert_eq!(stand.fallback.arrived("engine_newPayload").len(), 1);
    stand.adopt(&answer["result"]).await;
}
