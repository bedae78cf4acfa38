//! An executed block and its parts.

use alloy::{
    consensus::{
        BlockBody, Header, Sealable, Sealed, Transaction,
        transaction::{Recovered, TxHashRef},
    },
    eips::{eip2718::Encodable2718, eip4895::Withdrawals},
    primitives::{B256, Bytes, U256},
};
use op_alloy::consensus::{OpReceiptEnvelope, OpTxEnvelope};

use crate::state::WorldState;

/// A block with its receipts and the state after it.
#[derive(Clone, Debug)]
pub struct ExecutedBlock {
    /// The header and its hash.
    pub header: Sealed<Header>,
    /// Transactions with their senders.
    pub transactions: Vec<Recovered<OpTxEnvelope>>,
    /// One receipt for each transaction.
    pub receipts: Vec<OpReceiptEnvelope>,
    /// State after the block.
    pub state: WorldState,
    /// Priority fees in wei that the fee recipient earned.
    pub fees: U256,
}

impl ExecutedBlock {
    pub(crate) fn genesis(header: Header, state: WorldState) -> Self {
        Self { header: header.seal_slow(), transactions: Vec::new(), receipts: Vec::new(), state, fees: U256::ZERO }
    }

    /// Block hash.
    pub fn hash(&self) -> B256 {
        self.header.hash()
    }

    /// Block number.
    pub fn number(&self) -> u64 {
        self.header.number
    }

    /// Hash of the parent block.
    pub fn parent_hash(&self) -> B256 {
        self.header.parent_hash
    }

    /// The transactions in their EIP-2718 encoding, as payloads carry them.
    pub fn encoded_transactions(&self) -> Vec<Bytes> {
        self.transactions.iter().map(|transaction| transaction.encoded_2718().into()).collect()
    }

    /// The whole block in its RLP encoding.
    pub fn rlp(&self) -> Bytes {
        alloy_rlp::encode(self.consensus_block()).into()
    }

    /// The block as consensus types have it, without receipts and state.
    pub fn consensus_block(&self) -> alloy::consensus::Block<OpTxEnvelope> {
        let body = BlockBody {
            transactions: self.transactions.iter().map(|transaction| transaction.inner().clone()).collect(),
            ommers: Vec::new(),
            withdrawals: Some(Withdrawals::default()),
        };
        alloy::consensus::Block { header: self.header.inner().clone(), body }
    }

    /// Gas used by the transaction at `index`.
    pub fn gas_used_by(&self, index: usize) -> u64 {
        let cumulative = |index: usize| self.receipts.get(index).map_or(0, OpReceiptEnvelope::cumulative_gas_used);
        cumulative(index) - index.checked_sub(1).map_or(0, cumulative)
    }

    /// Transactions that came out of a pool: everything that isn't a deposit.
    pub(crate) fn pool_transactions(&self) -> impl Iterator<Item = &Recovered<OpTxEnvelope>> + '_ {
        self.transactions.iter().filter(|transaction| !transaction.is_deposit())
    }

    /// Index of the transaction with this hash.
    pub fn position(&self, hash: B256) -> Option<usize> {
        self.transactions.iter().position(|transaction| *transaction.tx_hash() == hash)
    }

    /// Price in wei that the transaction at `index` paid for a unit of gas; zero for deposits.
    pub fn effective_gas_price(&self, index: usize) -> u128 {
        match self.transactions.get(index) {
            Some(transaction) if !transaction.is_deposit() => {
                transaction.effective_gas_price(self.header.base_fee_per_gas)
            }
            _ => 0,
        }
    }
}
