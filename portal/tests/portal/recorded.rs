//! Traffic of a real consensus client (kona-node 1.0.0-rc.1 as sequencer, Isthmus), replayed.

use crate::stand::{OpNode, Stand, snapshot};
use alloy::primitives::B256;
use baton_portal::{
    demand::Demand,
    payload::Payload,
    peek::{self, Body, Method},
    rpc::Answer,
};
use serde::Deserialize;
use serde_json::{Value, json, value::RawValue};
use std::collections::BTreeMap;

#[derive(Deserialize)]
struct Exchange {
    rq: Box<RawValue>,
    rs: Box<RawValue>,
}

fn recorded() -> Vec<Exchange> {
    let lines = include_str!("../fixtures/sequencer.jsonl").lines();
    lines.map(|line| serde_json::from_str(line).expect("a recorded exchange")).collect()
}

#[test]
fn every_recorded_call_is_understood() {
    let mut seen = BTreeMap::new();
    for exchange in recorded() {
        let Body::Single(call) = peek::body(exchange.rq.get().as_bytes()) else { panic!("{}", exchange.rq) };
        assert!(call.id.or_else(|| peek::id(exchange.rq.get().as_bytes())).is_some());
        let kind = match &call.method {
            Method::ForkchoiceUpdated(update) if update.order.is_some() => "order",
            Method::ForkchoiceUpdated(_) => "head",
            Method::GetPayload { version: 4, .. } => "getPayload",
            Method::NewPayload => "newPayload",
            Method::Capabilities | Method::Other => "other",
            other => panic!("{other:?}"),
        };
        *seen.entry(kind).or_insert(0) += 1;
    }
    let expected = [("getPayload", 30), ("head", 31), ("newPayload", 30), ("order", 30), ("other", 37)];
    assert_eq!(seen, expected.into_iter().collect());
}

/// Every payload that the execution client really built answers what the consensus client really asked for.
#[test]
fn every_recorded_payload_meets_its_demand() {
    let mut demands = BTreeMap::new();
    let mut met = 0;
    for exchange in recorded() {
        let call = peek::call(exchange.rq.get().as_bytes()).expect("a call");
        let answer: Answer<'_> = serde_json::from_str(exchange.rs.get()).expect("an answer");
        match &call.method {
            Method::ForkchoiceUpdated(update) if update.order.is_some() => {
                let answer: serde_json::Value =
                    serde_json::from_str(answer.result.expect("a result").get()).expect("JSON");
                let id = answer["payloadId"].as_str().expect("an id").to_owned();
                demands.insert(id, Demand::of(update, None).expect("attributes"));
            }
            Method::GetPayload { id, .. } => {
                let call = answer.id.and_then(|id| id.get().parse().ok()).expect("a number");
                let payload = Payload::read(exchange.rs.get().as_bytes(), call).expect("a payload");
                let demand = &demands[&id.to_string()];
                assert!(!demand.forced.is_empty() && demand.gas_limit.is_some() && demand.beacon_root.is_some());
                assert_eq!(demand.check(&payload), Ok(()));
                let other = Demand { timestamp: demand.timestamp + 1, ..demand.clone() };
                assert!(other.check(&payload).is_err());
                met += 1;
            }
            _ => {}
        }
    }
    assert_eq!(met, 30);
}

/// Attributes and the envelope that op-reth 1.10.2 made from them, with the fork's version of `getPayload`.
const SAMPLES: [(&str, &str, u8); 3] = [
    ("granite", include_str!("../fixtures/granite.json"), 3),
    ("holocene", include_str!("../fixtures/holocene.json"), 3),
    ("jovian", include_str!("../fixtures/jovian.json"), 4),
];

/// What each fork's extra data says: nothing, the fee parameters, and the minimum base fee behind them.
#[tokio::test]
async fn payloads_of_other_forks_are_checked_and_served() {
    for (fork, sample, version) in SAMPLES {
        let sample: Value = serde_json::from_str(sample).expect("JSON");
        let (attributes, envelope) = (&sample["attributes"], &sample["envelope"]);
        let text = |value: &Value| value.as_str().expect("text").to_owned();
        let parent: B256 = text(&envelope["executionPayload"]["parentHash"]).parse().expect("a hash");
        let timestamp = u64::from_str_radix(&text(&attributes["timestamp"])[2..], 16).expect("a quantity");
        let served = async |envelope: &Value| {
            let stand = Stand::start().await;
            // It is block 1, and that is gateway 1's.
            stand.publish(|urls| {
                let mut known = snapshot(urls);
                known.clock.l1_genesis_time = timestamp - 1;
                known.clock.l2_genesis_time = timestamp - 1;
                known
            });
            stand.gateways[0].builds(envelope.clone());
            for node in [&stand.fallback, &stand.gateways[0]] {
                node.knows(parent);
            }
            let id = stand.order_with(parent, attributes).await;
            let answer = stand.call(&format!("engine_getPayloadV{version}"), json!([id])).await;
            (answer["result"].clone(), stand.decision().await)
        };
        let (answer, decision) = served(envelope).await;
        assert_eq!(decision["choice"], "gateway", "{fork}: {decision}");
        assert_eq!(&answer, envelope, "{fork}");
        // Other fee parameters, or in another fork's form, aren't what was asked for. Before Holocene nothing is asked for.
        let wrong: &[&str] = match fork {
            "granite" => &[],
            "holocene" => {
                &["0x01000000fa00000006", "0x00000000fa00000007", "0x00000000fa000000060000000000000000", "0x"]
            }
            _ => &[
                "0x00000000fa000000060000000000000000",
                "0x01000000fa000000060000000000000001",
                "0x00000000fa00000006",
            ],
        };
        for extra_data in wrong {
            let mut other = envelope.clone();
            other["executionPayload"]["extraData"] = json!(extra_data);
            let (_, decision) = served(&other).await;
            assert_eq!(decision["choice"], "fallback", "{fork}, {extra_data}: {decision}");
            assert_eq!(decision["outcome"], "mismatch", "{fork}, {extra_data}: {decision}");
        }
    }
}

#[tokio::test]
async fn recorded_calls_reach_the_fallback_byte_by_byte() {
    let stand = Stand::start().await;
    let mut sent = Vec::new();
    for exchange in recorded() {
        let body = exchange.rq.get().to_owned();
        // The test's fallback is another chain, on which these payload ids don't exist.
        assert_eq!(stand.post(body.clone(), &OpNode::token()).await.status(), 200);
        sent.push(body);
    }
    let arrived = stand.fallback.arrived("");
    let arrived: Vec<_> = arrived.iter().filter(|call| call.method != "eth_chainId").collect();
    assert_eq!(arrived.len(), sent.len());
    for (arrived, sent) in arrived.iter().zip(&sent) {
        assert_eq!(arrived.body, sent.as_bytes());
    }
}
