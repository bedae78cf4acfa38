//! A running portal between a client, a fallback and a gateway that say damaged things. Whatever they say, every call has an answer, nothing panics,
//! and as long as the fallback means well, op-node gets a block that the fallback calls valid.

use crate::damage::{Time, corpus, damage, generator};
use axum::{Router, body::Bytes, extract::State, http::StatusCode, response::IntoResponse};
use baton_portal::{Config, Running, Secret, run};
use rand::{Rng, rngs::StdRng};
use serde_json::{Value, json, value::RawValue};
use std::{
    net::SocketAddr,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::{Duration, SystemTime, UNIX_EPOCH},
};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

const SECRET: [u8; 32] = [7; 32];
/// The longest body that is sent, in bytes.
const LONGEST: usize = 1_500_000;
static PANICS: AtomicUsize = AtomicUsize::new(0);

/// An execution client that has one block to offer, and damages half of its answers if it is told to.
struct Client {
    payload: Value,
    /// The payloads that it calls valid.
    valid: Vec<Value>,
    damaged: AtomicBool,
    corpus: Vec<Vec<u8>>,
    rng: Mutex<StdRng>,
    /// What it said last, for those who look into a failure.
    said: Mutex<Vec<String>>,
}

impl Client {
    async fn serve(self: &Arc<Self>) -> String {
        let routes = Router::new().fallback(answer).with_state(self.clone());
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let url = format!("http://{}", listener.local_addr().expect("an address"));
        tokio::spawn(axum::serve(listener, routes).into_future());
        url
    }

    fn result(&self, call: &Value) -> Value {
        let params = &call["params"];
        match call["method"].as_str().unwrap_or_default() {
            method if method.starts_with("engine_forkchoiceUpdated") => {
                let id = params[1].is_object().then_some("0x0309a99d4e67a63f");
                json!({"payloadStatus": {"status": "VALID", "latestValidHash": null, "validationError": null}, "payloadId": id})
            }
            method if method.starts_with("engine_getPayload") => json!({
                "executionPayload": self.payload, "blockValue": "0x1", "executionRequests": [], "shouldOverrideBuilder": false,
                "blobsBundle": {"commitments": [], "proofs": [], "blobs": []},
                "parentBeaconBlockRoot": alloy::primitives::B256::ZERO,
            }),
            method if method.starts_with("engine_newPayload") => {
                let status = if self.valid.contains(&params[0]) { "VALID" } else { "INVALID" };
                json!({"status": status, "latestValidHash": null, "validationError": null})
            }
            "eth_getBlockByNumber" => json!({"timestamp": "0x1"}),
            _ => json!("0x1"),
        }
    }
}

async fn answer(State(client): State<Arc<Client>>, body: Bytes) -> impl IntoResponse {
    let call: Value = serde_json::from_slice(&body).unwrap_or_default();
    let answer = json!({"jsonrpc": "2.0", "id": call["id"], "result": client.result(&call)}).to_string().into_bytes();
    let mut rng = client.rng.lock().unwrap_or_else(PoisonError::into_inner);
    if !client.damaged.load(Ordering::Relaxed) || rng.random() {
        return (StatusCode::OK, answer);
    }
    // Mostly of its own answer: others are refused early.
    let damaged = if rng.random_ratio(3, 4) { damage(&mut rng, &[answer]) } else { damage(&mut rng, &client.corpus) };
    let mut said = client.said.lock().unwrap_or_else(PoisonError::into_inner);
    said.push(String::from_utf8_lossy(&damaged).into_owned());
    let excess = said.len().saturating_sub(4);
    said.drain(..excess);
    let status = if rng.random_ratio(1, 20) { StatusCode::INTERNAL_SERVER_ERROR } else { StatusCode::OK };
    (status, damaged)
}

/// The recorded order, and the payload that a real client built from it.
fn recorded() -> (Value, Value) {
    let lines = include_str!("../fixtures/sequencer.jsonl").lines();
    let exchanges: Vec<Value> = lines.map(|line| serde_json::from_str(line).expect("a recorded exchange")).collect();
    let first =
        |found: &dyn Fn(&Value) -> bool| exchanges.iter().find(|exchange| found(&exchange["rq"])).expect("recorded");
    let order = first(&|call| call["method"] == "engine_forkchoiceUpdatedV3" && call["params"][1].is_object());
    let got = first(&|call| call["method"] == "engine_getPayloadV4");
    (order["rq"].clone(), got["rs"]["result"]["executionPayload"].clone())
}

struct OpNode {
    http: reqwest::Client,
    portal: Running,
}

impl OpNode {
    /// Posts a body and reads the answer, which there must be, and whose status must be 200.
    async fn post(&self, address: SocketAddr, body: Vec<u8>) -> Vec<u8> {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970").as_secs();
        let request =
            self.http.post(format!("http://{address}")).bearer_auth(Secret::new(SECRET).token(now)).body(body);
        let request = request.header("content-type", "application/json");
        let answer = request.send().await.expect("an answer");
        assert_eq!(answer.status(), 200);
        answer.bytes().await.expect("a body").to_vec()
    }

    async fn call(&self, call: &Value) -> Value {
        let answer = self.post(self.portal.engine, call.to_string().into_bytes()).await;
        serde_json::from_slice(&answer).unwrap_or_default()
    }
}

#[tokio::test]
async fn every_call_has_an_answer_and_every_block_is_valid() {
    let print = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        PANICS.fetch_add(1, Ordering::Relaxed);
        print(panic);
    }));
    let (mut rng, seed) = generator();
    let (order, payload) = recorded();
    let mut gateways = payload.clone();
    gateways["stateRoot"] = json!(alloy::primitives::B256::repeat_byte(1));
    gateways["blockHash"] = json!(alloy::primitives::B256::repeat_byte(2));
    let good = vec![payload.clone(), gateways.clone()];
    let client = |payload: Value, rng: &mut StdRng| {
        let (corpus, rng) = (corpus(), Mutex::new(<StdRng as rand::SeedableRng>::from_rng(rng)));
        let (damaged, said) = (AtomicBool::new(false), Mutex::default());
        Arc::new(Client { payload, valid: good.clone(), damaged, corpus, rng, said })
    };
    let (fallback, gateway) = (client(payload, &mut rng), client(gateways, &mut rng));
    let secrets = tempfile::tempdir().expect("temporary directory");
    let file = secrets.path().join("jwt");
    std::fs::write(&file, alloy::hex::encode(SECRET)).expect("written");
    let config = format!(
        r#"
        engine = {{ listen = "127.0.0.1:0", jwt_secret_file = {file:?} }}
        admin = {{ listen = "127.0.0.1:0" }}
        fallback = {{ url = "{}", jwt_secret_file = {file:?} }}
        schedule = {{ fixed_gateway = 1 }}
        [gateways]
        jwt_secret_file = {file:?}
        # Asked however often it fails.
        breaker = {{ late = 0, empty = 0, invalid = 0, mismatch = 0, pause_ms = 1, longest_pause_ms = 1 }}
        overrides = [{{ id = 1, url = "{}" }}]
        "#,
        fallback.serve().await,
        gateway.serve().await
    );
    let config = Config::from_toml(&config).expect("a configuration");
    let portal = run(&config, CancellationToken::new()).await.expect("the portal starts");
    let http = reqwest::Client::builder().no_proxy().timeout(Duration::from_secs(30)).build().expect("a client");
    let op_node = OpNode { http, portal };
    gateway.damaged.store(true, Ordering::Relaxed);

    let (corpus, mut time, mut rounds, mut theirs) = (corpus(), Time::start("rounds through a portal"), 0u64, 0u64);
    while time.is_left(rounds) {
        rounds += 1;
        let mut body = damage(&mut rng, &corpus);
        let port = if rng.random_ratio(1, 8) { op_node.portal.admin } else { op_node.portal.engine };
        // Long bodies pass another way there.
        if port == op_node.portal.engine && rng.random_ratio(1, 8) {
            body.resize(rng.random_range(200_000..LONGEST), b' ');
        }
        let about = |what: &str| {
            let [fallback, gateway] = [&fallback, &gateway].map(|client| client.said.lock().expect("whole").clone());
            let text = String::from_utf8_lossy(&body);
            let body = format!("{} in {} bytes", text.trim_end(), body.len());
            format!(
                "{what}; seed {seed}, round {rounds}\nrequest: {body:?}\nfallback: {fallback:#?}\ngateway: {gateway:#?}"
            )
        };
        let answer = op_node.post(port, body.clone()).await;
        // Not read any further: an id is given back as it was written, a number that no reader can hold included.
        assert!(serde_json::from_slice::<&RawValue>(&answer).is_ok(), "{}", about("the answer isn't JSON"));

        // What an operator said in between is taken back, or the gateway would be left out for good.
        for mode in [json!({"execution_mode": "enabled"}), json!({"execution_mode": "enabled", "gateway": 1})] {
            let call = json!({"jsonrpc": "2.0", "id": 1, "method": "debug_setExecutionMode", "params": [mode]});
            op_node.post(op_node.portal.admin, call.to_string().into_bytes()).await;
        }

        let ordered = op_node.call(&order).await;
        let id = &ordered["result"]["payloadId"];
        assert!(id.is_string(), "{}", about("no payload id"));
        let get = json!({"jsonrpc": "2.0", "id": 9, "method": "engine_getPayloadV4", "params": [id]});
        let got = op_node.call(&get).await;
        assert_eq!(got["id"], 9, "{}", about("another id"));
        let served = &got["result"]["executionPayload"];
        assert!(good.contains(served), "{}", about("a payload that isn't valid"));
        theirs += u64::from(*served == good[1]);

        // The fallback's own damage: there is nothing good to answer then, but an answer.
        fallback.damaged.store(true, Ordering::Relaxed);
        for call in [&order, &get] {
            op_node.call(call).await;
        }
        fallback.damaged.store(false, Ordering::Relaxed);
        assert_eq!(PANICS.load(Ordering::Relaxed), 0, "{}", about("a panic"));
    }
    assert!(theirs > 0 && theirs < rounds, "{theirs} of {rounds} blocks were the gateway's");
    println!("{rounds} rounds through a portal, {theirs} blocks of the gateway's, seed {seed}");
}
