//! Configuration files of the programs that the devnet starts.

use alloy::{
    primitives::{Address, hex},
    signers::local::PrivateKeySigner,
};
use baton_protocol::SlotClock;
use eyre::Result;
use std::path::{Path, PathBuf};
use toml::{Table, Value};

/// A portal.
pub(crate) struct PortalConfig {
    /// Port of the Engine API.
    pub(crate) listen: u16,
    /// Port of health, metrics and decisions.
    pub(crate) admin: u16,
    /// The secret for op-node and the operator's engine.
    pub(crate) jwt_file: PathBuf,
    /// The gateways' secret.
    pub(crate) gateways_jwt_file: PathBuf,
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
    /// Publishes lookaheads; none for the operator.
    pub(crate) publisher: Option<PrivateKeySigner>,
    /// The L1.
    pub(crate) l1_url: String,
    /// The L1's beacon side.
    pub(crate) beacon_url: String,
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
        let clock = Table::try_from(self.clock)?;
        let file = with(Table::new(), "engine.listen", local(self.listen));
        let file = with(file, "engine.jwt_secret_file", jwt.as_str());
        let file = with(file, "admin.listen", local(self.admin));
        let file = with(file, "fallback.url", self.fallback_url.as_str());
        let file = with(file, "fallback.jwt_secret_file", jwt.as_str());
        let file = with(file, "gateways.jwt_secret_file", text(&self.gateways_jwt_file)?);
        let file = with(file, "schedule.l1_urls", vec![self.l1_url.clone()]);
        let file = with(file, "schedule.registry", self.registry.to_string());
        let file = with(file, "schedule.clock", clock);
        write(folder, "portal", &file)
    }
}

impl KeeperConfig {
    /// Writes the file with its key files and returns its path.
    pub(crate) fn write(&self, folder: &Path) -> Result<PathBuf> {
        let sequencer = key_file(folder, &format!("{}-sequencer", self.name), &self.sequencer)?;
        let file = with(Table::new(), "keys.sequencer.file", sequencer);
        let file = with(file, "data_dir", text(&folder.join(format!("{}-data", self.name)))?);
        let file = with(file, "l1.urls", vec![self.l1_url.clone()]);
        let file = with(file, "beacon.urls", vec![self.beacon_url.clone()]);
        let file = with(file, "l2.url", self.l2_url.as_str());
        let file = with(file, "contracts.registry", self.registry.to_string());
        let file = with(file, "contracts.inbox", self.inbox.to_string());
        let file = with(file, "feed.listen", local(self.feed));
        let file = with(file, "admin.listen", local(self.admin));
        // Blobs are few, and the start is watched.
        let file = with(file, "settling.kzg_precompute", false);
        let file = with(file, "operator.grace_ms", 500);
        let file = match &self.publisher {
            None => file,
            Some(key) => {
                let publisher = key_file(folder, &format!("{}-publisher", self.name), key)?;
                with(file, "lookahead.publisher_key_file", publisher)
            }
        };
        let Some((gateway, settler)) = self.gateway.zip(self.settler.as_ref()) else {
            return write(folder, &self.name, &with(file, "role", "operator"));
        };
        let settler = key_file(folder, &format!("{}-settler", self.name), settler)?;
        let file = with(file, "role", "gateway");
        let file = with(file, "gateway", i64::from(gateway));
        let file = with(file, "keys.settler.file", settler);
        let file = with(file, "feed.operator", self.operator_feed.as_str());
        write(folder, &self.name, &file)
    }
}

/// Sets a dotted key. Tables on its way are made.
fn with(mut table: Table, key: &str, value: impl Into<Value>) -> Table {
    match key.split_once('.') {
        None => {
            table.insert(key.to_owned(), value.into());
        }
        Some((first, rest)) => {
            let inner = match table.remove(first) {
                Some(Value::Table(inner)) => inner,
                _ => Table::new(),
            };
            table.insert(first.to_owned(), Value::Table(with(inner, rest, value)));
        }
    }
    table
}

fn local(port: u16) -> String {
    format!("127.0.0.1:{port}")
}

fn text(path: &Path) -> Result<String> {
    Ok(path.to_str().ok_or_else(|| eyre::eyre!("{} isn't UTF-8", path.display()))?.to_owned())
}

fn write(folder: &Path, name: &str, file: &Table) -> Result<PathBuf> {
    let path = folder.join(format!("{name}.toml"));
    std::fs::write(&path, toml::to_string(file)?)?;
    Ok(path)
}

/// A key file that only its owner can read.
pub(crate) fn key_file(folder: &Path, name: &str, key: &PrivateKeySigner) -> Result<String> {
    let path = folder.join(format!("{name}.key"));
    write_secret(&path, &hex::encode(key.to_bytes()))?;
    text(&path)
}

/// A new file that only its owner can read.
pub(crate) fn write_secret(path: &Path, secret: &str) -> Result<()> {
    use std::{io::Write, os::unix::fs::OpenOptionsExt};
    let mut file = std::fs::File::options().write(true).create_new(true).mode(0o600).open(path)?;
    writeln!(file, "{secret}")?;
    Ok(())
}
