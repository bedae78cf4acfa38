//! What a keeper says of itself.

use alloy::primitives::{Address, B256, TxHash};
use baton_protocol::GatewayId;
use serde::Serialize;
use std::{
    collections::BTreeMap,
    sync::{PoisonError, RwLock},
    time::{Duration, Instant},
};

use crate::signing::Role;

/// A block by number and hash.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct BlockRef {
    /// Number.
    pub number: u64,
    /// Hash.
    pub hash: B256,
}

/// The inbox's head.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct SettledStatus {
    /// Last settled block.
    pub number: u64,
    /// Its link.
    pub link: B256,
    /// Slot of the last settlement; 0 before the first.
    pub slot: u64,
}

/// A run of a batch.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct RunStatus {
    /// `own`, `recreated`, `vacant` or `stale`.
    pub kind: &'static str,
    /// Whose blocks.
    pub owner: GatewayId,
    /// How many.
    pub blocks: usize,
    /// Whether it carries a signature.
    pub signed: bool,
}

/// A batch that was sent.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct BatchStatus {
    /// The transaction.
    pub tx_hash: TxHash,
    /// The slot that it was sent for.
    pub slot: u64,
    /// First block.
    pub first: u64,
    /// Last block.
    pub last: u64,
    /// The runs.
    pub runs: Vec<RunStatus>,
    /// How many blobs.
    pub blobs: usize,
    /// `pending`, `included`, `reverted` or `replaced`.
    pub state: &'static str,
}

/// Who published an epoch's lookahead.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Publisher {
    /// This keeper.
    Own,
    /// Somebody else.
    Other,
    /// Nobody: the epoch falls back.
    Nobody,
}

impl Publisher {
    /// As in the JSON.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Own => "own",
            Self::Other => "other",
            Self::Nobody => "nobody",
        }
    }
}

/// How an epoch came by its schedule.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct LookaheadRecord {
    /// The epoch.
    pub epoch: u64,
    /// Who published its lookahead.
    pub by: Publisher,
    /// This keeper's transaction, if it was it.
    pub tx_hash: Option<TxHash>,
}

/// What a keeper that publishes lookaheads says of that.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct LookaheadStatus {
    /// The account that publishes.
    pub publisher: Address,
    /// The last epoch that is fixed.
    pub last: Option<LookaheadRecord>,
    /// Lookaheads that this keeper published, since the start.
    pub publications: u64,
    /// Attempts that failed, since the start.
    pub failures: u64,
}

/// Everything at `/status`.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Status {
    /// Whose part.
    pub role: Role,
    /// The gateway's id; 0 for the operator.
    pub gateway: GatewayId,
    /// Address of the sequencer key.
    pub sequencer: Address,
    /// The settler.
    pub settler: Option<Address>,
    /// The slot in which a transaction sent now is included.
    pub slot: u64,
    /// Newest L1 block.
    pub l1_head: Option<BlockRef>,
    /// Adopted L2 head.
    pub l2_head: Option<BlockRef>,
    /// Settled head.
    pub settled: Option<SettledStatus>,
    /// Unsettled blocks that hang together.
    pub unsettled: usize,
    /// The block signed last.
    pub last_signed: Option<BlockRef>,
    /// Commitments in the journal.
    pub journal: u64,
    /// Feeds followed, and whether they are connected.
    pub peers: BTreeMap<GatewayId, bool>,
    /// The batch sent last.
    pub last_batch: Option<BatchStatus>,
    /// Settlements included so far, since the start.
    pub settlements: u64,
    /// Publishing lookaheads; `null` in a keeper that doesn't.
    pub lookahead: Option<LookaheadStatus>,
    /// What failed last, by what was tried; gone once it works again.
    pub errors: BTreeMap<&'static str, String>,
}

/// The status as shared between the keeper and those who ask.
#[derive(Debug)]
pub struct StatusBoard {
    status: RwLock<(Status, Instant)>,
}

impl StatusBoard {
    /// A board that shows this first.
    pub fn new(status: Status) -> Self {
        Self { status: RwLock::new((status, Instant::now())) }
    }

    /// Changes it from beside the loop: that doesn't count as a sign of life of the loop's.
    pub fn amend(&self, change: impl FnOnce(&mut Status)) {
        change(&mut self.status.write().unwrap_or_else(PoisonError::into_inner).0);
    }

    /// Changes it.
    pub fn update(&self, change: impl FnOnce(&mut Status)) {
        let mut guard = self.status.write().unwrap_or_else(PoisonError::into_inner);
        change(&mut guard.0);
        guard.1 = Instant::now();
    }

    /// What it shows.
    pub fn get(&self) -> Status {
        self.status.read().unwrap_or_else(PoisonError::into_inner).0.clone()
    }

    /// How long ago it changed.
    pub fn age(&self) -> Duration {
        self.status.read().unwrap_or_else(PoisonError::into_inner).1.elapsed()
    }

    /// Whether L1 and L2 were read.
    pub fn is_ready(&self) -> bool {
        let guard = self.status.read().unwrap_or_else(PoisonError::into_inner);
        guard.0.l1_head.is_some() && guard.0.l2_head.is_some() && guard.0.settled.is_some()
    }
}
