//! What a gateway's breaker counts: blocks, each once, and only what is known of them.

use crate::{
    node::{Fault, GENESIS},
    stand::{Options, Stand, builder},
};
use serde_json::{Value, json};
use std::time::Duration;

const fn with(gateways: &'static str) -> Options {
    Options { gateways, ..Options::DEFAULT }
}

/// The fallback has found a transaction.
const FULL: Fault = Fault::Rewritten("\"0x7e02\"", "\"0x7e02\",\"0x02aa\"");

/// One block, and who built it.
async fn built_by(stand: &Stand, number: u64) -> String {
    builder(&stand.block(GENESIS, number).await)
}

#[tokio::test]
async fn a_payload_that_is_asked_for_again_is_no_other_block() {
    let stand = Stand::start_with(with("[gateways.breaker]\nmismatch = 2")).await;
    stand.gateways[0].fail("engine_getPayload", Fault::WrongTimestamp);
    let id = stand.order(GENESIS, 1).await;
    for _ in 0..3 {
        assert_eq!(builder(&stand.payload(&id).await), "fallback");
        assert_eq!(stand.decision().await["outcome"], "mismatch");
    }
    for outcome in ["mismatch", "not_asked"] {
        assert_eq!(built_by(&stand, if outcome == "mismatch" { 2 } else { 3 }).await, "fallback");
        assert_eq!(stand.decision().await["outcome"], outcome);
    }
}

#[tokio::test]
async fn a_transaction_waits_for_blocks_and_not_for_calls() {
    let stand = Stand::start_with(with("[gateways.policy]\ninclude_after = 2")).await;
    stand.fallback.fail("engine_getPayload", FULL);
    let id = stand.order(GENESIS, 1).await;
    for _ in 0..3 {
        assert_eq!(builder(&stand.payload(&id).await), "gateway 1");
    }
    assert_eq!(built_by(&stand, 2).await, "gateway 1");
    assert_eq!(built_by(&stand, 3).await, "fallback");
}

#[tokio::test]
async fn a_trial_that_is_ordered_twice_is_a_trial() {
    let stand = Stand::start_with(with("[gateways.breaker]\npause_ms = 500")).await;
    stand.gateways[0].fail("engine_getPayload", Fault::WrongTimestamp);
    assert_eq!(built_by(&stand, 1).await, "fallback");
    stand.gateways[0].recover();
    stand.wait_for_gateway(|gateway| gateway["breaker"] == "half_open").await;
    let id = stand.order(GENESIS, 2).await;
    assert_eq!(stand.order(GENESIS, 2).await, id);
    assert_eq!(builder(&stand.payload(&id).await), "fallback");
    let decision = stand.decision_about(2).await;
    assert_eq!((&decision["purpose"], &decision["outcome"]), (&json!("trial"), &json!("valid")), "{decision}");
    assert_eq!(built_by(&stand, 3).await, "gateway 1");
}

#[tokio::test]
async fn an_order_that_is_repeated_does_not_lose_the_id_that_is_known() {
    let stand = Stand::start().await;
    let id = stand.order(GENESIS, 1).await;
    assert_eq!(builder(&stand.payload(&id).await), "gateway 1");
    // The same again, which the gateway is slow to answer.
    stand.gateways[0].fail("engine_forkchoiceUpdated", Fault::Held);
    assert_eq!(stand.order(GENESIS, 1).await, id);
    assert_eq!(builder(&stand.payload(&id).await), "gateway 1");
}

#[tokio::test]
async fn an_order_that_is_repeated_is_got_by_its_latest_id() {
    let stand = Stand::start().await;
    let node = &stand.gateways[0];
    node.keeps_only_the_last();
    let id = stand.order(GENESIS, 1).await;
    node.wait_for("engine_forkchoiceUpdated", 1).await;
    // Another block in between.
    stand.order(GENESIS, 2).await;
    assert_eq!(stand.order(GENESIS, 1).await, id);
    node.wait_for("engine_forkchoiceUpdated", 3).await;
    assert_eq!(builder(&stand.payload(&id).await), "gateway 1", "{}", stand.decision().await);
    // The same once more, which it has begun and not answered: by then the earlier id is unknown.
    node.fail("engine_forkchoiceUpdated", Fault::Held);
    assert_eq!(stand.order(GENESIS, 1).await, id);
    node.wait_for("engine_forkchoiceUpdated", 4).await;
    let asked = node.arrived("engine_getPayload").len();
    let answered = async {
        node.wait_for("engine_getPayload", asked + 1).await;
        node.release();
    };
    let (answer, ()) = tokio::join!(stand.payload(&id), answered);
    assert_eq!(builder(&answer), "gateway 1", "{}", stand.decision().await);
}

#[tokio::test]
async fn an_id_that_a_repeated_order_replaced_is_no_fault() {
    let stand = Stand::start().await;
    let node = &stand.gateways[0];
    node.keeps_only_the_last();
    let id = stand.order(GENESIS, 1).await;
    assert_eq!(builder(&stand.payload(&id).await), "gateway 1");
    // It begins anew, and gives no id.
    node.fail("engine_forkchoiceUpdated", Fault::Error);
    assert_eq!(stand.order(GENESIS, 1).await, id);
    node.wait_for("engine_forkchoiceUpdated", 2).await;
    assert_eq!(builder(&stand.payload(&id).await), "fallback");
    assert_eq!(stand.decision().await["outcome"], "replaced");
    node.recover();
    assert_eq!(built_by(&stand, 2).await, "gateway 1");
    // Of a block that was ordered once it is one.
    let id = stand.order(GENESIS, 3).await;
    stand.order(GENESIS, 4).await;
    assert_eq!(builder(&stand.payload(&id).await), "fallback");
    assert_eq!(stand.decision().await["outcome"], "bad_answer");
}

#[tokio::test]
async fn a_trial_whose_check_is_late_is_not_repeated_with_each_block() {
    let gateways = "[gateways.breaker]\npause_ms = 1500";
    let stand = Stand::start_with(Options { gateways, budget_ms: 400, ..Options::DEFAULT }).await;
    stand.gateways[0].fail("engine_getPayload", Fault::WrongTimestamp);
    assert_eq!(built_by(&stand, 1).await, "fallback");
    stand.gateways[0].recover();
    stand.fallback.fail("engine_newPayload", Fault::Held);
    stand.wait_for_gateway(|gateway| gateway["breaker"] == "half_open").await;
    assert_eq!(built_by(&stand, 2).await, "fallback");
    let decision = stand.decision_about(2).await;
    assert_eq!((&decision["purpose"], &decision["outcome"]), (&json!("trial"), &json!("check_late")), "{decision}");
    stand.left_out().await;
    // And after the pause it is tried again.
    stand.fallback.release();
    stand.wait_for_gateway(|gateway| gateway["breaker"] == "half_open").await;
    assert_eq!(built_by(&stand, 3).await, "fallback");
    assert_eq!(stand.decision_about(3).await["outcome"], "valid");
    assert_eq!(built_by(&stand, 4).await, "gateway 1");
}

#[tokio::test]
async fn an_order_that_failed_is_made_good_by_the_next() {
    let stand = Stand::start().await;
    stand.gateways[0].fail("engine_forkchoiceUpdated", Fault::Status("SYNCING"));
    let id = stand.order(GENESIS, 1).await;
    assert_eq!(builder(&stand.payload(&id).await), "fallback");
    assert_eq!(stand.decision().await["outcome"], "not_building");
    stand.gateways[0].recover();
    assert_eq!(stand.order(GENESIS, 1).await, id);
    assert_eq!(builder(&stand.payload(&id).await), "gateway 1");
}

#[tokio::test]
async fn a_fallback_without_a_payload_says_nothing_about_emptiness() {
    // Policies that never object here, but have the portal wait for both payloads.
    let rules = "[gateways.breaker]\nempty = 2\n[gateways.policy]\ngas_ratio = 0";
    let stand = Stand::start_with(with(rules)).await;
    for number in [1_u8, 2, 3] {
        // In the middle it fails, by which the gateway's first empty block isn't forgotten.
        stand.fallback.fail("engine_getPayload", if number == 2 { Fault::Error } else { FULL });
        assert_eq!(built_by(&stand, number.into()).await, "gateway 1");
    }
    stand.left_out().await;
}

#[tokio::test]
async fn a_fallback_without_a_payload_does_not_end_a_transactions_wait() {
    let stand = Stand::start_with(with("[gateways.policy]\ninclude_after = 2")).await;
    for number in [1_u8, 2, 3] {
        stand.fallback.fail("engine_getPayload", if number == 2 { Fault::Error } else { FULL });
        assert_eq!(built_by(&stand, number.into()).await, "gateway 1");
    }
    assert_eq!(built_by(&stand, 4).await, "fallback");
    assert_eq!(stand.decision().await["outcome"], "outbid");
}

/// A check that is answered with an error: how the attempt is recorded, and whether the gateway is asked for the next block.
async fn check_refused(code: i64, gateway: Option<Fault>) -> (Value, bool) {
    let stand = Stand::start().await;
    stand.fallback.fail("engine_newPayload", Fault::Code(code));
    if let Some(fault) = gateway {
        stand.gateways[0].fail("engine_getPayload", fault);
    }
    assert_eq!(built_by(&stand, 1).await, "fallback");
    let outcome = stand.decision().await["outcome"].clone();
    stand.fallback.recover();
    stand.gateways[0].recover();
    (outcome, built_by(&stand, 2).await == "gateway 1")
}

#[tokio::test]
async fn an_error_in_the_check_is_the_gateways_fault_only_if_it_is_about_its_payload() {
    // Parameters of which only the payload is the gateway's.
    assert_eq!(check_refused(-32602, None).await, (json!("rejected"), false));
    // A method or fork that the fallback doesn't have, or a failure of its own.
    for code in [-32601, -38005, -32000] {
        assert_eq!(check_refused(code, None).await, (json!("unchecked"), true), "{code}");
    }
    // Unless the fallback itself writes payloads of another form.
    let more = Fault::Rewritten("\"executionPayload\":{", "\"executionPayload\":{\"slotNumber\":\"0x1\",");
    assert_eq!(check_refused(-38005, Some(more)).await, (json!("mismatch"), false));
}

#[tokio::test]
async fn a_block_that_the_next_has_overtaken_in_a_dry_run_is_no_fault() {
    let stand = Stand::start_with(with("mode = \"dry_run\"")).await;
    let node = &stand.gateways[0];
    node.keeps_only_the_last();
    node.fail("engine_forkchoiceUpdated", Fault::Held);
    // As a node that catches up does it: whoever isn't waited for is behind.
    for number in 1..=10 {
        assert_eq!(built_by(&stand, number).await, "fallback");
    }
    node.release();
    let decided = async {
        loop {
            let all: Vec<Value> = serde_json::from_str(&stand.admin("/decisions").await.1).expect("JSON");
            if all.len() == 10 {
                return all;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    for decision in tokio::time::timeout(Duration::from_secs(10), decided).await.expect("in time") {
        assert!(decision["outcome"] == "valid" || decision["outcome"] == "replaced", "{decision}");
    }
}
