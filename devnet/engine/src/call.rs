//! `eth_call` and `eth_estimateGas`.

use alloy::{
    consensus::Header,
    eips::BlockId,
    primitives::{Bytes, TxKind},
    rpc::types::TransactionRequest,
};
use alloy_evm::{Evm, EvmFactory};
use alloy_op_evm::{OpEvmFactory, OpTx, evm_env_for_op_block};
use op_revm::{OpHaltReason, OpTransaction};
use revm::{
    context::{TxEnv, result::ExecutionResult},
    database::CacheDB,
};

use crate::{engine::Engine, error::EngineError, state::StateView};

/// Gas for which nothing but a transfer to an account without code can be had.
const TRANSFER_GAS: u64 = 21_000;

impl Engine {
    /// Executes a call on the state after the block, without changing anything. Fees are zero.
    ///
    /// # Errors
    /// When the block isn't known, or the call reverts or can't be executed.
    pub fn call(&self, request: &TransactionRequest, id: BlockId) -> Result<Bytes, EngineError> {
        let (block, view) = self.view_at(id)?;
        let gas = request.gas.unwrap_or(block.header.gas_limit).min(block.header.gas_limit);
        match self.execute_call(&view, &block.header, request, gas)? {
            ExecutionResult::Success { output, .. } => Ok(output.into_data()),
            failed => Err(failure(&failed)),
        }
    }

    /// The least gas limit with which the call succeeds on the state after the block.
    ///
    /// # Errors
    /// As for a call: when it fails with any gas.
    pub fn estimate_gas(&self, request: &TransactionRequest, id: BlockId) -> Result<u64, EngineError> {
        let (block, view) = self.view_at(id)?;
        let most = request.gas.unwrap_or(block.header.gas_limit).min(block.header.gas_limit);
        let attempt = |gas| self.execute_call(&view, &block.header, request, gas);
        let used = match attempt(most)? {
            ExecutionResult::Success { gas, .. } => gas.tx_gas_used(),
            failed => return Err(failure(&failed)),
        };
        if used <= TRANSFER_GAS && matches!(attempt(used), Ok(ExecutionResult::Success { .. })) {
            return Ok(used);
        }
        // Refunds and the 63/64 rule make the need larger than the use: bisect in between.
        let (mut fails, mut succeeds) = (used.saturating_sub(1), most);
        while fails + 1 < succeeds {
            // The need is rarely far above the use, so look near it first.
            let middle = (fails + (succeeds - fails) / 2).min(fails.saturating_mul(2).max(fails + 1));
            match attempt(middle) {
                Ok(ExecutionResult::Success { .. }) => succeeds = middle,
                _ => fails = middle,
            }
        }
        Ok(succeeds)
    }

    fn execute_call(
        &self,
        view: &StateView,
        header: &Header,
        request: &TransactionRequest,
        gas_limit: u64,
    ) -> Result<ExecutionResult<OpHaltReason>, EngineError> {
        if request.blob_versioned_hashes.is_some() || request.authorization_list.is_some() {
            return Err(EngineError::InvalidParams("blobs and authorizations aren't supported in calls".into()));
        }
        let mut environment = evm_env_for_op_block(header, &self.rules().hardforks, self.rules().chain_id);
        // A call pays nothing, hence needs a block that asks for nothing.
        environment.block_env.basefee = 0;
        environment.block_env.gas_limit = gas_limit.max(header.gas_limit);
        let caller = request.from.unwrap_or_default();
        let base = TxEnv {
            caller,
            gas_limit,
            kind: request.to.unwrap_or(TxKind::Create),
            value: request.value.unwrap_or_default(),
            data: request.input.input().cloned().unwrap_or_default(),
            nonce: view.state.nonce(caller),
            chain_id: Some(self.rules().chain_id),
            access_list: request.access_list.clone().unwrap_or_default(),
            ..Default::default()
        };
        // Empty envelope bytes: a call isn't posted to L1, so that no L1 fee is due.
        let transaction = OpTransaction { base, enveloped_tx: Some(Bytes::new()), deposit: Default::default() };
        let mut evm = OpEvmFactory::<OpTx>::default().create_evm(CacheDB::new(view), environment);
        evm.transact(OpTx(transaction))
            .map(|outcome| outcome.result)
            .map_err(|error| EngineError::CallFailed(error.to_string()))
    }
}

fn failure(result: &ExecutionResult<OpHaltReason>) -> EngineError {
    match result {
        ExecutionResult::Revert { output, .. } => EngineError::Reverted {
            message: match alloy_sol_types::decode_revert_reason(output) {
                Some(reason) => format!("execution reverted: {}", reason.strip_prefix("revert: ").unwrap_or(&reason)),
                None => "execution reverted".into(),
            },
            output: output.clone(),
        },
        ExecutionResult::Halt { reason, .. } => EngineError::CallFailed(format!("execution halted: {reason:?}")),
        // Only failed results are passed in.
        ExecutionResult::Success { .. } => EngineError::internal("a successful call isn't a failure"),
    }
}
