//! A request and its reply, whichever version of HTTP they travel by.

use crate::{
    body::{Incoming, Pieces},
    proxy::Rest,
    strangers::Visitor,
};
use bytes::Bytes;
use http::{Method, StatusCode};
use std::fmt;

pub(crate) const JSON: &str = "application/json";
pub(crate) const TEXT: &str = "text/plain; charset=utf-8";

/// A request whose body may still be coming.
#[derive(Debug)]
pub(crate) struct Request<'a> {
    pub(crate) method: Method,
    /// Without the query.
    pub(crate) path: &'a str,
    /// The Authorization header's value.
    pub(crate) authorization: Option<&'a str>,
    /// Whoever takes its token says so there.
    pub(crate) visitor: &'a Visitor,
    pub(crate) body: Incoming<'a>,
}

/// What a request is answered with.
#[derive(Debug)]
pub(crate) struct Reply {
    pub(crate) status: StatusCode,
    pub(crate) content_type: &'static str,
    pub(crate) body: Pieces,
    /// Kept until the reply is written, or as much of it as the caller takes at once.
    pub(crate) rest: Option<Rest>,
}

impl Reply {
    pub(crate) fn new(status: StatusCode, content_type: &'static str, body: impl Into<Bytes>) -> Self {
        Self { status, content_type, body: body.into().into(), rest: None }
    }

    /// A JSON-RPC answer.
    pub(crate) fn answer(body: impl Into<Pieces>, rest: Option<Rest>) -> Self {
        Self { status: StatusCode::OK, content_type: JSON, body: body.into(), rest }
    }
}

/// What answers requests.
pub(crate) trait Handler: Send + Sync + 'static {
    /// Answers one. What it leaves of the body is the connection's to deal with.
    fn answer<'a>(&'a self, request: Request<'a>) -> impl Future<Output = Reply> + Send + 'a;

    /// Hears of what was refused because it is no request.
    fn refused(&self, _status: StatusCode, _reason: &dyn fmt::Display) {}
}
