//! Putting it together: listeners, tasks, and their end.

use crate::{
    config::{
        Checked, Config, ConfigError, Endpoint, GatewaySettings, Places, Rest, ScheduleSource, Secrets, SharedSecret,
        Warning,
    },
    descriptors,
    door::Door,
    gateways::Gateways,
    lane::{Lane, Peer},
    office::Office,
    proxy::{Also, Proxy},
    reload::{self, Change},
    server::{serve, serve_by_hyper},
    soft_blocks::{self, SoftBlockRule},
    strangers::Strangers,
    telemetry,
    trace::Tracer,
    upstream::Upstream,
    wire,
};
use baton_protocol::{GatewayId, SlotClock};
use baton_schedule::{Follower, GatewayInfo, Handle, NodeUrl, Publisher, Snapshot, channel};
use http::Uri;
use metrics_exporter_prometheus::PrometheusHandle;
use std::{net::SocketAddr, sync::Arc, time::Duration};
use tokio::{
    net::TcpListener,
    sync::oneshot,
    task::{JoinSet, spawn_blocking},
};
use tokio_util::sync::{CancellationToken, DropGuard};
use tracing::{error, info, warn};

/// How often to look whether the fallback answers, and how long it may take: together less than the second in which the portal must say so.
const PROBE_INTERVAL: Duration = Duration::from_millis(400);
const PROBE_TIMEOUT: Duration = Duration::from_millis(450);
const _: () = assert!(PROBE_INTERVAL.as_millis() + PROBE_TIMEOUT.as_millis() < 1000);
/// How long the admin port's requests may take to finish at the end: what takes time about them is the way there.
const ADMIN_GRACE: Duration = Duration::from_secs(4);
/// How long gateways may take at the end for what op-node's calls have left for them.
const FAREWELL: Duration = Duration::from_millis(500);
/// How often metrics are folded.
const UPKEEP_INTERVAL: Duration = Duration::from_secs(5);

/// Why the portal can't start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The configuration is wrong.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The schedule can't be followed.
    #[error("`schedule`: {0}")]
    Schedule(#[from] baton_schedule::ConfigError),
    /// The engine port's thread can't be had.
    #[error("can't start the engine port's thread: {0}")]
    Thread(std::io::Error),
    /// An address can't be listened on.
    #[error("`{field}` ({address}): {source}; choose a free address")]
    Listen {
        /// Which.
        field: &'static str,
        /// What it is.
        address: SocketAddr,
        /// Why.
        source: std::io::Error,
    },
}

/// A portal that runs. Dropped, it ends at once.
#[derive(Debug)]
pub struct Running {
    /// Where op-node connects.
    pub engine: SocketAddr,
    /// Where health, metrics and decisions are served.
    pub admin: SocketAddr,
    /// The second address of the same, if there is one.
    pub debug: Option<SocketAddr>,
    /// The schedule as the portal sees it.
    pub schedule: Handle,
    proxy: Arc<Proxy>,
    /// What runs, key by key: what was read since and takes a restart isn't in it.
    config: Config,
    /// The secrets that are in use.
    secrets: Secrets,
    /// Where no gateway may be: the ports and execution clients that are in use, which take a restart to be others.
    places: Places,
    /// Where no L1 says which gateways there are.
    without_l1: Option<Publisher>,
    tasks: JoinSet<()>,
    shutdown: CancellationToken,
    /// The engine port's thread and the schedule's follower end by a token, not by being dropped.
    _end: DropGuard,
}

impl Running {
    /// Takes another configuration, for calls from now on, and says what it changes. What takes a restart stays as it is; a configuration with
    /// anything wrong in it, or whose gateways don't fit what stays, changes nothing at all.
    pub fn reload(&mut self, config: &Config) -> Result<Vec<Change>, ConfigError> {
        let rest = Rest { fixed: self.proxy.fixed(), secrets: &self.secrets, places: &self.places };
        let checked = config.checked_beside(Some(&rest))?;
        let set_back = reload::set_back(&self.config.gateways.modes(), &self.proxy.live().modes, &checked.live.modes);
        let mut changes = reload::diff(&self.config, config);
        changes.retain(|change| set_back.iter().all(|other| other.key != change.key));
        changes.extend(set_back);
        changes.extend(reload::secrets(&self.secrets, &checked.secrets));
        say(&checked.warnings);
        try_archive(checked.live.soft_blocks.as_ref());
        if let Some(publisher) = &self.without_l1 {
            publisher.publish(without_l1(&checked.gateways));
        }
        self.proxy.reconfigure(checked.live, checked.gateways);
        // What takes a restart is compared with what runs, next time too.
        self.config.gateways = config.gateways.clone();
        let stays = |key: &String| !key.starts_with("gateways.");
        self.secrets.retain(|key, _| stays(key));
        self.secrets.extend(checked.secrets.into_iter().filter(|(key, _)| !stays(key)));
        Ok(changes)
    }

    /// Waits until the portal begins to end: when its shutdown token is cancelled, or when op-node could no longer be served, which is a defect.
    pub async fn ends(&self) {
        self.shutdown.cancelled().await;
    }

    /// Waits until the portal has ended, which it does after its shutdown token is cancelled and the calls under way are answered.
    pub async fn stopped(mut self) {
        while self.tasks.join_next().await.is_some() {}
    }
}

/// Starts a portal. Returns once both listeners accept connections.
pub async fn run(config: &Config, shutdown: CancellationToken) -> Result<Running, StartError> {
    let checked = config.checked()?;
    let shutdown = shutdown.child_token();
    let end = shutdown.clone().drop_guard();
    let (publisher, schedule) = match &checked.schedule {
        ScheduleSource::Follower(follower) => (None, Follower::spawn(follower.clone(), shutdown.clone())?),
        ScheduleSource::Fixed(_) => {
            let (publisher, schedule) = channel(without_l1(&checked.gateways));
            (Some(publisher), schedule)
        }
    };
    let running = start(config, checked, schedule, shutdown, end).await?;
    Ok(Running { without_l1: publisher, ..running })
}

/// Keeps gateways off the portal's own ports as they were chosen: engine, admin, debug.
fn reserve(gateways: &mut GatewaySettings, ports: [Option<SocketAddr>; 3]) {
    let keys = ["engine.listen", "admin.listen", "admin.debug_listen"];
    for (key, address) in keys.into_iter().zip(ports) {
        address.into_iter().for_each(|address| gateways.places.add_port(key, address));
    }
}

fn say(warnings: &[Warning]) {
    for warning in warnings {
        match warning {
            Warning::SharedSecret(SharedSecret { gateways, own }) => {
                warn!(gateways, own, "a gateway has a secret of the operator's, and could call what takes it");
            }
            Warning::OpenFile { key, path, mode } => {
                let (path, mode) = (path.display(), format!("{mode:o}"));
                warn!(key, %path, mode, "others can read or write a secret's file; let only the portal's user (0600) or its group (0640) read it");
            }
        }
    }
}

/// Says soon if evidence couldn't be kept: when there is some, it is lost. Nobody waits for that: a file system may hang.
fn try_archive(rule: Option<&SoftBlockRule>) {
    let Some(archive) = rule.and_then(|rule| rule.archive.clone()) else { return };
    spawn_blocking(move || {
        if let Err(error) = soft_blocks::try_out(&archive) {
            let (key, path) = ("gateways.soft_blocks.archive", archive.display());
            warn!(key, %path, %error, "evidence can't be kept there; let the portal's user write to it");
        }
    });
}

/// What there is to know without an L1: which gateways the configuration names. One of them owns every block, the others keep up with the head.
fn without_l1(settings: &GatewaySettings) -> Snapshot {
    let clock =
        SlotClock { l1_genesis_time: 0, slot_length: 12, l2_genesis_time: 0, l2_block_time: 1, settlement_delay: 0 };
    let endpoint = |uri: &Uri| NodeUrl::from(uri.to_string()).to_string();
    let gateway = |(id, (uri, _)): (&GatewayId, &(Option<Uri>, _))| {
        (*id, GatewayInfo::unregistered(*id, uri.as_ref().map(endpoint).unwrap_or_default()))
    };
    Snapshot { gateways: settings.overrides.iter().map(gateway).collect(), stale: None, ..Snapshot::unread(clock) }
}

/// Starts a portal on a schedule that is followed already; the configuration's `schedule` part is checked but not used.
pub async fn run_with_schedule(
    config: &Config,
    schedule: Handle,
    shutdown: CancellationToken,
) -> Result<Running, StartError> {
    let shutdown = shutdown.child_token();
    let end = shutdown.clone().drop_guard();
    start(config, config.checked()?, schedule, shutdown, end).await
}

async fn start(
    as_written: &Config,
    mut config: Checked,
    schedule: Handle,
    shutdown: CancellationToken,
    end: DropGuard,
) -> Result<Running, StartError> {
    let metrics = telemetry::install();
    telemetry::begin();
    say(&config.warnings);
    try_archive(config.live.soft_blocks.as_ref());
    let engine = listen("engine.listen", config.engine).await?;
    let admin = listen("admin.listen", config.admin).await?;
    let debug = match config.debug {
        Some(at) => Some(listen("admin.debug_listen", at).await?),
        None => None,
    };
    let debug_at = debug.as_ref().and_then(|listener| listener.local_addr().ok());
    let (engine_at, admin_at) = (address(&engine, config.engine), address(&admin, config.admin));
    reserve(&mut config.gateways, [Some(engine_at), Some(admin_at), debug_at]);
    let places = config.gateways.places.clone();
    let fallback = Upstream::new(config.fallback.uri, config.fallback.secret, config.fallback_timeout, config.max_body);
    let validator = config.validator.map(|validator| {
        let Endpoint { uri, secret } = validator.endpoint;
        let upstream = Upstream::new(uri, secret, validator.timeout, config.max_body);
        Lane::open(Peer::Validator, upstream, validator.queue)
    });
    let fixed = match config.schedule {
        ScheduleSource::Fixed(id) => Some(id),
        ScheduleSource::Follower(_) => None,
    };
    let (tracer, traces) = Tracer::new(config.collector);
    let also = Also { fixed, tracer, max_head_age: config.max_head_age };
    let gateways = Gateways::new(config.gateways, config.max_body);
    let proxy = Arc::new(Proxy::new(schedule.clone(), fallback, validator, gateways, config.live, also));
    proxy.follow();
    proxy.probe(PROBE_TIMEOUT).await;

    let mut tasks = JoinSet::new();
    tasks.spawn(until(shutdown.clone(), traces));
    tasks.spawn(until(shutdown.clone(), fold_metrics(metrics.clone())));
    let office = Arc::new(Office::new(proxy.clone(), metrics));
    let door = Arc::new(Door::new(proxy.clone(), office.clone(), config.engine_secret, config.max_body));
    let room = descriptors::for_strangers();
    let served = on_a_thread(engine, door, proxy.clone(), Strangers::new(room), shutdown.clone())?;
    let (letting_go, ending) = (proxy.clone(), shutdown.clone());
    tasks.spawn(async move {
        // What op-node sends until the end goes to the others, too.
        tokio::select! {
            () = to_the_end(served, &ending) => {}
            () = letting_go.let_go() => {}
        }
        letting_go.finish(FAREWELL).await;
    });
    for listener in [Some(admin), debug].into_iter().flatten() {
        let office = office.clone();
        let handler = move |request| {
            let office = office.clone();
            async move { office.answer(request).await }
        };
        tasks.spawn(serve_by_hyper(listener, handler, Strangers::new(room), || ADMIN_GRACE, shutdown.clone()));
    }
    tasks.spawn(until(shutdown.clone(), probe_again_and_again(proxy.clone())));
    tasks.spawn(until(shutdown.clone(), follow_gateways(proxy.clone(), schedule.clone())));
    info!(engine = %engine_at, admin = %admin_at, "the portal is up");
    Ok(Running {
        engine: engine_at,
        admin: admin_at,
        debug: debug_at,
        schedule,
        proxy,
        config: as_written.clone(),
        secrets: config.secrets,
        places,
        without_l1: None,
        tasks,
        shutdown,
        _end: end,
    })
}

/// Serves on a thread of its own. op-node's calls then go from one connection to the other without waking another thread, and whatever gateways
/// have the other threads do, this one isn't kept from op-node.
fn on_a_thread(
    listener: TcpListener,
    door: Arc<Door>,
    proxy: Arc<Proxy>,
    strangers: Arc<Strangers>,
    shutdown: CancellationToken,
) -> Result<impl Future<Output = ()>, StartError> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(StartError::Thread)?;
    let listener = listener.into_std().map_err(StartError::Thread)?;
    let (ended, end) = oneshot::channel();
    let serve = move || {
        runtime.block_on(async move {
            let longest = {
                let proxy = proxy.clone();
                move || proxy.longest_call()
            };
            tokio::spawn(async move { proxy.stay_ready().await });
            match TcpListener::from_std(listener) {
                Ok(listener) => serve(listener, door, strangers, longest, shutdown).await,
                Err(error) => error!(%error, "can't listen on the engine's thread"),
            }
        });
        // The portal may be gone already.
        let _ = ended.send(());
    };
    std::thread::Builder::new().name("engine".to_owned()).spawn(serve).map_err(StartError::Thread)?;
    Ok(async move {
        let _ = end.await;
    })
}

/// Waits until the engine port isn't served any more. If that is before the token is cancelled, all else ends, too: only then is the portal started again by
/// whoever watches over it.
async fn to_the_end(served: impl Future<Output = ()>, shutdown: &CancellationToken) {
    served.await;
    if !shutdown.is_cancelled() {
        error!("the engine port's thread has ended by itself, which is a defect; the portal ends");
        shutdown.cancel();
    }
}

/// Runs a task until the token is cancelled.
async fn until(token: CancellationToken, task: impl Future<Output = ()>) {
    token.run_until_cancelled(task).await;
}

async fn probe_again_and_again(proxy: Arc<Proxy>) {
    let mut ticks = tokio::time::interval(PROBE_INTERVAL);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        proxy.probe(PROBE_TIMEOUT).await;
        proxy.show_breakers();
    }
}

/// Folds what was recorded into the histograms. Without it, samples are kept one by one until somebody asks for the metrics, which may be never.
async fn fold_metrics(metrics: Option<PrometheusHandle>) {
    let Some(metrics) = metrics else { return };
    loop {
        tokio::time::sleep(UPKEEP_INTERVAL).await;
        metrics.run_upkeep();
    }
}

/// Keeps the lanes in step with the schedule.
async fn follow_gateways(proxy: Arc<Proxy>, mut schedule: Handle) {
    loop {
        let snapshot = schedule.snapshot();
        proxy.follow();
        telemetry::schedule(snapshot.stale.is_some());
        if schedule.changed().await.is_err() {
            // Nobody will ever say anything new about it.
            return;
        }
    }
}

async fn listen(field: &'static str, address: SocketAddr) -> Result<TcpListener, StartError> {
    let listener = TcpListener::bind(address).await.map_err(|source| StartError::Listen { field, address, source })?;
    wire::listen_within(&listener);
    Ok(listener)
}

fn address(listener: &TcpListener, configured: SocketAddr) -> SocketAddr {
    listener.local_addr().unwrap_or(configured)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[cfg(target_os = "linux")]
    #[tokio::test]
    async fn callers_within_the_machine_are_answered_without_pacing() {
        let address = "127.0.0.1:0".parse().expect("an address");
        let listener = listen("engine.listen", address).await.expect("a port");
        assert_eq!(rustix::net::sockopt::tcp_congestion(&listener).expect("known"), "reno");
    }

    #[tokio::test]
    async fn without_the_engine_port_all_else_ends() {
        let (thread, ended) = oneshot::channel::<()>();
        let shutdown = CancellationToken::new();
        let seen = tokio::spawn({
            let shutdown = shutdown.clone();
            async move { to_the_end(async move { drop(ended.await) }, &shutdown).await }
        });
        tokio::task::yield_now().await;
        assert!(!shutdown.is_cancelled());
        drop(thread);
        seen.await.expect("no panic");
        assert!(shutdown.is_cancelled());
    }
}
