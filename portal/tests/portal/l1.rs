//! A real L1 to follow: anvil, with the registry on it. Needs `npm ci` and `forge build` at the top level, as `make test` does.

use alloy::{
    primitives::{Address, Bytes, FixedBytes, U256},
    sol_types::{SolCall, SolValue},
};
use baton_bindings::IRegistry::{self, Registration, RegistryParameters};
use baton_protocol::SlotClock;
use serde_json::{Value, json};
use std::{
    path::PathBuf,
    process::Stdio,
    time::{Duration, SystemTime, UNIX_EPOCH},
};
use tokio::{
    io::{AsyncBufReadExt, BufReader},
    process::{Child, Command},
};

/// Long, so that a test stays within one turn.
const SLOT: u64 = 120;
const ETHER: u128 = 1_000_000_000_000_000_000;
/// More than any call here takes.
const GAS: u64 = 25_000_000;

pub(crate) struct L1 {
    _anvil: Child,
    http: reqwest::Client,
    pub(crate) url: String,
    pub(crate) clock: SlotClock,
    pub(crate) registry: Address,
    /// Owns everything; anvil signs for it.
    account: Address,
}

fn project() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// The program itself, in the package of this platform: what npm links to is a script, which doesn't end its child when it is killed.
fn program() -> PathBuf {
    let packages = project().join("node_modules/@foundry-rs");
    let packages = std::fs::read_dir(packages).expect("anvil's package; run `npm ci`").flatten();
    let mut programs = packages.map(|package| package.path().join("bin/anvil"));
    programs.find(|path| path.is_file()).expect("anvil; run `npm ci`")
}

impl L1 {
    /// A chain in the middle of its fifth epoch by the clock on the wall, on which gateways with these endpoints were registered early enough to have turns
    /// by now.
    pub(crate) async fn with_gateways(endpoints: [String; 2]) -> Self {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970").as_secs();
        let genesis = now - (SlotClock::epoch_start(4) + 12) * SLOT;
        let clock = SlotClock {
            l1_genesis_time: genesis,
            slot_length: SLOT,
            l2_genesis_time: genesis,
            l2_block_time: SLOT,
            settlement_delay: 2,
        };
        let mut anvil = Command::new(program())
            .args(["--port", "0", "--timestamp", &clock.slot_start(SlotClock::epoch_start(1)).to_string()])
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
        let http = reqwest::Client::builder().no_proxy().build().expect("a client");
        let mut l1 = Self { _anvil: anvil, http, url, clock, registry: Address::ZERO, account: Address::ZERO };
        l1.account = serde_json::from_value(l1.ask("eth_accounts", json!([])).await[0].clone()).expect("an account");
        l1.registry = l1.deploy_registry().await;
        for (number, endpoint) in (1..).zip(endpoints) {
            l1.register(number, endpoint).await;
        }
        l1.ask("evm_mine", json!([now])).await;
        l1
    }

    async fn ask(&self, method: &str, params: Value) -> Value {
        let call = json!({"jsonrpc": "2.0", "id": 1, "method": method, "params": params});
        let answer = self.http.post(&self.url).json(&call).send().await.expect("an answer");
        let answer: Value = answer.json().await.expect("JSON");
        assert!(answer.get("error").is_none(), "{method}: {answer}");
        answer["result"].clone()
    }

    /// Sends a transaction, and gives its receipt.
    async fn send(&self, to: Option<Address>, input: Bytes, value: U256) -> Value {
        let transaction =
            json!({"from": self.account, "to": to, "input": input, "value": value, "gas": U256::from(GAS)});
        let hash = self.ask("eth_sendTransaction", json!([transaction])).await;
        let mined = async {
            loop {
                let receipt = self.ask("eth_getTransactionReceipt", json!([hash])).await;
                if !receipt.is_null() {
                    return receipt;
                }
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        let receipt = tokio::time::timeout(Duration::from_secs(30), mined).await.expect("mined");
        assert_eq!(receipt["status"], "0x1", "{receipt}");
        receipt
    }

    async fn deploy_registry(&self) -> Address {
        let artefact = std::fs::read(project().join("out/Registry.sol/Registry.json")).expect("run `forge build`");
        let artefact: Value = serde_json::from_slice(&artefact).expect("an artefact");
        let code: Bytes = artefact["bytecode"]["object"].as_str().expect("bytecode").parse().expect("hexadecimal");
        let parameters = RegistryParameters {
            l1GenesisTime: self.clock.l1_genesis_time,
            slotLength: SLOT,
            l2BlockTime: self.clock.l2_block_time,
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
            // No proposers to prove: the slots are shared out in turns.
            firstVerifier: Address::ZERO,
        };
        let receipt = self.send(None, [&code[..], &parameters.abi_encode()].concat().into(), U256::ZERO).await;
        serde_json::from_value(receipt["contractAddress"].clone()).expect("a contract")
    }

    async fn register(&self, number: u8, endpoint: String) {
        let registration = Registration {
            owner: self.account,
            settler: Address::repeat_byte(number),
            sequencerKey: Address::repeat_byte(number | 0x80),
            penalty: U256::from(2 * ETHER),
            endpoint,
            feed: String::new(),
        };
        let call = IRegistry::registerCall { registration }.abi_encode();
        self.send(Some(self.registry), call.into(), U256::from(3 * ETHER + 1)).await;
    }

    /// Whose slot it is, as the contract says.
    pub(crate) async fn gateway_at(&self, slot: u64) -> u16 {
        let input: Bytes = IRegistry::gatewayAtCall { slot: U256::from(slot) }.abi_encode().into();
        let answer = self.ask("eth_call", json!([{"to": self.registry, "input": input}, "latest"])).await;
        let answer: Bytes = serde_json::from_value(answer).expect("bytes");
        IRegistry::gatewayAtCall::abi_decode_returns(&answer).expect("a gateway")
    }
}
