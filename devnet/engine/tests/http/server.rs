//! The ports: authentication, namespaces, JSON-RPC.

use baton_devnet_engine::{JwtSecret, rpc::jwt::unix_now};
use serde_json::{Value, json};

use crate::harness::{Node, attributes_at};

const CHAIN_ID_CALL: &str = r#"{"jsonrpc":"2.0","id":5,"method":"eth_chainId","params":[]}"#;

#[tokio::test]
async fn engine_port_wants_a_token_for_everything() {
    let node = Node::start().await;
    let stranger = JwtSecret::new([1; 32]);
    let now = unix_now();
    for token in [None, Some("nonsense".into()), Some(stranger.token(now)), Some(node.secret.token(now - 120))] {
        let (status, body) = node.post(node.server.engine_url(), token, CHAIN_ID_CALL.into()).await;
        assert_eq!(status, 401, "{body}");
        assert!(!body.contains("0x385"));
    }
    // Some clients stamp their tokens a minute ahead.
    let (status, body) =
        node.post(node.server.engine_url(), Some(node.secret.token(now + 60)), CHAIN_ID_CALL.into()).await;
    assert_eq!(status, 200);
    assert_eq!(serde_json::from_str::<Value>(&body).unwrap()["result"], "0x385");
}

#[tokio::test]
async fn open_port_serves_wallets_and_nothing_else() {
    let node = Node::start().await;
    let (status, body) = node.post(node.server.rpc_url(), None, CHAIN_ID_CALL.into()).await;
    assert_eq!((status, body.contains("0x385")), (200, true));
    let call = r#"{"jsonrpc":"2.0","id":5,"method":"engine_getPayloadV4","params":["0x0300000000000000"]}"#;
    for token in [None, Some(node.secret.token(unix_now()))] {
        let (status, body) = node.post(node.server.rpc_url(), token, call.into()).await;
        assert_eq!(status, 200);
        assert_eq!(serde_json::from_str::<Value>(&body).unwrap()["error"]["code"], -32601);
    }
}

#[tokio::test]
async fn capabilities_are_methods_that_exist() {
    let node = Node::start().await;
    let capabilities = node.call("engine_exchangeCapabilities", json!([[]])).await;
    assert_eq!(node.call("engine_exchangeCapabilities", json!([["engine_newPayloadV4"]])).await, capabilities);
    for method in capabilities.as_array().unwrap() {
        let answer = node.answer(method.as_str().unwrap(), json!([])).await;
        assert_ne!(answer["error"]["code"], -32601, "{method}");
    }
    assert_eq!(node.error("engine_noSuchMethod", json!([])).await.0, -32601);
    assert_eq!(node.error("eth_noSuchMethod", json!([])).await.0, -32601);
    let version = node.call("engine_getClientVersionV1", json!([])).await;
    assert_eq!(version[0]["name"], "baton-devnet-engine");
}

#[tokio::test]
async fn methods_of_other_forks_are_unsupported() {
    let node = Node::start().await;
    let head = node.engine.head().hash();
    let state = json!({ "headBlockHash": head, "safeBlockHash": head, "finalizedBlockHash": head });
    for (method, params) in [
        ("engine_getPayloadV2", json!(["0x0300000000000000"])),
        ("engine_getPayloadV3", json!(["0x0300000000000000"])),
        ("engine_newPayloadV2", json!([{}])),
        ("engine_newPayloadV3", json!([{}, [], head])),
        ("engine_forkchoiceUpdatedV2", json!([state, attributes_at(1)])),
    ] {
        assert_eq!(node.error(method, params).await.0, -38005, "{method}");
    }
    let answer = node.call("engine_forkchoiceUpdatedV2", json!([state])).await;
    assert_eq!(answer["payloadStatus"]["status"], "VALID");
}

#[tokio::test]
async fn malformed_parameters_are_named() {
    let node = Node::start().await;
    let envelope = node.build(node.engine.head().hash(), &attributes_at(1)).await;
    let (payload, root) = (&envelope["executionPayload"], &envelope["parentBeaconBlockRoot"]);
    for (params, name) in [
        (json!([payload, []]), "parentBeaconBlockRoot"),
        (json!([payload, [], root]), "executionRequests"),
        (json!([payload, [], root, ["0x00"]]), "executionRequests"),
        (json!([payload, [root], root, []]), "expectedBlobVersionedHashes"),
        (json!([{}, [], root, []]), "executionPayload"),
        (json!([payload, [], root, [], 1]), "at most 4"),
    ] {
        let (code, message) = node.error("engine_newPayloadV4", params).await;
        assert_eq!(code, -32602);
        assert!(message.contains(name), "expected {name}: {message}");
    }
}

#[tokio::test]
async fn batches_notifications_and_broken_bodies() {
    let node = Node::start().await;
    let post = |body: String| async {
        let (status, body) = node.post(node.server.rpc_url(), None, body).await;
        (status, serde_json::from_str::<Value>(&body).unwrap_or_default())
    };
    let batch = format!("[{CHAIN_ID_CALL},{{\"jsonrpc\":\"2.0\",\"method\":\"eth_chainId\"}},{CHAIN_ID_CALL}]");
    let (_, answers) = post(batch).await;
    assert_eq!(answers.as_array().unwrap().len(), 2, "a notification has no answer");
    assert_eq!(answers[1], json!({ "jsonrpc": "2.0", "id": 5, "result": "0x385" }));
    assert_eq!(post("{".into()).await.1["error"]["code"], -32700);
    assert_eq!(post("[]".into()).await.1["error"]["code"], -32600);
    assert_eq!(post("{\"id\":1}".into()).await.1["error"]["code"], -32600);
    assert_eq!(post(r#"{"id":1,"method":"eth_chainId","params":{}}"#.into()).await.1["error"]["code"], -32602);
    let (status, _) = post(r#"{"jsonrpc":"2.0","method":"eth_chainId"}"#.into()).await;
    assert_eq!(status, 204);
}

#[tokio::test]
async fn shutdown_closes_both_ports() {
    let node = Node::start().await;
    node.call("eth_chainId", json!([])).await;
    let (engine_url, rpc_url) = (node.server.engine_url(), node.server.rpc_url());
    let Node { server, .. } = node;
    server.shutdown().await;
    for url in [engine_url, rpc_url] {
        assert!(reqwest::Client::new().post(url).body(CHAIN_ID_CALL).send().await.unwrap_err().is_connect());
    }
}
