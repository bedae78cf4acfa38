//! Starting: keys, contracts, stores, servers, then the loop.

use crate::{
    admin,
    archive::{Archive, ArchiveError},
    beacon::{BeaconClient, BeaconError},
    config::{ConfigError, ContractsConfig, KeeperConfig, L1Config},
    feed::{FeedFollowers, FeedServer, FeedServerError, FollowerContext},
    journal::{Journal, JournalError},
    l1::{Deployment, L1, L1Error},
    l2::{L2, L2Error},
    lookahead::LookaheadDuty,
    posting::Sender,
    run::keeper::Keeper,
    settling::{PolicyError, SettlingPolicy},
    signer::SignerError,
    signing::Role,
    status::{LookaheadStatus, Status, StatusBoard},
};
use alloy::{primitives::Address, signers::local::PrivateKeySigner};
use baton_batch::Kzg;
use baton_protocol::{SLOTS_PER_EPOCH, SlotClock};
use baton_schedule::{Follower, FollowerConfig, Handle};
use metrics_exporter_prometheus::PrometheusHandle;
use std::{
    collections::BTreeMap,
    io,
    net::SocketAddr,
    path::PathBuf,
    sync::{Arc, atomic::AtomicU64},
    time::Duration,
};
use tokio::{sync::Notify, task::JoinHandle};
use tokio_util::sync::CancellationToken;

const L1_RETRY: Duration = Duration::from_millis(500);

/// Why a keeper doesn't start. None goes away without somebody changing something, except that an L1 that can't be reached is waited for.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The configuration.
    #[error("configuration: {0}")]
    Config(#[from] ConfigError),
    /// The directory can't be made.
    #[error("`data_dir` {path} can't be made: {source}")]
    DataDir {
        /// The directory.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// A key.
    #[error("keys: {0}")]
    Key(#[from] SignerError),
    /// The L1.
    #[error("{0}")]
    L1(#[from] L1Error),
    /// The execution client.
    #[error("{0}")]
    L2(#[from] L2Error),
    /// The journal.
    #[error("{0}")]
    Journal(#[from] JournalError),
    /// The archive.
    #[error("{0}")]
    Archive(#[from] ArchiveError),
    /// The feed.
    #[error("{0}")]
    Feed(#[from] FeedServerError),
    /// The admin server.
    #[error("`admin.listen` {address} can't be used: {source}")]
    Admin {
        /// The address.
        address: SocketAddr,
        /// What the system says.
        source: io::Error,
    },
    /// The schedule's follower.
    #[error("schedule: {0}")]
    Schedule(#[from] baton_schedule::ConfigError),
    /// The beacon nodes.
    #[error("{0}")]
    Beacon(#[from] BeaconError),
    /// Publications would stand in settlements' way.
    #[error(
        "`lookahead.publisher_key_file` is the settler's key; give publications an account of their own, so that no settlement waits behind one"
    )]
    PublisherIsSettler,
    /// The policy contradicts the deployment.
    #[error("{0}")]
    Policy(#[from] PolicyError),
    /// The shutdown came first.
    #[error("shut down before it had started")]
    ShutDown,
    /// A task panicked.
    #[error("a task of the start ended early: {0}")]
    Task(#[from] tokio::task::JoinError),
}

/// A keeper that runs.
#[derive(Debug)]
pub struct Running {
    /// Where the feed is served.
    pub feed: SocketAddr,
    /// Where admin is served.
    pub admin: SocketAddr,
    /// The status.
    pub board: Arc<StatusBoard>,
    task: JoinHandle<()>,
}

impl Running {
    /// Waits until the keeper has stopped after its shutdown.
    ///
    /// # Errors
    /// The loop panicked.
    pub async fn stopped(self) -> Result<(), StartError> {
        Ok(self.task.await?)
    }
}

/// Starts a keeper; it runs until `shutdown`. `metrics` renders the recorder that the process has installed, if any.
///
/// # Errors
/// See [`StartError`].
pub async fn run(
    config: KeeperConfig,
    shutdown: CancellationToken,
    metrics: Option<PrometheusHandle>,
) -> Result<Running, StartError> {
    config.validate()?;
    std::fs::create_dir_all(&config.data_dir)
        .map_err(|source| StartError::DataDir { path: config.data_dir.clone(), source })?;
    let sequencer = config.keys.sequencer.load()?;
    let settler = config.keys.settler.as_ref().map(|source| source.load()).transpose()?;
    let publisher = config.lookahead.publisher().map(|source| source.load()).transpose()?;
    if publisher.is_some() && publisher.as_ref().map(|key| key.address()) == settler.as_ref().map(|key| key.address()) {
        return Err(StartError::PublisherIsSettler);
    }
    let l1 = L1::new(&config.l1, &config.contracts)?;
    let l2 = L2::new(&config.l2.url)?;
    let deployment = deployment(&l1, &shutdown).await?;
    let policy = SettlingPolicy {
        min_blocks: config.settling.min_blocks,
        patience: config.settling.patience,
        max_blocks: config.settling.max_blocks,
        resubmit_slots: config.settling.resubmit_slots,
    };
    policy.validate(deployment.rules.min_chances)?;

    let journal = Journal::open(&config.data_dir.join("journal.sqlite"), config.gateway, deployment.domain)?;
    let archive = Arc::new(Archive::open(&config.data_dir.join("archive.sqlite"))?);
    let feed = FeedServer::start(config.feed.listen, config.gateway, archive.clone()).await?;
    let board = Arc::new(StatusBoard::new(first_status(
        &config,
        sequencer.address(),
        settler.as_ref().map(|key| key.address()),
        journal.len(),
    )));
    let admin = admin::serve(config.admin.listen, board.clone(), metrics, shutdown.clone())
        .await
        .map_err(|source| StartError::Admin { address: config.admin.listen, source })?;
    let schedule = Follower::spawn(follower_config(&config.l1, &config.contracts, &deployment), shutdown.clone())?;
    let context = Arc::new(FollowerContext {
        domain: deployment.domain,
        schedule: schedule.clone(),
        archive: archive.clone(),
        settled: AtomicU64::new(0),
        news: Notify::new(),
    });
    let followers = FeedFollowers::new(config.gateway, config.feed.clone(), context.clone(), shutdown.clone());
    if let Some(duty) = lookahead_duty(&config, &deployment, publisher, &schedule, &board)? {
        tokio::spawn(duty.run(shutdown.clone()));
    }
    // Seconds of processor time; nothing can be settled before.
    let precompute = config.settling.kzg_precompute;
    let kzg = match config.role {
        Role::Gateway => Some(
            tokio::task::spawn_blocking(move || if precompute { Kzg::load() } else { Kzg::load_without_precompute() })
                .await?,
        ),
        Role::Operator => None,
    };
    let address = feed.address();
    tracing::info!(
        role = ?config.role, gateway = config.gateway, sequencer = %sequencer.address(), feed = %address, %admin,
        inbox = %deployment.domain.inbox, "keeper started"
    );
    let keeper = Keeper::new(
        &config,
        deployment,
        policy,
        l1,
        l2,
        journal,
        archive,
        Arc::new(sequencer),
        settler.map(|key| Sender::new(key, deployment.domain.chain_id, config.contracts.inbox)),
        kzg,
        feed,
        followers,
        context,
        schedule,
        board.clone(),
    )?;
    let task = tokio::spawn(keeper.run(shutdown));
    Ok(Running { feed: address, admin, board, task })
}

/// The duty to publish lookaheads, if the chain has any and the keeper an account for it.
fn lookahead_duty(
    config: &KeeperConfig,
    deployment: &Deployment,
    publisher: Option<PrivateKeySigner>,
    schedule: &Handle,
    board: &Arc<StatusBoard>,
) -> Result<Option<LookaheadDuty>, StartError> {
    let (key, rules) = match (publisher, deployment.publication) {
        (Some(key), Some(rules)) => (key, rules),
        (Some(_), None) => {
            tracing::warn!("this chain has no proposers to prove: `lookahead.publisher_key_file` isn't needed");
            return Ok(None);
        }
        (None, Some(_)) => {
            tracing::warn!(
                "no lookaheads are published from here: set `lookahead.publisher_key_file` if they should be"
            );
            return Ok(None);
        }
        (None, None) => return Ok(None),
    };
    board.amend(|status| {
        status.lookahead = Some(LookaheadStatus { publisher: key.address(), ..LookaheadStatus::default() });
    });
    tracing::info!(publisher = %key.address(), "publishing lookaheads");
    Ok(Some(LookaheadDuty {
        l1: L1::new(&config.l1, &config.contracts)?,
        beacon: BeaconClient::new(&config.beacon)?,
        sender: Sender::new(key, deployment.domain.chain_id, config.contracts.registry),
        clock: deployment.clock,
        rules,
        me: config.gateway,
        schedule: schedule.clone(),
        board: board.clone(),
        poll: l1_poll(config, &deployment.clock),
    }))
}

/// Reads the parameters, waiting for an L1 that isn't there yet.
async fn deployment(l1: &L1, shutdown: &CancellationToken) -> Result<Deployment, StartError> {
    loop {
        let error = match l1.deployment().await {
            Ok(deployment) => return Ok(deployment),
            Err(error) if error.is_retryable() => error,
            Err(error) => return Err(error.into()),
        };
        tracing::warn!(%error, "waiting for the L1");
        l1.fail_over();
        if shutdown.run_until_cancelled(tokio::time::sleep(L1_RETRY)).await.is_none() {
            return Err(StartError::ShutDown);
        }
    }
}

/// How the schedule is followed: as far back as blocks can need an owner.
pub fn follower_config(l1: &L1Config, contracts: &ContractsConfig, deployment: &Deployment) -> FollowerConfig {
    let mut follower = FollowerConfig::new(l1.urls.clone(), contracts.registry, deployment.clock);
    follower.deployment_block = contracts.deployment_block;
    // Blocks older than the horizon are stale, and need no owner.
    follower.past_epochs = deployment.rules.evidence_horizon / SLOTS_PER_EPOCH + 2;
    if let Some(millis) = l1.poll_ms {
        follower.poll_interval = Duration::from_millis(millis);
    }
    follower
}

/// How often to look at the L1.
pub(super) fn l1_poll(config: &KeeperConfig, clock: &SlotClock) -> Duration {
    let usual = Duration::from_millis(clock.slot_length.saturating_mul(100).min(1_000));
    config.l1.poll_ms.map_or(usual, Duration::from_millis)
}

fn first_status(config: &KeeperConfig, sequencer: Address, settler: Option<Address>, journal: u64) -> Status {
    Status {
        role: config.role,
        gateway: config.gateway,
        sequencer,
        settler,
        slot: 0,
        l1_head: None,
        l2_head: None,
        settled: None,
        unsettled: 0,
        last_signed: None,
        journal,
        peers: BTreeMap::new(),
        last_batch: None,
        settlements: 0,
        lookahead: None,
        errors: BTreeMap::new(),
    }
}
