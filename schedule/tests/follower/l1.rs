//! An L1 to follow, with short slots.

use alloy::primitives::{Address, FixedBytes};
use baton_devnet_l1::RegistryL1;
pub(crate) use baton_devnet_l1::until;
use baton_protocol::SlotClock;
use baton_schedule::{FollowerConfig, Handle, Snapshot};
use serde_json::json;
use std::{
    ops::{Deref, DerefMut},
    sync::Arc,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

const SLOT: u64 = 2;
pub(crate) const EPOCH: u64 = 32 * SLOT;

/// An L1 in the beginning of its fourth epoch.
pub(crate) struct L1(RegistryL1);

impl Deref for L1 {
    type Target = RegistryL1;

    fn deref(&self) -> &RegistryL1 {
        &self.0
    }
}

impl DerefMut for L1 {
    fn deref_mut(&mut self) -> &mut RegistryL1 {
        &mut self.0
    }
}

pub(crate) async fn until_snapshot(handle: &Handle, what: &str, reached: impl Fn(&Snapshot) -> bool) -> Arc<Snapshot> {
    until(what, async || reached(&handle.snapshot())).await;
    handle.snapshot()
}

impl L1 {
    /// On a chain without proposers to prove.
    pub(crate) async fn start() -> Self {
        Self::begun(0).await
    }

    /// The same whose first block is so many seconds old.
    pub(crate) async fn begun(ago: u64) -> Self {
        let l1 = Self::without_registry(ago).await;
        l1.deploy_registry(Address::ZERO, FixedBytes::ZERO).await;
        l1
    }

    /// With a verifier of beacon states.
    pub(crate) async fn start_with_verifier() -> Self {
        let l1 = Self::without_registry(0).await;
        let verifier = l1.deploy("FuluVerifier", &[]).await;
        l1.deploy_registry(verifier, FixedBytes::ZERO).await;
        l1
    }

    async fn without_registry(ago: u64) -> Self {
        let first = SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970").as_secs() - ago;
        let genesis = first - 3 * EPOCH;
        let clock = SlotClock {
            l1_genesis_time: genesis,
            slot_length: SLOT,
            l2_genesis_time: genesis,
            l2_block_time: 1,
            settlement_delay: 2,
        };
        Self(RegistryL1::start(clock, first, &[]).await)
    }

    /// Registers a gateway with URLs that name it.
    pub(crate) async fn register(&self, number: u8) {
        let (endpoint, feed) = (format!("http://gateway-{number}"), format!("ws://gateway-{number}"));
        self.0.register(number, &endpoint, &feed).await;
    }

    pub(crate) async fn set_urls(&self, id: u16, endpoint: &str) {
        let call = self.contract().setUrls(id, endpoint.to_owned(), String::new()).into_transaction_request();
        self.send(call).await;
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

    pub(crate) fn config(&self) -> FollowerConfig {
        let mut config = FollowerConfig::new(vec![self.url.clone()], self.registry(), self.clock);
        config.poll_interval = Duration::from_millis(20);
        config
    }
}
