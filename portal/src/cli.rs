//! The command line: a configuration file, and what overrides it.

use crate::{Config, ConfigError, boost::BoostArgs, config, reload};
use baton_logging::LevelFilter;
use baton_schedule::NodeUrl;
use clap::{Args, Parser, Subcommand, ValueEnum};
use std::{
    fmt,
    path::{Path, PathBuf},
};
use toml::{Table, Value};

mod unknown;

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
    #[command(version, display_name = "portal")]
    Boost(Box<BoostArgs>),
}

impl Command {
    /// How much to log and how, if it logs.
    pub fn logging(&self) -> Option<(LevelFilter, LogFormat)> {
        match self {
            Self::Run { log_format, .. } => Some((LevelFilter::INFO, *log_format)),
            Self::Boost(args) if !args.check_config => Some(args.logging()),
            Self::Boost(_) | Self::CheckConfig { .. } => None,
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

/// What a configuration can't do without and has no default for.
const REQUIRED: [&str; 4] =
    ["engine.jwt_secret_file", "fallback.url", "fallback.jwt_secret_file", "gateways.jwt_secret_file"];
/// The same of a schedule on L1.
const REQUIRED_OF_L1: [&str; 7] = [
    "schedule.l1_urls",
    "schedule.registry",
    "schedule.clock.l1_genesis_time",
    "schedule.clock.slot_length",
    "schedule.clock.l2_genesis_time",
    "schedule.clock.l2_block_time",
    "schedule.clock.settlement_delay",
];
/// What says that there is none.
const FIXED: &str = "schedule.fixed_gateway";

/// Why there is no configuration.
#[derive(Debug, thiserror::Error)]
pub enum SettingsError {
    /// There is one, and something in it is wrong.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// Nothing says where it is.
    #[error(
        "no configuration file is named: give one with --config or BATON_PORTAL_CONFIG; without one, these are missing: {}", .0.flags()
    )]
    NoFile(Missing),
    /// It lacks keys.
    #[error("configuration: {0} missing; set all of them, in the file or by these flags{hint}", hint = .0.hint())]
    Missing(Missing),
}

/// Keys that must be set and aren't, with the flags for them.
#[derive(Debug)]
pub struct Missing(Vec<(&'static str, &'static str)>);

impl Missing {
    /// Keys and flags.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (&'static str, &'static str)> {
        self.0.iter().copied()
    }

    fn flags(&self) -> String {
        self.iter().map(|(_, flag)| flag).collect::<Vec<_>>().join(", ")
    }

    fn hint(&self) -> &'static str {
        // Half a schedule is meant to be one.
        if REQUIRED_OF_L1.iter().all(|key| self.iter().any(|(missing, _)| missing == *key)) {
            "; without a registry, `schedule.fixed_gateway` instead of the schedule's"
        } else {
            ""
        }
    }
}

impl fmt::Display for Missing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, (key, flag)) in self.0.iter().enumerate() {
            write!(f, "{}`{key}` ({flag})", if index == 0 { "" } else { ", " })?;
        }
        f.write_str(if self.0.len() == 1 { " is" } else { " are" })
    }
}

/// A setting that is given in vain, wholly or in part.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unused {
    /// The flag or variable.
    pub setting: String,
    /// Why, or of what.
    pub reason: String,
}

impl fmt::Display for Unused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} isn't followed: {}", self.setting, self.reason)
    }
}

/// Variables that look like a subcommand's settings and are none.
pub fn unknown_variables(command: &str, config: &Config) -> Vec<Unused> {
    let names = std::env::vars_os().filter_map(|(name, _)| name.into_string().ok());
    unknown::unknown(command, config, names)
}

impl Settings {
    /// Reads the file, if there is one, and lays flags and environment over it.
    pub fn load(&self) -> Result<Config, SettingsError> {
        self.config(self.over(Table::new())?)
    }

    /// What these flags and this environment make of another file.
    pub fn load_instead(&self, path: &Path) -> Result<Config, SettingsError> {
        let mut table = read(path)?;
        self.lay_over(&mut table);
        self.config(table)
    }

    /// A configuration that is there already with the file's keys over its own, section by section, and flags and environment over both.
    pub(crate) fn over(&self, mut table: Table) -> Result<Table, ConfigError> {
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
        Ok(table)
    }

    /// A table as a configuration. All that it lacks is named at once, unless something else is wrong first.
    pub(crate) fn config(&self, table: Table) -> Result<Config, SettingsError> {
        let of_l1 = REQUIRED_OF_L1.into_iter().filter(|_| key(&table, FIXED).is_none());
        let missing = REQUIRED.into_iter().chain(of_l1).filter(|path| key(&table, path).is_none());
        let missing = Missing(missing.map(|path| (path, self.flag(path))).collect());
        let lacks = !missing.0.is_empty();
        match Config::from_table(table) {
            Err(ConfigError::Parse(error)) if !(lacks && error.message().starts_with("missing field")) => {
                Err(ConfigError::Parse(error).into())
            }
            _ if lacks && self.config.is_none() => Err(SettingsError::NoFile(missing)),
            _ if lacks => Err(SettingsError::Missing(missing)),
            result => Ok(result?),
        }
    }

    /// The keys of the file for which a flag or a variable says something else. Of a file that can't be read, none.
    pub fn hidden(&self) -> Vec<String> {
        let Some(Ok(file)) = self.config.as_deref().map(read) else { return Vec::new() };
        let mut laid = file.clone();
        self.lay_over(&mut laid);
        reload::hidden(&file, &laid)
    }

    /// What is wrong with the configuration, with the flags and variables by which the keys that it names are given: whoever looks for those in the
    /// file may not find them there.
    pub fn explain(&self, problem: &str) -> String {
        let given = self.values().into_iter().filter(|(.., value)| value.is_some());
        given.fold(problem.to_owned(), |text, (path, flag, _)| {
            behind(&text, path, &format!(" ({flag}, {})", variable(flag)))
        })
    }

    /// Whether a flag or a variable gives a key.
    pub(crate) fn gives(&self, path: &str) -> bool {
        self.values().into_iter().any(|(of, _, value)| of == path && value.is_some())
    }

    /// Whether a flag or a file says where the schedule is.
    pub(crate) fn has_schedule(&self) -> bool {
        let mut values = self.values().into_iter();
        values.any(|(path, _, value)| path.starts_with("schedule.") && value.is_some())
            || self.in_file(|table| table.contains_key("schedule"))
    }

    /// Whether a flag or a file says where the admin port is.
    pub(crate) fn has_admin(&self) -> bool {
        self.admin_listen.is_some() || self.in_file(|table| key(table, "admin.listen").is_some())
    }

    /// What sets a key: a flag, if it is given, or else the file.
    pub(crate) fn origin(&self, path: &str) -> &'static str {
        let given = self.values().into_iter().find(|(of, _, value)| *of == path && value.is_some());
        given.map_or("the file of --config", |(_, flag, _)| flag)
    }

    /// Whether something holds of the file. One that can't be read is refused elsewhere.
    fn in_file(&self, holds: impl FnOnce(&Table) -> bool) -> bool {
        self.config.as_ref().is_some_and(|path| read(path).is_ok_and(|table| holds(&table)))
    }

    fn flag(&self, path: &str) -> &'static str {
        self.values().into_iter().find(|(of, ..)| *of == path).map_or("--config", |(_, flag, _)| flag)
    }

    /// The keys that flags and environment may set, with the flags, and what they are set to.
    fn values(&self) -> [(&'static str, &'static str, Option<Value>); 15] {
        let text = |value: &Option<String>| value.clone().map(Value::from);
        let urls = |urls: &Vec<NodeUrl>| urls.iter().map(|url| url.as_str().to_owned()).collect::<Vec<_>>().into();
        let number = |number: Option<u32>| number.map(|number| Value::from(i64::from(number)));
        [
            ("engine.listen", "--engine-listen", text(&self.engine_listen)),
            ("engine.jwt_secret_file", "--engine-jwt-secret-file", text(&self.engine_jwt_secret_file)),
            ("admin.listen", "--admin-listen", text(&self.admin_listen)),
            ("fallback.url", "--fallback-url", text(&self.fallback_url)),
            ("fallback.jwt_secret_file", "--fallback-jwt-secret-file", text(&self.fallback_jwt_secret_file)),
            ("gateways.jwt_secret_file", "--gateways-jwt-secret-file", text(&self.gateways_jwt_secret_file)),
            ("gateways.payload_budget_ms", "--payload-budget-ms", number(self.payload_budget_ms)),
            ("schedule.l1_urls", "--l1-urls", self.l1_urls.as_ref().map(urls)),
            ("schedule.registry", "--registry", text(&self.registry)),
            ("schedule.deployment_block", "--deployment-block", number(self.deployment_block)),
            ("schedule.clock.l1_genesis_time", "--l1-genesis-time", number(self.l1_genesis_time)),
            ("schedule.clock.slot_length", "--slot-length", number(self.slot_length)),
            ("schedule.clock.l2_genesis_time", "--l2-genesis-time", number(self.l2_genesis_time)),
            ("schedule.clock.l2_block_time", "--l2-block-time", number(self.l2_block_time)),
            ("schedule.clock.settlement_delay", "--settlement-delay", number(self.settlement_delay)),
        ]
    }

    fn lay_over(&self, table: &mut Table) {
        for (path, _, value) in self.values() {
            if let Some(value) = value {
                lay(table, path, value);
            }
        }
    }
}

/// The variable beside a flag.
fn variable(flag: &str) -> String {
    format!("BATON_PORTAL_{}", flag.trim_start_matches('-').replace('-', "_").to_uppercase())
}

/// A text with something behind a key wherever that is named, or an item of it, such as `schedule.l1_urls[1]`.
fn behind(text: &str, path: &str, more: &str) -> String {
    let is_it = |name: &str| name.strip_prefix(path).is_some_and(|rest| rest.is_empty() || rest.starts_with('['));
    let (mut all, mut was_it) = (String::new(), false);
    // Every other part stands between backticks.
    for (index, part) in text.split('`').enumerate() {
        if index > 0 {
            all.push('`');
        }
        if was_it {
            all.push_str(more);
        }
        all.push_str(part);
        was_it = index % 2 == 1 && is_it(part);
    }
    all
}

/// Sets a key, such as `schedule.clock.slot_length`.
fn lay(table: &mut Table, path: &str, value: Value) {
    match path.split_once('.') {
        None => {
            table.insert(path.to_owned(), value);
        }
        Some((section, path)) => {
            let section = table.entry(section).or_insert_with(|| Table::new().into());
            // What isn't a table is left for the parser to refuse.
            if let Some(section) = section.as_table_mut() {
                lay(section, path, value);
            }
        }
    }
}

/// What a key, such as `schedule.clock.slot_length`, is set to.
pub(crate) fn key<'a>(table: &'a Table, path: &str) -> Option<&'a Value> {
    match path.split_once('.') {
        None => table.get(path),
        Some((section, path)) => key(table.get(section)?.as_table()?, path),
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
    fn keys_that_the_file_does_not_give_are_named_with_what_gives_them() {
        let command = Cli::command();
        let run = command.find_subcommand("run").expect("a subcommand");
        for (path, flag, _) in Settings::default().values() {
            let argument = run.get_arguments().find(|argument| argument.get_long() == flag.strip_prefix("--"));
            let env = argument.and_then(clap::Arg::get_env).unwrap_or_else(|| panic!("{flag} {path}"));
            assert_eq!(env, variable(flag).as_str());
        }
        let settings = Settings {
            fallback_url: Some("ws://x".to_owned()),
            l1_urls: Some(vec!["ws://a".into(), "x".into()]),
            ..Settings::default()
        };
        for (problem, explained) in [
            ("`fallback.url`, x, is wrong", "`fallback.url` (--fallback-url, BATON_PORTAL_FALLBACK_URL), x, is wrong"),
            ("`schedule.l1_urls[1]`, x", "`schedule.l1_urls[1]` (--l1-urls, BATON_PORTAL_L1_URLS), x"),
            ("unknown field `x` in `fallback.urls`", "unknown field `x` in `fallback.urls`"),
            ("`engine.listen` has the port of", "`engine.listen` has the port of"),
        ] {
            assert_eq!(settings.explain(problem), explained);
        }
    }

    fn error(settings: &Settings, text: &str) -> String {
        let mut table: Table = text.parse().expect("TOML");
        settings.lay_over(&mut table);
        settings.config(table).expect_err("something is missing").to_string()
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
    fn without_anything_the_file_is_asked_for_and_all_flags_are_named() {
        let error = Settings::default().load().expect_err("nothing configured").to_string();
        assert!(error.contains("--config or BATON_PORTAL_CONFIG"), "{error}");
        for key in REQUIRED.into_iter().chain(REQUIRED_OF_L1) {
            let flag = Settings::default().flag(key);
            assert!(flag != "--config" && error.contains(&format!(" {flag}")), "{key}: {error}");
        }
    }

    #[test]
    fn all_that_a_file_lacks_is_named_at_once() {
        let settings = Settings { config: Some("some.toml".into()), ..Settings::default() };
        let good = include_str!("../portal.example.toml");
        let lacking = good
            .replace("slot_length = 12", "")
            .replace("registry = ", "# ")
            .replace("url = \"http://127.0.0.1:9551\"", "");
        let said = error(&settings, &lacking);
        let named = "`fallback.url` (--fallback-url), `schedule.registry` (--registry), `schedule.clock.slot_length` (--slot-length) are missing";
        assert!(said.contains(named) && !said.contains("fixed_gateway"), "{said}");
        // A name with a slip in it is what is missing.
        let said =
            error(&settings, &good.replace("jwt_secret_file = \"/etc/baton/op-node.hex\"", "jwt_secret = \"x\""));
        assert!(said.contains("unknown field `jwt_secret`"), "{said}");
        // A flag is as good as the file.
        let settings = Settings { fallback_url: Some("http://x".to_owned()), ..settings };
        assert!(!error(&settings, &lacking).contains("--fallback-url"));
        let (before, _) = good.split_once("[schedule]").expect("a schedule");
        assert!(error(&settings, before).contains("`schedule.fixed_gateway`"));
    }
}
