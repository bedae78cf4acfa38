//! Configuration: a TOML file, overridden by environment variables and flags. Secrets are only ever named, by their files or variables.

use crate::{breaker::Limits, mode::Mode, policy::Rules, soft_blocks::SoftBlockRule};
use alloy::primitives::Address;
use baton_protocol::{GatewayId, SlotClock};
use baton_schedule::{NodeUrl, node_urls};
use serde::{Deserialize, Deserializer, Serialize, de::Error};
use std::{
    net::{Ipv4Addr, SocketAddr},
    path::PathBuf,
};

mod bounds;
mod checked;
mod error;
mod place;
mod rest;
#[cfg(test)]
mod tests;

pub(crate) use checked::{Checked, Endpoint, GatewaySettings, Live, ScheduleSource, Secrets, feed_uri};
pub use error::{ConfigError, SharedSecret, Warning};
pub(crate) use place::Places;
pub(crate) use rest::Rest;

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
    #[serde(default = "default_engine_listen", deserialize_with = "socket_address")]
    pub listen: SocketAddr,
    /// The file of the secret shared with op-node, or `env:` and the name of a variable that holds it; so with every key of this name.
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
    #[serde(deserialize_with = "socket_address")]
    pub listen: SocketAddr,
    /// A second address with the same content, for tools that expect `debug_` methods on a port of their own.
    #[serde(deserialize_with = "some_socket_address")]
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
    /// How long one of its answers may take, in milliseconds. By default less than any op-node waits, so that op-node hears what is wrong.
    #[serde(default = "default_fallback_timeout_ms")]
    pub timeout_ms: u64,
    /// How old its newest block may be before the portal calls itself unhealthy, in seconds. None or 0: any age.
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
    /// How long one of its answers may take, in milliseconds.
    #[serde(default = "default_gateway_timeout_ms")]
    pub timeout_ms: u64,
    /// How many updates wait for it while it is slow before the oldest are dropped. At least 2: a block waits for its head.
    #[serde(default = "default_queue")]
    pub queue: usize,
}

/// The gateways' side.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GatewaysConfig {
    /// The secret for every gateway without one of its own.
    pub jwt_secret_file: PathBuf,
    /// How long op-node may be kept waiting for the owner's payload, from its `getPayload` to the end of the fallback's check, in milliseconds. At most 30,000.
    #[serde(default = "default_payload_budget_ms")]
    pub payload_budget_ms: u64,
    /// How long one update may take at a gateway, in milliseconds.
    #[serde(default = "default_gateway_timeout_ms")]
    pub timeout_ms: u64,
    /// How many updates wait for a slow gateway before the oldest are dropped. At least 2: a block waits for its head.
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
    #[serde(deserialize_with = "some_contract")]
    pub registry: Option<Address>,
    /// The L1 block in which it was deployed, or any before.
    pub deployment_block: u64,
    /// How many L1 blocks one query for events may span. By default 2,000, which public nodes answer.
    pub log_span: Option<u64>,
    /// How often to look for a new L1 block, whatever a websocket says, in milliseconds. By default every sixth of a slot; at most eight slots.
    pub poll_interval_ms: Option<u64>,
    /// The deployment's arithmetic of time.
    pub clock: Option<SlotClock>,
    /// Instead of all of the above: the gateway of every block, one of `gateways.overrides`. For a rollup without a registry.
    pub fixed_gateway: Option<GatewayId>,
}

/// An address to listen on, without asking anybody where a name leads.
fn socket_address<'de, D: Deserializer<'de>>(deserializer: D) -> Result<SocketAddr, D::Error> {
    let text = String::deserialize(deserializer)?;
    text.parse().map_err(|_| {
        D::Error::custom(format!(
            "{text:?} must be an IP address and a port, such as \"127.0.0.1:8551\" or \"[::1]:8551\""
        ))
    })
}

fn some_socket_address<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<SocketAddr>, D::Error> {
    socket_address(deserializer).map(Some)
}

/// A contract's address.
pub(crate) fn contract<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Address, D::Error> {
    let text = String::deserialize(deserializer)?;
    text.parse()
        .map_err(|_| D::Error::custom(format!("{text:?} must be a contract's address, 0x and 40 hexadecimal digits")))
}

fn some_contract<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Address>, D::Error> {
    contract(deserializer).map(Some)
}

fn default_engine_listen() -> SocketAddr {
    SocketAddr::from((Ipv4Addr::LOCALHOST, 8551))
}

const fn default_max_body_mb() -> usize {
    32
}

const fn default_fallback_timeout_ms() -> u64 {
    4_500
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

impl Config {
    /// Reads a configuration from TOML.
    pub fn from_toml(text: &str) -> Result<Self, ConfigError> {
        Self::from_table(table(text)?)
    }

    /// Reads a configuration from a TOML table, to which a command line may have added.
    pub fn from_table(table: toml::Table) -> Result<Self, ConfigError> {
        Ok(Self::deserialize(table)?)
    }
}

/// Reads TOML.
pub(crate) fn table(text: &str) -> Result<toml::Table, ConfigError> {
    text.parse().map_err(|error: toml::de::Error| {
        let before = error.span().map_or("", |span| text.get(..span.start).unwrap_or_default());
        ConfigError::Syntax { line: before.matches('\n').count() + 1, problem: error.message().to_owned() }
    })
}
