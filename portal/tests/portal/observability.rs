//! The dashboard and the alerts ask for metrics that the portal has.

use crate::{
    node::{Fault, GENESIS},
    stand::{Options, Stand},
};
use serde_json::json;
use std::collections::BTreeSet;

/// The portal's metrics that a text names.
fn named(text: &str) -> BTreeSet<String> {
    let parts = text.split(|letter: char| !letter.is_ascii_alphanumeric() && letter != '_');
    parts.filter(|part| part.starts_with("baton_portal_")).map(str::to_owned).collect()
}

#[tokio::test]
async fn everything_that_is_asked_for_is_there() {
    let dashboard = include_str!("../../observability/dashboard.json");
    let parsed: serde_json::Value = serde_json::from_str(dashboard).expect("JSON");
    assert!(parsed["panels"].as_array().is_some_and(|panels| panels.len() >= 10));
    let mut asked = named(dashboard);
    asked.extend(named(include_str!("../../observability/alerts.yml")));
    assert!(asked.len() >= 9, "{asked:?}");

    // All that can happen to a portal, once.
    let stand = Stand::start_with(Options { queue: 1, ..Options::DEFAULT }).await;
    stand.gateways[1].fail("engine_", Fault::Held);
    for _ in 0..4 {
        stand
            .call("engine_newPayloadV4", json!([{"blockHash": GENESIS, "parentHash": GENESIS}, [], GENESIS, []]))
            .await;
    }
    stand.call("eth_call", json!([{}])).await;
    stand.block(GENESIS, 1).await;
    let (_, metrics) = stand.admin("/metrics").await;
    for name in asked {
        assert!(metrics.lines().any(|line| line.starts_with(&name)), "{name} isn't in\n{metrics}");
    }
}
