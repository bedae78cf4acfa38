//! Validators, proven from one state.

use crate::{
    beacon::{BeaconClient, BeaconError, Progress, ProvableBlock, ProvableError, newest_provable},
    l1::L1,
};
use alloy::eips::BlockNumberOrTag;
use baton_protocol::beacon::{ProvenState, StateError, Validator, ValidatorProof};

/// Validators of one state. The state was downloaded once for all of them.
#[derive(Debug)]
pub struct ProvenValidators {
    block: ProvableBlock,
    state: ProvenState,
}

/// Why validators can't be proven.
#[derive(Debug, thiserror::Error)]
pub enum ProvingError {
    /// There is no block to prove.
    #[error("{0}")]
    Provable(#[from] ProvableError),
    /// The state can't be had.
    #[error("{0}")]
    Beacon(#[from] BeaconError),
    /// The state doesn't hold them.
    #[error("{0}")]
    State(#[from] StateError),
}

/// Proves validators against the newest beacon block that can be proven.
///
/// # Errors
/// See [`ProvingError`].
pub async fn prove_validators(
    l1: &L1,
    beacon: &BeaconClient,
    validators: &[u64],
    progress: &(dyn Fn(Progress) + Send + Sync),
) -> Result<ProvenValidators, ProvingError> {
    let newest = l1.block(BlockNumberOrTag::Latest.into()).await.map_err(ProvableError::from)?;
    let block = newest_provable(l1, beacon, &newest).await?;
    let state = beacon.prove(&block.header, validators, progress).await?;
    Ok(ProvenValidators { block, state })
}

impl ProvenValidators {
    /// The timestamp by which EIP-4788's contract knows the block.
    pub const fn timestamp(&self) -> u64 {
        self.block.timestamp
    }

    /// A validator.
    ///
    /// # Errors
    /// One that doesn't exist, or wasn't asked for.
    pub fn validator(&self, index: u64) -> Result<&Validator, ProvingError> {
        Ok(self.state.validator(index)?)
    }

    /// A validator's proof.
    ///
    /// # Errors
    /// As above.
    pub fn proof(&self, index: u64) -> Result<ValidatorProof, ProvingError> {
        Ok(self.state.prove_validator(self.block.header, index)?)
    }
}
