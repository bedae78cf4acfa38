#![doc = include_str!("../README.md")]

pub mod builds;
pub mod cli;
mod config;
pub mod decision;
pub mod demand;
mod gateways;
pub mod jwt;
mod lane;
pub mod payload;
pub mod peek;
mod portal;
mod proxy;
pub mod queue;
pub mod registry;
pub mod route;
pub mod rpc;
pub mod selection;
mod server;
mod telemetry;
mod upstream;
pub mod version;

pub use config::{
    AdminConfig, Config, ConfigError, EngineConfig, FallbackConfig, GatewayOverride, GatewaysConfig, ScheduleConfig,
};
pub use decision::{Decision, KEPT};
pub use jwt::{Secret, SecretError, TokenError};
pub use portal::{Running, StartError, run, run_with_schedule};
pub use selection::Choice;
