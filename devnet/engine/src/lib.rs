//! An OP Stack execution engine in memory, for devnet, demo and tests.
//!
//! It executes real blocks (alloy-op-evm on op-revm) over a real Merkle-Patricia state, builds payloads from attributes
//! and its pool, and rejects every block whose header isn't what execution yields. What it doesn't have is a disk, a
//! peer-to-peer network and forks that activate later than genesis.
//!
//! [`engine::Engine`] is the chain with its pool and payload jobs, synchronous and free of I/O; [`rpc::server::serve`]
//! puts it behind HTTP: one port with JWT for the consensus side (`engine_` and `eth_`), one open port for wallets.

pub mod block;
mod building;
pub mod call;
pub mod chain;
pub mod engine;
pub mod error;
pub mod execution;
pub mod fork;
pub mod genesis;
pub mod payload;
pub mod pool;
pub mod predeploy;
pub mod query;
pub mod rpc;
pub mod state;
pub mod submission;
pub mod trie;
pub mod validation;

pub use engine::Engine;
pub use error::EngineError;
pub use fork::Fork;
pub use genesis::{GenesisConfig, devnet_genesis};
pub use rpc::{
    jwt::JwtSecret,
    server::{ServeConfig, ServerHandle, serve},
};
