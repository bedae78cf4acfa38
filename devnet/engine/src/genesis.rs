//! Genesis of a devnet.

use std::collections::BTreeMap;

use alloy::{
    consensus::Header,
    genesis::GenesisAccount,
    primitives::{Address, B64, B256, Bytes, U256},
};
use revm::bytecode::Bytecode;
use serde::{Deserialize, Serialize};

use crate::{
    block::ExecutedBlock,
    fork::{ChainRules, FeeParameterError, Fork},
    predeploy::{MESSAGE_PASSER, SEQUENCER_FEE_VAULT, predeploys},
    state::{Account, WorldState},
};

/// Everything that fixes a chain's first block and its rules.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct GenesisConfig {
    /// EIP-155 chain id.
    pub chain_id: u64,
    /// Fork, active from genesis on.
    #[serde(default)]
    pub fork: Fork,
    /// Unix time in seconds.
    pub timestamp: u64,
    /// Gas limit of the genesis block; later blocks take theirs from their attributes.
    #[serde(default = "default_gas_limit")]
    pub gas_limit: u64,
    /// Base fee in wei.
    #[serde(default = "default_base_fee")]
    pub base_fee_per_gas: u64,
    /// EIP-1559 base fee change denominator.
    #[serde(default = "default_denominator")]
    pub eip1559_denominator: u32,
    /// EIP-1559 elasticity multiplier.
    #[serde(default = "default_elasticity")]
    pub eip1559_elasticity: u32,
    /// Minimum base fee in wei in the genesis block's extra data; only Jovian has one.
    #[serde(default)]
    pub min_base_fee: u64,
    /// Fee recipient of the genesis block.
    #[serde(default = "default_fee_recipient")]
    pub fee_recipient: Address,
    /// Accounts, predeploys included.
    #[serde(default)]
    pub alloc: BTreeMap<Address, GenesisAccount>,
}

fn default_gas_limit() -> u64 {
    30_000_000
}

fn default_base_fee() -> u64 {
    1_000_000_000
}

fn default_denominator() -> u32 {
    250
}

fn default_elasticity() -> u32 {
    6
}

fn default_fee_recipient() -> Address {
    SEQUENCER_FEE_VAULT
}

/// Genesis with the standard predeploys for `fork` and `balance` wei on each of `funded`.
pub fn devnet_genesis(
    chain_id: u64,
    fork: Fork,
    timestamp: u64,
    funded: impl IntoIterator<Item = Address>,
    balance: U256,
) -> GenesisConfig {
    let contracts = predeploys(fork).into_iter().map(|(address, code)| {
        // Nonce 1, as any contract has from its creation on: an account without would count as empty.
        (address, GenesisAccount { nonce: Some(1), code: Some(code), ..Default::default() })
    });
    let accounts = funded.into_iter().map(|address| (address, GenesisAccount { balance, ..Default::default() }));
    GenesisConfig {
        chain_id,
        fork,
        timestamp,
        gas_limit: default_gas_limit(),
        base_fee_per_gas: default_base_fee(),
        eip1559_denominator: default_denominator(),
        eip1559_elasticity: default_elasticity(),
        min_base_fee: 0,
        fee_recipient: default_fee_recipient(),
        alloc: contracts.chain(accounts).collect(),
    }
}

impl GenesisConfig {
    /// The rules that blocks after genesis follow.
    pub fn rules(&self) -> ChainRules {
        ChainRules::new(self.chain_id, self.fork, self.eip1559_denominator, self.eip1559_elasticity)
    }

    /// The state before the first block.
    pub fn state(&self) -> WorldState {
        let mut state = WorldState::default();
        for (address, genesis) in &self.alloc {
            let mut account =
                Account { nonce: genesis.nonce.unwrap_or_default(), balance: genesis.balance, ..Default::default() };
            if let Some(code) = genesis.code.as_ref().filter(|code| !code.is_empty()) {
                account.code = Bytecode::new_raw(code.clone());
                account.code_hash = account.code.hash_slow();
            }
            for (slot, value) in genesis.storage.iter().flatten() {
                account.set_storage((*slot).into(), (*value).into());
            }
            state.set_account(*address, account);
        }
        state
    }

    /// The genesis block with its state.
    ///
    /// # Errors
    /// When the fee parameters don't fit the fork.
    pub fn block(&self) -> Result<ExecutedBlock, FeeParameterError> {
        let rules = self.rules();
        let state = self.state();
        let header = self.header(&rules, state.root(), state.storage_root(MESSAGE_PASSER))?;
        Ok(ExecutedBlock::genesis(header, state))
    }

    /// The genesis header over a given state.
    ///
    /// # Errors
    /// When the fee parameters don't fit the fork.
    pub fn header(
        &self,
        rules: &ChainRules,
        state_root: B256,
        message_passer_storage_root: B256,
    ) -> Result<Header, FeeParameterError> {
        let extra_data = if self.fork.includes(Fork::Holocene) {
            let min_base_fee = self.fork.includes(Fork::Jovian).then_some(self.min_base_fee);
            rules.extra_data(Some(B64::ZERO), min_base_fee)?
        } else {
            Bytes::new()
        };
        Ok(Header {
            beneficiary: self.fee_recipient,
            state_root,
            timestamp: self.timestamp,
            gas_limit: self.gas_limit,
            base_fee_per_gas: Some(self.base_fee_per_gas),
            extra_data,
            withdrawals_root: Some(rules.withdrawals_root(message_passer_storage_root)),
            blob_gas_used: Some(0),
            excess_blob_gas: Some(0),
            parent_beacon_block_root: Some(B256::ZERO),
            requests_hash: rules.requests_hash(),
            ..Default::default()
        })
    }
}
