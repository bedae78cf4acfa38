#![doc = include_str!("../README.md")]

pub mod admin;
pub mod adopted;
pub mod anchor;
pub mod archive;
pub mod beacon;
pub mod collecting;
pub mod config;
pub mod delegation;
pub mod evidence;
pub mod feed;
pub mod journal;
pub mod l1;
pub mod l1_blocks;
pub mod l2;
pub mod links;
pub mod lookahead;
pub mod observation;
pub mod posting;
pub mod registry_revert;
pub mod run;
#[cfg(test)]
mod scripted_node;
pub mod settling;
pub mod signer;
pub mod signing;
pub mod status;
mod without_url;
