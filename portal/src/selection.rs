//! Whose payload op-node gets: a pure function of how both attempts went.

use crate::{demand::Mismatch, route::Skip, rpc::AnswerError};
use serde::Serialize;
use std::fmt;

/// Where the time ran out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Stage {
    /// The gateway hadn't said yet under which id it builds.
    Id,
    /// The gateway hadn't given its payload yet.
    Payload,
    /// The fallback hadn't checked it yet.
    Validation,
}

/// How the attempt with the owner went.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum OwnerOutcome {
    /// Its payload is valid.
    Valid,
    /// It wasn't asked.
    Skipped(Skip),
    /// The time budget ran out.
    Late(Stage),
    /// It didn't begin to build.
    NotBuilding(String),
    /// It can't be reached.
    Unreachable(String),
    /// It gave no payload.
    BadAnswer(AnswerError),
    /// It gave another payload than was asked for.
    Mismatch(Mismatch),
    /// The fallback rejects it, or can't tell (`SYNCING`, `ACCEPTED`).
    Rejected(String),
    /// The fallback couldn't be asked.
    Unchecked(String),
}

/// How the attempt with the fallback is going.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FallbackOutcome {
    /// Not known yet.
    Pending,
    /// It gave a payload.
    Payload,
    /// It answered with an error or not at all.
    Failed,
}

/// Whose payload op-node gets.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Choice {
    /// The owner's.
    Gateway,
    /// The fallback's.
    Fallback,
    /// Nobody's: there is none. op-node gets the fallback's error.
    Nothing,
}

/// Chooses. `None`: the fallback must be waited for first. A valid payload of the owner is never held up by the fallback's own.
pub const fn select(owner: &OwnerOutcome, fallback: FallbackOutcome) -> Option<Choice> {
    match (owner, fallback) {
        (OwnerOutcome::Valid, _) => Some(Choice::Gateway),
        (_, FallbackOutcome::Pending) => None,
        (_, FallbackOutcome::Payload) => Some(Choice::Fallback),
        (_, FallbackOutcome::Failed) => Some(Choice::Nothing),
    }
}

impl OwnerOutcome {
    /// A short fixed name, for metrics.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Valid => "valid",
            Self::Skipped(_) => "not_asked",
            Self::Late(_) => "late",
            Self::NotBuilding(_) => "not_building",
            Self::Unreachable(_) => "unreachable",
            Self::BadAnswer(_) => "bad_answer",
            Self::Mismatch(_) => "mismatch",
            Self::Rejected(_) => "rejected",
            Self::Unchecked(_) => "unchecked",
        }
    }
}

impl fmt::Display for OwnerOutcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Valid => write!(f, "the owner's payload is valid"),
            Self::Skipped(Skip::OffGrid) => write!(f, "not asked: the timestamp is no L2 block's"),
            Self::Skipped(Skip::UnknownEpoch) => write!(f, "not asked: the schedule of its slot isn't known"),
            Self::Skipped(Skip::OpenSlot) => write!(f, "not asked: the slot is open"),
            Self::Skipped(Skip::Ended(id)) => write!(f, "not asked: gateway {id} has been ended"),
            Self::Skipped(Skip::NoEndpoint(id)) => write!(f, "not asked: gateway {id} has no usable endpoint"),
            Self::Skipped(Skip::NoTxPool) => write!(f, "not asked: the block holds forced transactions only"),
            Self::Late(Stage::Id) => write!(f, "late: no payload id from the gateway in time"),
            Self::Late(Stage::Payload) => write!(f, "late: no payload from the gateway in time"),
            Self::Late(Stage::Validation) => write!(f, "late: not checked by the fallback in time"),
            Self::NotBuilding(reason) => write!(f, "the gateway isn't building: {reason}"),
            Self::Unreachable(reason) => write!(f, "the gateway can't be reached: {reason}"),
            Self::BadAnswer(reason) => write!(f, "the gateway's answer is no payload: {reason}"),
            Self::Mismatch(reason) => write!(f, "the gateway's payload has {reason}"),
            Self::Rejected(reason) => write!(f, "the fallback doesn't accept the gateway's payload: {reason}"),
            Self::Unchecked(reason) => write!(f, "the fallback couldn't check the gateway's payload: {reason}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_combination() {
        let failures = [
            OwnerOutcome::Skipped(Skip::OpenSlot),
            OwnerOutcome::Late(Stage::Id),
            OwnerOutcome::Late(Stage::Payload),
            OwnerOutcome::Late(Stage::Validation),
            OwnerOutcome::NotBuilding(String::new()),
            OwnerOutcome::Unreachable(String::new()),
            OwnerOutcome::BadAnswer(AnswerError::Garbage),
            OwnerOutcome::Mismatch(Mismatch::Parent),
            OwnerOutcome::Rejected(String::new()),
            OwnerOutcome::Unchecked(String::new()),
        ];
        for fallback in [FallbackOutcome::Pending, FallbackOutcome::Payload, FallbackOutcome::Failed] {
            assert_eq!(select(&OwnerOutcome::Valid, fallback), Some(Choice::Gateway));
        }
        for failure in failures {
            assert_eq!(select(&failure, FallbackOutcome::Pending), None, "{failure}");
            assert_eq!(select(&failure, FallbackOutcome::Payload), Some(Choice::Fallback), "{failure}");
            assert_eq!(select(&failure, FallbackOutcome::Failed), Some(Choice::Nothing), "{failure}");
            assert_ne!(failure.name(), OwnerOutcome::Valid.name());
        }
    }
}
