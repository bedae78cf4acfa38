//! A portal between op-node's side, a fallback and two gateways.

use crate::node::{GENESIS, GENESIS_TIME, Node};
use alloy::primitives::{Address, B256};
use baton_portal::{Config, Running, Secret, ValidatorConfig, run_with_schedule};
use baton_protocol::{EpochSchedule, GatewayId, Kind, NOBODY, Schedule, SlotClock};
use baton_schedule::{GatewayInfo, L1Head, Publisher, SequencerKeys, Snapshot, channel};
use serde_json::{Value, json};
use std::{
    fs::Permissions,
    net::SocketAddr,
    ops::Deref,
    os::unix::fs::PermissionsExt,
    path::PathBuf,
    sync::atomic::{AtomicU64, Ordering},
    time::{Duration, SystemTime, UNIX_EPOCH},
};
use tempfile::TempDir;
use tokio_util::sync::CancellationToken;

/// One block a slot, so that a block's owner is easily said: gateway 1 owns slots 0 to 15, gateway 2 the rest; block n belongs to slot n + 2.
pub(crate) const CLOCK: SlotClock = SlotClock {
    l1_genesis_time: GENESIS_TIME,
    slot_length: 1,
    l2_genesis_time: GENESIS_TIME,
    l2_block_time: 1,
    settlement_delay: 2,
};

/// How long any answer may take, whatever is wrong with whom: half of what the portal's own time limits are in tests that don't shorten them.
const PATIENCE: Duration = Duration::from_secs(10);

/// op-node's, the fallback's, the gateways' and the validator's secrets all differ, so that a mix-up is a 401.
const OP_NODE: [u8; 32] = [1; 32];
const FALLBACK: [u8; 32] = [2; 32];
pub(crate) const GATEWAYS: [u8; 32] = [3; 32];
const VALIDATOR: [u8; 32] = [4; 32];

/// op-node's side of a portal.
pub(crate) struct OpNode {
    http: reqwest::Client,
    engine: SocketAddr,
    admin: SocketAddr,
    next_id: AtomicU64,
    /// How long an answer may take.
    patience: Duration,
}

pub(crate) struct Stand {
    pub(crate) op_node: OpNode,
    pub(crate) fallback: Node,
    pub(crate) gateways: [Node; 2],
    pub(crate) validator: Node,
    pub(crate) portal: Running,
    pub(crate) publisher: Publisher,
    pub(crate) shutdown: CancellationToken,
    pub(crate) options: Options,
    // Deleted when the stand is.
    pub(crate) secrets: TempDir,
}

/// What can be different about a stand.
pub(crate) struct Options {
    /// The time budget. Long by default, so that only what fails for another reason falls back; tests about lateness shorten it.
    pub(crate) budget_ms: u64,
    pub(crate) queue: usize,
    /// First bytes of the payload ids of fallback and gateways.
    pub(crate) id_prefixes: [u8; 2],
    pub(crate) gateway_secret: [u8; 32],
    pub(crate) fallback_timeout_ms: u64,
    /// More keys of `[gateways]`, and tables in it.
    pub(crate) gateways: &'static str,
    pub(crate) max_body_mb: usize,
    /// Whether there is a second validator.
    pub(crate) validator: bool,
}

impl Options {
    pub(crate) const DEFAULT: Self = Self {
        budget_ms: 20_000,
        queue: 64,
        id_prefixes: [3, 4],
        gateway_secret: GATEWAYS,
        fallback_timeout_ms: 20_000,
        gateways: "",
        max_body_mb: 2,
        validator: false,
    };
}

impl Options {
    /// How long op-node may wait for any answer. Far more than the budget for the sake of busy machines, and less than ten short budgets; where the budget
    /// is a long one, less than that, because then there is nothing that anybody should wait for.
    fn patience(&self) -> Duration {
        let longest = Duration::from_millis(self.budget_ms.min(self.fallback_timeout_ms));
        (longest * 3 + Duration::from_secs(1)).min(PATIENCE)
    }
}

impl Default for Options {
    fn default() -> Self {
        Self::DEFAULT
    }
}

pub(crate) fn info(id: GatewayId, endpoint: String) -> GatewayInfo {
    GatewayInfo {
        owner: Address::repeat_byte(id.to_le_bytes()[0]),
        settler: Address::repeat_byte(id.to_le_bytes()[0]),
        keys: SequencerKeys { current: Address::repeat_byte(9), previous: Address::ZERO, from_epoch: 0 },
        eligible: id != NOBODY,
        ..GatewayInfo::unregistered(id, endpoint)
    }
}

/// Epoch 0 in halves, for gateways that are reached at URLs.
pub(crate) fn snapshot(urls: [String; 2]) -> Snapshot {
    let mut schedule = Schedule::default();
    let slots = std::array::from_fn(|slot| (if slot < 16 { 1 } else { 2 }, Kind::Fallback));
    schedule.insert(EpochSchedule { epoch: 0, slots });
    let [one, two] = urls;
    let gateways = [info(NOBODY, String::new()), info(1, one), info(2, two)].map(|info| (info.id, info));
    let head = L1Head { number: 1, hash: GENESIS, parent_hash: GENESIS, timestamp: GENESIS_TIME };
    Snapshot {
        l1_head: Some(head),
        schedule,
        gateways: gateways.into_iter().collect(),
        updated_at: SystemTime::now(),
        stale: None,
        ..Snapshot::unread(CLOCK)
    }
}

/// The same on a clock by which it is gateway 1's turn at present, and for hours to come.
pub(crate) fn present(urls: [String; 2]) -> Snapshot {
    let genesis = SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970").as_secs() - 600;
    let clock = SlotClock { l1_genesis_time: genesis, slot_length: 1200, l2_genesis_time: genesis, ..CLOCK };
    Snapshot { clock, ..snapshot(urls) }
}

/// Writes a secret, for its owner only.
pub(crate) fn secret_file(folder: &TempDir, name: &str, bytes: [u8; 32]) -> PathBuf {
    let path = folder.path().join(name);
    std::fs::write(&path, alloy::hex::encode(bytes)).expect("written");
    std::fs::set_permissions(&path, Permissions::from_mode(0o600)).expect("set");
    path
}

/// A configuration that names secrets in a directory; everything listens on free ports.
pub(crate) fn config(secrets: &TempDir, fallback: &str, options: &Options) -> Config {
    Config::from_toml(&write_config(secrets, fallback, options)).expect("a configuration")
}

/// Its text.
pub(crate) fn write_config(secrets: &TempDir, fallback: &str, options: &Options) -> String {
    let file = |name, bytes| secret_file(secrets, name, bytes);
    let (op_node, own, shared) = (file("op-node", OP_NODE), file("fallback", FALLBACK), file("gateways", GATEWAYS));
    format!(
        r#"
        [engine]
        listen = "127.0.0.1:0"
        jwt_secret_file = {op_node:?}
        max_body_mb = {}
        [admin]
        listen = "127.0.0.1:0"
        [fallback]
        url = "{fallback}"
        jwt_secret_file = {own:?}
        timeout_ms = {}
        [gateways]
        jwt_secret_file = {shared:?}
        payload_budget_ms = {}
        timeout_ms = 20000
        queue = {}
        {}
        [schedule]
        l1_urls = ["http://127.0.0.1:1"]
        registry = "0x00000000000000000000000000000000000000b1"
        clock = {{ l1_genesis_time = {GENESIS_TIME}, slot_length = 1, l2_genesis_time = {GENESIS_TIME}, l2_block_time = 1, settlement_delay = 2 }}
        "#,
        options.max_body_mb, options.fallback_timeout_ms, options.budget_ms, options.queue, options.gateways
    )
}

impl Stand {
    pub(crate) async fn start() -> Self {
        Self::start_with(Options::default()).await
    }

    pub(crate) async fn start_with(options: Options) -> Self {
        let [mine, theirs] = options.id_prefixes;
        let fallback = Node::start("fallback", mine, Secret::new(FALLBACK)).await;
        let gateways = [
            Node::start("gateway 1", theirs, Secret::new(options.gateway_secret)).await,
            Node::start("gateway 2", theirs, Secret::new(options.gateway_secret)).await,
        ];
        let validator = Node::start("validator", theirs, Secret::new(VALIDATOR)).await;
        let secrets = tempfile::tempdir().expect("temporary directory");
        let mut config = config(&secrets, &fallback.url(), &options);
        config.validator = options.validator.then(|| ValidatorConfig {
            url: validator.url(),
            jwt_secret_file: secret_file(&secrets, "validator", VALIDATOR),
            timeout_ms: 20_000,
            queue: 64,
        });
        let (publisher, schedule) = channel(snapshot([gateways[0].url(), gateways[1].url()]));
        let shutdown = CancellationToken::new();
        let portal = run_with_schedule(&config, schedule, shutdown.clone()).await.expect("the portal starts");
        let op_node = OpNode { patience: options.patience(), ..OpNode::new(&portal) };
        Self { op_node, fallback, gateways, validator, portal, publisher, shutdown, secrets, options }
    }

    /// Ends the portal and starts another between the same nodes, as after a crash: nothing is remembered.
    pub(crate) async fn restart_portal(&mut self) {
        self.shutdown.cancel();
        let config = config(&self.secrets, &self.fallback.url(), &self.options);
        let (publisher, schedule) = channel(snapshot([self.gateways[0].url(), self.gateways[1].url()]));
        self.shutdown = CancellationToken::new();
        let portal = run_with_schedule(&config, schedule, self.shutdown.clone()).await.expect("the portal starts");
        self.op_node = OpNode { patience: self.options.patience(), ..OpNode::new(&portal) };
        self.publisher = publisher;
        let before = std::mem::replace(&mut self.portal, portal);
        before.stopped().await;
    }

    /// The configuration that the portal was started with.
    pub(crate) fn config(&self) -> Config {
        config(&self.secrets, &self.fallback.url(), &self.options)
    }

    /// Publishes another schedule for its gateways.
    pub(crate) fn publish(&self, schedule: impl Fn([String; 2]) -> Snapshot) {
        self.publisher.publish(schedule([self.gateways[0].url(), self.gateways[1].url()]));
    }

    /// Stops the fallback, and waits until its port is closed.
    pub(crate) async fn stop_fallback(&mut self) {
        self.fallback.stop().await;
    }

    /// Starts the fallback again on its port, with nothing but the genesis block.
    pub(crate) async fn restart_fallback(&mut self) {
        self.fallback = Node::start_at("fallback", 3, Secret::new(FALLBACK), self.fallback.address).await;
    }
}

impl Deref for Stand {
    type Target = OpNode;

    fn deref(&self) -> &OpNode {
        &self.op_node
    }
}

impl OpNode {
    pub(crate) fn new(portal: &Running) -> Self {
        Self::at(portal.engine, portal.admin)
    }

    pub(crate) fn at(engine: SocketAddr, admin: SocketAddr) -> Self {
        let http = reqwest::Client::builder().no_proxy().build().expect("a client");
        Self { http, engine, admin, next_id: AtomicU64::new(1), patience: PATIENCE }
    }

    pub(crate) fn token() -> String {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970").as_secs();
        format!("Bearer {}", Secret::new(OP_NODE).token(now))
    }

    /// Posts a body as op-node would, under any Authorization header.
    pub(crate) async fn post(&self, body: impl Into<reqwest::Body>, authorization: &str) -> reqwest::Response {
        let request = self.http.post(format!("http://{}", self.engine)).body(body);
        let request = request.header("content-type", "application/json").header("authorization", authorization);
        self.in_time(request.send()).await.expect("the portal answers")
    }

    /// Waits for an answer, or a part of one, no longer than op-node would.
    async fn in_time<T>(&self, answer: impl Future<Output = T>) -> T {
        let answer = tokio::time::timeout(self.patience, answer).await;
        answer.unwrap_or_else(|_| panic!("the portal gave no answer within {:?}", self.patience))
    }

    /// Posts a body and reads the answer.
    pub(crate) async fn exchange(&self, body: String) -> Value {
        let token = Self::token();
        let answer = async {
            let response = self.post(body, &token).await;
            assert_eq!(response.status(), 200);
            response.bytes().await.expect("a body")
        };
        serde_json::from_slice(&self.in_time(answer).await).expect("JSON")
    }

    /// Calls a method and checks that the answer carries the call's own id. Ids are strings, which nobody else here uses.
    pub(crate) async fn call(&self, method: &str, params: Value) -> Value {
        let id = format!("op-node-{}", self.next_id.fetch_add(1, Ordering::Relaxed));
        let answer =
            self.exchange(json!({"jsonrpc": "2.0", "id": id, "method": method, "params": params}).to_string()).await;
        assert_eq!(answer["id"], json!(id), "{answer}");
        assert_eq!(answer["jsonrpc"], "2.0");
        answer
    }

    pub(crate) fn attributes(number: u64) -> Value {
        json!({
            "timestamp": format!("0x{:x}", GENESIS_TIME + number),
            "prevRandao": B256::ZERO,
            "suggestedFeeRecipient": Address::ZERO,
            "withdrawals": [],
            "parentBeaconBlockRoot": B256::repeat_byte(7),
            "transactions": ["0x7e01", "0x7e02"],
            "noTxPool": false,
            "gasLimit": "0x1c9c380",
        })
    }

    pub(crate) fn forkchoice(head: B256) -> Value {
        json!({"headBlockHash": head, "safeBlockHash": GENESIS, "finalizedBlockHash": GENESIS})
    }

    /// Orders block `number` on a parent and gives its payload id.
    pub(crate) async fn order(&self, parent: B256, number: u64) -> String {
        self.order_with(parent, &Self::attributes(number)).await
    }

    /// Orders a block with given attributes.
    pub(crate) async fn order_with(&self, parent: B256, attributes: &Value) -> String {
        let params = json!([Self::forkchoice(parent), attributes]);
        let answer = self.call("engine_forkchoiceUpdatedV3", params).await;
        answer["result"]["payloadId"].as_str().unwrap_or_else(|| panic!("no payload id in {answer}")).to_owned()
    }

    /// The whole answer to `getPayload`.
    pub(crate) async fn payload(&self, id: &str) -> Value {
        self.call("engine_getPayloadV4", json!([id])).await
    }

    /// Orders and gets a block.
    pub(crate) async fn block(&self, parent: B256, number: u64) -> Value {
        let id = self.order(parent, number).await;
        self.payload(&id).await
    }

    /// Has a block adopted, as op-node does with the payload it got.
    pub(crate) async fn adopt(&self, envelope: &Value) -> B256 {
        let payload = &envelope["executionPayload"];
        let root = &envelope["parentBeaconBlockRoot"];
        let answer = self.call("engine_newPayloadV4", json!([payload, [], root, []])).await;
        assert_eq!(answer["result"]["status"], "VALID", "{answer}");
        let hash: B256 = serde_json::from_value(payload["blockHash"].clone()).expect("a hash");
        let answer = self.call("engine_forkchoiceUpdatedV3", json!([Self::forkchoice(hash), null])).await;
        assert_eq!(answer["result"]["payloadStatus"]["status"], "VALID", "{answer}");
        hash
    }

    /// GET on the admin port, once all that op-node has been answered is done.
    pub(crate) async fn admin(&self, path: &str) -> (u16, String) {
        // Some of it is done behind the answer, by the one thread that the engine port has: another answer from it comes later. Where the portal has
        // ended, nothing is left to do.
        let _ = self.http.get(format!("http://{}/healthz", self.engine)).send().await;
        let response = self.http.get(format!("http://{}{path}", self.admin)).send().await.expect("an answer");
        (response.status().as_u16(), response.text().await.expect("text"))
    }

    /// Calls a `debug_` method on the admin port.
    pub(crate) async fn debug(&self, method: &str, params: Value) -> Value {
        let call = json!({"jsonrpc": "2.0", "id": 1, "method": method, "params": params});
        let request = self.http.post(format!("http://{}", self.admin)).json(&call);
        let text = request.send().await.expect("an answer").text().await.expect("text");
        serde_json::from_str(&text).expect("JSON")
    }

    /// The decision about a block, once it is made: in a dry run op-node has its answer before.
    pub(crate) async fn decision_about(&self, number: u64) -> Value {
        let found = async {
            loop {
                let decision = self.decision().await;
                if decision["number"] == number {
                    return decision;
                }
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        tokio::time::timeout(Duration::from_secs(10), found).await.expect("a decision is made")
    }

    /// The newest decision.
    pub(crate) async fn decision(&self) -> Value {
        let (status, text) = self.admin("/decisions").await;
        assert_eq!(status, 200);
        let all: Vec<Value> = serde_json::from_str(&text).expect("JSON");
        all.last().cloned().unwrap_or(Value::Null)
    }

    /// Waits until gateway 1's breaker is open.
    pub(crate) async fn left_out(&self) {
        self.wait_for_gateway(|gateway| gateway["breaker"] == "open").await;
    }

    /// Waits until the first gateway has lost a turn that ends at a slot.
    pub(crate) async fn loses_its_turn(&self, end: u64) {
        self.wait_for_gateway(|gateway| gateway["lostUntilSlot"] == end).await;
    }

    /// Waits for what the status says about the first gateway.
    pub(crate) async fn wait_for_gateway(&self, is: impl Fn(&Value) -> bool) {
        let reached = async {
            loop {
                let status: Value = serde_json::from_str(&self.admin("/status.json").await.1).expect("JSON");
                if is(&status["gateways"][0]) {
                    return;
                }
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        tokio::time::timeout(Duration::from_secs(10), reached).await.expect("the gateway's status");
    }

    /// Waits until an admin path answers with a status.
    pub(crate) async fn wait_for_admin(&self, path: &str, status: u16) {
        let reached = async {
            while self.admin(path).await.0 != status {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        let reached = tokio::time::timeout(Duration::from_secs(10), reached).await;
        assert!(reached.is_ok(), "{path} never became {status}");
    }
}

/// Whose block an answer to `getPayload` holds.
pub(crate) fn builder(answer: &Value) -> String {
    let extra = answer["result"]["executionPayload"]["extraData"].as_str();
    let extra = extra.unwrap_or_else(|| panic!("no payload in {answer}"));
    String::from_utf8(alloy::hex::decode(extra).expect("hexadecimal")).expect("text")
}
