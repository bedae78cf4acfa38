//! JSON-RPC over HTTP with a JWT, as a rollup node speaks it.

use baton_devnet_engine::JwtSecret;
use serde_json::{Value, json};
use std::{
    sync::atomic::{AtomicU64, Ordering},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

/// Op-node gives an engine this long.
const TIMEOUT: Duration = Duration::from_secs(5);

/// A client of one engine.
pub struct EngineClient {
    http: reqwest::Client,
    url: String,
    jwt: JwtSecret,
    next_id: AtomicU64,
}

/// Why a call has no result.
#[derive(Debug, thiserror::Error)]
pub enum EngineClientError {
    /// The transport failed, or the answer wasn't JSON.
    #[error("{method}: {source}")]
    Transport {
        /// The method called.
        method: String,
        /// What failed.
        source: reqwest::Error,
    },
    /// The engine answered with an error.
    #[error("{method}: the engine answered {error}")]
    Engine {
        /// The method called.
        method: String,
        /// The JSON-RPC error.
        error: Value,
    },
    /// The answer isn't one to this call.
    #[error("{method}: the answer has id {got}, the call had {expected}")]
    WrongId {
        /// The method called.
        method: String,
        /// The id of the call.
        expected: u64,
        /// The id of the answer.
        got: Value,
    },
}

impl EngineClient {
    /// A client of the engine at `url`.
    pub fn new(url: String, jwt: JwtSecret) -> Self {
        Self { http: reqwest::Client::new(), url, jwt, next_id: AtomicU64::new(0) }
    }

    /// Calls a method and returns its result.
    pub async fn call(&self, method: &str, params: Value) -> Result<Value, EngineClientError> {
        let transport = |source| EngineClientError::Transport { method: method.to_owned(), source };
        let id = self.next_id.fetch_add(1, Ordering::Relaxed);
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
        let mut answer: Value = self
            .http
            .post(&self.url)
            .timeout(TIMEOUT)
            .bearer_auth(self.jwt.token(now))
            .json(&json!({ "jsonrpc": "2.0", "id": id, "method": method, "params": params }))
            .send()
            .await
            .map_err(transport)?
            .error_for_status()
            .map_err(transport)?
            .json()
            .await
            .map_err(transport)?;
        if answer["id"] != json!(id) {
            return Err(EngineClientError::WrongId {
                method: method.to_owned(),
                expected: id,
                got: answer["id"].take(),
            });
        }
        match answer.get_mut("error") {
            Some(error) if !error.is_null() => {
                Err(EngineClientError::Engine { method: method.to_owned(), error: error.take() })
            }
            _ => Ok(answer["result"].take()),
        }
    }
}
