//! Reads the vectors that Lodestar made.
#![allow(dead_code, reason = "each test uses its part")]

use std::{fs, path::PathBuf, str::FromStr};

use alloy::primitives::B256;
use baton_protocol::beacon::{BeaconHeader, Fork};
use serde_json::Value;

pub(crate) const FORKS: [Fork; 2] = [Fork::Fulu, Fork::Gloas];

/// A state of the vectors.
pub(crate) struct State {
    pub(crate) fork: Fork,
    pub(crate) ssz: Vec<u8>,
    pub(crate) header: BeaconHeader,
    pub(crate) block_root: B256,
    pub(crate) validators: Vec<Value>,
    pub(crate) vector: Value,
}

impl State {
    pub(crate) fn all(fork: Fork) -> Vec<Self> {
        let states = vectors(fork)["states"].as_array().expect("a list").clone();
        assert!(states.len() > 5);
        states.into_iter().map(|vector| Self::read(fork, vector)).collect()
    }

    /// The state with so many validators.
    pub(crate) fn load(fork: Fork, validators: &str) -> Self {
        let vectors = vectors(fork);
        let states = vectors["states"].as_array().expect("a list");
        let vector = states.iter().find(|state| state["validatorCount"] == validators).expect("it is there");
        Self::read(fork, vector.clone())
    }

    fn read(fork: Fork, vector: Value) -> Self {
        let compressed = fs::read(path(vector["ssz"].as_str().expect("a name"))).expect("the state is there");
        let mut ssz = Vec::new();
        brotli::BrotliDecompress(&mut compressed.as_slice(), &mut ssz).expect("brotli");
        assert_eq!(ssz.len(), field::<usize>(&vector, "sszLength"));
        Self {
            fork,
            ssz,
            header: header(&vector),
            block_root: field(&vector, "blockRoot"),
            validators: vector["validators"].as_array().expect("a list").clone(),
            vector,
        }
    }
}

fn path(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../contracts/vectors/beacon").join(name)
}

/// All vectors of a fork.
pub(crate) fn vectors(fork: Fork) -> Value {
    serde_json::from_str(&fs::read_to_string(path(&format!("{fork}.json"))).expect("the vectors are there"))
        .expect("JSON")
}

/// A field that is a string.
pub(crate) fn field<T: FromStr<Err: std::fmt::Debug>>(vector: &Value, name: &str) -> T {
    vector[name].as_str().unwrap_or_else(|| panic!("{name} is a string")).parse().expect(name)
}

/// A field that is a list of strings.
pub(crate) fn branch<T: FromStr<Err: std::fmt::Debug>>(vector: &Value, name: &str) -> Vec<T> {
    let nodes = vector[name].as_array().unwrap_or_else(|| panic!("{name} is a list"));
    nodes.iter().map(|node| node.as_str().expect("a string").parse().expect(name)).collect()
}

/// The header of a state.
pub(crate) fn header(vector: &Value) -> BeaconHeader {
    let header = &vector["header"];
    BeaconHeader {
        slot: field(header, "slot"),
        proposer_index: field(header, "proposerIndex"),
        parent_root: field(header, "parentRoot"),
        state_root: field(header, "stateRoot"),
        body_root: field(header, "bodyRoot"),
    }
}
