//! Publishing lookaheads: whose turn it is, the proof, the transaction.

mod decision;
mod duty;
mod once;
mod prepared;
mod record;
mod report;

pub use decision::{Backoff, Decision, PendingDecision, PublicationRules, Situation, decide, decide_pending};
pub(crate) use duty::gas_limit;
pub use duty::{LookaheadDuty, PublicationError};
pub use once::{OnceError, Published, publish_once};
pub use prepared::{PrepareError, Prepared, prepare};
pub use record::{Publication, publication_of};
pub use report::{EpochReport, Origin, ReportError, report};
