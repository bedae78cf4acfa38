//! Executing the transactions of one block on its parent's state.

use alloy::{
    consensus::{
        Header, Sealable, Transaction, TxReceipt,
        proofs::{calculate_receipt_root, calculate_transaction_root},
        transaction::{Recovered, TxHashRef},
    },
    primitives::{Address, B256, Bloom, U256},
};
use alloy_evm::{
    EvmFactory,
    block::{BlockExecutionError, BlockExecutor, BlockValidationError},
};
use alloy_op_evm::{
    OpBlockExecutionCtx, OpBlockExecutor, OpEvmFactory, OpTx, block::OpAlloyReceiptBuilder, evm_env_for_op_block,
};
use op_alloy::consensus::OpTxEnvelope;
use revm::{
    database::{State, states::bundle_state::BundleRetention},
    database_interface::WrapDatabaseRef,
};

use crate::{
    block::ExecutedBlock,
    fork::{ChainRules, Fork},
    predeploy::MESSAGE_PASSER,
    state::StateView,
};

/// Why a block can't be executed.
#[derive(Debug, thiserror::Error)]
pub enum ExecutionError {
    /// A transaction of the block can't be executed where it stands: the block, or the attributes, are invalid.
    #[error("transaction {index} ({hash}) can't be executed: {source}")]
    Transaction {
        /// Position in the block.
        index: usize,
        /// Transaction hash.
        hash: B256,
        /// The executor's reason.
        source: BlockValidationError,
    },
    /// Rules outside transactions failed: the block is invalid.
    #[error("block can't be executed: {0}")]
    Block(BlockValidationError),
    /// The executor itself failed; says nothing about the block.
    #[error("executor failed: {0}")]
    Internal(BlockExecutionError),
}

impl ExecutionError {
    /// Whether the block is at fault, not this engine.
    pub fn is_invalid(&self) -> bool {
        !matches!(self, Self::Internal(_))
    }

    fn of_block(error: BlockExecutionError) -> Self {
        match error {
            BlockExecutionError::Validation(error) => Self::Block(error),
            internal => Self::Internal(internal),
        }
    }

    fn of_transaction(index: usize, hash: B256, error: BlockExecutionError) -> Self {
        match error {
            BlockExecutionError::Validation(source) => Self::Transaction { index, hash, source },
            internal => Self::Internal(internal),
        }
    }
}

/// Where a block under construction takes further transactions from.
pub(crate) trait Candidates {
    /// The next transaction to try.
    fn next(&mut self) -> Option<Recovered<OpTxEnvelope>>;
    /// The last transaction of `sender` doesn't go in, hence none of its later ones either.
    fn skip_sender(&mut self, sender: Address);
}

/// No further transactions: the block is exactly what it was given.
pub(crate) struct NoCandidates;

impl Candidates for NoCandidates {
    fn next(&mut self) -> Option<Recovered<OpTxEnvelope>> {
        None
    }

    fn skip_sender(&mut self, _sender: Address) {}
}

/// Executes `transactions`, then whatever of `candidates` fits, on `view`.
///
/// `template` gives what is known before execution: parent, number, time, fee recipient, randomness, gas limit, base
/// fee, extra data, beacon root. The result's header has all the rest computed.
pub(crate) fn execute_block(
    rules: &ChainRules,
    view: &StateView,
    template: Header,
    transactions: Vec<Recovered<OpTxEnvelope>>,
    mut candidates: impl Candidates,
) -> Result<ExecutedBlock, ExecutionError> {
    let mut state = State::builder().with_database(WrapDatabaseRef(view)).with_bundle_update().build();
    let environment = evm_env_for_op_block(&template, &rules.hardforks, rules.chain_id);
    let evm = OpEvmFactory::<OpTx>::default().create_evm(&mut state, environment);
    let context = OpBlockExecutionCtx {
        parent_hash: template.parent_hash,
        parent_beacon_block_root: template.parent_beacon_block_root,
        extra_data: template.extra_data.clone(),
    };
    let mut executor = OpBlockExecutor::new(evm, context, &rules.hardforks, OpAlloyReceiptBuilder::default());
    executor.apply_pre_execution_changes().map_err(ExecutionError::of_block)?;

    let mut included = Vec::with_capacity(transactions.len());
    for (index, transaction) in transactions.into_iter().enumerate() {
        let hash = *transaction.tx_hash();
        executor
            .execute_transaction(&transaction)
            .map_err(|error| ExecutionError::of_transaction(index, hash, error))?;
        included.push(transaction);
    }
    while let Some(transaction) = candidates.next() {
        match executor.execute_transaction(&transaction) {
            Ok(_) => included.push(transaction),
            Err(BlockExecutionError::Validation(reason)) => {
                tracing::debug!(hash = %transaction.tx_hash(), %reason, "pool transaction left out");
                candidates.skip_sender(transaction.signer());
            }
            Err(internal) => return Err(ExecutionError::Internal(internal)),
        }
    }

    let (evm, result) = executor.finish().map_err(ExecutionError::of_block)?;
    drop(evm);
    state.merge_transitions(BundleRetention::PlainState);
    let state = view.state.apply(&state.take_bundle());

    let logs_bloom = result.receipts.iter().fold(Bloom::ZERO, |bloom, receipt| bloom | receipt.bloom());
    let header = Header {
        state_root: state.root(),
        transactions_root: calculate_transaction_root(&included),
        receipts_root: calculate_receipt_root(&result.receipts),
        logs_bloom,
        gas_used: result.gas_used,
        withdrawals_root: Some(rules.withdrawals_root(state.storage_root(MESSAGE_PASSER))),
        requests_hash: rules.requests_hash(),
        // Jovian counts the data availability footprint here; no fork of the OP Stack has blobs.
        blob_gas_used: Some(if rules.fork.includes(Fork::Jovian) { result.blob_gas_used } else { 0 }),
        excess_blob_gas: Some(0),
        ..template
    };
    let mut block = ExecutedBlock {
        header: header.seal_slow(),
        transactions: included,
        receipts: result.receipts,
        state,
        fees: U256::ZERO,
    };
    block.fees = priority_fees(&block);
    Ok(block)
}

fn priority_fees(block: &ExecutedBlock) -> U256 {
    let base_fee = block.header.base_fee_per_gas.unwrap_or_default();
    let fee = |(index, transaction): (usize, &Recovered<OpTxEnvelope>)| {
        let tip = transaction.effective_tip_per_gas(base_fee).unwrap_or_default();
        U256::from(tip) * U256::from(block.gas_used_by(index))
    };
    block.transactions.iter().enumerate().filter(|(_, transaction)| !transaction.is_deposit()).map(fee).sum()
}
