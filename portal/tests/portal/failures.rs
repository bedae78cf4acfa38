//! One test for each way to fail, named after it. In each, op-node's side gets the right payload in time and never hears of the failure.

use crate::{
    node::{Fault, GENESIS},
    stand::{OpNode, Options, Stand, builder, snapshot},
};
use baton_portal::Secret;
use serde_json::{Value, json};

/// Short enough for a test to wait for, long enough to find out other failures first.
const SHORT: Options = Options { budget_ms: 400, ..Options::DEFAULT };

/// Gateway 1 owns block 1; it fails; the fallback's payload is served and its decision says why.
async fn falls_back(stand: &Stand, outcome: &str) -> Value {
    let answer = stand.block(GENESIS, 1).await;
    assert_eq!(builder(&answer), "fallback");
    let decision = stand.decision().await;
    assert_eq!(decision["outcome"], outcome, "{decision}");
    assert_eq!(decision["choice"], "fallback", "{decision}");
    assert_eq!(decision["owner"], 1);
    assert_eq!(decision["number"], 1);
    assert_eq!(decision["blockHash"], answer["result"]["executionPayload"]["blockHash"]);
    // What was served can be adopted, and the next block's owner is asked as if nothing had been.
    stand.adopt(&answer["result"]).await;
    decision
}

async fn gateway_fails(method: &'static str, fault: Fault, outcome: &str) -> Value {
    let stand = Stand::start().await;
    stand.gateways[0].fail(method, fault);
    falls_back(&stand, outcome).await
}

#[tokio::test]
async fn gateway_down() {
    let mut stand = Stand::start().await;
    stand.gateways[0].stop().await;
    falls_back(&stand, "unreachable").await;
}

#[tokio::test]
async fn gateway_never_begins() {
    let stand = Stand::start_with(SHORT).await;
    stand.gateways[0].fail("engine_forkchoiceUpdated", Fault::Held);
    let decision = falls_back(&stand, "late").await;
    assert!(decision["reason"].as_str().is_some_and(|reason| reason.contains("payload id")), "{decision}");
}

#[tokio::test]
async fn gateway_slow() {
    let stand = Stand::start_with(SHORT).await;
    stand.gateways[0].fail("engine_getPayload", Fault::Held);
    let decision = falls_back(&stand, "late").await;
    assert!(decision["reason"].as_str().is_some_and(|reason| reason.contains("no payload from")), "{decision}");
}

#[tokio::test]
async fn gateway_hangs_after_headers() {
    let stand = Stand::start_with(SHORT).await;
    stand.gateways[0].fail("engine_getPayload", Fault::HangsAfterHeaders);
    falls_back(&stand, "late").await;
}

#[tokio::test]
async fn gateway_talks_garbage() {
    gateway_fails("engine_getPayload", Fault::Garbage, "bad_answer").await;
    gateway_fails("engine_forkchoiceUpdated", Fault::Garbage, "not_building").await;
}

#[tokio::test]
async fn gateway_answers_another_id() {
    gateway_fails("engine_getPayload", Fault::WrongId, "bad_answer").await;
}

#[tokio::test]
async fn gateway_answers_an_error() {
    gateway_fails("engine_getPayload", Fault::Error, "bad_answer").await;
    gateway_fails("engine_forkchoiceUpdated", Fault::Error, "not_building").await;
}

#[tokio::test]
async fn gateway_answers_an_http_error() {
    gateway_fails("engine_getPayload", Fault::HttpError, "unreachable").await;
}

#[tokio::test]
async fn gateway_answers_too_much() {
    gateway_fails("engine_getPayload", Fault::Huge, "unreachable").await;
}

#[tokio::test]
async fn gateway_refuses_the_token() {
    let stand = Stand::start_with(Options { gateway_secret: [9; 32], ..Options::default() }).await;
    let decision = falls_back(&stand, "unreachable").await;
    assert!(decision["reason"].as_str().is_some_and(|reason| reason.contains("JWT secret")), "{decision}");
}

#[tokio::test]
async fn gateway_lacks_the_parent() {
    gateway_fails("engine_forkchoiceUpdated", Fault::Status("SYNCING"), "not_building").await;
}

#[tokio::test]
async fn payload_on_another_parent() {
    gateway_fails("engine_getPayload", Fault::WrongParent, "mismatch").await;
}

#[tokio::test]
async fn payload_for_another_time() {
    gateway_fails("engine_getPayload", Fault::WrongTimestamp, "mismatch").await;
}

#[tokio::test]
async fn payload_without_the_forced_transactions() {
    gateway_fails("engine_getPayload", Fault::WithoutForced, "mismatch").await;
}

/// The fallback's verdict on what it is asked to check.
async fn payload_not_accepted(status: &'static str, outcome: &str) {
    let stand = Stand::start().await;
    stand.fallback.fail("engine_newPayload", Fault::Status(status));
    let answer = stand.block(GENESIS, 1).await;
    assert_eq!(builder(&answer), "fallback");
    assert_eq!(stand.decision().await["outcome"], outcome);
    let checked = &stand.fallback.arrived("engine_newPayload")[0].json;
    assert_eq!(checked["method"], "engine_newPayloadV4");
    assert_eq!(checked["params"].as_array().map(Vec::len), Some(4));
}

#[tokio::test]
async fn payload_rejected_by_the_fallback() {
    payload_not_accepted("INVALID", "rejected").await;
}

#[tokio::test]
async fn payload_that_the_fallback_cannot_judge() {
    payload_not_accepted("SYNCING", "undecided").await;
    payload_not_accepted("ACCEPTED", "undecided").await;
}

#[tokio::test]
async fn payload_checked_too_slowly() {
    let stand = Stand::start_with(SHORT).await;
    stand.fallback.fail("engine_newPayload", Fault::Held);
    let answer = stand.block(GENESIS, 1).await;
    assert_eq!(builder(&answer), "fallback");
    assert_eq!(stand.decision().await["outcome"], "late");
}

#[tokio::test]
async fn only_the_fallback_fails_to_build() {
    let stand = Stand::start().await;
    stand.fallback.fail("engine_getPayload", Fault::Error);
    let answer = stand.block(GENESIS, 1).await;
    assert_eq!(builder(&answer), "gateway 1");
    assert_eq!(stand.decision().await["choice"], "gateway");
}

#[tokio::test]
async fn a_slow_fallback_does_not_hold_up_a_good_gateway() {
    let stand = Stand::start().await;
    stand.fallback.fail("engine_getPayload", Fault::Held);
    let answer = stand.block(GENESIS, 1).await;
    assert_eq!(builder(&answer), "gateway 1");
}

#[tokio::test]
async fn both_fail_and_the_fallbacks_error_is_passed_on() {
    let stand = Stand::start().await;
    stand.fallback.fail("engine_getPayload", Fault::Error);
    stand.gateways[0].fail("engine_getPayload", Fault::Garbage);
    let answer = stand.block(GENESIS, 1).await;
    assert_eq!(answer["error"], json!({"code": -38001, "message": "this node has an error"}));
    assert_eq!(stand.decision().await["choice"], "nothing");
}

#[tokio::test]
async fn the_fallbacks_errors_pass_as_they_are() {
    let stand = Stand::start().await;
    stand.fallback.fail("engine_forkchoiceUpdated", Fault::Error);
    let params = json!([OpNode::forkchoice(GENESIS), OpNode::attributes(1)]);
    let answer = stand.call("engine_forkchoiceUpdatedV3", params).await;
    assert_eq!(answer["error"]["code"], -38001);
    stand.fallback.fail("engine_newPayload", Fault::Status("INVALID"));
    let payload = json!({"blockHash": GENESIS, "parentHash": GENESIS, "blockNumber": "0x1", "timestamp": "0x1"});
    let answer = stand.call("engine_newPayloadV4", json!([payload, [], GENESIS, []])).await;
    assert_eq!(answer["result"]["status"], "INVALID");
}

#[tokio::test]
async fn fallback_syncing() {
    let stand = Stand::start().await;
    stand.fallback.fail("engine_forkchoiceUpdated", Fault::Status("SYNCING"));
    let params = json!([OpNode::forkchoice(GENESIS), OpNode::attributes(1)]);
    let answer = stand.call("engine_forkchoiceUpdatedV3", params).await;
    assert_eq!(answer["result"]["payloadStatus"]["status"], "SYNCING");
    assert_eq!(answer["result"]["payloadId"], Value::Null);
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
async fn fallback_restarts() {
    let mut stand = Stand::start().await;
    stand.stop_fallback().await;
    stand.wait_for_admin("/healthz", 503).await;
    stand.restart_fallback().await;
    stand.wait_for_admin("/healthz", 200).await;
    assert_eq!(builder(&stand.block(GENESIS, 1).await), "gateway 1");
}

#[tokio::test]
async fn portal_does_not_know_the_payload() {
    let stand = Stand::start().await;
    // Ordered at the fallback behind the portal's back, as before a restart of the portal.
    let url = stand.fallback.url();
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).expect("after 1970").as_secs();
    let order = json!({"jsonrpc": "2.0", "id": 1, "method": "engine_forkchoiceUpdatedV3",
        "params": [OpNode::forkchoice(GENESIS), OpNode::attributes(1)]});
    let client = reqwest::Client::builder().no_proxy().build().expect("a client");
    let token = format!("Bearer {}", Secret::new([2; 32]).token(now));
    let answer = client.post(url).header("authorization", token).body(order.to_string()).send().await.expect("sent");
    let answer: Value = serde_json::from_slice(&answer.bytes().await.expect("a body")).expect("JSON");
    let id = answer["result"]["payloadId"].as_str().expect("an id").to_owned();
    assert_eq!(builder(&stand.payload(&id).await), "fallback");
    assert_eq!(stand.decision().await, Value::Null);
}

#[tokio::test]
async fn schedule_changes_between_order_and_payload() {
    let stand = Stand::start().await;
    let id = stand.order(GENESIS, 1).await;
    let mut other = snapshot([stand.gateways[0].url(), stand.gateways[1].url()]);
    let mut epoch = other.schedule.epochs().next().cloned().expect("epoch 0");
    epoch.slots = [(2, baton_protocol::Kind::Fallback); 32];
    other.schedule.insert(epoch);
    stand.publisher.publish(other);
    // Who was asked to build it delivers it.
    assert_eq!(builder(&stand.payload(&id).await), "gateway 1");
    assert_eq!(builder(&stand.block(GENESIS, 2).await), "gateway 2");
}

#[tokio::test]
async fn schedule_unknown() {
    let stand = Stand::start().await;
    // Block 40 lies in an epoch that nobody has told the portal about.
    let answer = stand.block(GENESIS, 40).await;
    assert_eq!(builder(&answer), "fallback");
    let decision = stand.decision().await;
    assert_eq!(decision["outcome"], "not_asked");
    assert_eq!(decision["owner"], Value::Null);
}
