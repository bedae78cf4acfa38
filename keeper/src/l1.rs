//! Reading the L1: blocks, and the contracts at one block.

use crate::{
    config::{ContractsConfig, L1Config},
    l1_blocks::{L1Block, L1Blocks},
    links::SettledHead,
    lookahead::PublicationRules,
    settling::SettlementRules,
    without_url::WithoutUrl,
};
use alloy::{
    contract,
    eips::{BlockId, BlockNumberOrTag},
    network::{Ethereum, TransactionBuilder},
    primitives::{Address, B256, U256, address},
    providers::{DynProvider, Provider, RootProvider},
    rpc::{
        client::ClientBuilder,
        types::{Block, Filter, Log, TransactionRequest},
    },
    sol_types::SolEvent,
    transports::{TransportError, http::reqwest},
};
use baton_bindings::{IInbox, IRegistry};
use baton_protocol::{Domain, GatewayId, Link, SlotClock, SlotClockError};
use baton_schedule::NodeUrl;
use std::{
    sync::atomic::{AtomicUsize, Ordering},
    time::Duration,
};

/// How far back a reorg is followed, and how many blocks are read at the start: more than any window has slots.
const BACKFILL: u64 = 96;

/// Slots that the inbox's ring of records holds (`RECORD_RING`): no slot has more than one block, so that older blocks tell of no record.
const RECORD_RING: u64 = 16_384;
/// Blocks whose logs are asked for at once; nodes and providers refuse long ranges.
const LOG_RANGE: u64 = 5_000;

/// EIP-4788's contract.
const BEACON_ROOTS: Address = address!("000F3df6D732807Ef1319fB7B8bB8522d0Beac02");

/// Why the L1 couldn't be read.
#[derive(Debug, thiserror::Error)]
pub enum L1Error {
    /// A URL that can't be used.
    #[error("`l1.urls[{index}]` isn't a URL; write it as \"http://host:port\"")]
    BadUrl {
        /// Its position.
        index: usize,
    },
    /// The HTTP client can't be built.
    #[error("HTTP client: {0}")]
    Client(#[from] reqwest::Error),
    /// A node failed.
    #[error("L1 node: {0}")]
    Rpc(#[from] TransportError),
    /// A contract call failed.
    #[error("contract call: {0}")]
    Contract(#[from] contract::Error),
    /// A node doesn't have a block that it should have.
    #[error("L1 node doesn't have block {0}")]
    MissingBlock(BlockId),
    /// The contracts' parameters contradict each other.
    #[error("the contracts' parameters can't be: {0}")]
    Clock(#[from] SlotClockError),
    /// The contracts were deployed for each other, and these two weren't.
    #[error(
        "`contracts.registry` belongs to inbox {belongs}, not to `contracts.inbox`; set both to the same deployment"
    )]
    WrongRegistry {
        /// The registry's inbox.
        belongs: Address,
    },
}

impl L1Error {
    /// Whether it can go away without anybody changing something.
    pub const fn is_retryable(&self) -> bool {
        matches!(self, Self::Rpc(_) | Self::Contract(_) | Self::MissingBlock(_))
    }
}

/// The deployment's parameters, read once.
#[derive(Clone, Copy, Debug)]
pub struct Deployment {
    /// Where signatures hold.
    pub domain: Domain,
    /// Arithmetic of time.
    pub clock: SlotClock,
    /// What settling depends on.
    pub rules: SettlementRules,
    /// What publishing lookaheads depends on; `None` on a chain without proposers to prove.
    pub publication: Option<PublicationRules>,
}

/// What publications depend on; `None` on a chain without proposers to prove, `[F3]`.
pub fn publication_rules(registry: &IRegistry::RegistryParameters) -> Option<PublicationRules> {
    (!registry.firstVerifier.is_zero())
        .then_some(PublicationRules { settlement_delay: registry.settlementDelay, margin: registry.margin })
}

/// The inbox at one L1 block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InboxState {
    /// Head.
    pub head: SettledHead,
    /// The settler whom derivation follows.
    pub batcher: Address,
}

/// L1 nodes, of which one is asked until it fails.
#[derive(Debug)]
pub struct L1 {
    providers: Vec<DynProvider>,
    active: AtomicUsize,
    registry: Address,
    inbox: Address,
    deployment_block: u64,
}

impl L1 {
    /// Prepares clients; asks nobody yet.
    ///
    /// # Errors
    /// A URL that can't be used.
    pub fn new(config: &L1Config, contracts: &ContractsConfig) -> Result<Self, L1Error> {
        let client = reqwest::Client::builder().timeout(Duration::from_secs(10)).build()?;
        let connect = |(index, url): (usize, &NodeUrl)| {
            let url = url.as_str().parse().map_err(|_| L1Error::BadUrl { index })?;
            let client = ClientBuilder::default().layer(WithoutUrl).http_with_client(client.clone(), url);
            Ok(RootProvider::<Ethereum>::new(client).erased())
        };
        Ok(Self {
            providers: config.urls.iter().enumerate().map(connect).collect::<Result<_, L1Error>>()?,
            active: AtomicUsize::new(0),
            registry: contracts.registry,
            inbox: contracts.inbox,
            deployment_block: contracts.deployment_block,
        })
    }

    /// The node that is asked.
    pub fn node(&self) -> &DynProvider {
        &self.providers[self.active.load(Ordering::Relaxed) % self.providers.len()]
    }

    /// All nodes.
    pub fn nodes(&self) -> &[DynProvider] {
        &self.providers
    }

    /// Asks the next node from now on.
    pub fn fail_over(&self) {
        self.active.fetch_add(1, Ordering::Relaxed);
    }

    /// The inbox's address.
    pub const fn inbox(&self) -> Address {
        self.inbox
    }

    /// Reads the deployment's parameters. Of an inbox that isn't configured, the registry says which it is.
    ///
    /// # Errors
    /// The L1's, and contracts that don't belong together.
    pub async fn deployment(&self) -> Result<Deployment, L1Error> {
        let node = self.node();
        let registry = self.registry_parameters().await?;
        let address = registry.inbox;
        if !self.inbox.is_zero() && self.inbox != address {
            return Err(L1Error::WrongRegistry { belongs: address });
        }
        let inbox = IInbox::new(address, node).parameters().call().await?;
        let clock = SlotClock {
            l1_genesis_time: registry.l1GenesisTime,
            slot_length: registry.slotLength,
            l2_genesis_time: inbox.l2GenesisTime,
            l2_block_time: inbox.l2BlockTime,
            settlement_delay: inbox.settlementDelay,
        };
        clock.validate()?;
        Ok(Deployment {
            domain: Domain { chain_id: node.get_chain_id().await?, inbox: address },
            clock,
            rules: SettlementRules {
                min_chances: inbox.minChances,
                silence: inbox.silence,
                evidence_horizon: inbox.evidenceHorizon,
            },
            publication: publication_rules(&registry),
        })
    }

    /// What the registry was deployed with.
    ///
    /// # Errors
    /// The L1's.
    pub async fn registry_parameters(&self) -> Result<IRegistry::RegistryParameters, L1Error> {
        Ok(self.registry().parameters().call().await?)
    }

    /// Follows the chain to its newest block. The answer is `None` if that is the known one, else how many known ones aren't canonical
    /// any more.
    ///
    /// # Errors
    /// The L1's.
    pub async fn follow(&self, blocks: &mut L1Blocks) -> Result<Option<usize>, L1Error> {
        let newest = self.block(BlockNumberOrTag::Latest.into()).await?;
        if blocks.newest().is_some_and(|known| known.hash == newest.hash) {
            return Ok(None);
        }
        let mut newest_first = vec![newest];
        while let Some(oldest) = newest_first.last()
            && oldest.number > 0
            && !blocks.connects(oldest)
            && (newest_first.len() as u64) < BACKFILL
        {
            let parent = self.block(oldest.parent_hash.into()).await?;
            newest_first.push(parent);
        }
        Ok(Some(blocks.adopt(&newest_first)))
    }

    /// An L1 block.
    ///
    /// # Errors
    /// The L1's; a block that the node doesn't have.
    pub async fn block(&self, id: BlockId) -> Result<L1Block, L1Error> {
        let block: Block = self.node().get_block(id).await?.ok_or(L1Error::MissingBlock(id))?;
        Ok(L1Block {
            number: block.header.number,
            hash: block.header.hash,
            parent_hash: block.header.parent_hash,
            timestamp: block.header.timestamp,
        })
    }

    /// The inbox as of a block.
    ///
    /// # Errors
    /// The L1's.
    pub async fn inbox_at(&self, block: B256) -> Result<InboxState, L1Error> {
        let inbox = IInbox::new(self.inbox, self.node());
        let (head, batcher) = (inbox.head().block(block.into()), inbox.batcher().block(block.into()));
        let (head, batcher) = tokio::try_join!(head.call().into_future(), batcher.call().into_future())?;
        let head = SettledHead { number: head.number, link: Link(head.link), slot: head.slot };
        Ok(InboxState { head, batcher })
    }

    /// A gateway's settlements up to block `newest`, from the events: those whose records the ring may still hold, `[I12]`.
    ///
    /// # Errors
    /// The L1's.
    pub async fn settlements_of(&self, gateway: GatewayId, newest: u64) -> Result<Vec<IInbox::Settled>, L1Error> {
        let mut events = Vec::new();
        let mut from = self.deployment_block.max((newest + 1).saturating_sub(RECORD_RING));
        while from <= newest {
            let to = newest.min(from + LOG_RANGE - 1);
            let filter = Filter::new()
                .address(self.inbox)
                .event_signature(IInbox::Settled::SIGNATURE_HASH)
                .topic2(U256::from(gateway))
                .from_block(from)
                .to_block(to);
            let logs = self.node().get_logs(&filter).await?;
            events
                .extend(logs.iter().filter_map(|log| IInbox::Settled::decode_log(&log.inner).ok()).map(|log| log.data));
            from = to + 1;
        }
        Ok(events)
    }

    /// The root of the beacon block before an L1 block, as EIP-4788's contract says at that L1 block. `None` on chains that have no such contract,
    /// or whose contract has nothing for the block.
    ///
    /// # Errors
    /// The L1's.
    pub async fn parent_beacon_root(&self, block: &L1Block) -> Result<Option<B256>, L1Error> {
        let timestamp = B256::from(U256::from(block.timestamp));
        let request = TransactionRequest::default().with_to(BEACON_ROOTS).with_input(timestamp);
        match self.node().call(request).block(block.hash.into()).await {
            // A chain without the contract answers with nothing.
            Ok(answer) => Ok(B256::try_from(answer.as_ref()).ok().filter(|root| !root.is_zero())),
            // It reverts for a timestamp that it doesn't hold.
            Err(error) if error.as_error_resp().is_some_and(|payload| payload.as_revert_data().is_some()) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// The registry, to be asked as of any block.
    pub fn registry(&self) -> IRegistry::IRegistryInstance<&DynProvider> {
        IRegistry::new(self.registry, self.node())
    }

    /// Whether an epoch's lookahead was published, as of a block.
    ///
    /// # Errors
    /// The L1's.
    pub async fn is_published(&self, epoch: u64, block: B256) -> Result<bool, L1Error> {
        Ok(self.registry().isPublished(U256::from(epoch)).block(block.into()).call().await?)
    }

    /// The event of an epoch's publication, in a range of blocks.
    ///
    /// # Errors
    /// The L1's.
    pub async fn publication_log(&self, epoch: u64, first: u64, last: u64) -> Result<Option<Log>, L1Error> {
        let mut from = first;
        while from <= last {
            let to = last.min(from + LOG_RANGE - 1);
            let filter = Filter::new()
                .address(self.registry)
                .event_signature(IRegistry::LookaheadPublished::SIGNATURE_HASH)
                .topic1(U256::from(epoch))
                .from_block(from)
                .to_block(to);
            if let Some(log) = self.node().get_logs(&filter).await?.pop() {
                return Ok(Some(log));
            }
            from = to + 1;
        }
        Ok(None)
    }

    /// Whether a record's bounties were collected.
    ///
    /// # Errors
    /// The L1's.
    pub async fn is_collected(&self, slot: u64) -> Result<bool, L1Error> {
        Ok(IInbox::new(self.inbox, self.node()).isCollected(slot).call().await?)
    }
}

/// L1s that answer by a script.
#[cfg(test)]
pub(crate) mod scripted {
    use super::*;
    use serde_json::{Value, json};

    /// An L1 that asks such servers.
    pub(crate) fn l1_of(urls: Vec<String>) -> L1 {
        let urls = urls.into_iter().map(Into::into).collect();
        L1::new(&L1Config { urls, poll_ms: None }, &contracts()).expect("URLs are good")
    }

    /// Contracts that aren't there.
    pub(crate) fn contracts() -> ContractsConfig {
        ContractsConfig { registry: Address::repeat_byte(1), inbox: Address::repeat_byte(2), deployment_block: 0 }
    }

    /// A block as `eth_getBlockByNumber` tells it, with nothing in it.
    pub(crate) fn l1_block(number: u64, hash: B256, base_fee: u64) -> Value {
        let zero = format!("0x{}", "00".repeat(32));
        json!({
            "number": format!("{number:#x}"), "hash": hash, "parentHash": zero, "timestamp": format!("{:#x}", number * 12),
            "sha3Uncles": zero, "miner": format!("0x{}", "00".repeat(20)), "stateRoot": zero, "transactionsRoot": zero,
            "receiptsRoot": zero, "logsBloom": format!("0x{}", "00".repeat(256)), "difficulty": "0x0", "gasLimit": "0x1c9c380",
            "gasUsed": "0x0", "extraData": "0x", "mixHash": zero, "nonce": "0x0000000000000000",
            "baseFeePerGas": format!("{base_fee:#x}"), "size": "0x200", "uncles": [], "transactions": [],
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scripted_node::serve;
    use serde_json::json;
    use std::sync::{Arc, Mutex};

    async fn ranges(newest: u64) -> Vec<(u64, u64)> {
        let asked = Arc::new(Mutex::new(Vec::new()));
        let seen = asked.clone();
        let url = serve(move |_, params| {
            let block = |key: &str| {
                let text = params[0][key].as_str().unwrap_or_default().trim_start_matches("0x");
                u64::from_str_radix(text, 16).map_err(|_| json!({"code": -32602, "message": "no such range"}))
            };
            let range = (block("fromBlock")?, block("toBlock")?);
            seen.lock().expect("lock").push(range);
            Ok(json!([]))
        })
        .await;
        let events = scripted::l1_of(vec![url]).settlements_of(1, newest).await.expect("answered");
        assert!(events.is_empty());
        asked.lock().expect("lock").clone()
    }

    #[tokio::test]
    async fn logs_are_asked_for_in_short_ranges_and_as_far_back_as_records_reach() {
        assert_eq!(ranges(0).await, [(0, 0)]);
        assert_eq!(ranges(5_000).await, [(0, 4_999), (5_000, 5_000)]);
        let asked = ranges(1_000_000).await;
        assert_eq!((asked[0].0, asked[asked.len() - 1].1), (1_000_001 - RECORD_RING, 1_000_000));
        assert!(asked.iter().all(|(from, to)| to - from < LOG_RANGE));
        assert!(asked.windows(2).all(|pair| pair[0].1 + 1 == pair[1].0));
    }
}
