//! What is wrong with a configuration, and what had better be otherwise.

use crate::{jwt::SecretError, soft_blocks::SHORTEST};
use baton_protocol::GatewayId;
use baton_schedule::NodeUrl;
use std::{fmt, net::SocketAddr, path::PathBuf};

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
    #[error(
        "`{field}`, {value}, must be a plain HTTP URL such as \"http://127.0.0.1:9551\", its port 1 to 65535; for https:// put a tunnel in front"
    )]
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
    /// A lane that no block gets through.
    #[error(
        "`{0}` is 1; set it to at least 2: a block waits for the head that follows it, and one of them would be dropped"
    )]
    ShortQueue(&'static str),
    /// A number can't be meant.
    #[error("`{field}` is {value}; set it to at most {most}: {why}")]
    TooMuch {
        /// Which.
        field: &'static str,
        /// What it is.
        value: u64,
        /// The most that it may be.
        most: u64,
        /// Why.
        why: &'static str,
    },
    /// The longest pause of the breaker is shorter than the first, in milliseconds.
    #[error(
        "`gateways.breaker.longest_pause_ms` ({longest}) is less than `gateways.breaker.pause_ms` ({first}), with which pauses begin; set it to {first} or more"
    )]
    Pauses {
        /// The first.
        first: u64,
        /// The longest.
        longest: u64,
    },
    /// Two listeners that can't both be.
    #[error("`{field}` ({address}) has the port of `{other}`; give it another, or 0 for any free one")]
    SameAddress {
        /// Which.
        field: &'static str,
        /// The other one's key.
        other: &'static str,
        /// What it is.
        address: SocketAddr,
    },
    /// Nobody can sign that fast.
    #[error(
        "`gateways.soft_blocks.within_ms` is less than {SHORTEST}: no gateway can sign so soon after it has the head; give it more"
    )]
    NoTimeToSign,
    /// A key is missing.
    #[error(
        "`{0}` is missing; set it (`portal run --help` has flags for it), or `schedule.fixed_gateway` for a rollup without a registry"
    )]
    Missing(&'static str),
    /// The fixed gateway can't be reached.
    #[error("`schedule.fixed_gateway` is {0}, and no entry of `gateways.overrides` gives that id a url")]
    FixedGateway(GatewayId),
    /// A fixed gateway beside a registry or what reads one.
    #[error("`schedule.fixed_gateway` and `{0}` exclude each other; leave one of them away")]
    TwoSchedules(&'static str),
    /// Gateways of others would know a secret of the operator's.
    #[error(
        "{0}; gateways on a registry are others', who could call that port with it: make another with `openssl rand -hex 32`"
    )]
    SharedSecret(SharedSecret),
    /// A gateway where the portal or one of its execution clients is, or one of those where another is.
    #[error("`{field}`, {value}, is where `{taken_by}` is; give each an address of its own")]
    Taken {
        /// Which.
        field: String,
        /// What it is.
        value: NodeUrl,
        /// Whose place that is.
        taken_by: &'static str,
    },
    /// Turns to lose, where one gateway owns every block.
    #[error(
        "`gateways.soft_blocks` takes turns away, and with `schedule.fixed_gateway` there are none; leave one of them away"
    )]
    NoTurns,
    /// Overrides for the same or no gateway.
    #[error("`gateways.overrides`: id {0} stands there twice, or is 0, which is nobody's")]
    Override(GatewayId),
    /// What would count at once of a configuration that is right doesn't fit what stays of the one that runs.
    #[error(
        "the new `[gateways]` doesn't fit the rest of what runs, which stays until a restart: {0}; to take the whole configuration, start the portal again"
    )]
    BesideRunning(Box<ConfigError>),
    /// The schedule's part.
    #[error("{}", in_schedule(.0))]
    Schedule(baton_schedule::ConfigError),
}

// No source of the other: it would be told a second time, with its keys by another name.
impl From<baton_schedule::ConfigError> for ConfigError {
    fn from(error: baton_schedule::ConfigError) -> Self {
        Self::Schedule(error)
    }
}

/// What is wrong with the schedule's part, whose keys are told without its name.
fn in_schedule(error: &baton_schedule::ConfigError) -> String {
    error.to_string().replacen('`', "`schedule.", 1)
}

/// What can be used and had better be otherwise.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Warning {
    /// A gateway could call what takes the operator's secret.
    SharedSecret(SharedSecret),
    /// Others on this machine can read or write a secret's file.
    OpenFile {
        /// The key that names it.
        key: String,
        /// The file.
        path: PathBuf,
        /// Its permissions, such as 0o644.
        mode: u32,
    },
}

impl fmt::Display for Warning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::SharedSecret(shared) => shared.fmt(f),
            Self::OpenFile { key, path, mode } => {
                let path = path.display();
                write!(
                    f,
                    "`{key}`, {path}, can be read or written by others (mode {mode:o}); let only the portal's user (0600) or its group (0640) read it"
                )
            }
        }
    }
}

/// One secret under two names, one of which is a gateway's.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct SharedSecret {
    /// The gateways' key.
    pub gateways: String,
    /// The key of the portal's own port, or of an execution client of the operator's.
    pub own: String,
}

impl fmt::Display for SharedSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{}` and `{}` hold the same secret", self.gateways, self.own)
    }
}
