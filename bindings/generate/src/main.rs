//! Writes `bindings/abi/*.json` from the Solidity interfaces, or with `--check` says which of them are out of date.

mod artefact;
mod compile;

use clap::Parser;
use eyre::{Context, Result, bail};
use std::path::PathBuf;

/// Write the ABIs that the Rust bindings are made from.
///
/// Compiles the interfaces in contracts/src with the project's own compiler (script/solc, so `npm ci` first) and
/// writes their ABIs to bindings/abi.
#[derive(Parser)]
struct Arguments {
    /// Write nothing; fail if a committed ABI differs from what the sources say.
    #[arg(long)]
    check: bool,
    /// The project's folder.
    #[arg(long, default_value = ".")]
    root: PathBuf,
}

fn main() -> Result<()> {
    let Arguments { check, root } = Arguments::parse();
    let root = root.canonicalize().wrap_err("--root: no such folder")?;
    let artefacts = compile::interfaces(&root)?;
    let folder = root.join("bindings").join("abi");
    if check {
        let stale = artefact::differing(&folder, &artefacts)?;
        if !stale.is_empty() {
            bail!("out of date: {}; run `make bindings` and commit the result", stale.join(", "));
        }
    } else {
        artefact::write(&folder, &artefacts)?;
    }
    Ok(())
}
