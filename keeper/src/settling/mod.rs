//! When to settle and what: pure decisions over observed state.

mod decision;
mod gas;
mod plan;
mod situation;
mod turn;

pub use decision::{Decision, PolicyError, Reason, SettlingPolicy, decide, may_replace};
pub use gas::{MAX_TRANSACTION_GAS, settle_gas_limit};
pub use plan::{Evidence, Plan, PlannedRun, plan};
pub use situation::{SettlementRules, Situation};
pub use turn::{Landing, Turn, landing_turn, turn};
