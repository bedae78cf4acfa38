//! One node behind the portal, over HTTP with its own secret.

use crate::{body::Outgoing, jwt::Secret};
use bytes::Bytes;
use http::{HeaderValue, Method, Request, StatusCode, Uri, header};
use http_body_util::{BodyExt, Limited};
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::{TokioExecutor, TokioTimer},
};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// How long connecting may take; on a network that drops packets nothing else would end it before the request's own limit.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(1);
/// How long an idle connection is kept.
const IDLE_TIMEOUT: Duration = Duration::from_secs(90);

/// A node that speaks JSON-RPC over HTTP. Connections are kept alive and shared by clones.
#[derive(Clone, Debug)]
pub(crate) struct Upstream {
    client: Client<HttpConnector, Outgoing>,
    uri: Uri,
    secret: Option<Secret>,
    timeout: Duration,
    max_body: usize,
}

/// Why a node gave no answer. All but [`UpstreamError::Unauthorized`] may pass by themselves.
#[derive(Debug, thiserror::Error)]
pub(crate) enum UpstreamError {
    /// No connection, or it broke.
    #[error("no connection: {0}")]
    Connection(String),
    /// Too slow.
    #[error("no answer within {0:?}")]
    Timeout(Duration),
    /// The answer is too big.
    #[error("the answer exceeds {0} bytes")]
    TooBig(usize),
    /// It refuses the portal's token.
    #[error(
        "it refuses the portal's token ({0}): its JWT secret differs from the one configured for it, or its clock does"
    )]
    Unauthorized(StatusCode),
    /// It answers with an HTTP error.
    #[error("HTTP status {0}")]
    Status(StatusCode),
}

impl UpstreamError {
    /// A short fixed name, for metrics.
    pub(crate) const fn name(&self) -> &'static str {
        match self {
            Self::Connection(_) => "connection",
            Self::Timeout(_) => "timeout",
            Self::TooBig(_) => "too_big",
            Self::Unauthorized(_) => "unauthorized",
            Self::Status(_) => "status",
        }
    }
}

impl Upstream {
    /// A node at an `http` URI, with the secret shared with it, if there is one. Connects when first asked.
    pub(crate) fn new(uri: Uri, secret: impl Into<Option<Secret>>, timeout: Duration, max_body: usize) -> Self {
        let secret = secret.into();
        let mut connector = HttpConnector::new();
        connector.set_nodelay(true);
        connector.set_connect_timeout(Some(CONNECT_TIMEOUT.min(timeout)));
        let client = Client::builder(TokioExecutor::new())
            .pool_timer(TokioTimer::new())
            .pool_idle_timeout(IDLE_TIMEOUT)
            .build(connector);
        Self { client, uri, secret, timeout, max_body }
    }

    /// The same node over connections of its own: those of a client live where they were made, and serve others only across threads.
    pub(crate) fn apart(&self) -> Self {
        Self::new(self.uri.clone(), self.secret.clone(), self.timeout, self.max_body)
    }

    /// Where it is.
    pub(crate) const fn uri(&self) -> &Uri {
        &self.uri
    }

    /// Sends a body and gives the answer's, whatever is in it. The time limit covers the whole exchange, so a node that hangs after its headers
    /// is late like any other.
    pub(crate) async fn call(&self, body: impl Into<Outgoing>) -> Result<Bytes, UpstreamError> {
        tokio::time::timeout(self.timeout, self.exchange(body.into()))
            .await
            .unwrap_or(Err(UpstreamError::Timeout(self.timeout)))
    }

    async fn exchange(&self, body: Outgoing) -> Result<Bytes, UpstreamError> {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
        let mut request = Request::new(body);
        *request.method_mut() = Method::POST;
        *request.uri_mut() = self.uri.clone();
        request.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
        // A token is ASCII, so it always fits a header.
        if let Some(secret) = &self.secret
            && let Ok(mut token) = HeaderValue::from_str(&format!("Bearer {}", secret.token(now)))
        {
            token.set_sensitive(true);
            request.headers_mut().insert(header::AUTHORIZATION, token);
        }
        let response = self.client.request(request).await.map_err(|error| UpstreamError::Connection(chain(&error)))?;
        match response.status() {
            status @ (StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN) => Err(UpstreamError::Unauthorized(status)),
            status => {
                let body = Limited::new(response.into_body(), self.max_body).collect().await;
                let body = body.map_err(|error| match error.downcast_ref::<http_body_util::LengthLimitError>() {
                    Some(_) => UpstreamError::TooBig(self.max_body),
                    None => UpstreamError::Connection(chain(&*error)),
                })?;
                let body = body.to_bytes();
                // Some nodes send JSON-RPC errors under an HTTP error: those answers are answers.
                if status.is_success() || body.first() == Some(&b'{') {
                    Ok(body)
                } else {
                    Err(UpstreamError::Status(status))
                }
            }
        }
    }
}

/// An error with its causes, which is where the reason is.
fn chain(error: &(dyn std::error::Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(": ");
        text.push_str(&error.to_string());
        cause = error.source();
    }
    text
}
