//! The engine over HTTP: JSON-RPC on two ports, one for the consensus side with JWT, one open.

pub mod engine_api;
pub mod eth_api;
pub mod jsonrpc;
pub mod jwt;
pub mod server;
