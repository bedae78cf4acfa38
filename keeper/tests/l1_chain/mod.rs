//! An L1 that mines only when told, with EIP-4788's contract, and the registry with Fulu's verifier.
#![allow(dead_code, reason = "each test uses its part")]

use alloy::{
    primitives::{Address, B256, FixedBytes, U256},
    providers::Provider,
    signers::local::PrivateKeySigner,
};
use baton_devnet_l1::{ETHER, RegistryL1, beacon_roots};
use baton_keeper::{
    config::{ContractsConfig, L1Config},
    l1::L1,
    lookahead::PublicationRules,
    posting::Sender,
};
use baton_protocol::SlotClock;
use serde_json::json;
use std::{
    ops::Deref,
    sync::atomic::{AtomicU64, Ordering},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

/// Long, so that the clock on the wall stays in one slot.
pub(crate) const SLOT: u64 = 120;
pub(crate) const RULES: PublicationRules = PublicationRules { settlement_delay: 2, margin: 16 };
/// What stands in EIP-4788's contract while the chain is set up.
const ANY_ROOT: B256 = B256::repeat_byte(0xee);

/// An L1 with a registry on it.
pub(crate) struct TestL1 {
    chain: RegistryL1,
    slot: AtomicU64,
}

impl Deref for TestL1 {
    type Target = RegistryL1;

    fn deref(&self) -> &RegistryL1 {
        &self.chain
    }
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
        let chain = RegistryL1::start(clock, clock.slot_start(begin), &["--no-mining"]).await;
        beacon_roots::install(&chain.provider).await.expect("anvil obeys");
        let l1 = Self { chain, slot: AtomicU64::new(begin) };
        let deploying = async {
            let verifier = l1.deploy("FuluVerifier", &[]).await;
            l1.deploy_registry(verifier, FixedBytes::from([0, 0, 0, 9])).await;
        };
        l1.mining(ANY_ROOT, deploying).await;
        l1
    }

    /// Registers a gateway of the owner's; the first has id 1.
    pub(crate) async fn register(&self, number: u8) {
        let (endpoint, feed) = (format!("http://gateway-{number}"), format!("ws://gateway-{number}"));
        self.mining(ANY_ROOT, self.chain.register(number, &endpoint, &feed)).await;
    }

    /// Gives an account ether.
    pub(crate) async fn fund(&self, account: Address) {
        self.anvil("anvil_setBalance", json!([account, U256::from(ETHER)])).await;
    }

    /// Mines a slot's block, whose parent beacon block has this root.
    pub(crate) async fn mine(&self, slot: u64, parent_root: B256) {
        self.slot.store(slot, Ordering::Relaxed);
        let timestamp = self.clock.slot_start(slot);
        beacon_roots::store(&self.provider, timestamp, parent_root).await.expect("anvil obeys");
        self.mine_at(timestamp).await;
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
        let contracts = ContractsConfig { registry: self.registry(), inbox: Address::ZERO, deployment_block: 0 };
        L1::new(&self.urls(), &contracts).expect("a good URL")
    }

    pub(crate) fn sender(&self, key: PrivateKeySigner) -> Sender {
        Sender::new(key, 31337, self.registry())
    }
}
