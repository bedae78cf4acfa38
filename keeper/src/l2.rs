//! Reading the gateway's own execution client: the head that op-node adopted, and blocks.

use crate::{
    adopted::AdoptedChain,
    archive::{Archive, ArchiveError},
    links::BlockSummary,
    without_url::WithoutUrl,
};
use alloy::{
    primitives::{B256, Bytes},
    rpc::client::{ClientBuilder, RpcClient},
    transports::{TransportError, http::reqwest},
};
use baton_batch::{BlockError, L2Block};
use serde::Deserialize;
use std::{
    collections::HashMap,
    time::{Duration, Instant},
};

/// Blocks read at once at most; what is older isn't settled from here without help.
const MAX_READ: usize = 50_000;

/// Why the execution client couldn't be read.
#[derive(Debug, thiserror::Error)]
pub enum L2Error {
    /// The URL can't be used.
    #[error("`l2.url` isn't a URL; write it as \"http://host:port\"")]
    BadUrl,
    /// The HTTP client can't be built.
    #[error("HTTP client: {0}")]
    Client(#[from] reqwest::Error),
    /// The client failed.
    #[error("execution client: {0}")]
    Rpc(#[from] TransportError),
    /// It gave another block than was asked for.
    #[error("the execution client gave block {given} for {asked}")]
    OtherBlock {
        /// Asked for.
        asked: B256,
        /// Given.
        given: B256,
    },
    /// A block that can't be posted.
    #[error("{0}")]
    Block(#[from] BlockError),
    /// The archive failed.
    #[error("{0}")]
    Archive(#[from] ArchiveError),
}

/// The adopted head.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
pub struct Head {
    /// Number; 0 before the first block is built.
    #[serde(with = "alloy::serde::quantity")]
    pub number: u64,
    /// Hash.
    pub hash: B256,
}

/// The gateway's own execution client.
#[derive(Debug)]
pub struct L2 {
    client: RpcClient,
    head: Option<Head>,
    /// Blocks that can't be posted and those on top of them, as far as they were walked, with the blocks that they can't be settled beyond.
    unpostable: HashMap<B256, Stop>,
}

/// Where a chain ends for the keeper: below a block that can't be posted.
#[derive(Clone, Copy, Debug)]
struct Stop {
    /// The number of that block.
    number: u64,
    /// Its parent, the last one that can be settled.
    parent: B256,
}

/// A header as far as it is looked at where the block is no use.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Header {
    #[serde(with = "alloy::serde::quantity")]
    number: u64,
    hash: B256,
    parent_hash: B256,
}

/// What a block is to the keeper.
enum Fetched {
    Block(BlockSummary),
    Genesis,
    Unpostable(Stop),
}

impl L2 {
    /// Prepares a client; asks nothing yet.
    ///
    /// # Errors
    /// A URL that can't be used.
    pub fn new(url: &str) -> Result<Self, L2Error> {
        let http = reqwest::Client::builder().timeout(Duration::from_secs(5)).build()?;
        let url: reqwest::Url = url.parse().map_err(|_| L2Error::BadUrl)?;
        Ok(Self {
            client: ClientBuilder::default().layer(WithoutUrl).http_with_client(http, url),
            head: None,
            unpostable: HashMap::new(),
        })
    }

    /// Follows the chain to the adopted head, archiving the blocks. `floor` is the lowest number that is wanted, `settled` the last one that is
    /// settled. The answer is `None` if the head is the known one, else how many blocks were replaced. Above an unsettled block that can't be posted
    /// nothing is adopted: what lies below still is.
    ///
    /// # Errors
    /// The client's and the archive's.
    pub async fn follow(
        &mut self,
        chain: &mut AdoptedChain,
        archive: &Archive,
        floor: u64,
        settled: u64,
    ) -> Result<Option<usize>, L2Error> {
        let head: Option<Head> = self.client.request("eth_getBlockByNumber", ("latest", false)).await?;
        let Some(head) = head else { return Ok(None) };
        self.head = Some(head);
        if chain.head().is_some_and(|known| known.hash == head.hash) {
            return Ok(None);
        }
        self.unpostable.retain(|_, stop| stop.number > settled);
        let mut newest_first: Vec<BlockSummary> = Vec::new();
        let mut next = head.hash;
        loop {
            let fetched = match (self.unpostable.get(&next), archive.block(next)?) {
                (Some(stop), _) => Fetched::Unpostable(*stop),
                (None, Some(rlp)) => Fetched::Block(BlockSummary::from(&L2Block::from_rlp(&rlp)?)),
                (None, None) => self.fetch(next, archive).await?,
            };
            let summary = match fetched {
                Fetched::Block(summary) => summary,
                // The L2 genesis block has no L1 origin; nothing below it is wanted either.
                Fetched::Genesis => break,
                Fetched::Unpostable(stop) if stop.number <= settled => break,
                Fetched::Unpostable(stop) => {
                    self.unpostable.extend(newest_first.drain(..).map(|above| (above.hash, stop)));
                    self.unpostable.insert(next, stop);
                    if stop.number <= 1 || chain.head().is_some_and(|known| known.hash == stop.parent) {
                        break;
                    }
                    next = stop.parent;
                    continue;
                }
            };
            newest_first.push(summary);
            if summary.number <= floor.max(1)
                || chain.knows(summary.number - 1, summary.parent_hash)
                || newest_first.len() >= MAX_READ
            {
                break;
            }
            next = summary.parent_hash;
        }
        Ok(Some(chain.adopt(&newest_first, Instant::now())))
    }

    /// The adopted head as of the last look.
    pub const fn head(&self) -> Option<Head> {
        self.head
    }

    async fn fetch(&self, hash: B256, archive: &Archive) -> Result<Fetched, L2Error> {
        let rlp: Bytes = self.client.request("debug_getRawBlock", (hash,)).await?;
        let block = match L2Block::from_rlp(&rlp) {
            Err(BlockError::NoTransactions { number: 0 }) => return Ok(Fetched::Genesis),
            // Not a whole block: the client's fault, not the block's.
            Err(error @ (BlockError::Rlp { .. } | BlockError::TransactionsRoot { .. })) => return Err(error.into()),
            Err(error) => {
                let header: Header = self.client.request("eth_getBlockByHash", (hash, false)).await?;
                if header.hash != hash {
                    return Err(L2Error::OtherBlock { asked: hash, given: header.hash });
                }
                // Once per block: it is remembered.
                tracing::error!(number = header.number, %hash, %error, "block can't be posted; nothing above it is signed or settled");
                metrics::counter!("baton_keeper_unpostable_blocks_total").increment(1);
                return Ok(Fetched::Unpostable(Stop { number: header.number, parent: header.parent_hash }));
            }
            Ok(block) => block,
        };
        if block.id().hash != hash {
            return Err(L2Error::OtherBlock { asked: hash, given: block.id().hash });
        }
        archive.put_block(block.id().number, hash, block.id().parent_hash, &rlp)?;
        Ok(Fetched::Block(BlockSummary::from(&block)))
    }
}
