//! An L2 RPC for wallets: passes calls on to the portal, which spreads transactions to every engine, with the token that wallets don't have.

use axum::{Router, body::Bytes, extract::State, http::StatusCode, response::IntoResponse, routing::post};
use baton_devnet_engine::JwtSecret;
use eyre::Result;
use serde::Deserialize;
use std::{
    net::Ipv4Addr,
    sync::Arc,
    time::{SystemTime, UNIX_EPOCH},
};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

struct Portal {
    http: reqwest::Client,
    url: String,
    jwt: JwtSecret,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Calls {
    One(Call),
    Many(Vec<Call>),
}

#[derive(Deserialize)]
struct Call {
    method: String,
}

impl Calls {
    fn methods(&self) -> impl Iterator<Item = &str> {
        let calls = match self {
            Self::One(call) => std::slice::from_ref(call),
            Self::Many(calls) => calls,
        };
        calls.iter().map(|call| call.method.as_str())
    }
}

/// Serves it on a free port of the loopback interface until `shutdown`, and returns its URL.
pub(crate) async fn serve(portal_url: String, jwt: JwtSecret, shutdown: CancellationToken) -> Result<String> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
    let url = format!("http://{}", listener.local_addr()?);
    let portal = Arc::new(Portal { http: reqwest::Client::new(), url: portal_url, jwt });
    let router = Router::new().route("/", post(pass_on)).with_state(portal);
    tokio::spawn(async move {
        let served = axum::serve(listener, router).with_graceful_shutdown(shutdown.cancelled_owned()).await;
        if let Err(error) = served {
            tracing::error!(%error, "the wallets' RPC ended");
        }
    });
    Ok(url)
}

async fn pass_on(State(portal): State<Arc<Portal>>, body: Bytes) -> impl IntoResponse {
    match serde_json::from_slice::<Calls>(&body) {
        Ok(calls) if calls.methods().any(|method| method.starts_with("engine_")) => {
            (StatusCode::FORBIDDEN, Bytes::from_static(b"engine_ calls need the portal's own port and its secret"))
        }
        Ok(_) => portal.call(body).await.unwrap_or_else(|error| (StatusCode::BAD_GATEWAY, error.to_string().into())),
        Err(error) => (StatusCode::BAD_REQUEST, format!("not a JSON-RPC call: {error}").into()),
    }
}

impl Portal {
    async fn call(&self, body: Bytes) -> reqwest::Result<(StatusCode, Bytes)> {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
        let request = self.http.post(&self.url).bearer_auth(self.jwt.token(now));
        let answer = request.header("content-type", "application/json").body(body).send().await?;
        Ok((answer.status(), answer.bytes().await?))
    }
}
