//! One node behind the portal, over HTTP with its own secret.

use crate::{
    body::{Broken, Outgoing},
    jwt::Secret,
    lookup::Lookup,
    wire::{ExchangeError, Link, connect_within, is_within},
};
use baton_logging::told;
use bytes::Bytes;
use http::{StatusCode, Uri};
use hyper_util::client::legacy::connect::{HttpConnector, dns::Name};
use std::{
    collections::VecDeque,
    error::Error,
    fmt::{self, Write},
    future::poll_fn,
    io,
    net::{IpAddr, SocketAddr},
    str::FromStr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, SystemTime, UNIX_EPOCH},
};
use tokio::time::{Instant, timeout, timeout_at};
use tower_service::Service;

/// How long connecting may take; on a network that drops packets nothing else would end it before the request's own limit.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(1);
/// How long an idle connection is kept.
const IDLE_TIMEOUT: Duration = Duration::from_secs(90);
/// The port of `http` URLs that name none.
const HTTP: u16 = 80;
/// The name of the machine that looks it up.
const LOCALHOST: &str = "localhost";
/// How many idle connections are kept.
const MAX_IDLE: usize = 32;

/// A node that speaks JSON-RPC over HTTP. Connections are kept alive and shared by clones.
#[derive(Clone)]
pub(crate) struct Upstream {
    connector: HttpConnector<Lookup>,
    lookup: Lookup,
    uri: Uri,
    secret: Option<Secret>,
    timeout: Duration,
    max_body: usize,
    shared: Arc<Mutex<Shared>>,
}

/// What a node's clones share.
#[derive(Default)]
struct Shared {
    /// The one used last is at the end.
    idle: VecDeque<Link>,
    /// A request's head as far as its body's length, and the second in which its token is issued: calls come several in a second.
    head: Option<(u64, String)>,
}

impl fmt::Debug for Upstream {
    // Without the token.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Upstream").field("uri", &self.uri).finish_non_exhaustive()
    }
}

/// Why a node gave no answer. All but [`UpstreamError::Unauthorized`] may pass by themselves.
#[derive(Debug, thiserror::Error)]
pub(crate) enum UpstreamError {
    /// No connection, or it broke.
    #[error("no connection: {0}")]
    Connection(String),
    /// What was to be sent broke off, which is the caller's doing and not the node's.
    #[error("{0}")]
    Body(Broken),
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
    /// Whether the node would have failed with any request: what else goes wrong may be this one's doing, a status because of its length for example.
    pub(crate) const fn is_of_the_node(&self) -> bool {
        matches!(self, Self::Connection(_) | Self::Timeout(_) | Self::Unauthorized(_))
    }

    /// A short fixed name, for metrics.
    pub(crate) const fn name(&self) -> &'static str {
        match self {
            Self::Connection(_) => "connection",
            Self::Body(_) => "body",
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
        let lookup = Lookup::default();
        let mut connector = HttpConnector::new_with_resolver(lookup.clone());
        connector.set_nodelay(true);
        connector.set_connect_timeout(Some(CONNECT_TIMEOUT.min(timeout)));
        Self { connector, lookup, uri, secret: secret.into(), timeout, max_body, shared: Arc::default() }
    }

    /// The same node over connections of its own: those of a client live where they were made, and serve others only across threads.
    pub(crate) fn apart(&self) -> Self {
        Self::new(self.uri.clone(), self.secret.clone(), self.timeout, self.max_body)
    }

    /// The same node, of which only shorter answers are taken.
    pub(crate) fn at_most(self, max_body: usize) -> Self {
        Self { max_body: max_body.min(self.max_body), ..self }
    }

    /// Where it is.
    pub(crate) const fn uri(&self) -> &Uri {
        &self.uri
    }

    /// Whether it is at a URI, with a secret.
    pub(crate) fn is_at(&self, uri: &Uri, secret: &Secret) -> bool {
        self.uri == *uri && self.secret.as_ref() == Some(secret)
    }

    /// How long a call may take.
    pub(crate) const fn timeout(&self) -> Duration {
        self.timeout
    }

    /// How long an answer may be, in bytes.
    pub(crate) const fn max_body(&self) -> usize {
        self.max_body
    }

    /// Sends a body and gives the answer's, whatever is in it. The time limit covers the whole exchange, so a node that hangs after its headers
    /// is late like any other.
    pub(crate) async fn call(&self, body: impl Into<Outgoing<'_>>) -> Result<Bytes, UpstreamError> {
        timeout(self.timeout, self.exchange(&mut body.into()))
            .await
            .unwrap_or(Err(UpstreamError::Timeout(self.timeout)))
    }

    /// The same until a time of the caller's; `None` if that comes before the time limit, and before an answer.
    pub(crate) async fn call_until(
        &self,
        deadline: Instant,
        body: impl Into<Outgoing<'_>>,
    ) -> Option<Result<Bytes, UpstreamError>> {
        let limit = Instant::now() + self.timeout;
        match timeout_at(limit.min(deadline), self.exchange(&mut body.into())).await {
            Ok(answer) => Some(answer),
            Err(_) if deadline < limit => None,
            Err(_) => Some(Err(UpstreamError::Timeout(self.timeout))),
        }
    }

    /// The same without a time limit, for a caller that sets its own. Of a body that is still coming, as much is taken as the node takes.
    pub(crate) async fn exchange(&self, body: &mut Outgoing<'_>) -> Result<Bytes, UpstreamError> {
        let head = self.head(body.length());
        let answer = loop {
            let idle = self.idle();
            let was_idle = idle.is_some();
            let link = match idle {
                Some(link) => link,
                None => self.connect().await?,
            };
            match link.exchange(head.clone(), body, self.max_body).await {
                Ok((answer, link)) => {
                    self.keep(link);
                    break answer;
                }
                // The node closed it while it was idle. Nothing was answered, and no call here does harm when it arrives twice.
                Err(ExchangeError::Unanswered(_)) if was_idle => body.rewind().map_err(UpstreamError::Body)?,
                Err(ExchangeError::Body(broken)) => return Err(UpstreamError::Body(broken)),
                Err(ExchangeError::TooBig) => return Err(UpstreamError::TooBig(self.max_body)),
                Err(error) => return Err(UpstreamError::Connection(error.to_string())),
            }
        };
        match answer.status {
            status @ (StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN) => Err(UpstreamError::Unauthorized(status)),
            // Some nodes send JSON-RPC errors under an HTTP error: those answers are answers.
            status if status.is_success() || answer.body.first() == Some(&b'{') => Ok(answer.body),
            status => Err(UpstreamError::Status(status)),
        }
    }

    /// Does what a call would have to do first, so that the next needn't: makes this second's token. Gives up connections that have been idle for long.
    pub(crate) fn make_ready(&self) {
        self.beginning(&mut self.shared());
        self.keep(None);
    }

    /// A request's head as far as its body's length.
    fn beginning<'a>(&self, shared: &'a mut Shared) -> &'a str {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
        if shared.head.as_ref().is_none_or(|(second, _)| *second != now) {
            shared.head = Some((now, self.head_at(now)));
        }
        shared.head.as_ref().map_or("", |(_, head)| head.as_str())
    }

    /// A request's head for a body of a length.
    fn head(&self, length: u64) -> Bytes {
        let mut shared = self.shared();
        let beginning = self.beginning(&mut shared);
        let mut head = String::with_capacity(beginning.len() + 24);
        head.push_str(beginning);
        // Writing to a string can't fail.
        let _ = write!(head, "{length}\r\n\r\n");
        head.into()
    }

    fn head_at(&self, now: u64) -> String {
        // Shown, a query without a path has the slash that a request needs before it.
        let target = self.uri.path_and_query().map_or_else(|| "/".to_owned(), ToString::to_string);
        let host = self.uri.authority().map_or("", |authority| authority.as_str());
        let host = host.rsplit_once('@').map_or(host, |(_, host)| host);
        let authorization = match &self.secret {
            Some(secret) => format!("authorization: Bearer {}\r\n", secret.token(now)),
            None => String::new(),
        };
        format!(
            "POST {target} HTTP/1.1\r\nhost: {host}\r\ncontent-type: application/json\r\n{authorization}content-length: "
        )
    }

    fn shared(&self) -> MutexGuard<'_, Shared> {
        self.shared.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The connection used last, if it can be used again.
    fn idle(&self) -> Option<Link> {
        let mut shared = self.shared();
        while let Some(mut link) = shared.idle.pop_back() {
            if link.is_usable(IDLE_TIMEOUT) {
                return Some(link);
            }
        }
        None
    }

    fn keep(&self, link: Option<Link>) {
        let mut shared = self.shared();
        // Those that once were needed at the same time, and no more: the oldest is the first.
        while shared.idle.front().is_some_and(|oldest| oldest.is_old(IDLE_TIMEOUT)) {
            shared.idle.pop_front();
        }
        if shared.idle.len() < MAX_IDLE {
            shared.idle.extend(link);
        }
    }

    async fn connect(&self) -> Result<Link, UpstreamError> {
        let failed = |error: &(dyn Error + 'static)| UpstreamError::Connection(told(error));
        if let Some(addresses) = self.addresses_within().await.map_err(|error| failed(&error))? {
            let connected = connect_within(&addresses, CONNECT_TIMEOUT.min(self.timeout)).await;
            return Ok(Link::new(connected.map_err(|error| failed(&error))?));
        }
        let mut connector = self.connector.clone();
        poll_fn(|context| connector.poll_ready(context)).await.map_err(|error| failed(&error))?;
        let connected = connector.call(self.uri.clone()).await.map_err(|error| failed(&error))?;
        Ok(Link::new(connected.into_inner()))
    }

    /// Its addresses, if it is within the machine for certain: by an address, or by the name that leads nowhere else (RFC 6761).
    async fn addresses_within(&self) -> io::Result<Option<Vec<SocketAddr>>> {
        let host = self.uri.host().unwrap_or_default().trim_start_matches('[').trim_end_matches(']');
        let port = self.uri.port_u16().unwrap_or(HTTP);
        let addresses: Vec<_> = match host.parse::<IpAddr>() {
            Ok(address) => vec![(address.to_canonical(), port).into()],
            Err(_) if host.eq_ignore_ascii_case(LOCALHOST) => {
                let name = Name::from_str(LOCALHOST).map_err(io::Error::other)?;
                let found = self.lookup.clone().call(name).await?;
                found.map(|address| (address.ip(), port).into()).collect()
            }
            Err(_) => return Ok(None),
        };
        Ok(addresses.iter().all(|address: &SocketAddr| is_within(address.ip())).then_some(addresses))
    }
}

#[cfg(test)]
mod tests;
