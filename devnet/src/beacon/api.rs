//! The Beacon API, as far as somebody who proves states needs it (ethereum/beacon-APIs).

use super::{BeaconChain, BlobSource};
use alloy::primitives::B256;
use axum::{
    Json, Router,
    extract::{Path, Request, State},
    http::{StatusCode, header},
    middleware::{self, Next},
    response::{IntoResponse, Response},
    routing::get,
};
use baton_protocol::{SLOTS_PER_EPOCH, beacon::BeaconHeader};
use eyre::Result;
use serde_json::{Value, json};
use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

/// A served Beacon API.
#[derive(Clone, Debug)]
pub struct BeaconApi {
    url: String,
    down: Arc<AtomicBool>,
}

impl BeaconApi {
    /// Where it is served.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Makes the node answer nothing but 503, or answer again. The chain goes on meanwhile.
    pub fn set_down(&self, down: bool) {
        self.down.store(down, Ordering::Relaxed);
    }
}

#[derive(Clone)]
struct Sides {
    chain: Arc<BeaconChain>,
    blobs: BlobSource,
}

/// Serves a chain's Beacon API on a free port of the loopback interface, until `shutdown`.
///
/// # Errors
/// No port can be bound.
pub async fn serve(chain: Arc<BeaconChain>, blobs: BlobSource, shutdown: CancellationToken) -> Result<BeaconApi> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let api = BeaconApi { url: format!("http://{}", listener.local_addr()?), down: Arc::default() };
    let routes = Router::new()
        .route("/eth/v1/node/syncing", get(syncing))
        .route("/eth/v1/node/version", get(|| async { Json(json!({"data": {"version": "baton-devnet"}})) }))
        .route("/eth/v1/config/spec", get(spec))
        .route("/eth/v1/beacon/genesis", get(genesis))
        .route("/eth/v1/beacon/headers/{block_id}", get(beacon_header))
        .route("/eth/v2/debug/beacon/states/{state_id}", get(state))
        .with_state(chain.clone())
        .merge(
            Router::new()
                .route("/eth/v1/beacon/blob_sidecars/{slot}", get(blob_sidecars))
                .with_state(Sides { chain, blobs }),
        )
        .layer(middleware::from_fn_with_state(api.down.clone(), refuse_while_down));
    let server = axum::serve(listener, routes).with_graceful_shutdown(shutdown.cancelled_owned());
    tokio::spawn(server.into_future());
    Ok(api)
}

async fn refuse_while_down(State(down): State<Arc<AtomicBool>>, request: Request, next: Next) -> Response {
    if down.load(Ordering::Relaxed) {
        return failure(StatusCode::SERVICE_UNAVAILABLE, "the beacon node is down");
    }
    next.run(request).await
}

async fn syncing(State(chain): State<Arc<BeaconChain>>) -> Json<Value> {
    let slot = chain.head().map_or(0, |(header, _)| header.slot);
    Json(json!({"data": {
        "head_slot": slot.to_string(), "sync_distance": "0", "is_syncing": false, "is_optimistic": false, "el_offline": false,
    }}))
}

async fn spec(State(chain): State<Arc<BeaconChain>>) -> Json<Value> {
    let seconds = chain.config().slot_length.to_string();
    let never = u64::MAX.to_string();
    Json(json!({"data": {
        "SECONDS_PER_SLOT": seconds, "SLOTS_PER_EPOCH": SLOTS_PER_EPOCH.to_string(),
        "GENESIS_FORK_VERSION": "0x00000000", "FULU_FORK_EPOCH": "0", "GLOAS_FORK_EPOCH": never,
    }}))
}

async fn genesis(State(chain): State<Arc<BeaconChain>>) -> Json<Value> {
    Json(json!({"data": {
        "genesis_time": chain.config().genesis_time.to_string(),
        "genesis_validators_root": B256::ZERO,
        "genesis_fork_version": "0x00000000",
    }}))
}

async fn beacon_header(State(chain): State<Arc<BeaconChain>>, Path(id): Path<String>) -> Response {
    let found = match id.as_str() {
        "head" => chain.head(),
        _ => match id.parse::<B256>() {
            Ok(root) => chain.by_root(root),
            Err(_) => id.parse().ok().and_then(|slot| chain.at_slot(slot)),
        },
    };
    let Some((header, root)) = found else { return failure(StatusCode::NOT_FOUND, "no such block") };
    let message = json!({
        "slot": header.slot.to_string(), "proposer_index": header.proposer_index.to_string(),
        "parent_root": header.parent_root, "state_root": header.state_root, "body_root": header.body_root,
    });
    let signature = format!("0x{}", "00".repeat(96));
    let data = json!({"root": root, "canonical": true, "header": {"message": message, "signature": signature}});
    Json(json!({"execution_optimistic": false, "finalized": false, "data": data})).into_response()
}

async fn blob_sidecars(State(sides): State<Sides>, Path(slot): Path<u64>) -> Response {
    match sides.blobs.of_slot(&sides.chain, slot).await {
        Ok(Some(sidecars)) => Json(json!({"data": sidecars})).into_response(),
        Ok(None) => failure(StatusCode::NOT_FOUND, "no such block"),
        Err(error) => {
            tracing::warn!(slot, error = format!("{error:#}"), "no sidecars");
            failure(StatusCode::INTERNAL_SERVER_ERROR, "the execution side doesn't give the blobs")
        }
    }
}

/// The state in SSZ; nobody should want one in JSON.
async fn state(State(chain): State<Arc<BeaconChain>>, Path(id): Path<String>) -> Response {
    let found: Option<(BeaconHeader, B256)> = match id.as_str() {
        "head" => chain.head(),
        _ => match id.parse::<B256>() {
            Ok(root) => chain.by_state_root(root),
            Err(_) => id.parse().ok().and_then(|slot| chain.at_slot(slot)),
        },
    };
    let Some((header, _)) = found else { return failure(StatusCode::NOT_FOUND, "no such state") };
    let headers = [(header::CONTENT_TYPE.as_str(), "application/octet-stream"), ("Eth-Consensus-Version", "fulu")];
    (headers, chain.state(&header)).into_response()
}

fn failure(status: StatusCode, message: &str) -> Response {
    (status, Json(json!({"code": status.as_u16(), "message": message}))).into_response()
}
