#![doc = include_str!("../README.md")]

mod body;
pub mod boost;
pub mod breaker;
pub mod builds;
pub mod cli;
mod config;
pub mod decision;
pub mod demand;
pub mod descriptors;
mod door;
mod gateways;
mod handler;
mod health;
pub mod jwt;
mod lane;
pub mod logging;
mod lookup;
pub mod mode;
mod object;
mod office;
pub mod payload;
pub mod peek;
pub mod policy;
mod portal;
pub mod program;
mod proxy;
pub mod queue;
mod recurring;
mod refusal;
pub mod registry;
pub mod reload;
pub mod route;
pub mod rpc;
pub mod selection;
mod server;
mod soft_blocks;
mod status;
pub mod steering;
mod strangers;
pub mod taken;
mod telemetry;
mod trace;
pub mod turns;
mod upstream;
pub mod version;
pub mod warm_up;
mod wire;

pub use config::{
    AdminConfig, Config, ConfigError, EngineConfig, FallbackConfig, GatewayOverride, GatewaysConfig, ScheduleConfig,
    SharedSecret, TracingConfig, ValidatorConfig, Warning,
};
pub use decision::{Decision, KEPT};
pub use jwt::{Secret, SecretError, TokenError};
pub use portal::{Running, StartError, run, run_with_schedule};
pub use selection::Choice;
pub use soft_blocks::SoftBlockRule;
pub use trace::Ordered;
