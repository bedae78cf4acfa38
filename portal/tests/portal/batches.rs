//! Bodies of several calls, and what only looks like one.

use crate::{
    node::{Fault, GENESIS, Node},
    stand::{GATEWAYS, Stand, snapshot},
};
use baton_portal::Secret;
use serde_json::{Value, json};

/// The codes of the errors in a list of answers, and that there is nothing else in it.
fn codes(answers: &Value) -> Vec<i64> {
    let answers = answers.as_array().unwrap_or_else(|| panic!("{answers}"));
    answers.iter().map(|answer| answer["error"]["code"].as_i64().unwrap_or_else(|| panic!("{answer}"))).collect()
}

#[tokio::test]
async fn an_array_is_no_call() {
    let stand = Stand::start().await;
    for (body, expected) in [
        (
            r#"[[{"jsonrpc":"2.0","id":1,"method":"engine_forkchoiceUpdatedV3","params":[]},"eth_foo","eth_chainId"]]"#,
            &[-32600][..],
        ),
        (r#"["x","engine_newPayloadV4","y"]"#, &[-32600; 3]),
        (r#"[["x","engine_newPayloadV4","y"]]"#, &[-32600]),
        (r#"[ [ "x", "eth_sendRawTransaction", ["0x02"] ] ]"#, &[-32600]),
    ] {
        assert_eq!(codes(&stand.exchange(body.to_owned()).await), expected, "{body}");
    }
    // Nor is it kept for whoever comes later.
    let moved = Node::start("gateway 2, elsewhere", 4, Secret::new(GATEWAYS)).await;
    stand.publisher.publish(snapshot([stand.gateways[0].url(), moved.url()]));
    let has_a_lane = async {
        while moved.arrived("eth_sendRawTransaction").is_empty() {
            stand.call("eth_sendRawTransaction", json!(["0x02f8"])).await;
        }
    };
    tokio::time::timeout(std::time::Duration::from_secs(10), has_a_lane).await.expect("a lane to the new address");
    let answer = stand.block(GENESIS, 1).await;
    stand.adopt(&answer["result"]).await;
    for node in [&moved, &stand.gateways[0], &stand.fallback] {
        let payloads = node.wait_for("engine_newPayload", 1).await;
        assert_eq!(payloads[0].json["params"][0], answer["result"]["executionPayload"], "{payloads:?}");
        for call in node.arrived("") {
            assert!(call.json.is_object(), "{call:?}");
        }
    }
}

#[tokio::test]
async fn modes_are_set_by_objects_only() {
    let stand = Stand::start().await;
    let client = reqwest::Client::builder().no_proxy().build().expect("a client");
    for (body, code) in [
        (r#"["debug_setExecutionMode",[{"execution_mode":"disabled"}]]"#, -32600),
        (r#"{"jsonrpc":"2.0","id":1,"method":"debug_setExecutionMode","params":[["disabled"]]}"#, -32602),
        (r#"{"jsonrpc":"2.0","id":1,"method":"debug_setExecutionMode","params":{"request":["disabled"]}}"#, -32602),
        (r#"{"jsonrpc":"2.0","id":1,"method":7}"#, -32600),
        (r#"{"jsonrpc":"#, -32700),
    ] {
        let request = client.post(format!("http://{}", stand.portal.admin)).header("content-type", "application/json");
        let answer = request.body(body).send().await.expect("an answer").bytes().await.expect("a body");
        let answer: Value = serde_json::from_slice(&answer).expect("JSON");
        assert_eq!(answer["error"]["code"], code, "{body}: {answer}");
    }
    assert_eq!(stand.debug("debug_getExecutionMode", json!([])).await["result"]["execution_mode"], "enabled");
}

#[tokio::test]
async fn a_batch_has_at_most_a_thousand_calls() {
    let stand = Stand::start().await;
    let calls = |count: usize| json!(vec![json!({"jsonrpc": "2.0", "id": 1, "method": "registry_gateways"}); count]);
    let answers = stand.exchange(calls(1000).to_string()).await;
    let answers = answers.as_array().unwrap_or_else(|| panic!("{answers}"));
    assert!(answers.len() == 1000 && answers.iter().all(|answer| answer["result"].is_array()));
    let answer = stand.exchange(calls(1001).to_string()).await;
    assert_eq!((&answer["error"]["code"], &answer["id"]), (&json!(-32600), &Value::Null), "{answer}");
    assert!(answer["error"]["message"].as_str().is_some_and(|message| message.contains("1000")), "{answer}");
}

#[tokio::test]
async fn a_call_without_an_id_is_made_and_not_answered() {
    let stand = Stand::start().await;
    let before = stand.fallback.arrived("eth_getProof").len();
    let answers = r#"[{"jsonrpc":"2.0","method":"eth_getProof"},{"jsonrpc":"2.0","id":2,"method":"eth_getProof"},
        {"jsonrpc":"2.0","id":null,"method":"registry_gateways"}]"#;
    let answers = stand.exchange(answers.to_owned()).await;
    let ids: Vec<_> = answers.as_array().unwrap_or_else(|| panic!("{answers}")).iter().map(|a| &a["id"]).collect();
    assert_eq!(ids, [&json!(2), &Value::Null], "{answers}");
    assert_eq!(stand.fallback.arrived("eth_getProof").len(), before + 2);
    let body = r#"[{"jsonrpc":"2.0","method":"eth_getProof"}]"#;
    let answer = stand.post(body, &crate::stand::OpNode::token()).await;
    assert_eq!((answer.status().as_u16(), answer.text().await.expect("a body").as_str()), (200, ""));
    assert_eq!(stand.fallback.arrived("eth_getProof").len(), before + 3);
}

#[tokio::test]
async fn what_is_no_answer_does_not_spoil_the_others() {
    let stand = Stand::start().await;
    stand.fallback.fail("eth_getProof", Fault::Garbage);
    let calls = json!([1, 2, 3].map(|id| {
        json!({"jsonrpc": "2.0", "id": id, "method": if id == 2 { "eth_getProof" } else { "eth_getBlockByHash" }})
    }));
    let answers = stand.exchange(calls.to_string()).await;
    assert_eq!(answers[1]["error"]["code"], -32000, "{answers}");
    for (index, id) in [1, 2, 3].into_iter().enumerate() {
        assert_eq!(answers[index]["id"], id, "{answers}");
        assert_eq!(answers[index]["result"].is_object(), id != 2, "{answers}");
    }
}

#[tokio::test]
async fn the_answers_of_a_batch_are_bounded_together() {
    let stand = Stand::start().await;
    stand.fallback.fail("eth_getProof", Fault::Huge((2 << 20) / 5 * 2));
    let calls = json!([1, 2, 3, 4].map(|id| {
        json!({"jsonrpc": "2.0", "id": id, "method": if id == 4 { "eth_getBlockByHash" } else { "eth_getProof" }})
    }));
    let answers = stand.exchange(calls.to_string()).await;
    for (index, is_there) in [true, true, false, true].into_iter().enumerate() {
        let answer = &answers[index];
        assert_eq!((&answer["id"], answer["result"].is_null()), (&json!(index + 1), !is_there), "{}", answer["error"]);
    }
    assert!(answers[2]["error"]["message"].as_str().is_some_and(|message| message.contains("engine.max_body_mb")));
    // All calls are made.
    assert_eq!(["eth_getProof", "eth_getBlockByHash"].map(|method| stand.fallback.arrived(method).len()), [3, 1]);
}
