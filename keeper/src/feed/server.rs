//! Serving one's own soft blocks.

use crate::{
    archive::Archive,
    feed::{FeedItem, MAX_COUNT, NOTIFICATION, SOFT_BLOCKS, SUBSCRIBE, UNSUBSCRIBE},
};
use baton_protocol::GatewayId;
use jsonrpsee::{
    RpcModule,
    core::{RegisterMethodError, to_json_raw_value},
    server::{ServerBuilder, ServerConfig, ServerHandle},
    types::ErrorObjectOwned,
};
use serde_json::value::RawValue;
use std::{net::SocketAddr, sync::Arc};
use tokio::sync::broadcast;

/// Bytes of blocks in one answer; in hex twice that.
const MAX_BLOCK_BYTES: usize = 8 << 20;
/// Bytes of an answer at most: a single number's blocks can exceed the above.
pub(super) const MAX_MESSAGE_BYTES: u32 = 64 << 20;
const MAX_CONNECTIONS: u32 = 256;
/// Soft blocks that a subscriber may lag behind before it is cut off and has to catch up by range.
const BUFFERED: usize = 512;

/// Why the feed can't be served.
#[derive(Debug, thiserror::Error)]
pub enum FeedServerError {
    /// The address can't be listened at.
    #[error("`feed.listen` {address} can't be used: {source}")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// What the system says.
        source: std::io::Error,
    },
    /// Two methods of one name: a defect of this crate.
    #[error("feed methods: {0}")]
    Methods(#[from] RegisterMethodError),
}

#[derive(Debug)]
struct Context {
    gateway: GatewayId,
    archive: Arc<Archive>,
    news: broadcast::Sender<Arc<RawValue>>,
}

/// A running feed. Stops when it is dropped.
#[derive(Debug)]
pub struct FeedServer {
    address: SocketAddr,
    news: broadcast::Sender<Arc<RawValue>>,
    handle: ServerHandle,
}

impl FeedServer {
    /// Serves the soft blocks of a gateway out of the archive.
    ///
    /// # Errors
    /// An address that can't be used.
    pub async fn start(listen: SocketAddr, gateway: GatewayId, archive: Arc<Archive>) -> Result<Self, FeedServerError> {
        let cannot_listen = |source| FeedServerError::Listen { address: listen, source };
        let config = ServerConfig::builder()
            .max_request_body_size(64 << 10)
            .max_response_body_size(MAX_MESSAGE_BYTES)
            .max_connections(MAX_CONNECTIONS)
            .max_subscriptions_per_connection(4)
            .build();
        let server = ServerBuilder::with_config(config).build(listen).await.map_err(cannot_listen)?;
        let address = server.local_addr().map_err(cannot_listen)?;
        let (news, _) = broadcast::channel(BUFFERED);
        let handle = server.start(methods(Context { gateway, archive, news: news.clone() })?);
        Ok(Self { address, news, handle })
    }

    /// Where it listens.
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// Sends an item to the subscribers. It has to be in the archive before, for those who catch up at this moment.
    pub fn publish(&self, item: &FeedItem) {
        match to_json_raw_value(item) {
            // Nobody being subscribed is no error.
            Ok(raw) => drop(self.news.send(raw.into())),
            Err(error) => tracing::error!(%error, "feed item can't be written as JSON"),
        }
    }
}

impl Drop for FeedServer {
    fn drop(&mut self) {
        // Fails only if it has stopped already.
        let _ = self.handle.stop();
    }
}

fn methods(context: Context) -> Result<RpcModule<Context>, RegisterMethodError> {
    let mut module = RpcModule::new(context);
    module.register_blocking_method(SOFT_BLOCKS, |params, context, _| {
        let (from, count): (u64, usize) = params.parse()?;
        let found = context
            .archive
            .soft_blocks(context.gateway, from, count.clamp(1, MAX_COUNT), MAX_BLOCK_BYTES)
            .map_err(|error| ErrorObjectOwned::owned(-32603, error.to_string(), None::<()>))?;
        Ok::<Vec<FeedItem>, ErrorObjectOwned>(found.into_iter().map(FeedItem::from).collect())
    })?;
    module.register_subscription(SUBSCRIBE, NOTIFICATION, UNSUBSCRIBE, |_, pending, context, _| async move {
        let mut news = context.news.subscribe();
        let Ok(sink) = pending.accept().await else { return };
        loop {
            let item = tokio::select! {
                item = news.recv() => item,
                () = sink.closed() => return,
            };
            // One that lags misses items: cut off, so that it comes back and catches up.
            let Ok(item) = item else { return };
            if sink.send(item.as_ref().to_owned()).await.is_err() {
                return;
            }
        }
    })?;
    Ok(module)
}
