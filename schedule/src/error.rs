//! Why a look at the L1 failed.

use alloy::{contract, primitives::B256, transports::TransportError};
use baton_bindings::registry::UnknownKind;

/// Why the L1 couldn't be read. The follower tries again after every one of them; [`FollowError::is_retryable`] tells whether that can help
/// without somebody changing something.
#[derive(Debug, thiserror::Error)]
pub enum FollowError {
    /// The node can't be reached or answered with an error.
    #[error("L1 node: {0}")]
    Rpc(#[from] TransportError),
    /// The node took too long.
    #[error("L1 node took longer than `request_timeout` for {0}")]
    Timeout(&'static str),
    /// A contract call failed.
    #[error("registry: {0}")]
    Contract(#[from] contract::Error),
    /// An answer couldn't be decoded as the registry's event.
    #[error("registry: an event can't be decoded ({0}); check `registry` and the bindings' version")]
    Event(alloy::sol_types::Error),
    /// The node has no such block.
    #[error("L1 node doesn't have block {0}")]
    MissingBlock(u64),
    /// The chain changed between two reads that must agree.
    #[error("L1 block {number} was {hash} and is another now; reading again")]
    Moved {
        /// The block's number.
        number: u64,
        /// Its hash when the read began.
        hash: B256,
    },
    /// The head is old.
    #[error("the L1 head is {0} s old; the L1 or its node has stalled")]
    Stuck(u64),
    /// The configured clock isn't the contract's.
    #[error(
        "the registry says that epoch {last} is the last with a fixed schedule, but by `clock` it is {expected}; \
         set `clock` to the deployment's parameters"
    )]
    Clock {
        /// By the configured clock.
        expected: u64,
        /// By the contract.
        last: u64,
    },
    /// The contract knows more than this version.
    #[error(transparent)]
    Kind(#[from] UnknownKind),
}

impl FollowError {
    /// Whether it can go away by itself, as against by a change of configuration or version.
    pub const fn is_retryable(&self) -> bool {
        !matches!(self, Self::Event(_) | Self::Clock { .. } | Self::Kind(_))
    }
}
