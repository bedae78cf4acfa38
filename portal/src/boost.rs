//! rollup-boost's flags and environment variables, so that the portal can take its place in a deployment. `docs/portal.md` has the table.

use crate::{
    Config, ConfigError,
    cli::{self, LogFormat, Settings, SettingsError, Unused},
    jwt::VARIABLE,
};
use baton_logging::LevelFilter;
use clap::{ArgAction, Args};
use std::{collections::BTreeMap, path::PathBuf, str::FromStr};
use toml::{Table, Value};

mod given;
mod keys;
mod variables;

use given::Given;
use keys::KEYS;
use variables::{BUILDER_TOKEN, L2_TOKEN, Variables};

/// The id that the builder has here: it is the only gateway.
const BUILDER: i64 = 1;

/// What rollup-boost takes. Without a registry, the builder owns every block.
#[derive(Debug, Args)]
pub struct BoostArgs {
    #[command(flatten)]
    given: Given,
    /// Check flags, variables and files, secrets included, and exit; nothing is dialled.
    #[arg(long)]
    pub check_config: bool,
    /// The fallback's Engine API.
    #[arg(long, env = "L2_URL", default_value = "http://127.0.0.1:8551")]
    l2_url: String,
    /// File with the secret shared with the fallback, and with op-node unless --engine-jwt-secret-file names another.
    #[arg(long, env = "L2_JWT_PATH", value_name = "PATH")]
    l2_jwt_path: Option<PathBuf>,
    /// Not taken: a secret on a command line is everybody's. Use --l2-jwt-path, or the variable L2_JWT_TOKEN.
    #[arg(long, hide = true, value_name = "HEX")]
    l2_jwt_token: Option<String>,
    /// Milliseconds that one of the fallback's answers may take.
    #[arg(long, env = "L2_TIMEOUT", default_value_t = 1000)]
    l2_timeout: u32,
    /// The builder's Engine API.
    #[arg(long, env = "BUILDER_URL", default_value = "http://127.0.0.1:8551")]
    builder_url: String,
    /// File with the secret shared with the builder, or with gateways.
    #[arg(long, env = "BUILDER_JWT_PATH", value_name = "PATH")]
    builder_jwt_path: Option<PathBuf>,
    /// Not taken: a secret on a command line is everybody's. Use --builder-jwt-path, or the variable BUILDER_JWT_TOKEN.
    #[arg(long, hide = true, value_name = "HEX")]
    builder_jwt_token: Option<String>,
    /// Milliseconds that op-node may wait for the builder's payload, check included.
    #[arg(long, env = "BUILDER_TIMEOUT", default_value_t = 1000)]
    builder_timeout: u32,
    /// Host of the engine port.
    #[arg(long, env = "RPC_HOST", default_value = "127.0.0.1")]
    rpc_host: String,
    /// The engine port.
    #[arg(long, env = "RPC_PORT", default_value_t = 8081)]
    rpc_port: u16,
    /// Host of the debug port.
    #[arg(long, env = "DEBUG_HOST", default_value = "127.0.0.1")]
    debug_host: String,
    /// The debug port, with debug_setExecutionMode and debug_getExecutionMode.
    #[arg(long, env = "DEBUG_SERVER_PORT", default_value_t = 5555)]
    debug_server_port: u16,
    /// Whether the admin port is one of its own, at --metrics-port. Without it, the debug port serves all there is.
    #[arg(long, env = "METRICS", action = ArgAction::Set, num_args = 0..=1, default_missing_value = "true", default_value_t = false)]
    metrics: bool,
    /// Host of the admin port.
    #[arg(long, env = "METRICS_HOST", default_value = "127.0.0.1")]
    metrics_host: String,
    /// The admin port: metrics, decisions, status page.
    #[arg(long, env = "METRICS_PORT", default_value_t = 9090)]
    metrics_port: u16,
    /// enabled, dry-run or disabled.
    #[arg(long, env = "EXECUTION_MODE", default_value = "enabled")]
    execution_mode: crate::mode::Mode,
    /// gas-used: the fallback's payload is preferred to one with less than a tenth of its gas.
    #[arg(long, env = "BLOCK_SELECTION_POLICY", value_parser = ["gas-used"])]
    block_selection_policy: Option<String>,
    /// Whether traces are sent.
    #[arg(long, env = "TRACING", action = ArgAction::Set, num_args = 0..=1, default_missing_value = "true", default_value_t = false)]
    tracing: bool,
    /// Where traces go: OTLP over HTTP, so a collector's port 4318 where rollup-boost took 4317.
    #[arg(long, env = "OTLP_ENDPOINT", default_value = "http://localhost:4318")]
    otlp_endpoint: String,
    /// Seconds that the fallback's newest block may be old before /healthz says 503. 0: any.
    #[arg(long, env = "MAX_UNSAFE_INTERVAL", default_value_t = 10)]
    max_unsafe_interval: u64,
    /// Without effect: the fallback is looked at twice a second, gateways with each update.
    #[arg(long, env = "HEALTH_CHECK_INTERVAL")]
    health_check_interval: Option<u64>,
    /// Without effect: a gateway that fails gets every head and block all the same.
    #[arg(long, env = "IGNORE_UNHEALTHY_BUILDERS", action = ArgAction::Set, num_args = 0..=1, default_missing_value = "true")]
    ignore_unhealthy_builders: Option<bool>,
    /// How much is logged, unless RUST_LOG says: error, warn, info, debug, trace, off.
    #[arg(long, env = "LOG_LEVEL", default_value_t = LevelFilter::INFO, value_parser = log_level)]
    pub(crate) log_level: LevelFilter,
    /// How to log.
    #[arg(long, env = "LOG_FORMAT", value_enum, default_value_t = LogFormat::Text, ignore_case = true)]
    pub(crate) log_format: LogFormat,
    /// The portal's own flags, which come first.
    #[command(flatten)]
    pub(crate) settings: Settings,
}

/// Why rollup-boost's flags can't be taken.
#[derive(Debug, thiserror::Error)]
pub enum BoostError {
    /// A secret on the command line.
    #[error(
        "--{flag}-jwt-token isn't taken, because everybody on the machine can read a command line: use --{flag}-jwt-path, or the variable {variable}"
    )]
    Token {
        /// What the flag begins with.
        flag: &'static str,
        /// The variable that may hold it.
        variable: &'static str,
    },
    /// A flag or variable that asks for what isn't here.
    #[error("{0} asks for what the portal doesn't do: leave it away, or stay with rollup-boost")]
    Unsupported(String),
    /// A file for logs.
    #[error(
        "--log-file isn't taken: logs go to standard error, which `2> FILE` or the service manager writes to a file"
    )]
    LogFile,
    /// What has no default and isn't given, by flags and variables.
    #[error("missing: {}", .0.join("; "))]
    Missing(Vec<&'static str>),
    /// The configuration is wrong.
    #[error(transparent)]
    Config(#[from] ConfigError),
}

/// A level. An empty variable is none: by the library's reading it would be `error`.
fn log_level(text: &str) -> Result<LevelFilter, <LevelFilter as FromStr>::Err> {
    if text.trim().is_empty() { Ok(LevelFilter::INFO) } else { text.parse() }
}

impl BoostArgs {
    /// How much to log and how.
    pub fn logging(&self) -> (LevelFilter, LogFormat) {
        (self.log_level, self.log_format)
    }

    /// The configuration that these flags and the environment come to. A file named by --config lies over them, the portal's own flags over both.
    pub fn load(&self) -> Result<Config, BoostError> {
        self.load_with(&Variables::of_this_process())
    }

    /// Like [`Settings::hidden`]: only the portal's own flags lie over a file.
    pub fn hidden(&self) -> Vec<String> {
        self.settings.hidden()
    }

    /// Flags and variables that are given in vain, for a warning.
    pub fn unused(&self) -> Vec<Unused> {
        self.unused_with(&Variables::of_this_process())
    }

    /// What is wrong with the configuration, with the flags and variables behind the keys that it names.
    pub fn explain(&self, problem: &str) -> String {
        let replaced = self.replaced(&self.table(&Variables::of_this_process()));
        // With a schedule, nobody is where --builder-url says.
        let has_flags =
            |path: &str| path != keys::BUILDER || !self.settings.has_schedule() || replaced.contains_key(path);
        KEYS.iter().filter(|key| has_flags(key.path)).fold(problem.to_owned(), |text, key| {
            let flags = match replaced.get(key.path) {
                Some(origin) => *origin,
                None if key.path == keys::ADMIN && !self.metrics => keys::DEBUG_FLAGS,
                None => key.flags,
            };
            // Of a gateway that is there once, only the URL can be wrong.
            [key.path.to_owned(), format!("{}[0].url", key.path)]
                .iter()
                .fold(text, |text, path| text.replace(&format!("`{path}`"), &format!("`{path}` ({flags})")))
        })
    }

    fn load_with(&self, variables: &Variables) -> Result<Config, BoostError> {
        for (flag, variable, token) in
            [("l2", L2_TOKEN, &self.l2_jwt_token), ("builder", BUILDER_TOKEN, &self.builder_jwt_token)]
        {
            if token.is_some() {
                return Err(BoostError::Token { flag, variable });
            }
        }
        if self.given.has_log_file() {
            return Err(BoostError::LogFile);
        }
        let flag = self.given.unsupported().map(|flag| format!("--{flag}"));
        if let Some(name) = flag.or_else(|| variables.unsupported().map(str::to_owned)) {
            return Err(BoostError::Unsupported(name));
        }
        let table = self.settings.over(self.table(variables))?;
        self.settings.config(table).map_err(|error| match error {
            SettingsError::Config(error) => error.into(),
            SettingsError::NoFile(missing) | SettingsError::Missing(missing) => {
                let mut names: Vec<_> =
                    missing.iter().map(|(path, flag)| keys::of(path).map_or(flag, |key| key.flags)).collect();
                names.dedup();
                BoostError::Missing(names)
            }
        })
    }

    fn unused_with(&self, variables: &Variables) -> Vec<Unused> {
        let mut unused = Vec::new();
        let mut is_unused = |field: &str, reason: String| {
            unused.extend(self.given.name(field).map(|setting| Unused { setting, reason }));
        };
        is_unused("health_check_interval", "the fallback is looked at more than twice a second".to_owned());
        is_unused(
            "ignore_unhealthy_builders",
            "a builder that fails gets every head and block all the same".to_owned(),
        );
        for (token, field) in [(L2_TOKEN, "l2_jwt_path"), (BUILDER_TOKEN, "builder_jwt_path")] {
            if variables.has(token) {
                is_unused(field, format!("the variable {token} comes first"));
            }
        }
        if variables.has(baton_logging::VARIABLE) {
            is_unused("log_level", format!("the variable {} comes first", baton_logging::VARIABLE));
        }
        if !self.tracing {
            is_unused("otlp_endpoint", "traces are sent with --tracing only".to_owned());
        }
        if !self.metrics {
            for field in ["metrics_host", "metrics_port"] {
                is_unused(field, "without --metrics, that address isn't bound".to_owned());
            }
        }
        if self.settings.has_schedule() {
            is_unused("builder_url", "gateways come from the schedule".to_owned());
        }
        let own = self.table(variables);
        for (path, origin) in self.replaced(&own).into_iter().filter(|(path, _)| cli::key(&own, path).is_some()) {
            let fields = keys::of(path).map_or(&[][..], |key| key.fields);
            // Without --metrics, those of the admin port are named above.
            for field in fields.iter().filter(|_| path != keys::ADMIN || self.metrics) {
                is_unused(field, format!("`{path}` is set by {origin}"));
            }
        }
        unused
            .extend(variables.without_effect().map(|(setting, reason)| Unused { setting, reason: reason.to_owned() }));
        unused
    }

    /// The keys that are set otherwise than here by something that comes first, with what that is.
    fn replaced(&self, own: &Table) -> BTreeMap<&'static str, &'static str> {
        // A file that can't be read is refused elsewhere.
        let whole = self.settings.over(own.clone()).unwrap_or_default();
        let is_replaced = |path: &str| {
            let value = cli::key(&whole, path);
            value.is_some() && value != cli::key(own, path)
        };
        let paths = KEYS.iter().map(|key| key.path).filter(|path| is_replaced(path));
        paths.map(|path| (path, self.settings.origin(path))).collect()
    }

    fn table(&self, variables: &Variables) -> Table {
        let path = |path: &Option<PathBuf>| path.as_ref().map(|path| Value::from(path.display().to_string()));
        // As rollup-boost does: a token comes before a file.
        let secret = |token: &str, file: &Option<PathBuf>| {
            if variables.has(token) { Some(Value::from(format!("{VARIABLE}{token}"))) } else { path(file) }
        };
        let (l2_secret, builder_secret) =
            (secret(L2_TOKEN, &self.l2_jwt_path), secret(BUILDER_TOKEN, &self.builder_jwt_path));
        let address = |host: &str, port: u16| {
            let host = if host == "localhost" { "127.0.0.1" } else { host };
            // An IPv6 address takes brackets before a port.
            Value::from(if host.contains(':') { format!("[{host}]:{port}") } else { format!("{host}:{port}") })
        };
        let section = |entries: Vec<(&str, Option<Value>)>| {
            let entries = entries.into_iter().filter_map(|(key, value)| Some((key.to_owned(), value?)));
            Value::from(entries.collect::<Table>())
        };
        let url = |url: &str| Value::from(if url.contains("://") { url.to_owned() } else { format!("http://{url}") });
        let timeout = Value::from(i64::from(self.builder_timeout));
        let gas_ratio = self.block_selection_policy.as_ref().map(|_| Value::from(10));
        let builder = section(vec![("id", Some(BUILDER.into())), ("url", Some(url(&self.builder_url)))]);
        let debug = address(&self.debug_host, self.debug_server_port);
        // Without --metrics, rollup-boost doesn't listen at the metrics' address.
        let (admin, debug) = if self.metrics || self.settings.has_admin() {
            (address(&self.metrics_host, self.metrics_port), Some(debug))
        } else {
            (debug, None)
        };
        let age = i64::try_from(self.max_unsafe_interval).unwrap_or(i64::MAX);
        let sections = [
            (
                "engine",
                section(vec![
                    ("listen", Some(address(&self.rpc_host, self.rpc_port))),
                    ("jwt_secret_file", l2_secret.clone()),
                ]),
            ),
            ("admin", section(vec![("listen", Some(admin)), ("debug_listen", debug)])),
            (
                "fallback",
                section(vec![
                    ("url", Some(url(&self.l2_url))),
                    ("jwt_secret_file", l2_secret.clone()),
                    ("timeout_ms", Some(i64::from(self.l2_timeout).into())),
                    ("max_head_age_s", Some(age.into())),
                ]),
            ),
            (
                "gateways",
                section(vec![
                    ("jwt_secret_file", builder_secret),
                    ("payload_budget_ms", Some(timeout.clone())),
                    ("timeout_ms", Some(timeout)),
                    ("mode", Some(self.execution_mode.to_string().into())),
                    ("policy", Some(section(vec![("gas_ratio", gas_ratio)]))),
                    // With a registry, gateways' URLs come from there.
                    ("overrides", (!self.settings.has_schedule()).then(|| Value::from(vec![builder]))),
                ]),
            ),
            ("schedule", section(vec![("fixed_gateway", (!self.settings.has_schedule()).then(|| BUILDER.into()))])),
            ("tracing", section(vec![("otlp_url", self.tracing.then(|| url(&self.otlp_endpoint)))])),
        ];
        sections.into_iter().map(|(name, section)| (name.to_owned(), section)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::{Cli, Command};
    use clap::Parser;
    use std::{fs::Permissions, os::unix::fs::PermissionsExt};

    fn parsed(args: &[&str]) -> Result<Cli, clap::Error> {
        Cli::try_parse_from(["portal", "boost"].iter().chain(args))
    }

    fn boost(args: &[&str]) -> BoostArgs {
        match parsed(args).expect("flags").command {
            Command::Boost(args) => *args,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_usual_rollup_boost_command_line_is_taken() {
        let args = boost(&[
            "--l2-url=http://op-geth:8551",
            "--l2-jwt-path=/secrets/jwt",
            "--l2-timeout=2000",
            "--builder-url=op-rbuilder:8551",
            "--builder-jwt-path=/secrets/builder",
            "--builder-timeout=700",
            "--rpc-host=0.0.0.0",
            "--rpc-port=8551",
            "--debug-host=0.0.0.0",
            "--debug-server-port=5556",
            "--metrics",
            "--metrics-host=0.0.0.0",
            "--metrics-port=9091",
            "--execution-mode=dry-run",
            "--block-selection-policy=gas-used",
            "--tracing",
            "--log-level=debug",
            "--log-format=json",
            "--health-check-interval=5",
            "--max-unsafe-interval=20",
            "--ignore-unhealthy-builders",
        ]);
        let config = args.load().expect("a configuration");
        assert_eq!(config.engine.listen.to_string(), "0.0.0.0:8551");
        assert_eq!(config.admin.listen.to_string(), "0.0.0.0:9091");
        assert_eq!(config.admin.debug_listen.map(|at| at.to_string()), Some("0.0.0.0:5556".to_owned()));
        assert_eq!((config.fallback.url.as_str(), config.fallback.timeout_ms), ("http://op-geth:8551", 2000));
        assert_eq!(config.fallback.max_head_age_s, Some(20));
        assert_eq!(config.gateways.payload_budget_ms, 700);
        assert_eq!(config.gateways.mode, crate::mode::Mode::DryRun);
        assert_eq!(config.gateways.policy.gas_ratio, Some(10));
        assert_eq!(config.gateways.overrides[0].url.as_deref(), Some("http://op-rbuilder:8551"));
        assert_eq!(config.schedule.fixed_gateway, Some(1));
        assert_eq!(config.tracing.otlp_url.as_deref(), Some("http://localhost:4318"));
        assert_eq!(args.logging(), (LevelFilter::DEBUG, LogFormat::Json));
        // op-node keeps the secret that it shared with the execution client.
        assert_eq!(config.engine.jwt_secret_file, config.fallback.jwt_secret_file);
    }

    #[test]
    fn the_portals_own_flags_come_first() {
        let args = boost(&[
            "--l2-jwt-path=/a",
            "--builder-jwt-path=/b",
            "--engine-jwt-secret-file=/c",
            "--payload-budget-ms=9",
        ]);
        let config = args.load().expect("a configuration");
        assert_eq!(config.engine.jwt_secret_file, PathBuf::from("/c"));
        assert_eq!(config.gateways.payload_budget_ms, 9);
    }

    #[test]
    fn secrets_on_the_command_line_are_refused() {
        let error = boost(&["--l2-jwt-token=00"]).load().expect_err("refused").to_string();
        assert!(error.contains("--l2-jwt-path") && error.contains("L2_JWT_TOKEN") && !error.contains("00"), "{error}");
    }

    #[test]
    fn secrets_in_the_environment_come_before_files() {
        let variables = Variables::of([("L2_JWT_TOKEN", "01"), ("BUILDER_JWT_TOKEN", "02")]);
        let config = boost(&["--l2-jwt-path=/a"]).load_with(&variables).expect("a configuration");
        assert_eq!(config.engine.jwt_secret_file, PathBuf::from("env:L2_JWT_TOKEN"));
        assert_eq!(config.fallback.jwt_secret_file, PathBuf::from("env:L2_JWT_TOKEN"));
        assert_eq!(config.gateways.jwt_secret_file, PathBuf::from("env:BUILDER_JWT_TOKEN"));
        // An empty one is none.
        let variables = Variables::of([("L2_JWT_TOKEN", ""), ("BUILDER_JWT_TOKEN", "02")]);
        let config = boost(&["--l2-jwt-path=/a"]).load_with(&variables).expect("a configuration");
        assert_eq!(config.fallback.jwt_secret_file, PathBuf::from("/a"));
    }

    #[test]
    fn what_has_no_effect_is_named_and_what_is_missed_is_refused() {
        let none = Variables::default();
        assert_eq!(boost(&[]).unused_with(&none), []);
        let given = boost(&["--health-check-interval=5", "--ignore-unhealthy-builders"]);
        let variables = Variables::of([("LOG_FILE", "/x"), ("FLASHBLOCKS_PORT", "1112"), ("FLASHBLOCKS_WS", "false")]);
        let named: Vec<_> = given.unused_with(&variables).into_iter().map(|unused| unused.setting).collect();
        assert_eq!(named, ["--health-check-interval", "--ignore-unhealthy-builders", "FLASHBLOCKS_PORT", "LOG_FILE"]);
        let paths = ["--l2-jwt-path=/a", "--builder-jwt-path=/b"];
        assert!(boost(&paths).load_with(&variables).is_ok());
        for name in ["EXTERNAL_STATE_ROOT", "FLASHBLOCKS_WS", "FLASHBLOCKS_P2P"] {
            let error = boost(&paths).load_with(&Variables::of([(name, "true")])).expect_err("refused").to_string();
            assert!(error.contains(name), "{error}");
            assert!(boost(&paths).load_with(&Variables::of([(name, "0")])).is_ok());
        }
    }

    #[test]
    fn flags_that_ask_for_what_is_not_here_are_refused_with_the_reason() {
        for (flag, reason) in [
            ("--log-file=/tmp/x", "standard error"),
            ("--external-state-root", "stay with rollup-boost"),
            ("--flashblocks", "stay with rollup-boost"),
            ("--flashblocks-builder-url=ws://x:1", "stay with rollup-boost"),
            ("--flashblocks-authorizer-sk=5ec3e7", "stay with rollup-boost"),
            ("--flashblock-builder-ws-ping-interval-ms=5", "stay with rollup-boost"),
        ] {
            let error = boost(&[flag]).load_with(&Variables::default()).expect_err("refused").to_string();
            let name = flag.split('=').next().expect("a name");
            assert!(error.starts_with(&format!("{name} ")) && error.contains(reason), "{error}");
            assert!(!error.contains("5ec3e7"), "{error}");
        }
    }

    #[test]
    fn the_version_is_said() {
        let said = parsed(&["--version"]).expect_err("nothing else");
        assert_eq!(said.kind(), clap::error::ErrorKind::DisplayVersion);
        assert_eq!(said.to_string().trim(), concat!("portal ", env!("CARGO_PKG_VERSION")));
    }

    #[test]
    fn what_is_missing_is_named_by_flags_and_variables() {
        let error = boost(&[]).load_with(&Variables::default()).expect_err("no secrets").to_string();
        assert_eq!(
            error,
            "missing: --l2-jwt-path, L2_JWT_PATH or L2_JWT_TOKEN; --builder-jwt-path, BUILDER_JWT_PATH or BUILDER_JWT_TOKEN"
        );
    }

    #[test]
    fn what_is_wrong_is_explained_by_the_flag_behind_it() {
        for (given, key, flags) in [
            (&[][..], "fallback.url", "--l2-url, L2_URL"),
            (&["--fallback-url=http://x"], "fallback.url", "--fallback-url"),
            (&[], "gateways.overrides[0].url", "--builder-url, BUILDER_URL"),
            (&[], "admin.listen", "--debug-host, DEBUG_HOST, --debug-server-port, DEBUG_SERVER_PORT"),
            (&["--metrics"], "admin.listen", "--metrics-host, METRICS_HOST, --metrics-port, METRICS_PORT"),
        ] {
            let said = boost(given).explain(&format!("in `{key}`"));
            assert_eq!(said, format!("in `{key}` ({flags})"));
        }
        for (given, key) in [(&[][..], "tracing"), (&[REGISTRY], "gateways.overrides")] {
            let said = format!("in `{key}`");
            assert_eq!(boost(given).explain(&said), said);
        }
    }

    #[test]
    fn settings_that_contradict_each_other_are_named() {
        let file = tempfile::NamedTempFile::new().expect("a file");
        std::fs::write(file.path(), "[gateways]\nmode = \"dry_run\"\noverrides = [{ id = 1, url = \"http://x\" }]")
            .expect("written");
        let file = format!("--config={}", file.path().display());
        let (timeout, budget) = ("--builder-timeout=700", "--payload-budget-ms=100");
        for (given, named) in [
            (&["--l2-url=a", "--fallback-url=http://b"][..], &[("--l2-url", "--fallback-url")][..]),
            (
                &[timeout, budget],
                &[("--builder-timeout", "`gateways.payload_budget_ms` is set by --payload-budget-ms")],
            ),
            (&["--builder-timeout=100", budget], &[]),
            (&["--l2-jwt-path=/a", "--engine-jwt-secret-file=/b"], &[]),
            (&["--otlp-endpoint=http://x"], &[("--otlp-endpoint", "--tracing")]),
            (&["--otlp-endpoint=http://x", "--tracing"], &[]),
            (&["--metrics-port=1"], &[("--metrics-port", "--metrics")]),
            (&["--builder-url=http://x", REGISTRY], &[("--builder-url", "schedule")]),
            (
                &["--builder-url=http://y", "--execution-mode=enabled", &file],
                &[("--execution-mode", "`gateways.mode`"), ("--builder-url", "the file of --config")],
            ),
            // What isn't given says nothing that could be contradicted.
            (&["--fallback-url=http://b", budget, &file], &[]),
        ] {
            let unused = boost(given).unused_with(&Variables::default());
            assert_eq!(unused.len(), named.len(), "{given:?}: {unused:?}");
            for (unused, (setting, reason)) in unused.iter().zip(named) {
                assert!(unused.setting == *setting && unused.reason.contains(reason), "{unused:?}");
            }
        }
        let variables = Variables::of([("BUILDER_JWT_TOKEN", "02"), ("RUST_LOG", "warn")]);
        let unused = boost(&["--builder-jwt-path=/a", "--log-level=info"]).unused_with(&variables);
        let reasons: Vec<_> = unused.iter().map(|unused| unused.reason.as_str()).collect();
        assert_eq!(reasons, ["the variable BUILDER_JWT_TOKEN comes first", "the variable RUST_LOG comes first"]);
    }

    #[test]
    fn the_metrics_port_is_bound_only_where_metrics_are_asked_for() {
        let paths = ["--l2-jwt-path=/a", "--builder-jwt-path=/b"];
        let ports = |more: &str| {
            let config =
                boost(&[&paths[..], &[more]].concat()).load_with(&Variables::default()).expect("a configuration");
            (config.admin.listen.port(), config.admin.debug_listen.map(|address| address.port()))
        };
        assert_eq!(ports("--metrics=false"), (5555, None));
        assert_eq!(ports("--metrics"), (9090, Some(5555)));
        assert_eq!(ports("--admin-listen=127.0.0.1:7300"), (7300, Some(5555)));
    }

    #[test]
    fn a_level_that_is_none_is_refused() {
        assert!(parsed(&["--log-level=verbose"]).is_err());
        assert_eq!(boost(&["--log-level=WARN"]).log_level, LevelFilter::WARN);
        // As of a variable that is there and empty.
        assert_eq!(boost(&["--log-level="]).log_level, LevelFilter::INFO);
    }

    const REGISTRY: &str = "--registry=0x00000000000000000000000000000000000000b1";
    const CLOCK: [&str; 5] = [
        "--l1-genesis-time=1000",
        "--slot-length=12",
        "--l2-genesis-time=2000",
        "--l2-block-time=2",
        "--settlement-delay=2",
    ];

    #[test]
    fn gateways_come_from_a_registry_that_flags_name() {
        let secrets = tempfile::tempdir().expect("temporary directory");
        let flag = |name: &str, bytes: &str| {
            let path = secrets.path().join(name);
            std::fs::write(&path, bytes.repeat(32)).expect("written");
            std::fs::set_permissions(&path, Permissions::from_mode(0o600)).expect("set");
            format!("--{name}-jwt-path={}", path.display())
        };
        let (l2, builder) = (flag("l2", "01"), flag("builder", "02"));
        let config = |more: &[&str]| {
            let given = ["--l2-url=http://op-geth:8551", "--builder-url=http://builder", &l2, &builder];
            boost(&[&given[..], more].concat()).load_with(&Variables::default()).expect("a configuration")
        };
        let more = [&[REGISTRY, "--l1-urls=http://l1", "--deployment-block=77"][..], &CLOCK].concat();
        let whole = config(&more);
        assert_eq!(whole.check().expect("right"), []);
        // The portal's own port is no fallback.
        let said =
            config(&[&more[..], &["--fallback-url=http://localhost:8081"]].concat()).check().expect_err("itself");
        assert!(said.to_string().contains("`fallback.url`") && said.to_string().contains("`engine.listen`"), "{said}");
        assert_eq!((whole.schedule.fixed_gateway, whole.gateways.overrides.len()), (None, 0));
        let clock = whole.schedule.clock.expect("a clock");
        assert_eq!((clock.l1_genesis_time, clock.slot_length, clock.l2_genesis_time), (1000, 12, 2000));
        assert_eq!((clock.l2_block_time, clock.settlement_delay, whole.schedule.deployment_block), (2, 2, 77));
        // One without the other says what is missing, instead of going on with the builder.
        let clock = CLOCK.map(|flag| flag.split_once('=').expect("a value").0).join("; ");
        for (given, missing) in [
            (&["--l1-urls=http://l1"][..], format!("--registry; {clock}")),
            (&["--deployment-block=7", "--l1-urls=http://l1", REGISTRY], clock.clone()),
            (&[REGISTRY], format!("--l1-urls; {clock}")),
            (&[CLOCK[1], REGISTRY], format!("--l1-urls; {}", clock.replace("--slot-length; ", ""))),
        ] {
            let given = [&[l2.as_str(), builder.as_str()], given].concat();
            let error = boost(&given).load_with(&Variables::default()).expect_err("incomplete").to_string();
            assert_eq!(error, format!("missing: {missing}"));
        }
    }
}
