//! The engine as its clients see it: over HTTP, with blocks that it built itself.

#![allow(
    clippy::unwrap_used,
    clippy::cast_possible_truncation,
    reason = "functions that tests share are test code too; block numbers are small here"
)]

mod building;
mod forkchoice;
mod harness;
mod server;
mod tampering;
mod transactions;
mod wallet;
