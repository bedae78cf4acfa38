//! What commands need of the chain, and how they show a download.

use alloy::{primitives::Address, providers::Provider};
use baton_bindings::IRegistry::RegistryParameters;
use baton_keeper::{
    beacon::{BeaconClient, Progress},
    config::CommandConfig,
    l1::{L1, publication_rules},
    lookahead::PublicationRules,
    posting::Sender,
    signer::KeySource,
};
use baton_protocol::{SlotClock, delegation::DelegationDomain};
use clap::Args;
use eyre::{Context, Result};
use std::{
    io::{IsTerminal, Write, stderr},
    path::PathBuf,
    sync::Mutex,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

/// How often a terminal's progress line changes.
const REFRESH: Duration = Duration::from_millis(200);
/// How often a line is added where there is no terminal.
const REPORT: Duration = Duration::from_secs(5);

/// The L1 and the registry's parameters.
pub(super) struct Chain {
    pub(super) config: CommandConfig,
    pub(super) l1: L1,
    pub(super) parameters: RegistryParameters,
    chain_id: u64,
}

impl Chain {
    pub(super) async fn connect(config: CommandConfig) -> Result<Self> {
        let l1 = L1::new(&config.l1, &config.contracts)?;
        let read = async { Ok::<_, eyre::Report>((l1.registry_parameters().await?, l1.node().get_chain_id().await?)) };
        let mut read = read.await;
        for _ in 1..config.l1.urls.len() {
            if read.is_ok() {
                break;
            }
            l1.fail_over();
            read = async { Ok((l1.registry_parameters().await?, l1.node().get_chain_id().await?)) }.await;
        }
        let (parameters, chain_id) =
            read.wrap_err_with(|| format!("the registry {} can't be read", config.contracts.registry))?;
        Ok(Self { config, l1, parameters, chain_id })
    }

    pub(super) fn beacon(&self) -> Result<BeaconClient> {
        Ok(BeaconClient::new(&self.config.beacon)?)
    }

    /// What signatures bind.
    pub(super) const fn domain(&self) -> DelegationDomain {
        DelegationDomain {
            chain_id: self.chain_id,
            registry: self.registry(),
            genesis_fork_version: self.parameters.genesisForkVersion,
        }
    }

    /// Slots and epochs of the L1. Of L2's blocks it knows nothing.
    pub(super) const fn clock(&self) -> SlotClock {
        SlotClock {
            l1_genesis_time: self.parameters.l1GenesisTime,
            slot_length: self.parameters.slotLength,
            l2_genesis_time: self.parameters.l1GenesisTime,
            l2_block_time: self.parameters.l2BlockTime,
            settlement_delay: self.parameters.settlementDelay,
        }
    }

    pub(super) fn rules(&self) -> Option<PublicationRules> {
        publication_rules(&self.parameters)
    }

    pub(super) fn sender(&self, key: &KeySource) -> Result<Sender> {
        Ok(Sender::new(key.load()?, self.chain_id, self.registry()))
    }

    const fn registry(&self) -> Address {
        self.config.contracts.registry
    }
}

/// The key of the account that sends.
#[derive(Args)]
pub(super) struct KeyFlags {
    /// Key file of the account that sends: a keystore, or the bare key in hex
    #[arg(long, env = "BATON_KEY_FILE", value_name = "FILE")]
    key_file: PathBuf,
    /// File with the keystore's password
    #[arg(long, env = "BATON_PASSWORD_FILE", value_name = "FILE")]
    password_file: Option<PathBuf>,
}

impl KeyFlags {
    pub(super) fn source(&self) -> KeySource {
        KeySource { file: self.key_file.clone(), password_file: self.password_file.clone() }
    }
}

/// Seconds since 1970.
pub(super) fn unix_time() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs()
}

/// A line on stderr that says how much of a state has come.
pub(super) fn progress_line() -> impl Fn(Progress) + Send + Sync {
    let terminal = stderr().is_terminal();
    let shown: Mutex<Option<std::time::Instant>> = Mutex::new(None);
    move |progress: Progress| {
        let Ok(mut shown) = shown.lock() else { return };
        let done = progress.length == Some(progress.received);
        let pause = if terminal { REFRESH } else { REPORT };
        if !done && shown.is_some_and(|at| at.elapsed() < pause) {
            return;
        }
        *shown = Some(std::time::Instant::now());
        let megabytes = |bytes: u64| format!("{:.1}", bytes as f64 / 1e6);
        let of = progress.length.map_or_else(String::new, |length| format!(" of {}", megabytes(length)));
        let line = format!("beacon state: {}{of} MB", megabytes(progress.received));
        // Nobody is told if stderr is closed.
        let _ = match (terminal, done) {
            (true, false) => write!(stderr(), "\r{line}"),
            (true, true) => writeln!(stderr(), "\r{line}"),
            (false, _) => writeln!(stderr(), "{line}"),
        };
    }
}
