//! Baton's rules as pure functions: no I/O, no clock of its own, nothing to configure but the deployment's parameters.
//!
//! Rule numbers in brackets, such as `[T3]`, point into `docs/protocol.md`.

pub mod beacon;
mod clock;
pub mod delegation;
mod evidence;
mod feed_item;
mod harbour;
mod link;
mod receipt;
pub mod rlp;
mod schedule;
mod signature;
mod soft_block;

pub use clock::{SLOTS_PER_EPOCH, SlotClock, SlotClockError};
pub use evidence::{Delivered, Evidence};
pub use feed_item::FeedItem;
pub use harbour::{WindowRecord, liable_before};
pub use link::Link;
pub use receipt::Receipt;
pub use schedule::{EpochSchedule, GatewayId, Kind, NOBODY, Schedule, ScheduleError, Window};
pub use signature::{Domain, SignatureError};
pub use soft_block::{SignedSoftBlock, SoftBlock};
