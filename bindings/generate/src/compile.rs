//! Compiles the interfaces with the project's compiler and remappings.

use crate::artefact::Artefact;
use eyre::{Context, Result, bail, eyre};
use foundry_compilers::{
    ConfigurableArtifacts, ProjectBuilder, ProjectCompileOutput, ProjectPathsConfig,
    artifacts::remappings::Remapping,
    solc::{Solc, SolcCompiler},
};
use std::path::{Path, PathBuf};

/// The contracts' faces to the outside: file below `contracts/src`, which is also the interface's name.
const INTERFACES: [&str; 5] = [
    "beacon/IBeaconStateVerifier",
    "delegation/IDelegationSignatures",
    "inbox/IInbox",
    "registry/IRegistry",
    "rollup/IBatcherRotation",
];

/// Compiles and returns every interface's ABI.
pub(crate) fn interfaces(root: &Path) -> Result<Vec<Artefact>> {
    let sources = root.join("contracts").join("src");
    let paths = ProjectPathsConfig::builder()
        .root(root)
        .sources(&sources)
        .lib(root.join("node_modules"))
        .remappings(remappings(root)?)
        .build()?;
    let solc = Solc::new(root.join("script").join("solc")).wrap_err("script/solc doesn't run; `npm ci` first")?;
    let project = ProjectBuilder::<SolcCompiler, ConfigurableArtifacts>::new(ConfigurableArtifacts::default())
        .paths(paths)
        .ephemeral()
        .no_artifacts()
        .build(SolcCompiler::Specific(solc))?;
    let files: Vec<PathBuf> = INTERFACES.iter().map(|name| sources.join(name).with_extension("sol")).collect();
    let output = project.compile_files(files.clone())?;
    if output.has_compiler_errors() {
        bail!("{output}");
    }
    files.iter().map(|file| artefact(&output, file)).collect()
}

type Output = ProjectCompileOutput<SolcCompiler, ConfigurableArtifacts>;

fn artefact(output: &Output, file: &Path) -> Result<Artefact> {
    let name = file.file_stem().and_then(|stem| stem.to_str()).ok_or_else(|| eyre!("{file:?} has no name"))?;
    let contract = output.find(file, name).ok_or_else(|| eyre!("{file:?} doesn't declare {name}"))?;
    let abi = contract.abi.as_ref().ok_or_else(|| eyre!("the compiler gave no ABI of {name}"))?;
    Ok(Artefact { name: name.to_owned(), abi: serde_json::to_value(abi)? })
}

/// Remappings have one home, `foundry.toml`.
fn remappings(root: &Path) -> Result<Vec<Remapping>> {
    let text = std::fs::read_to_string(root.join("foundry.toml")).wrap_err("foundry.toml")?;
    let config: toml::Table = text.parse().wrap_err("foundry.toml")?;
    let list = config
        .get("profile")
        .and_then(|profiles| profiles.get("default"))
        .and_then(|profile| profile.get("remappings"))
        .and_then(toml::Value::as_array)
        .ok_or_else(|| eyre!("foundry.toml: profile.default.remappings is missing"))?;
    list.iter()
        .map(|entry| {
            let text = entry.as_str().ok_or_else(|| eyre!("foundry.toml: remapping {entry} isn't a string"))?;
            Ok(text.parse::<Remapping>()?)
        })
        .collect()
}
