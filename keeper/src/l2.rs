//! Reading the gateway's own execution client: the head that op-node adopted, and blocks.

use crate::{
    adopted::AdoptedChain,
    archive::{Archive, ArchiveError},
    links::BlockSummary,
};
use alloy::{
    primitives::{B256, Bytes},
    rpc::client::{ClientBuilder, ReqwestClient},
    transports::{TransportError, http::reqwest},
};
use baton_batch::{BlockError, L2Block};
use serde::Deserialize;
use std::time::{Duration, Instant};

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
    client: ReqwestClient,
    head: Option<Head>,
}

impl L2 {
    /// Prepares a client; asks nothing yet.
    ///
    /// # Errors
    /// A URL that can't be used.
    pub fn new(url: &str) -> Result<Self, L2Error> {
        let http = reqwest::Client::builder().timeout(Duration::from_secs(5)).build()?;
        let url: reqwest::Url = url.parse().map_err(|_| L2Error::BadUrl)?;
        let transport = alloy::transports::http::Http::with_client(http, url);
        Ok(Self { client: ClientBuilder::default().transport(transport, false), head: None })
    }

    /// Follows the chain to the adopted head, archiving the blocks. `floor` is the lowest number that is wanted. The answer is `None` if the head is
    /// the known one, else how many blocks were replaced.
    ///
    /// # Errors
    /// The client's and the archive's.
    pub async fn follow(
        &mut self,
        chain: &mut AdoptedChain,
        archive: &Archive,
        floor: u64,
    ) -> Result<Option<usize>, L2Error> {
        let head: Option<Head> = self.client.request("eth_getBlockByNumber", ("latest", false)).await?;
        let Some(head) = head else { return Ok(None) };
        self.head = Some(head);
        if chain.head().is_some_and(|known| known.hash == head.hash) {
            return Ok(None);
        }
        let mut newest_first: Vec<BlockSummary> = Vec::new();
        let mut next = head.hash;
        loop {
            let summary = match archive.block(next)? {
                Some(rlp) => BlockSummary::from(&L2Block::from_rlp(&rlp)?),
                None => match self.fetch(next, archive).await? {
                    Some(summary) => summary,
                    // The L2 genesis block has no L1 origin; nothing below it is wanted either.
                    None => break,
                },
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

    async fn fetch(&self, hash: B256, archive: &Archive) -> Result<Option<BlockSummary>, L2Error> {
        let rlp: Bytes = self.client.request("debug_getRawBlock", (hash,)).await?;
        let block = match L2Block::from_rlp(&rlp) {
            Err(BlockError::NoTransactions { number: 0 }) => return Ok(None),
            block => block?,
        };
        if block.id().hash != hash {
            return Err(L2Error::OtherBlock { asked: hash, given: block.id().hash });
        }
        archive.put_block(block.id().number, hash, block.id().parent_hash, &rlp)?;
        Ok(Some(BlockSummary::from(&block)))
    }
}
