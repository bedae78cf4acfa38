//! The command line: a configuration file, and what overrides it.

use crate::{Config, ConfigError, boost::BoostArgs, config};
use baton_schedule::NodeUrl;
use clap::{Args, Parser, Subcommand, ValueEnum};
use std::path::{Path, PathBuf};
use toml::{Table, Value};

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
}

impl Settings {
    /// Reads the file, if there is one, and lays flags and environment over it.
    pub fn load(&self) -> Result<Config, ConfigError> {
        self.load_over(Table::new())
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

    /// Whether a flag or a file says where the schedule is.
    pub(crate) fn has_registry(&self) -> bool {
        let in_file = |path: &PathBuf| read(path).is_ok_and(|table| table.contains_key("schedule"));
        self.registry.is_some() || self.config.as_ref().is_some_and(in_file)
    }

    fn lay_over(&self, table: &mut Table) {
        let text = |value: &Option<String>| value.clone().map(Value::from);
        let urls = |urls: &Vec<NodeUrl>| urls.iter().map(|url| url.as_str().to_owned()).collect::<Vec<_>>().into();
        for (section, key, value) in [
            ("engine", "listen", text(&self.engine_listen)),
            ("engine", "jwt_secret_file", text(&self.engine_jwt_secret_file)),
            ("admin", "listen", text(&self.admin_listen)),
            ("fallback", "url", text(&self.fallback_url)),
            ("fallback", "jwt_secret_file", text(&self.fallback_jwt_secret_file)),
            ("gateways", "jwt_secret_file", text(&self.gateways_jwt_secret_file)),
            ("gateways", "payload_budget_ms", self.payload_budget_ms.map(|ms| Value::from(i64::from(ms)))),
            ("schedule", "l1_urls", self.l1_urls.as_ref().map(urls)),
            ("schedule", "registry", text(&self.registry)),
        ] {
            let Some(value) = value else { continue };
            let section = table.entry(section).or_insert_with(|| Table::new().into());
            // What isn't a table is left for the parser to refuse.
            if let Some(section) = section.as_table_mut() {
                section.insert(key.to_owned(), value);
            }
        }
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
            ..Settings::default()
        };
        settings.lay_over(&mut table);
        let config = Config::from_table(table).expect("a configuration");
        assert_eq!(config.fallback.url, "http://elsewhere:1");
        assert_eq!(config.gateways.payload_budget_ms, 77);
        assert_eq!(config.gateways.timeout_ms, 2000);
        assert_eq!(config.schedule.l1_urls, ["ws://a:1/key".into(), "http://b:1".into()]);
    }

    #[test]
    fn without_anything_the_missing_section_is_named() {
        let error = Settings::default().load().expect_err("nothing configured");
        assert!(error.to_string().contains("engine"), "{error}");
    }
}
