//! The engine port: who may enter, and with how much.

use crate::{
    body::{self, Beginning},
    jwt::{Doorkeeper, Secret},
    office::Office,
    peek,
    proxy::Proxy,
    server::{JSON, TEXT, respond},
};
use bytes::Bytes;
use http::{Method, Request, Response, StatusCode, header};
use http_body_util::Full;
use hyper::body::{Body, Incoming};
use std::{
    sync::Arc,
    time::{SystemTime, UNIX_EPOCH},
};
use tracing::debug;

/// The engine port.
#[derive(Debug)]
pub(crate) struct Door {
    proxy: Arc<Proxy>,
    office: Arc<Office>,
    keeper: Doorkeeper,
    max_body: usize,
}

impl Door {
    pub(crate) const fn new(proxy: Arc<Proxy>, office: Arc<Office>, secret: Secret, max_body: usize) -> Self {
        Self { proxy, office, keeper: Doorkeeper::new(secret), max_body }
    }

    pub(crate) async fn answer(&self, request: Request<Incoming>) -> Response<Full<Bytes>> {
        // As rollup-boost does: op-conductor looks at the health of its execution engine on the engine's own port, without a token.
        if request.method() == Method::GET
            && let Some(answer) = self.office.health(request.uri().path())
        {
            return answer;
        }
        let token = request.headers().get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
        if let Err(error) = self.keeper.authorize(token, now) {
            debug!(%error, "refused a call");
            return respond(StatusCode::UNAUTHORIZED, TEXT, error.to_string());
        }
        if request.method() != Method::POST {
            return respond(StatusCode::METHOD_NOT_ALLOWED, TEXT, "JSON-RPC is posted");
        }
        let mut incoming = request.into_body();
        let length = incoming.size_hint().exact();
        if length.is_some_and(|length| length > self.max_body as u64) {
            return self.too_big(incoming).await;
        }
        let broken = |error: hyper::Error| respond(StatusCode::BAD_REQUEST, TEXT, error.to_string());
        let beginning = match Beginning::read(&mut incoming, peek::BEGINNING).await {
            Ok(beginning) => beginning,
            Err(error) => return broken(error),
        };
        if let Some(length) = length
            && !beginning.ended
        {
            let whole = beginning.whole();
            if let Some(call) = peek::new_payload(&whole) {
                return respond(StatusCode::OK, JSON, self.proxy.pass(&call, beginning.pieces, incoming, length).await);
            }
        }
        match beginning.finish(&mut incoming, self.max_body).await {
            Ok(Some(body)) => respond(StatusCode::OK, JSON, self.proxy.answer(body).await),
            Ok(None) => self.too_big(incoming).await,
            Err(error) => broken(error),
        }
    }

    async fn too_big(&self, rest: Incoming) -> Response<Full<Bytes>> {
        body::discard(rest, self.max_body).await;
        let message = format!("the body exceeds `engine.max_body_mb` ({} bytes)", self.max_body);
        respond(StatusCode::PAYLOAD_TOO_LARGE, TEXT, message)
    }
}
