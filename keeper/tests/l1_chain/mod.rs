//! An L1 for tests: anvil that mines only when told, EIP-4788's contract, and the registry with Fulu's verifier. Needs `npm ci` and `forge build` at the top
//! level, as `make test` does.
#![allow(dead_code, reason = "each test uses its part")]

use alloy::{
    network::{EthereumWallet, TransactionBuilder},
    primitives::{Address, B256, Bytes, FixedBytes, U256, address, bytes},
    providers::{Provider, ProviderBuilder, RootProvider},
    rpc::types::TransactionRequest,
    signers::local::PrivateKeySigner,
    sol_types::{SolCall, SolValue},
};
use baton_bindings::IRegistry::{self, Registration, RegistryParameters};
use baton_keeper::{
    config::{ContractsConfig, L1Config},
    l1::L1,
    lookahead::PublicationRules,
    posting::Sender,
};
use baton_protocol::SlotClock;
use serde_json::{Value, json};
use std::{
    path::PathBuf,
    process::Stdio,
    sync::atomic::{AtomicU64, Ordering},
    time::{Duration, SystemTime, UNIX_EPOCH},
};
use tokio::{
    io::{AsyncBufReadExt, BufReader},
    process::{Child, Command},
};

/// Long, so that the clock on the wall stays in one slot.
pub(crate) const SLOT: u64 = 120;
pub(crate) const RULES: PublicationRules = PublicationRules { settlement_delay: 2, margin: 16 };

const ETHER: u128 = 1_000_000_000_000_000_000;
const BEACON_ROOTS: Address = address!("000F3df6D732807Ef1319fB7B8bB8522d0Beac02");
/// EIP-4788, "Bytecode".
const BEACON_ROOTS_CODE: Bytes = bytes!(
    "3373fffffffffffffffffffffffffffffffffffffffe14604d57602036146024575f5ffd5b5f35801560495762001fff810690815414603c575f5ffd5b62001fff01545f5260205ff35b5f5ffd5b62001fff42064281555f359062001fff015500"
);
const RING: u64 = 8191;
/// The key of anvil's first account.
const DEPLOYER: B256 = alloy::primitives::b256!("0xac0974bec39a17e36ba4a6b4d238ff944bacb478cbed5efcae784d7bf4f2ff80");

/// An L1 with a registry on it.
pub(crate) struct TestL1 {
    anvil: Child,
    pub(crate) url: String,
    pub(crate) provider: RootProvider,
    pub(crate) registry: Address,
    pub(crate) owner: PrivateKeySigner,
    pub(crate) clock: SlotClock,
    slot: AtomicU64,
}

impl TestL1 {
    /// A chain whose slot `now` is the one on the wall, and whose first block is of slot `begin`.
    pub(crate) async fn start(begin: u64, now: u64) -> Self {
        let time = SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970").as_secs();
        let genesis = time - now * SLOT;
        let clock = SlotClock {
            l1_genesis_time: genesis,
            slot_length: SLOT,
            l2_genesis_time: genesis,
            l2_block_time: SLOT,
            settlement_delay: RULES.settlement_delay,
        };
        let mut anvil = Command::new(anvil())
            .args(["--port", "0", "--no-mining", "--timestamp", &clock.slot_start(begin).to_string()])
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
        let provider: RootProvider = RootProvider::new_http(url.parse().expect("a URL"));
        let owner = PrivateKeySigner::from_bytes(&DEPLOYER).expect("a key");
        let slot = AtomicU64::new(begin);
        let mut l1 = Self { anvil, url, provider, registry: Address::ZERO, owner, clock, slot };
        l1.anvil("anvil_setCode", json!([BEACON_ROOTS, BEACON_ROOTS_CODE])).await;
        let verifier = l1.deploy("FuluVerifier", Vec::new()).await;
        l1.registry = l1.deploy("Registry", l1.parameters(verifier).abi_encode()).await;
        l1
    }

    fn parameters(&self, verifier: Address) -> RegistryParameters {
        RegistryParameters {
            l1GenesisTime: self.clock.l1_genesis_time,
            slotLength: SLOT,
            l2BlockTime: SLOT,
            settlementDelay: RULES.settlement_delay,
            margin: RULES.margin,
            turn: 8,
            minChances: 3,
            evidenceHorizon: 256,
            exitDelay: 320,
            registrationFee: U256::from(1),
            penaltyThreshold: U256::from(2 * ETHER),
            refundThreshold: U256::from(ETHER),
            largeFault: U256::from(ETHER),
            blockPrice: U256::from(ETHER / 1000),
            operator: self.owner.address(),
            fallbackKey: Address::repeat_byte(0xfb),
            inbox: Address::repeat_byte(0x1b),
            genesisForkVersion: FixedBytes::from([0, 0, 0, 9]),
            timelock: self.owner.address(),
            firstForkSlot: 0,
            firstVerifier: verifier,
        }
    }

    async fn deploy(&self, contract: &str, arguments: Vec<u8>) -> Address {
        let path = project().join(format!("out/{contract}.sol/{contract}.json"));
        let artefact =
            std::fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}; run `forge build`", path.display()));
        let artefact: Value = serde_json::from_slice(&artefact).expect("an artefact");
        let code: Bytes = artefact["bytecode"]["object"].as_str().expect("bytecode").parse().expect("hexadecimal");
        let request = TransactionRequest::default().with_deploy_code([&code[..], &arguments].concat());
        self.send(request).await.expect("a contract")
    }

    /// Sends from the owner's account, mines, and gives the address of the contract that was made, if any.
    pub(crate) async fn send(&self, request: TransactionRequest) -> Option<Address> {
        let wallet = EthereumWallet::from(self.owner.clone());
        let provider = ProviderBuilder::new().wallet(wallet).connect_http(self.url.parse().expect("a URL"));
        let sent = provider.send_transaction(request).await.expect("accepted");
        self.mine_next(B256::repeat_byte(0xee)).await;
        let receipt = self.provider.get_transaction_receipt(*sent.tx_hash()).await.expect("an answer");
        let receipt = receipt.expect("mined");
        assert!(receipt.status());
        receipt.contract_address
    }

    /// Registers a gateway of the owner's; the first has id 1.
    pub(crate) async fn register(&self, number: u8) {
        let registration = Registration {
            owner: self.owner.address(),
            settler: Address::repeat_byte(number),
            sequencerKey: Address::repeat_byte(number | 0x80),
            penalty: U256::from(2 * ETHER),
            endpoint: format!("http://gateway-{number}"),
            feed: format!("ws://gateway-{number}"),
        };
        let call = IRegistry::registerCall { registration }.abi_encode();
        let request = TransactionRequest::default().with_to(self.registry).with_input(call);
        self.send(request.with_value(U256::from(3 * ETHER + 1))).await;
    }

    /// Gives an account ether.
    pub(crate) async fn fund(&self, account: Address) {
        self.anvil("anvil_setBalance", json!([account, U256::from(ETHER)])).await;
    }

    /// Mines a slot's block, whose parent beacon block has this root.
    pub(crate) async fn mine(&self, slot: u64, parent_root: B256) {
        self.slot.store(slot, Ordering::Relaxed);
        let timestamp = self.clock.slot_start(slot);
        for (index, word) in
            [(timestamp % RING, B256::from(U256::from(timestamp))), (timestamp % RING + RING, parent_root)]
        {
            self.anvil("anvil_setStorageAt", json!([BEACON_ROOTS, U256::from(index), word])).await;
        }
        self.anvil("evm_mine", json!([timestamp])).await;
    }

    /// Mines the next slot's block at a base fee that leaves out what waits.
    pub(crate) async fn mine_dear(&self, parent_root: B256) {
        self.anvil("anvil_setNextBlockBaseFeePerGas", json!([U256::from(1_000_000_000_000u64)])).await;
        self.mine_next(parent_root).await;
    }

    /// Mines the slot after the newest block's.
    pub(crate) async fn mine_next(&self, parent_root: B256) {
        self.mine(self.slot.load(Ordering::Relaxed) + 1, parent_root).await;
    }

    /// Mines the next slot whenever a transaction waits, as long as something goes on.
    pub(crate) async fn mining<T>(&self, parent_root: B256, until: impl Future<Output = T>) -> T {
        let mine = async {
            loop {
                tokio::time::sleep(Duration::from_millis(50)).await;
                if self.waiting().await > 0 {
                    self.mine_next(parent_root).await;
                }
            }
        };
        tokio::select! {
            done = until => done,
            () = mine => unreachable!("it goes on for ever"),
        }
    }

    /// Transactions that wait.
    pub(crate) async fn waiting(&self) -> u64 {
        let status = self.anvil("txpool_status", json!([])).await;
        let pending = status["pending"].as_str().expect("a number").trim_start_matches("0x");
        u64::from_str_radix(pending, 16).expect("a number")
    }

    /// How many transactions all blocks hold.
    pub(crate) async fn transactions(&self) -> u64 {
        let newest = self.provider.get_block_number().await.expect("an answer");
        let mut count = 0;
        for number in 0..=newest {
            let found = self.provider.get_block_transaction_count_by_number(number.into()).await;
            count += found.expect("an answer").expect("a block");
        }
        count
    }

    /// The newest block's slot.
    pub(crate) fn slot(&self) -> u64 {
        self.slot.load(Ordering::Relaxed)
    }

    pub(crate) fn urls(&self) -> L1Config {
        L1Config { urls: vec![self.url.as_str().into()], poll_ms: None }
    }

    pub(crate) fn l1(&self) -> L1 {
        let contracts = ContractsConfig { registry: self.registry, inbox: Address::ZERO, deployment_block: 0 };
        L1::new(&self.urls(), &contracts).expect("a good URL")
    }

    pub(crate) fn sender(&self, key: PrivateKeySigner) -> Sender {
        Sender::new(key, 31337, self.registry)
    }

    /// One of anvil's own methods.
    pub(crate) async fn anvil(&self, method: &'static str, params: Value) -> Value {
        self.provider.raw_request(method.into(), params).await.expect("anvil obeys")
    }
}

/// The program itself: the script before it would leave it behind.
fn anvil() -> PathBuf {
    let packages = project().join("node_modules/@foundry-rs");
    let folders =
        std::fs::read_dir(&packages).unwrap_or_else(|error| panic!("{}: {error}; run `npm ci`", packages.display()));
    let programs = folders.flatten().filter(|folder| folder.file_name().to_string_lossy().starts_with("anvil-"));
    programs.map(|folder| folder.path().join("bin/anvil")).find(|path| path.is_file()).expect("anvil; run `npm ci`")
}

fn project() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// Waits until something holds; gives up after half a minute.
pub(crate) async fn until(what: &str, mut holds: impl AsyncFnMut() -> bool) {
    let wait = async {
        while !holds().await {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(60), wait).await.unwrap_or_else(|_| panic!("{what} didn't come"));
}
