//! What can go wrong with beacon nodes.

use alloy::{primitives::B256, transports::http::reqwest};
use baton_protocol::beacon::StateError;

/// Why the beacon chain couldn't be read.
#[derive(Debug, thiserror::Error)]
pub enum BeaconError {
    /// No node is configured.
    #[error("`beacon.urls` is empty; name a beacon node, such as \"http://127.0.0.1:5052\"")]
    NoNode,
    /// A URL that can't be used.
    #[error("`beacon.urls[{index}]` isn't a URL; write it as \"http://host:port\"")]
    BadUrl {
        /// Its position.
        index: usize,
    },
    /// The HTTP client can't be built.
    #[error("HTTP client: {0}")]
    Client(#[from] reqwest::Error),
    /// All nodes failed, each in its way.
    #[error("{}", joined(.0))]
    Nodes(Vec<NodeError>),
}

impl BeaconError {
    /// Whether it can go away without anybody changing something: if it can with one of the nodes.
    pub fn is_retryable(&self) -> bool {
        matches!(self, Self::Nodes(errors) if errors.iter().any(|error| error.failure.is_retryable()))
    }
}

/// A node's failure.
#[derive(Debug, thiserror::Error)]
#[error("beacon node {host}: {failure}")]
pub struct NodeError {
    /// Host and port as in `beacon.urls`; what else a URL holds may be secret.
    pub host: String,
    /// What went wrong.
    pub failure: NodeFailure,
}

/// What went wrong with one node.
#[derive(Debug, thiserror::Error)]
pub enum NodeFailure {
    /// No connection, or one that broke.
    #[error("can't be reached, check `beacon.urls`: {0}")]
    Unreachable(String),
    /// A status that says no more.
    #[error("answers with HTTP status {status} to {path}")]
    Status {
        /// The HTTP status.
        status: u16,
        /// What was asked.
        path: String,
    },
    /// It doesn't have a block.
    #[error("doesn't know the block {0} yet; is it synced?")]
    NoBlock(B256),
    /// It doesn't serve a state.
    #[error(
        "doesn't serve the state of slot {slot} (HTTP status {status}); switch on its debug API (/eth/v2/debug/beacon/states) and let \
         it keep states of the last epochs, or name another node in `beacon.urls`"
    )]
    NoState {
        /// The state's slot.
        slot: u64,
        /// The HTTP status.
        status: u16,
    },
    /// A state of a fork that this version has no layout for.
    #[error("serves a state of fork `{0}` (Eth-Consensus-Version), which this version can't prove; update Baton")]
    UnknownFork(String),
    /// The state isn't SSZ.
    #[error("serves states as `{0}` instead of application/octet-stream; name a node in `beacon.urls` that serves SSZ")]
    NotSsz(String),
    /// The answer broke off.
    #[error("broke off after {received} bytes of the state: {cause}")]
    BrokenOff {
        /// Bytes that came.
        received: u64,
        /// What happened.
        cause: String,
    },
    /// An answer that isn't as the Beacon API says.
    #[error("answers {path} with what isn't its Beacon API's: {cause}")]
    BadAnswer {
        /// What was asked.
        path: String,
        /// What is wrong.
        cause: String,
    },
    /// A header that doesn't hash to the root asked for.
    #[error("gives a header with root {computed} for block {asked}; don't trust this node")]
    WrongHeader {
        /// The root that it has.
        computed: B256,
        /// The root asked for.
        asked: B256,
    },
    /// The bytes aren't a state, or not the header's.
    #[error("the state of slot {slot} can't be proven: {error}")]
    State {
        /// The state's slot.
        slot: u64,
        /// What is wrong.
        error: StateError,
    },
    /// The state isn't the header's, because of a reorg since.
    #[error(
        "the state of slot {slot} has root {computed}, the header's is {expected}: the chain has changed meanwhile"
    )]
    OtherState {
        /// The state's slot.
        slot: u64,
        /// The root of what came.
        computed: B256,
        /// The header's.
        expected: B256,
    },
    /// The task that hashes ended early.
    #[error("hashing the state ended early: {0}")]
    Hashing(String),
}

impl NodeFailure {
    /// Whether it can go away by itself.
    pub const fn is_retryable(&self) -> bool {
        !matches!(self, Self::UnknownFork(_) | Self::NotSsz(_))
    }
}

fn joined(errors: &[NodeError]) -> String {
    errors.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ")
}
