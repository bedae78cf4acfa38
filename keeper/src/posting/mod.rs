//! From a plan to a transaction on L1: data, self-check, fees, sending, waiting.

mod batch;
mod broadcast;
mod data;
mod fees;
mod sender;
mod simulation;

pub use batch::batch;
pub use broadcast::Answer;
pub use data::{DataError, Prepared, prepare};
pub use fees::{Fees, MarketFees, TransactionKind};
pub use sender::{Call, Estimate, Outcome, Pending, SendError, Sender, SlotStart, collect_gas_limit};
pub use simulation::{Conditions, Revert};
