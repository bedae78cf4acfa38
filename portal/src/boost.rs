//! rollup-boost's flags and environment variables, so that the portal can take its place in a deployment. `docs/portal.md` has the table.

use crate::{
    Config, ConfigError,
    cli::{LogFormat, Settings},
};
use clap::{ArgAction, Args};
use std::path::PathBuf;
use toml::{Table, Value};

/// The id that the builder has here: it is the only gateway.
const BUILDER: i64 = 1;

/// What rollup-boost takes. Without a registry, the builder owns every block.
#[derive(Debug, Args)]
pub struct BoostArgs {
    /// The fallback's Engine API.
    #[arg(long, env = "L2_URL", default_value = "http://127.0.0.1:8551")]
    l2_url: String,
    /// File with the secret shared with the fallback, and with op-node unless --engine-jwt-secret-file names another.
    #[arg(long, env = "L2_JWT_PATH", value_name = "PATH")]
    l2_jwt_path: Option<PathBuf>,
    /// Not taken: a secret on a command line is everybody's. Use --l2-jwt-path.
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
    /// Not taken: a secret on a command line is everybody's. Use --builder-jwt-path.
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
    /// Whether metrics are served. They always are; see --metrics-port.
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
    /// How much is logged, unless RUST_LOG says.
    #[arg(long, env = "LOG_LEVEL", default_value = "info")]
    pub(crate) log_level: String,
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
        "--{0}-jwt-token isn't taken, because everybody on the machine can read a command line: use --{0}-jwt-path"
    )]
    Token(&'static str),
    /// The configuration is wrong.
    #[error(transparent)]
    Config(#[from] ConfigError),
}

impl BoostArgs {
    /// How much to log and how.
    pub fn logging(&self) -> (&str, LogFormat) {
        (&self.log_level, self.log_format)
    }

    /// The configuration that these flags come to. A file named by --config lies over them, the portal's own flags over both.
    pub fn load(&self) -> Result<Config, BoostError> {
        for (name, token) in [("l2", &self.l2_jwt_token), ("builder", &self.builder_jwt_token)] {
            if token.is_some() {
                return Err(BoostError::Token(name));
            }
        }
        Ok(self.settings.load_over(self.table())?)
    }

    fn table(&self) -> Table {
        let path = |path: &Option<PathBuf>| path.as_ref().map(|path| Value::from(path.display().to_string()));
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
        let age = i64::try_from(self.max_unsafe_interval).unwrap_or(i64::MAX);
        let sections = [
            (
                "engine",
                section(vec![
                    ("listen", Some(address(&self.rpc_host, self.rpc_port))),
                    ("jwt_secret_file", path(&self.l2_jwt_path)),
                ]),
            ),
            (
                "admin",
                section(vec![
                    ("listen", Some(address(&self.metrics_host, self.metrics_port))),
                    ("debug_listen", Some(address(&self.debug_host, self.debug_server_port))),
                ]),
            ),
            (
                "fallback",
                section(vec![
                    ("url", Some(url(&self.l2_url))),
                    ("jwt_secret_file", path(&self.l2_jwt_path)),
                    ("timeout_ms", Some(i64::from(self.l2_timeout).into())),
                    ("max_head_age_s", (age > 0).then(|| age.into())),
                ]),
            ),
            (
                "gateways",
                section(vec![
                    ("jwt_secret_file", path(&self.builder_jwt_path)),
                    ("payload_budget_ms", Some(timeout.clone())),
                    ("timeout_ms", Some(timeout)),
                    ("mode", Some(self.execution_mode.to_string().into())),
                    ("policy", Some(section(vec![("gas_ratio", gas_ratio)]))),
                    // With a registry, gateways' URLs come from there.
                    ("overrides", (!self.settings.has_registry()).then(|| Value::from(vec![builder]))),
                ]),
            ),
            ("schedule", section(vec![("fixed_gateway", (!self.settings.has_registry()).then(|| BUILDER.into()))])),
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

    fn boost(args: &[&str]) -> BoostArgs {
        let args = ["portal", "boost"].iter().chain(args);
        match Cli::try_parse_from(args).expect("flags").command {
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
        assert_eq!(args.logging(), ("debug", LogFormat::Json));
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
        assert!(error.contains("--l2-jwt-path") && !error.contains("00"), "{error}");
    }
}
