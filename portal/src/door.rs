//! The engine port: who may enter, and with how much.

use crate::{
    body::{Beginning, Broken},
    handler::{Handler, Reply, Request, TEXT},
    jwt::{Doorkeeper, Secret},
    office::Office,
    peek,
    proxy::Proxy,
    refusal::Refusals,
};
use http::{Method, StatusCode};
use std::{
    fmt,
    sync::Arc,
    time::{SystemTime, UNIX_EPOCH},
};

/// The engine port.
#[derive(Debug)]
pub(crate) struct Door {
    proxy: Arc<Proxy>,
    office: Arc<Office>,
    keeper: Doorkeeper,
    max_body: usize,
    refusals: Refusals,
}

impl Door {
    pub(crate) fn new(proxy: Arc<Proxy>, office: Arc<Office>, secret: Secret, max_body: usize) -> Self {
        Self { proxy, office, keeper: Doorkeeper::new(secret), max_body, refusals: Refusals::default() }
    }

    fn refuse(&self, status: StatusCode, reason: &impl fmt::Display) -> Reply {
        self.refusals.note(status, &reason);
        Reply::new(status, TEXT, reason.to_string())
    }

    fn too_big(&self) -> Reply {
        let reason = format!("the body exceeds `engine.max_body_mb` ({} bytes)", self.max_body);
        self.refuse(StatusCode::PAYLOAD_TOO_LARGE, &reason)
    }
}

impl Handler for Door {
    async fn answer<'a>(&'a self, request: Request<'a>) -> Reply {
        let Request { method, path, authorization, visitor, body: mut incoming } = request;
        // As rollup-boost does: op-conductor looks at the health of its execution engine on the engine's own port, without a token.
        if (method == Method::GET || method == Method::HEAD)
            && let Some(reply) = self.office.health(path)
        {
            return reply;
        }
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
        if let Err(error) = self.keeper.authorize(authorization, now) {
            return self.refuse(StatusCode::UNAUTHORIZED, &error);
        }
        visitor.admit();
        if method != Method::POST {
            return self.refuse(StatusCode::METHOD_NOT_ALLOWED, &"JSON-RPC is posted");
        }
        let length = incoming.left();
        if length.is_some_and(|length| length > self.max_body as u64) {
            return self.too_big();
        }
        let broken = |error: Broken| self.refuse(StatusCode::BAD_REQUEST, &error);
        let beginning = match Beginning::read(&mut incoming, peek::BEGINNING).await {
            Ok(beginning) => beginning,
            Err(error) => return broken(error),
        };
        if let Some(length) = length
            && !beginning.ended
        {
            let whole = beginning.whole();
            if let Some(call) = peek::new_payload(&whole) {
                let (answer, rest) = self.proxy.pass(&call, beginning.pieces, incoming, length).await;
                return Reply::answer(answer, Some(rest));
            }
        }
        match beginning.finish(&mut incoming, self.max_body).await {
            Ok(Some(body)) => {
                let (answer, rest) = self.proxy.answer(body).await;
                Reply::answer(answer, rest)
            }
            Ok(None) => self.too_big(),
            Err(error) => broken(error),
        }
    }

    fn refused(&self, status: StatusCode, reason: &dyn fmt::Display) {
        self.refusals.note(status, &reason);
    }
}
