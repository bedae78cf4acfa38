//! The engine as its clients see it: over HTTP, with blocks that it built itself.

mod building;
mod forkchoice;
mod harness;
mod server;
mod tampering;
mod transactions;
mod wallet;
