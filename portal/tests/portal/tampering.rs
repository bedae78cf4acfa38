//! Payloads that an execution client accepts, and that op-node must not get.

use crate::{
    node::{DEFAULT_FEES, Fault, GENESIS},
    stand::{OpNode, Options, Stand, builder},
};
use serde::Deserialize;
use serde_json::{Value, json, value::RawValue};

/// Gateway 1 owns block 1 and changes a text in its payload, which the fallback would call valid.
async fn refused(outcome: &str, reason: &str, from: &'static str, to: &'static str) {
    // Room for more than what is gossiped.
    let stand = Stand::start_with(Options { max_body_mb: 32, ..Options::DEFAULT }).await;
    stand.gateways[0].fail("engine_getPayload", Fault::Rewritten(from, to));
    let answer = stand.block(GENESIS, 1).await;
    let decision = stand.decision().await;
    let to = &to[..to.len().min(200)];
    assert_eq!(builder(&answer), "fallback", "{to}: {decision}");
    assert_eq!(decision["outcome"], outcome, "{to}: {decision}");
    assert!(decision["reason"].as_str().is_some_and(|text| text.contains(reason)), "{decision}");
    assert!(stand.fallback.arrived("engine_newPayload").is_empty(), "the fallback was bothered with {to}");
}

#[tokio::test]
async fn an_own_deposit_behind_the_forced_ones() {
    refused("mismatch", "deposit", r#""0x7e02""#, r#""0x7e02","0x7e03""#).await;
    refused("mismatch", "deposit", r#""0x7e02""#, r#""0x7e02","0x02","0x7E03""#).await;
    refused("bad_answer", "no payload", r#""0x7e02""#, r#""0x7e02","\u0030x7e03""#).await;
}

#[tokio::test]
async fn other_fields_than_the_attributes() {
    refused("mismatch", "fee recipient", r#""feeRecipient":"0x00"#, r#""feeRecipient":"0x01"#).await;
    refused("mismatch", "prevRandao", r#""prevRandao":"0x00"#, r#""prevRandao":"0x01"#).await;
    refused("mismatch", "gas limit", r#""gasLimit":"0x1c9c380""#, r#""gasLimit":"0x1c9c381""#).await;
    refused("mismatch", "beacon block root", r#""parentBeaconBlockRoot":"0x07"#, r#""parentBeaconBlockRoot":"0x08"#)
        .await;
    let withdrawal = r#""withdrawals":[{"index":"0x0","validatorIndex":"0x0","address":"0x0000000000000000000000000000000000000001","amount":"0x1"}]"#;
    refused("mismatch", "withdrawals", r#""withdrawals":[]"#, withdrawal).await;
}

#[tokio::test]
async fn fields_missing_that_its_version_has() {
    for from in [r#""blobGasUsed":"0x0","#, r#""excessBlobGas":"0x0","#] {
        refused("mismatch", from.split('"').nth(1).expect("a key"), from, "").await;
    }
    let root = ZERO_ROOT;
    refused("mismatch", "withdrawalsRoot", root, "").await;
    refused("mismatch", "withdrawals", r#""withdrawals":[]"#, r#""withdrawals":null"#).await;
    for from in [r#""gasUsed":"0x0","#, r#""baseFeePerGas":"0x7","#] {
        refused("bad_answer", "no payload", from, "").await;
    }
}

const ZERO_ROOT: &str = r#","withdrawalsRoot":"0x0000000000000000000000000000000000000000000000000000000000000000""#;

/// The forced transactions, and one behind them that makes up a size in bytes.
fn transactions_of(size: usize) -> &'static str {
    // The forced ones have three bytes as they are counted, prefix included.
    let last = format!("0x02{}", "5a".repeat(size - 6 - 2));
    Box::leak(format!(r#""0x7e02","{last}""#).into_boxed_str())
}

#[tokio::test]
async fn more_than_op_nodes_gossip() {
    const LARGEST: usize = 10 << 20;
    refused("mismatch", "gossips", r#""0x7e02""#, transactions_of(LARGEST + 1)).await;
    let stand = Stand::start_with(Options { max_body_mb: 32, ..Options::DEFAULT }).await;
    stand.gateways[0].fail("engine_getPayload", Fault::Rewritten(r#""0x7e02""#, transactions_of(LARGEST)));
    assert_eq!(builder(&stand.block(GENESIS, 1).await), "gateway 1");
}

#[tokio::test]
async fn keys_that_two_readers_read_in_two_ways() {
    // Behind the real one, where Go takes the last.
    for to in [
        r#","BlockHash":"0x8888888888888888888888888888888888888888888888888888888888888888","withdrawals":"#,
        r#","blockHash":"0x8888888888888888888888888888888888888888888888888888888888888888","withdrawals":"#,
        r#","anything":null,"withdrawals":"#,
    ] {
        refused("bad_answer", "no payload", r#","withdrawals":"#, to).await;
    }
    for to in [
        r#","ExecutionPayload":{},"parentBeaconBlockRoot":"#,
        r#","executionPayload":{},"parentBeaconBlockRoot":"#,
        r#","anything":null,"parentBeaconBlockRoot":"#,
    ] {
        refused("bad_answer", "no payload", r#","parentBeaconBlockRoot":"#, to).await;
    }
}

fn holocene(number: u64, params: &str) -> Value {
    let mut attributes = OpNode::attributes(number);
    attributes["eip1559Params"] = json!(params);
    attributes
}

const DEFAULTS: &str = "0x0000000000000000";

fn tampered_fees() -> Fault {
    assert_eq!(DEFAULT_FEES, "000000fa00000006");
    Fault::Rewritten(r#""extraData":"0x00000000fa00000006""#, r#""extraData":"0x00000000fa00000007""#)
}

#[tokio::test]
async fn other_fee_parameters_than_the_attributes() {
    let stand = Stand::start().await;
    let named = format!("0x{DEFAULT_FEES}");
    let id = stand.order_with(GENESIS, &holocene(1, &named)).await;
    stand.payload(&id).await;
    assert_eq!(stand.decision().await["choice"], "gateway");
    stand.gateways[0].fail("engine_getPayload", tampered_fees());
    stand.payload(&id).await;
    let decision = stand.decision().await;
    assert_eq!(decision["outcome"], "mismatch", "{decision}");
    assert_eq!(decision["choice"], "fallback");
}

/// Lets a node go on with what is held there, behind all that is on its way to the portal; there is no other sign of its arrival.
async fn release_after_traffic(stand: &Stand) {
    for _ in 0..20 {
        stand.call("eth_chainId", json!([])).await;
    }
    stand.fallback.release();
}

#[tokio::test]
async fn other_fee_parameters_than_the_chains_defaults() {
    let stand = Stand::start().await;
    // The fallback shows the defaults in a block that it builds itself, here after the gateway has failed.
    stand.gateways[0].fail("engine_getPayload", Fault::Garbage);
    stand.fallback.fail("engine_getPayload", Fault::Held);
    let id = stand.order_with(GENESIS, &holocene(1, DEFAULTS)).await;
    tokio::join!(stand.payload(&id), async {
        stand.gateways[0].wait_for("engine_getPayload", 1).await;
        release_after_traffic(&stand).await;
    });
    assert_eq!(stand.decision().await["outcome"], "bad_answer");
    // From then on they are known, even while the fallback has nothing to show.
    stand.fallback.fail("engine_getPayload", Fault::Error);
    stand.gateways[0].recover();
    stand.payload(&id).await;
    assert_eq!(stand.decision().await["choice"], "gateway");
    stand.gateways[0].fail("engine_getPayload", tampered_fees());
    let answer = stand.payload(&id).await;
    let decision = stand.decision().await;
    assert_eq!(decision["outcome"], "mismatch", "{decision}");
    assert_eq!(answer["error"]["code"], -38001, "{answer}");
}

#[tokio::test]
async fn other_fee_parameters_than_in_the_fallbacks_payload_of_the_same_block() {
    let stand = Stand::start().await;
    // The first block that the portal sees. The fallback's payload is there before the fallback has checked the gateway's.
    stand.fallback.fail("engine_newPayload", Fault::Held);
    stand.gateways[0].fail("engine_getPayload", tampered_fees());
    let id = stand.order_with(GENESIS, &holocene(1, DEFAULTS)).await;
    tokio::join!(stand.payload(&id), async {
        stand.fallback.wait_for("engine_newPayload", 1).await;
        stand.fallback.wait_for("engine_getPayload", 1).await;
        release_after_traffic(&stand).await;
    });
    let decision = stand.decision().await;
    assert_eq!(decision["outcome"], "mismatch", "{decision}");
    assert_eq!(decision["choice"], "fallback");
}

#[tokio::test]
async fn op_node_gets_the_very_text_that_the_fallback_checked() {
    #[derive(Deserialize)]
    struct Request {
        params: Vec<Box<RawValue>>,
    }
    #[derive(Deserialize)]
    struct Answer {
        result: Envelope,
    }
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Envelope {
        execution_payload: Box<RawValue>,
    }
    let stand = Stand::start().await;
    // Spacing and a key's spelling that no serializer would write.
    let odd = "\"executionPayload\"\t: {\n\t \"base\\u0046eePerGas\" :\r\"0xA\" ,";
    let plain = r#""executionPayload":{"baseFeePerGas":"0x7","#;
    stand.gateways[0].fail("engine_getPayload", Fault::Rewritten(plain, odd));
    let id = stand.order(GENESIS, 1).await;
    let call = json!({"jsonrpc": "2.0", "id": 1, "method": "engine_getPayloadV4", "params": [id]}).to_string();
    let answer = stand.post(call, &OpNode::token()).await.bytes().await.expect("a body");
    let answer: Answer = serde_json::from_slice(&answer).expect("an envelope");
    assert_eq!(stand.decision().await["choice"], "gateway");
    let checked = stand.fallback.arrived("engine_newPayload");
    assert_eq!(checked.len(), 1);
    let request: Request = serde_json::from_slice(&checked[0].body).expect("a request");
    let served = answer.result.execution_payload.get();
    assert!(served.starts_with("{\n\t \"base\\u0046eePerGas\" :\r\"0xA\" ,"), "{served}");
    assert_eq!(request.params[0].get(), served);
}

/// The fallback isn't under suspicion: what it adds is no reason to count its payload as none.
#[tokio::test]
async fn the_fallbacks_own_payload_may_hold_fields_unknown_here() {
    let stand = Stand::start().await;
    stand.gateways[0].fail("engine_getPayload", Fault::Garbage);
    let odd = r#""executionPayload":{"blockAccessList":"0x","#;
    stand.fallback.fail("engine_getPayload", Fault::Rewritten(r#""executionPayload":{"#, odd));
    let answer = stand.block(GENESIS, 1).await;
    assert_eq!(builder(&answer), "fallback");
    assert_eq!(answer["result"]["executionPayload"]["blockAccessList"], "0x");
    let decision = stand.decision().await;
    assert_eq!(decision["choice"], "fallback", "{decision}");
    assert_eq!(decision["blockHash"], answer["result"]["executionPayload"]["blockHash"]);
}
