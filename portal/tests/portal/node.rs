//! An execution client that keeps a chain of made-up blocks, and that can be told to fail.

use crate::stand::CLOCK;
use alloy::primitives::{B256, keccak256};
use axum::{
    Router,
    body::{Body, Bytes},
    extract::State,
    http::{HeaderMap, StatusCode},
    response::{IntoResponse, Response},
};
use baton_portal::Secret;
use baton_protocol::SlotClock;
use hyper_util::{rt::TokioIo, service::TowerToHyperService};
use serde_json::{Value, json};
use std::{
    collections::{HashMap, HashSet},
    net::SocketAddr,
    sync::{Arc, Mutex},
    time::{Duration, SystemTime, UNIX_EPOCH},
};
use tokio::{
    net::TcpListener,
    sync::watch,
    task::{JoinHandle, JoinSet},
};
use tokio_util::sync::CancellationToken;

/// What goes wrong, by method prefix.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// Answers only once [`Node::release`] is called.
    Held,
    /// Sends headers and the beginning of a body, and then nothing.
    HangsAfterHeaders,
    /// Not JSON.
    Garbage,
    /// Another JSON-RPC id.
    WrongId,
    /// A JSON-RPC error.
    Error,
    /// A JSON-RPC error with a code, which repeats what was sent, as some nodes do.
    Code(i64),
    /// HTTP 500.
    HttpError,
    /// A text of so many bytes.
    Huge(usize),
    /// A payload on another parent.
    WrongParent,
    /// A payload for another time.
    WrongTimestamp,
    /// A payload without its forced transactions.
    WithoutForced,
    /// `INVALID`, `SYNCING`.
    Status(&'static str),
    /// The right answer, with the first occurrence of a text replaced by another.
    Rewritten(&'static str, &'static str),
}

/// A call that arrived.
#[derive(Clone, Debug)]
pub(crate) struct Arrived {
    pub(crate) method: String,
    pub(crate) body: Bytes,
    pub(crate) json: Value,
}

#[derive(Debug)]
struct Inner {
    name: &'static str,
    /// First byte of its payload ids.
    id_prefix: u8,
    secret: Secret,
    known: HashSet<B256>,
    payloads: HashMap<String, Value>,
    /// RLP of the blocks that it has built.
    blocks: HashMap<B256, Bytes>,
    /// What it builds, if that isn't made up.
    builds: Option<Value>,
    /// How many blocks it was asked to build, if it gives each another id and keeps only the last.
    forgets: Option<u8>,
    faults: Vec<(&'static str, Fault)>,
    arrived: Vec<Arrived>,
    /// How many calls came without a right token.
    refused: usize,
    /// How many that were held are answered.
    answered_late: usize,
    head: B256,
    /// The timestamp of its newest block, if it is to say.
    latest: Option<u64>,
    /// By which its blocks have numbers.
    clock: SlotClock,
}

/// A served node. Dropping it closes its port.
#[derive(Debug)]
pub(crate) struct Node {
    inner: Arc<Mutex<Inner>>,
    hold: watch::Sender<bool>,
    pub(crate) address: SocketAddr,
    stop: CancellationToken,
    task: Option<JoinHandle<()>>,
}

/// A block that is none but for the beginning of its header: its hash, and its RLP.
pub(crate) fn made_up_block(parent: B256, salt: B256) -> (B256, Bytes) {
    let header = [&[0xf8, 66, 0xa0][..], &parent[..], &[0xa0], &salt[..]].concat();
    let block = [&[0xf8, 70][..], &header, &[0xc0, 0xc0]].concat();
    (keccak256(header), block.into())
}

type Shared = (Arc<Mutex<Inner>>, watch::Receiver<bool>);

pub(crate) const GENESIS: B256 = B256::repeat_byte(0x11);
/// The gap between block numbers and timestamps on the test chain.
pub(crate) const GENESIS_TIME: u64 = 1000;
/// The EIP-1559 parameters of the test chain.
pub(crate) const DEFAULT_FEES: &str = "000000fa00000006";

impl Node {
    pub(crate) async fn start(name: &'static str, id_prefix: u8, secret: Secret) -> Self {
        Self::start_at(name, id_prefix, secret, SocketAddr::from(([127, 0, 0, 1], 0))).await
    }

    pub(crate) async fn start_at(name: &'static str, id_prefix: u8, secret: Secret, at: SocketAddr) -> Self {
        let inner = Arc::new(Mutex::new(Inner {
            name,
            id_prefix,
            secret,
            known: HashSet::from([GENESIS]),
            payloads: HashMap::new(),
            blocks: HashMap::new(),
            builds: None,
            forgets: None,
            faults: Vec::new(),
            arrived: Vec::new(),
            refused: 0,
            answered_late: 0,
            head: GENESIS,
            latest: None,
            clock: CLOCK,
        }));
        let (hold, held) = watch::channel(true);
        let app = Router::new()
            .fallback(answer)
            .layer(axum::extract::DefaultBodyLimit::disable())
            .with_state((inner.clone(), held));
        let listener = TcpListener::bind(at).await.expect("a free port");
        let address = listener.local_addr().expect("bound");
        let stop = CancellationToken::new();
        let task = tokio::spawn(serve(listener, app, stop.clone()));
        Self { inner, hold, address, stop, task: Some(task) }
    }

    /// Closes its port and all connections, like a process that is killed.
    pub(crate) async fn stop(&mut self) {
        self.stop.cancel();
        if let Some(task) = self.task.take() {
            task.await.expect("it doesn't panic");
        }
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// From now on calls whose method begins with `method` fail this way.
    pub(crate) fn fail(&self, method: &'static str, fault: Fault) {
        self.inner.lock().expect("not poisoned").faults.push((method, fault));
    }

    /// From now on nothing fails any more.
    pub(crate) fn recover(&self) {
        self.inner.lock().expect("not poisoned").faults.clear();
    }

    /// From now on its newest block has a timestamp.
    pub(crate) fn set_latest(&self, timestamp: u64) {
        self.inner.lock().expect("not poisoned").latest = Some(timestamp);
    }

    /// From now on its blocks have the numbers of another chain's clock.
    pub(crate) fn set_clock(&self, clock: SlotClock) {
        self.inner.lock().expect("not poisoned").clock = clock;
    }

    /// From now on all that it builds is this envelope.
    pub(crate) fn builds(&self, envelope: Value) {
        self.inner.lock().expect("not poisoned").builds = Some(envelope);
    }

    /// From now on it gives another payload id with each order, and keeps only the last.
    pub(crate) fn keeps_only_the_last(&self) {
        self.inner.lock().expect("not poisoned").forgets = Some(0);
    }

    /// RLP of a block that it has built.
    pub(crate) fn block(&self, hash: B256) -> Bytes {
        self.inner.lock().expect("not poisoned").blocks[&hash].clone()
    }

    /// It has a block, as if a peer had told it.
    pub(crate) fn knows(&self, block: B256) {
        self.inner.lock().expect("not poisoned").known.insert(block);
    }

    /// Lets everything that is held go on.
    pub(crate) fn release(&self) {
        self.hold.send_replace(false);
    }

    pub(crate) fn head(&self) -> B256 {
        self.inner.lock().expect("not poisoned").head
    }

    /// Calls that arrived whose method begins with a prefix.
    pub(crate) fn arrived(&self, method: &str) -> Vec<Arrived> {
        let inner = self.inner.lock().expect("not poisoned");
        inner.arrived.iter().filter(|call| call.method.starts_with(method)).cloned().collect()
    }

    /// How many calls came without a right token.
    pub(crate) fn refused(&self) -> usize {
        self.inner.lock().expect("not poisoned").refused
    }

    /// How many calls that were held are answered: not those of a caller that has gone.
    pub(crate) fn answered_late(&self) -> usize {
        self.inner.lock().expect("not poisoned").answered_late
    }

    /// Waits until a number of calls have arrived.
    pub(crate) async fn wait_for(&self, method: &str, count: usize) -> Vec<Arrived> {
        let all = async {
            loop {
                let arrived = self.arrived(method);
                if arrived.len() >= count {
                    return arrived;
                }
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        let Ok(arrived) = tokio::time::timeout(Duration::from_secs(10), all).await else {
            panic!("{count} x {method} never arrived, but {:?}", self.arrived(""));
        };
        arrived
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

async fn serve(listener: TcpListener, app: Router, stop: CancellationToken) {
    // A task for each connection, so that all die with the node; axum's own would outlive it.
    let mut connections = JoinSet::new();
    loop {
        let stream = tokio::select! {
            () = stop.cancelled() => return,
            accepted = listener.accept() => accepted.expect("accepts").0,
        };
        let service = TowerToHyperService::new(app.clone());
        connections.spawn(async move {
            let http = hyper::server::conn::http1::Builder::new();
            // The other side may go at any time.
            let _ = http.serve_connection(TokioIo::new(stream), service).await;
        });
    }
}

async fn answer(State((inner, mut held)): State<Shared>, headers: HeaderMap, body: Bytes) -> Response {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970").as_secs();
    let token = headers.get("authorization").and_then(|value| value.to_str().ok());
    let call: Value = serde_json::from_slice(&body).expect("the portal sends JSON");
    let method = call["method"].as_str().expect("a method").to_owned();
    let (fault, answer) = {
        let mut inner = inner.lock().expect("not poisoned");
        if inner.secret.authorize(token, now).is_err() {
            inner.refused += 1;
            return StatusCode::UNAUTHORIZED.into_response();
        }
        inner.arrived.push(Arrived { method: method.clone(), body: body.clone(), json: call.clone() });
        let fault = inner.faults.iter().rev().find(|(prefix, _)| method.starts_with(prefix)).map(|(_, fault)| *fault);
        let answer = inner.handle(&method, &call["params"], fault);
        (fault, answer)
    };
    let id = call["id"].clone();
    let good = |result: Value| json!({"jsonrpc": "2.0", "id": id, "result": result}).to_string();
    match fault {
        Some(Fault::Held) => {
            held.wait_for(|held| !held).await.expect("the node lives");
            inner.lock().expect("not poisoned").answered_late += 1;
            good(answer).into_response()
        }
        Some(Fault::HangsAfterHeaders) => {
            let beginning = half_of(good(answer));
            Response::new(Body::from_stream(beginning))
        }
        Some(Fault::Garbage) => "<html>502</html>".into_response(),
        Some(Fault::WrongId) => json!({"jsonrpc": "2.0", "id": 999_999, "result": answer}).to_string().into_response(),
        Some(Fault::Error) => {
            let error = json!({"code": -38001, "message": "this node has an error"});
            json!({"jsonrpc": "2.0", "id": id, "error": error}).to_string().into_response()
        }
        Some(Fault::Code(code)) => {
            let error = json!({"code": code, "message": "this node has an error", "data": "f".repeat(100_000)});
            json!({"jsonrpc": "2.0", "id": id, "error": error}).to_string().into_response()
        }
        _ if answer.is_null() => {
            let error = json!({"code": -38001, "message": "Unknown payload"});
            json!({"jsonrpc": "2.0", "id": id, "error": error}).to_string().into_response()
        }
        Some(Fault::HttpError) => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
        Some(Fault::Huge(length)) => good(json!("0".repeat(length))).into_response(),
        Some(Fault::Rewritten(from, to)) => {
            let text = good(answer);
            assert!(text.contains(from), "no {from} in {text}");
            text.replacen(from, to, 1).into_response()
        }
        _ => good(answer).into_response(),
    }
}

/// The first half of a text, and then nothing, for ever.
fn half_of(text: String) -> impl futures::Stream<Item = Result<Bytes, std::io::Error>> + Send + 'static {
    let mut first = Some(Bytes::from(text.as_bytes()[..text.len() / 2].to_vec()));
    futures::stream::poll_fn(move |_| match first.take() {
        Some(half) => std::task::Poll::Ready(Some(Ok(half))),
        None => std::task::Poll::Pending,
    })
}

/// Takes from an envelope what a version of `getPayload` doesn't have.
fn in_the_form_of(method: &str, envelope: &mut Value) {
    let fields = envelope.as_object_mut().expect("an envelope");
    let version = &method["engine_getPayload".len()..];
    if matches!(version, "V2" | "V3") {
        fields.remove("executionRequests");
    }
    if version == "V2" {
        fields.remove("parentBeaconBlockRoot");
    }
    let payload = fields["executionPayload"].as_object_mut().expect("a payload");
    if matches!(version, "V2" | "V3") {
        payload.remove("withdrawalsRoot");
    }
    if version == "V2" {
        payload.remove("blobGasUsed");
        payload.remove("excessBlobGas");
    }
}

impl Inner {
    fn handle(&mut self, method: &str, params: &Value, fault: Option<Fault>) -> Value {
        if method.starts_with("engine_forkchoiceUpdated") {
            return self.forkchoice(&params[0], &params[1], fault);
        }
        if method.starts_with("engine_getPayload") {
            let id = params[0].as_str().expect("an id");
            let Some(mut envelope) = self.payloads.get(id).cloned() else { return Value::Null };
            if self.builds.is_none() {
                in_the_form_of(method, &mut envelope);
            }
            let payload = &mut envelope["executionPayload"];
            match fault {
                Some(Fault::WrongParent) => payload["parentHash"] = json!(B256::repeat_byte(0xaa)),
                Some(Fault::WrongTimestamp) => payload["timestamp"] = json!("0x1"),
                Some(Fault::WithoutForced) => payload["transactions"] = json!([]),
                _ => {}
            }
            return envelope;
        }
        if method.starts_with("engine_newPayload") {
            let hash: B256 = serde_json::from_value(params[0]["blockHash"].clone()).expect("a hash");
            let parent: B256 = serde_json::from_value(params[0]["parentHash"].clone()).expect("a hash");
            let status = match fault {
                Some(Fault::Status(status)) => status,
                _ if !self.known.contains(&parent) => "SYNCING",
                _ => {
                    self.known.insert(hash);
                    "VALID"
                }
            };
            return json!({"status": status, "latestValidHash": hash, "validationError": null});
        }
        match method {
            "engine_exchangeCapabilities" => json!(["engine_newPayloadV4"]),
            "eth_chainId" => json!("0x1"),
            "eth_getBlockByNumber" if self.latest.is_some() => {
                json!({"timestamp": format!("0x{:x}", self.latest.unwrap_or_default())})
            }
            _ => json!({"by": self.name, "method": method}),
        }
    }

    fn forkchoice(&mut self, state: &Value, attributes: &Value, fault: Option<Fault>) -> Value {
        let head: B256 = serde_json::from_value(state["headBlockHash"].clone()).expect("a hash");
        let status = match fault {
            Some(Fault::Status(status)) => status,
            _ if self.known.contains(&head) => "VALID",
            _ => "SYNCING",
        };
        if status != "VALID" {
            return json!({"payloadStatus": {"status": status, "latestValidHash": null, "validationError": null}, "payloadId": null});
        }
        self.head = head;
        let payload_id = attributes.is_object().then(|| self.begin(head, attributes));
        json!({"payloadStatus": {"status": "VALID", "latestValidHash": head, "validationError": null}, "payloadId": payload_id})
    }

    /// A block of this node's: its hash depends on the node's name, so that nobody else's looks like it.
    fn begin(&mut self, parent: B256, attributes: &Value) -> String {
        let seed = keccak256(format!("{parent}{attributes}"));
        let mut id: [u8; 8] = seed[..8].try_into().expect("eight bytes");
        id[0] = self.id_prefix;
        if let Some(count) = &mut self.forgets {
            *count += 1;
            id[1] = *count;
            self.payloads.clear();
        }
        let id = alloy::primitives::B64::from(id).to_string();
        let timestamp = attributes["timestamp"].as_str().expect("a quantity");
        let time = u64::from_str_radix(&timestamp[2..], 16).expect("a number");
        let number = self.clock.block_at(time).expect("a block's timestamp");
        // Before Holocene the extra data is free: the node's name, by which tests tell whose block it is.
        let extra_data = match attributes["eip1559Params"].as_str() {
            None => alloy::hex::encode(self.name),
            Some("0x0000000000000000") => format!("00{DEFAULT_FEES}"),
            Some(params) => format!("00{}", &params[2..]),
        };
        let (hash, block) = made_up_block(parent, keccak256(format!("{}{seed}", self.name)));
        self.blocks.insert(hash, block);
        let payload = json!({
            "executionPayload": {
                "parentHash": parent,
                "blockHash": hash,
                "blockNumber": format!("0x{number:x}"),
                "timestamp": timestamp,
                "gasLimit": attributes["gasLimit"],
                "transactions": attributes["transactions"],
                "extraData": format!("0x{extra_data}"),
                "feeRecipient": attributes["suggestedFeeRecipient"],
                "prevRandao": attributes["prevRandao"],
                "withdrawals": attributes["withdrawals"],
                "stateRoot": B256::ZERO,
                "receiptsRoot": B256::ZERO,
                "logsBloom": format!("0x{}", "00".repeat(256)),
                "gasUsed": "0x0",
                "baseFeePerGas": "0x7",
                "blobGasUsed": "0x0",
                "excessBlobGas": "0x0",
                "withdrawalsRoot": B256::ZERO,
            },
            "blockValue": "0x0",
            "parentBeaconBlockRoot": attributes["parentBeaconBlockRoot"],
            "executionRequests": [],
        });
        self.payloads.insert(id.clone(), self.builds.clone().unwrap_or(payload));
        id
    }
}
