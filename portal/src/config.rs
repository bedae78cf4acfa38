//! Configuration: a TOML file, overridden by environment variables and flags. Secrets are only ever named by their files.

use crate::{
    breaker::Limits,
    jwt::{Secret, SecretError},
    mode::{Mode, Modes},
    policy::{Policy, Rules},
    soft_blocks::SoftBlockRule,
};
use alloy::primitives::Address;
use baton_protocol::{GatewayId, NOBODY, SlotClock};
use baton_schedule::{FollowerConfig, NodeUrl, node_urls};
use http::Uri;
use serde::{Deserialize, Serialize};
use std::{
    collections::BTreeMap,
    net::{Ipv4Addr, SocketAddr},
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

/// All there is to configure. Unknown keys are refused.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Where op-node connects.
    pub engine: EngineConfig,
    /// Health, metrics and decisions.
    #[serde(default)]
    pub admin: AdminConfig,
    /// The execution client that answers when no gateway does.
    pub fallback: FallbackConfig,
    /// A second execution client that must agree with the fallback about every gateway's payload.
    #[serde(default)]
    pub validator: Option<ValidatorConfig>,
    /// The gateways' side.
    pub gateways: GatewaysConfig,
    /// Where the schedule comes from.
    pub schedule: ScheduleConfig,
    /// Where traces go.
    #[serde(default)]
    pub tracing: TracingConfig,
}

/// Where traces go.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct TracingConfig {
    /// A collector that takes OTLP over HTTP; `/v1/traces` is added. None: no traces.
    pub otlp_url: Option<String>,
}

/// Where op-node connects.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EngineConfig {
    /// Address to listen on. Port 0 takes any free one.
    #[serde(default = "default_engine_listen")]
    pub listen: SocketAddr,
    /// The secret shared with op-node.
    pub jwt_secret_file: PathBuf,
    /// The largest body taken or passed on, in MiB.
    #[serde(default = "default_max_body_mb")]
    pub max_body_mb: usize,
}

/// Where operators connect.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct AdminConfig {
    /// Address to listen on. Port 0 takes any free one. No authentication: keep it on a private network.
    pub listen: SocketAddr,
    /// A second address with the same content, for tools that expect `debug_` methods on a port of their own.
    pub debug_listen: Option<SocketAddr>,
}

impl Default for AdminConfig {
    fn default() -> Self {
        Self { listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 7300)), debug_listen: None }
    }
}

/// The fallback execution client.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FallbackConfig {
    /// Its Engine API.
    pub url: String,
    /// The secret shared with it.
    pub jwt_secret_file: PathBuf,
    /// How long one of its answers may take, in milliseconds.
    #[serde(default = "default_fallback_timeout_ms")]
    pub timeout_ms: u64,
    /// How old its newest block may be before the portal calls itself unhealthy, in seconds. None: any age.
    #[serde(default)]
    pub max_head_age_s: Option<u64>,
}

/// The second validating execution client. It gets all blocks and heads, as a gateway does, and builds nothing.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ValidatorConfig {
    /// Its Engine API.
    pub url: String,
    /// The secret shared with it.
    pub jwt_secret_file: PathBuf,
}

/// The gateways' side.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GatewaysConfig {
    /// The secret for every gateway without one of its own.
    pub jwt_secret_file: PathBuf,
    /// How long op-node may be kept waiting for the owner's payload, from its `getPayload` to the end of the fallback's check, in milliseconds.
    #[serde(default = "default_payload_budget_ms")]
    pub payload_budget_ms: u64,
    /// How long one update may take at a gateway, in milliseconds.
    #[serde(default = "default_gateway_timeout_ms")]
    pub timeout_ms: u64,
    /// How many updates wait for a slow gateway before the oldest are dropped.
    #[serde(default = "default_queue")]
    pub queue: usize,
    /// What all gateways are let do.
    #[serde(default)]
    pub mode: Mode,
    /// Whether users' reads (`eth_call`, balances, fees) go to the scheduled gateway first, and transactions to gateways at all.
    #[serde(default = "default_multiplex")]
    pub multiplex: bool,
    /// How long a read may wait for the scheduled gateway before the fallback is asked, in milliseconds.
    #[serde(default = "default_read_timeout_ms")]
    pub read_timeout_ms: u64,
    /// How many blocks before its turn a gateway is warmed: connection, authentication, latest block and head. 0: never.
    #[serde(default = "default_warm_up_blocks")]
    pub warm_up_blocks: u64,
    /// When a failing gateway is left out.
    #[serde(default)]
    pub breaker: Limits,
    /// What a valid payload must be besides.
    #[serde(default)]
    pub policy: Rules,
    /// Whether gateways must sign their blocks in time. None: that isn't looked at.
    #[serde(default)]
    pub soft_blocks: Option<SoftBlockRule>,
    /// What is different for single gateways.
    #[serde(default)]
    pub overrides: Vec<GatewayOverride>,
}

/// What is different for one gateway.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GatewayOverride {
    /// Its id in the registry.
    pub id: GatewayId,
    /// Its Engine API, instead of the one in the registry.
    #[serde(default)]
    pub url: Option<String>,
    /// Its feed of soft blocks, instead of the one in the registry: `ws` or `http`.
    #[serde(default)]
    pub feed: Option<String>,
    /// The secret shared with it, instead of the common one.
    #[serde(default)]
    pub jwt_secret_file: Option<PathBuf>,
    /// What it is let do, if that is less than all gateways are.
    #[serde(default)]
    pub mode: Mode,
}

/// Where the schedule comes from: an L1, or a single gateway that owns every block.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ScheduleConfig {
    /// L1 nodes, in order of preference: `http`, `https`, `ws`, `wss`. Those reached by a websocket say at once when there is a new block.
    #[serde(deserialize_with = "node_urls")]
    pub l1_urls: Vec<NodeUrl>,
    /// The registry contract.
    pub registry: Option<Address>,
    /// The L1 block in which it was deployed, or any before.
    pub deployment_block: u64,
    /// How often to look for a new L1 block, whatever a websocket says, in milliseconds. By default every sixth of a slot.
    pub poll_interval_ms: Option<u64>,
    /// The deployment's arithmetic of time.
    pub clock: Option<SlotClock>,
    /// Instead of all of the above: the gateway of every block, one of `gateways.overrides`. For a rollup without a registry.
    pub fixed_gateway: Option<GatewayId>,
}

fn default_engine_listen() -> SocketAddr {
    SocketAddr::from((Ipv4Addr::LOCALHOST, 8551))
}

const fn default_max_body_mb() -> usize {
    32
}

const fn default_fallback_timeout_ms() -> u64 {
    10_000
}

const fn default_payload_budget_ms() -> u64 {
    500
}

const fn default_gateway_timeout_ms() -> u64 {
    2_000
}

const fn default_multiplex() -> bool {
    true
}

const fn default_read_timeout_ms() -> u64 {
    100
}

const fn default_warm_up_blocks() -> u64 {
    6
}

const fn default_queue() -> usize {
    256
}

/// Why a configuration can't be used.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file can't be read.
    #[error("can't read the configuration file {path}: {source}")]
    Read {
        /// The file.
        path: String,
        /// Why.
        source: std::io::Error,
    },
    /// Not TOML. The line isn't quoted, since it may hold a URL with a key.
    #[error("configuration: line {line}: {problem}")]
    Syntax {
        /// Where, counted from 1.
        line: usize,
        /// What is wrong.
        problem: String,
    },
    /// A missing or unknown key, a wrong type.
    #[error("configuration: {0}")]
    Parse(#[from] toml::de::Error),
    /// A secret can't be had.
    #[error("`{field}`: {source}")]
    Secret {
        /// Which.
        field: String,
        /// Why.
        source: SecretError,
    },
    /// A URL can't be dialled.
    #[error("`{field}`, {value}, must be a plain HTTP URL such as \"http://127.0.0.1:9551\"")]
    Url {
        /// Which.
        field: String,
        /// What it is.
        value: NodeUrl,
    },
    /// A feed can't be read.
    #[error("`{field}`, {value}, must be a plain websocket or HTTP URL such as \"ws://127.0.0.1:9652\"")]
    Feed {
        /// Which.
        field: String,
        /// What it is.
        value: NodeUrl,
    },
    /// A number is zero.
    #[error("`{0}` is 0; set it to a positive number")]
    Zero(&'static str),
    /// A key is missing.
    #[error("`{0}` is missing; set it, or `schedule.fixed_gateway` for a rollup without a registry")]
    Missing(&'static str),
    /// The fixed gateway can't be reached.
    #[error("`schedule.fixed_gateway` is {0}, and no entry of `gateways.overrides` gives that id a url")]
    FixedGateway(GatewayId),
    /// A fixed gateway beside a registry.
    #[error("`schedule.fixed_gateway` and `schedule.registry` exclude each other; leave one of them away")]
    TwoSchedules,
    /// Turns to lose, where one gateway owns every block.
    #[error(
        "`gateways.soft_blocks` takes turns away, and with `schedule.fixed_gateway` there are none; leave one of them away"
    )]
    NoTurns,
    /// Overrides for the same or no gateway.
    #[error("`gateways.overrides`: id {0} stands there twice, or is 0, which is nobody's")]
    Override(GatewayId),
    /// The schedule's part.
    #[error("`schedule`: {0}")]
    Schedule(#[from] baton_schedule::ConfigError),
}

/// A checked configuration, secrets read.
#[derive(Debug)]
pub(crate) struct Checked {
    pub(crate) engine: SocketAddr,
    pub(crate) engine_secret: Secret,
    pub(crate) admin: SocketAddr,
    pub(crate) max_body: usize,
    pub(crate) fallback: Endpoint,
    pub(crate) fallback_timeout: Duration,
    pub(crate) validator: Option<Endpoint>,
    pub(crate) gateways: GatewaySettings,
    pub(crate) live: Live,
    pub(crate) debug: Option<SocketAddr>,
    pub(crate) max_head_age: Option<Duration>,
    pub(crate) collector: Option<Uri>,
    pub(crate) schedule: ScheduleSource,
}

/// Where the schedule comes from.
#[derive(Debug)]
pub(crate) enum ScheduleSource {
    Follower(FollowerConfig),
    Fixed(GatewayId),
}

/// What can change while the portal runs.
#[derive(Clone, Debug)]
pub(crate) struct Live {
    pub(crate) payload_budget: Duration,
    pub(crate) modes: Modes,
    pub(crate) limits: Limits,
    pub(crate) rules: Rules,
    pub(crate) policies: Arc<Vec<Box<dyn Policy>>>,
    /// How long reads may wait for the scheduled gateway; `None`: reads and transactions are the fallback's alone.
    pub(crate) multiplex: Option<Duration>,
    pub(crate) warm_up_blocks: u64,
    pub(crate) soft_blocks: Option<SoftBlockRule>,
    /// Where to read gateways' feeds, for those for which that isn't as the registry has it.
    pub(crate) feeds: BTreeMap<GatewayId, Uri>,
}

/// Where and with which secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Endpoint {
    pub(crate) uri: Uri,
    pub(crate) secret: Secret,
}

/// How gateways are reached.
#[derive(Clone, Debug)]
pub(crate) struct GatewaySettings {
    pub(crate) secret: Secret,
    pub(crate) overrides: BTreeMap<GatewayId, (Option<Uri>, Option<Secret>)>,
    pub(crate) timeout: Duration,
    pub(crate) queue: usize,
}

impl GatewaySettings {
    /// Where to reach a gateway whose registry entry names a URL; `None` if nowhere.
    pub(crate) fn endpoint(&self, id: GatewayId, registered: &str) -> Option<Endpoint> {
        let (uri, secret) = self.overrides.get(&id).cloned().unwrap_or_default();
        let uri = uri.or_else(|| http_uri(registered))?;
        Some(Endpoint { uri, secret: secret.unwrap_or_else(|| self.secret.clone()) })
    }
}

impl Config {
    /// Reads a configuration from TOML.
    pub fn from_toml(text: &str) -> Result<Self, ConfigError> {
        Self::from_table(table(text)?)
    }

    /// Reads a configuration from a TOML table, to which a command line may have added.
    pub fn from_table(table: toml::Table) -> Result<Self, ConfigError> {
        Ok(Self::deserialize(table)?)
    }

    /// Checks everything that can be checked without a network, and reads the secrets.
    pub fn check(&self) -> Result<(), ConfigError> {
        self.checked().map(|_| ())
    }

    pub(crate) fn checked(&self) -> Result<Checked, ConfigError> {
        for (name, value) in [
            ("engine.max_body_mb", self.engine.max_body_mb as u64),
            ("fallback.timeout_ms", self.fallback.timeout_ms),
            ("gateways.payload_budget_ms", self.gateways.payload_budget_ms),
            ("gateways.timeout_ms", self.gateways.timeout_ms),
            ("gateways.queue", self.gateways.queue as u64),
            ("gateways.read_timeout_ms", self.gateways.read_timeout_ms),
            ("gateways.soft_blocks.within_ms", self.gateways.soft_blocks.as_ref().map_or(1, |rule| rule.within_ms)),
            ("gateways.breaker.pause_ms", self.gateways.breaker.pause_ms),
        ] {
            if value == 0 {
                return Err(ConfigError::Zero(name));
            }
        }
        let schedule = self.schedule.source()?;
        let (mut overrides, mut feeds) = (BTreeMap::new(), BTreeMap::new());
        for (index, entry) in self.gateways.overrides.iter().enumerate() {
            let field = |name: &str| format!("gateways.overrides[{index}].{name}");
            let uri = entry.url.as_deref().map(|url| uri(&field("url"), url)).transpose()?;
            if let Some(feed) = &entry.feed {
                let wrong = || ConfigError::Feed { field: field("feed"), value: feed.as_str().into() };
                feeds.insert(entry.id, feed_uri(feed).ok_or_else(wrong)?);
            }
            let file = entry.jwt_secret_file.as_deref();
            let secret = file.map(|file| secret(&field("jwt_secret_file"), file)).transpose()?;
            if entry.id == NOBODY || overrides.insert(entry.id, (uri, secret)).is_some() {
                return Err(ConfigError::Override(entry.id));
            }
        }
        if let ScheduleSource::Fixed(id) = schedule
            && !overrides.get(&id).is_some_and(|(uri, _)| uri.is_some())
        {
            return Err(ConfigError::FixedGateway(id));
        }
        if matches!(schedule, ScheduleSource::Fixed(_)) && self.gateways.soft_blocks.is_some() {
            return Err(ConfigError::NoTurns);
        }
        let validator = self.validator.as_ref().map(|validator| {
            Ok::<_, ConfigError>(Endpoint {
                uri: uri("validator.url", &validator.url)?,
                secret: secret("validator.jwt_secret_file", &validator.jwt_secret_file)?,
            })
        });
        Ok(Checked {
            engine: self.engine.listen,
            engine_secret: secret("engine.jwt_secret_file", &self.engine.jwt_secret_file)?,
            admin: self.admin.listen,
            max_body: self.engine.max_body_mb << 20,
            fallback: Endpoint {
                uri: uri("fallback.url", &self.fallback.url)?,
                secret: secret("fallback.jwt_secret_file", &self.fallback.jwt_secret_file)?,
            },
            fallback_timeout: Duration::from_millis(self.fallback.timeout_ms),
            gateways: GatewaySettings {
                secret: secret("gateways.jwt_secret_file", &self.gateways.jwt_secret_file)?,
                overrides,
                timeout: Duration::from_millis(self.gateways.timeout_ms),
                queue: self.gateways.queue,
            },
            validator: validator.transpose()?,
            live: self.gateways.live(feeds),
            debug: self.admin.debug_listen,
            max_head_age: self.fallback.max_head_age_s.map(Duration::from_secs),
            collector: self.tracing.collector()?,
            schedule,
        })
    }
}

impl TracingConfig {
    fn collector(&self) -> Result<Option<Uri>, ConfigError> {
        let Some(url) = &self.otlp_url else { return Ok(None) };
        uri("tracing.otlp_url", url)?;
        uri("tracing.otlp_url", &format!("{}/v1/traces", url.trim_end_matches('/'))).map(Some)
    }
}

impl GatewaysConfig {
    fn live(&self, feeds: BTreeMap<GatewayId, Uri>) -> Live {
        let single = self.overrides.iter().map(|entry| (entry.id, entry.mode)).collect();
        Live {
            payload_budget: Duration::from_millis(self.payload_budget_ms),
            modes: Modes { global: self.mode, single },
            limits: self.breaker,
            rules: self.policy,
            policies: Arc::new(self.policy.policies()),
            multiplex: self.multiplex.then(|| Duration::from_millis(self.read_timeout_ms)),
            warm_up_blocks: self.warm_up_blocks,
            soft_blocks: self.soft_blocks.clone(),
            feeds,
        }
    }
}

impl ScheduleConfig {
    fn source(&self) -> Result<ScheduleSource, ConfigError> {
        if let Some(id) = self.fixed_gateway {
            return match self.registry {
                Some(_) => Err(ConfigError::TwoSchedules),
                None => Ok(ScheduleSource::Fixed(id)),
            };
        }
        let registry = self.registry.ok_or(ConfigError::Missing("schedule.registry"))?;
        let clock = self.clock.ok_or(ConfigError::Missing("schedule.clock"))?;
        let mut follower = FollowerConfig::new(self.l1_urls.clone(), registry, clock);
        follower.deployment_block = self.deployment_block;
        if let Some(interval) = self.poll_interval_ms {
            follower.poll_interval = Duration::from_millis(interval);
        }
        follower.validate()?;
        Ok(ScheduleSource::Follower(follower))
    }
}

/// Reads TOML.
pub(crate) fn table(text: &str) -> Result<toml::Table, ConfigError> {
    text.parse().map_err(|error: toml::de::Error| {
        let before = error.span().map_or("", |span| text.get(..span.start).unwrap_or_default());
        ConfigError::Syntax { line: before.matches('\n').count() + 1, problem: error.message().to_owned() }
    })
}

fn secret(field: &str, path: &Path) -> Result<Secret, ConfigError> {
    Secret::read(path).map_err(|source| ConfigError::Secret { field: field.to_owned(), source })
}

fn uri(field: &str, value: &str) -> Result<Uri, ConfigError> {
    http_uri(value).ok_or_else(|| ConfigError::Url { field: field.to_owned(), value: value.into() })
}

pub(crate) fn http_uri(value: &str) -> Option<Uri> {
    let uri: Uri = value.trim().parse().ok()?;
    (uri.scheme_str() == Some("http") && uri.host().is_some()).then_some(uri)
}

/// Where a feed of soft blocks answers questions: the port on which it serves websockets. `None` if it can't be reached from here.
pub(crate) fn feed_uri(value: &str) -> Option<Uri> {
    http_uri(&value.trim().replacen("ws://", "http://", 1))
}

#[cfg(test)]
mod tests {
    use super::*;

    const L1_URLS: &str = "l1_urls = [\"ws://127.0.0.1:8546\", \"http://127.0.0.1:8545\"]";

    fn example(dir: &Path) -> String {
        let secret = dir.join("jwt.hex");
        std::fs::write(&secret, "07".repeat(32)).expect("written");
        include_str!("../portal.example.toml").replace("/etc/baton/jwt.hex", &secret.display().to_string())
    }

    fn error(text: &str) -> String {
        match Config::from_toml(text).and_then(|config| config.check()) {
            Ok(()) => panic!("accepted: {text}"),
            Err(error) => error.to_string(),
        }
    }

    #[test]
    fn the_example_is_complete_and_right() {
        let dir = tempfile::tempdir().expect("temporary directory");
        let config = Config::from_toml(&example(dir.path())).expect("parses");
        config.check().expect("checks");
        assert_eq!(config.gateways.overrides.len(), 1);
    }

    #[test]
    fn errors_name_the_field() {
        let dir = tempfile::tempdir().expect("temporary directory");
        let good = example(dir.path());
        let replaced = |from: &str, to: &str| {
            assert!(good.contains(from), "{from}");
            good.replace(from, to)
        };
        for (from, to, named) in [
            ("payload_budget_ms = 500", "payload_budget_ms = 0", "gateways.payload_budget_ms"),
            ("payload_budget_ms = 500", "payload_budget = 500", "payload_budget"),
            ("url = \"http://127.0.0.1:9551\"", "url = \"ws://127.0.0.1:9551\"", "fallback.url"),
            ("url = \"http://127.0.0.1:9551\"", "url = \"https://me:s3cret@node/s3cret\"", "https://node/"),
            ("url = \"http://127.0.0.1:9651\"", "url = \"nowhere\"", "gateways.overrides[0].url"),
            ("id = 3", "id = 0", "gateways.overrides"),
            (L1_URLS, "l1_urls = []", "l1_urls"),
            (L1_URLS, "l1_urls = [\"http://a\", \"ipc://node/s3cret\"]", "`l1_urls[1]`"),
            (L1_URLS, "l1_urls = \"http://a/s3cret\"", "[brackets]"),
            (L1_URLS, "l1_urls = [\"http://a/s3cret]", "configuration: line "),
            ("slot_length = 12", "slot_length = 0", "slot_length"),
            ("[schedule.clock]", "[schedule.clocks]", "clock"),
            ("registry = ", "fixed_gateway = 3\nregistry = ", "schedule.fixed_gateway"),
            ("registry = \"0x00000000000000000000000000000000000000b1\"", "", "schedule.registry"),
            (
                "registry = \"0x00000000000000000000000000000000000000b1\"",
                "fixed_gateway = 4",
                "schedule.fixed_gateway",
            ),
            ("pause_ms = 12000", "pause_ms = 0", "gateways.breaker.pause_ms"),
            ("# feed = \"ws://127.0.0.1:9652\"", "feed = \"wss://127.0.0.1:9652\"", "gateways.overrides[0].feed"),
            ("registry = \"0x00000000000000000000000000000000000000b1\"", "fixed_gateway = 3", "gateways.soft_blocks"),
            ("mode = \"enabled\"", "mode = \"on\"", "mode"),
            ("otlp_url = \"http://127.0.0.1:4318\"", "otlp_url = \"grpc\"", "tracing.otlp_url"),
        ] {
            let error = error(&replaced(from, to));
            assert!(error.contains(named), "{error}");
            assert!(!error.contains("s3cret"), "{error}");
        }
        std::fs::remove_file(dir.path().join("jwt.hex")).expect("removed");
        assert!(error(&good).contains("jwt_secret_file"));
    }

    #[test]
    fn an_override_comes_before_the_registry() {
        let secret = Secret::new([1; 32]);
        let uri: Uri = "http://override:1".parse().expect("a URI");
        let overrides = BTreeMap::from([(1, (Some(uri.clone()), None))]);
        let settings = GatewaySettings { secret, overrides, timeout: Duration::from_secs(1), queue: 1 };
        let uri_of = |id, registered| settings.endpoint(id, registered).map(|endpoint| endpoint.uri);
        assert_eq!(uri_of(1, "http://registered:1"), Some(uri));
        assert_eq!(uri_of(2, "http://registered:1"), Some(Uri::from_static("http://registered:1")));
        for unusable in ["", "https://registered", "ftp://x", "/path"] {
            assert_eq!(uri_of(2, unusable), None);
        }
    }
}
