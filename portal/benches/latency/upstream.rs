//! Execution clients' side: reads a whole body, and answers at once.

use crate::bodies::{Block, LARGE, LARGE_ID, PAYLOAD_ID, envelope};
use bytes::Bytes;
use eyre::Result;
use http::{Request, Response};
use http_body_util::{BodyExt, Full};
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use std::{borrow::Cow, convert::Infallible, net::SocketAddr, sync::Arc, time::Duration};
use tokio::net::TcpListener;

/// How soon one answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Pace {
    /// At once.
    Prompt,
    /// Late, after [`LATE`].
    Slow,
    /// Never.
    Hanging,
}

/// How long a slow one takes to answer: many blocks here.
const LATE: Duration = Duration::from_millis(300);

/// What there is to get.
struct Envelopes {
    small: String,
    large: String,
}

/// Starts one, on a thread of its own as it would be a program of its own; it lasts as long as the process.
pub(crate) fn start(pace: Pace) -> Result<SocketAddr> {
    let [small, large] = [envelope(Block::Small)?, envelope(Block::Large)?].map(|envelope| envelope.to_string());
    let envelopes = Arc::new(Envelopes { small, large });
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let listener = runtime.block_on(TcpListener::bind("127.0.0.1:0"))?;
    let address = listener.local_addr()?;
    let serve = async move {
        while let Ok((stream, _)) = listener.accept().await {
            let envelopes = envelopes.clone();
            // A connection that can't be had without delay is measured with it, for everybody.
            let _ = stream.set_nodelay(true);
            tokio::spawn(async move {
                let service = service_fn(move |request| answer(request, envelopes.clone(), pace));
                let _ = http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
            });
        }
    };
    std::thread::spawn(move || runtime.block_on(serve));
    Ok(address)
}

async fn answer(
    request: Request<Incoming>,
    envelopes: Arc<Envelopes>,
    pace: Pace,
) -> Result<Response<Full<Bytes>>, Infallible> {
    let body = request.into_body().collect().await.map(|body| body.to_bytes()).unwrap_or_default();
    match pace {
        Pace::Prompt => {}
        Pace::Slow => tokio::time::sleep(LATE).await,
        Pace::Hanging => std::future::pending().await,
    }
    // A real client writes method and id at the beginning or the end; nothing between is looked at here.
    let has = |name: &str| {
        let beginning = &body[..body.len().min(200)];
        let end = &body[body.len().saturating_sub(200)..];
        [beginning, end].iter().any(|part| part.windows(name.len()).any(|found| found == name.as_bytes()))
    };
    let id = id(&body);
    let valid = json!({"status": "VALID", "latestValidHash": null, "validationError": null});
    let result: Cow<'_, str> = if has("engine_getPayload") {
        if has(LARGE_ID) { &envelopes.large } else { &envelopes.small }.into()
    } else if has("engine_forkchoiceUpdated") {
        let contains = |text: &str| body.windows(text.len()).any(|part| part == text.as_bytes());
        let payload_id = match (contains("timestamp"), contains(LARGE)) {
            (false, _) => Value::Null,
            (true, false) => json!(PAYLOAD_ID),
            (true, true) => json!(LARGE_ID),
        };
        json!({"payloadStatus": valid, "payloadId": payload_id}).to_string().into()
    } else if has("engine_newPayload") {
        valid.to_string().into()
    } else if has("eth_getBlockByNumber") {
        "null".into()
    } else {
        "\"0x1\"".into()
    };
    Ok(Response::new(Full::new(Bytes::from(format!(r#"{{"jsonrpc":"2.0","id":{id},"result":{result}}}"#)))))
}

/// The number behind `"id":`, at the beginning of a body or at its end.
fn id(body: &[u8]) -> u64 {
    let find = |part: &[u8]| {
        let at = part.windows(5).rposition(|found| found == b"\"id\":")? + 5;
        let digits: String = part[at..].iter().map(|byte| char::from(*byte)).take_while(char::is_ascii_digit).collect();
        digits.parse().ok()
    };
    let beginning = &body[..body.len().min(60)];
    find(beginning).or_else(|| find(&body[body.len().saturating_sub(60)..])).unwrap_or(0)
}
