//! Sending the transactions of many validators, none of which waits for another.

use crate::{
    l1::L1,
    lookahead::gas_limit,
    posting::{Call, Estimate, Outcome, Pending, SendError, Sender},
    registry_revert::RegistryRevert,
};
use alloy::primitives::{Bytes, TxHash};
use futures::{StreamExt, TryStreamExt, stream};
use serde::Serialize;
use std::{
    fmt,
    time::{Duration, Instant},
};
use tokio::time::sleep;

/// Calls that are tried out at once.
const CONCURRENCY: usize = 8;
/// Slots that transactions are waited for.
const PATIENCE: u64 = 20;

/// A call about one validator.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DelegationCall {
    /// The validator.
    pub validator_index: u64,
    /// ABI-encoded.
    pub data: Bytes,
}

/// A transaction about one validator.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Sent {
    /// The validator.
    pub validator_index: u64,
    /// The transaction; `None` if none was sent.
    pub tx_hash: Option<TxHash>,
    /// What became of it.
    #[serde(flatten)]
    pub end: TransactionEnd,
}

/// What became of a transaction.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "state", rename_all = "camelCase", rename_all_fields = "camelCase")]
pub enum TransactionEnd {
    /// It is in a block.
    Included {
        /// What it used.
        gas_used: u64,
    },
    /// It reverted.
    Reverted,
    /// Another transaction has its nonce.
    Replaced,
    /// It isn't included yet.
    Waiting,
    /// It wasn't sent.
    NotSent {
        /// Why.
        reason: String,
    },
}

/// Why nothing was sent.
#[derive(Debug, thiserror::Error)]
pub enum SendingError {
    /// The L1.
    #[error("{0}")]
    Send(#[from] SendError),
    /// A call would revert.
    #[error("validator {validator_index}: the registry would revert: {revert}; nothing was sent")]
    WouldRevert {
        /// The validator.
        validator_index: u64,
        /// Why.
        revert: RegistryRevert,
    },
}

/// Tries all calls out, sends them if all would succeed, and waits until they are included. `slot_length` is in seconds.
///
/// # Errors
/// Only before anything is sent; after that, see [`Sent::end`].
pub async fn send_and_wait(
    l1: &L1,
    sender: &Sender,
    calls: Vec<DelegationCall>,
    slot_length: u64,
) -> Result<Vec<Sent>, SendingError> {
    let estimated: Vec<Call> = stream::iter(&calls)
        .map(|call| async move {
            match sender.estimate(l1, &call.data).await? {
                Estimate::Gas(gas) => Ok(Call { data: call.data.clone(), gas_limit: gas_limit(gas) }),
                Estimate::Reverts(data) => Err(SendingError::WouldRevert {
                    validator_index: call.validator_index,
                    revert: RegistryRevert::decode(data),
                }),
            }
        })
        .buffered(CONCURRENCY)
        .try_collect()
        .await?;
    let mut answers = sender.send_all(l1, estimated, 0).await?.into_iter();
    let mut waiting: Vec<(Sent, Option<Pending>)> = Vec::new();
    for call in &calls {
        let (pending, end) = match answers.next() {
            Some(Ok(pending)) => (Some(pending), TransactionEnd::Waiting),
            Some(Err(error)) => (None, TransactionEnd::NotSent { reason: error.to_string() }),
            None => (None, TransactionEnd::NotSent { reason: "the one before wasn't taken".to_owned() }),
        };
        let tx_hash = pending.as_ref().map(|pending| pending.hash);
        waiting.push((Sent { validator_index: call.validator_index, tx_hash, end }, pending));
    }
    let until = Instant::now() + Duration::from_secs(slot_length.saturating_mul(PATIENCE));
    let pause = Duration::from_millis(slot_length.saturating_mul(100).clamp(50, 1_000));
    loop {
        let mut left = false;
        for (sent, pending) in &mut waiting {
            let Some(of) = pending.as_ref() else { continue };
            match sender.outcome(l1, of).await {
                Ok(Outcome::Included(receipt)) if receipt.status() => {
                    sent.end = TransactionEnd::Included { gas_used: receipt.gas_used };
                }
                Ok(Outcome::Included(_)) => sent.end = TransactionEnd::Reverted,
                Ok(Outcome::Replaced) => sent.end = TransactionEnd::Replaced,
                // A node that fails is asked again: the transaction is out.
                Ok(Outcome::Waiting) | Err(_) => {
                    left = true;
                    continue;
                }
            }
            *pending = None;
        }
        if !left || Instant::now() >= until {
            return Ok(waiting.into_iter().map(|(sent, _)| sent).collect());
        }
        sleep(pause).await;
    }
}

impl Sent {
    /// Whether it did what it was to do.
    pub const fn succeeded(&self) -> bool {
        matches!(self.end, TransactionEnd::Included { .. })
    }
}

impl fmt::Display for Sent {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "validator {}: ", self.validator_index)?;
        match &self.end {
            TransactionEnd::Included { gas_used } => write!(formatter, "done, {gas_used} gas")?,
            TransactionEnd::Reverted => write!(formatter, "reverted")?,
            TransactionEnd::Replaced => write!(formatter, "another transaction took its nonce")?,
            TransactionEnd::Waiting => write!(formatter, "sent, not included yet")?,
            TransactionEnd::NotSent { reason } => write!(formatter, "not sent: {reason}")?,
        }
        match self.tx_hash {
            Some(hash) => write!(formatter, ", transaction {hash}"),
            None => Ok(()),
        }
    }
}
