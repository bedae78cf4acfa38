//! How an epoch came by its lookahead, from L1.

use crate::{
    l1::{L1, L1Error},
    l1_blocks::L1Block,
};
use alloy::{
    consensus::Transaction,
    primitives::{Address, TxHash},
    providers::Provider,
    sol_types::SolCall,
};
use baton_bindings::IRegistry;
use baton_protocol::SlotClock;
use serde::Serialize;

/// A publication on L1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Publication {
    /// The transaction.
    pub tx_hash: TxHash,
    /// Who sent it.
    pub by: Option<Address>,
    /// The L1 block that it is in.
    pub block: u64,
    /// Slot of the block whose state proves it; unknown if another contract passed the call on.
    pub header_slot: Option<u64>,
}

/// Finds the publication of an epoch, as of the newest L1 block. `None` if there was none.
///
/// # Errors
/// The L1's.
pub async fn publication_of(
    l1: &L1,
    clock: &SlotClock,
    newest: &L1Block,
    epoch: u64,
) -> Result<Option<Publication>, L1Error> {
    // It lies in the epoch before, and no slot has more than one block.
    let begin = SlotClock::epoch_start(epoch.saturating_sub(1));
    let slots = clock.slot_at(newest.timestamp).saturating_sub(begin);
    let Some(log) = l1.publication_log(epoch, newest.number.saturating_sub(slots), newest.number).await? else {
        return Ok(None);
    };
    let (Some(tx_hash), Some(block)) = (log.transaction_hash, log.block_number) else { return Ok(None) };
    let transaction = l1.node().get_transaction_by_hash(tx_hash).await?;
    let call =
        transaction.as_ref().and_then(|transaction| IRegistry::publishCall::abi_decode(transaction.inner.input()).ok());
    Ok(Some(Publication {
        tx_hash,
        by: transaction.map(|transaction| transaction.inner.signer()),
        block,
        header_slot: call.map(|call| call.proof.header.slot),
    }))
}
