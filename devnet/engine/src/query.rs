//! Reading blocks, transactions, receipts and logs in the shapes of the `eth_` namespace.

use std::sync::Arc;

use alloy::{
    consensus::{
        ReceiptWithBloom, Transaction as _, TxReceipt,
        transaction::{TransactionInfo, TxHashRef},
    },
    eips::{BlockId, BlockNumberOrTag},
    network::primitives::BlockTransactions,
    primitives::{Address, B256, U256},
    rpc::types::{Block, FeeHistory, Filter, FilterBlockOption, Header, Log, TransactionReceipt},
};
use op_alloy::{
    consensus::{
        OpReceipt, OpReceiptEnvelope,
        transaction::{OpDepositInfo, OpTransactionInfo},
    },
    rpc_types::{L1BlockInfo, OpTransactionReceipt, Transaction},
};
use op_revm::{L1BlockInfo as L1Fees, OpSpecId};
use revm::database_interface::WrapDatabaseRef;

use crate::{
    block::ExecutedBlock,
    engine::Engine,
    error::EngineError,
    fork::Fork,
    state::{RecentHashes, StateView},
};

/// `eth_getLogs` walks at most this many blocks.
const MAX_LOG_RANGE: u64 = 10_000;

/// `eth_feeHistory` answers at most this many blocks.
const MAX_FEE_HISTORY: u64 = 1024;

/// A tip in wei that any devnet block takes.
const SUGGESTED_TIP: u128 = 1_000_000;

impl Engine {
    /// The block that `id` names; `pending` is the latest one, since blocks are only built on request.
    pub fn block_by_id(&self, id: BlockId) -> Option<Arc<ExecutedBlock>> {
        let inner = self.read();
        let chain = &inner.chain;
        match id {
            BlockId::Number(BlockNumberOrTag::Latest | BlockNumberOrTag::Pending) => Some(chain.head()),
            BlockId::Number(BlockNumberOrTag::Safe) => chain.safe(),
            BlockId::Number(BlockNumberOrTag::Finalized) => chain.finalized(),
            BlockId::Number(BlockNumberOrTag::Earliest) => chain.block_at(0),
            BlockId::Number(BlockNumberOrTag::Number(number)) => chain.block_at(number),
            BlockId::Hash(hash) => chain
                .block(hash.block_hash)
                .filter(|block| hash.require_canonical != Some(true) || chain.is_canonical(block)),
        }
        .cloned()
    }

    /// The block that `id` names, and its state.
    pub(crate) fn view_at(&self, id: BlockId) -> Result<(Arc<ExecutedBlock>, StateView), EngineError> {
        let block = self.block_by_id(id).ok_or_else(|| EngineError::UnknownBlock(id.to_string()))?;
        let view = self.read().view(&block)?;
        Ok((block, view))
    }

    /// The sender's next nonce: as of `id`, or with `pending` counting what waits in the pool.
    ///
    /// # Errors
    /// When the block isn't known or its state is gone.
    pub fn transaction_count(&self, address: Address, id: BlockId) -> Result<u64, EngineError> {
        let (_, view) = self.view_at(id)?;
        let nonce = view.state.nonce(address);
        Ok(if id.is_pending() { self.read().pool.next_nonce(address, nonce) } else { nonce })
    }

    /// Number of (executable, gapped) transactions in the pool.
    pub fn pool_count(&self) -> (usize, usize) {
        let inner = self.read();
        inner.pool.count(&inner.chain.head().state)
    }

    /// A transaction from the canonical chain, or from the pool.
    pub fn transaction(&self, hash: B256) -> Option<Transaction> {
        let inner = self.read();
        if let Some((block, index)) = inner.chain.transaction(hash) {
            return Some(rpc_transaction(block, index));
        }
        let info =
            OpTransactionInfo::new(TransactionInfo { hash: Some(hash), ..Default::default() }, Default::default());
        Some(Transaction::from_transaction(inner.pool.get(hash)?.clone(), info))
    }

    /// The receipt of a canonical transaction.
    pub fn receipt(&self, hash: B256) -> Option<OpTransactionReceipt> {
        let (block, index) = {
            let inner = self.read();
            let (block, index) = inner.chain.transaction(hash)?;
            (block.clone(), index)
        };
        self.receipts(&block).into_iter().nth(index)
    }

    /// The receipts of a block.
    pub fn receipts(&self, block: &ExecutedBlock) -> Vec<OpTransactionReceipt> {
        let mut fees = self.l1_fees(block);
        let mut logs = block_logs(block).into_iter().peekable();
        let mut receipts = Vec::with_capacity(block.receipts.len());
        for (index, receipt) in block.receipts.iter().enumerate() {
            let Some(transaction) = block.transactions.get(index) else { break };
            let own_logs =
                std::iter::from_fn(|| logs.next_if(|log| log.transaction_index == Some(index as u64))).collect();
            let logs_bloom = receipt.bloom();
            let inner = ReceiptWithBloom { receipt: with_rpc_logs(receipt.clone(), own_logs), logs_bloom };
            // A contract's address is fixed by the nonce it was created with, which for deposits only the receipt has.
            let nonce = receipt.deposit_nonce().unwrap_or_else(|| transaction.nonce());
            receipts.push(OpTransactionReceipt {
                inner: TransactionReceipt {
                    inner,
                    transaction_hash: *transaction.tx_hash(),
                    transaction_index: Some(index as u64),
                    block_hash: Some(block.hash()),
                    block_number: Some(block.number()),
                    gas_used: block.gas_used_by(index),
                    effective_gas_price: block.effective_gas_price(index),
                    blob_gas_used: None,
                    blob_gas_price: None,
                    from: transaction.signer(),
                    to: transaction.to(),
                    contract_address: transaction.is_create().then(|| transaction.signer().create(nonce)),
                },
                l1_block_info: self.l1_fee_fields(&mut fees, transaction),
                op_gas_refund: None,
            });
        }
        receipts
    }

    /// L1 fee parameters in force in `block`; zeros where its state is gone.
    fn l1_fees(&self, block: &ExecutedBlock) -> L1Fees {
        let view = StateView { state: block.state.clone(), recent: RecentHashes::default() };
        L1Fees::try_fetch(&mut WrapDatabaseRef(view), U256::from(block.number()), self.op_spec()).unwrap_or_default()
    }

    pub(crate) fn op_spec(&self) -> OpSpecId {
        match self.rules().fork {
            Fork::Granite => OpSpecId::GRANITE,
            Fork::Holocene => OpSpecId::HOLOCENE,
            Fork::Isthmus => OpSpecId::ISTHMUS,
            Fork::Jovian => OpSpecId::JOVIAN,
        }
    }

    fn l1_fee_fields(&self, fees: &mut L1Fees, transaction: &op_alloy::consensus::OpTxEnvelope) -> L1BlockInfo {
        use alloy::eips::eip2718::Encodable2718;
        if transaction.is_deposit() {
            return L1BlockInfo::default();
        }
        fees.clear_tx_l1_cost();
        let l1_fee = fees.calculate_tx_l1_cost(&transaction.encoded_2718(), self.op_spec());
        L1BlockInfo {
            l1_gas_price: Some(fees.l1_base_fee.saturating_to()),
            l1_fee: Some(l1_fee.saturating_to()),
            l1_base_fee_scalar: Some(fees.l1_base_fee_scalar.saturating_to()),
            l1_blob_base_fee: fees.l1_blob_base_fee.map(|fee| fee.saturating_to()),
            l1_blob_base_fee_scalar: fees.l1_blob_base_fee_scalar.map(|scalar| scalar.saturating_to()),
            operator_fee_scalar: fees.operator_fee_scalar.map(|scalar| scalar.saturating_to()),
            operator_fee_constant: fees.operator_fee_constant.map(|constant| constant.saturating_to()),
            da_footprint_gas_scalar: fees.da_footprint_gas_scalar,
            ..Default::default()
        }
    }

    /// Logs of canonical blocks that `filter` selects.
    ///
    /// # Errors
    /// When a named block isn't known or the range is too long.
    pub fn logs(&self, filter: &Filter) -> Result<Vec<Log>, EngineError> {
        let number_of = |tag: Option<BlockNumberOrTag>| match tag.unwrap_or_default() {
            // Ranges may end beyond the head.
            BlockNumberOrTag::Number(number) => Ok(number),
            tag => self
                .block_by_id(tag.into())
                .map(|block| block.number())
                .ok_or_else(|| EngineError::UnknownBlock(tag.to_string())),
        };
        let blocks = match filter.block_option {
            FilterBlockOption::AtBlockHash(hash) => {
                vec![self.block(hash).ok_or_else(|| EngineError::UnknownBlock(hash.to_string()))?]
            }
            FilterBlockOption::Range { from_block, to_block } => {
                let (from, to) = (number_of(from_block)?, number_of(to_block)?.min(self.head().number()));
                if to.saturating_sub(from) >= MAX_LOG_RANGE {
                    return Err(EngineError::TooLargeRequest(MAX_LOG_RANGE));
                }
                let inner = self.read();
                (from..=to).filter_map(|number| inner.chain.block_at(number).cloned()).collect()
            }
        };
        let selected = |log: &Log| filter.matches_address(log.address()) && filter.matches_topics(log.topics());
        Ok(blocks
            .iter()
            .filter(|block| filter.matches_bloom(block.header.logs_bloom))
            .flat_map(|block| block_logs(block))
            .filter(selected)
            .collect())
    }

    /// `eth_maxPriorityFeePerGas` in wei: a constant, as no devnet block is ever contended for long.
    pub fn suggested_tip(&self) -> u128 {
        SUGGESTED_TIP
    }

    /// `eth_gasPrice` in wei: the next block's base fee and the suggested tip.
    ///
    /// # Errors
    /// When the head's extra data doesn't decode, which no valid head's does.
    pub fn gas_price(&self) -> Result<u128, EngineError> {
        let base_fee = self.rules().next_base_fee(&self.head().header).map_err(EngineError::internal)?;
        Ok(u128::from(base_fee) + SUGGESTED_TIP)
    }

    /// `eth_feeHistory` of up to `count` blocks ending in `newest`; `percentiles` of gas paid choose the rewards.
    ///
    /// # Errors
    /// When the newest block isn't known or the percentiles aren't rising from 0 to 100.
    pub fn fee_history(
        &self,
        count: u64,
        newest: BlockNumberOrTag,
        percentiles: &[f64],
    ) -> Result<FeeHistory, EngineError> {
        let in_order = percentiles.windows(2).all(|pair| pair[0] <= pair[1]);
        if !in_order || percentiles.iter().any(|percentile| !(0.0..=100.0).contains(percentile)) {
            return Err(EngineError::InvalidParams("rewardPercentiles must rise from 0 to 100".into()));
        }
        let newest = self.block_by_id(newest.into()).ok_or_else(|| EngineError::UnknownBlock(newest.to_string()))?;
        let oldest = (newest.number() + 1).saturating_sub(count.clamp(1, MAX_FEE_HISTORY));
        let blocks: Vec<_> = (oldest..=newest.number()).filter_map(|number| self.block_at(number)).collect();
        let next = self.rules().next_base_fee(&newest.header).map_err(EngineError::internal)?;
        let base_fees = blocks.iter().map(|block| block.header.base_fee_per_gas.unwrap_or_default());
        Ok(FeeHistory {
            base_fee_per_gas: base_fees.chain([next]).map(u128::from).collect(),
            gas_used_ratio: blocks.iter().map(|b| b.header.gas_used as f64 / b.header.gas_limit as f64).collect(),
            base_fee_per_blob_gas: vec![1; blocks.len() + 1],
            blob_gas_used_ratio: vec![0.0; blocks.len()],
            oldest_block: oldest,
            reward: (!percentiles.is_empty()).then(|| blocks.iter().map(|block| rewards(block, percentiles)).collect()),
        })
    }
}

/// Tips at the given percentiles of the block's gas, lowest tip first; zeros for a block without pool transactions.
fn rewards(block: &ExecutedBlock, percentiles: &[f64]) -> Vec<u128> {
    let base_fee = block.header.base_fee_per_gas.unwrap_or_default();
    let paid = block.transactions.iter().enumerate().filter(|(_, transaction)| !transaction.is_deposit());
    let mut tips: Vec<(u128, u64)> = paid
        .map(|(index, transaction)| {
            (transaction.effective_tip_per_gas(base_fee).unwrap_or_default(), block.gas_used_by(index))
        })
        .collect();
    tips.sort_unstable();
    let total: u64 = tips.iter().map(|(_, gas)| gas).sum();
    let at = |percentile: &f64| {
        let threshold = total as f64 * percentile / 100.0;
        let mut gas_so_far = 0;
        let reached = tips.iter().find(|(_, gas)| {
            gas_so_far += gas;
            gas_so_far as f64 >= threshold
        });
        reached.or(tips.last()).map_or(0, |(tip, _)| *tip)
    };
    percentiles.iter().map(at).collect()
}

/// A block as `eth_getBlockBy*` answers it.
pub fn rpc_block(block: &ExecutedBlock, full: bool) -> Block<Transaction> {
    let transactions = if full {
        BlockTransactions::Full((0..block.transactions.len()).map(|index| rpc_transaction(block, index)).collect())
    } else {
        BlockTransactions::Hashes(block.transactions.iter().map(|transaction| *transaction.tx_hash()).collect())
    };
    let mut header = Header::from_sealed(block.header.clone());
    header.size = Some(U256::from(block.rlp().len()));
    Block { header, uncles: Vec::new(), transactions, withdrawals: Some(Default::default()) }
}

fn rpc_transaction(block: &ExecutedBlock, index: usize) -> Transaction {
    let transaction = block.transactions[index].clone();
    let receipt = &block.receipts[index];
    let info = TransactionInfo {
        hash: Some(*transaction.tx_hash()),
        index: Some(index as u64),
        block_hash: Some(block.hash()),
        block_number: Some(block.number()),
        base_fee: block.header.base_fee_per_gas,
        block_timestamp: Some(block.header.timestamp),
    };
    let deposit = OpDepositInfo {
        deposit_nonce: receipt.deposit_nonce(),
        deposit_receipt_version: receipt.deposit_receipt_version(),
    };
    Transaction::from_transaction(transaction, OpTransactionInfo::new(info, deposit))
}

/// All logs of a block, numbered through it.
fn block_logs(block: &ExecutedBlock) -> Vec<Log> {
    let of_receipt = |(index, receipt): (usize, &OpReceiptEnvelope)| {
        let hash = block.transactions.get(index).map(|transaction| *transaction.tx_hash());
        receipt.logs().iter().cloned().map(move |log| (index, hash, log)).collect::<Vec<_>>()
    };
    let logs = block.receipts.iter().enumerate().flat_map(of_receipt).enumerate();
    logs.map(|(log_index, (index, transaction_hash, inner))| Log {
        inner,
        block_hash: Some(block.hash()),
        block_number: Some(block.number()),
        block_timestamp: Some(block.header.timestamp),
        transaction_hash,
        transaction_index: Some(index as u64),
        log_index: Some(log_index as u64),
        removed: false,
    })
    .collect()
}

fn with_rpc_logs(receipt: OpReceiptEnvelope, logs: Vec<Log>) -> OpReceipt<Log> {
    let mut logs = logs.into_iter();
    // Both lists are the receipt's logs in order, so that the default never shows.
    OpReceipt::from(receipt).map_logs(|_| logs.next().unwrap_or_default())
}
