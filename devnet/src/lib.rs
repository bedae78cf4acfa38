//! An embedded L1 and L2 for Baton's demo and end-to-end tests.

mod accounts;
pub mod audit;
pub mod beacon;
mod configuration;
pub mod deployment;
pub mod driver;
pub mod kona;
pub mod l1;
mod ports;
pub mod process;
mod proposers;
pub mod sequencer;
pub mod served_engine;
pub mod stack;
pub mod story;
pub mod timeline;
pub mod toolchain;
pub mod traffic;
mod wallet_rpc;
