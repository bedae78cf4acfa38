//! A beacon node that serves states of the vectors (`contracts/vectors/beacon`), and misbehaves on request.
#![allow(dead_code, reason = "each test uses its part")]

use alloy::primitives::{Address, B256, keccak256};
use axum::{
    Json, Router,
    body::{Body, Bytes},
    extract::{Path, Request, State},
    http::{StatusCode, header},
    middleware::{self, Next},
    response::{IntoResponse, Response},
    routing::get,
};
use baton_protocol::{
    beacon::{BeaconHeader, Fork, StateProver},
    delegation::BlsSecretKey,
};
use futures::{StreamExt, stream};
use serde_json::{Value, json};
use std::{
    io,
    path::PathBuf,
    str::FromStr,
    sync::{Arc, Mutex},
    time::Duration,
};

/// A state of the vectors.
#[derive(Clone)]
pub(crate) struct VectorState {
    pub(crate) fork: Fork,
    pub(crate) ssz: Bytes,
    pub(crate) header: BeaconHeader,
    pub(crate) root: B256,
    pub(crate) vector: Value,
}

impl VectorState {
    /// The state with so many validators.
    pub(crate) fn load(fork: Fork, validators: usize) -> Self {
        let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../contracts/vectors/beacon");
        let text = std::fs::read_to_string(folder.join(format!("{fork}.json"))).expect("the vectors are there");
        let vectors: Value = serde_json::from_str(&text).expect("JSON");
        let states = vectors["states"].as_array().expect("a list");
        let count = validators.to_string();
        let vector = states.iter().find(|state| state["validatorCount"] == count).expect("it is there").clone();
        let compressed = std::fs::read(folder.join(vector["ssz"].as_str().expect("a name"))).expect("the state");
        let mut ssz = Vec::new();
        brotli::BrotliDecompress(&mut compressed.as_slice(), &mut ssz).expect("brotli");
        let header = BeaconHeader {
            slot: field(&vector["header"], "slot"),
            proposer_index: field(&vector["header"], "proposerIndex"),
            parent_root: field(&vector["header"], "parentRoot"),
            state_root: field(&vector["header"], "stateRoot"),
            body_root: field(&vector["header"], "bodyRoot"),
        };
        Self { fork, ssz: ssz.into(), header, root: field(&vector, "blockRoot"), vector }
    }

    /// The same state with another withdrawal address of a validator (0x02 credentials), and the header that it makes.
    pub(crate) fn with_withdrawal_address(&self, index: u64, address: Address) -> Self {
        let pubkey = Self::secret(index).public_key().to_compressed();
        let mut ssz = self.ssz.to_vec();
        let place = ssz.windows(48).position(|bytes| bytes == pubkey.as_slice()).expect("it is a validator") + 48;
        let mut credentials = address.into_word();
        credentials[0] = 2;
        ssz[place..place + 32].copy_from_slice(credentials.as_slice());
        let mut prover = StateProver::new(self.fork, Some(ssz.len() as u64), []);
        prover.push(&ssz).expect("a state");
        let header = BeaconHeader { state_root: prover.finish().expect("a state").state_root, ..self.header };
        Self { ssz: ssz.into(), header, root: header.root(), ..self.clone() }
    }

    /// The secret key of a validator: the same in all states.
    pub(crate) fn secret(index: u64) -> BlsSecretKey {
        let mut bytes = keccak256(format!("validator {index}")).0;
        bytes[0] = 0;
        BlsSecretKey::from_bytes(&bytes).expect("a key")
    }
}

/// A field that is a string.
pub(crate) fn field<T: FromStr<Err: std::fmt::Debug>>(vector: &Value, name: &str) -> T {
    vector[name].as_str().unwrap_or_else(|| panic!("{name} is a string")).parse().expect(name)
}

/// How a node serves.
#[derive(Clone)]
pub(crate) struct Manners {
    /// Answers everything with this status.
    pub(crate) down: Option<u16>,
    /// Answers states with this status.
    pub(crate) no_states: Option<u16>,
    /// `Eth-Consensus-Version`, instead of the state's.
    pub(crate) version: Option<&'static str>,
    /// `Content-Type` of states.
    pub(crate) content_type: &'static str,
    /// Bytes of the pieces that a state comes in.
    pub(crate) piece: usize,
    /// Whether it says how long the state is.
    pub(crate) says_length: bool,
    /// Bytes after which the state ends.
    pub(crate) cut: usize,
    /// Answers headers with that of this block.
    pub(crate) other_header: Option<BeaconHeader>,
    /// Answers states with this one.
    pub(crate) other_state: Option<Bytes>,
}

impl Default for Manners {
    fn default() -> Self {
        Self {
            down: None,
            no_states: None,
            version: None,
            content_type: "application/octet-stream",
            piece: 100_000,
            says_length: true,
            cut: usize::MAX,
            other_header: None,
            other_state: None,
        }
    }
}

/// A running node.
#[derive(Clone)]
pub(crate) struct BeaconNode {
    pub(crate) address: String,
    states: Arc<Vec<VectorState>>,
    manners: Arc<Mutex<Manners>>,
    asked: Arc<Mutex<Vec<String>>>,
}

impl BeaconNode {
    pub(crate) async fn start(states: Vec<VectorState>) -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let node = Self {
            address: listener.local_addr().expect("bound").to_string(),
            states: Arc::new(states),
            manners: Arc::default(),
            asked: Arc::default(),
        };
        let router = Router::new()
            .route("/eth/v1/beacon/headers/{block_id}", get(beacon_header))
            .route("/eth/v2/debug/beacon/states/{state_id}", get(state))
            .layer(middleware::from_fn_with_state(node.clone(), watch))
            .with_state(node.clone());
        tokio::spawn(async move { axum::serve(listener, router).await });
        node
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    pub(crate) fn behave(&self, manners: Manners) {
        *self.manners.lock().expect("lock") = manners;
    }

    /// Paths asked for so far.
    pub(crate) fn asked(&self) -> Vec<String> {
        self.asked.lock().expect("lock").clone()
    }

    pub(crate) fn states_served(&self) -> usize {
        self.asked().iter().filter(|path| path.contains("/debug/")).count()
    }

    fn manners(&self) -> Manners {
        self.manners.lock().expect("lock").clone()
    }
}

async fn watch(State(node): State<BeaconNode>, request: Request, next: Next) -> Response {
    node.asked.lock().expect("lock").push(request.uri().path().to_owned());
    match node.manners().down {
        Some(status) => StatusCode::from_u16(status).expect("a status").into_response(),
        None => next.run(request).await,
    }
}

async fn beacon_header(State(node): State<BeaconNode>, Path(id): Path<B256>) -> Response {
    let known = node.states.iter().find(|state| state.root == id);
    let Some(header) = known.map(|state| node.manners().other_header.unwrap_or(state.header)) else {
        return StatusCode::NOT_FOUND.into_response();
    };
    let message = json!({
        "slot": header.slot.to_string(), "proposer_index": header.proposer_index.to_string(),
        "parent_root": header.parent_root, "state_root": header.state_root, "body_root": header.body_root,
    });
    let signature = format!("0x{}", "00".repeat(96));
    let data = json!({"root": id, "canonical": true, "header": {"message": message, "signature": signature}});
    Json(json!({"execution_optimistic": false, "finalized": false, "data": data})).into_response()
}

async fn state(State(node): State<BeaconNode>, Path(slot): Path<u64>) -> Response {
    let manners = node.manners();
    if let Some(status) = manners.no_states {
        return StatusCode::from_u16(status).expect("a status").into_response();
    }
    let Some(state) = node.states.iter().find(|state| state.header.slot == slot) else {
        return StatusCode::NOT_FOUND.into_response();
    };
    let ssz = manners.other_state.unwrap_or_else(|| state.ssz.clone());
    let length = ssz.len();
    let ssz = ssz.slice(..length.min(manners.cut));
    let broken = manners.says_length && ssz.len() < length;
    let pieces = (0..ssz.len()).step_by(manners.piece).map(move |at| {
        let piece = ssz.slice(at..ssz.len().min(at + manners.piece));
        Ok(piece)
    });
    // What is written must be out before the connection breaks.
    let end = stream::iter(broken.then_some(())).then(async |()| {
        tokio::time::sleep(Duration::from_millis(100)).await;
        Err(io::Error::from(io::ErrorKind::ConnectionReset))
    });
    let version = manners.version.map_or_else(|| state.fork.to_string(), str::to_owned);
    let mut response =
        Response::builder().header(header::CONTENT_TYPE, manners.content_type).header("Eth-Consensus-Version", version);
    if manners.says_length {
        response = response.header(header::CONTENT_LENGTH, length);
    }
    response.body(Body::from_stream(stream::iter(pieces).chain(end))).expect("a response")
}
