//! One L1 node and the connection to it: HTTP, which needs no looking after, or a websocket, which does.

use crate::{ConfigError, FollowError, NodeUrl, config::parse_url, http, l1::L1, redial::Redial, span::Span};
use alloy::{
    primitives::Address,
    providers::RootProvider,
    pubsub::{ConnectionHandle, PubSubConnect, RawSubscription},
    rpc::client::ClientBuilder,
    transports::{
        TransportErrorKind, TransportResult,
        ws::{WebSocketConfig, WsConnect},
    },
};
use std::{fmt, sync::Arc, time::Duration};
use tokio::{
    sync::broadcast::error::TryRecvError,
    time::{Instant, timeout},
};
use tracing::info;

/// An L1 node.
pub(crate) struct Node {
    url: Arc<NodeUrl>,
    link: Link,
    /// How many blocks' events it is asked for at once.
    pub(crate) span: Span,
}

enum Link {
    Http(L1),
    Websocket(Box<Websocket>),
}

/// A node's websocket, dialled when it is needed.
struct Websocket {
    url: Arc<NodeUrl>,
    registry: Address,
    timeout: Duration,
    connection: Option<Connection>,
    redial: Redial,
    /// Why there is no connection.
    down: String,
}

struct Connection {
    l1: L1,
    /// Announcements of heads; few are kept, and the oldest are dropped for new ones. `None` if the node doesn't announce any.
    heads: Option<RawSubscription>,
    since: Instant,
}

/// Dials once. alloy would dial again by itself, for as long as that takes, and keep requests until then; here the next node is asked instead.
#[derive(Clone)]
struct DialOnce(WsConnect);

impl PubSubConnect for DialOnce {
    fn is_local(&self) -> bool {
        self.0.is_local()
    }

    async fn connect(&self) -> TransportResult<ConnectionHandle> {
        self.0.connect().await
    }

    async fn try_reconnect(&self) -> TransportResult<ConnectionHandle> {
        Err(TransportErrorKind::non_retryable_str("the websocket is lost"))
    }
}

impl Node {
    /// Where it is, to be told.
    pub(crate) fn url(&self) -> &NodeUrl {
        &self.url
    }

    /// Dials nobody yet.
    pub(crate) fn new(
        index: usize,
        url: NodeUrl,
        registry: Address,
        timeout: Duration,
        log_span: u64,
    ) -> Result<Self, ConfigError> {
        let parsed = parse_url(index, &url)?;
        let url = Arc::new(url);
        let link = match parsed.scheme() {
            "ws" | "wss" => Link::Websocket(Box::new(Websocket {
                url: url.clone(),
                registry,
                timeout,
                connection: None,
                redial: Redial::default(),
                down: String::new(),
            })),
            _ => {
                let bad = |reason| ConfigError::BadUrl { index, url: NodeUrl::clone(&url), reason };
                let provider = http::provider(&parsed).map_err(bad)?;
                Link::Http(L1::new(provider, registry, timeout, url.clone()))
            }
        };
        Ok(Self { url, link, span: Span::new(log_span) })
    }

    /// What to ask it with. Dials its websocket if it is down and its pause is over.
    pub(crate) async fn open(&mut self) -> Result<L1, FollowError> {
        match &mut self.link {
            Link::Http(l1) => Ok(l1.clone()),
            Link::Websocket(websocket) => websocket.open().await,
        }
    }

    /// Takes note of what asking it came to. Says whether to ask it again at once: a connection that had held for long is lost, which says nothing
    /// about the node.
    pub(crate) fn failed(&mut self, error: &FollowError) -> bool {
        let Link::Websocket(websocket) = &mut self.link else { return false };
        if !error.breaks_connection() {
            return false;
        }
        websocket.lost(error.to_string());
        // One that is silent isn't worth a second wait before the others are asked.
        matches!(error, FollowError::Unreachable(_)) && websocket.redial.is_due(Instant::now())
    }

    /// Waits until the node announces a head, or its connection is lost, which whoever asks it next finds out. Forever, if it is none that announces.
    pub(crate) async fn announced(&mut self) {
        if let Link::Websocket(websocket) = &mut self.link
            && let Some(heads) = websocket.heads()
        {
            // Announcements that were dropped for newer ones were announcements, too.
            let _ = heads.recv().await;
        } else {
            std::future::pending().await
        }
    }

    /// Forgets what was announced until now.
    pub(crate) fn forget_announced(&mut self) {
        let Link::Websocket(websocket) = &mut self.link else { return };
        let Some(heads) = websocket.heads() else { return };
        while matches!(heads.try_recv(), Ok(_) | Err(TryRecvError::Lagged(_))) {}
    }

    /// When its websocket is to be dialled again; `None` if it has one, or needs none.
    pub(crate) fn redial_due(&self) -> Option<Instant> {
        match &self.link {
            Link::Websocket(websocket) if websocket.connection.is_none() => websocket.redial.due(),
            _ => None,
        }
    }

    /// Hangs up: another node is followed.
    pub(crate) fn close(&mut self) {
        if let Link::Websocket(websocket) = &mut self.link {
            websocket.connection = None;
        }
    }
}

impl Websocket {
    async fn open(&mut self) -> Result<L1, FollowError> {
        if let Some(connection) = &self.connection {
            return Ok(connection.l1.clone());
        }
        if !self.redial.is_due(Instant::now()) {
            return Err(FollowError::Down(self.down.clone()));
        }
        match self.dial().await {
            Ok(connection) => {
                info!(node = %self.url, "the L1 node's websocket is open");
                Ok(self.connection.insert(connection).l1.clone())
            }
            Err(error) => {
                self.redial.failed(Instant::now());
                self.down = error.to_string();
                Err(error)
            }
        }
    }

    async fn dial(&self) -> Result<Connection, FollowError> {
        // An answer is one frame, at most nodes.
        let limits = WebSocketConfig::default()
            .max_frame_size(Some(http::LARGEST_ANSWER))
            .max_message_size(Some(http::LARGEST_ANSWER));
        let connect = DialOnce(WsConnect::new(self.url.as_str()).with_config(limits));
        let client = timeout(self.timeout, ClientBuilder::default().pubsub(connect))
            .await
            .map_err(|_| FollowError::Timeout("the websocket's handshake"))?
            .map_err(|error| FollowError::of_request(&error, &self.url))?;
        let l1 = L1::new(RootProvider::new(client), self.registry, self.timeout, self.url.clone());
        let heads = l1.announcements().await?;
        Ok(Connection { l1, heads, since: Instant::now() })
    }

    fn heads(&mut self) -> Option<&mut RawSubscription> {
        self.connection.as_mut()?.heads.as_mut()
    }

    fn lost(&mut self, reason: String) {
        let Some(connection) = self.connection.take() else { return };
        let now = Instant::now();
        self.redial.lost(now, now - connection.since);
        info!(node = %self.url, reason, "the L1 node's websocket is closed");
        self.down = reason;
    }
}

/// Nothing but what may be shown of the URL.
impl fmt::Debug for Node {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.url, f)
    }
}
