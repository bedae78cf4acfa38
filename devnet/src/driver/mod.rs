//! Op-node's part as a sequencer: it drives the portal through the Engine API, one L2 block after another, and talks to
//! nothing else of the L2.
//!
//! It isn't a rollup node: it derives nothing. What it does is what the recordings of a real one show it to do, call by call.

mod attributes;
mod engine_client;
mod origin;

pub use engine_client::{EngineClient, EngineClientError};

use alloy::{
    primitives::{Address, B256},
    providers::DynProvider,
};
use attributes::AttributesBuilder;
use baton_devnet_engine::JwtSecret;
use baton_protocol::SlotClock;
use eyre::{Result, bail, ensure};
use origin::OriginSelector;
use serde_json::{Value, json};
use std::{
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, SystemTime, UNIX_EPOCH},
};
use tokio::{task::JoinHandle, time::sleep};
use tokio_util::sync::CancellationToken;

/// How long before a block's timestamp it is sealed, as op-node does it.
const SEALING: Duration = Duration::from_millis(50);

/// What the driver needs to know.
#[derive(Clone, Debug)]
pub struct DriverConfig {
    /// The portal's Engine API.
    pub engine_url: String,
    /// Its secret.
    pub jwt: JwtSecret,
    /// The deployment's times.
    pub clock: SlotClock,
    /// The L1 block that the L2 chain starts from.
    pub l1_start: u64,
    /// The batcher named in L1-info deposits.
    pub batcher: Address,
    /// Gas limit of L2 blocks.
    pub gas_limit: u64,
}

/// A block that was the head.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AdoptedBlock {
    /// Number.
    pub number: u64,
    /// Hash.
    pub hash: B256,
    /// How many transactions, deposits included.
    pub transactions: usize,
}

/// A running driver.
pub struct Driver {
    adopted: Arc<Mutex<Vec<AdoptedBlock>>>,
    task: JoinHandle<Result<()>>,
}

impl Driver {
    /// Starts to build on the portal's genesis block.
    pub async fn start(config: DriverConfig, l1: DynProvider, shutdown: CancellationToken) -> Result<Self> {
        let engine = EngineClient::new(config.engine_url.clone(), config.jwt);
        // A real node calls this first, and exits if it fails.
        let capabilities = engine.call("engine_exchangeCapabilities", json!([[]])).await?;
        for needed in ["engine_forkchoiceUpdatedV3", "engine_getPayloadV4", "engine_newPayloadV4"] {
            let offered = capabilities.as_array().is_some_and(|list| list.iter().any(|method| method == needed));
            ensure!(offered, "the engine doesn't offer {needed}");
        }
        let genesis = engine.call("eth_getBlockByNumber", json!(["0x0", false])).await?;
        let genesis: B256 = serde_json::from_value(genesis["hash"].clone())?;
        let adopted = Arc::new(Mutex::new(vec![AdoptedBlock { number: 0, hash: genesis, transactions: 0 }]));
        let sequencer = Sequencer {
            engine,
            origins: OriginSelector::new(l1, config.l1_start),
            attributes: AttributesBuilder { batcher: config.batcher, gas_limit: config.gas_limit },
            clock: config.clock,
            genesis,
            adopted: adopted.clone(),
        };
        let task = tokio::spawn(async move {
            tokio::select! {
                ended = sequencer.run() => ended,
                () = shutdown.cancelled() => Ok(()),
            }
        });
        Ok(Self { adopted, task })
    }

    /// Every block that was ever the head, in order of adoption.
    pub fn adopted(&self) -> Vec<AdoptedBlock> {
        self.adopted.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The head.
    pub fn head(&self) -> AdoptedBlock {
        let adopted = self.adopted.lock().unwrap_or_else(PoisonError::into_inner);
        // Begins with genesis, and only grows.
        adopted[adopted.len() - 1]
    }

    /// Fails if the driver has stopped: an engine error reached it, which the portal must never let happen.
    pub async fn check(&mut self) -> Result<()> {
        if self.task.is_finished() {
            (&mut self.task).await??;
            bail!("the driver has stopped");
        }
        Ok(())
    }
}

struct Sequencer {
    engine: EngineClient,
    origins: OriginSelector,
    attributes: AttributesBuilder,
    clock: SlotClock,
    genesis: B256,
    adopted: Arc<Mutex<Vec<AdoptedBlock>>>,
}

impl Sequencer {
    async fn run(mut self) -> Result<()> {
        let mut head = AdoptedBlock { number: 0, hash: self.genesis, transactions: 0 };
        self.forkchoice(head.hash, Value::Null).await?;
        loop {
            head = self.build(head).await?;
            self.adopted.lock().unwrap_or_else(PoisonError::into_inner).push(head);
            tracing::debug!(number = head.number, hash = %head.hash, transactions = head.transactions, "head adopted");
        }
    }

    /// Forkchoice with attributes, getPayload, newPayload, forkchoice: a block.
    async fn build(&mut self, parent: AdoptedBlock) -> Result<AdoptedBlock> {
        let number = parent.number + 1;
        let timestamp = self.clock.block_time(number);
        // Building starts a block time before sealing, not earlier: a chain that starts in the future waits for its genesis.
        sleep_until(Duration::from_secs(timestamp - self.clock.l2_block_time)).await?;
        let origin = self.origins.next(timestamp).await?;
        let attributes = self.attributes.build(timestamp, &origin);
        let id = self.forkchoice(parent.hash, attributes).await?;
        sleep_until(Duration::from_secs(timestamp).saturating_sub(SEALING)).await?;
        let envelope = self.engine.call("engine_getPayloadV4", json!([id])).await?;
        let payload = &envelope["executionPayload"];
        let hash: B256 = serde_json::from_value(payload["blockHash"].clone())?;
        let root = &envelope["parentBeaconBlockRoot"];
        let requests = &envelope["executionRequests"];
        let status = self.engine.call("engine_newPayloadV4", json!([payload, [], root, requests])).await?;
        ensure!(status["status"] == "VALID", "newPayload of block {number} says {status}");
        ensure!(payload["parentHash"] == json!(parent.hash), "the payload of block {number} has another parent");
        ensure!(payload["timestamp"] == json!(format!("{timestamp:#x}")), "the payload has another timestamp");
        self.forkchoice(hash, Value::Null).await?;
        let transactions = payload["transactions"].as_array().map_or(0, Vec::len);
        Ok(AdoptedBlock { number, hash, transactions })
    }

    /// Updates the head, and with attributes starts to build on it. Nothing is derived here, so nothing is safe but genesis.
    async fn forkchoice(&self, head: B256, attributes: Value) -> Result<Value> {
        let state = json!({
            "headBlockHash": head,
            "safeBlockHash": self.genesis,
            "finalizedBlockHash": self.genesis,
        });
        let building = !attributes.is_null();
        let answer = self.engine.call("engine_forkchoiceUpdatedV3", json!([state, attributes])).await?;
        let status = &answer["payloadStatus"];
        ensure!(status["status"] == "VALID", "forkchoiceUpdated to {head} says {status}");
        ensure!(!building || answer["payloadId"].is_string(), "forkchoiceUpdated with attributes gave no payload id");
        Ok(answer["payloadId"].clone())
    }
}

async fn sleep_until(unix: Duration) -> Result<()> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH)?;
    sleep(unix.saturating_sub(now)).await;
    Ok(())
}
