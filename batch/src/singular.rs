//! Singular batches: one L2 block each (specs: protocol/derivation, "Batch Format", version 0).

use alloy::primitives::{B256, Bytes};
use alloy_rlp::{Encodable, Header};

use crate::{L2Block, block::DEPOSIT_TYPE};

/// Version byte of a singular batch.
pub const SINGULAR_BATCH_TYPE: u8 = 0;

/// One L2 block in batch data. With the L1 block of its epoch (for the deposits and L1 attributes) and the parent's fee
/// parameters, these are the block's payload attributes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SingularBatch {
    /// Hash of the L2 block before.
    pub parent_hash: B256,
    /// Number of the L1 origin.
    pub epoch_number: u64,
    /// Hash of the L1 origin.
    pub epoch_hash: B256,
    /// Unix time of the L2 block, seconds.
    pub timestamp: u64,
    /// Raw (EIP-2718) transactions of the block without its deposits.
    pub transactions: Vec<Bytes>,
}

/// Why bytes aren't a singular batch. Never retryable.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BatchError {
    /// Malformed RLP.
    #[error("batch isn't valid RLP in its {field}: {source}")]
    Rlp {
        /// The field that doesn't parse.
        field: &'static str,
        /// What the parser found.
        source: alloy_rlp::Error,
    },
    /// A string of no bytes where a batch was expected.
    #[error("batch is empty, a type byte was expected")]
    Empty,
    /// A batch of another type, such as a span batch (1).
    #[error("batch type is {0}, only singular batches (type 0) are read")]
    Type(u8),
    /// Bytes behind the batch or behind its last field.
    #[error("{0} bytes follow the batch's last field")]
    Trailing(usize),
    /// A transaction of no bytes, for which derivation drops the batch.
    #[error("transaction {0} of the batch is empty")]
    EmptyTransaction(usize),
    /// A deposit, for which derivation drops the batch.
    #[error("transaction {0} of the batch is a deposit: deposits come from L1 only")]
    Deposit(usize),
    /// More transactions than the reader was told to hold.
    #[error("batch data holds more than {0} transactions: raise max_transactions if that is meant")]
    TooManyTransactions(usize),
}

impl From<&L2Block> for SingularBatch {
    fn from(block: &L2Block) -> Self {
        Self {
            parent_hash: block.id().parent_hash,
            epoch_number: block.origin().number,
            epoch_hash: block.origin().hash,
            timestamp: block.id().timestamp,
            transactions: block.posted_transactions().to_vec(),
        }
    }
}

impl SingularBatch {
    /// Appends the batch as it stands in a channel: an RLP string of the type byte and the RLP list of the fields.
    pub fn encode(&self, out: &mut Vec<u8>) {
        let transactions = Header { list: true, payload_length: self.transactions.iter().map(Encodable::length).sum() };
        let fields = Header {
            list: true,
            payload_length: self.parent_hash.length()
                + self.epoch_number.length()
                + self.epoch_hash.length()
                + self.timestamp.length()
                + transactions.length_with_payload(),
        };
        Header { list: false, payload_length: 1 + fields.length_with_payload() }.encode(out);
        out.push(SINGULAR_BATCH_TYPE);
        fields.encode(out);
        self.parent_hash.encode(out);
        self.epoch_number.encode(out);
        self.epoch_hash.encode(out);
        self.timestamp.encode(out);
        transactions.encode(out);
        for transaction in &self.transactions {
            transaction.encode(out);
        }
    }

    /// Parses the contents of a batch's RLP string: type byte and list. The transactions share the memory of `data`.
    /// At most `max_transactions` are taken, so that a stream of tiny ones can't blow up memory.
    ///
    /// # Errors
    /// See [`BatchError`].
    pub fn decode(data: &Bytes, max_transactions: usize) -> Result<Self, BatchError> {
        let (batch_type, mut rest) = data.split_first().ok_or(BatchError::Empty)?;
        if *batch_type != SINGULAR_BATCH_TYPE {
            return Err(BatchError::Type(*batch_type));
        }
        let mut fields = Header::decode_bytes(&mut rest, true).map_err(in_field("list"))?;
        if !rest.is_empty() {
            return Err(BatchError::Trailing(rest.len()));
        }
        let parent_hash = decode_field(&mut fields, "parent_hash")?;
        let epoch_number = decode_field(&mut fields, "epoch_number")?;
        let epoch_hash = decode_field(&mut fields, "epoch_hash")?;
        let timestamp = decode_field(&mut fields, "timestamp")?;
        let mut list = Header::decode_bytes(&mut fields, true).map_err(in_field("transactions"))?;
        if !fields.is_empty() {
            return Err(BatchError::Trailing(fields.len()));
        }
        let mut transactions = Vec::new();
        while !list.is_empty() {
            let index = transactions.len();
            if index == max_transactions {
                return Err(BatchError::TooManyTransactions(max_transactions));
            }
            let transaction = Header::decode_bytes(&mut list, false).map_err(in_field("transactions"))?;
            match transaction.first() {
                None => return Err(BatchError::EmptyTransaction(index)),
                Some(&DEPOSIT_TYPE) => return Err(BatchError::Deposit(index)),
                Some(_) => transactions.push(data.slice_ref(transaction)),
            }
        }
        Ok(Self { parent_hash, epoch_number, epoch_hash, timestamp, transactions })
    }
}

fn in_field(field: &'static str) -> impl Fn(alloy_rlp::Error) -> BatchError {
    move |source| BatchError::Rlp { field, source }
}

fn decode_field<T: alloy_rlp::Decodable>(buf: &mut &[u8], field: &'static str) -> Result<T, BatchError> {
    T::decode(buf).map_err(in_field(field))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn batch(transactions: Vec<Bytes>) -> SingularBatch {
        SingularBatch {
            parent_hash: B256::repeat_byte(1),
            epoch_number: 300,
            epoch_hash: B256::repeat_byte(2),
            timestamp: 1_700_000_000,
            transactions,
        }
    }

    /// The contents of the RLP string that `encode` wrote.
    fn contents(batch: &SingularBatch) -> Bytes {
        let mut out = Vec::new();
        batch.encode(&mut out);
        Header::decode_bytes(&mut &out[..], false).unwrap().to_vec().into()
    }

    #[test]
    fn the_bytes_are_those_that_kona_writes() {
        for transactions in [vec![], vec![Bytes::from_static(&[2]), vec![0xc0; 300].into()]] {
            let ours = batch(transactions.clone());
            let theirs = kona_protocol::Batch::Single(kona_protocol::SingleBatch {
                parent_hash: ours.parent_hash,
                epoch_num: ours.epoch_number,
                epoch_hash: ours.epoch_hash,
                timestamp: ours.timestamp,
                transactions,
            });
            let mut expected = Vec::new();
            theirs.encode(&mut expected).unwrap();
            assert_eq!(contents(&ours)[..], expected);
            assert_eq!(SingularBatch::decode(&contents(&ours), 2), Ok(ours));
        }
    }

    #[test]
    fn a_batch_that_derivation_drops_is_refused() {
        let decode = |transactions| SingularBatch::decode(&contents(&batch(transactions)), 10);
        let fine = Bytes::from_static(&[2, 1]);
        assert_eq!(decode(vec![fine.clone(), Bytes::new()]), Err(BatchError::EmptyTransaction(1)));
        assert_eq!(decode(vec![fine.clone(), Bytes::from_static(&[0x7e, 1])]), Err(BatchError::Deposit(1)));
        assert_eq!(decode(vec![fine.clone(); 11]), Err(BatchError::TooManyTransactions(10)));
        assert!(decode(vec![fine; 10]).is_ok());
    }

    #[test]
    fn malformed_bytes_name_the_field() {
        let good = contents(&batch(vec![Bytes::from_static(&[2, 1])]));
        let decode = |data: Vec<u8>| SingularBatch::decode(&data.into(), 10).unwrap_err();
        assert_eq!(decode(vec![]), BatchError::Empty);
        assert_eq!(decode(vec![1, 0xc0]), BatchError::Type(1));
        assert_eq!(decode([&good[..], &[0]].concat()), BatchError::Trailing(1));
        assert_eq!(
            decode(good[..good.len() - 1].to_vec()),
            BatchError::Rlp { field: "list", source: alloy_rlp::Error::InputTooShort }
        );
        assert_eq!(
            decode(vec![0, 0xc0]),
            BatchError::Rlp { field: "parent_hash", source: alloy_rlp::Error::InputTooShort }
        );
        // One more field behind the transactions.
        let mut longer = good.to_vec();
        longer[2] += 1;
        longer.push(0x01);
        assert_eq!(decode(longer), BatchError::Trailing(1));
    }
}
