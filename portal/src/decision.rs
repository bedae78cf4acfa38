//! The record of who built which block, and why.

use crate::{
    builds::Purpose,
    peek::PayloadId,
    selection::{Choice, OwnerOutcome},
};
use alloy::primitives::B256;
use baton_protocol::GatewayId;
use serde::Serialize;
use std::{
    collections::VecDeque,
    sync::{Mutex, PoisonError},
};

/// How many decisions are kept.
pub const KEPT: usize = 4096;
/// How long a reason may be, in bytes. Others' words are in some of them.
pub const LONGEST_REASON: usize = 512;

/// How long the parts of asking the owner took, in microseconds; `None` for those that weren't come to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Stages {
    /// Waiting for its payload id, from `getPayload` on.
    pub id_us: Option<u64>,
    /// Getting its payload.
    pub payload_us: Option<u64>,
    /// Having it checked.
    pub validation_us: Option<u64>,
}

/// Whose payload op-node got for one block, and why.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Decision {
    /// The L2 block's number: by its timestamp, or where that says nothing by the payload served. `None` if neither says.
    pub number: Option<u64>,
    /// The L2 block's timestamp, Unix seconds.
    pub timestamp: u64,
    /// The parent's hash.
    pub parent: B256,
    /// The slot whose gateway owns the block, rule `[T3]`.
    pub owner_slot: Option<u64>,
    /// The gateway that was asked, or would have been; `None` if the slot has none.
    pub owner: Option<GatewayId>,
    /// What op-node calls the payload.
    pub payload_id: PayloadId,
    /// What was to become of the owner's payload.
    pub purpose: Purpose,
    /// Whose payload was served.
    pub choice: Choice,
    /// Whose would have been, had it been no dry run or trial. The same as `choice` where it was none.
    pub would_serve: Choice,
    /// Short name of how asking the owner went.
    pub outcome: &'static str,
    /// Why, in words.
    pub reason: String,
    /// The served block's hash; `None` if there was nothing to serve.
    pub block_hash: Option<B256>,
    /// The hash that the owner's payload says it has, good or not; `None` if it gave none.
    pub gateway_block_hash: Option<B256>,
    /// How long asking the owner took.
    pub stages: Stages,
    /// Milliseconds from op-node's question to its answer.
    pub took_ms: u64,
    /// When op-node was answered, Unix milliseconds.
    pub at_ms: u64,
}

/// A reason, in words, cut to [`LONGEST_REASON`].
pub fn reason(outcome: &OwnerOutcome) -> String {
    let mut reason = outcome.to_string();
    if reason.len() > LONGEST_REASON {
        const CUT: &str = " ...";
        reason.truncate(reason.floor_char_boundary(LONGEST_REASON - CUT.len()));
        reason.push_str(CUT);
        reason.shrink_to_fit();
    }
    reason
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
        self.last(KEPT)
    }

    /// The newest, oldest first.
    pub fn last(&self, count: usize) -> Vec<Decision> {
        let kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        kept.iter().skip(kept.len().saturating_sub(count)).cloned().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reasons_are_short_however_long_what_others_say() {
        let of = |said: String| reason(&OwnerOutcome::Rejected(said));
        assert_eq!(of("INVALID".to_owned()), "the fallback rejects the gateway's payload: INVALID");
        for character in ["A", "\u{e9}", "\u{20ac}", "\u{1f600}"] {
            let long = of(character.repeat(1 << 20));
            assert!(long.len() <= LONGEST_REASON && long.capacity() <= LONGEST_REASON, "{}", long.len());
            assert!(long.ends_with(" ..."), "{long}");
        }
    }

    #[test]
    fn keeps_the_newest() {
        let log = DecisionLog::default();
        let decision = Decision {
            number: Some(0),
            timestamp: 0,
            parent: B256::ZERO,
            owner_slot: Some(2),
            owner: Some(1),
            payload_id: PayloadId::ZERO,
            purpose: Purpose::Serve,
            choice: Choice::Gateway,
            would_serve: Choice::Gateway,
            outcome: "valid",
            reason: String::new(),
            block_hash: Some(B256::ZERO),
            gateway_block_hash: Some(B256::ZERO),
            stages: Stages::default(),
            took_ms: 1,
            at_ms: 2,
        };
        for number in 0..KEPT as u64 + 10 {
            log.push(Decision { number: Some(number), ..decision.clone() });
        }
        let kept = log.all();
        assert_eq!(kept.len(), KEPT);
        assert_eq!(kept[0].number, Some(10));
        assert_eq!(
            log.last(2).iter().map(|decision| decision.number).collect::<Vec<_>>(),
            [Some(KEPT as u64 + 8), Some(KEPT as u64 + 9)]
        );
        let json = serde_json::to_value(&kept[0]).expect("JSON");
        assert_eq!(json["choice"], "gateway");
        assert_eq!(json["ownerSlot"], 2);
    }

    #[test]
    fn logs_have_the_same_words_as_json() {
        for purpose in [Purpose::Serve, Purpose::DryRun, Purpose::Trial] {
            assert_eq!(serde_json::to_value(purpose).expect("JSON"), purpose.name());
        }
        for choice in [Choice::Gateway, Choice::Fallback, Choice::Nothing] {
            assert_eq!(serde_json::to_value(choice).expect("JSON"), choice.name());
        }
    }
}
