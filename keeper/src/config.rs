//! What a keeper must be told. Addresses, URLs and key files only: every parameter of the protocol is read from the contracts.

use crate::{signer::KeySource, signing::Role};
use alloy::primitives::Address;
use baton_batch::{EncoderConfig, MAX_BLOBS_PER_TRANSACTION};
use baton_protocol::{GatewayId, NOBODY};
use baton_schedule::{NodeUrl, node_urls};
use serde::{Deserialize, de::DeserializeOwned};
use std::{collections::BTreeMap, net::SocketAddr, path::PathBuf, time::Duration};

/// Prefix of environment variables: `BATON_KEEPER_L2__URL` sets `url` of `[l2]`.
pub const ENV_PREFIX: &str = "BATON_KEEPER_";

/// The whole configuration.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KeeperConfig {
    /// Whose part the keeper plays.
    pub role: Role,
    /// The gateway's id in the registry; left out for the operator, which is id 0.
    #[serde(default)]
    pub gateway: GatewayId,
    /// Where journal and archive lie; made if it doesn't exist. One keeper's alone.
    pub data_dir: PathBuf,
    /// The L1.
    pub l1: L1Config,
    /// The gateway's own execution client.
    pub l2: L2Config,
    /// The deployment.
    pub contracts: ContractsConfig,
    /// The L1's beacon side.
    #[serde(default)]
    pub beacon: BeaconConfig,
    /// Publishing lookaheads.
    #[serde(default)]
    pub lookahead: LookaheadConfig,
    /// Keys.
    pub keys: KeysConfig,
    /// Soft blocks, served and followed.
    #[serde(default)]
    pub feed: FeedConfig,
    /// Health, metrics, status.
    #[serde(default)]
    pub admin: AdminConfig,
    /// When and how to settle.
    #[serde(default)]
    pub settling: SettlingConfig,
    /// The operator's part.
    #[serde(default)]
    pub operator: OperatorConfig,
}

/// The L1.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct L1Config {
    /// HTTP JSON-RPC of L1 nodes, in order of preference. Transactions go to all of them. No websockets: the keeper looks at the L1 by itself, several
    /// times a slot.
    #[serde(deserialize_with = "node_urls")]
    pub urls: Vec<NodeUrl>,
    /// Milliseconds between looks at the L1; a tenth of a slot, at most a second, if left out.
    pub poll_ms: Option<u64>,
}

/// The gateway's own execution client.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct L2Config {
    /// HTTP JSON-RPC with the `eth` and `debug` namespaces.
    pub url: String,
    /// Milliseconds between looks at its head.
    #[serde(default = "defaults::l2_poll_ms")]
    pub poll_ms: u64,
}

/// The L1's beacon side.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct BeaconConfig {
    /// Beacon nodes' HTTP APIs, in order of preference. They must serve whole states (`/eth/v2/debug/beacon/states`).
    pub urls: Vec<String>,
}

/// Publishing lookaheads.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct LookaheadConfig {
    /// The key of an account that publishes lookaheads and does nothing else; without it the keeper publishes none. Like [`KeySource::file`].
    pub publisher_key_file: Option<PathBuf>,
    /// A file with the password, if `publisher_key_file` is a keystore.
    pub publisher_password_file: Option<PathBuf>,
}

impl LookaheadConfig {
    /// Where the publisher's key lies, if there is to be one.
    pub fn publisher(&self) -> Option<KeySource> {
        let file = self.publisher_key_file.clone()?;
        Some(KeySource { file, password_file: self.publisher_password_file.clone() })
    }
}

/// What commands that aren't a running keeper's need of the same file: the rest of it may be missing, or whatever it likes.
#[derive(Clone, Debug, Deserialize)]
pub struct CommandConfig {
    /// The L1.
    pub l1: L1Config,
    /// The deployment; of it only the registry is needed.
    pub contracts: ContractsConfig,
    /// The L1's beacon side; needed by commands that prove something.
    #[serde(default)]
    pub beacon: BeaconConfig,
    /// The publisher's key, for the command that publishes.
    #[serde(default)]
    pub lookahead: LookaheadConfig,
}

/// The deployment.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ContractsConfig {
    /// The registry.
    pub registry: Address,
    /// The inbox. Commands that aren't a running keeper's do without.
    #[serde(default)]
    pub inbox: Address,
    /// The L1 block of their deployment, or one before: events are read from there on.
    #[serde(default)]
    pub deployment_block: u64,
}

/// Keys.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KeysConfig {
    /// Signs soft blocks; the operator's is the fallback key.
    pub sequencer: KeySource,
    /// Sends transactions; a gateway's only.
    pub settler: Option<KeySource>,
}

/// Soft blocks, served and followed.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct FeedConfig {
    /// Where to serve the feed, HTTP and WebSocket.
    pub listen: SocketAddr,
    /// The rollup operator's feed.
    pub operator: Option<String>,
    /// Feeds by gateway id, instead of what the registry says.
    pub peers: BTreeMap<String, String>,
}

/// Health, metrics, status.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct AdminConfig {
    /// Where to serve `/healthz`, `/readyz`, `/metrics` and `/status`. Not for the public.
    pub listen: SocketAddr,
}

/// When and how to settle.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct SettlingConfig {
    /// Own blocks that are worth a settlement.
    pub min_blocks: usize,
    /// Live slots that an own block may let pass before it must be sent.
    pub patience: u64,
    /// Blocks of one settlement at most; the gas limit of a transaction (EIP-7825) allows some five thousand, fewer in many windows.
    pub max_blocks: usize,
    /// Blobs of one settlement at most.
    pub max_blobs: usize,
    /// Brotli quality, 0 to 11.
    pub brotli_quality: u8,
    /// Live L1 slots that may pass a transaction by before it is replaced at twice its fees.
    pub resubmit_slots: u64,
    /// Load KZG tables that halve the time of each blob's proofs for a few seconds more at the start.
    pub kzg_precompute: bool,
}

/// The operator's part.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct OperatorConfig {
    /// Milliseconds that an owner has to sign an adopted block before the operator does.
    pub grace_ms: u64,
}

impl Default for FeedConfig {
    fn default() -> Self {
        Self { listen: SocketAddr::from(([127, 0, 0, 1], 9650)), operator: None, peers: BTreeMap::new() }
    }
}

impl Default for AdminConfig {
    fn default() -> Self {
        Self { listen: SocketAddr::from(([127, 0, 0, 1], 9651)) }
    }
}

impl Default for SettlingConfig {
    fn default() -> Self {
        Self {
            min_blocks: 12,
            patience: 1,
            max_blocks: 5_000,
            max_blobs: MAX_BLOBS_PER_TRANSACTION,
            brotli_quality: EncoderConfig::default().quality,
            resubmit_slots: 1,
            kzg_precompute: true,
        }
    }
}

impl Default for OperatorConfig {
    fn default() -> Self {
        Self { grace_ms: 2_000 }
    }
}

mod defaults {
    pub(super) fn l2_poll_ms() -> u64 {
        150
    }
}

/// Why a configuration can't be used. Each names the key and what to write there.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// Not TOML, an unknown key, or a value of the wrong kind.
    #[error("{0}")]
    Toml(String),
    /// A key that can't be set from outside the file.
    #[error("`{key}` can't be set: {reason}")]
    Override {
        /// The key, with dots.
        key: String,
        /// Why.
        reason: String,
    },
    /// A value that makes no sense.
    #[error("`{key}` {problem}")]
    Value {
        /// The key, with dots.
        key: String,
        /// What is wrong with it, and what to do.
        problem: String,
    },
}

impl KeeperConfig {
    /// From a TOML text, with values that take the place of the text's: first those of the environment, then `overrides` (`l2.url=…`).
    ///
    /// # Errors
    /// Anything wrong, with the key's name.
    pub fn parse(
        text: &str,
        env: impl IntoIterator<Item = (String, String)>,
        overrides: &[String],
    ) -> Result<Self, ConfigError> {
        let config: Self = read(text, env, overrides)?;
        config.validate()?;
        Ok(config)
    }

    /// Checks what types can't.
    ///
    /// # Errors
    /// The first value that makes no sense.
    pub fn validate(&self) -> Result<(), ConfigError> {
        let refuse =
            |key: &str, problem: &str| Err(ConfigError::Value { key: key.to_owned(), problem: problem.to_owned() });
        match self.role {
            Role::Gateway if self.gateway == NOBODY => {
                return refuse("gateway", "is missing; set it to the id that `register` gave");
            }
            Role::Operator if self.gateway != NOBODY => {
                return refuse("gateway", "is set; leave it out, the operator is id 0");
            }
            Role::Gateway if self.keys.settler.is_none() => {
                return refuse(
                    "keys.settler",
                    "is missing; a gateway settles from the account that the registry names",
                );
            }
            Role::Operator if self.keys.settler.is_some() => {
                return refuse("keys.settler", "is set; leave it out, the operator sends no transactions");
            }
            _ => {}
        }
        check_chain(&self.l1, &self.contracts, &self.beacon, &self.lookahead)?;
        check_http_url("l2.url", &self.l2.url)?;
        if self.contracts.inbox.is_zero() {
            return refuse("contracts.inbox", "is missing, or the zero address; set it to the deployed inbox");
        }
        if self.lookahead.publisher_key_file.is_some() && self.beacon.urls.is_empty() {
            return refuse(
                "beacon.urls",
                "is empty; name a beacon node, such as \"http://127.0.0.1:5052\", or leave `lookahead.publisher_key_file` out",
            );
        }
        if self.l2.poll_ms == 0 {
            return refuse("l2.poll_ms", "is 0; set it to the milliseconds between looks, such as 150");
        }
        if self.settling.resubmit_slots == 0 {
            return refuse("settling.resubmit_slots", "is 0; give a transaction at least one slot");
        }
        for (id, url) in &self.feed.peers {
            if id.parse::<GatewayId>().is_err() {
                return refuse("feed.peers", "has a key that is no gateway id; write it as 2 = \"ws://host:9650\"");
            }
            check_feed_url("feed.peers", url)?;
        }
        if let Some(url) = &self.feed.operator {
            check_feed_url("feed.operator", url)?;
        }
        self.encoder().map(|_| ())
    }

    /// The batch encoder's settings.
    ///
    /// # Errors
    /// Settings out of their range.
    pub fn encoder(&self) -> Result<baton_batch::BatchEncoder, ConfigError> {
        let config = EncoderConfig { quality: self.settling.brotli_quality, max_blobs: self.settling.max_blobs };
        baton_batch::BatchEncoder::new(config)
            .map_err(|error| ConfigError::Value { key: "settling".to_owned(), problem: format!("is wrong: {error}") })
    }

    /// How long owners have before the operator signs.
    pub const fn grace(&self) -> Duration {
        Duration::from_millis(self.operator.grace_ms)
    }
}

impl CommandConfig {
    /// Like [`KeeperConfig::parse`], of the same file or of none at all.
    ///
    /// # Errors
    /// Anything wrong in what is needed, with the key's name.
    pub fn parse(
        text: &str,
        env: impl IntoIterator<Item = (String, String)>,
        overrides: &[String],
    ) -> Result<Self, ConfigError> {
        let config: Self = read(text, env, overrides)?;
        check_chain(&config.l1, &config.contracts, &config.beacon, &config.lookahead)?;
        Ok(config)
    }
}

fn read<C: DeserializeOwned>(
    text: &str,
    env: impl IntoIterator<Item = (String, String)>,
    overrides: &[String],
) -> Result<C, ConfigError> {
    let mut table: toml::Table = text.parse().map_err(|error| located(&error, text))?;
    for (name, value) in env {
        if let Some(path) = name.strip_prefix(ENV_PREFIX) {
            let key = path.to_ascii_lowercase().replace("__", ".");
            set(&mut table, &key, &value)?;
        }
    }
    for assignment in overrides {
        let (key, value) = assignment.split_once('=').ok_or_else(|| ConfigError::Override {
            key: assignment.clone(),
            reason: "write it as key=value, such as l2.url=http://127.0.0.1:9545".to_owned(),
        })?;
        set(&mut table, key, value)?;
    }
    // Through text again, because only then errors point at keys.
    let text = toml::to_string(&table).map_err(|error| ConfigError::Toml(error.to_string()))?;
    toml::from_str(&text).map_err(|error| located(&error, &text))
}

/// What is wrong and with which key. The line itself isn't quoted, as the error would do: it may hold a URL with a key in it.
fn located(error: &toml::de::Error, text: &str) -> ConfigError {
    let before = error.span().and_then(|span| text.get(..span.start)).unwrap_or_default();
    let line = before.matches('\n').count();
    let section = before.lines().rev().map(str::trim).find(|line| line.starts_with('['));
    let key = text.lines().nth(line).and_then(|line| line.split_once('=')).map(|(key, _)| key.trim());
    let place = [section, key].into_iter().flatten().collect::<Vec<_>>().join(" ");
    ConfigError::Toml(if place.is_empty() {
        error.message().to_owned()
    } else {
        format!("{} (at `{place}`)", error.message())
    })
}

fn check_chain(
    l1: &L1Config,
    contracts: &ContractsConfig,
    beacon: &BeaconConfig,
    lookahead: &LookaheadConfig,
) -> Result<(), ConfigError> {
    let refuse =
        |key: &str, problem: &str| Err(ConfigError::Value { key: key.to_owned(), problem: problem.to_owned() });
    if l1.urls.is_empty() {
        return refuse("l1.urls", "is empty; name at least one L1 node, such as \"http://127.0.0.1:8545\"");
    }
    for url in &l1.urls {
        if ["ws://", "wss://"].iter().any(|scheme| url.as_str().starts_with(scheme)) {
            return refuse(
                "l1.urls",
                "holds a websocket, which is for portals: the keeper reads and sends over HTTP; write the node's http:// URL",
            );
        }
        check_http_url("l1.urls", url.as_str())?;
    }
    for url in &beacon.urls {
        check_http_url("beacon.urls", url)?;
    }
    if contracts.registry.is_zero() {
        return refuse("contracts.registry", "is the zero address; set it to the deployed registry");
    }
    if l1.poll_ms == Some(0) {
        return refuse("l1.poll_ms", "is 0; set it to the milliseconds between looks, such as 150");
    }
    if lookahead.publisher_password_file.is_some() && lookahead.publisher_key_file.is_none() {
        return refuse("lookahead.publisher_key_file", "is missing; set it to the keystore that the password is for");
    }
    Ok(())
}

fn check_http_url(key: &str, url: &str) -> Result<(), ConfigError> {
    if url.starts_with("http://") {
        return Ok(());
    }
    let problem = "must hold http:// URLs (a local node, or a proxy that does TLS)".to_owned();
    Err(ConfigError::Value { key: key.to_owned(), problem })
}

fn check_feed_url(key: &str, url: &str) -> Result<(), ConfigError> {
    if url.starts_with("ws://") || url.starts_with("http://") {
        return Ok(());
    }
    Err(ConfigError::Value { key: key.to_owned(), problem: "must hold ws:// or http:// URLs".to_owned() })
}

/// Puts a value at a dotted path. What reads as a TOML value is one, anything else is a string.
fn set(table: &mut toml::Table, key: &str, value: &str) -> Result<(), ConfigError> {
    let wrong = |reason: &str| ConfigError::Override { key: key.to_owned(), reason: reason.to_owned() };
    // TOML would read an address with many zeros as an integer.
    let literal = if value.starts_with("0x") { None } else { format!("value = {value}").parse::<toml::Table>().ok() };
    let value =
        literal.and_then(|mut table| table.remove("value")).unwrap_or_else(|| toml::Value::String(value.to_owned()));
    let mut at = table;
    let mut parts = key.split('.').peekable();
    while let Some(part) = parts.next() {
        if part.is_empty() {
            return Err(wrong("a part of the key is empty"));
        }
        if parts.peek().is_none() {
            at.insert(part.to_owned(), value);
            return Ok(());
        }
        let entry = at.entry(part.to_owned()).or_insert_with(|| toml::Value::Table(toml::Table::new()));
        at = entry.as_table_mut().ok_or_else(|| wrong("it lies inside a value that is no section"))?;
    }
    Err(wrong("the key is empty"))
}

#[cfg(test)]
mod tests {
    use super::*;

    const GATEWAY: &str = r#"
        role = "gateway"
        gateway = 1
        data_dir = "data"
        [l1]
        urls = ["http://127.0.0.1:8545"]
        [l2]
        url = "http://127.0.0.1:9545"
        [contracts]
        registry = "0x0000000000000000000000000000000000000001"
        inbox = "0x0000000000000000000000000000000000000002"
        [keys]
        sequencer = { file = "sequencer.key" }
        settler = { file = "settler.json", password_file = "password" }
        [feed]
        listen = "127.0.0.1:0"
        operator = "ws://127.0.0.1:9660"
        peers = { 2 = "ws://127.0.0.1:9670" }
    "#;

    fn parse(text: &str, env: &[(&str, &str)], overrides: &[&str]) -> Result<KeeperConfig, ConfigError> {
        let env = env.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        let overrides: Vec<_> = overrides.iter().map(|text| (*text).to_owned()).collect();
        KeeperConfig::parse(text, env, &overrides)
    }

    fn refusal(overrides: &[&str]) -> String {
        parse(GATEWAY, &[], overrides).expect_err("refused").to_string()
    }

    #[test]
    fn reads_a_file() {
        let config = parse(GATEWAY, &[], &[]).expect("valid");
        assert_eq!(config.gateway, 1);
        assert_eq!(config.feed.peers["2"], "ws://127.0.0.1:9670");
        assert_eq!(config.settling.patience, 1);
    }

    #[test]
    fn flags_go_before_the_environment_and_that_before_the_file() {
        let env = [("BATON_KEEPER_L2__URL", "http://env:1"), ("BATON_KEEPER_GATEWAY", "7"), ("OTHER", "x")];
        let config = parse(GATEWAY, &env, &["gateway=8", "settling.min_blocks=3"]).expect("valid");
        assert_eq!((config.l2.url.as_str(), config.gateway, config.settling.min_blocks), ("http://env:1", 8, 3));
    }

    #[test]
    fn unknown_keys_are_refused_wherever_they_come_from() {
        assert!(refusal(&["settling.min_block=3"]).contains("min_block"));
        let error = parse(GATEWAY, &[("BATON_KEEPER_L3__URL", "x")], &[]).expect_err("refused").to_string();
        assert!(error.contains("l3"), "{error}");
    }

    #[test]
    fn each_refusal_names_the_key() {
        for (overrides, key) in [
            (&["gateway=0"][..], "gateway"),
            (&["role=operator"], "gateway"),
            (&["role=operator", "gateway=0"], "keys.settler"),
            (&["l1.urls=[]"], "l1.urls"),
            (&["l1.urls=[\"ws://node/secret\"]"], "l1.urls"),
            (&["l1.urls=[\"wss://node/secret\"]"], "websocket"),
            (&["l1.urls=https://node/secret"], "[l1] urls"),
            (&["l1.url=https://node/secret"], "[l1] url"),
            (&["l2.poll_ms=often"], "[l2] poll_ms"),
            (&["l2.url=https://node/secret"], "l2.url"),
            (&["l2.poll_ms=0"], "l2.poll_ms"),
            (&["l1.poll_ms=0"], "l1.poll_ms"),
            (&["lookahead.publisher_key_file=key"], "beacon.urls"),
            (&["lookahead.publisher_password_file=password"], "lookahead.publisher_key_file"),
            (&["beacon.urls=[\"https://node/secret\"]"], "beacon.urls"),
            (&["contracts.registry=0x0000000000000000000000000000000000000000"], "contracts.registry"),
            (&["feed.peers.two=ws://x"], "feed.peers"),
            (&["feed.operator=tcp://x"], "feed.operator"),
            (&["settling.max_blobs=7"], "max_blobs"),
            (&["settling.resubmit_slots=0"], "settling.resubmit_slots"),
            (&["contracts.inbox=0x0000000000000000000000000000000000000000"], "contracts.inbox"),
            (&["nonsense"], "nonsense"),
            (&["role.x=1"], "role.x"),
        ] {
            let error = refusal(overrides);
            assert!(error.contains(key), "{overrides:?}: {error}");
            assert!(!error.contains("secret"), "{error}");
        }
    }

    #[test]
    fn the_publisher_is_optional_and_needs_a_beacon_node() {
        assert_eq!(parse(GATEWAY, &[], &[]).expect("valid").lookahead.publisher(), None);
        let set = ["lookahead.publisher_key_file=key", "beacon.urls=[\"http://127.0.0.1:5052\"]"];
        let publisher = parse(GATEWAY, &[], &set).expect("valid").lookahead.publisher().expect("configured");
        assert_eq!(publisher, KeySource { file: "key".into(), password_file: None });
    }

    #[test]
    fn commands_do_without_a_keepers_settings_and_without_a_file() {
        let overrides = |texts: &[&str]| texts.iter().map(|text| (*text).to_owned()).collect::<Vec<_>>();
        let registry = "contracts.registry=0x0000000000000000000000000000000000000001";
        let config = CommandConfig::parse("", [], &overrides(&["l1.urls=[\"http://127.0.0.1:1\"]", registry]));
        assert_eq!(config.expect("valid").contracts.registry, Address::with_last_byte(1));
        assert!(CommandConfig::parse(GATEWAY, [], &[]).is_ok());
        let missing = CommandConfig::parse("", [], &overrides(&[registry])).expect_err("no L1").to_string();
        assert!(missing.contains("l1"), "{missing}");
        let empty = CommandConfig::parse(GATEWAY, [], &overrides(&["l1.urls=[]"])).expect_err("no L1").to_string();
        assert!(empty.contains("l1.urls"), "{empty}");
    }
}
