//! The portal in rollup-boost's place: its flags, its health codes, one builder for every block.

use crate::{
    node::{Fault, GENESIS, Node},
    stand::{OpNode, builder},
};
use baton_portal::{
    Running, Secret,
    cli::{Cli, Command},
    run,
};
use clap::Parser;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio_util::sync::CancellationToken;

struct Swapped {
    op_node: OpNode,
    fallback: Node,
    builder: Node,
    portal: Running,
    _secrets: TempDir,
}

impl Swapped {
    async fn start(more: &[&str]) -> Self {
        // op-node and its execution client share a secret; rollup-boost's operators have no other.
        let fallback = Node::start("fallback", 3, Secret::new([1; 32])).await;
        let builder = Node::start("builder", 4, Secret::new([3; 32])).await;
        let secrets = tempfile::tempdir().expect("temporary directory");
        let file = |name: &str, bytes: [u8; 32]| {
            let path = secrets.path().join(name);
            std::fs::write(&path, alloy::hex::encode(bytes)).expect("written");
            path.display().to_string()
        };
        let (l2, theirs) = (file("l2", [1; 32]), file("builder", [3; 32]));
        let (l2_url, builder_url) = (fallback.url(), builder.url());
        let usual = [
            "portal",
            "boost",
            "--l2-url",
            &l2_url,
            "--l2-jwt-path",
            &l2,
            "--builder-url",
            &builder_url,
            "--builder-jwt-path",
            &theirs,
            "--rpc-port",
            "0",
            "--debug-server-port",
            "0",
            "--metrics-port",
            "0",
            "--builder-timeout",
            "20000",
            "--l2-timeout",
            "20000",
        ];
        let usual: Vec<_> = usual.into_iter().chain(more.iter().copied()).collect();
        let Command::Boost(args) = Cli::try_parse_from(usual).expect("flags").command else { panic!("not boost") };
        let config = args.load().expect("a configuration");
        let portal = run(&config, CancellationToken::new()).await.expect("the portal starts");
        let op_node = OpNode::new(&portal);
        Self { op_node, fallback, builder, portal, _secrets: secrets }
    }

    /// The health code on the engine port, where op-conductor asks, without any token.
    async fn health(&self) -> u16 {
        let client = reqwest::Client::builder().no_proxy().build().expect("a client");
        let answer = client.get(format!("http://{}/healthz", self.portal.engine)).send().await.expect("an answer");
        answer.status().as_u16()
    }

    async fn becomes(&self, code: u16) {
        let reached = async {
            while self.health().await != code {
                tokio::time::sleep(std::time::Duration::from_millis(5)).await;
            }
        };
        let reached = tokio::time::timeout(std::time::Duration::from_secs(10), reached).await;
        assert!(reached.is_ok(), "/healthz never became {code}");
    }
}

/// No age limit: the test's nodes have no clock.
const ANY_AGE: [&str; 2] = ["--max-unsafe-interval", "0"];

#[tokio::test]
async fn the_builder_builds_every_block() {
    let stand = Swapped::start(&ANY_AGE).await;
    for number in [1, 20, 400] {
        assert_eq!(builder(&stand.op_node.block(GENESIS, number).await), "builder");
    }
    assert_eq!(stand.op_node.admin("/readyz").await.0, 200);
    // No schedule says which block it is; the payload does, whosever it is.
    assert_eq!(stand.op_node.decision().await["number"], 400);
    stand.builder.fail("engine_getPayload", Fault::Error);
    assert_eq!(builder(&stand.op_node.block(GENESIS, 2).await), "fallback");
    let decision = stand.op_node.decision().await;
    assert_eq!((&decision["number"], &decision["ownerSlot"]), (&json!(2), &Value::Null), "{decision}");
}

#[tokio::test]
async fn health_has_rollup_boosts_codes() {
    let mut stand = Swapped::start(&ANY_AGE).await;
    assert_eq!(stand.health().await, 200);
    stand.builder.stop().await;
    assert_eq!(builder(&stand.op_node.block(GENESIS, 1).await), "fallback");
    stand.becomes(206).await;
    // In a dry run the builder doesn't matter.
    stand.op_node.debug("debug_setExecutionMode", json!([{"execution_mode": "dry_run"}])).await;
    stand.becomes(200).await;
    stand.fallback.stop().await;
    stand.becomes(503).await;
}

#[tokio::test]
async fn a_fallback_that_hangs_is_unhealthy_too() {
    let stand = Swapped::start(&ANY_AGE).await;
    stand.becomes(200).await;
    stand.fallback.fail("eth_chainId", Fault::Held);
    stand.becomes(503).await;
}

#[tokio::test]
async fn an_old_head_is_unhealthy() {
    let stand = Swapped::start(&["--max-unsafe-interval", "10"]).await;
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).expect("after 1970").as_secs();
    stand.fallback.set_latest(now);
    stand.becomes(200).await;
    stand.fallback.set_latest(now - 100);
    stand.becomes(503).await;
    // Not for want of an answer.
    let (_, reason) = stand.op_node.admin("/healthz").await;
    assert!(reason.contains("fallback.max_head_age_s"), "{reason}");
    let status: Value = serde_json::from_str(&stand.op_node.admin("/status.json").await.1).expect("JSON");
    assert_eq!((&status["health"], &status["fallbackUp"]), (&json!("head_old"), &json!(true)));
}

#[tokio::test]
async fn users_reads_go_to_the_builder_first_and_consensus_clients_to_the_fallback() {
    let stand = Swapped::start(&ANY_AGE).await;
    let answer = stand.op_node.call("eth_call", json!([{}])).await;
    assert_eq!(answer["result"]["by"], "builder");
    for method in ["eth_getBlockByNumber", "eth_getBlockByHash", "eth_getProof", "eth_getBlockReceipts", "eth_syncing"]
    {
        let answer = stand.op_node.call(method, json!(["latest"])).await;
        assert_eq!(answer["result"]["by"], "fallback", "{method}");
    }
    for fault in [Fault::Error, Fault::Garbage, Fault::WrongId, Fault::HttpError, Fault::Huge(3 << 20), Fault::Held] {
        stand.builder.recover();
        stand.builder.fail("eth_", fault);
        let answer = stand.op_node.call("eth_call", json!([{}])).await;
        assert_eq!(answer["result"]["by"], "fallback", "{fault:?}");
    }
}

#[tokio::test]
async fn the_builder_is_every_blocks_gateway() {
    let stand = Swapped::start(&ANY_AGE).await;
    let ask = async |method: &str, params: Value| stand.op_node.call(method, params).await["result"].clone();
    let (key, secret) = (alloy::primitives::Address::ZERO, alloy::primitives::B256::ZERO);
    let current = async || ask("registry_currentGateway", json!([])).await;
    assert_eq!(current().await, json!([0, stand.builder.url(), key, secret]));
    stand.op_node.block(GENESIS, 7).await;
    stand.op_node.decision_about(7).await;
    assert_eq!(current().await, json!([8, stand.builder.url(), key, secret]), "the one after that which was served");
    assert_eq!(ask("registry_futureGateway", json!([3])).await[0], 11);
    assert_eq!(ask("registry_registeredGateways", json!([])).await, json!([[stand.builder.url(), key, secret]]));
    let all = ask("registry_gateways", json!([])).await;
    assert_eq!((&all[0]["endpoint"], all.as_array().map(Vec::len)), (&json!(stand.builder.url()), Some(1)), "{all}");
    let at = ask("registry_gatewayAtBlock", json!([900])).await;
    assert_eq!((&at["block"], &at["gateway"]["endpoint"]), (&json!(900), &json!(stand.builder.url())), "{at}");
    assert_eq!((&at["ownerSlot"], &at["window"]), (&Value::Null, &Value::Null));
}

#[tokio::test]
async fn the_debug_port_is_a_port_of_its_own() {
    let stand = Swapped::start(&["--execution-mode", "dry-run", "--max-unsafe-interval", "0", "--metrics"]).await;
    let answer = stand.op_node.debug("debug_getExecutionMode", json!([])).await;
    assert_eq!(answer["result"], json!({"execution_mode": "dry_run"}));
    let debug = stand.portal.debug.expect("a debug port");
    assert_ne!(debug, stand.portal.admin);
    let client = reqwest::Client::builder().no_proxy().build().expect("a client");
    let call = json!({"jsonrpc": "2.0", "id": 1, "method": "debug_setExecutionMode", "params": [{"execution_mode":"enabled"}]});
    let answer = client.post(format!("http://{debug}")).json(&call).send().await.expect("sent");
    let answer: Value = answer.json().await.expect("JSON");
    assert_eq!(answer["result"]["execution_mode"], "enabled");
    assert_eq!(builder(&stand.op_node.block(GENESIS, 1).await), "builder");
}

#[tokio::test]
async fn without_metrics_the_debug_port_is_the_only_one() {
    let stand = Swapped::start(&ANY_AGE).await;
    assert_eq!(stand.portal.debug, None);
    let answer = stand.op_node.debug("debug_getExecutionMode", json!([])).await;
    assert_eq!(answer["result"], json!({"execution_mode": "enabled"}));
}

#[tokio::test]
async fn with_a_registry_the_gateways_are_those_on_l1() {
    let (sender, mut asked) = tokio::sync::mpsc::unbounded_channel::<String>();
    // An L1 that only says what it is asked.
    let app = axum::Router::new().fallback(axum::routing::post(move |body: String| async move {
        let _ = sender.send(body);
        axum::http::StatusCode::SERVICE_UNAVAILABLE
    }));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let l1 = format!("http://{}", listener.local_addr().expect("bound"));
    tokio::spawn(async move { axum::serve(listener, app).await });
    let stand = Swapped::start(&[
        "--max-unsafe-interval",
        "0",
        "--l1-urls",
        &l1,
        "--registry",
        "0x00000000000000000000000000000000000000b1",
        "--l1-genesis-time=1000",
        "--slot-length=12",
        "--l2-genesis-time=1000",
        "--l2-block-time=2",
        "--settlement-delay=2",
    ])
    .await;
    let first = tokio::time::timeout(std::time::Duration::from_secs(10), asked.recv()).await.expect("in time");
    assert!(first.expect("a call").contains("eth_getBlockByNumber"));
    // Nobody is scheduled as far as is known, and the builder of the flags is nobody.
    assert_eq!(stand.op_node.admin("/readyz").await.0, 503);
    assert_eq!(builder(&stand.op_node.block(GENESIS, 1).await), "fallback");
    assert!(stand.builder.arrived("").is_empty());
}
