//! Publishing lookaheads: whose turn it is, the proof, the transaction.

mod decision;
mod duty;
mod prepared;
mod record;

pub use decision::{Backoff, Decision, PendingDecision, PublicationRules, Situation, decide, decide_pending};
pub use duty::{LookaheadDuty, PublicationError};
pub use prepared::{PrepareError, Prepared, RegistryRevert, prepare};
pub use record::{Publication, publication_of};
