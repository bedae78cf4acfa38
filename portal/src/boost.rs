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
#[cfg(test)]
mod tests;
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
        let own = KEYS.iter().filter(|key| has_flags(key.path) && !self.settings.gives(key.path));
        let explained = own.fold(problem.to_owned(), |text, key| {
            let flags = match replaced.get(key.path) {
                Some(origin) => *origin,
                None if key.path == keys::ADMIN && !self.metrics => keys::DEBUG_FLAGS,
                None => key.flags,
            };
            // Of a gateway that is there once, only the URL can be wrong.
            [key.path.to_owned(), format!("{}[0].url", key.path)]
                .iter()
                .fold(text, |text, path| text.replace(&format!("`{path}`"), &format!("`{path}` ({flags})")))
        });
        self.settings.explain(&explained)
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
