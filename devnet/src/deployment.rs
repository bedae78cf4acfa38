//! Deploys the contracts and registers the gateways with the project's own scripts.

use crate::toolchain::Toolchain;
use alloy::{
    primitives::{Address, B256, FixedBytes, U256, utils::parse_ether},
    signers::local::PrivateKeySigner,
};
use eyre::{Context, Result, bail};
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};
use tokio::process::Command;

/// What `script/Deploy.s.sol` reads. Amounts are strings of wei, because JSON numbers lose digits.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct DeploymentParameters {
    /// Start of L1 slot 0, Unix seconds.
    pub l1_genesis_time: u64,
    /// Seconds in an L1 slot.
    pub slot_length: u64,
    /// Timestamp of L2 block 0.
    pub l2_genesis_time: u64,
    /// Seconds between L2 blocks.
    pub l2_block_time: u64,
    /// Link of L2 block 0.
    pub genesis_link: B256,
    /// Slots from a block's own slot to its owner's.
    pub settlement_delay: u64,
    /// Slots before a block of an epoch can be signed in which the epoch's lookahead can't be published any more.
    pub margin: u64,
    /// Slots of a turn.
    pub turn: u64,
    /// Live slots at a window's end that owe nothing.
    pub min_chances: u64,
    /// Slots without a settlement after which any eligible gateway may settle.
    pub silence: u64,
    /// Slots during which evidence counts.
    pub evidence_horizon: u64,
    /// Slots that an exit takes.
    pub exit_delay: u64,
    /// Wei.
    pub registration_fee: U256,
    /// Wei.
    pub penalty_threshold: U256,
    /// Wei.
    pub refund_threshold: U256,
    /// Wei.
    pub large_fault: U256,
    /// Wei.
    pub block_price: U256,
    /// The poster's share, basis points.
    pub share_bps: U256,
    /// Owner of id 0.
    pub operator: Address,
    /// The operator's signing key.
    pub fallback_key: Address,
    /// The first batcher.
    pub batcher: Address,
    /// Zero: one is deployed.
    pub system_config: Address,
    /// Who signs gossiped blocks.
    pub unsafe_block_signer: Address,
    /// Who governs the SystemConfig and appends forks.
    pub timelock: Address,
    /// The beacon chain's `GENESIS_FORK_VERSION`.
    pub genesis_fork_version: FixedBytes<4>,
    /// Whose states the first verifier verifies: `fulu`, `gloas`, or `none`.
    pub first_fork: &'static str,
    /// From which slot on.
    pub first_fork_slot: u64,
}

/// What `script/Deploy.s.sol` writes.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Deployment {
    /// The L1 block that it was simulated at.
    pub l1_block: u64,
    /// The registry.
    pub registry: Address,
    /// The inbox, which is the rollup's batch inbox address.
    pub inbox: Address,
    /// The SystemConfig's owner.
    pub rotation: Address,
    /// The rollup's SystemConfig.
    pub system_config: Address,
}

/// A gateway to register with `script/Register.s.sol`.
#[derive(Clone, Debug)]
pub struct NewGateway {
    /// Sends the registration and owns the gateway.
    pub owner: PrivateKeySigner,
    /// Sends settlements.
    pub settler: Address,
    /// Signs soft blocks.
    pub sequencer_key: Address,
    /// Wei.
    pub penalty: U256,
    /// Wei.
    pub refund: U256,
    /// Engine API.
    pub endpoint: String,
    /// Soft blocks.
    pub feed: String,
}

/// Runs the project's scripts against an L1.
pub struct Scripts<'a> {
    /// Where forge is.
    pub toolchain: &'a Toolchain,
    /// The L1.
    pub rpc_url: &'a str,
    /// A folder below the project's `deployments`, for what the scripts read and write.
    pub folder: PathBuf,
}

impl Scripts<'_> {
    /// Deploys everything.
    pub async fn deploy(&self, parameters: &DeploymentParameters, deployer: &PrivateKeySigner) -> Result<Deployment> {
        let (config, out) = (self.folder.join("config.json"), self.folder.join("deployment.json"));
        std::fs::write(&config, serde_json::to_string_pretty(parameters)?)?;
        let environment = [("BATON_CONFIG", path(&config)?), ("BATON_DEPLOYMENT", path(&out)?)];
        self.run("Deploy", deployer, environment).await?;
        let text = std::fs::read_to_string(&out).wrap_err("the deployment script wrote no result")?;
        serde_json::from_str(&text).wrap_err("the deployment script's result")
    }

    /// Registers a gateway. Ids are given in order of registration, from 1.
    pub async fn register(&self, registry: Address, gateway: &NewGateway) -> Result<()> {
        let environment = [
            ("BATON_REGISTRY", registry.to_string()),
            ("BATON_OWNER", gateway.owner.address().to_string()),
            ("BATON_SETTLER", gateway.settler.to_string()),
            ("BATON_SEQUENCER_KEY", gateway.sequencer_key.to_string()),
            ("BATON_PENALTY", gateway.penalty.to_string()),
            ("BATON_REFUND", gateway.refund.to_string()),
            ("BATON_ENDPOINT", gateway.endpoint.clone()),
            ("BATON_FEED", gateway.feed.clone()),
        ];
        self.run("Register", &gateway.owner, environment).await
    }

    async fn run<const N: usize>(
        &self,
        script: &str,
        sender: &PrivateKeySigner,
        environment: [(&str, String); N],
    ) -> Result<()> {
        let output = Command::new(self.toolchain.program("forge")?)
            .current_dir(self.toolchain.root())
            .args(["script", &format!("script/{script}.s.sol"), "--rpc-url", self.rpc_url, "--broadcast", "--slow"])
            .envs(environment)
            // By the environment, which other users can't read, rather than as an argument, which they can.
            .env("PRIVATE_KEY", sender.to_bytes().to_string())
            .env("FOUNDRY_BROADCAST", self.folder.join("broadcast"))
            .kill_on_drop(true)
            .output()
            .await?;
        if !output.status.success() {
            let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).trim().to_owned();
            bail!("script/{script}.s.sol failed:\n{}\n{}", text(&output.stdout), text(&output.stderr));
        }
        Ok(())
    }
}

fn path(path: &Path) -> Result<String> {
    Ok(path.to_str().ok_or_else(|| eyre::eyre!("{} isn't UTF-8", path.display()))?.to_owned())
}

/// An amount of ether that is written in the source.
pub fn ether(amount: &str) -> U256 {
    parse_ether(amount).unwrap_or_default()
}
