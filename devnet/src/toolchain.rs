//! Where the project's programs are.

use baton_devnet_l1::programs;
use eyre::{Context, Result, bail};
use std::path::{Path, PathBuf};

/// The project's folder and the tools that `npm ci` put there.
#[derive(Clone, Debug)]
pub struct Toolchain {
    root: PathBuf,
}

impl Toolchain {
    /// Finds the project's folder: this one, or the nearest above it with a `foundry.toml`.
    pub fn find() -> Result<Self> {
        let here = std::env::current_dir().wrap_err("no current folder")?;
        match here.ancestors().find(|folder| folder.join("foundry.toml").is_file()) {
            Some(root) => Ok(Self { root: root.to_owned() }),
            None => bail!("no foundry.toml in this folder or above it: run this inside the project"),
        }
    }

    /// The project's folder.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// A program of the Node packages: see [`programs::installed`].
    pub fn program(&self, name: &str) -> Result<PathBuf> {
        match programs::installed(&self.root, name) {
            Some(program) => Ok(program),
            None => bail!("{name} isn't installed; `npm ci` in the project's folder installs it"),
        }
    }

    /// Compiles contracts and scripts, which is quick where it was done before.
    pub async fn compile_contracts(&self) -> Result<()> {
        let mut forge = tokio::process::Command::new(self.program("forge")?);
        let output = forge.arg("build").current_dir(&self.root).kill_on_drop(true).output().await?;
        if output.status.success() {
            return Ok(());
        }
        bail!("forge build failed:\n{}", String::from_utf8_lossy(&output.stderr))
    }

    /// A program of others that is installed on demand, for tests and benchmarks beside the real thing.
    pub fn peer(&self, name: &str) -> Result<PathBuf> {
        let program = self.root.join("target/peers/bin").join(name);
        if program.is_file() {
            return Ok(program);
        }
        bail!("{name} isn't installed; `make target/peers/.{name}` in the project's folder installs it")
    }

    /// A program of this workspace, built beside the one that runs now (or, for tests, one folder above).
    pub fn built(&self, name: &str) -> Result<PathBuf> {
        let this = std::env::current_exe()?;
        let found = this.ancestors().skip(1).take(2).map(|folder| folder.join(name)).find(|path| path.is_file());
        found.ok_or_else(|| eyre::eyre!("{name} isn't built; `cargo build --workspace --bins` builds it"))
    }
}
