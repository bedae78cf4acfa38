//! Delegates the devnet's validators and publishes its first lookahead, with the keeper's own commands.

use crate::{
    beacon::{Delegate, Validators},
    configuration::{key_file, write_secret},
};
use alloy::{primitives::Address, signers::local::PrivateKeySigner};
use eyre::{Context, Result, bail};
use std::{ffi::OsString, path::Path};
use tokio::process::Command;

/// The keeper's commands, run against one deployment.
pub(crate) struct KeeperCommands<'a> {
    /// The program.
    pub(crate) program: &'a Path,
    /// A folder for key files and what is signed.
    pub(crate) folder: &'a Path,
    /// The L1.
    pub(crate) l1_url: String,
    /// Its beacon side.
    pub(crate) beacon_url: String,
    /// The registry.
    pub(crate) registry: Address,
}

impl KeeperCommands<'_> {
    /// Has the validators of a choice sign and the gateway's owner submit their delegations.
    pub(crate) async fn delegate(
        &self,
        validators: &Validators,
        delegate: Delegate,
        gateway: u16,
        owner: &PrivateKeySigner,
    ) -> Result<()> {
        let indices = validators.of(delegate);
        let secrets: Vec<String> = validators
            .all()
            .iter()
            .zip(0..)
            .filter(|(_, index)| indices.contains(index))
            .map(|(validator, _)| alloy::hex::encode(validator.secret()))
            .collect();
        let keys = self.folder.join(format!("validators-{gateway}.keys"));
        write_secret(&keys, &secrets.join("\n"))?;
        let mut sign: Vec<OsString> = vec!["delegation".into(), "sign".into()];
        sign.extend(indices.iter().map(|index| index.to_string().into()));
        sign.extend(["--gateway".into(), gateway.to_string().into(), "--bls-key-file".into(), keys.into()]);
        let signed = self.folder.join(format!("delegations-{gateway}.json"));
        std::fs::write(&signed, self.run(sign).await?)?;
        let owner = key_file(self.folder, &format!("owner-{gateway}"), owner)?;
        let submit: [OsString; 6] =
            ["delegation".into(), "submit".into(), "--signed".into(), signed.into(), "--key-file".into(), owner.into()];
        self.run(submit).await?;
        Ok(())
    }

    /// Publishes an epoch's lookahead.
    pub(crate) async fn publish(&self, epoch: u64, sender: &PrivateKeySigner) -> Result<()> {
        let key = key_file(self.folder, "first-publisher", sender)?;
        let epoch = epoch.to_string();
        self.run(["lookahead", "publish", "--epoch", &epoch, "--key-file", &key]).await?;
        Ok(())
    }

    async fn run(&self, arguments: impl IntoIterator<Item = impl Into<OsString>>) -> Result<Vec<u8>> {
        let arguments: Vec<OsString> = arguments.into_iter().map(Into::into).collect();
        let settings = [
            format!("l1.urls=[\"{}\"]", self.l1_url),
            format!("beacon.urls=[\"{}\"]", self.beacon_url),
            format!("contracts.registry={}", self.registry),
        ];
        let output = Command::new(self.program)
            .args(&arguments)
            .args(settings.iter().flat_map(|setting| ["--set", setting]))
            .kill_on_drop(true)
            .output()
            .await
            .wrap_err("the keeper's program doesn't start")?;
        if !output.status.success() {
            let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).trim().to_owned();
            bail!("keeper {arguments:?} failed:\n{}\n{}", text(&output.stdout), text(&output.stderr));
        }
        Ok(output.stdout)
    }
}
