//! When to settle and what: pure decisions over observed state.

mod decision;
mod plan;
mod situation;
mod turn;

pub use decision::{Decision, PolicyError, Reason, SettlingPolicy, decide, may_replace};
pub use plan::{Evidence, Plan, PlannedRun, plan};
pub use situation::{SettlementRules, Situation};
pub use turn::{Landing, Turn, turn};
