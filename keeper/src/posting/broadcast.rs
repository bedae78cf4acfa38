//! What an L1 node's answer to a transaction means.

use alloy::transports::{RpcError, TransportError, TransportErrorKind, http::reqwest};

/// What became of a transaction that was handed to a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Answer {
    /// The node has it.
    Taken,
    /// The node has one of this nonce that offers too much to be replaced, or asks for more.
    Underpriced,
    /// The answer got lost: the node may have it.
    Unsure,
    /// The node doesn't have it.
    Refused,
}

impl Answer {
    /// From a node's error. JSON-RPC has no codes for these; the texts are geth's, reth's, Nethermind's, Besu's and Erigon's.
    pub fn from_error(error: &TransportError) -> Self {
        match error {
            RpcError::ErrorResp(payload) => {
                let message = payload.message.to_ascii_lowercase();
                let says = |texts: &[&str]| texts.iter().any(|text| message.contains(text));
                if says(&["already known", "alreadyknown", "known transaction", "already imported"]) {
                    Self::Taken
                } else if says(&["underpriced", "replacement", "feetoolow", "fee too low"]) {
                    Self::Underpriced
                } else if says(&["timeout", "timed out"]) {
                    Self::Unsure
                } else {
                    Self::Refused
                }
            }
            RpcError::Transport(TransportErrorKind::HttpError(error)) if (400..500).contains(&error.status) => {
                Self::Refused
            }
            RpcError::Transport(TransportErrorKind::Custom(error)) => match error.downcast_ref::<reqwest::Error>() {
                Some(error) if error.is_connect() || error.is_builder() => Self::Refused,
                _ => Self::Unsure,
            },
            RpcError::Transport(_) | RpcError::NullResp | RpcError::DeserError { .. } => Self::Unsure,
            RpcError::UnsupportedFeature(_) | RpcError::LocalUsageError(_) | RpcError::SerError(_) => Self::Refused,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{from_value, json};

    #[test]
    fn texts_tell_apart() {
        for (message, answer) in [
            ("already known", Answer::Taken),
            ("AlreadyKnown", Answer::Taken),
            ("transaction already imported", Answer::Taken),
            (
                "replacement transaction underpriced: new tx gas fee cap 1 <= 1 queued + 100% replacement penalty",
                Answer::Underpriced,
            ),
            ("transaction underpriced: gas tip cap 0, minimum needed 1", Answer::Underpriced),
            ("request timed out", Answer::Unsure),
            ("nonce too low", Answer::Refused),
            ("insufficient funds for gas * price + value", Answer::Refused),
        ] {
            let payload = from_value(json!({"code": -32000, "message": message})).expect("a payload");
            assert_eq!(Answer::from_error(&RpcError::ErrorResp(payload)), answer, "{message}");
        }
        assert_eq!(Answer::from_error(&TransportErrorKind::http_error(503, String::new())), Answer::Unsure);
        assert_eq!(Answer::from_error(&TransportErrorKind::http_error(401, String::new())), Answer::Refused);
        assert_eq!(Answer::from_error(&TransportErrorKind::backend_gone()), Answer::Unsure);
    }
}
