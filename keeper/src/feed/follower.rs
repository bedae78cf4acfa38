//! Following the feeds of all others.

use crate::{
    archive::{Archive, ArchiveError},
    config::FeedConfig,
    feed::{FeedItem, MAX_COUNT, SOFT_BLOCKS, SUBSCRIBE, UNSUBSCRIBE, check, server::MAX_MESSAGE_BYTES},
};
use baton_protocol::{Domain, GatewayId, NOBODY};
use baton_schedule::{Handle, Snapshot};
use jsonrpsee::{
    core::client::{ClientT, Error as ClientError, SubscriptionClientT},
    rpc_params,
    ws_client::{WsClient, WsClientBuilder},
};
use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

const FIRST_PAUSE: Duration = Duration::from_millis(200);
const LONGEST_PAUSE: Duration = Duration::from_secs(5);
const REQUEST_TIMEOUT: Duration = Duration::from_secs(10);
/// Items of a subscription that wait to be read. A feed that sends faster loses its subscription, not our memory; what was missed is caught up by range.
const MAX_WAITING: usize = 32;
/// How often, and how long apart, an item is tried whose epoch isn't known yet.
const RETRIES: u32 = 10;
const RETRY_PAUSE: Duration = Duration::from_millis(200);

/// What followers share.
#[derive(Debug)]
pub struct FollowerContext {
    /// Where signatures hold.
    pub domain: Domain,
    /// Schedule and keys.
    pub schedule: Handle,
    /// Where items go.
    pub archive: Arc<Archive>,
    /// The settled head's number: nothing up to it is asked for.
    pub settled: AtomicU64,
    /// Told of each new item.
    pub news: Notify,
}

/// One feed that is followed.
#[derive(Debug)]
struct Peer {
    url: String,
    stop: CancellationToken,
    connected: Arc<Mutex<bool>>,
}

/// All feeds that are followed.
#[derive(Debug)]
pub struct FeedFollowers {
    me: GatewayId,
    config: FeedConfig,
    context: Arc<FollowerContext>,
    shutdown: CancellationToken,
    peers: BTreeMap<GatewayId, Peer>,
}

/// Why a feed was lost.
#[derive(Debug, thiserror::Error)]
enum FollowError {
    #[error("{0}")]
    Client(#[from] ClientError),
    #[error("the subscription ended")]
    Ended,
    #[error("an item can't be read: {0}")]
    Json(#[from] serde_json::Error),
    #[error("{0}")]
    Archive(#[from] ArchiveError),
}

impl FeedFollowers {
    /// Follows nobody yet; see [`Self::update`].
    pub fn new(me: GatewayId, config: FeedConfig, context: Arc<FollowerContext>, shutdown: CancellationToken) -> Self {
        Self { me, config, context, shutdown, peers: BTreeMap::new() }
    }

    /// Follows the feeds that registry and configuration name now, and stops following those they no longer name.
    pub fn update(&mut self, snapshot: &Snapshot) {
        let mut wanted: BTreeMap<GatewayId, String> = snapshot
            .gateways
            .values()
            .map(|info| (info.id, info.urls.feed.clone()))
            .chain(self.config.operator.iter().map(|url| (NOBODY, url.clone())))
            .chain(self.config.peers.iter().filter_map(|(id, url)| Some((id.parse().ok()?, url.clone()))))
            .filter(|(id, _)| *id != self.me)
            .collect();
        wanted.retain(|_, url| !url.is_empty());
        self.peers.retain(|id, peer| {
            let keep = wanted.get(id) == Some(&peer.url);
            if !keep {
                peer.stop.cancel();
            }
            keep
        });
        for (gateway, url) in wanted {
            self.peers.entry(gateway).or_insert_with(|| {
                let (stop, connected) = (self.shutdown.child_token(), Arc::new(Mutex::new(false)));
                let task = follow(gateway, url.clone(), self.context.clone(), connected.clone());
                let stopped = stop.clone();
                tokio::spawn(async move { stopped.run_until_cancelled(task).await });
                Peer { url, stop, connected }
            });
        }
    }

    /// Whether each feed is connected.
    pub fn connected(&self) -> BTreeMap<GatewayId, bool> {
        let state = |peer: &Peer| *peer.connected.lock().unwrap_or_else(PoisonError::into_inner);
        self.peers.iter().map(|(id, peer)| (*id, state(peer))).collect()
    }
}

/// Follows one feed for good, over all failures.
async fn follow(gateway: GatewayId, url: String, context: Arc<FollowerContext>, connected: Arc<Mutex<bool>>) {
    let set = |value| *connected.lock().unwrap_or_else(PoisonError::into_inner) = value;
    let mut pause = FIRST_PAUSE;
    loop {
        let outcome = match connect(&url).await {
            Ok(client) => {
                tracing::info!(gateway, "following feed");
                pause = FIRST_PAUSE;
                set(true);
                follow_connected(gateway, &client, &context).await
            }
            Err(error) => Err(error.into()),
        };
        set(false);
        if let Err(error) = outcome {
            tracing::debug!(gateway, %error, retry_ms = pause.as_millis(), "feed lost");
        }
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(LONGEST_PAUSE);
    }
}

async fn connect(url: &str) -> Result<WsClient, ClientError> {
    let url = url.strip_prefix("http://").map_or_else(|| url.to_owned(), |rest| format!("ws://{rest}"));
    WsClientBuilder::new()
        .connection_timeout(REQUEST_TIMEOUT)
        .request_timeout(REQUEST_TIMEOUT)
        .max_response_size(MAX_MESSAGE_BYTES)
        .max_buffer_capacity_per_subscription(MAX_WAITING)
        .build(url)
        .await
}

/// Subscribes, then catches up by range, so that nothing falls between the two.
async fn follow_connected(gateway: GatewayId, client: &WsClient, context: &FollowerContext) -> Result<(), FollowError> {
    let mut subscription = client.subscribe::<FeedItem, _>(SUBSCRIBE, rpc_params![], UNSUBSCRIBE).await?;
    let mut from = context.settled.load(Ordering::Relaxed) + 1;
    loop {
        let items: Vec<FeedItem> = client.request(SOFT_BLOCKS, rpc_params![from, MAX_COUNT]).await?;
        let Some(last) = items.last().map(|item| item.soft_block.number) else { break };
        for item in items {
            keep(gateway, item, context).await?;
        }
        // One that answers with numbers not asked for would keep us here for good.
        if last < from {
            break;
        }
        from = last + 1;
    }
    while let Some(item) = subscription.next().await {
        keep(gateway, item?, context).await?;
    }
    Err(FollowError::Ended)
}

/// Checks an item and keeps it. One that isn't worth keeping is dropped, and said so, without giving the feed up.
async fn keep(gateway: GatewayId, item: FeedItem, context: &FollowerContext) -> Result<(), FollowError> {
    let number = item.soft_block.number;
    for attempt in 0.. {
        match check(item.clone(), gateway, &context.schedule.snapshot(), &context.domain) {
            Ok((archived, parent)) => {
                if context.archive.put_soft_block(&archived, parent)? {
                    context.news.notify_one();
                }
                return Ok(());
            }
            Err(error) if error.is_retryable() && attempt < RETRIES => tokio::time::sleep(RETRY_PAUSE).await,
            Err(error) => {
                tracing::warn!(gateway, number, %error, "feed item refused");
                return Ok(());
            }
        }
    }
    Ok(())
}
