//! Whose payload op-node gets: a pure function of how both attempts went.

use crate::{builds::Purpose, demand::Mismatch, policy::Objection, route::Skip, rpc::AnswerError, version::Fields};
use serde::Serialize;
use std::{fmt, time::Duration};

/// How many times what the last good check took is enough for another.
const ENOUGH: u32 = 4;

/// Where the time ran out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Stage {
    /// The gateway hadn't said yet under which id it builds.
    Id,
    /// The gateway hadn't given its payload yet.
    Payload,
    /// The gateway had used so much of the time that too little was left for checking its payload.
    NoTimeLeft,
    /// The fallback hadn't checked it yet.
    Validation,
    /// The second validator hadn't checked it yet.
    SecondValidation,
}

impl Stage {
    /// Whether the time ran out on this side, so that the gateway isn't to blame.
    pub const fn is_ours(self) -> bool {
        matches!(self, Self::Validation | Self::SecondValidation)
    }

    /// Whose delay it was that a check didn't end in time: of a budget, so much was left when it began, and the last one that ended took so long. A gateway that
    /// answers in the last moment would cost op-node the whole budget with every block, and never be to blame; but where a quarter of
    /// the budget, and several times what a check takes, isn't enough, it is the check that hangs.
    pub fn late_check(self, left: Duration, budget: Duration, last: Option<Duration>) -> Self {
        // The last one may have been of an empty block.
        let enough = last.map_or(budget / 2, |last| (last * ENOUGH).clamp(budget / 4, budget / 2));
        if self.is_ours() && left < enough { Self::NoTimeLeft } else { self }
    }
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
    /// No payload over the lane that the order went over, which was closed meanwhile: the gateway has another address by now, or the lane other settings. How
    /// it went.
    LaneClosed(String),
    /// It didn't begin to build.
    NotBuilding(String),
    /// It can't be reached.
    Unreachable(String),
    /// It doesn't know the payload by an id that it may have replaced by another, since the block was ordered more than once, or, in a dry run or trial, the next one
    /// already.
    Replaced,
    /// It gave no payload.
    BadAnswer(AnswerError),
    /// It gave another payload than was asked for.
    Mismatch(Mismatch),
    /// The fallback calls it invalid, or can't even take it for a payload (-32602): method and parameters are the portal's, so that what is wrong is the
    /// payload.
    Rejected(String),
    /// The fallback doesn't check payloads of that fork (-38005), though it was asked as op-node has it build and nothing was missing. That is the operator's
    /// affair, unless the fallback's own payload has other fields than this one has.
    Unsupported(Fields),
    /// The fallback can't tell: it says `SYNCING` or `ACCEPTED`.
    Undecided(String),
    /// The fallback or the second validator couldn't be asked, or the latter can't tell.
    Unchecked(String),
    /// The fallback calls it valid and the second validator doesn't.
    Disputed(String),
    /// It is valid, but the policy prefers the fallback's.
    Outbid(Objection),
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

impl Choice {
    /// As in decisions, logs, metrics and traces.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Gateway => "gateway",
            Self::Fallback => "fallback",
            Self::Nothing => "nothing",
        }
    }
}

/// Chooses. `None`: the fallback must be waited for first. A valid payload of the owner is never held up by the fallback's own, unless a policy
/// compares the two; and one that the policy likes less is still better than none.
pub const fn select(owner: &OwnerOutcome, fallback: FallbackOutcome) -> Option<Choice> {
    match (owner, fallback) {
        (OwnerOutcome::Valid, _) | (OwnerOutcome::Outbid(_), FallbackOutcome::Failed) => Some(Choice::Gateway),
        (_, FallbackOutcome::Pending) => None,
        (_, FallbackOutcome::Payload) => Some(Choice::Fallback),
        (_, FallbackOutcome::Failed) => Some(Choice::Nothing),
    }
}

/// What is known while a payload is being got.
#[derive(Clone, Copy, Debug)]
pub struct Situation<'a> {
    /// What becomes of the owner's payload.
    pub purpose: Purpose,
    /// How the attempt with the owner went; `None` while it is under way. It ends with the time budget at the latest.
    pub owner: Option<&'a OwnerOutcome>,
    /// How the attempt with the fallback is going.
    pub fallback: FallbackOutcome,
    /// Whether a policy wants to compare the two, and there is time left to.
    pub compare: bool,
}

/// Chooses whose payload op-node gets. `None`: something must be waited for first.
pub fn choose(situation: Situation<'_>) -> Option<Choice> {
    let Situation { purpose, owner, fallback, compare } = situation;
    match (purpose, owner, fallback) {
        // Comparing takes both; when the time for it is over, a valid payload is good enough.
        (Purpose::Serve, Some(OwnerOutcome::Valid), FallbackOutcome::Pending) if compare => None,
        (Purpose::Serve, owner, fallback) => select(owner?, fallback),
        // Nobody waits for a gateway whose payload isn't going to be served.
        (_, _, FallbackOutcome::Payload) => Some(Choice::Fallback),
        (_, _, FallbackOutcome::Pending) => None,
        (Purpose::DryRun, _, FallbackOutcome::Failed) => Some(Choice::Nothing),
        // A gateway on trial is better than nothing.
        (Purpose::Trial, owner, FallbackOutcome::Failed) => select(owner?, fallback),
    }
}

/// Whether the choice depends on how the attempt with the fallback went, once that is known: if not, its answer needn't be read yet.
pub const fn minds_fallback(purpose: Purpose, owner: Option<&OwnerOutcome>, compare: bool) -> bool {
    match (purpose, owner) {
        (Purpose::Serve, None) => false,
        (Purpose::Serve, Some(OwnerOutcome::Valid)) => compare,
        _ => true,
    }
}

impl OwnerOutcome {
    /// All that [`OwnerOutcome::name`] gives.
    pub const NAMES: [&str; 15] = [
        "valid",
        "not_asked",
        "late",
        "check_late",
        "lane_closed",
        "not_building",
        "unreachable",
        "replaced",
        "bad_answer",
        "mismatch",
        "rejected",
        "undecided",
        "unchecked",
        "disputed",
        "outbid",
    ];

    /// Whether no payload came from where the gateway is, or was, for whatever reason.
    pub const fn is_no_payload(&self) -> bool {
        matches!(
            self,
            Self::Late(Stage::Id | Stage::Payload) | Self::NotBuilding(_) | Self::Unreachable(_) | Self::BadAnswer(_)
        )
    }

    /// A short fixed name, for metrics.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Valid => "valid",
            Self::Skipped(_) => "not_asked",
            Self::Late(stage) if stage.is_ours() => "check_late",
            Self::Late(_) => "late",
            Self::LaneClosed(_) => "lane_closed",
            Self::NotBuilding(_) => "not_building",
            Self::Unreachable(_) => "unreachable",
            Self::Replaced => "replaced",
            Self::BadAnswer(_) => "bad_answer",
            Self::Mismatch(_) => "mismatch",
            Self::Rejected(_) => "rejected",
            Self::Undecided(_) => "undecided",
            Self::Unchecked(_) | Self::Unsupported(_) => "unchecked",
            Self::Disputed(_) => "disputed",
            Self::Outbid(_) => "outbid",
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
            Self::Skipped(Skip::Disabled(id)) => write!(f, "not asked: gateway {id} is disabled here"),
            Self::Skipped(Skip::Suspended(id)) => {
                write!(f, "not asked: gateway {id} failed too often and is left out for a while")
            }
            Self::Skipped(Skip::LostTurn(id)) => {
                write!(f, "not asked: gateway {id} has lost its turn, since its soft blocks don't reach the feed")
            }
            Self::Skipped(Skip::Unread(_)) => {
                write!(f, "not asked: the attributes have a form unknown to this portal; look for a newer one")
            }
            Self::Skipped(Skip::UnknownOrder(_)) => {
                write!(f, "not asked: ordered before the portal started, or not through it")
            }
            Self::Skipped(Skip::NoTxPool(_)) => write!(f, "not asked: the block holds forced transactions only"),
            Self::Late(Stage::Id) => write!(f, "late: no payload id from the gateway in time"),
            Self::Late(Stage::Payload) => write!(f, "late: no payload from the gateway in time"),
            Self::Late(Stage::NoTimeLeft) => {
                write!(
                    f,
                    "late: the gateway left too little time for checking its payload: less than half, which wasn't enough"
                )
            }
            Self::Late(Stage::Validation) => write!(f, "late: not checked by the fallback in time"),
            Self::Late(Stage::SecondValidation) => write!(f, "late: not checked by the second validator in time"),
            Self::LaneClosed(reason) => {
                write!(f, "the gateway's address, or its lane's settings, changed after the order: {reason}")
            }
            Self::NotBuilding(reason) => write!(f, "the gateway isn't building: {reason}"),
            Self::Unreachable(reason) => write!(f, "the gateway can't be reached: {reason}"),
            Self::Replaced => {
                write!(
                    f,
                    "the block was ordered more than once, or another behind it, and the gateway no longer knows the id that it gave (-38001)"
                )
            }
            Self::BadAnswer(reason) => write!(f, "the gateway's answer is no payload: {reason}"),
            Self::Mismatch(reason) => write!(f, "the gateway's payload has {reason}"),
            Self::Rejected(reason) => write!(f, "the fallback rejects the gateway's payload: {reason}"),
            Self::Undecided(reason) => write!(f, "the fallback can't judge the gateway's payload: {reason}"),
            Self::Unchecked(reason) => write!(f, "the gateway's payload couldn't be checked: {reason}"),
            Self::Unsupported(_) => {
                write!(f, "the gateway's payload couldn't be checked: the fallback doesn't support its fork (-38005)")
            }
            Self::Disputed(reason) => write!(f, "the second validator doesn't agree with the fallback: {reason}"),
            Self::Outbid(objection) => write!(f, "the policy prefers the fallback's payload: {objection}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_waited_for_depends_on_the_purpose() {
        let (valid, late) = (OwnerOutcome::Valid, OwnerOutcome::Late(Stage::Id));
        let (pending, payload, failed) = (FallbackOutcome::Pending, FallbackOutcome::Payload, FallbackOutcome::Failed);
        let ask = |purpose, owner, fallback, compare| choose(Situation { purpose, owner, fallback, compare });
        for compare in [false, true] {
            // Serving waits for the owner, however soon the fallback is.
            assert_eq!(ask(Purpose::Serve, None, payload, compare), None);
            assert_eq!(ask(Purpose::Serve, Some(&late), payload, compare), Some(Choice::Fallback));
            assert_eq!(ask(Purpose::Serve, Some(&valid), payload, compare), Some(Choice::Gateway));
            assert_eq!(ask(Purpose::Serve, Some(&valid), failed, compare), Some(Choice::Gateway));
            // Dry runs and trials wait for the fallback.
            for purpose in [Purpose::DryRun, Purpose::Trial] {
                assert_eq!(ask(purpose, None, payload, compare), Some(Choice::Fallback));
                assert_eq!(ask(purpose, Some(&valid), payload, compare), Some(Choice::Fallback));
                assert_eq!(ask(purpose, Some(&valid), pending, compare), None);
            }
            assert_eq!(ask(Purpose::DryRun, Some(&valid), failed, compare), Some(Choice::Nothing));
            assert_eq!(ask(Purpose::Trial, None, failed, compare), None);
            assert_eq!(ask(Purpose::Trial, Some(&valid), failed, compare), Some(Choice::Gateway));
            assert_eq!(ask(Purpose::Trial, Some(&late), failed, compare), Some(Choice::Nothing));
        }
        // A valid payload waits for the fallback only to be compared with its.
        assert_eq!(ask(Purpose::Serve, Some(&valid), pending, false), Some(Choice::Gateway));
        assert_eq!(ask(Purpose::Serve, Some(&valid), pending, true), None);
    }

    #[test]
    fn who_leaves_no_time_for_the_check_is_to_blame() {
        let budget = Duration::from_millis(500);
        for stage in [Stage::Validation, Stage::SecondValidation] {
            let late = |left, last: Option<u64>| {
                stage.late_check(Duration::from_millis(left), budget, last.map(Duration::from_millis))
            };
            for last in [None, Some(63), Some(400)] {
                assert_eq!(late(249, last), Stage::NoTimeLeft);
                assert_eq!(late(250, last), stage);
            }
            // Quick as it was, it must hang.
            assert_eq!(late(160, Some(40)), stage);
            assert_eq!(late(159, Some(40)), Stage::NoTimeLeft);
            // Or it was of nothing.
            assert_eq!(late(125, Some(1)), stage);
            assert_eq!(late(124, Some(1)), Stage::NoTimeLeft);
        }
        assert_eq!(Stage::Id.late_check(Duration::ZERO, budget, None), Stage::Id);
        assert!(!Stage::NoTimeLeft.is_ours());
    }

    #[test]
    fn what_needs_no_reading_decides_nothing() {
        let outcomes = [FallbackOutcome::Pending, FallbackOutcome::Payload, FallbackOutcome::Failed];
        for purpose in [Purpose::Serve, Purpose::DryRun, Purpose::Trial] {
            for owner in [None, Some(&OwnerOutcome::Valid), Some(&OwnerOutcome::Late(Stage::Id))] {
                for compare in [false, true] {
                    let choices = outcomes.map(|fallback| choose(Situation { purpose, owner, fallback, compare }));
                    let same = choices.iter().all(|choice| *choice == choices[0]);
                    assert_eq!(minds_fallback(purpose, owner, compare), !same, "{purpose:?} {owner:?} {compare}");
                }
            }
        }
    }

    #[test]
    fn every_combination() {
        let failures = [
            OwnerOutcome::Skipped(Skip::OpenSlot),
            OwnerOutcome::Late(Stage::Id),
            OwnerOutcome::Late(Stage::Payload),
            OwnerOutcome::Late(Stage::NoTimeLeft),
            OwnerOutcome::Late(Stage::Validation),
            OwnerOutcome::LaneClosed(String::new()),
            OwnerOutcome::Unsupported(Fields::default()),
            OwnerOutcome::NotBuilding(String::new()),
            OwnerOutcome::Unreachable(String::new()),
            OwnerOutcome::Replaced,
            OwnerOutcome::BadAnswer(AnswerError::Garbage),
            OwnerOutcome::Mismatch(Mismatch::Parent),
            OwnerOutcome::Rejected(String::new()),
            OwnerOutcome::Undecided(String::new()),
            OwnerOutcome::Unchecked(String::new()),
            OwnerOutcome::Disputed(String::new()),
        ];
        for fallback in [FallbackOutcome::Pending, FallbackOutcome::Payload, FallbackOutcome::Failed] {
            assert_eq!(select(&OwnerOutcome::Valid, fallback), Some(Choice::Gateway));
        }
        let outbid = OwnerOutcome::Outbid(Objection::Gas { gateway: 1, fallback: 2 });
        assert_eq!(select(&outbid, FallbackOutcome::Payload), Some(Choice::Fallback));
        assert_eq!(select(&outbid, FallbackOutcome::Failed), Some(Choice::Gateway));
        for failure in failures {
            assert_eq!(select(&failure, FallbackOutcome::Pending), None, "{failure}");
            assert_eq!(select(&failure, FallbackOutcome::Payload), Some(Choice::Fallback), "{failure}");
            assert_eq!(select(&failure, FallbackOutcome::Failed), Some(Choice::Nothing), "{failure}");
            assert_ne!(failure.name(), OwnerOutcome::Valid.name());
        }
    }

    #[test]
    fn every_outcome_has_a_name_of_its_own() {
        let all = [
            OwnerOutcome::Valid,
            OwnerOutcome::Skipped(Skip::OpenSlot),
            OwnerOutcome::Late(Stage::Id),
            OwnerOutcome::Late(Stage::Validation),
            OwnerOutcome::LaneClosed(String::new()),
            OwnerOutcome::NotBuilding(String::new()),
            OwnerOutcome::Unreachable(String::new()),
            OwnerOutcome::Replaced,
            OwnerOutcome::BadAnswer(AnswerError::Garbage),
            OwnerOutcome::Mismatch(Mismatch::Parent),
            OwnerOutcome::Rejected(String::new()),
            OwnerOutcome::Undecided(String::new()),
            OwnerOutcome::Unchecked(String::new()),
            OwnerOutcome::Disputed(String::new()),
            OwnerOutcome::Outbid(Objection::Gas { gateway: 1, fallback: 2 }),
        ];
        assert_eq!(all.map(|outcome| outcome.name()), OwnerOutcome::NAMES);
    }
}
