//! A keeper as a whole: start, loop, shutdown.

mod collection;
mod keeper;
mod settlement;
mod start;

pub use start::{Running, StartError, follower_config, run};
