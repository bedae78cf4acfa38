//! Damaged bodies through everything that reads bodies: what op-node's side sends, and what gateways and the fallback answer. Once function by
//! function, which is quick, and once through a running portal, which is all of it.
//!
//! Two seconds each as a test; `make fuzz` takes an hour (`BATON_FUZZ_SECONDS`). A failure prints the seed and the body; put the body into `corpus`
//! once it is mended, so that it is tried first ever after.

mod damage;
mod readers;
mod wire;
