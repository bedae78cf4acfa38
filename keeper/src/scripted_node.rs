//! A JSON-RPC server on loopback that answers by a script, for tests of what the keeper asks and what it makes of the answers.

use axum::{Json, Router, routing::post};
use serde_json::{Value, json};
use std::sync::Arc;

/// Answers by method and parameters; an error is a JSON-RPC error object.
pub(crate) type Script = dyn Fn(&str, &Value) -> Result<Value, Value> + Send + Sync;

/// Starts a server that lives as long as the test's runtime. The answer is its URL.
pub(crate) async fn serve(script: impl Fn(&str, &Value) -> Result<Value, Value> + Send + Sync + 'static) -> String {
    let script: Arc<Script> = Arc::new(script);
    let answer = move |Json(request): Json<Value>| {
        let script = script.clone();
        async move {
            let one = |request: &Value| {
                let method = request["method"].as_str().unwrap_or_default();
                match script(method, &request["params"]) {
                    Ok(result) => json!({"jsonrpc": "2.0", "id": request["id"], "result": result}),
                    Err(error) => json!({"jsonrpc": "2.0", "id": request["id"], "error": error}),
                }
            };
            Json(match &request {
                Value::Array(batch) => batch.iter().map(one).collect(),
                request => one(request),
            })
        }
    };
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let address = listener.local_addr().expect("bound");
    tokio::spawn(async move { axum::serve(listener, Router::new().route("/", post(answer))).await });
    format!("http://{address}")
}
