//! What `npm ci` installs and `forge build` makes.

use alloy::primitives::Bytes;
use serde_json::Value;
use std::path::{Path, PathBuf};

/// A program of the Node packages (`forge`, `anvil`, `cast`) below the project's folder: the real one, of the package for this platform. What is
/// in `node_modules/.bin` may be a script that starts it, and would leave it behind when killed.
pub fn installed(root: &Path, name: &str) -> Option<PathBuf> {
    let packages = std::fs::read_dir(root.join("node_modules").join("@foundry-rs")).into_iter().flatten().flatten();
    packages.map(|package| package.path().join("bin").join(name)).find(|program| program.is_file())
}

/// The project's folder, seen from this crate's sources.
pub(crate) fn project() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// The code that creates a contract.
pub(crate) fn creation_code(contract: &str) -> Bytes {
    let path = project().join(format!("out/{contract}.sol/{contract}.json"));
    let artefact =
        std::fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}; run `forge build`", path.display()));
    let artefact: Value = serde_json::from_slice(&artefact).expect("an artefact");
    artefact["bytecode"]["object"].as_str().expect("bytecode").parse().expect("hexadecimal")
}
