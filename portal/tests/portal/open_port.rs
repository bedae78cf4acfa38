//! The port without tokens: for batchers, users and tools, and never for the chain's course.

use crate::{
    node::{GENESIS, Node},
    stand::{GATEWAYS, OpNode, Options, builder, config, snapshot},
};
use baton_portal::{Running, Secret, run_with_schedule};
use baton_schedule::channel;
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

async fn post(to: std::net::SocketAddr, body: String) -> Value {
    let client = reqwest::Client::builder().no_proxy().build().expect("a client");
    let answer = client.post(format!("http://{to}")).body(body).send().await.expect("an answer");
    assert_eq!(answer.status(), 200);
    serde_json::from_slice(&answer.bytes().await.expect("a body")).expect("JSON")
}

async fn start(listen: Option<&str>, fallback: &Node, gateway: &Node) -> (Running, CancellationToken) {
    let secrets = tempfile::tempdir().expect("temporary directory");
    let mut config = config(&secrets, &fallback.url(), &Options::DEFAULT);
    config.engine.unauthenticated_listen = listen.map(|address| address.parse().expect("an address"));
    let (_publisher, schedule) = channel(snapshot([gateway.url(), String::new()]));
    let shutdown = CancellationToken::new();
    (run_with_schedule(&config, schedule, shutdown.clone()).await.expect("the portal starts"), shutdown)
}

#[tokio::test]
async fn a_port_without_tokens_takes_all_but_engine_calls() {
    let fallback = Node::start("fallback", 3, Secret::new([2; 32])).await;
    let gateway = Node::start("gateway 1", 4, Secret::new(GATEWAYS)).await;
    let (portal, shutdown) = start(Some("127.0.0.1:0"), &fallback, &gateway).await;
    let open = portal.unauthenticated.expect("an open port");

    let call = |method: &str| json!({"jsonrpc": "2.0", "id": 7, "method": method, "params": ["0x1", "0x1"]});
    let answer = post(open, call("eth_chainId").to_string()).await;
    assert_eq!(answer, json!({"jsonrpc": "2.0", "id": 7, "result": "0x1"}));
    // What op-batcher says reaches builders, too.
    post(open, call("miner_setMaxDASize").to_string()).await;
    gateway.wait_for("miner_setMaxDASize", 1).await;

    for refused in [call("engine_newPayloadV4"), json!([call("eth_chainId"), call("engine_newPayloadV4")])] {
        let answer = post(open, refused.to_string()).await;
        assert_eq!(answer["error"]["code"], -32601, "{answer}");
    }
    let other_spelling = call("eth_chainId").to_string().replace("}", ",\"Method\":\"engine_newPayloadV4\"}");
    assert_eq!(post(open, other_spelling).await["error"]["code"], -32600);
    assert!(fallback.arrived("engine_").is_empty());
    let large = format!("[{}]", " ".repeat(2 << 20));
    let client = reqwest::Client::builder().no_proxy().build().expect("a client");
    assert_eq!(client.post(format!("http://{open}")).body(large).send().await.expect("an answer").status(), 413);

    // The engine port asks for tokens as before, and builds meanwhile.
    let op_node = OpNode::new(&portal);
    assert_eq!(op_node.post(call("eth_chainId").to_string(), "").await.status(), 401);
    assert_eq!(builder(&op_node.block(GENESIS, 1).await), "gateway 1");
    shutdown.cancel();
    tokio::time::timeout(std::time::Duration::from_secs(10), portal.stopped()).await.expect("it stops");
    assert!(tokio::net::TcpStream::connect(open).await.is_err());
}

#[tokio::test]
async fn there_is_none_unless_it_is_asked_for() {
    let fallback = Node::start("fallback", 3, Secret::new([2; 32])).await;
    let gateway = Node::start("gateway 1", 4, Secret::new(GATEWAYS)).await;
    assert_eq!(start(None, &fallback, &gateway).await.0.unauthenticated, None);
}
