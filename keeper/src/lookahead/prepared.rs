//! A publication, ready to be sent.

use crate::{
    beacon::{BeaconClient, BeaconError, Progress, ProvableError, newest_provable},
    l1::L1,
    l1_blocks::L1Block,
};
use alloy::{primitives::Bytes, sol_types::SolCall};
use baton_bindings::IRegistry;
use baton_protocol::{SlotClock, beacon::StateError};

/// A publication's calldata and what is in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Prepared {
    /// The epoch.
    pub epoch: u64,
    /// Slot of the block whose state proves it.
    pub header_slot: u64,
    /// The validators that propose in the epoch, by slot.
    pub proposers: [u64; 32],
    /// The call of `publish`.
    pub data: Bytes,
}

/// Why a publication can't be prepared.
#[derive(Debug, thiserror::Error)]
pub enum PrepareError {
    /// There is no block to prove.
    #[error("{0}")]
    Provable(#[from] ProvableError),
    /// The state can't be had.
    #[error("{0}")]
    Beacon(#[from] BeaconError),
    /// The state doesn't prove it.
    #[error("{0}")]
    State(#[from] StateError),
    /// The newest block that can be proven is of another epoch: its state tells of other proposers.
    #[error(
        "the newest beacon block that can be proven is of slot {slot}, but epoch {epoch} is proven from a block of the epoch before it: wait for the next L1 block"
    )]
    OtherEpoch {
        /// The block's slot.
        slot: u64,
        /// The epoch to publish.
        epoch: u64,
    },
}

/// Proves an epoch's proposers from the newest block that can be proven. `newest` is the newest L1 block.
///
/// # Errors
/// See [`PrepareError`].
pub async fn prepare(
    l1: &L1,
    beacon: &BeaconClient,
    newest: &L1Block,
    epoch: u64,
    progress: &(dyn Fn(Progress) + Send + Sync),
) -> Result<Prepared, PrepareError> {
    let block = newest_provable(l1, beacon, newest).await?;
    let header_slot = block.header.slot;
    if SlotClock::epoch_of(header_slot).checked_add(1) != Some(epoch) {
        return Err(PrepareError::OtherEpoch { slot: header_slot, epoch });
    }
    let state = beacon.prove(&block.header, &[], progress).await?;
    let proof = state.prove_lookahead(block.header)?;
    let proposers = proof.proposers();
    let call = IRegistry::publishCall { epoch, timestamp: block.timestamp, proof: proof.into() };
    Ok(Prepared { epoch, header_slot, proposers, data: call.abi_encode().into() })
}
