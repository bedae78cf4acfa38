//! The record of who built which block, and why.

use crate::selection::Choice;
use alloy::primitives::B256;
use baton_protocol::GatewayId;
use serde::Serialize;
use std::{
    collections::VecDeque,
    sync::{Mutex, PoisonError},
};

/// How many decisions are kept.
pub const KEPT: usize = 1024;

/// Whose payload op-node got for one block, and why.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Decision {
    /// The L2 block's number; `None` if its timestamp is off the grid.
    pub number: Option<u64>,
    /// The L2 block's timestamp, Unix seconds.
    pub timestamp: u64,
    /// The parent's hash.
    pub parent: B256,
    /// The slot whose gateway owns the block, rule `[T3]`.
    pub owner_slot: Option<u64>,
    /// The gateway that was asked, or would have been; `None` if the slot has none.
    pub owner: Option<GatewayId>,
    /// Whose payload was served.
    pub choice: Choice,
    /// Short name of how asking the owner went.
    pub outcome: &'static str,
    /// Why, in words.
    pub reason: String,
    /// The served block's hash; `None` if there was nothing to serve.
    pub block_hash: Option<B256>,
    /// Milliseconds from op-node's question to its answer.
    pub took_ms: u64,
    /// When op-node was answered, Unix milliseconds.
    pub at_ms: u64,
}

/// The last [`KEPT`] decisions.
#[derive(Debug, Default)]
pub struct DecisionLog {
    kept: Mutex<VecDeque<Decision>>,
}

impl DecisionLog {
    /// Adds one.
    pub fn push(&self, decision: Decision) {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        if kept.len() == KEPT {
            kept.pop_front();
        }
        kept.push_back(decision);
    }

    /// All that are kept, oldest first.
    pub fn all(&self) -> Vec<Decision> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner).iter().cloned().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keeps_the_newest() {
        let log = DecisionLog::default();
        let decision = Decision {
            number: Some(0),
            timestamp: 0,
            parent: B256::ZERO,
            owner_slot: Some(2),
            owner: Some(1),
            choice: Choice::Gateway,
            outcome: "valid",
            reason: String::new(),
            block_hash: Some(B256::ZERO),
            took_ms: 1,
            at_ms: 2,
        };
        for number in 0..KEPT as u64 + 10 {
            log.push(Decision { number: Some(number), ..decision.clone() });
        }
        let kept = log.all();
        assert_eq!(kept.len(), KEPT);
        assert_eq!(kept[0].number, Some(10));
        let json = serde_json::to_value(&kept[0]).expect("JSON");
        assert_eq!(json["choice"], "gateway");
        assert_eq!(json["ownerSlot"], 2);
    }
}
