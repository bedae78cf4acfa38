//! `eth_sendRawTransaction`: what is checked before a transaction enters the pool.

use alloy::{
    consensus::{Transaction, transaction::TxHashRef},
    primitives::{B256, Bytes, U256},
};
use alloy_evm::FromRecoveredTx;
use alloy_op_evm::OpTx;
use op_alloy::consensus::OpTxEnvelope;
use op_revm::L1BlockInfo;
use revm::{context_interface::cfg::gas::calculate_initial_tx_gas_for_tx, database_interface::WrapDatabaseRef};

use crate::{
    engine::Engine,
    error::EngineError,
    fork::Fork,
    payload::decode_transactions,
    state::{RecentHashes, StateView},
};

/// EIP-3860: init code is at most twice as long as code may be.
const MAX_INIT_CODE: usize = 2 * 24_576;

impl Engine {
    /// Checks a signed transaction against the head's state and puts it into the pool.
    ///
    /// # Errors
    /// When it doesn't decode, isn't valid for the chain or its sender, or the pool refuses it.
    pub fn send_raw_transaction(&self, encoded: &Bytes) -> Result<B256, EngineError> {
        let invalid = |reason: String| EngineError::InvalidTransaction(reason);
        let transaction = decode_transactions(std::slice::from_ref(encoded), |_| None)
            .map_err(|error| invalid(format!("transaction isn't valid: {error}")))?
            .pop()
            .ok_or_else(|| invalid("transaction is empty".into()))?;
        if transaction.is_deposit() {
            return Err(invalid("deposits come from L1, not from a wallet".into()));
        }
        if matches!(transaction.inner(), OpTxEnvelope::Eip7702(_)) && !self.rules().fork.includes(Fork::Isthmus) {
            return Err(invalid("transaction type 4 isn't known before Isthmus".into()));
        }
        let chain_id = self.rules().chain_id;
        if let Some(other) = transaction.chain_id().filter(|id| *id != chain_id) {
            return Err(invalid(format!("invalid chain id: transaction is for {other}, this chain is {chain_id}")));
        }
        let tip = transaction.max_priority_fee_per_gas().unwrap_or_default();
        if tip > transaction.max_fee_per_gas() {
            return Err(invalid("max priority fee per gas higher than max fee per gas".into()));
        }
        if transaction.is_create() && transaction.input().len() > MAX_INIT_CODE {
            return Err(invalid(format!("max initcode size exceeded: {MAX_INIT_CODE} bytes are allowed")));
        }

        let sender = transaction.signer();
        let environment = OpTx::from_recovered_tx(transaction.inner(), sender);
        let needed = calculate_initial_tx_gas_for_tx(&environment, self.op_spec().into_eth_spec());
        let needed = needed.initial_total_gas.max(needed.floor_gas);
        if transaction.gas_limit() < needed {
            let limit = transaction.gas_limit();
            return Err(invalid(format!("intrinsic gas too low: gas limit {limit}, at least {needed} needed")));
        }

        let head = self.head();
        if transaction.gas_limit() > head.header.gas_limit {
            let (limit, block) = (transaction.gas_limit(), head.header.gas_limit);
            return Err(invalid(format!("exceeds block gas limit: gas limit {limit}, block has {block}")));
        }
        let view = StateView { state: head.state.clone(), recent: RecentHashes::default() };
        let mut l1_fees =
            L1BlockInfo::try_fetch(&mut WrapDatabaseRef(&view), U256::from(head.number()), self.op_spec())
                .map_err(EngineError::internal)?;
        let l1_cost = l1_fees.tx_cost(encoded, U256::from(transaction.gas_limit()), self.op_spec());
        let cost = U256::from(transaction.gas_limit())
            .saturating_mul(U256::from(transaction.max_fee_per_gas()))
            .saturating_add(transaction.value())
            .saturating_add(l1_cost);
        let balance = head.state.balance(sender);
        if balance < cost {
            return Err(invalid(format!(
                "insufficient funds for gas * price + value: address {sender} have {balance} want {cost}"
            )));
        }

        let hash = *transaction.tx_hash();
        self.write().pool.add(transaction, head.state.nonce(sender))?;
        tracing::debug!(%hash, %sender, "transaction accepted");
        Ok(hash)
    }
}
