//! Health, metrics and status over HTTP, for the operator's own machines.

use crate::status::StatusBoard;
use axum::{Json, Router, extract::State, http::StatusCode, response::IntoResponse, routing::get};
use metrics_exporter_prometheus::PrometheusHandle;
use std::{io, net::SocketAddr, sync::Arc, time::Duration};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

/// A keeper that hasn't looked around for so long is stuck.
const LONGEST_SILENCE: Duration = Duration::from_secs(30);

#[derive(Clone)]
struct Context {
    board: Arc<StatusBoard>,
    metrics: Option<PrometheusHandle>,
}

/// Serves until shutdown; gives the address.
///
/// # Errors
/// An address that can't be listened at.
pub async fn serve(
    listen: SocketAddr,
    board: Arc<StatusBoard>,
    metrics: Option<PrometheusHandle>,
    shutdown: CancellationToken,
) -> io::Result<SocketAddr> {
    let listener = TcpListener::bind(listen).await?;
    let address = listener.local_addr()?;
    let router = Router::new()
        .route("/healthz", get(healthz))
        .route("/readyz", get(readyz))
        .route("/metrics", get(prometheus))
        .route("/status", get(status))
        .with_state(Context { board, metrics });
    tokio::spawn(async move {
        let served = axum::serve(listener, router).with_graceful_shutdown(shutdown.cancelled_owned()).await;
        if let Err(error) = served {
            tracing::error!(%error, "admin server ended");
        }
    });
    Ok(address)
}

async fn healthz(State(context): State<Context>) -> impl IntoResponse {
    let silence = context.board.age();
    if silence < LONGEST_SILENCE {
        (StatusCode::OK, "ok".to_owned())
    } else {
        (StatusCode::SERVICE_UNAVAILABLE, format!("no look around for {} s", silence.as_secs()))
    }
}

async fn readyz(State(context): State<Context>) -> impl IntoResponse {
    if context.board.is_ready() {
        (StatusCode::OK, "ready".to_owned())
    } else {
        (StatusCode::SERVICE_UNAVAILABLE, "L1, L2 or the schedule wasn't read yet".to_owned())
    }
}

async fn prometheus(State(context): State<Context>) -> impl IntoResponse {
    context.metrics.map_or_else(
        || (StatusCode::NOT_FOUND, "no metrics recorder is installed in this process".to_owned()),
        |handle| (StatusCode::OK, handle.render()),
    )
}

async fn status(State(context): State<Context>) -> impl IntoResponse {
    Json(context.board.get())
}
