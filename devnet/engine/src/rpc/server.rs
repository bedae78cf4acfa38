//! The HTTP server.

use std::{
    io,
    net::{Ipv4Addr, SocketAddr},
    sync::Arc,
};

use axum::{
    Json, Router,
    body::Bytes,
    extract::{DefaultBodyLimit, State},
    http::{HeaderMap, StatusCode, header::AUTHORIZATION},
    response::{IntoResponse, Response},
    routing::{get, post},
};
use tokio::{net::TcpListener, task::JoinHandle};
use tokio_util::sync::CancellationToken;

use super::{
    engine_api, eth_api,
    jsonrpc::{self, Params},
    jwt::{JwtSecret, unix_now},
};
use crate::{engine::Engine, error::EngineError};

/// Largest request body in bytes: a full block of calldata, hex-encoded, with room.
const MAX_BODY: usize = 64 << 20;

/// Where and how an engine is served.
#[derive(Clone, Debug)]
pub struct ServeConfig {
    /// Address of the port with JWT: all namespaces.
    pub engine_addr: SocketAddr,
    /// Address of the open port: everything but `engine_`.
    pub rpc_addr: SocketAddr,
    /// Secret of the first port.
    pub jwt: JwtSecret,
}

impl ServeConfig {
    /// Both ports on loopback, chosen by the system.
    pub fn ephemeral(jwt: JwtSecret) -> Self {
        let any = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        Self { engine_addr: any, rpc_addr: any, jwt }
    }
}

/// A running server. Dropping it stops the server without waiting.
#[derive(Debug)]
pub struct ServerHandle {
    engine_addr: SocketAddr,
    rpc_addr: SocketAddr,
    stop: CancellationToken,
    tasks: Vec<JoinHandle<io::Result<()>>>,
}

impl ServerHandle {
    /// Where it is served, to be served there again.
    pub fn config(&self, jwt: JwtSecret) -> ServeConfig {
        ServeConfig { engine_addr: self.engine_addr, rpc_addr: self.rpc_addr, jwt }
    }

    /// URL of the port with JWT.
    pub fn engine_url(&self) -> String {
        format!("http://{}", self.engine_addr)
    }

    /// URL of the open port.
    pub fn rpc_url(&self) -> String {
        format!("http://{}", self.rpc_addr)
    }

    /// Stops accepting, lets calls under way finish, and returns when both ports are closed.
    pub async fn shutdown(mut self) {
        self.stop.cancel();
        for task in std::mem::take(&mut self.tasks) {
            match task.await {
                Ok(Ok(())) => {}
                Ok(Err(error)) => tracing::warn!(%error, "server ended with an error"),
                Err(error) => tracing::warn!(%error, "server task failed"),
            }
        }
    }
}

impl Drop for ServerHandle {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

#[derive(Clone)]
struct Port {
    engine: Arc<Engine>,
    /// `None` on the open port.
    jwt: Option<JwtSecret>,
}

/// Serves `engine` on two ports until the handle is shut down or dropped.
///
/// # Errors
/// When a port can't be bound.
pub async fn serve(engine: Arc<Engine>, config: ServeConfig) -> io::Result<ServerHandle> {
    let stop = CancellationToken::new();
    let engine_listener = TcpListener::bind(config.engine_addr).await?;
    let rpc_listener = TcpListener::bind(config.rpc_addr).await?;
    let (engine_addr, rpc_addr) = (engine_listener.local_addr()?, rpc_listener.local_addr()?);
    let open = Port { engine: engine.clone(), jwt: None };
    let authenticated = Port { engine, jwt: Some(config.jwt) };
    let tasks = vec![run(engine_listener, authenticated, stop.clone()), run(rpc_listener, open, stop.clone())];
    tracing::info!(%engine_addr, %rpc_addr, "engine is served");
    Ok(ServerHandle { engine_addr, rpc_addr, stop, tasks })
}

fn run(listener: TcpListener, port: Port, stop: CancellationToken) -> JoinHandle<io::Result<()>> {
    let router = Router::new()
        .route("/", post(handle))
        .route("/healthz", get(|| async { StatusCode::OK }))
        .layer(DefaultBodyLimit::max(MAX_BODY))
        .with_state(port);
    let server = axum::serve(listener, router).with_graceful_shutdown(stop.cancelled_owned());
    tokio::spawn(async move { server.await })
}

async fn handle(State(port): State<Port>, headers: HeaderMap, body: Bytes) -> Response {
    if let Some(secret) = &port.jwt {
        let header = headers.get(AUTHORIZATION).and_then(|value| value.to_str().ok());
        if let Err(error) = secret.verify_header(header, unix_now()) {
            tracing::warn!(%error, "unauthorised call");
            return (StatusCode::UNAUTHORIZED, error.to_string()).into_response();
        }
    }
    // Execution takes milliseconds of processor time: keep it off the threads that drive connections.
    let answer =
        tokio::task::spawn_blocking(move || jsonrpc::answer(&body, |method, params| port.call(method, params)));
    match answer.await {
        Ok(Some(answer)) => Json(answer).into_response(),
        Ok(None) => StatusCode::NO_CONTENT.into_response(),
        Err(error) => {
            tracing::error!(%error, "call panicked");
            StatusCode::INTERNAL_SERVER_ERROR.into_response()
        }
    }
}

impl Port {
    fn call(&self, method: &str, params: Params) -> Result<serde_json::Value, EngineError> {
        if method.starts_with("engine_") && self.jwt.is_some() {
            engine_api::dispatch(&self.engine, method, params)
        } else {
            eth_api::dispatch(&self.engine, method, params)
        }
    }
}
