//! Configuration files of the programs that the devnet starts.

use alloy::{
    primitives::{Address, hex},
    signers::local::PrivateKeySigner,
};
use baton_protocol::SlotClock;
use eyre::Result;
use serde_json::{Value, json};
use std::path::{Path, PathBuf};


/// A portal.
pub(crate) struct PortalConfig {
    /// Port of the Engine API.
    pub(crate) listen: u16,
    /// Port of health, metrics and decisions.
    pub(crate) admin: u16,
    /// The secret for op-node and all engines.
    pub(crate) jwt_file: PathBuf,
    /// The operator's engine.
    pub(crate) fallback_url: String,
    /// The L1.
    pub(crate) l1_url: String,
    /// The registry.
    pub(crate) registry: Address,
    /// The deployment's times.
    pub(crate) clock: SlotClock,
}

/// A gateway's keeper, or the operator's.
pub(crate) struct KeeperConfig {
    /// For file names.
    pub(crate) name: String,
    /// The gateway's id; none for the operator.
    pub(crate) gateway: Option<u16>,
    /// Sends settlements; none for the operator.
    pub(crate) settler: Option<PrivateKeySigner>,
    /// Signs soft blocks.
    pub(crate) sequencer: PrivateKeySigner,
    /// The L1.
    pub(crate) l1_url: String,
    /// The keeper's own execution engine.
    pub(crate) l2_url: String,
    /// The registry.
    pub(crate) registry: Address,
    /// The inbox.
    pub(crate) inbox: Address,
    /// Port of the feed.
    pub(crate) feed: u16,
    /// Port of health, metrics and status.
    pub(crate) admin: u16,
    /// The operator's feed.
    pub(crate) operator_feed: String,
}

impl PortalConfig {
    /// Writes the file and returns its path.
    pub(crate) fn write(&self, folder: &Path) -> Result<PathBuf> {
        let jwt = text(&self.jwt_file)?;
        let file = json!({
            "engine": { "listen": local(self.listen), "jwt_secret_file": jwt },
            "admin": { "listen": local(self.admin) },
            "fallback": { "url": self.fallback_url, "jwt_secret_file": jwt },
            "gateways": { "jwt_secret_file": jwt },
            "schedule": { "l1_urls": [self.l1_url], "registry": self.registry, "clock": self.clock },
        });
        write(folder, "portal", &file)
    }
}

impl KeeperConfig {
    /// Writes the file with its key files and returns its path.
    pub(crate) fn write(&self, folder: &Path) -> Result<PathBuf> {
        let role = if self.gateway.is_some() { "gateway" } else { "operator" };
        let mut keys = json!({ "sequencer": { "file": key_file(folder, &format!("{}-sequencer", self.name), &self.sequencer)? } });
        if let Some(settler) = &self.settler {
            keys["settler"] = json!({ "file": key_file(folder, &format!("{}-settler", self.name), settler)? });
        }
        let mut file = json!({
            "role": role,
            "gateway": self.gateway.unwrap_or_default(),
            "data_dir": text(&folder.join(format!("{}-data", self.name)))?,
            "l1": { "urls": [self.l1_url] },
            "l2": { "url": self.l2_url },
            "contracts": { "registry": self.registry, "inbox": self.inbox },
            "keys": keys,
            "feed": { "listen": local(self.feed) },
            "admin": { "listen": local(self.admin) },
            // Blobs are few and the start is watched.
            "settling": { "kzg_precompute": false },
            "operator": { "grace_ms": 500 },
        });
        if self.gateway.is_some() {
            file["feed"]["operator"] = json!(self.operator_feed);
        }
        write(folder, &self.name, &file)
    }
}

fn local(port: u16) -> String {
    format!("127.0.0.1:{port}")
}

fn text(path: &Path) -> Result<String> {
    Ok(path.to_str().ok_or_else(|| eyre::eyre!("{} isn't UTF-8", path.display()))?.to_owned())
}

fn write(folder: &Path, name: &str, file: &Value) -> Result<PathBuf> {
    let path = folder.join(format!("{name}.toml"));
    std::fs::write(&path, toml::to_string(file)?)?;
    Ok(path)
}

/// A key file that only its owner can read.
fn key_file(folder: &Path, name: &str, key: &PrivateKeySigner) -> Result<String> {
    use std::{io::Write, os::unix::fs::OpenOptionsExt};
    let path = folder.join(format!("{name}.key"));
    let mut file = std::fs::File::options().write(true).create_new(true).mode(0o600).open(&path)?;
    writeln!(file, "{}", hex::encode(key.to_bytes()))?;
    text(&path)
}
