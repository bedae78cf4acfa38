//! Putting it together: listeners, tasks, and their end.

use crate::{
    config::{Checked, Config, ConfigError},
    gateways::Gateways,
    jwt::Secret,
    proxy::Proxy,
    server::{respond, serve},
    telemetry,
    upstream::Upstream,
};
use baton_schedule::{Follower, Handle};
use bytes::Bytes;
use http::{Method, Request, Response, StatusCode, header};
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Incoming;
use metrics_exporter_prometheus::PrometheusHandle;
use std::{
    net::SocketAddr,
    sync::Arc,
    time::{Duration, SystemTime, UNIX_EPOCH},
};
use tokio::{net::TcpListener, task::JoinSet};
use tokio_util::sync::CancellationToken;
use tracing::{debug, info};

/// How often to look whether the fallback answers: twice within the second in which the portal must say so.
const PROBE_INTERVAL: Duration = Duration::from_millis(500);
const JSON: &str = "application/json";
const TEXT: &str = "text/plain; charset=utf-8";

/// Why the portal can't start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The configuration is wrong.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The schedule can't be followed.
    #[error("`schedule`: {0}")]
    Schedule(#[from] baton_schedule::ConfigError),
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

/// A portal that runs.
#[derive(Debug)]
pub struct Running {
    /// Where op-node connects.
    pub engine: SocketAddr,
    /// Where health, metrics and decisions are served.
    pub admin: SocketAddr,
    /// The schedule as the portal sees it.
    pub schedule: Handle,
    tasks: JoinSet<()>,
}

impl Running {
    /// Waits until the portal has ended, which it does after its shutdown token is cancelled and the calls under way are answered.
    pub async fn stopped(mut self) {
        while self.tasks.join_next().await.is_some() {}
    }
}

/// Starts a portal. Returns once both listeners accept connections.
pub async fn run(config: &Config, shutdown: CancellationToken) -> Result<Running, StartError> {
    let checked = config.checked()?;
    let schedule = Follower::spawn(checked.follower.clone(), shutdown.clone())?;
    start(checked, schedule, shutdown).await
}

/// Starts a portal on a schedule that is followed already; the configuration's `schedule` part is checked but not used.
pub async fn run_with_schedule(
    config: &Config,
    schedule: Handle,
    shutdown: CancellationToken,
) -> Result<Running, StartError> {
    start(config.checked()?, schedule, shutdown).await
}

async fn start(config: Checked, schedule: Handle, shutdown: CancellationToken) -> Result<Running, StartError> {
    let metrics = telemetry::install();
    let engine = listen("engine.listen", config.engine).await?;
    let admin = listen("admin.listen", config.admin).await?;
    let (engine_at, admin_at) = (address(&engine, config.engine), address(&admin, config.admin));
    let fallback = Upstream::new(config.fallback.uri, config.fallback.secret, config.fallback_timeout, config.max_body);
    let gateways = Gateways::new(config.gateways, config.max_body);
    gateways.follow(&schedule.snapshot());
    let proxy = Arc::new(Proxy::new(schedule.clone(), fallback, gateways, config.payload_budget));
    proxy.probe().await;

    let mut tasks = JoinSet::new();
    let door = Arc::new(Door { proxy: proxy.clone(), secret: config.engine_secret, max_body: config.max_body });
    let handler = move |request| {
        let door = door.clone();
        async move { door.answer(request).await }
    };
    tasks.spawn(serve(engine, handler, shutdown.clone()));
    let office = Arc::new(Office { proxy: proxy.clone(), metrics });
    let handler = move |request: Request<Incoming>| {
        let answer = office.answer(request.method(), request.uri().path());
        async move { answer }
    };
    tasks.spawn(serve(admin, handler, shutdown.clone()));
    tasks.spawn(until(shutdown.clone(), probe_again_and_again(proxy.clone())));
    tasks.spawn(until(shutdown, follow_gateways(proxy, schedule.clone())));
    info!(engine = %engine_at, admin = %admin_at, "the portal is up");
    Ok(Running { engine: engine_at, admin: admin_at, schedule, tasks })
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
        proxy.probe().await;
    }
}

/// Keeps the lanes in step with the schedule.
async fn follow_gateways(proxy: Arc<Proxy>, mut schedule: Handle) {
    loop {
        let snapshot = schedule.snapshot();
        proxy.gateways.follow(&snapshot);
        telemetry::schedule(snapshot.stale.is_some(), proxy.gateways.lanes().ids.len());
        if schedule.changed().await.is_err() {
            return;
        }
    }
}

async fn listen(field: &'static str, address: SocketAddr) -> Result<TcpListener, StartError> {
    TcpListener::bind(address).await.map_err(|source| StartError::Listen { field, address, source })
}

fn address(listener: &TcpListener, configured: SocketAddr) -> SocketAddr {
    listener.local_addr().unwrap_or(configured)
}

/// The engine port: who may enter, and with how much.
#[derive(Debug)]
struct Door {
    proxy: Arc<Proxy>,
    secret: Secret,
    max_body: usize,
}

impl Door {
    async fn answer(&self, request: Request<Incoming>) -> Response<Full<Bytes>> {
        let token = request.headers().get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
        if let Err(error) = self.secret.authorize(token, now) {
            debug!(%error, "refused a call");
            return respond(StatusCode::UNAUTHORIZED, TEXT, error.to_string());
        }
        if request.method() != Method::POST {
            return respond(StatusCode::METHOD_NOT_ALLOWED, TEXT, "JSON-RPC is posted");
        }
        match Limited::new(request.into_body(), self.max_body).collect().await {
            Ok(body) => respond(StatusCode::OK, JSON, self.proxy.answer(body.to_bytes()).await),
            Err(error) if error.is::<http_body_util::LengthLimitError>() => {
                let message = format!("the body exceeds `engine.max_body_mb` ({} bytes)", self.max_body);
                respond(StatusCode::PAYLOAD_TOO_LARGE, TEXT, message)
            }
            Err(error) => respond(StatusCode::BAD_REQUEST, TEXT, error.to_string()),
        }
    }
}

/// The admin port.
#[derive(Debug)]
struct Office {
    proxy: Arc<Proxy>,
    metrics: Option<PrometheusHandle>,
}

impl Office {
    fn answer(&self, method: &Method, path: &str) -> Response<Full<Bytes>> {
        if *method != Method::GET {
            return respond(StatusCode::METHOD_NOT_ALLOWED, TEXT, "only GET");
        }
        match path {
            "/healthz" if self.proxy.fallback_up() => respond(StatusCode::OK, TEXT, "ok"),
            "/healthz" => respond(StatusCode::SERVICE_UNAVAILABLE, TEXT, "the fallback doesn't answer"),
            "/readyz" => {
                let snapshot = self.proxy.schedule.snapshot();
                match (snapshot.is_known(), &snapshot.stale) {
                    (true, None) => respond(StatusCode::OK, TEXT, "ok"),
                    (true, Some(reason)) => {
                        respond(StatusCode::OK, TEXT, format!("ok, but the schedule is stale: {reason}"))
                    }
                    (false, reason) => {
                        let reason = reason.as_deref().unwrap_or("unknown");
                        respond(StatusCode::SERVICE_UNAVAILABLE, TEXT, format!("no schedule yet: {reason}"))
                    }
                }
            }
            "/metrics" => match &self.metrics {
                Some(metrics) => respond(StatusCode::OK, "text/plain; version=0.0.4", metrics.render()),
                None => respond(StatusCode::NOT_FOUND, TEXT, "this process exports its metrics elsewhere"),
            },
            "/decisions" => match serde_json::to_vec(&self.proxy.decisions.all()) {
                Ok(json) => respond(StatusCode::OK, JSON, json),
                Err(error) => respond(StatusCode::INTERNAL_SERVER_ERROR, TEXT, error.to_string()),
            },
            _ => respond(StatusCode::NOT_FOUND, TEXT, "there are /healthz, /readyz, /metrics and /decisions"),
        }
    }
}
