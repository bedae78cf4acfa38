//! An unmodified rollup node as the sequencer: kona-node, with the L1's two sides behind it and the portal before it.

mod rollup_config;

pub(crate) use rollup_config::RollupFacts;

use crate::{driver::AdoptedBlock, ports::free_ports, process::Process, toolchain::Toolchain};
use alloy::signers::local::PrivateKeySigner;
use baton_devnet_engine::Engine;
use eyre::{Result, WrapErr, ensure};
use serde::Deserialize;
use std::{
    ffi::OsString,
    path::Path,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

/// How often the head is looked at.
const POLL: Duration = Duration::from_millis(10);

/// What the node is started with.
pub(crate) struct KonaConfig<'a> {
    /// Where its program is.
    pub(crate) toolchain: &'a Toolchain,
    /// What it must know of the rollup.
    pub(crate) rollup: RollupFacts<'a>,
    /// The L1's execution side.
    pub(crate) l1_url: &'a str,
    /// The L1's beacon side.
    pub(crate) beacon_url: &'a str,
    /// The portal's Engine API.
    pub(crate) engine_url: &'a str,
    /// The secret for it.
    pub(crate) jwt_file: &'a Path,
    /// For its files.
    pub(crate) folder: &'a Path,
    /// For its log.
    pub(crate) logs: &'a Path,
}

/// A running kona-node.
pub struct KonaNode {
    process: Process,
    /// Its own RPC.
    rpc_url: String,
    adopted: Arc<Mutex<Vec<AdoptedBlock>>>,
}

/// A line of its log.
#[derive(Clone, Debug, Deserialize)]
pub struct LogLine {
    /// `INFO`, `WARN`, `ERROR`.
    pub level: String,
    /// The part of the node that says it.
    pub target: String,
    /// What it says.
    pub fields: serde_json::Value,
}

impl KonaNode {
    /// Starts it as a sequencer. `fallback` is the engine behind the portal whose head is the node's.
    pub(crate) async fn start(
        config: KonaConfig<'_>,
        fallback: Arc<Engine>,
        shutdown: CancellationToken,
    ) -> Result<Self> {
        let program = config.toolchain.peer("kona-node")?;
        let rollup_file = config.folder.join("rollup.json");
        std::fs::write(&rollup_file, serde_json::to_string_pretty(&config.rollup.json()?)?)?;
        let [rpc, tcp, udp] = free_ports::<3>()?;
        let pairs: [(&str, OsString); 14] = [
            ("--mode", "sequencer".into()),
            ("--l1-eth-rpc", config.l1_url.into()),
            ("--l1-beacon", config.beacon_url.into()),
            ("--l2-engine-rpc", config.engine_url.into()),
            ("--l2-engine-jwt-secret", config.jwt_file.into()),
            ("--l2-config-file", rollup_file.into()),
            ("--sequencer.l1-confs", "0".into()),
            // It has no peers; without a key it doesn't sequence.
            ("--p2p.sequencer.key", PrivateKeySigner::random().to_bytes().to_string().into()),
            ("--p2p.bootstore", config.folder.join("kona-peers").into()),
            ("--p2p.listen.ip", "127.0.0.1".into()),
            ("--p2p.listen.tcp", tcp.to_string().into()),
            ("--p2p.listen.udp", udp.to_string().into()),
            ("--rpc.addr", "127.0.0.1".into()),
            ("--rpc.port", rpc.to_string().into()),
        ];
        let arguments = pairs.into_iter().flat_map(|(name, value)| [name.into(), value]);
        let arguments = ["--logs.stdout.format", "json", "node", "--p2p.no-discovery"]
            .map(OsString::from)
            .into_iter()
            .chain(arguments);
        let process = Process::start("kona-node", &program, arguments, config.logs)?;
        let genesis = AdoptedBlock { number: 0, hash: config.rollup.genesis_hash, transactions: 0 };
        let adopted = Arc::new(Mutex::new(vec![genesis]));
        tokio::spawn(watch(fallback, adopted.clone(), shutdown));
        let mut node = Self { process, rpc_url: format!("http://127.0.0.1:{rpc}"), adopted };
        node.ready().await?;
        Ok(node)
    }

    /// Waits until it answers. Before, it can't do without the beacon node, and ends if that is down.
    async fn ready(&mut self) -> Result<()> {
        let deadline = Instant::now() + Duration::from_secs(60);
        while !self.sync_status().await.is_ok_and(|status| status.is_object()) {
            self.check()?;
            ensure!(Instant::now() < deadline, "kona-node isn't ready after a minute:\n{}", self.process.tail(20));
            sleep(Duration::from_millis(100)).await;
        }
        Ok(())
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

    /// Fails if the node has ended by itself.
    pub fn check(&mut self) -> Result<()> {
        self.process.check()
    }

    /// Its answer to `optimism_syncStatus`.
    pub async fn sync_status(&self) -> Result<serde_json::Value> {
        let call = serde_json::json!({"jsonrpc": "2.0", "id": 1, "method": "optimism_syncStatus", "params": []});
        let answer: serde_json::Value =
            reqwest::Client::new().post(&self.rpc_url).json(&call).send().await?.json().await?;
        Ok(answer["result"].clone())
    }

    /// All that it has logged so far.
    pub fn log(&self) -> Result<Vec<LogLine>> {
        let text = std::fs::read_to_string(self.process.log()).wrap_err("kona-node's log")?;
        Ok(text.lines().filter_map(|line| serde_json::from_str(line).ok()).collect())
    }

    /// Its process.
    pub const fn process(&self) -> &Process {
        &self.process
    }

    /// URL of its own RPC.
    pub fn rpc_url(&self) -> &str {
        &self.rpc_url
    }

    pub(crate) async fn stop(&mut self) -> Result<()> {
        self.process.stop().await
    }
}

/// Writes down every head of an engine.
async fn watch(engine: Arc<Engine>, adopted: Arc<Mutex<Vec<AdoptedBlock>>>, shutdown: CancellationToken) {
    while !shutdown.is_cancelled() {
        sleep(POLL).await;
        let mut adopted = adopted.lock().unwrap_or_else(PoisonError::into_inner);
        let known = adopted[adopted.len() - 1].hash;
        // Newest first; between two looks there may have been several.
        let mut new = Vec::new();
        let mut block = engine.head();
        while block.hash() != known && !adopted.iter().rev().any(|old| old.hash == block.hash()) {
            let transactions = block.transactions.len();
            new.push(AdoptedBlock { number: block.number(), hash: block.hash(), transactions });
            let Some(parent) = engine.block(block.parent_hash()) else { break };
            block = parent;
        }
        adopted.extend(new.into_iter().rev());
    }
}
