//! One test for each way to fail, named after it. In each, op-node's side gets the right payload in time and never hears of the failure.
//!
//! "In time" is [`Options`]' patience, which every answer is held to.

use crate::{
    node::{Fault, GENESIS, Node},
    stand::{OpNode, Options, Stand, builder, snapshot},
};
use baton_portal::Secret;
use serde_json::{Value, json};

/// Short enough for a test to wait for, long enough to find out other failures first.
pub(crate) const SHORT: Options = Options { budget_ms: 400, ..Options::DEFAULT };

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
    // It arrives after all, while the next block is being built: nobody takes it for that one's.
    let head = serde_json::from_value(decision["blockHash"].clone()).expect("a hash");
    let id = stand.order(head, 2).await;
    stand.gateways[0].release();
    let answer = stand.payload(&id).await;
    assert_eq!(
        (builder(&answer).as_str(), &answer["result"]["executionPayload"]["blockNumber"]),
        ("gateway 1", &json!("0x2"))
    );
    assert_eq!(stand.decision().await["outcome"], "valid");
    stand.adopt(&answer["result"]).await;
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
    gateway_fails("engine_getPayload", Fault::Huge(3 << 20), "unreachable").await;
}

#[tokio::test]
async fn gateway_gives_more_than_a_block_can_be() {
    let stand = Stand::start_with(Options { max_body_mb: 32, ..Options::default() }).await;
    stand.gateways[0].fail("engine_getPayload", Fault::Huge(22 << 20));
    // It isn't read to its end.
    let decision = falls_back(&stand, "unreachable").await;
    assert!(decision["reason"].as_str().is_some_and(|reason| reason.contains("exceeds")), "{decision}");
}

#[tokio::test]
async fn gateway_answers_an_update_with_too_much() {
    // A payload may be that large, an answer to an update not.
    let stand = Stand::start_with(Options { max_body_mb: 8, ..Options::default() }).await;
    stand.gateways[0].fail("engine_forkchoiceUpdated", Fault::Huge(3 << 20));
    let decision = falls_back(&stand, "unreachable").await;
    assert!(decision["reason"].as_str().is_some_and(|reason| reason.contains("exceeds")), "{decision}");
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
async fn gateway_says_at_length_why_it_does_not_build() {
    let long: &'static str = Box::leak("A".repeat(1 << 19).into_boxed_str());
    let decision = gateway_fails("engine_forkchoiceUpdated", Fault::Status(long), "not_building").await;
    // It is kept, logged and shown for thousands of blocks.
    assert!(decision["reason"].as_str().is_some_and(|reason| !reason.contains("AA")), "{decision}");
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

/// What the portal says of itself once the check of a gateway's payload has failed.
async fn health_after_a_check(fault: Fault) -> u16 {
    let options = Options { gateways: "mode = \"dry_run\"", fallback_timeout_ms: 1000, ..Options::DEFAULT };
    let stand = Stand::start_with(options).await;
    stand.wait_for_admin("/healthz", 200).await;
    stand.fallback.fail("engine_newPayload", fault);
    // Behind all that op-node asks, so that nothing takes back what it says about the fallback.
    stand.gateways[0].fail("engine_getPayload", Fault::Held);
    assert_eq!(builder(&stand.block(GENESIS, 1).await), "fallback");
    stand.gateways[0].release();
    assert_eq!(stand.decision_about(1).await["outcome"], "unchecked");
    stand.admin("/healthz").await.0
}

#[tokio::test]
async fn payload_whose_check_gets_an_http_error() {
    // From a limit on bodies in front of the fallback for example, which a gateway can exceed.
    assert_eq!(health_after_a_check(Fault::HttpError).await, 200);
    assert_eq!(health_after_a_check(Fault::Held).await, 503);
}

#[tokio::test]
async fn payload_checked_too_slowly() {
    let stand = Stand::start_with(Options { gateways: "breaker = { late = 1 }", ..SHORT }).await;
    stand.fallback.fail("engine_newPayload", Fault::Held);
    let answer = stand.block(GENESIS, 1).await;
    assert_eq!(builder(&answer), "fallback");
    assert_eq!(stand.decision().await["outcome"], "check_late");
    // Which isn't the gateway's fault.
    stand.wait_for_gateway(|gateway| gateway["breaker"] == "closed").await;
}

#[tokio::test]
async fn gateway_leaves_no_time_for_the_check() {
    let options = Options { budget_ms: 4_000, gateways: "breaker = { late = 1 }", ..Options::DEFAULT };
    let stand = Stand::start_with(options).await;
    stand.gateways[0].fail("engine_getPayload", Fault::Held);
    stand.fallback.fail("engine_newPayload", Fault::Held);
    let release = async {
        tokio::time::sleep(std::time::Duration::from_millis(2_500)).await;
        stand.gateways[0].release();
    };
    let (answer, ()) = tokio::join!(stand.block(GENESIS, 1), release);
    assert_eq!(builder(&answer), "fallback");
    let decision = stand.decision().await;
    assert!(decision["reason"].as_str().is_some_and(|reason| reason.contains("less than half")), "{decision}");
    stand.left_out().await;
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
async fn a_fallback_that_gives_no_payload_is_not_down() {
    let stand = Stand::start_with(Options { fallback_timeout_ms: 300, ..Options::DEFAULT }).await;
    stand.wait_for_admin("/healthz", 200).await;
    stand.fallback.fail("engine_getPayload", Fault::Held);
    assert_eq!(builder(&stand.block(GENESIS, 1).await), "gateway 1");
    // Longer than it may take.
    for _ in 0..60 {
        assert_eq!(stand.admin("/healthz").await.0, 200);
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }
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

/// Orders a block at the fallback behind the portal's back, as before a restart of the portal, and gives its payload id.
pub(crate) async fn ordered_at(fallback: &Node, number: u64) -> String {
    let url = fallback.url();
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).expect("after 1970").as_secs();
    let order = json!({"jsonrpc": "2.0", "id": 1, "method": "engine_forkchoiceUpdatedV3",
        "params": [OpNode::forkchoice(GENESIS), OpNode::attributes(number)]});
    let client = reqwest::Client::builder().no_proxy().build().expect("a client");
    let token = format!("Bearer {}", Secret::new([2; 32]).token(now));
    let answer = client.post(url).header("authorization", token).body(order.to_string()).send().await.expect("sent");
    let answer: Value = serde_json::from_slice(&answer.bytes().await.expect("a body")).expect("JSON");
    answer["result"]["payloadId"].as_str().expect("an id").to_owned()
}

#[tokio::test]
async fn portal_does_not_know_the_payload() {
    let stand = Stand::start().await;
    let id = ordered_at(&stand.fallback, 1).await;
    assert_eq!(builder(&stand.payload(&id).await), "fallback");
    // It is in the record all the same, under the owner that it has by the schedule.
    let decision = stand.decision().await;
    let expected = (&json!(1), &json!(1), &json!("fallback"), &json!("not_asked"));
    assert_eq!((&decision["number"], &decision["owner"], &decision["choice"], &decision["outcome"]), expected);
    assert_eq!(decision["ownerSlot"], 3);
    assert!(
        decision["reason"].as_str().is_some_and(|reason| reason.contains("before the portal started")),
        "{decision}"
    );
    // Of what nobody has there is nothing to keep.
    stand.payload("0x0000000000000007").await;
    assert_eq!(stand.decision().await["payloadId"], json!(id));
}

#[tokio::test]
async fn portal_restarts_between_order_and_payload() {
    let mut stand = Stand::start().await;
    let id = stand.order(GENESIS, 1).await;
    stand.restart_portal().await;
    // Who built under which id is forgotten; the fallback's id still means what it meant.
    let answer = stand.payload(&id).await;
    assert_eq!(builder(&answer), "fallback");
    let head = stand.adopt(&answer["result"]).await;
    assert_eq!(builder(&stand.block(head, 2).await), "gateway 1");
}

#[tokio::test]
async fn payload_of_another_block() {
    let stand = Stand::start().await;
    // The gateway answers with a payload of the same parent and time under another number.
    stand.gateways[0].fail("engine_getPayload", Fault::Rewritten("\"blockNumber\":\"0x1\"", "\"blockNumber\":\"0x2\""));
    falls_back(&stand, "mismatch").await;
}

#[tokio::test]
async fn payload_of_another_fork() {
    let stand = Stand::start().await;
    // Before Isthmus there were no requests, before Ecotone no beacon root.
    stand.gateways[0].fail("engine_getPayload", Fault::Rewritten("\"executionRequests\":[],", ""));
    let decision = falls_back(&stand, "mismatch").await;
    assert!(decision["reason"].as_str().is_some_and(|reason| reason.contains("fork")), "{decision}");
    // And a gateway that is at another fork says so.
    gateway_fails("engine_forkchoiceUpdated", Fault::Error, "not_building").await;
}

#[tokio::test]
async fn payload_with_a_wrong_hash() {
    let stand = Stand::start().await;
    // Only an execution client can tell.
    stand.fallback.fail("engine_newPayload", Fault::Status("INVALID_BLOCK_HASH"));
    assert_eq!(builder(&stand.block(GENESIS, 1).await), "fallback");
    assert_eq!(stand.decision().await["outcome"], "rejected");
}

#[tokio::test]
async fn gateway_flaps() {
    let options = Options { gateways: "[gateways.breaker]\nlate = 1000\ninvalid = 1000", ..Options::DEFAULT };
    let mut stand = Stand::start_with(options).await;
    let (mut head, address) = (GENESIS, stand.gateways[0].address);
    for number in 1..=8 {
        let down = number % 2 == 0;
        if down {
            stand.gateways[0].stop().await;
        }
        let answer = stand.block(head, number).await;
        assert!(down == (builder(&answer) == "fallback"), "block {number}: {}", stand.decision().await);
        head = stand.adopt(&answer["result"]).await;
        if down {
            // It comes back with nothing but the genesis block, and is given the head again, which it lacks; its peers would have told it.
            stand.gateways[0] = Node::start_at("gateway 1", 4, Secret::new([3; 32]), address).await;
            stand.gateways[0].knows(head);
        }
    }
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
async fn schedule_changes_and_changes_back() {
    let stand = Stand::start().await;
    let told = |first: u16, second: u16| {
        let mut other = snapshot([stand.gateways[0].url(), stand.gateways[1].url()]);
        let mut epoch = other.schedule.epochs().next().cloned().expect("epoch 0");
        epoch.slots =
            std::array::from_fn(|slot| (if slot < 16 { first } else { second }, baton_protocol::Kind::Fallback));
        other.schedule.insert(epoch);
        stand.publisher.publish(other);
    };
    let id = stand.order(GENESIS, 1).await;
    told(2, 1);
    assert_eq!(builder(&stand.block(GENESIS, 2).await), "gateway 2");
    told(1, 2);
    assert_eq!(builder(&stand.block(GENESIS, 3).await), "gateway 1");
    assert_eq!(builder(&stand.payload(&id).await), "gateway 1");
}

#[tokio::test]
async fn l1_lies() {
    let stand = Stand::start().await;
    // A schedule of gateways that nobody has registered, and a gateway at somebody else's port: the fallback's own.
    let mut lie = snapshot([stand.fallback.url(), "http://127.0.0.1:1".to_owned()]);
    stand.publisher.publish(lie.clone());
    assert_eq!(builder(&stand.block(GENESIS, 1).await), "fallback");
    assert_eq!(builder(&stand.block(GENESIS, 20).await), "fallback");
    let mut epoch = lie.schedule.epochs().next().cloned().expect("epoch 0");
    epoch.slots = [(77, baton_protocol::Kind::Fallback); 32];
    lie.schedule.insert(epoch);
    stand.publisher.publish(lie);
    assert_eq!(builder(&stand.block(GENESIS, 2).await), "fallback");
    assert_eq!(stand.decision().await["outcome"], "not_asked");
}

#[tokio::test]
async fn clock_skew() {
    let stand = Stand::start().await;
    let body = r#"{"jsonrpc":"2.0","id":1,"method":"eth_chainId","params":[]}"#;
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).expect("after 1970").as_secs();
    // kona-node signs a minute ahead; the specification allows as much behind.
    for (issued_at, status) in [(now + 60, 200), (now - 60, 200), (now + 120, 401), (now - 120, 401)] {
        let token = format!("Bearer {}", Secret::new([1; 32]).token(issued_at));
        assert_eq!(stand.post(body, &token).await.status(), status, "{}", issued_at.abs_diff(now));
    }
    // The test chain's clock is half a century behind the portal's, and its owners are found all the same.
    assert_eq!(builder(&stand.block(GENESIS, 14).await), "gateway 2");
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
