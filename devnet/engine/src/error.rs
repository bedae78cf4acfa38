//! Errors of the engine's calls, with their JSON-RPC codes.

use alloy::primitives::Bytes;

use crate::pool::PoolError;

/// Why a call failed.
#[derive(Debug, thiserror::Error)]
pub enum EngineError {
    /// `engine_getPayload` for an id that was never given out, or long ago.
    #[error("Unknown payload")]
    UnknownPayload,
    /// Safe or finalized hash isn't on the head's branch.
    #[error("Invalid forkchoice state: {0} isn't an ancestor of headBlockHash")]
    InvalidForkchoice(&'static str),
    /// Payload attributes that no block can be built from.
    #[error("Invalid payload attributes: {0}")]
    InvalidAttributes(String),
    /// More items than one call may ask for.
    #[error("Too large request: at most {0} items")]
    TooLargeRequest(u64),
    /// The method's version doesn't belong to the chain's fork.
    #[error("Unsupported fork: {0}")]
    UnsupportedFork(&'static str),
    /// A parameter is missing or has the wrong shape.
    #[error("Invalid params: {0}")]
    InvalidParams(String),
    /// No such method.
    #[error("the method {0} does not exist/is not available")]
    MethodNotFound(String),
    /// The block asked for isn't known.
    #[error("header not found: {0}")]
    UnknownBlock(String),
    /// The block is too old for its state to be kept.
    #[error("state of block {0} is pruned: ask for a newer block")]
    StatePruned(u64),
    /// The pool refused a transaction.
    #[error(transparent)]
    Pool(#[from] PoolError),
    /// A transaction is invalid by itself or for its sender.
    #[error("{0}")]
    InvalidTransaction(String),
    /// A call reverted.
    #[error("{message}")]
    Reverted {
        /// "execution reverted", with the reason where there is one.
        message: String,
        /// What the contract returned.
        output: Bytes,
    },
    /// A call can't be executed or ran out of gas.
    #[error("{0}")]
    CallFailed(String),
    /// The engine itself failed: says nothing about the request.
    #[error("Internal error: {0}")]
    Internal(String),
}

impl EngineError {
    pub(crate) fn internal(error: impl std::fmt::Display) -> Self {
        Self::Internal(error.to_string())
    }

    /// Code of the JSON-RPC error object (Engine API specification, errors; EIP-1474 for the rest).
    pub fn code(&self) -> i64 {
        match self {
            Self::UnknownPayload => -38001,
            Self::InvalidForkchoice(_) => -38002,
            Self::InvalidAttributes(_) => -38003,
            Self::TooLargeRequest(_) => -38004,
            Self::UnsupportedFork(_) => -38005,
            Self::InvalidParams(_) => -32602,
            Self::MethodNotFound(_) => -32601,
            Self::Internal(_) => -32603,
            Self::Reverted { .. } => 3,
            Self::UnknownBlock(_)
            | Self::StatePruned(_)
            | Self::Pool(_)
            | Self::InvalidTransaction(_)
            | Self::CallFailed(_) => -32000,
        }
    }

    /// The error object's `data`: what a reverted contract returned.
    pub fn data(&self) -> Option<&Bytes> {
        match self {
            Self::Reverted { output, .. } => Some(output),
            _ => None,
        }
    }

    /// Whether the same call can succeed later without a change on the caller's side.
    pub fn is_retryable(&self) -> bool {
        matches!(self, Self::Internal(_) | Self::UnknownBlock(_) | Self::Pool(PoolError::Full))
    }
}
