//! Who may enter, what operators see, and how it ends.

use crate::{
    node::{Fault, GENESIS, Node},
    stand::{CLOCK, OpNode, Options, Stand, builder, config, snapshot},
};
use baton_portal::{Secret, run, run_with_schedule};
use baton_schedule::{Snapshot, channel};
use futures::{SinkExt, StreamExt};
use serde_json::json;
use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio_tungstenite::tungstenite::Message;
use tokio_util::sync::CancellationToken;

#[tokio::test]
async fn only_op_nodes_token_opens() {
    let stand = Stand::start().await;
    let body = r#"{"jsonrpc":"2.0","id":1,"method":"eth_chainId","params":[]}"#;
    let before = stand.fallback.arrived("").len();
    for wrong in ["", "Bearer x", &format!("Bearer {}", Secret::new([2; 32]).token(0)), &OpNode::token()[7..]] {
        assert_eq!(stand.post(body, wrong).await.status(), 401, "{wrong}");
    }
    let probes = |calls: Vec<crate::node::Arrived>| calls.iter().all(|call| call.json["id"] == 0);
    assert!(probes(stand.fallback.arrived("").split_off(before)), "a refused call got through");
    assert_eq!(stand.post(body, &OpNode::token()).await.status(), 200);
}

#[tokio::test]
async fn bodies_have_a_limit_and_it_is_a_large_one() {
    let stand = Stand::start().await;
    let body = |size: usize| {
        let data = "0".repeat(size);
        format!(r#"{{"jsonrpc":"2.0","id":1,"method":"eth_x","params":["{data}"]}}"#)
    };
    assert_eq!(stand.post(body((2 << 20) - 1000), &OpNode::token()).await.status(), 200);
    assert_eq!(stand.post(body(2 << 20), &OpNode::token()).await.status(), 413);
}

#[tokio::test]
async fn bodies_of_32_mb_pass_through() {
    let stand = Stand::start_with(Options { max_body_mb: 32, ..Options::DEFAULT }).await;
    let data = "0".repeat((32 << 20) - 400);
    let body = format!(
        r#"{{"jsonrpc":"2.0","id":1,"method":"engine_newPayloadV4","params":[{{"blockHash":"{GENESIS}","parentHash":"{GENESIS}","extraData":"{data}"}}]}}"#
    );
    let response = stand.post(body.clone(), &OpNode::token()).await;
    assert_eq!(response.status(), 200);
    for node in [&stand.fallback, &stand.gateways[0], &stand.gateways[1]] {
        assert_eq!(node.wait_for("engine_newPayload", 1).await[0].body, body.as_bytes());
    }
}

#[tokio::test]
async fn http2_without_tls_and_http1_with_keep_alive() {
    use http_body_util::{BodyExt, Full};
    use hyper_util::{
        client::legacy::{Client, connect::HttpConnector},
        rt::TokioExecutor,
    };
    let stand = Stand::start().await;
    for http2 in [true, false] {
        let client: Client<HttpConnector, Full<hyper::body::Bytes>> =
            Client::builder(TokioExecutor::new()).http2_only(http2).build_http();
        for id in 1..=3 {
            let body = format!(r#"{{"jsonrpc":"2.0","id":{id},"method":"eth_chainId","params":[]}}"#);
            let request = hyper::Request::post(format!("http://{}", stand.portal.engine))
                .header("authorization", OpNode::token())
                .body(Full::from(body))
                .expect("a request");
            let response = client.request(request).await.expect("an answer");
            assert_eq!(response.status(), 200);
            assert_eq!(response.version(), if http2 { hyper::Version::HTTP_2 } else { hyper::Version::HTTP_11 });
            assert_eq!(response.headers().get("connection"), None, "the connection is to be kept");
            let answer = response.into_body().collect().await.expect("a body").to_bytes();
            let answer: serde_json::Value = serde_json::from_slice(&answer).expect("JSON");
            assert_eq!(answer, json!({"jsonrpc": "2.0", "id": id, "result": "0x1"}));
        }
    }
}

#[tokio::test]
async fn traces_reach_a_collector() {
    let (sender, mut received) = tokio::sync::mpsc::unbounded_channel::<serde_json::Value>();
    let app = axum::Router::new().route(
        "/v1/traces",
        axum::routing::post(move |axum::Json(body): axum::Json<serde_json::Value>| async move {
            sender.send(body).expect("the test listens");
            axum::Json(json!({}))
        }),
    );
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let collector = format!("http://{}/", listener.local_addr().expect("bound"));
    tokio::spawn(async move { axum::serve(listener, app).await });
    let fallback = Node::start("fallback", 3, Secret::new([2; 32])).await;
    let secrets = tempfile::tempdir().expect("temporary directory");
    let mut config = config(&secrets, &fallback.url(), &Options::default());
    config.tracing.otlp_url = Some(collector);
    let (_publisher, schedule) = channel(snapshot([String::new(), String::new()]));
    let portal = run_with_schedule(&config, schedule, CancellationToken::new()).await.expect("the portal starts");
    let op_node = OpNode::new(&portal);
    let id = op_node.order(GENESIS, 1).await;
    op_node.payload(&id).await;
    let body = tokio::time::timeout(Duration::from_secs(10), received.recv()).await.expect("in time").expect("traces");
    let spans = &body["resourceSpans"][0]["scopeSpans"][0]["spans"];
    assert_eq!(spans[0]["name"], "block", "{body}");
    assert_eq!(spans[0]["attributes"][0], json!({"key": "payload.id", "value": {"stringValue": id}}));
}

#[tokio::test]
async fn readiness_is_a_known_schedule() {
    let fallback = Node::start("fallback", 3, Secret::new([2; 32])).await;
    let secrets = tempfile::tempdir().expect("temporary directory");
    let config = config(&secrets, &fallback.url(), &Options::default());
    let (publisher, schedule) = channel(Snapshot::unread(CLOCK));
    let shutdown = CancellationToken::new();
    let portal = run_with_schedule(&config, schedule, shutdown.clone()).await.expect("the portal starts");
    let ready = format!("http://{}/readyz", portal.admin);
    let client = reqwest::Client::builder().no_proxy().build().expect("a client");
    let status = async || client.get(&ready).send().await.expect("an answer").status();
    assert_eq!(status().await, 503);
    publisher.publish(snapshot([String::new(), String::new()]));
    assert_eq!(status().await, 200);
    // Known stays known, even if the L1 can't be read any more.
    let known = publisher.latest();
    publisher.publish(Snapshot { stale: Some(Arc::from("L1 down")), ..(*known).clone() });
    assert_eq!(status().await, 200);
}

#[tokio::test]
async fn an_l1_that_is_down_costs_nobody_a_block() {
    let fallback = Node::start("fallback", 3, Secret::new([2; 32])).await;
    let secrets = tempfile::tempdir().expect("temporary directory");
    let config = config(&secrets, &fallback.url(), &Options::default());
    let shutdown = CancellationToken::new();
    // Its own follower, on a port that nobody listens on.
    let portal = run(&config, shutdown.clone()).await.expect("the portal starts");
    assert!(!portal.schedule.snapshot().is_known());
    let op_node = OpNode::new(&portal);
    let block = op_node.block(GENESIS, 1).await;
    assert_eq!(builder(&block), "fallback");
    let head = op_node.adopt(&block["result"]).await;
    assert_eq!(builder(&op_node.block(head, 2).await), "fallback");
    assert_eq!(op_node.decision().await["outcome"], "not_asked");
    shutdown.cancel();
    tokio::time::timeout(Duration::from_secs(10), portal.stopped()).await.expect("it stops");
}

/// What an L1 node says that answers every question with a result of some other question's shape, or an older head than before.
fn lie(call: &str, asked: &AtomicU64) -> String {
    let call: serde_json::Value = serde_json::from_str(call).expect("JSON");
    let count = asked.fetch_add(1, Ordering::Relaxed);
    let hash = alloy::primitives::B256::from(alloy::primitives::U256::from(count));
    let result = match (call["method"].as_str(), count % 4) {
        (Some("eth_blockNumber"), _) => json!(format!("0x{:x}", 1_000_000 - count)),
        (Some("eth_subscribe"), 0..=2) => json!("0x1"),
        (Some("eth_getBlockByNumber"), 0 | 1) => {
            json!({"number": "0x7", "hash": hash, "parentHash": hash, "timestamp": "0x1"})
        }
        (Some("eth_call"), 0) => json!("0x"),
        (Some("eth_call"), _) => json!(format!("0x{}", "ff".repeat(32))),
        (Some("eth_getLogs"), 0 | 1) => json!([{"address": hash, "topics": [hash], "data": "0xff"}]),
        (_, 2) => json!("0x1"),
        _ => json!(null),
    };
    json!({"jsonrpc": "2.0", "id": call["id"], "result": result}).to_string()
}

/// Such a node over HTTP.
async fn lying_l1() -> String {
    let asked = Arc::new(AtomicU64::new(0));
    let app = axum::Router::new().fallback(axum::routing::post(move |body: String| async move { lie(&body, &asked) }));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let url = format!("http://{}", listener.local_addr().expect("bound"));
    tokio::spawn(async move { axum::serve(listener, app).await });
    url
}

/// Such a node over websockets, which announces heads that are none before each answer. Also says how many connections it had.
pub(crate) async fn lying_websocket() -> (String, Arc<AtomicU64>) {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let url = format!("ws://{}", listener.local_addr().expect("bound"));
    let connections = Arc::new(AtomicU64::new(0));
    let count = connections.clone();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            count.fetch_add(1, Ordering::Relaxed);
            tokio::spawn(async move {
                let Ok(mut socket) = tokio_tungstenite::accept_async(stream).await else { return };
                let asked = AtomicU64::new(0);
                while let Some(Ok(message)) = socket.next().await {
                    let Ok(call) = message.to_text() else { return };
                    let head = json!({"jsonrpc": "2.0", "method": "eth_subscription", "params": {"subscription": "0x1", "result": 7}});
                    for text in [head.to_string(), lie(call, &asked)] {
                        if socket.send(Message::text(text)).await.is_err() {
                            return;
                        }
                    }
                }
            });
        }
    });
    (url, connections)
}

#[tokio::test]
async fn an_l1_that_talks_nonsense_costs_nobody_a_block() {
    let fallback = Node::start("fallback", 3, Secret::new([2; 32])).await;
    let secrets = tempfile::tempdir().expect("temporary directory");
    let mut config = config(&secrets, &fallback.url(), &Options::default());
    let (websocket, connections) = lying_websocket().await;
    config.schedule.l1_urls = vec![websocket.into(), lying_l1().await.into(), lying_l1().await.into()];
    config.schedule.poll_interval_ms = Some(1);
    let portal = run(&config, CancellationToken::new()).await.expect("the portal starts");
    let op_node = OpNode::new(&portal);
    let mut head = GENESIS;
    for number in 1..=20 {
        let answer = op_node.block(head, number).await;
        assert_eq!(builder(&answer), "fallback");
        head = op_node.adopt(&answer["result"]).await;
    }
    assert!(connections.load(Ordering::Relaxed) > 0);
}

#[tokio::test]
async fn metrics_and_decisions_are_served() {
    let stand = Stand::start().await;
    stand.block(GENESIS, 1).await;
    let (status, metrics) = stand.admin("/metrics").await;
    assert_eq!(status, 200);
    for name in ["baton_portal_request_seconds", "baton_portal_payloads_total", "baton_portal_fallback_up"] {
        assert!(metrics.contains(name), "{name} isn't in\n{metrics}");
    }
    // One histogram for gateways, by who, what and how.
    stand.gateways[0].wait_for("engine_getPayload", 1).await;
    let line = metrics.lines().find(|line| {
        line.starts_with("baton_portal_gateway_request_seconds_count")
            && ["peer=\"1\"", "method=\"engine_getPayload\"", "version=\"4\"", "outcome=\"ok\""]
                .iter()
                .all(|label| line.contains(label))
    });
    assert!(line.is_some(), "{metrics}");
    assert_eq!(stand.admin("/nothing").await.0, 404);
    let (status, page) = stand.admin("/").await;
    assert!(status == 200 && page.contains("<title>Baton portal</title>"));
    let status: serde_json::Value = serde_json::from_str(&stand.admin("/status.json").await.1).expect("JSON");
    assert_eq!(status["fallbackUp"], true);
    assert_eq!(status["gateways"][0]["id"], 1);
    assert_eq!(status["schedule"][1]["gateway"], 2);
    assert_eq!(status["decisions"][0]["number"], 1);
    let few: serde_json::Value = serde_json::from_str(&stand.admin("/decisions?count=0").await.1).expect("JSON");
    assert_eq!(few, json!([]));
    assert_eq!(stand.decision().await["number"], 1);
}

#[tokio::test]
async fn other_sites_pages_cannot_switch_gateways_off() {
    let stand = Stand::start().await;
    let call = r#"{"jsonrpc":"2.0","id":1,"method":"debug_setExecutionMode","params":[{"execution_mode":"disabled"}]}"#;
    let client = reqwest::Client::builder().no_proxy().build().expect("a client");
    let own = format!("http://{}", stand.portal.admin);
    let post = async |kind: &str, fields: &[(&str, &str)]| {
        let mut request = client.post(&own).header("content-type", kind).body(call);
        for (name, value) in fields {
            request = request.header(*name, *value);
        }
        request.send().await.expect("an answer").status().as_u16()
    };
    let json = "application/json";
    // What a page may send without being asked first, and what it may not but older browsers let pass.
    assert_eq!(post("text/plain", &[]).await, 415);
    assert_eq!(post(json, &[("origin", "http://evil.example")]).await, 403);
    assert_eq!(post(json, &[("origin", "null")]).await, 403);
    assert_eq!(post(json, &[("sec-fetch-site", "cross-site")]).await, 403);
    let mode = stand.debug("debug_getExecutionMode", json!([])).await;
    assert_eq!(mode["result"]["execution_mode"], "enabled");
    assert_eq!(post(json, &[("origin", &own), ("sec-fetch-site", "same-origin")]).await, 200);
    let mode = stand.debug("debug_getExecutionMode", json!([])).await;
    assert_eq!(mode["result"]["execution_mode"], "disabled");
}

#[tokio::test]
async fn the_head_of_every_page_can_be_had_alone() {
    use http_body_util::{BodyExt, Empty};
    use hyper_util::{
        client::legacy::{Client, connect::HttpConnector},
        rt::TokioExecutor,
    };
    let stand = Stand::start().await;
    for http2 in [false, true] {
        let client: Client<HttpConnector, Empty<hyper::body::Bytes>> =
            Client::builder(TokioExecutor::new()).http2_only(http2).build_http();
        for (path, status) in [("/", 200), ("/readyz", 200), ("/livez", 200), ("/nothing", 404)] {
            let ask = async |method: &str| {
                let uri = format!("http://{}{path}", stand.portal.admin);
                let request = hyper::Request::builder().method(method).uri(uri).body(Empty::new());
                let response = client.request(request.expect("a request")).await.expect("an answer");
                assert_eq!(response.status(), status, "{method} {path}");
                let length = response.headers().get("content-length").expect("a length").clone();
                (length, response.into_body().collect().await.expect("a body").to_bytes().len())
            };
            let (length, body) = ask("GET").await;
            assert_eq!(length, body.to_string().as_str());
            assert_eq!(ask("HEAD").await, (length, 0), "{path}, HTTP/2: {http2}");
        }
    }
}

#[tokio::test]
async fn calls_under_way_are_answered_at_the_end() {
    let stand = Stand::start().await;
    stand.gateways[0].fail("engine_getPayload", Fault::Held);
    let id = stand.order(GENESIS, 1).await;
    let end = async {
        stand.gateways[0].wait_for("engine_getPayload", 1).await;
        stand.shutdown.cancel();
        stand.gateways[0].release();
    };
    let (answer, ()) = tokio::join!(stand.payload(&id), end);
    assert_eq!(builder(&answer), "gateway 1");
    let Stand { portal, .. } = stand;
    tokio::time::timeout(Duration::from_secs(10), portal.stopped()).await.expect("it stops");
}

#[tokio::test]
async fn a_portal_that_is_dropped_ends() {
    let stand = Stand::start().await;
    let engine = stand.portal.engine;
    tokio::net::TcpStream::connect(engine).await.expect("it listens");
    drop(stand.portal);
    let ended = async {
        while tokio::net::TcpStream::connect(engine).await.is_ok() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(10), ended).await.expect("it ends");
}

#[tokio::test]
async fn a_connection_whose_version_cannot_be_told_yet_has_the_time_of_any_other() {
    let stand = Stand::start().await;
    for (beginning, rest) in [("P", "OST / HTTP/1.1\r\n\r\n"), ("PR", "OPFIND / HTTP/1.1\r\n\r\n")] {
        let mut stream = tokio::net::TcpStream::connect(stand.portal.engine).await.expect("it listens");
        stream.write_all(beginning.as_bytes()).await.expect("open");
        tokio::time::sleep(Duration::from_millis(1600)).await;
        stream.write_all(rest.as_bytes()).await.expect("open");
        let mut status = [0; 12];
        stream.read_exact(&mut status).await.expect("an answer");
        assert_eq!(status, *b"HTTP/1.1 401");
    }
}
