//! The follower against the real registry on anvil. Needs `npm ci` and `forge build` at the top level, as `make test` does.

use alloy::{
    eips::BlockNumberOrTag,
    network::TransactionBuilder,
    primitives::{Address, Bytes, FixedBytes, U256},
    providers::{Provider, RootProvider},
    rpc::types::TransactionRequest,
    sol_types::SolValue,
};
use baton_bindings::IRegistry::{self, IRegistryInstance, Registration, RegistryParameters};
use baton_protocol::{NOBODY, SlotClock};
use baton_schedule::{Follower, FollowerConfig, Handle, Snapshot};
use serde_json::{Value, json};
use std::{path::PathBuf, process::Stdio, sync::Arc, time::Duration};
use tokio::{
    io::{AsyncBufReadExt, BufReader},
    process::{Child, Command},
};
use tokio_util::sync::CancellationToken;

const SLOT: u64 = 2;
const EPOCH: u64 = 32 * SLOT;
const ETHER: u128 = 1_000_000_000_000_000_000;

/// An L1 with a registry on it.
struct L1 {
    anvil: Child,
    url: String,
    provider: RootProvider,
    registry: IRegistryInstance<RootProvider>,
    account: Address,
    clock: SlotClock,
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

/// Waits for something to become so.
async fn until(what: &str, mut reached: impl AsyncFnMut() -> bool) {
    let all = async {
        while !reached().await {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    assert!(tokio::time::timeout(Duration::from_secs(30), all).await.is_ok(), "never: {what}");
}

async fn until_snapshot(handle: &Handle, what: &str, reached: impl Fn(&Snapshot) -> bool) -> Arc<Snapshot> {
    until(what, async || reached(&handle.snapshot())).await;
    handle.snapshot()
}

impl L1 {
    /// On a chain without proposers to prove.
    async fn start() -> Self {
        Self::start_proven(false).await
    }

    /// On a chain whose proposers can be proven, or not.
    async fn start_proven(proven: bool) -> Self {
        let mut anvil = Command::new(anvil())
            .args(["--port", "0"])
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
        let mut l1 =
            Self { anvil, url, registry: IRegistry::new(Address::ZERO, provider.clone()), provider, account, clock };
        let verifier = if proven { l1.deploy("FuluVerifier", &[]).await } else { Address::ZERO };
        l1.registry.set_address(l1.deploy("Registry", &l1.parameters(verifier).abi_encode()).await);
        l1
    }

    async fn deploy(&self, contract: &str, arguments: &[u8]) -> Address {
        let path = project().join(format!("out/{contract}.sol/{contract}.json"));
        let artefact =
            std::fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}; run `forge build`", path.display()));
        let artefact: Value = serde_json::from_slice(&artefact).expect("an artefact");
        let code: Bytes = artefact["bytecode"]["object"].as_str().expect("bytecode").parse().expect("hexadecimal");
        let deploy = TransactionRequest::default().with_deploy_code([&code[..], arguments].concat());
        self.send(deploy).await.expect("a contract")
    }

    fn parameters(&self, verifier: Address) -> RegistryParameters {
        RegistryParameters {
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
        }
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

    async fn register(&self, number: u8) {
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

    async fn set_urls(&self, id: u16, endpoint: &str) {
        self.send(self.registry.setUrls(id, endpoint.to_owned(), String::new()).into_transaction_request()).await;
    }

    /// Lets time pass and mines a block.
    async fn pass(&self, seconds: u64) {
        self.anvil("evm_increaseTime", json!([seconds])).await;
        self.anvil("evm_mine", json!([])).await;
    }

    /// Mines the block of a slot.
    async fn mine(&self, slot: u64) {
        self.mine_at(self.clock.slot_start(slot)).await;
    }

    /// Mines a block with a timestamp.
    async fn mine_at(&self, timestamp: u64) {
        self.anvil("evm_setNextBlockTimestamp", json!([timestamp])).await;
        self.anvil("evm_mine", json!([])).await;
    }

    /// One of anvil's own methods.
    async fn anvil(&self, method: &'static str, params: Value) {
        self.provider.raw_request::<_, Value>(method.into(), params).await.expect("anvil obeys");
    }

    fn config(&self) -> FollowerConfig {
        let mut config = FollowerConfig::new(vec![self.url.clone()], *self.registry.address(), self.clock);
        config.poll_interval = Duration::from_millis(20);
        config
    }
}

#[tokio::test]
async fn follows_schedule_gateways_and_urls_through_reorgs_and_outages() {
    let mut l1 = L1::start().await;
    l1.register(1).await;
    l1.register(2).await;
    l1.pass(2 * EPOCH).await;
    let mut config = l1.config();
    // The first node is down: nobody listens on that port.
    config.l1_urls.insert(0, "http://127.0.0.1:1".to_owned());
    let shutdown = CancellationToken::new();
    let mut handle = Follower::spawn(config, shutdown.clone()).expect("a good configuration");
    let snapshot = tokio::time::timeout(Duration::from_secs(30), handle.known()).await.expect("in time").expect("read");

    // Gateways as they registered, and the operator under id 0.
    assert_eq!(snapshot.stale, None);
    assert_eq!(snapshot.gateways.keys().copied().collect::<Vec<_>>(), [NOBODY, 1, 2]);
    assert_eq!(snapshot.gateways[&NOBODY].keys.current, Address::repeat_byte(0xfb));
    assert!(!snapshot.gateways[&NOBODY].eligible);
    let one = &snapshot.gateways[&1];
    assert!(one.eligible);
    assert_eq!((one.urls.endpoint.as_str(), one.urls.feed.as_str()), ("http://gateway-1", "ws://gateway-1"));
    assert_eq!(one.settler, Address::repeat_byte(1));
    let head = snapshot.l1_head.expect("known");
    let epoch = SlotClock::epoch_of(l1.clock.slot_at(head.timestamp));
    assert_eq!(one.keys.at(epoch), Some(Address::repeat_byte(0x81)));

    // Every slot of every epoch known is what the contract says, the next epoch's included.
    let known: Vec<_> = snapshot.schedule.epochs().map(|known| known.epoch).collect();
    assert_eq!(known.last(), Some(&(epoch + 1)));
    assert!(known.contains(&epoch));
    for slot in SlotClock::epoch_start(known[0])..SlotClock::epoch_start(epoch + 2) {
        let says = l1.registry.gatewayAt(U256::from(slot)).call().await.expect("an answer");
        assert_eq!(snapshot.schedule.gateway_at(slot), Ok(says), "slot {slot}");
    }
    assert_ne!(snapshot.schedule.gateway_at(SlotClock::epoch_start(epoch)), Ok(NOBODY));

    // A change is seen, and seen no more once its block is gone.
    l1.set_urls(1, "http://moved").await;
    let endpoint = |snapshot: &Snapshot, endpoint: &str| snapshot.gateways[&1].urls.endpoint == endpoint;
    let moved = until_snapshot(&handle, "the new URL", |now| endpoint(now, "http://moved")).await;
    l1.anvil("anvil_reorg", json!([1, []])).await;
    let back = until_snapshot(&handle, "the old URL", |now| endpoint(now, "http://gateway-1")).await;
    assert_ne!(back.l1_head.map(|head| head.hash), moved.l1_head.map(|head| head.hash));

    // A new epoch begins: one more is known, and old ones are forgotten.
    l1.pass(6 * EPOCH).await;
    let later = until_snapshot(&handle, "later epochs", |now| now.schedule.contains(epoch + 7)).await;
    assert!(!later.schedule.contains(epoch + 1));

    // Without an L1 the last good snapshot stays, and says so.
    l1.anvil.kill().await.expect("killed");
    let stale = until_snapshot(&handle, "staleness", |now| now.stale.is_some()).await;
    assert_eq!(stale.schedule, later.schedule);
    assert_eq!(stale.gateways, later.gateways);
    shutdown.cancel();
    until("the follower's end", async || handle.changed().await.is_err()).await;
}

#[tokio::test]
async fn the_next_epoch_is_known_once_it_is_fixed() {
    // [S1]: while somebody can still publish it, nobody knows who owns its slots.
    let l1 = L1::start_proven(true).await;
    let handle = Follower::spawn(l1.config(), CancellationToken::new()).expect("a good configuration");
    let epoch = SlotClock::epoch_of(
        l1.clock.slot_at(until_snapshot(&handle, "a head", Snapshot::is_known).await.l1_head.expect("known").timestamp),
    ) + 3;
    // [S6]: two slots of delay and sixteen of margin before the epoch begins.
    let deadline = SlotClock::epoch_start(epoch + 1) - 2 - 16;
    let at = |timestamp| move |now: &Snapshot| now.l1_head.is_some_and(|head| head.timestamp == timestamp);
    l1.mine(deadline - 1).await;
    let before = until_snapshot(&handle, "the slot before", at(l1.clock.slot_start(deadline - 1))).await;
    assert!(before.stale.is_none() && before.schedule.contains(epoch) && !before.schedule.contains(epoch + 1));
    l1.mine(deadline).await;
    let fixed = until_snapshot(&handle, "the deadline", at(l1.clock.slot_start(deadline))).await;
    assert!(fixed.schedule.contains(epoch + 1));
    // A reorg puts a block from before the deadline in its place: it may be published after all.
    l1.anvil("anvil_rollback", json!([1])).await;
    let late = l1.clock.slot_start(deadline - 1) + 1;
    l1.mine_at(late).await;
    let back = until_snapshot(&handle, "the reorg", at(late)).await;
    assert!(back.schedule.contains(epoch) && !back.schedule.contains(epoch + 1));
}

#[tokio::test]
async fn a_clock_that_is_not_the_contracts_is_named() {
    let l1 = L1::start().await;
    let mut config = l1.config();
    // By this clock it is later than it is.
    config.clock.l1_genesis_time -= 4 * EPOCH;
    let handle = Follower::spawn(config, CancellationToken::new()).expect("a good configuration");
    let reason = "set `clock`";
    until_snapshot(&handle, reason, |now| now.stale.as_deref().is_some_and(|why| why.contains(reason))).await;
    assert!(!handle.snapshot().is_known());
}

#[tokio::test]
async fn a_head_that_stays_is_taken_and_marked() {
    let l1 = L1::start().await;
    let mut config = l1.config();
    config.max_head_age = Duration::from_secs(1);
    let handle = Follower::spawn(config, CancellationToken::new()).expect("a good configuration");
    // Nothing is mined, so the head grows old.
    let stuck = |now: &Snapshot| now.is_known() && now.stale.as_deref().is_some_and(|why| why.contains("stalled"));
    until_snapshot(&handle, "a stuck head", stuck).await;
    // Far enough ahead not to grow old again before it is seen.
    l1.pass(600).await;
    until_snapshot(&handle, "freshness", |now| now.stale.is_none()).await;
}
