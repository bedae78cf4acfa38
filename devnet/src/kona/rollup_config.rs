//! The rollup's configuration as rollup nodes read it, `rollup.json`.

use alloy::primitives::{Address, B256};
use baton_devnet_engine::{Fork, GenesisConfig};
use eyre::{Result, ensure};
use serde_json::{Value, json};

/// What a rollup node must know of the devnet.
pub(crate) struct RollupFacts<'a> {
    /// The L2's genesis.
    pub(crate) genesis: &'a GenesisConfig,
    /// Hash of L2 block 0.
    pub(crate) genesis_hash: B256,
    /// The L1's chain id.
    pub(crate) l1_chain_id: u64,
    /// The L1 block that the L2 chain starts from, none before the contracts' deployment.
    pub(crate) l1_start: (u64, B256),
    /// Seconds between L2 blocks.
    pub(crate) l2_block_time: u64,
    /// The inbox.
    pub(crate) inbox: Address,
    /// The SystemConfig.
    pub(crate) system_config: Address,
    /// Who may post batches first; the SystemConfig's events say who comes later.
    pub(crate) batcher: Address,
}

impl RollupFacts<'_> {
    /// The file's content. Every key is one that the node knows: it refuses others.
    pub(crate) fn json(&self) -> Result<Value> {
        let genesis = self.genesis;
        ensure!(genesis.fork == Fork::Isthmus, "rollup.json is written for Isthmus only");
        let (number, hash) = self.l1_start;
        let mut config = json!({
            "genesis": {
                "l1": { "number": number, "hash": hash },
                "l2": { "number": 0, "hash": self.genesis_hash },
                "l2_time": genesis.timestamp,
                "system_config": {
                    "batcherAddr": self.batcher,
                    // No fees for L1 data, as the devnet's own driver has none.
                    "overhead": B256::ZERO,
                    "scalar": B256::ZERO,
                    "gasLimit": genesis.gas_limit,
                },
            },
            "block_time": self.l2_block_time,
            "max_sequencer_drift": 600,
            "seq_window_size": 3600,
            "channel_timeout": 300,
            "l1_chain_id": self.l1_chain_id,
            "l2_chain_id": genesis.chain_id,
            "batch_inbox_address": self.inbox,
            "deposit_contract_address": Address::ZERO,
            "l1_system_config_address": self.system_config,
            "protocol_versions_address": Address::ZERO,
            "alt_da": null,
            "chain_op_config": {
                "eip1559Elasticity": genesis.eip1559_elasticity,
                "eip1559Denominator": genesis.eip1559_denominator,
                "eip1559DenominatorCanyon": genesis.eip1559_denominator,
            },
        });
        for fork in ["regolith", "canyon", "delta", "ecotone", "fjord", "granite", "holocene", "isthmus"] {
            config[format!("{fork}_time")] = json!(0);
        }
        Ok(config)
    }
}
