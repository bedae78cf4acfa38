//! A port for calls without a token: what batchers, users and tools ask, and nothing that steers the chain.

use crate::{
    body::{Beginning, Broken},
    handler::{Handler, JSON, Reply, Request, TEXT},
    office::Office,
    peek,
    proxy::Proxy,
    rpc,
};
use http::{Method, StatusCode};
use serde::Deserialize;
use serde_json::value::RawValue;
use std::{borrow::Cow, sync::Arc};

/// What only those call who have the token.
const ENGINE: &str = "engine_";

/// The port without tokens.
#[derive(Debug)]
pub(crate) struct OpenPort {
    proxy: Arc<Proxy>,
    office: Arc<Office>,
    max_body: usize,
}

/// Why a body isn't passed on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
enum Refused {
    #[error("not a JSON-RPC call of jsonrpc, id, method and params, each once, or an array of those")]
    Unreadable,
    #[error("engine_ methods take a token, at `engine.listen`")]
    Engine,
}

/// A call, and nothing that an execution client could read otherwise than it is read here: there are JSON libraries that take "Method" for "method", and
/// the last of two for the only one.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Call<'a> {
    #[serde(borrow, default, rename = "jsonrpc")]
    _version: Option<&'a RawValue>,
    #[serde(borrow, default, rename = "id")]
    _id: Option<&'a RawValue>,
    #[serde(borrow)]
    method: Cow<'a, str>,
    #[serde(borrow, default, rename = "params")]
    _params: Option<&'a RawValue>,
}

impl Call<'_> {
    fn check(&self) -> Result<(), Refused> {
        if self.method.starts_with(ENGINE) { Err(Refused::Engine) } else { Ok(()) }
    }
}

/// Checks every call of a body.
fn check(body: &[u8]) -> Result<(), Refused> {
    let is_batch = body.iter().find(|byte| !byte.is_ascii_whitespace()) == Some(&b'[');
    if is_batch {
        let calls: Vec<Call<'_>> = serde_json::from_slice(body).map_err(|_| Refused::Unreadable)?;
        return calls.iter().try_for_each(Call::check);
    }
    serde_json::from_slice::<Call<'_>>(body).map_err(|_| Refused::Unreadable)?.check()
}

impl OpenPort {
    pub(crate) const fn new(proxy: Arc<Proxy>, office: Arc<Office>, max_body: usize) -> Self {
        Self { proxy, office, max_body }
    }
}

impl Handler for OpenPort {
    async fn answer<'a>(&'a self, request: Request<'a>) -> Reply {
        let Request { method, path, body: mut incoming, .. } = request;
        if (method == Method::GET || method == Method::HEAD)
            && let Some(reply) = self.office.health(path)
        {
            return reply;
        }
        if method != Method::POST {
            return Reply::new(StatusCode::METHOD_NOT_ALLOWED, TEXT, "JSON-RPC is posted");
        }
        let too_big = || Reply::new(StatusCode::PAYLOAD_TOO_LARGE, TEXT, "the body exceeds `engine.max_body_mb`");
        if incoming.left().is_some_and(|length| length > self.max_body as u64) {
            return too_big();
        }
        let broken = |error: Broken| Reply::new(StatusCode::BAD_REQUEST, TEXT, error.to_string());
        let beginning = match Beginning::read(&mut incoming, peek::BEGINNING).await {
            Ok(beginning) => beginning,
            Err(error) => return broken(error),
        };
        let body = match beginning.finish(&mut incoming, self.max_body).await {
            Ok(Some(body)) => body,
            Ok(None) => return too_big(),
            Err(error) => return broken(error),
        };
        match check(&body) {
            Ok(()) => {
                let (answer, rest) = self.proxy.answer(body).await;
                Reply::answer(answer, rest)
            }
            Err(refused) => {
                let code = if refused == Refused::Engine { rpc::METHOD_NOT_FOUND } else { rpc::INVALID_REQUEST };
                Reply::new(StatusCode::OK, JSON, rpc::failure(peek::id(&body), code, &refused.to_string()))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_engine_call_gets_through_however_it_is_written() {
        for (body, expected) in [
            (r#"{"jsonrpc":"2.0","id":1,"method":"eth_chainId","params":[]}"#, Ok(())),
            (r#" [{"id":1,"method":"miner_setMaxDASize","params":["0x1","0x1"]},{"method":"net_version"}]"#, Ok(())),
            (r#"{"id":1,"method":"engine_newPayloadV4","params":[]}"#, Err(Refused::Engine)),
            (r#"{"id":1,"method":"\u0065ngine_newPayloadV4","params":[]}"#, Err(Refused::Engine)),
            (r#"[{"id":1,"method":"eth_chainId"},{"id":2,"method":"engine_x"}]"#, Err(Refused::Engine)),
            (r#"{"id":1,"method":"eth_chainId","Method":"engine_newPayloadV4"}"#, Err(Refused::Unreadable)),
            (r#"{"id":1,"method":"eth_chainId","method":"engine_newPayloadV4"}"#, Err(Refused::Unreadable)),
            (r#"{"id":1,"method":"eth_chainId"}{"id":1,"method":"engine_x"}"#, Err(Refused::Unreadable)),
            (r#"[[{"id":1,"method":"engine_x"}]]"#, Err(Refused::Unreadable)),
            ("", Err(Refused::Unreadable)),
        ] {
            assert_eq!(check(body.as_bytes()), expected, "{body}");
        }
    }
}
