//! The batch data of a plan, read back by an independent reader before anything is sent.

use crate::{
    archive::{Archive, ArchiveError},
    links::Claim,
};
use alloy::{
    eips::eip7594::{BlobTransactionSidecarEip7594, BlobTransactionSidecarVariant},
    primitives::B256,
};
use baton_batch::{BatchEncoder, BlockError, EncodeError, Kzg, KzgError, L2Block, VerifyError};

/// Why there is no data to send. None goes away by itself, but the next plan may be another.
#[derive(Debug, thiserror::Error)]
pub enum DataError {
    /// The archive failed.
    #[error("{0}")]
    Archive(#[from] ArchiveError),
    /// A block's body isn't there.
    #[error("block {number} ({hash}) isn't in the archive")]
    MissingBlock {
        /// Its number.
        number: u64,
        /// Its hash.
        hash: B256,
    },
    /// A block's body isn't what its hash says.
    #[error("block {number} in the archive has hash {found}, not {expected}")]
    WrongBlock {
        /// Its number.
        number: u64,
        /// As claimed.
        expected: B256,
        /// As recomputed.
        found: B256,
    },
    /// A block can't be posted.
    #[error("{0}")]
    Block(#[from] BlockError),
    /// Encoding failed.
    #[error("{0}")]
    Encode(#[from] EncodeError),
    /// The independent reader reads something else. Never to be sent.
    #[error("the independent reader disagrees: {0}")]
    Verify(#[from] VerifyError),
    /// No KZG proofs.
    #[error("{0}")]
    Kzg(#[from] KzgError),
}

/// Data that is ready to be sent, or how much would be.
#[derive(Debug)]
pub enum Prepared {
    /// All blocks fit.
    Whole {
        /// Blobs, commitments and cell proofs.
        sidecar: BlobTransactionSidecarVariant,
        /// How many bytes the channel has.
        channel_bytes: usize,
    },
    /// Only so many of the blocks fit.
    Fits(usize),
}

/// Encodes the blocks of the claims, reads the result back with kona's reader, and makes the KZG proofs. Takes processor time: not for an async task.
///
/// # Errors
/// See [`DataError`].
pub fn prepare(claims: &[Claim], archive: &Archive, encoder: &BatchEncoder, kzg: &Kzg) -> Result<Prepared, DataError> {
    let blocks = claims.iter().map(|claim| load(claim, archive)).collect::<Result<Vec<_>, _>>()?;
    let posting = encoder.encode(&blocks)?;
    if posting.posted() < blocks.len() {
        return Ok(Prepared::Fits(posting.posted()));
    }
    posting.verify(&blocks)?;
    let channel_bytes = posting.channel_bytes();
    let sidecar: BlobTransactionSidecarEip7594 = kzg.sidecar(posting.into_blobs())?;
    Ok(Prepared::Whole { sidecar: sidecar.into(), channel_bytes })
}

fn load(claim: &Claim, archive: &Archive) -> Result<L2Block, DataError> {
    let (number, hash) = (claim.block.number, claim.block.hash);
    let rlp = archive.block(hash)?.ok_or(DataError::MissingBlock { number, hash })?;
    let block = L2Block::from_rlp(&rlp)?;
    if block.id().hash != hash || block.id().number != number {
        return Err(DataError::WrongBlock { number, expected: hash, found: block.id().hash });
    }
    Ok(block)
}
