//! Ticks the L1's slots: one block a slot on the slot grid, or none in a slot that is to be missed.

use super::beacon_roots;
use alloy::{
    providers::{
        DynProvider, Provider,
        ext::{AnvilApi, TxPoolApi},
    },
    rpc::types::anvil::MineOptions,
};
use baton_protocol::SlotClock;
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

/// The L1's rhythm.
#[derive(Clone, Copy, Debug)]
pub struct TickerConfig {
    /// Start of slot 0, Unix seconds.
    pub genesis_time: u64,
    /// Seconds in a slot.
    pub slot_length: u64,
}

/// A running ticker.
pub struct SlotTicker {
    missed: Arc<Mutex<BTreeSet<u64>>>,
    task: JoinHandle<Result<()>>,
}

impl SlotTicker {
    /// Mines a slot whenever a transaction waits, without waiting for the clock, for as long as `until` runs. This is how a devnet
    /// gets its deployment into epoch 0 and is still in epoch 2 a moment later: the slots between are missed.
    pub async fn fast_forward<T>(
        provider: &DynProvider,
        config: TickerConfig,
        until: impl Future<Output = Result<T>>,
    ) -> Result<T> {
        let mine = async {
            let mut slot = 0;
            loop {
                sleep(POLL).await;
                if provider.txpool_status().await?.pending > 0 {
                    slot += 1;
                    mine(provider, config.genesis_time + slot * config.slot_length).await?;
                }
            }
        };
        tokio::select! {
            done = until => done,
            failed = mine => failed,
        }
    }

    /// Mines the slot that the clock shows, and leaves those before it without a block.
    pub async fn catch_up(provider: &DynProvider, config: TickerConfig) -> Result<()> {
        let now = SystemTime::now().duration_since(UNIX_EPOCH)?.as_secs();
        let slot = now.saturating_sub(config.genesis_time) / config.slot_length;
        Ok(mine(provider, config.genesis_time + slot * config.slot_length).await?)
    }

    /// Ticks in real time until `shutdown`.
    pub fn start(provider: DynProvider, config: TickerConfig, shutdown: CancellationToken) -> Self {
        let missed = Arc::new(Mutex::new(BTreeSet::new()));
        let task = tokio::spawn(run(provider, config, missed.clone(), shutdown));
        Self { missed, task }
    }

    /// Leaves a slot without a block.
    pub fn miss(&self, slot: u64) {
        self.missed.lock().unwrap_or_else(PoisonError::into_inner).insert(slot);
    }

    /// Whether the ticker still runs. It stops by itself only when the node is gone.
    pub fn is_running(&self) -> bool {
        !self.task.is_finished()
    }
}

async fn run(
    provider: DynProvider,
    config: TickerConfig,
    missed: Arc<Mutex<BTreeSet<u64>>>,
    shutdown: CancellationToken,
) -> Result<()> {
    let clock = SlotClock {
        l1_genesis_time: config.genesis_time,
        slot_length: config.slot_length,
        l2_genesis_time: config.genesis_time,
        l2_block_time: config.slot_length,
        settlement_delay: 0,
    };
    loop {
        let now = SystemTime::now().duration_since(UNIX_EPOCH)?;
        let slot = clock.slot_at(now.as_secs()) + 1;
        let start = Duration::from_secs(clock.slot_start(slot));
        tokio::select! {
            () = sleep(start.saturating_sub(now)) => {}
            () = shutdown.cancelled() => return Ok(()),
        }
        if missed.lock().unwrap_or_else(PoisonError::into_inner).remove(&slot) {
            tracing::info!(slot, "slot missed on request");
            continue;
        }
        if let Err(error) = mine(&provider, start.as_secs()).await {
            if shutdown.is_cancelled() {
                return Ok(());
            }
            tracing::error!(slot, %error, "the L1 node can't mine");
            return Err(error.into());
        }
    }
}

async fn mine(provider: &impl Provider, timestamp: u64) -> alloy::transports::TransportResult<()> {
    beacon_roots::store(provider, timestamp).await?;
    provider.evm_mine(Some(MineOptions::Timestamp(Some(timestamp)))).await?;
    Ok(())
}
