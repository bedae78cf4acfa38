//! The anvil process.

use crate::toolchain::Toolchain;
use alloy::{
    node_bindings::{Anvil, AnvilInstance},
    providers::{DynProvider, Provider, ProviderBuilder},
};
use baton_devnet_l1::beacon_roots;
use eyre::{Context, Result};

/// An L1 node that mines nothing of its own accord. Dropping it ends the process.
pub struct L1Node {
    instance: AnvilInstance,
    provider: DynProvider,
}

impl L1Node {
    /// Starts anvil with a genesis block at `genesis_time` (Unix seconds), on a free port of the loopback interface.
    pub async fn start(toolchain: &Toolchain, genesis_time: u64) -> Result<Self> {
        let path = toolchain.program("anvil")?;
        let instance = tokio::task::spawn_blocking(move || {
            Anvil::at(path)
                .arg("--no-mining")
                .args(["--hardfork", "osaka"])
                .args(["--slots-in-an-epoch", "32"])
                .args(["--balance", "1000000"])
                .args(["--timestamp", &genesis_time.to_string()])
                .timeout(30_000)
                .try_spawn()
        })
        .await?
        .wrap_err("anvil doesn't start; `npm ci` installs it")?;
        let provider = ProviderBuilder::new().connect_http(instance.endpoint_url()).erased();
        beacon_roots::install(&provider).await?;
        Ok(Self { instance, provider })
    }

    /// JSON-RPC and Beacon API.
    pub fn url(&self) -> String {
        self.instance.endpoint()
    }

    /// The chain id.
    pub fn chain_id(&self) -> u64 {
        self.instance.chain_id()
    }

    /// A provider without a wallet.
    pub const fn provider(&self) -> &DynProvider {
        &self.provider
    }

    /// The private keys of anvil's funded accounts. Known to everybody: good for a devnet only.
    pub fn keys(&self) -> impl Iterator<Item = alloy::signers::local::PrivateKeySigner> + '_ {
        self.instance.keys().iter().cloned().map(Into::into)
    }
}
