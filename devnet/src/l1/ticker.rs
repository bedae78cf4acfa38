//! Ticks the L1's slots: one block a slot on the slot grid, on both of its sides, or none in a slot that is to be missed.

use crate::beacon::BeaconChain;
use alloy::{
    providers::{
        DynProvider,
        ext::{AnvilApi, TxPoolApi},
    },
    rpc::types::anvil::MineOptions,
};
use baton_devnet_l1::beacon_roots;
use eyre::Result;
use std::{
    collections::BTreeSet,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, SystemTime, UNIX_EPOCH},
};
use tokio::{task::JoinHandle, time::sleep};
use tokio_util::sync::CancellationToken;

/// How often a fast-forwarding ticker looks for transactions.
const POLL: Duration = Duration::from_millis(50);

/// Both sides of the L1, and how their slots go by.
#[derive(Clone)]
pub struct L1Slots {
    provider: DynProvider,
    beacon: Arc<BeaconChain>,
}

/// A running ticker.
pub struct SlotTicker {
    missed: Arc<Mutex<BTreeSet<u64>>>,
    task: JoinHandle<Result<()>>,
}

impl L1Slots {
    /// An execution node that mines nothing of its own accord, and the beacon chain beside it.
    pub const fn new(provider: DynProvider, beacon: Arc<BeaconChain>) -> Self {
        Self { provider, beacon }
    }

    /// Mines a slot whenever a transaction waits, without waiting for the clock, from slot `first` on for as long as `until` runs. This is how a devnet
    /// gets its deployment into epoch 0 and is still in epoch 2 a moment later: the slots between are missed.
    pub async fn fast_forward<T>(&self, first: u64, until: impl Future<Output = Result<T>>) -> Result<T> {
        let mine = async {
            let mut slot = first;
            loop {
                sleep(POLL).await;
                if self.provider.txpool_status().await?.pending > 0 {
                    self.mine(slot).await?;
                    slot += 1;
                }
            }
        };
        tokio::select! {
            done = until => done,
            failed = mine => failed,
        }
    }

    /// Mines the slot that the clock shows, and leaves those before it without a block.
    pub async fn catch_up(&self) -> Result<()> {
        let now = SystemTime::now().duration_since(UNIX_EPOCH)?.as_secs();
        let times = self.beacon.config();
        self.mine(now.saturating_sub(times.genesis_time) / times.slot_length).await
    }

    /// Mines one slot.
    pub async fn mine(&self, slot: u64) -> Result<()> {
        let timestamp = self.slot_start(slot);
        let beacon = self.beacon.clone();
        let parent_root = tokio::task::spawn_blocking(move || beacon.produce(slot)).await??;
        beacon_roots::store(&self.provider, timestamp, parent_root).await?;
        self.provider.evm_mine(Some(MineOptions::Timestamp(Some(timestamp)))).await?;
        Ok(())
    }

    /// Ticks in real time until `shutdown`.
    pub fn start(self, shutdown: CancellationToken) -> SlotTicker {
        let missed = Arc::new(Mutex::new(BTreeSet::new()));
        let task = tokio::spawn(self.run(missed.clone(), shutdown));
        SlotTicker { missed, task }
    }

    async fn run(self, missed: Arc<Mutex<BTreeSet<u64>>>, shutdown: CancellationToken) -> Result<()> {
        let times = self.beacon.config();
        loop {
            let now = SystemTime::now().duration_since(UNIX_EPOCH)?;
            let slot = now.as_secs().saturating_sub(times.genesis_time) / times.slot_length + 1;
            tokio::select! {
                () = sleep(Duration::from_secs(self.slot_start(slot)).saturating_sub(now)) => {}
                () = shutdown.cancelled() => return Ok(()),
            }
            if missed.lock().unwrap_or_else(PoisonError::into_inner).remove(&slot) {
                tracing::info!(slot, "slot missed on request");
                continue;
            }
            if let Err(error) = self.mine(slot).await {
                if shutdown.is_cancelled() {
                    return Ok(());
                }
                tracing::error!(slot, %error, "the L1 node can't mine");
                return Err(error);
            }
        }
    }

    fn slot_start(&self, slot: u64) -> u64 {
        let times = self.beacon.config();
        times.genesis_time + slot * times.slot_length
    }
}

impl SlotTicker {
    /// Leaves a slot without a block.
    pub fn miss(&self, slot: u64) {
        self.missed.lock().unwrap_or_else(PoisonError::into_inner).insert(slot);
    }

    /// Whether the ticker still runs. It stops by itself only when the node is gone.
    pub fn is_running(&self) -> bool {
        !self.task.is_finished()
    }
}
