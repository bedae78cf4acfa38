//! The operator's rules: modes, circuit breakers, policies, the second validator, warm-ups.

use crate::{
    node::{Fault, GENESIS},
    stand::{Options, Stand, builder, write_config},
};
use baton_portal::Config;
use serde_json::{Value, json};
use std::time::{SystemTime, UNIX_EPOCH};

const fn with(gateways: &'static str) -> Options {
    Options { gateways, ..Options::DEFAULT }
}

/// One block, and who built it.
async fn built_by(stand: &Stand, number: u64) -> String {
    builder(&stand.block(GENESIS, number).await)
}

#[tokio::test]
async fn a_dry_run_checks_the_gateway_and_serves_the_fallback() {
    let stand = Stand::start_with(with("mode = \"dry_run\"")).await;
    // op-node has its block while the gateway is still thinking.
    stand.gateways[0].fail("engine_getPayload", Fault::Held);
    assert_eq!(built_by(&stand, 1).await, "fallback");
    assert_eq!(stand.decision().await, Value::Null);
    stand.gateways[0].release();
    let decision = stand.decision_about(1).await;
    assert_eq!((&decision["choice"], &decision["outcome"]), (&json!("fallback"), &json!("valid")), "{decision}");
    assert_eq!(decision["purpose"], "dry_run");
    // It says what would have been served.
    let served = decision["blockHash"].as_str().expect("a hash");
    let would = decision["gatewayBlockHash"].as_str().expect("a hash");
    assert_eq!(decision["wouldServe"], "gateway", "{decision}");
    assert_ne!(served, would);
    let checked = &stand.fallback.arrived("engine_newPayload")[0].json["params"][0];
    assert_eq!(checked["blockHash"], would);
    // And a dry run it stays when the fallback fails.
    stand.fallback.fail("engine_getPayload", Fault::Error);
    assert_eq!(stand.block(GENESIS, 2).await["error"]["code"], -38001);
    let decision = stand.decision_about(2).await;
    assert_eq!((&decision["choice"], &decision["wouldServe"]), (&json!("nothing"), &json!("gateway")), "{decision}");
    // A payload that isn't good wouldn't have been.
    stand.fallback.recover();
    stand.gateways[0].fail("engine_getPayload", Fault::WrongTimestamp);
    assert_eq!(built_by(&stand, 3).await, "fallback");
    let decision = stand.decision_about(3).await;
    assert_eq!((&decision["outcome"], &decision["wouldServe"]), (&json!("mismatch"), &json!("fallback")), "{decision}");
    assert!(decision["gatewayBlockHash"].is_string(), "{decision}");
}

#[tokio::test]
async fn a_dry_run_says_what_a_policy_would_have_preferred() {
    let stand = Stand::start_with(with("mode = \"dry_run\"\n[gateways.policy]\nvalue_ratio = 90")).await;
    stand.fallback.fail("engine_getPayload", Fault::Rewritten("\"blockValue\":\"0x0\"", "\"blockValue\":\"0x64\""));
    assert_eq!(built_by(&stand, 1).await, "fallback");
    let decision = stand.decision_about(1).await;
    assert_eq!((&decision["outcome"], &decision["wouldServe"]), (&json!("outbid"), &json!("fallback")), "{decision}");
}

#[tokio::test]
async fn a_decision_has_the_time_of_the_answer_however_late_it_is_made() {
    let stand = Stand::start_with(with("mode = \"dry_run\"")).await;
    stand.gateways[0].fail("engine_getPayload", Fault::Held);
    assert_eq!(built_by(&stand, 1).await, "fallback");
    let answered = SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970").as_millis();
    // So that the clock goes on.
    while SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970").as_millis() <= answered + 1 {
        tokio::task::yield_now().await;
    }
    stand.gateways[0].release();
    let at = stand.decision_about(1).await["atMs"].as_u64().expect("milliseconds");
    assert!(u128::from(at) <= answered, "{at} > {answered}");
}

#[tokio::test]
async fn a_disabled_gateway_gets_nothing_at_all() {
    let stand = Stand::start().await;
    stand.debug("debug_setExecutionMode", json!([{"execution_mode": "disabled", "gateway": 1}])).await;
    assert_eq!(built_by(&stand, 1).await, "fallback");
    let decision = stand.decision().await;
    assert!(decision["reason"].as_str().is_some_and(|reason| reason.contains("disabled")), "{decision}");
    // The other one still gets everything, so what would have gone to the first has gone by now.
    stand.gateways[1].wait_for("engine_forkchoiceUpdated", 1).await;
    assert!(stand.gateways[0].arrived("").is_empty());
    assert_eq!(built_by(&stand, 14).await, "gateway 2");
    stand.debug("debug_setExecutionMode", json!([{"execution_mode": "enabled", "gateway": 1}])).await;
    assert_eq!(built_by(&stand, 2).await, "gateway 1");
}

#[tokio::test]
async fn the_mode_of_all_is_read_and_set_as_in_rollup_boost() {
    let stand = Stand::start().await;
    assert_eq!(stand.debug("debug_getExecutionMode", json!([])).await["result"], json!({"execution_mode": "enabled"}));
    for mode in ["dry_run", "disabled", "enabled"] {
        let answer = stand.debug("debug_setExecutionMode", json!([{"execution_mode": mode}])).await;
        assert_eq!(answer["result"], json!({"execution_mode": mode}));
        // jsonrpsee's clients may also send parameters by name.
        let answer = stand.debug("debug_setExecutionMode", json!({"request": {"execution_mode": mode}})).await;
        assert_eq!(answer["result"], json!({"execution_mode": mode}));
        let answer = stand.debug("debug_getExecutionMode", json!([])).await;
        assert_eq!(answer["result"], json!({"execution_mode": mode}));
    }
    let one = stand.debug("debug_getExecutionMode", json!([{"gateway": 1}])).await;
    assert_eq!(one["result"], json!({"execution_mode": "enabled"}));
    assert_eq!(stand.debug("debug_setExecutionMode", json!([{"execution_mode": "on"}])).await["error"]["code"], -32602);
    assert_eq!(stand.debug("debug_x", json!([])).await["error"]["code"], -32601);
}

#[tokio::test]
async fn a_gateway_that_fails_is_left_out_and_tried_again_without_costing_a_block() {
    let stand = Stand::start_with(with("[gateways.breaker]\nmismatch = 2\npause_ms = 1")).await;
    let gateway = &stand.gateways[0];
    gateway.fail("engine_getPayload", Fault::WrongTimestamp);
    assert_eq!(built_by(&stand, 1).await, "fallback");
    assert_eq!(built_by(&stand, 2).await, "fallback");
    assert_eq!(stand.decision().await["purpose"], "serve");
    // The pause is over at once, and the first trial shows that it still fails.
    tokio::time::sleep(std::time::Duration::from_millis(2)).await;
    assert_eq!(built_by(&stand, 3).await, "fallback");
    let decision = stand.decision_about(3).await;
    assert_eq!((&decision["purpose"], &decision["outcome"]), (&json!("trial"), &json!("mismatch")), "{decision}");
    gateway.recover();
    // A trial's payload is not served, however good; the next block's is.
    tokio::time::sleep(std::time::Duration::from_millis(4)).await;
    assert_eq!(built_by(&stand, 4).await, "fallback");
    let decision = stand.decision_about(4).await;
    assert_eq!((&decision["purpose"], &decision["outcome"]), (&json!("trial"), &json!("valid")), "{decision}");
    assert_eq!(built_by(&stand, 5).await, "gateway 1");
}

#[tokio::test]
async fn a_gateway_that_is_left_out_keeps_up_with_the_head() {
    let stand = Stand::start().await;
    let gateway = &stand.gateways[0];
    gateway.fail("engine_getPayload", Fault::Garbage);
    assert_eq!(built_by(&stand, 1).await, "fallback");
    gateway.wait_for("engine_forkchoiceUpdated", 1).await;
    assert_eq!(built_by(&stand, 2).await, "fallback");
    let decision = stand.decision().await;
    assert_eq!(decision["outcome"], "not_asked", "{decision}");
    assert_eq!(decision["owner"], 1);
    assert_eq!(gateway.wait_for("engine_forkchoiceUpdated", 2).await[1].json["params"][1], Value::Null);
    // Others are not affected.
    assert_eq!(built_by(&stand, 14).await, "gateway 2");
}

#[tokio::test]
async fn empty_payloads_can_open_the_breaker() {
    // A policy that never objects, but has the portal wait for both payloads; and none, where the fallback's may come after op-node's answer.
    for gateways in ["[gateways.breaker]\nempty = 2\n[gateways.policy]\ngas_ratio = 0", "[gateways.breaker]\nempty = 2"]
    {
        let stand = Stand::start_with(with(gateways)).await;
        assert_eq!(built_by(&stand, 1).await, "gateway 1");
        stand.fallback.wait_for("engine_getPayload", 1).await;
        stand.fallback.fail("engine_getPayload", Fault::Rewritten("\"0x7e02\"", "\"0x7e02\",\"0x02aa\""));
        for number in [2_u8, 3] {
            // An empty block is a valid one.
            assert_eq!(built_by(&stand, number.into()).await, "gateway 1");
            // The fallback is asked for its own in any case, so that it stops building.
            stand.fallback.wait_for("engine_getPayload", number.into()).await;
        }
        stand.left_out().await;
        assert_eq!(built_by(&stand, 4).await, "fallback");
        assert_eq!(stand.decision().await["outcome"], "not_asked");
    }
}

#[tokio::test]
async fn an_empty_trial_is_as_good_as_any_where_emptiness_is_not_looked_at() {
    let stand = Stand::start_with(with("[gateways.breaker]\nempty = 0\npause_ms = 1")).await;
    stand.fallback.fail("engine_getPayload", Fault::Rewritten("\"0x7e02\"", "\"0x7e02\",\"0x02aa\""));
    stand.gateways[0].fail("engine_getPayload", Fault::WrongTimestamp);
    assert_eq!(built_by(&stand, 1).await, "fallback");
    stand.gateways[0].recover();
    tokio::time::sleep(std::time::Duration::from_millis(4)).await;
    assert_eq!(built_by(&stand, 2).await, "fallback");
    let decision = stand.decision_about(2).await;
    assert_eq!((&decision["purpose"], &decision["outcome"]), (&json!("trial"), &json!("valid")), "{decision}");
    assert_eq!(built_by(&stand, 3).await, "gateway 1");
}

#[tokio::test]
async fn a_full_payload_makes_up_for_empty_ones() {
    let full = || Fault::Rewritten("\"0x7e02\"", "\"0x7e02\",\"0x02aa\"");
    let stand = Stand::start_with(with("[gateways.breaker]\nempty = 2")).await;
    stand.fallback.fail("engine_getPayload", full());
    for (number, is_full) in [(1_u8, false), (2, true), (3, false), (4, false)] {
        if is_full {
            stand.gateways[0].fail("engine_getPayload", full());
        } else {
            stand.gateways[0].recover();
        }
        assert_eq!(built_by(&stand, number.into()).await, "gateway 1", "{number}");
        // Its answer tells whether the payload had to be empty.
        stand.fallback.wait_for("engine_getPayload", number.into()).await;
    }
    stand.left_out().await;
    assert_eq!(built_by(&stand, 5).await, "fallback");
}

#[tokio::test]
async fn what_is_heard_late_of_a_block_does_not_make_up_for_later_ones() {
    let stand = Stand::start_with(with("[gateways.breaker]\ninvalid = 2")).await;
    stand.fallback.fail("engine_getPayload", Fault::Held);
    assert_eq!(built_by(&stand, 1).await, "gateway 1");
    stand.fallback.wait_for("engine_getPayload", 1).await;
    stand.fallback.recover();
    stand.gateways[0].fail("engine_getPayload", Fault::Garbage);
    assert_eq!(built_by(&stand, 2).await, "fallback");
    stand.fallback.release();
    // Time for it to be heard.
    tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    assert_eq!(built_by(&stand, 3).await, "fallback");
    assert_eq!(stand.decision().await["outcome"], "bad_answer");
    assert_eq!(built_by(&stand, 4).await, "fallback");
    assert_eq!(stand.decision().await["outcome"], "not_asked");
}

#[tokio::test]
async fn empty_payloads_are_no_fault_where_the_fallback_has_nothing_either() {
    let stand = Stand::start_with(with("[gateways.breaker]\nempty = 1")).await;
    for number in [1_u8, 2, 3] {
        assert_eq!(built_by(&stand, number.into()).await, "gateway 1");
        stand.fallback.wait_for("engine_getPayload", number.into()).await;
    }
}

#[tokio::test]
async fn both_validators_must_agree() {
    for (fault, outcome) in [
        (None, "valid"),
        (Some(Fault::Status("INVALID")), "disputed"),
        (Some(Fault::Status("SYNCING")), "unchecked"),
        (Some(Fault::Garbage), "unchecked"),
    ] {
        let stand = Stand::start_with(Options { validator: true, ..Options::DEFAULT }).await;
        if let Some(fault) = fault {
            stand.validator.fail("engine_newPayload", fault);
        }
        let expected = if outcome == "valid" { "gateway 1" } else { "fallback" };
        assert_eq!(built_by(&stand, 1).await, expected, "{fault:?}");
        assert_eq!(stand.decision().await["outcome"], outcome, "{fault:?}");
    }
}

#[tokio::test]
async fn a_validator_that_is_slow_or_down_leaves_the_block_to_the_fallback() {
    let slow = Options { validator: true, budget_ms: 400, ..Options::DEFAULT };
    let stand = Stand::start_with(slow).await;
    stand.validator.fail("engine_newPayload", Fault::Held);
    assert_eq!(built_by(&stand, 1).await, "fallback");
    assert_eq!(stand.decision().await["outcome"], "check_late");
    let mut stand = Stand::start_with(Options { validator: true, ..Options::DEFAULT }).await;
    stand.validator.stop().await;
    assert_eq!(built_by(&stand, 1).await, "fallback");
    assert_eq!(stand.decision().await["outcome"], "unchecked");
    // It is nobody's fault but the validator's: the gateway is asked again.
    assert_eq!(built_by(&stand, 2).await, "fallback");
    assert_eq!(stand.decision().await["outcome"], "unchecked");
}

#[tokio::test]
async fn the_validator_follows_the_chain() {
    let stand = Stand::start_with(Options { validator: true, ..Options::DEFAULT }).await;
    let answer = stand.block(GENESIS, 1).await;
    let head = stand.adopt(&answer["result"]).await;
    stand.validator.wait_for("engine_forkchoiceUpdated", 2).await;
    assert_eq!(stand.validator.head(), head);
    // It never builds.
    assert!(stand.validator.arrived("engine_forkchoiceUpdated").iter().all(|call| call.json["params"][1].is_null()));
    assert!(stand.validator.arrived("engine_getPayload").is_empty());
}

#[tokio::test]
async fn a_policy_prefers_what_is_worth_more() {
    let stand = Stand::start_with(with("[gateways.policy]\nvalue_ratio = 90")).await;
    assert_eq!(built_by(&stand, 1).await, "gateway 1");
    stand.fallback.fail("engine_getPayload", Fault::Rewritten("\"blockValue\":\"0x0\"", "\"blockValue\":\"0x64\""));
    assert_eq!(built_by(&stand, 2).await, "fallback");
    assert_eq!(stand.decision().await["outcome"], "outbid");
    // No fault: it is asked for the next block, and what it has is better than nothing.
    stand.fallback.recover();
    stand.fallback.fail("engine_getPayload", Fault::Error);
    assert_eq!(built_by(&stand, 3).await, "gateway 1");
}

#[tokio::test]
async fn comparing_is_not_worth_more_than_the_time_budget() {
    let options = Options { budget_ms: 400, gateways: "[gateways.policy]\ngas_ratio = 10", ..Options::DEFAULT };
    let stand = Stand::start_with(options).await;
    stand.fallback.fail("engine_getPayload", Fault::Held);
    assert_eq!(built_by(&stand, 1).await, "gateway 1");
}

#[tokio::test]
async fn a_transaction_that_is_left_out_too_often_decides() {
    let stand = Stand::start_with(with("[gateways.policy]\ninclude_after = 2")).await;
    stand.fallback.fail("engine_getPayload", Fault::Rewritten("\"0x7e02\"", "\"0x7e02\",\"0x02aa\""));
    assert_eq!(built_by(&stand, 1).await, "gateway 1");
    assert_eq!(built_by(&stand, 2).await, "gateway 1");
    assert_eq!(built_by(&stand, 3).await, "fallback");
    assert_eq!(stand.decision().await["outcome"], "outbid");
    // Included, and so no longer overdue.
    assert_eq!(built_by(&stand, 4).await, "gateway 1");
}

#[tokio::test]
async fn the_coming_gateway_is_warmed_before_its_turn() {
    let stand = Stand::start_with(with("warm_up_blocks = 2")).await;
    let mut head = GENESIS;
    // Gateway 2's first block is 14.
    for number in 10..=11 {
        let answer = stand.block(head, number).await;
        head = stand.adopt(&answer["result"]).await;
    }
    let coming = &stand.gateways[1];
    assert!(coming.arrived("engine_exchangeCapabilities").is_empty());
    stand.order(head, 12).await;
    coming.wait_for("engine_exchangeCapabilities", 1).await;
    // Once more what it should have: the latest block, then the head.
    assert_eq!(coming.wait_for("engine_newPayload", 3).await.len(), 3);
    let payloads = coming.arrived("engine_newPayload");
    assert_eq!(payloads[2].body, payloads[1].body);
    // Heads that wait coalesce, so it is the last one that is waited for.
    let has_head = async {
        while coming.head() != head {
            tokio::time::sleep(std::time::Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(std::time::Duration::from_secs(10), has_head).await.expect("it has the head");
    // Only once for a turn: what comes behind the next order has no warm-up before it.
    let answer = stand.block(head, 13).await;
    stand.adopt(&answer["result"]).await;
    assert_eq!(coming.wait_for("engine_newPayload", 4).await.len(), 4);
    // Over the lane, and over the connection that payloads will come over.
    assert_eq!(coming.wait_for("engine_exchangeCapabilities", 2).await.len(), 2);
    assert!(stand.gateways[0].arrived("engine_exchangeCapabilities").is_empty());
}

#[tokio::test]
async fn a_new_configuration_is_taken_over_and_a_wrong_one_is_not() {
    let mut stand = Stand::start().await;
    let text = |options: &Options| write_config(&stand.secrets, &stand.fallback.url(), options);
    let changed = text(&Options { budget_ms: 400, gateways: "mode = \"dry_run\"", ..Options::DEFAULT });
    let wrong = text(&Options { budget_ms: 0, ..Options::DEFAULT });
    let back = text(&stand.options);
    let changes = stand.portal.reload(&Config::from_toml(&changed).expect("a configuration")).expect("right");
    let keys: Vec<_> = changes.iter().map(|change| change.key.as_str()).collect();
    assert_eq!(keys, ["gateways.mode", "gateways.payload_budget_ms"]);
    assert!(changes.iter().all(|change| !change.needs_restart));
    assert_eq!(built_by(&stand, 1).await, "fallback");
    assert_eq!(stand.decision_about(1).await["purpose"], "dry_run");
    let error = stand.portal.reload(&Config::from_toml(&wrong).expect("a configuration")).expect_err("wrong");
    assert!(error.to_string().contains("payload_budget_ms"), "{error}");
    assert_eq!(built_by(&stand, 2).await, "fallback");
    stand.portal.reload(&Config::from_toml(&back).expect("a configuration")).expect("right");
    assert_eq!(built_by(&stand, 3).await, "gateway 1");
    assert_eq!(stand.portal.reload(&Config::from_toml(&back).expect("a configuration")).expect("right"), []);
}

#[tokio::test]
async fn a_gateways_new_secret_counts_from_the_reload_on() {
    let mut stand = Stand::start_with(Options { gateway_secret: [9; 32], ..Options::DEFAULT }).await;
    assert_eq!(built_by(&stand, 1).await, "fallback");
    let config = write_config(&stand.secrets, &stand.fallback.url(), &Options::DEFAULT);
    // The file's name is the same, what is in it isn't.
    std::fs::write(stand.secrets.path().join("gateways"), "09".repeat(32)).expect("written");
    stand.portal.reload(&Config::from_toml(&config).expect("a configuration")).expect("right");
    assert_eq!(built_by(&stand, 2).await, "gateway 1");
}

#[tokio::test]
async fn transactions_stay_with_the_fallback_when_multiplexing_is_off() {
    let stand = Stand::start_with(with("multiplex = false")).await;
    stand.call("eth_sendRawTransaction", json!(["0x02f8"])).await;
    // Limits for building are no eth_ method and go on.
    stand.call("miner_setMaxDASize", json!(["0x1", "0x1"])).await;
    for node in &stand.gateways {
        node.wait_for("miner_setMaxDASize", 1).await;
        assert!(node.arrived("eth_").is_empty());
    }
    stand.fallback.wait_for("eth_sendRawTransaction", 1).await;
}
