#![doc = include_str!("../README.md")]

pub mod anchor;
pub mod archive;
pub mod journal;
pub mod links;
pub mod settling;
pub mod signer;
pub mod signing;
