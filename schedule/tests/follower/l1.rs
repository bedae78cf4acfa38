//! An L1 with a registry on it: anvil, and the contract as `forge build` makes it.

use alloy::{
    eips::BlockNumberOrTag,
    network::TransactionBuilder,
    primitives::{Address, Bytes, FixedBytes, U256},
    providers::{Provider, RootProvider},
    rpc::types::TransactionRequest,
    sol_types::SolValue,
};
use baton_bindings::IRegistry::{self, IRegistryInstance, Registration, RegistryParameters};
use baton_protocol::SlotClock;
use baton_schedule::{FollowerConfig, Handle, Snapshot};
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use serde_json::{Value, json};
use std::{
    path::{Path, PathBuf},
    process::Stdio,
    sync::Arc,
    time::Duration,
};
use tempfile::TempDir;
use tokio::{
    io::{AsyncBufReadExt, BufReader},
    process::{Child, Command},
};

const SLOT: u64 = 2;
pub(crate) const EPOCH: u64 = 32 * SLOT;
const ETHER: u128 = 1_000_000_000_000_000_000;

/// An L1 with a registry on it.
pub(crate) struct L1 {
    pub(crate) anvil: Child,
    pub(crate) url: String,
    provider: RootProvider,
    pub(crate) registry: IRegistryInstance<RootProvider>,
    account: Address,
    pub(crate) clock: SlotClock,
    /// Where anvil keeps its chain while it is down.
    state: TempDir,
}

fn project() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// The program itself, in the package of this platform: what `.bin` holds is a script that starts it, and that leaves it behind when killed.
fn anvil() -> PathBuf {
    let packages = project().join("node_modules/@foundry-rs");
    let folders =
        std::fs::read_dir(&packages).unwrap_or_else(|error| panic!("{}: {error}; run `npm ci`", packages.display()));
    let programs = folders.flatten().filter(|folder| folder.file_name().to_string_lossy().starts_with("anvil-"));
    programs.map(|folder| folder.path().join("bin/anvil")).find(|path| path.is_file()).expect("anvil; run `npm ci`")
}

/// Starts anvil on a port, 0 for any, with the chain that it had left in a folder, if it had. Gives its URL.
async fn run_anvil(state: &Path, port: u16) -> (Child, String) {
    let mut anvil = Command::new(anvil())
        .args(["--port", &port.to_string(), "--state"])
        .arg(state.join("state.json"))
        .stdout(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .expect("anvil starts");
    let mut lines = BufReader::new(anvil.stdout.take().expect("piped")).lines();
    let url = loop {
        let line = lines.next_line().await.expect("readable").expect("anvil says where it listens");
        if let Some(address) = line.strip_prefix("Listening on ") {
            break format!("http://{}", address.trim());
        }
    };
    // What it goes on saying must not fill its pipe.
    tokio::spawn(async move { while let Ok(Some(_)) = lines.next_line().await {} });
    (anvil, url)
}

/// Waits for something to become so.
pub(crate) async fn until(what: &str, mut reached: impl AsyncFnMut() -> bool) {
    let all = async {
        while !reached().await {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    assert!(tokio::time::timeout(Duration::from_secs(30), all).await.is_ok(), "never: {what}");
}

pub(crate) async fn until_snapshot(handle: &Handle, what: &str, reached: impl Fn(&Snapshot) -> bool) -> Arc<Snapshot> {
    until(what, async || reached(&handle.snapshot())).await;
    handle.snapshot()
}

impl L1 {
    /// On a chain without proposers to prove.
    pub(crate) async fn start() -> Self {
        let mut l1 = Self::without_registry().await;
        l1.registry.set_address(l1.deploy_registry(Address::ZERO).await);
        l1
    }

    /// With a verifier of beacon states.
    pub(crate) async fn start_with_verifier() -> Self {
        let mut l1 = Self::without_registry().await;
        let verifier = l1.deploy("FuluVerifier", &[]).await;
        l1.registry.set_address(l1.deploy_registry(verifier).await);
        l1
    }

    async fn without_registry() -> Self {
        let state = TempDir::new().expect("a folder");
        let (anvil, url) = run_anvil(state.path(), 0).await;
        let provider: RootProvider = RootProvider::new_http(url.parse().expect("a URL"));
        let account = provider.get_accounts().await.expect("accounts")[0];
        let latest = provider.get_block_by_number(BlockNumberOrTag::Latest).await.expect("an answer");
        let now = latest.expect("a block").header.timestamp;
        let genesis = now - 3 * EPOCH;
        let clock = SlotClock {
            l1_genesis_time: genesis,
            slot_length: SLOT,
            l2_genesis_time: genesis,
            l2_block_time: 1,
            settlement_delay: 2,
        };
        let registry = IRegistry::new(Address::ZERO, provider.clone());
        Self { anvil, url, registry, provider, account, clock, state }
    }

    /// The websocket, which anvil serves at the same port.
    pub(crate) fn ws_url(&self) -> String {
        self.url.replace("http://", "ws://")
    }

    /// Ends the node; it keeps its chain.
    pub(crate) async fn stop(&mut self) {
        let id = i32::try_from(self.anvil.id().expect("it runs")).expect("an id");
        kill(Pid::from_raw(id), Signal::SIGINT).expect("it takes signals");
        self.anvil.wait().await.expect("it ends");
    }

    /// Starts the node again, at the same port and with the same chain.
    pub(crate) async fn start_again(&mut self) {
        let port = self.url.rsplit_once(':').expect("a port").1.parse().expect("a port");
        self.anvil = run_anvil(self.state.path(), port).await.0;
    }

    async fn deploy(&self, contract: &str, parameters: &[u8]) -> Address {
        let path = project().join(format!("out/{contract}.sol/{contract}.json"));
        let artefact =
            std::fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}; run `forge build`", path.display()));
        let artefact: Value = serde_json::from_slice(&artefact).expect("an artefact");
        let code: Bytes = artefact["bytecode"]["object"].as_str().expect("bytecode").parse().expect("hexadecimal");
        let deploy = TransactionRequest::default().with_deploy_code([&code[..], parameters].concat());
        self.send(deploy).await.expect("a contract")
    }

    async fn deploy_registry(&self, verifier: Address) -> Address {
        let parameters = RegistryParameters {
            l1GenesisTime: self.clock.l1_genesis_time,
            slotLength: SLOT,
            l2BlockTime: 1,
            settlementDelay: self.clock.settlement_delay,
            margin: 16,
            turn: 8,
            minChances: 3,
            evidenceHorizon: 256,
            exitDelay: 320,
            registrationFee: U256::from(1),
            penaltyThreshold: U256::from(2 * ETHER),
            refundThreshold: U256::from(ETHER),
            largeFault: U256::from(ETHER),
            blockPrice: U256::from(ETHER / 1000),
            operator: self.account,
            fallbackKey: Address::repeat_byte(0xfb),
            inbox: Address::repeat_byte(0x1b),
            genesisForkVersion: FixedBytes::ZERO,
            timelock: self.account,
            firstForkSlot: 0,
            firstVerifier: verifier,
        };
        self.deploy("Registry", &parameters.abi_encode()).await
    }

    /// Sends a transaction and gives the address of the contract it made, if any.
    async fn send(&self, transaction: TransactionRequest) -> Option<Address> {
        let transaction = transaction.with_from(self.account);
        let sent = self.provider.send_transaction(transaction).await.expect("accepted");
        let mined = async {
            loop {
                if let Some(receipt) = self.provider.get_transaction_receipt(*sent.tx_hash()).await.expect("an answer")
                {
                    return receipt;
                }
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        let receipt = tokio::time::timeout(Duration::from_secs(30), mined).await.expect("mined");
        assert!(receipt.status());
        receipt.contract_address
    }

    pub(crate) async fn register(&self, number: u8) {
        let registration = Registration {
            owner: self.account,
            settler: Address::repeat_byte(number),
            sequencerKey: Address::repeat_byte(number | 0x80),
            penalty: U256::from(2 * ETHER),
            endpoint: format!("http://gateway-{number}"),
            feed: format!("ws://gateway-{number}"),
        };
        let call = self.registry.register(registration).value(U256::from(3 * ETHER + 1));
        self.send(call.into_transaction_request()).await;
    }

    pub(crate) async fn set_urls(&self, id: u16, endpoint: &str) {
        self.send(self.registry.setUrls(id, endpoint.to_owned(), String::new()).into_transaction_request()).await;
    }

    /// Lets time pass and mines a block.
    pub(crate) async fn pass(&self, seconds: u64) {
        self.anvil("evm_increaseTime", json!([seconds])).await;
        self.anvil("evm_mine", json!([])).await;
    }

    /// Mines the block of a slot.
    pub(crate) async fn mine(&self, slot: u64) {
        self.mine_at(self.clock.slot_start(slot)).await;
    }

    /// Mines a block with a timestamp.
    pub(crate) async fn mine_at(&self, timestamp: u64) {
        self.anvil("evm_setNextBlockTimestamp", json!([timestamp])).await;
        self.anvil("evm_mine", json!([])).await;
    }

    /// One of anvil's own methods.
    pub(crate) async fn anvil(&self, method: &'static str, params: Value) {
        self.provider.raw_request::<_, Value>(method.into(), params).await.expect("anvil obeys");
    }

    pub(crate) fn config(&self) -> FollowerConfig {
        let mut config = FollowerConfig::new(vec![self.url.clone()], *self.registry.address(), self.clock);
        config.poll_interval = Duration::from_millis(20);
        config
    }
}
