//! An L2 block as the encoder needs it.

use alloy::{
    consensus::{Header, proofs::ordered_trie_root_with_encoder},
    primitives::{B256, Bytes, keccak256},
};
use alloy_rlp::Decodable;

use crate::{L1InfoError, L1Origin};

/// EIP-2718 type of a deposit transaction.
pub(crate) const DEPOSIT_TYPE: u8 = 0x7e;

/// Where a block stands in the chain.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct BlockId {
    /// Block number.
    pub number: u64,
    /// Block hash.
    pub hash: B256,
    /// Hash of the block before.
    pub parent_hash: B256,
    /// Unix time, seconds.
    pub timestamp: u64,
}

/// An L2 block that can be posted: its deposits are first, the L1-attributes deposit before all others, and none of its
/// transactions is empty.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct L2Block {
    id: BlockId,
    origin: L1Origin,
    transactions: Vec<Bytes>,
    deposits: usize,
}

/// Why something isn't a block that can be posted. Never retryable.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BlockError {
    /// Not the RLP of a block.
    #[error("block isn't valid RLP in its {part}: {source}")]
    Rlp {
        /// The part of the block that doesn't parse.
        part: &'static str,
        /// What the parser found.
        source: alloy_rlp::Error,
    },
    /// The transactions aren't those of the header.
    #[error("block {number} has transactions root {found}, its header says {expected}")]
    TransactionsRoot {
        /// Block number.
        number: u64,
        /// Root in the header.
        expected: B256,
        /// Root of the transactions.
        found: B256,
    },
    /// The block has no transactions, not even the L1-attributes deposit.
    #[error("block {number} has no transactions: the L1-attributes deposit is missing")]
    NoTransactions {
        /// Block number.
        number: u64,
    },
    /// The L1 origin can't be read from the first transaction.
    #[error("block {number}: {source}")]
    L1Info {
        /// Block number.
        number: u64,
        /// What is wrong with the first transaction.
        source: L1InfoError,
    },
    /// A deposit after a transaction that isn't one.
    #[error("transaction {index} of block {number} is a deposit behind a transaction that isn't")]
    LateDeposit {
        /// Block number.
        number: u64,
        /// The deposit's index in the block.
        index: usize,
    },
    /// A transaction of no bytes.
    #[error("transaction {index} of block {number} is empty")]
    EmptyTransaction {
        /// Block number.
        number: u64,
        /// The transaction's index in the block.
        index: usize,
    },
}

impl L2Block {
    /// From header fields and all raw (EIP-2718) transactions of the block, deposits included.
    ///
    /// That they belong together is the caller's word: nothing is hashed here.
    ///
    /// # Errors
    /// Any [`BlockError`] but [`BlockError::Rlp`] and [`BlockError::TransactionsRoot`].
    pub fn from_parts(id: BlockId, transactions: Vec<Bytes>) -> Result<Self, BlockError> {
        let number = id.number;
        let first = transactions.first().ok_or(BlockError::NoTransactions { number })?;
        let origin = L1Origin::from_deposit(first).map_err(|source| BlockError::L1Info { number, source })?;
        let is_deposit = |raw: &Bytes| raw.first() == Some(&DEPOSIT_TYPE);
        let deposits = transactions.iter().take_while(|raw| is_deposit(raw)).count();
        for (index, raw) in transactions.iter().enumerate().skip(deposits) {
            if raw.is_empty() {
                return Err(BlockError::EmptyTransaction { number, index });
            }
            if is_deposit(raw) {
                return Err(BlockError::LateDeposit { number, index });
            }
        }
        Ok(Self { id, origin, transactions, deposits })
    }

    /// From the RLP of a block (`[header, transactions, ommers, ...]`), whose hash and transactions root are recomputed.
    ///
    /// The transactions share the memory of `raw`.
    ///
    /// # Errors
    /// See [`BlockError`]; bytes behind the block are an RLP error.
    pub fn from_rlp(raw: &Bytes) -> Result<Self, BlockError> {
        let in_part = |part| move |source| BlockError::Rlp { part, source };
        let mut rest = raw.as_ref();
        let mut body = alloy_rlp::Header::decode_bytes(&mut rest, true).map_err(in_part("outer list"))?;
        if !rest.is_empty() {
            return Err(in_part("end")(alloy_rlp::Error::UnexpectedLength));
        }

        let raw_header = take_item(&mut body).map_err(in_part("header"))?;
        let header = Header::decode(&mut &raw_header[..]).map_err(in_part("header"))?;
        let mut list = alloy_rlp::Header::decode_bytes(&mut body, true).map_err(in_part("transactions"))?;
        let mut transactions = Vec::new();
        while !list.is_empty() {
            let item = take_item(&mut list).map_err(in_part("transactions"))?;
            // A legacy transaction is a list and stands for itself; a typed one is wrapped in a string.
            let transaction = if item.first().is_some_and(|byte| *byte >= alloy_rlp::EMPTY_LIST_CODE) {
                item
            } else {
                alloy_rlp::Header::decode_bytes(&mut &item[..], false).map_err(in_part("transactions"))?
            };
            transactions.push(raw.slice_ref(transaction));
        }
        // What follows (ommers, withdrawals) isn't posted, but it has to be there, and whole.
        take_item(&mut body).map_err(in_part("ommers"))?;
        while !body.is_empty() {
            take_item(&mut body).map_err(in_part("withdrawals"))?;
        }

        let number = header.number;
        let found =
            ordered_trie_root_with_encoder(&transactions, |transaction, out| out.extend_from_slice(transaction));
        if found != header.transactions_root {
            return Err(BlockError::TransactionsRoot { number, expected: header.transactions_root, found });
        }
        let id = BlockId {
            number,
            hash: keccak256(raw_header),
            parent_hash: header.parent_hash,
            timestamp: header.timestamp,
        };
        Self::from_parts(id, transactions)
    }

    /// Where the block stands in the chain.
    pub const fn id(&self) -> &BlockId {
        &self.id
    }

    /// The block's L1 origin.
    pub const fn origin(&self) -> &L1Origin {
        &self.origin
    }

    /// All raw (EIP-2718) transactions, deposits first.
    pub fn transactions(&self) -> &[Bytes] {
        &self.transactions
    }

    /// The raw (EIP-2718) transactions that batch data carries: all but the deposits.
    pub fn posted_transactions(&self) -> &[Bytes] {
        &self.transactions[self.deposits..]
    }
}

/// Splits the next RLP item, header included, off `buf`.
fn take_item<'a>(buf: &mut &'a [u8]) -> alloy_rlp::Result<&'a [u8]> {
    let mut rest = *buf;
    let header = alloy_rlp::Header::decode(&mut rest)?;
    let length = buf.len() - rest.len() + header.payload_length;
    let (item, tail) = buf.split_at_checked(length).ok_or(alloy_rlp::Error::InputTooShort)?;
    *buf = tail;
    Ok(item)
}
