//! Reads from one L1 node, over whatever connection.

use crate::{FollowError, GatewayInfo, GatewayUrls, L1Head, NodeUrl, SequencerKeys, UrlBook, UrlsLog};
use alloy::{
    contract,
    eips::{BlockId, BlockNumberOrTag},
    primitives::{Address, U256},
    providers::{Provider, RootProvider},
    pubsub::RawSubscription,
    rpc::types::{Block, Filter},
    sol_types::SolEvent,
    transports::{RpcError, TransportError},
};
use baton_bindings::{IRegistry, registry::IRegistry::IRegistryInstance};
use baton_protocol::{EpochSchedule, GatewayId};
use futures::{StreamExt, TryStreamExt, stream};
use std::{collections::BTreeMap, future::Future, ops::RangeInclusive, sync::Arc, time::Duration};
use tracing::warn;

/// How many requests may be under way at once.
const CONCURRENCY: usize = 16;

/// An error of a request, told for a node.
trait Told {
    fn told(&self, node: &NodeUrl) -> FollowError;
}

impl Told for TransportError {
    fn told(&self, node: &NodeUrl) -> FollowError {
        FollowError::of_request(self, node)
    }
}

impl Told for contract::Error {
    fn told(&self, node: &NodeUrl) -> FollowError {
        FollowError::of_call(self, node)
    }
}

/// One L1 node and the registry as it shows it. Clones share the connection, which ends with the last of them.
#[derive(Clone)]
pub(crate) struct L1 {
    provider: RootProvider,
    registry: IRegistryInstance<RootProvider>,
    timeout: Duration,
    url: Arc<NodeUrl>,
}

impl L1 {
    pub(crate) fn new(provider: RootProvider, registry: Address, timeout: Duration, url: Arc<NodeUrl>) -> Self {
        Self { registry: IRegistry::new(registry, provider.clone()), provider, timeout, url }
    }

    /// Bounds one request, since the transport itself would wait forever.
    async fn within<T, E: Told>(
        &self,
        what: &'static str,
        request: impl Future<Output = Result<T, E>>,
    ) -> Result<T, FollowError> {
        match tokio::time::timeout(self.timeout, request).await {
            Ok(answer) => answer.map_err(|error| error.told(&self.url)),
            Err(_) => Err(FollowError::Timeout(what)),
        }
    }

    /// Has new heads announced. `None` if the node says that it doesn't do that.
    pub(crate) async fn announcements(&self) -> Result<Option<RawSubscription>, FollowError> {
        match self.within("a subscription", async { self.provider.subscribe_blocks().await }).await {
            Ok(heads) => Ok(Some(heads.into_raw())),
            Err(FollowError::Rpc(error)) => {
                warn!(node = %self.url, error, "the L1 node doesn't announce heads; it is polled");
                Ok(None)
            }
            Err(error) => Err(error),
        }
    }

    pub(crate) async fn head(&self) -> Result<L1Head, FollowError> {
        let request = async { self.provider.get_block_by_number(BlockNumberOrTag::Latest).await };
        self.within("the latest block", request).await?.map(|block| head_of(&block)).ok_or(FollowError::MissingBlock(0))
    }

    pub(crate) async fn block(&self, number: u64) -> Result<Option<L1Head>, FollowError> {
        let request = async { self.provider.get_block_by_number(number.into()).await };
        Ok(self.within("a block", request).await?.map(|block| head_of(&block)))
    }

    /// All `UrlsSet` events of a range of blocks, in one query. An answer with others is none: what stands under a block that nobody has would never be taken
    /// back.
    pub(crate) async fn urls_logs(&self, blocks: RangeInclusive<u64>) -> Result<Vec<UrlsLog>, FollowError> {
        let filter = Filter::new()
            .address(*self.registry.address())
            .event_signature(IRegistry::UrlsSet::SIGNATURE_HASH)
            .from_block(*blocks.start())
            .to_block(*blocks.end());
        let logs = self.within("events", async { self.provider.get_logs(&filter).await }).await?;
        let read = logs.into_iter().map(|log| {
            let block = log.block_number.filter(|number| blocks.contains(number));
            let (Some(block), Some(index), true) = (block, log.log_index, log.address() == *self.registry.address())
            else {
                return Err(FollowError::Rpc("it tells of events that weren't asked for".to_owned()));
            };
            let event = IRegistry::UrlsSet::decode_log(&log.inner).map_err(FollowError::Event)?;
            Ok(UrlsLog {
                block,
                index,
                gateway: event.id,
                urls: GatewayUrls { endpoint: event.endpoint.clone(), feed: event.feed.clone() },
            })
        });
        read.collect()
    }

    /// All gateways and the operator, as of one block.
    pub(crate) async fn gateways(
        &self,
        at: &L1Head,
        urls: &UrlBook,
    ) -> Result<BTreeMap<GatewayId, GatewayInfo>, FollowError> {
        let block = BlockId::hash(at.hash);
        let next = self.within("nextId", async { self.registry.nextId().block(block).call().await }).await?;
        stream::iter(0..next)
            .map(|id| async move {
                let read =
                    self.within("gateway", async { self.registry.gateway(id).block(block).call().await }).await?;
                Ok((id, gateway_info(id, &read, urls.urls(id))))
            })
            .buffered(CONCURRENCY)
            .try_collect()
            .await
    }

    /// Schedules of epochs, as of one block. The last of them may not be fixed yet, and is left out then: it can still be published, `[S2]`. Of
    /// `may_be_open`, a revert without a reason says as much.
    pub(crate) async fn schedules(
        &self,
        at: &L1Head,
        epochs: Vec<u64>,
        may_be_open: Option<u64>,
    ) -> Result<Vec<EpochSchedule>, FollowError> {
        let block = BlockId::hash(at.hash);
        let newest = epochs.iter().copied().max();
        let read: Vec<Option<EpochSchedule>> = stream::iter(epochs)
            .map(|epoch| async move {
                let call = self.registry.scheduleOf(U256::from(epoch)).block(block);
                let read = async {
                    match call.call().await {
                        Ok(read) => Ok(Ok(read)),
                        Err(error) if may_be_open == Some(epoch) && is_bare_revert(&error) => Ok(Err(None)),
                        Err(error) => error
                            .as_decoded_error::<IRegistry::EpochNotFixed>()
                            .map(|early| Err(Some(early)))
                            .ok_or(error),
                    }
                };
                match self.within("scheduleOf", read).await? {
                    Ok(read) => Ok(Some(read.schedule(epoch)?)),
                    Err(None) => Ok(None),
                    Err(Some(early)) => {
                        let last = early.last.saturating_to::<u64>();
                        let open = Some(epoch) == newest && last.checked_add(1) == Some(epoch);
                        if open { Ok(None) } else { Err(FollowError::Clock { expected: epoch, last }) }
                    }
                }
            })
            .buffered(CONCURRENCY)
            .try_collect()
            .await?;
        Ok(read.into_iter().flatten().collect())
    }
}

fn head_of(block: &Block) -> L1Head {
    let header = &block.header;
    L1Head { number: header.number, hash: header.hash, parent_hash: header.parent_hash, timestamp: header.timestamp }
}

/// Whether a node says that a call was reverted, but not with which data.
fn is_bare_revert(error: &contract::Error) -> bool {
    let contract::Error::TransportError(RpcError::ErrorResp(answer)) = error else { return false };
    answer.message.to_ascii_lowercase().contains("revert") && answer.as_revert_data().is_none_or(|data| data.is_empty())
}

fn gateway_info(id: GatewayId, read: &IRegistry::Gateway, urls: GatewayUrls) -> GatewayInfo {
    let set = |slot: u64| (slot != 0).then_some(slot);
    GatewayInfo {
        id,
        owner: read.owner,
        settler: read.settler,
        keys: SequencerKeys { current: read.sequencerKey, previous: read.previousKey, from_epoch: read.keyEpoch.to() },
        ended_slot: set(read.endedSlot.to()),
        withdrawable_slot: set(read.withdrawableSlot.to()),
        eligible: read.eligible,
        urls,
    }
}
