//! An execution engine of the devnet that can die and come back.

use crate::driver::EngineClient;
use baton_devnet_engine::{Engine, GenesisConfig, JwtSecret, ServeConfig, ServerHandle, payload::envelope_v4, serve};
use eyre::{Result, ensure, eyre};
use serde_json::json;
use std::sync::Arc;
use tokio::runtime::{Builder, Runtime};

/// One execution engine and where it is served. Dropping it kills its server.
pub struct ServedEngine {
    /// Its chain, which is there even while it isn't served.
    pub engine: Arc<Engine>,
    config: ServeConfig,
    server: Option<Server>,
}

struct Server {
    handle: ServerHandle,
    /// Its own, so that its end cuts connections in the middle of a call, as the death of a process does.
    runtime: Runtime,
}

impl ServedEngine {
    /// Serves a new chain on free ports of the loopback interface.
    pub(crate) async fn start(genesis: &GenesisConfig, jwt: JwtSecret) -> Result<Self> {
        let engine = Arc::new(Engine::new(genesis)?);
        let mut served = Self { engine, config: ServeConfig::ephemeral(jwt), server: None };
        served.serve_again().await?;
        Ok(served)
    }

    /// URL of the port with JWT.
    pub fn engine_url(&self) -> String {
        format!("http://{}", self.config.engine_addr)
    }

    /// URL of the open port.
    pub fn rpc_url(&self) -> String {
        format!("http://{}", self.config.rpc_addr)
    }

    /// Ends its server in the middle of whatever it does. The chain is kept.
    pub fn kill(&mut self) {
        if let Some(server) = self.server.take() {
            server.runtime.shutdown_background();
        }
    }

    /// Lets the calls under way finish, and ends its server.
    pub async fn stop(&mut self) {
        if let Some(server) = self.server.take() {
            server.handle.shutdown().await;
            server.runtime.shutdown_background();
        }
    }

    /// Serves a killed engine again, on the same ports, with the blocks that it had.
    ///
    /// # Errors
    /// It is served already, or somebody else has taken a port.
    pub async fn serve_again(&mut self) -> Result<()> {
        ensure!(self.server.is_none(), "the engine is served");
        let runtime = Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
        let serving = runtime.spawn(serve(self.engine.clone(), self.config.clone())).await;
        let handle = match serving.map_err(eyre::Report::from).and_then(|served| Ok(served?)) {
            Ok(handle) => handle,
            Err(error) => {
                // Dropped, it would wait for its threads, which an async task mustn't.
                runtime.shutdown_background();
                return Err(error);
            }
        };
        self.config = handle.config(self.config.jwt.clone());
        self.server = Some(Server { handle, runtime });
        Ok(())
    }

    /// Gets the blocks that it misses from another engine, as an execution client does from its peers. Nobody tells it meanwhile that
    /// they are the head: that is the consensus side's to do.
    ///
    /// # Errors
    /// It calls a block of the other invalid, or can't be reached.
    pub async fn sync_from(&self, other: &Engine) -> Result<()> {
        let client = EngineClient::new(self.engine_url(), self.config.jwt.clone());
        let mut missing = Vec::new();
        let mut block = other.head();
        while self.engine.block(block.hash()).is_none() {
            let parent = block.parent_hash();
            missing.push(block);
            block = other.block(parent).ok_or_else(|| eyre!("block {parent} is gone"))?;
        }
        for block in missing.iter().rev() {
            let envelope = serde_json::to_value(envelope_v4(block))?;
            let (payload, root) = (&envelope["executionPayload"], &envelope["parentBeaconBlockRoot"]);
            let status = client.call("engine_newPayloadV4", json!([payload, [], root, []])).await?;
            ensure!(status["status"] == "VALID", "block {} is {status}", block.number());
        }
        Ok(())
    }
}

impl Drop for ServedEngine {
    fn drop(&mut self) {
        self.kill();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloy::primitives::{Address, B256, U256};
    use baton_devnet_engine::{Fork, devnet_genesis};
    use serde_json::Value;

    const GENESIS_TIME: u64 = 1_000;

    /// Builds a block on the head and adopts it.
    async fn build(client: &EngineClient, engine: &Engine) -> Result<()> {
        let head = engine.head();
        let forkchoice =
            |hash: Value| json!({"headBlockHash": hash, "safeBlockHash": B256::ZERO, "finalizedBlockHash": B256::ZERO});
        let attributes = json!({
            "timestamp": format!("{:#x}", GENESIS_TIME + head.number() + 1), "prevRandao": B256::ZERO,
            "suggestedFeeRecipient": Address::ZERO, "withdrawals": [], "parentBeaconBlockRoot": B256::ZERO,
            "transactions": [], "noTxPool": true, "gasLimit": "0x1c9c380", "eip1559Params": "0x0000000000000000",
        });
        let order =
            client.call("engine_forkchoiceUpdatedV3", json!([forkchoice(json!(head.hash())), attributes])).await?;
        let envelope = client.call("engine_getPayloadV4", json!([order["payloadId"]])).await?;
        let payload = &envelope["executionPayload"];
        client.call("engine_newPayloadV4", json!([payload, [], envelope["parentBeaconBlockRoot"], []])).await?;
        client.call("engine_forkchoiceUpdatedV3", json!([forkchoice(payload["blockHash"].clone()), null])).await?;
        Ok(())
    }

    #[tokio::test]
    async fn a_killed_engine_comes_back_on_its_ports_and_gets_what_it_missed() -> Result<()> {
        let genesis = devnet_genesis(901, Fork::Isthmus, GENESIS_TIME, [], U256::ZERO);
        let jwt = JwtSecret::new([7; 32]);
        let [mut dying, living] =
            [ServedEngine::start(&genesis, jwt.clone()).await?, ServedEngine::start(&genesis, jwt.clone()).await?];
        let [to_dying, to_living] = [&dying, &living].map(|served| EngineClient::new(served.engine_url(), jwt.clone()));
        build(&to_dying, &dying.engine).await?;
        living.sync_from(&dying.engine).await?;
        build(&to_living, &living.engine).await?;
        assert!(dying.serve_again().await.is_err(), "it is served");
        dying.kill();
        assert!(build(&to_dying, &dying.engine).await.is_err(), "it is dead");
        for _ in 0..3 {
            build(&to_living, &living.engine).await?;
        }
        dying.serve_again().await?;
        dying.sync_from(&living.engine).await?;
        assert!(dying.engine.block(living.engine.head().hash()).is_some());
        assert_eq!(dying.engine.head().number(), 1, "who is the head is for the consensus side to say");
        dying.stop().await;
        assert!(build(&to_dying, &dying.engine).await.is_err(), "it has ended");
        Ok(())
    }
}
