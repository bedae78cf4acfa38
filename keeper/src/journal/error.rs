//! What can go wrong with the journal.

use crate::{journal::Refusal, signer::SignerError};
use alloy::primitives::Address;
use baton_protocol::{GatewayId, SignatureError};
use std::path::PathBuf;

/// Why nothing was signed. Only [`JournalError::Signer`] can be worth a retry; see [`JournalError::is_retryable`].
#[derive(Debug, thiserror::Error)]
pub enum JournalError {
    /// A rule stands against it.
    #[error("block {number} must not be signed: {refusal}")]
    Refused {
        /// The block's number.
        number: u64,
        /// Why.
        refusal: Refusal,
    },
    /// The number lies below what the journal remembers.
    #[error("block {number} lies below what the journal remembers and must not be signed")]
    Forgotten {
        /// The block's number.
        number: u64,
    },
    /// Another process, or another connection, holds the file.
    #[error(
        "the journal {path} is held by another process; one gateway's key may be used by one keeper only: stop the other one"
    )]
    InUse {
        /// The file.
        path: PathBuf,
    },
    /// The file belongs to somebody else.
    #[error(
        "the journal {path} belongs to gateway {gateway} at inbox {inbox} on chain {chain_id}; set `data_dir` to this gateway's own directory"
    )]
    WrongOwner {
        /// The file.
        path: PathBuf,
        /// Whose it is.
        gateway: GatewayId,
        /// On which chain.
        chain_id: i64,
        /// For which inbox.
        inbox: Address,
    },
    /// A newer version wrote the file.
    #[error("the journal {path} has format {found}, which this version doesn't know; use the version that wrote it")]
    UnknownSchema {
        /// The file.
        path: PathBuf,
        /// Its format.
        found: i64,
    },
    /// The key couldn't be used.
    #[error("signer: {0}")]
    Signer(#[from] SignerError),
    /// The signer gave a signature that isn't its own.
    #[error("the signer's own signature doesn't verify: {0}")]
    BadSignature(#[from] SignatureError),
    /// SQLite failed.
    #[error("journal storage: {0}")]
    Storage(#[from] rusqlite::Error),
    /// No chain has such a number.
    #[error("{0} doesn't fit the journal's integers")]
    TooLarge(u64),
}

impl JournalError {
    /// Whether the same request can succeed later without anybody changing something.
    pub const fn is_retryable(&self) -> bool {
        matches!(self, Self::Signer(error) if error.is_retryable())
    }
}
