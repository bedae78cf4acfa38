//! The portal over real HTTP and JWT: op-node's side on one end, a fallback and gateways on the other.

mod admin;
mod batches;
mod breakers;
mod browser;
mod configuration;
mod engines;
mod failures;
mod fallback_failures;
mod followed;
mod hang_ups;
mod l1;
mod logged;
mod moves;
mod node;
mod observability;
mod program;
mod recorded;
mod rules;
mod soft_blocks;
mod stand;
mod swap_in;
mod tampering;
mod transactions;
mod turns;
mod updates;
mod versions;
