//! The command line: a configuration file, and what overrides it.

use crate::{Config, ConfigError, boost::BoostArgs, config, reload};
use baton_schedule::NodeUrl;
use clap::{Args, Parser, Subcommand, ValueEnum};
use std::path::{Path, PathBuf};
use toml::{Table, Value};
use tracing_subscriber::filter::LevelFilter;

/// Asks the scheduled gateway for every L2 block, and falls back when it fails.
///
/// The portal sits between op-node and its execution client (the fallback) and speaks the Engine API on both sides. For every block that
/// op-node wants, it asks the gateway that owns the block by the schedule on L1, has the fallback check the gateway's payload, and serves
/// the fallback's own if there is no valid one in time. Point op-node's --l2 at the portal and the portal's fallback at the execution client.
#[derive(Debug, Parser)]
#[command(name = "portal", version)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Run until interrupted.
    Run {
        /// Configuration.
        #[command(flatten)]
        settings: Settings,
        /// How to log. What is logged is up to RUST_LOG (info by default).
        #[arg(long, env = "BATON_PORTAL_LOG_FORMAT", value_enum, default_value_t = LogFormat::Text)]
        log_format: LogFormat,
    },
    /// Check the configuration, secrets included, and exit; nothing is dialled.
    CheckConfig {
        /// Configuration.
        #[command(flatten)]
        settings: Settings,
        /// Another configuration file, for instance the running portal's: print what differs from it.
        #[arg(long, value_name = "FILE")]
        against: Option<PathBuf>,
    },
    /// Run with rollup-boost's flags and environment variables; also when the program is called rollup-boost.
    Boost(Box<BoostArgs>),
}

impl Command {
    /// How much to log and how, if it logs.
    pub fn logging(&self) -> Option<(LevelFilter, LogFormat)> {
        match self {
            Self::Run { log_format, .. } => Some((LevelFilter::INFO, *log_format)),
            Self::Boost(args) => Some(args.logging()),
            Self::CheckConfig { .. } => None,
        }
    }
}

/// How to log.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    /// Lines for people.
    Text,
    /// Lines for machines.
    Json,
}

/// Configuration: the file first, then what is given here.
#[derive(Debug, Default, Args)]
pub struct Settings {
    /// TOML file; portal.example.toml in the sources shows every key.
    #[arg(long, short, env = "BATON_PORTAL_CONFIG")]
    config: Option<PathBuf>,
    /// Where op-node connects [engine.listen].
    #[arg(long, env = "BATON_PORTAL_ENGINE_LISTEN", value_name = "ADDRESS")]
    engine_listen: Option<String>,
    /// File with the secret shared with op-node [engine.jwt_secret_file].
    #[arg(long, env = "BATON_PORTAL_ENGINE_JWT_SECRET_FILE", value_name = "FILE")]
    engine_jwt_secret_file: Option<String>,
    /// Where health, metrics and decisions are served [admin.listen].
    #[arg(long, env = "BATON_PORTAL_ADMIN_LISTEN", value_name = "ADDRESS")]
    admin_listen: Option<String>,
    /// The fallback's Engine API [fallback.url].
    #[arg(long, env = "BATON_PORTAL_FALLBACK_URL", value_name = "URL")]
    fallback_url: Option<String>,
    /// File with the secret shared with the fallback [fallback.jwt_secret_file].
    #[arg(long, env = "BATON_PORTAL_FALLBACK_JWT_SECRET_FILE", value_name = "FILE")]
    fallback_jwt_secret_file: Option<String>,
    /// File with the secret shared with gateways [gateways.jwt_secret_file].
    #[arg(long, env = "BATON_PORTAL_GATEWAYS_JWT_SECRET_FILE", value_name = "FILE")]
    gateways_jwt_secret_file: Option<String>,
    /// Milliseconds that op-node may wait for a gateway's payload [gateways.payload_budget_ms].
    #[arg(long, env = "BATON_PORTAL_PAYLOAD_BUDGET_MS", value_name = "MS")]
    payload_budget_ms: Option<u32>,
    /// L1 nodes in order of preference, separated by commas: http, https, ws, wss [schedule.l1_urls]. A URL with a key in it belongs into the file
    /// or the environment.
    #[arg(long, env = "BATON_PORTAL_L1_URLS", hide_env_values = true, value_name = "URLS", value_delimiter = ',')]
    l1_urls: Option<Vec<NodeUrl>>,
    /// The registry contract [schedule.registry].
    #[arg(long, env = "BATON_PORTAL_REGISTRY", value_name = "CONTRACT")]
    registry: Option<String>,
    /// The L1 block in which the registry was deployed, or any before [schedule.deployment_block].
    #[arg(long, env = "BATON_PORTAL_DEPLOYMENT_BLOCK", value_name = "NUMBER")]
    deployment_block: Option<u32>,
    /// The start of L1's slot 0, Unix seconds [schedule.clock.l1_genesis_time].
    #[arg(long, env = "BATON_PORTAL_L1_GENESIS_TIME", value_name = "TIME")]
    l1_genesis_time: Option<u32>,
    /// Seconds in an L1 slot [schedule.clock.slot_length].
    #[arg(long, env = "BATON_PORTAL_SLOT_LENGTH", value_name = "SECONDS")]
    slot_length: Option<u32>,
    /// The timestamp of L2 block 0, Unix seconds [schedule.clock.l2_genesis_time].
    #[arg(long, env = "BATON_PORTAL_L2_GENESIS_TIME", value_name = "TIME")]
    l2_genesis_time: Option<u32>,
    /// Seconds between L2 blocks [schedule.clock.l2_block_time].
    #[arg(long, env = "BATON_PORTAL_L2_BLOCK_TIME", value_name = "SECONDS")]
    l2_block_time: Option<u32>,
    /// The registry's settlementDelay, slots [schedule.clock.settlement_delay].
    #[arg(long, env = "BATON_PORTAL_SETTLEMENT_DELAY", value_name = "SLOTS")]
    settlement_delay: Option<u32>,
}

impl Settings {
    /// Reads the file, if there is one, and lays flags and environment over it.
    pub fn load(&self) -> Result<Config, ConfigError> {
        self.load_over(Table::new())
    }

    /// What these flags and this environment make of another file.
    pub fn load_instead(&self, path: &Path) -> Result<Config, ConfigError> {
        let mut table = read(path)?;
        self.lay_over(&mut table);
        Config::from_table(table)
    }

    /// The same over a configuration that is there already: the file's keys come before its own, section by section.
    pub fn load_over(&self, mut table: Table) -> Result<Config, ConfigError> {
        if let Some(path) = &self.config {
            for (name, section) in read(path)? {
                match (table.get_mut(&name), section) {
                    (Some(Value::Table(below)), Value::Table(section)) => below.extend(section),
                    (_, section) => {
                        table.insert(name, section);
                    }
                }
            }
        }
        self.lay_over(&mut table);
        Config::from_table(table)
    }

    /// The keys of the file for which a flag or a variable says something else. Of a file that can't be read, none.
    pub fn hidden(&self) -> Vec<String> {
        let Some(Ok(file)) = self.config.as_deref().map(read) else { return Vec::new() };
        let mut laid = file.clone();
        self.lay_over(&mut laid);
        reload::hidden(&file, &laid)
    }

    /// Whether a flag or a file says where the schedule is.
    pub(crate) fn has_schedule(&self) -> bool {
        self.registry.is_some() || self.l1_urls.is_some() || self.in_file(|table| table.contains_key("schedule"))
    }

    /// Whether a flag or a file says where the admin port is.
    pub(crate) fn has_admin(&self) -> bool {
        self.admin_listen.is_some()
            || self.in_file(|table| table.get("admin").is_some_and(|admin| admin.get("listen").is_some()))
    }

    /// Whether something holds of the file. One that can't be read is refused elsewhere.
    fn in_file(&self, holds: impl FnOnce(&Table) -> bool) -> bool {
        self.config.as_ref().is_some_and(|path| read(path).is_ok_and(|table| holds(&table)))
    }

    fn lay_over(&self, table: &mut Table) {
        let text = |value: &Option<String>| value.clone().map(Value::from);
        let urls = |urls: &Vec<NodeUrl>| urls.iter().map(|url| url.as_str().to_owned()).collect::<Vec<_>>().into();
        let number = |number: Option<u32>| number.map(|number| Value::from(i64::from(number)));
        for (section, key, value) in [
            ("engine", "listen", text(&self.engine_listen)),
            ("engine", "jwt_secret_file", text(&self.engine_jwt_secret_file)),
            ("admin", "listen", text(&self.admin_listen)),
            ("fallback", "url", text(&self.fallback_url)),
            ("fallback", "jwt_secret_file", text(&self.fallback_jwt_secret_file)),
            ("gateways", "jwt_secret_file", text(&self.gateways_jwt_secret_file)),
            ("gateways", "payload_budget_ms", number(self.payload_budget_ms)),
            ("schedule", "l1_urls", self.l1_urls.as_ref().map(urls)),
            ("schedule", "registry", text(&self.registry)),
            ("schedule", "deployment_block", number(self.deployment_block)),
        ] {
            lay(table, section, key, value);
        }
        let times = [
            ("l1_genesis_time", self.l1_genesis_time),
            ("slot_length", self.slot_length),
            ("l2_genesis_time", self.l2_genesis_time),
            ("l2_block_time", self.l2_block_time),
            ("settlement_delay", self.settlement_delay),
        ];
        if times.iter().any(|(_, time)| time.is_some()) {
            let schedule = table.entry("schedule").or_insert_with(|| Table::new().into());
            if let Some(schedule) = schedule.as_table_mut() {
                times.into_iter().for_each(|(key, time)| lay(schedule, "clock", key, number(time)));
            }
        }
    }
}

/// Sets a key of a section, if there is a value for it.
fn lay(table: &mut Table, section: &str, key: &str, value: Option<Value>) {
    let Some(value) = value else { return };
    let section = table.entry(section).or_insert_with(|| Table::new().into());
    // What isn't a table is left for the parser to refuse.
    if let Some(section) = section.as_table_mut() {
        section.insert(key.to_owned(), value);
    }
}

fn read(path: &Path) -> Result<Table, ConfigError> {
    let text = std::fs::read_to_string(path)
        .map_err(|source| ConfigError::Read { path: path.display().to_string(), source })?;
    config::table(&text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn flags_lie_over_the_file() {
        let mut table: Table = include_str!("../portal.example.toml").parse().expect("TOML");
        let settings = Settings {
            fallback_url: Some("http://elsewhere:1".to_owned()),
            payload_budget_ms: Some(77),
            l1_urls: Some(vec!["ws://a:1/key".into(), "http://b:1".into()]),
            deployment_block: Some(7),
            settlement_delay: Some(3),
            ..Settings::default()
        };
        settings.lay_over(&mut table);
        let config = Config::from_table(table).expect("a configuration");
        assert_eq!(config.fallback.url, "http://elsewhere:1");
        assert_eq!(config.gateways.payload_budget_ms, 77);
        assert_eq!(config.gateways.timeout_ms, 2000);
        assert_eq!(config.schedule.l1_urls, ["ws://a:1/key".into(), "http://b:1".into()]);
        assert_eq!(config.schedule.deployment_block, 7);
        // What isn't given of the clock stays as it is in the file.
        let clock = config.schedule.clock.expect("a clock");
        assert_eq!((clock.settlement_delay, clock.slot_length), (3, 12));
    }

    #[test]
    fn what_a_flag_hides_of_the_file_is_named() {
        let dir = tempfile::tempdir().expect("temporary directory");
        let file = dir.path().join("portal.toml");
        std::fs::write(&file, include_str!("../portal.example.toml")).expect("written");
        let settings = Settings {
            config: Some(file),
            // What the file says, too, and what it doesn't say at all, hides nothing.
            engine_listen: Some("127.0.0.1:8551".to_owned()),
            payload_budget_ms: Some(400),
            l1_urls: Some(vec!["ws://node/key".into()]),
            slot_length: Some(6),
            ..Settings::default()
        };
        assert_eq!(settings.hidden(), ["gateways.payload_budget_ms", "schedule.clock.slot_length", "schedule.l1_urls"]);
        assert_eq!(Settings { config: None, ..settings }.hidden(), [""; 0]);
    }

    #[test]
    fn without_anything_the_missing_section_is_named() {
        let error = Settings::default().load().expect_err("nothing configured");
        assert!(error.to_string().contains("engine"), "{error}");
    }
}
