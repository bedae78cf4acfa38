//! Publishing an epoch's lookahead once, at somebody's command.

use crate::{
    beacon::{BeaconClient, Progress},
    l1::{L1, L1Error},
    lookahead::{PrepareError, Prepared, PublicationRules, gas_limit, prepare},
    posting::{Estimate, Outcome, SendError, Sender},
    registry_revert::RegistryRevert,
};
use alloy::{eips::BlockNumberOrTag, rpc::types::TransactionReceipt};
use baton_protocol::SlotClock;
use std::time::Duration;
use tokio::time::sleep;

/// What the command came to.
#[derive(Debug)]
pub enum Published {
    /// It published.
    Now {
        /// What was published.
        prepared: Box<Prepared>,
        /// The transaction's.
        receipt: Box<TransactionReceipt>,
    },
    /// Somebody had.
    Before {
        /// The epoch.
        epoch: u64,
    },
}

/// Why nothing was published.
#[derive(Debug, thiserror::Error)]
pub enum OnceError {
    /// The L1.
    #[error("{0}")]
    L1(#[from] L1Error),
    /// The proof.
    #[error("{0}")]
    Prepare(#[from] PrepareError),
    /// The transaction.
    #[error("{0}")]
    Send(#[from] SendError),
    /// The registry refuses it.
    #[error("the registry would revert: {0}")]
    WouldRevert(RegistryRevert),
    /// It is no time for it.
    #[error("epoch {epoch} can be published from slot {from} on and before slot {deadline}; now it is slot {slot}")]
    WrongTime {
        /// The epoch.
        epoch: u64,
        /// The first slot.
        from: u64,
        /// The first slot that is too late.
        deadline: u64,
        /// The newest block's.
        slot: u64,
    },
    /// It was sent and isn't included.
    #[error("transaction {tx} wasn't included before the deadline, slot {deadline}")]
    TooLate {
        /// The transaction.
        tx: alloy::primitives::TxHash,
        /// The deadline.
        deadline: u64,
    },
    /// Its nonce was used by another transaction.
    #[error("another transaction took the nonce of {0}; does a keeper use the same account?")]
    Replaced(alloy::primitives::TxHash),
    /// It reverted.
    #[error("transaction {0} reverted; see whether somebody was faster with `keeper lookahead show`")]
    Reverted(alloy::primitives::TxHash),
}

/// Publishes an epoch, the one after the newest block's if none is named, waiting for a block that proves it and for the transaction's inclusion.
///
/// # Errors
/// See [`OnceError`].
pub async fn publish_once(
    l1: &L1,
    beacon: &BeaconClient,
    sender: &Sender,
    clock: &SlotClock,
    rules: PublicationRules,
    epoch: Option<u64>,
    progress: &(dyn Fn(Progress) + Send + Sync),
) -> Result<Published, OnceError> {
    let pause = Duration::from_millis(clock.slot_length.saturating_mul(100).clamp(50, 1_000));
    let mut wanted = epoch;
    let (prepared, slot) = loop {
        let newest = l1.block(BlockNumberOrTag::Latest.into()).await?;
        let slot = clock.slot_at(newest.timestamp);
        let current = SlotClock::epoch_of(slot);
        let epoch = *wanted.get_or_insert(current + 1);
        if l1.is_published(epoch, newest.hash).await? {
            return Ok(Published::Before { epoch });
        }
        let (from, deadline) = (SlotClock::epoch_start(epoch.saturating_sub(1)), rules.deadline(epoch));
        // What is sent now lands in the next slot at the earliest.
        if epoch != current + 1 || slot + 1 >= deadline {
            return Err(OnceError::WrongTime { epoch, from, deadline, slot });
        }
        match prepare(l1, beacon, &newest, epoch, progress).await {
            Ok(prepared) => break (prepared, slot),
            Err(PrepareError::OtherEpoch { .. }) => sleep(pause).await,
            Err(error) => return Err(error.into()),
        }
    };
    let gas = match sender.estimate(l1, &prepared.data).await? {
        Estimate::Gas(gas) => gas,
        Estimate::Reverts(data) => return Err(OnceError::WouldRevert(RegistryRevert::decode(data))),
    };
    let pending = sender.send(l1, prepared.data.clone(), None, gas_limit(gas), slot + 1, None).await?;
    let deadline = rules.deadline(prepared.epoch);
    loop {
        // The block first: one that is newest now can't hold it later.
        let newest = l1.block(BlockNumberOrTag::Latest.into()).await?;
        match sender.outcome(l1, &pending).await? {
            Outcome::Included(receipt) if receipt.status() => {
                return Ok(Published::Now { prepared: Box::new(prepared), receipt });
            }
            Outcome::Included(_) => return Err(OnceError::Reverted(pending.hash)),
            Outcome::Replaced => return Err(OnceError::Replaced(pending.hash)),
            Outcome::Waiting if clock.slot_at(newest.timestamp) >= deadline => {
                return Err(OnceError::TooLate { tx: pending.hash, deadline });
            }
            Outcome::Waiting => sleep(pause).await,
        }
    }
}
