//! Where configuration comes from.

use baton_keeper::config::{CommandConfig, ENV_PREFIX, KeeperConfig};
use clap::Args;
use eyre::{Context, Result, bail};
use std::{fs, path::PathBuf};

const CONFIG_ENV: &str = "BATON_KEEPER_CONFIG";

#[derive(Args)]
pub(super) struct Source {
    /// The TOML file
    #[arg(long, short, env = CONFIG_ENV, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Set a key of the configuration, such as l2.url=http://127.0.0.1:9545; may be repeated
    #[arg(long = "set", value_name = "KEY=VALUE")]
    set: Vec<String>,
}

impl Source {
    /// A keeper's configuration.
    pub(super) fn keeper(&self) -> Result<KeeperConfig> {
        if self.config.is_none() {
            bail!("--config is missing; name the TOML file (see `keeper --help`)");
        }
        KeeperConfig::parse(&self.text()?, env(), &self.set).wrap_err_with(|| self.file())
    }

    /// What a command needs, which may all be in the environment or in flags.
    pub(super) fn command(&self) -> Result<CommandConfig> {
        CommandConfig::parse(&self.text()?, env(), &self.set).wrap_err_with(|| self.file())
    }

    /// The file's name.
    pub(super) fn file(&self) -> String {
        self.config.as_ref().map_or_else(|| "configuration".to_owned(), |file| file.display().to_string())
    }

    fn text(&self) -> Result<String> {
        let Some(file) = &self.config else { return Ok(String::new()) };
        fs::read_to_string(file).wrap_err_with(|| format!("configuration file {} can't be read", file.display()))
    }
}

fn env() -> impl Iterator<Item = (String, String)> {
    // What else is in the environment needn't be text.
    let all = std::env::vars_os().filter_map(|(name, value)| Some((name.into_string().ok()?, value)));
    let ours = all.filter(|(name, _)| name != CONFIG_ENV && name.starts_with(ENV_PREFIX));
    ours.map(|(name, value)| (name, value.to_string_lossy().into_owned()))
}
