//! Asking beacon nodes (ethereum/beacon-APIs): for headers, and for whole states, which are proven while they stream in.

use crate::{
    beacon::{BeaconError, NodeError, NodeFailure},
    config::BeaconConfig,
};
use alloy::{
    primitives::B256,
    transports::http::reqwest::{Client, Response, StatusCode, Url, header},
};
use baton_protocol::beacon::{BeaconHeader, Fork, ProvenState, StateError, StateProver};
use serde::Deserialize;
use std::{
    sync::atomic::{AtomicUsize, Ordering},
    time::Duration,
};
use tokio::sync::mpsc;

/// How long a connection may take.
const CONNECT: Duration = Duration::from_secs(5);
/// How long a node may be silent. Nodes think for some seconds before they send a state.
const SILENCE: Duration = Duration::from_secs(60);
/// How long anything but a state may take.
const ANSWER: Duration = Duration::from_secs(10);
/// Longest answer other than a state.
const SHORT: usize = 64 << 10;
/// Pieces of a state that may wait for being hashed. A piece is what the connection gives at once, some ten kilobytes.
const WAITING: usize = 64;

/// How much of a state has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Progress {
    /// Bytes that came.
    pub received: u64,
    /// Bytes of the whole state, if the node said.
    pub length: Option<u64>,
}

/// Beacon nodes, of which one is asked until it fails.
#[derive(Debug)]
pub struct BeaconClient {
    http: Client,
    nodes: Vec<Node>,
    active: AtomicUsize,
}

#[derive(Debug)]
struct Node {
    url: Url,
    host: String,
}

/// `/eth/v1/beacon/headers/{block_id}`. Integers are decimal strings.
#[derive(Deserialize)]
struct HeaderAnswer {
    data: HeaderData,
}

#[derive(Deserialize)]
struct HeaderData {
    header: SignedHeader,
}

#[derive(Deserialize)]
struct SignedHeader {
    message: HeaderMessage,
}

#[derive(Deserialize)]
struct HeaderMessage {
    slot: String,
    proposer_index: String,
    parent_root: B256,
    state_root: B256,
    body_root: B256,
}

impl BeaconClient {
    /// Prepares clients; asks nobody yet.
    ///
    /// # Errors
    /// No URL, or one that can't be used.
    pub fn new(config: &BeaconConfig) -> Result<Self, BeaconError> {
        if config.urls.is_empty() {
            return Err(BeaconError::NoNode);
        }
        let node = |(index, url): (usize, &String)| {
            let url: Url = url.parse().map_err(|_| BeaconError::BadUrl { index })?;
            let host = url.host_str().ok_or(BeaconError::BadUrl { index })?;
            let host = url.port().map_or_else(|| host.to_owned(), |port| format!("{host}:{port}"));
            Ok(Node { url, host })
        };
        Ok(Self {
            http: Client::builder().connect_timeout(CONNECT).read_timeout(SILENCE).build()?,
            nodes: config.urls.iter().enumerate().map(node).collect::<Result<_, BeaconError>>()?,
            active: AtomicUsize::new(0),
        })
    }

    /// The header of the block with a root.
    ///
    /// # Errors
    /// All nodes failed, or none knows it.
    pub async fn header(&self, root: B256) -> Result<BeaconHeader, BeaconError> {
        let mut errors = Vec::new();
        for index in self.order() {
            match self.header_at(&self.nodes[index], root).await {
                Ok(header) => return Ok(self.answered(index, header)),
                Err(failure) => errors.push(self.failed(index, failure)),
            }
        }
        Err(BeaconError::Nodes(errors))
    }

    /// Downloads the state after a block, in bounded memory, and proves what is needed of it. `validators` are indices; `progress` is told what has come,
    /// beginning anew if another node is asked.
    ///
    /// # Errors
    /// All nodes failed.
    pub async fn prove(
        &self,
        header: &BeaconHeader,
        validators: &[u64],
        progress: &(dyn Fn(Progress) + Send + Sync),
    ) -> Result<ProvenState, BeaconError> {
        let mut errors = Vec::new();
        for index in self.order() {
            match self.prove_at(&self.nodes[index], header, validators, progress).await {
                Ok(state) => return Ok(self.answered(index, state)),
                Err(failure) => errors.push(self.failed(index, failure)),
            }
        }
        Err(BeaconError::Nodes(errors))
    }

    /// Whom to ask in which order: the node that answered last, then those after it, round.
    fn order(&self) -> impl Iterator<Item = usize> + use<> {
        baton_schedule::fail_over_order(self.active.load(Ordering::Relaxed), self.nodes.len())
    }

    /// How many nodes there are.
    pub fn node_count(&self) -> u64 {
        self.nodes.len() as u64
    }

    /// Asks the next node first from now on: the one that was asked took too long.
    pub fn pass_over(&self) {
        let next = (self.active.load(Ordering::Relaxed) + 1) % self.nodes.len().max(1);
        self.active.store(next, Ordering::Relaxed);
    }

    fn answered<T>(&self, index: usize, answer: T) -> T {
        self.active.store(index, Ordering::Relaxed);
        answer
    }

    fn failed(&self, index: usize, failure: NodeFailure) -> NodeError {
        let host = self.nodes[index].host.clone();
        tracing::debug!(%host, %failure, "a beacon node failed");
        NodeError { host, failure }
    }

    async fn header_at(&self, node: &Node, root: B256) -> Result<BeaconHeader, NodeFailure> {
        let path = format!("eth/v1/beacon/headers/{root}");
        let request = self.http.get(node.at(&path)).timeout(ANSWER);
        let response = request.send().await.map_err(|error| unreachable(&error.without_url()))?;
        match response.status() {
            StatusCode::OK => {}
            StatusCode::NOT_FOUND => return Err(NodeFailure::NoBlock(root)),
            status => return Err(NodeFailure::Status { status: status.as_u16(), path }),
        }
        let body = short_body(response, &path).await?;
        let bad = |cause: String| NodeFailure::BadAnswer { path: path.clone(), cause };
        let answer: HeaderAnswer = serde_json::from_slice(&body).map_err(|error| bad(error.to_string()))?;
        let message = answer.data.header.message;
        let number = |text: &str| text.parse().map_err(|_| bad("a number isn't a decimal string".to_owned()));
        let header = BeaconHeader {
            slot: number(&message.slot)?,
            proposer_index: number(&message.proposer_index)?,
            parent_root: message.parent_root,
            state_root: message.state_root,
            body_root: message.body_root,
        };
        let computed = header.root();
        if computed != root {
            return Err(NodeFailure::WrongHeader { computed, asked: root });
        }
        Ok(header)
    }

    async fn prove_at(
        &self,
        node: &Node,
        header: &BeaconHeader,
        validators: &[u64],
        progress: &(dyn Fn(Progress) + Send + Sync),
    ) -> Result<ProvenState, NodeFailure> {
        let slot = header.slot;
        // By slot, because not every node finds states by their root.
        let path = format!("eth/v2/debug/beacon/states/{slot}");
        let request = self.http.get(node.at(&path)).header(header::ACCEPT, "application/octet-stream");
        let mut response = request.send().await.map_err(|error| unreachable(&error.without_url()))?;
        let status = response.status();
        if status.is_server_error() && status != StatusCode::NOT_IMPLEMENTED {
            return Err(NodeFailure::Status { status: status.as_u16(), path });
        }
        if status != StatusCode::OK {
            return Err(NodeFailure::NoState { slot, status: status.as_u16() });
        }
        let fork = fork(&response)?;
        let length = response.content_length();
        let (pieces, received) = mpsc::channel(WAITING);
        let wanted = validators.to_vec();
        let hashing = tokio::task::spawn_blocking(move || hash(fork, length, wanted, received));
        let mut came = 0;
        let broken = loop {
            match response.chunk().await {
                Ok(Some(piece)) => {
                    came += piece.len() as u64;
                    progress(Progress { received: came, length });
                    // Whoever refuses a piece says below why.
                    if pieces.send(piece).await.is_err() {
                        break None;
                    }
                }
                Ok(None) => break None,
                Err(error) => break Some(error.without_url().to_string()),
            }
        };
        drop(pieces);
        let hashed = hashing.await.map_err(|error| NodeFailure::Hashing(error.to_string()))?;
        if let Some(cause) = broken {
            return Err(NodeFailure::BrokenOff { received: came, cause });
        }
        let state = hashed.map_err(|error| NodeFailure::State { slot, error })?;
        if state.state_root != header.state_root {
            let (computed, expected) = (state.state_root, header.state_root);
            return Err(NodeFailure::OtherState { slot, computed, expected });
        }
        Ok(state)
    }
}

impl Node {
    /// A path below the node's URL, which may have one of its own.
    fn at(&self, path: &str) -> Url {
        let mut url = self.url.clone();
        let below = format!("{}/{path}", url.path().trim_end_matches('/'));
        url.set_path(&below);
        url
    }
}

/// Hashes pieces as they come. Processor time, so on a thread of its own.
fn hash(
    fork: Fork,
    length: Option<u64>,
    wanted: Vec<u64>,
    mut pieces: mpsc::Receiver<impl AsRef<[u8]>>,
) -> Result<ProvenState, StateError> {
    let mut prover = StateProver::new(fork, length, wanted);
    while let Some(piece) = pieces.blocking_recv() {
        prover.push(piece.as_ref())?;
    }
    prover.finish()
}

fn fork(response: &Response) -> Result<Fork, NodeFailure> {
    let text = |name: &str| {
        let value = response.headers().get(name).and_then(|value| value.to_str().ok());
        value.unwrap_or_default().to_owned()
    };
    let kind = text("content-type");
    if !kind.starts_with("application/octet-stream") {
        return Err(NodeFailure::NotSsz(kind));
    }
    let version = text("eth-consensus-version");
    version.to_ascii_lowercase().parse().map_err(|_| NodeFailure::UnknownFork(version))
}

async fn short_body(mut response: Response, path: &str) -> Result<Vec<u8>, NodeFailure> {
    let mut body = Vec::new();
    while let Some(piece) = response.chunk().await.map_err(|error| unreachable(&error.without_url()))? {
        body.extend_from_slice(&piece);
        if body.len() > SHORT {
            return Err(NodeFailure::BadAnswer { path: path.to_owned(), cause: "it is too long".to_owned() });
        }
    }
    Ok(body)
}

/// The reason with what caused it, since the outermost message says little.
fn unreachable(error: &dyn std::error::Error) -> NodeFailure {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(inner) = cause {
        text = format!("{text}: {inner}");
        cause = inner.source();
    }
    NodeFailure::Unreachable(text)
}
