#![doc = include_str!("../README.md")]

pub mod anchor;
pub mod archive;
pub mod journal;
pub mod links;
pub mod settling;
pub mod signer;
pub mod signing;
pub mod adopted;
pub mod config;
pub mod l1_blocks;
pub mod l1;
pub mod l2;
pub mod feed;
pub mod collecting;
pub mod posting;
