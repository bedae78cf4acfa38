//! Why a look at the L1 failed.

use crate::NodeUrl;
use alloy::{
    contract,
    primitives::B256,
    transports::{RpcError, TransportError},
};
use baton_bindings::registry::UnknownKind;

/// How much of what a node says is told, in characters. Some answer with whole web pages.
const LONGEST: usize = 300;

/// Why the L1 couldn't be read. The follower tries again after every one of them; [`FollowError::is_retryable`] tells whether that can help
/// without somebody changing something. What others say in it is rid of what may be a key in the node's URL.
#[derive(Debug, thiserror::Error)]
pub enum FollowError {
    /// The node can't be reached, or the connection to it broke.
    #[error("L1 node: {0}")]
    Unreachable(String),
    /// The node answered with an error, or with something that is no answer.
    #[error("L1 node: {0}")]
    Rpc(String),
    /// The node's websocket is down, for a reason told before, and isn't dialled yet again.
    #[error("{0}")]
    Down(String),
    /// The node took too long.
    #[error("L1 node took too long for {0}")]
    Timeout(&'static str),
    /// A contract call failed.
    #[error("registry: {0}")]
    Contract(String),
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
    /// The head is old. What is said is the same at every look, so that it is said once.
    #[error("the L1 head, block {number} of timestamp {timestamp}, is old; the L1 or its node has stalled")]
    Stuck {
        /// The block's number.
        number: u64,
        /// Unix seconds.
        timestamp: u64,
    },
    /// No chain has such a head by now.
    #[error(
        "the L1 node says that block {number} of timestamp {timestamp} is its head, which can't be true by now; check the node, this machine's clock, and `clock`"
    )]
    Implausible {
        /// The block's number.
        number: u64,
        /// Unix seconds.
        timestamp: u64,
    },
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

    /// Whether the connection it came by is of no more use.
    pub(crate) const fn breaks_connection(&self) -> bool {
        matches!(self, Self::Unreachable(_) | Self::Timeout(_))
    }

    pub(crate) fn of_request(error: &TransportError, node: &NodeUrl) -> Self {
        match error {
            RpcError::Transport(kind) => Self::Unreachable(told(kind, node)),
            answered => Self::Rpc(told(answered, node)),
        }
    }

    pub(crate) fn of_call(error: &contract::Error, node: &NodeUrl) -> Self {
        match error {
            contract::Error::TransportError(RpcError::Transport(kind)) => Self::Unreachable(told(kind, node)),
            other => Self::Contract(told(other, node)),
        }
    }
}

/// What somebody else says, without keys and not too much of it.
fn told(error: &impl ToString, node: &NodeUrl) -> String {
    let text = node.hide_in(error.to_string());
    match text.char_indices().nth(LONGEST) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloy::transports::TransportErrorKind;

    #[test]
    fn what_a_node_says_is_cut_and_rid_of_keys() {
        let node = NodeUrl::from("https://node/v2/s3cret-key");
        let page = format!("<html>no such page: /v2/s3cret-key {}", "é".repeat(5000));
        let error = FollowError::of_request(&TransportErrorKind::http_error(404, page), &node);
        assert!(error.breaks_connection());
        for text in [error.to_string(), format!("{error:?}")] {
            assert!(text.contains("404") && text.contains("no such page"), "{text}");
            assert!(!text.contains("s3cret-key") && text.chars().count() < 400, "{text}");
        }
        let revert = contract::Error::TransportError(TransportErrorKind::custom_str("s3cret-key"));
        assert!(!FollowError::of_call(&revert, &node).to_string().contains("s3cret-key"));
    }
}
