//! Blocks as the Engine API carries them.

use alloy::{
    consensus::{
        Header,
        crypto::RecoveryError,
        proofs::{calculate_withdrawals_root, ordered_trie_root_encoded},
        transaction::{Recovered, SignerRecoverable},
    },
    eips::{
        eip2718::{Decodable2718, Eip2718Error},
        eip7685::EMPTY_REQUESTS_HASH,
    },
    primitives::{Address, B256, Bytes},
    rpc::types::engine::{BlobsBundleV1, ExecutionPayloadV1, ExecutionPayloadV2, ExecutionPayloadV3},
};
use op_alloy::{
    consensus::OpTxEnvelope,
    rpc_types_engine::{OpExecutionPayloadEnvelopeV3, OpExecutionPayloadEnvelopeV4, OpExecutionPayloadV4},
};

use crate::block::ExecutedBlock;

/// Why a payload isn't a block at all.
#[derive(Debug, thiserror::Error)]
pub enum PayloadError {
    /// The base fee is larger than any header's can be.
    #[error("baseFeePerGas doesn't fit 64 bits")]
    BaseFeeTooLarge,
    /// A transaction doesn't decode.
    #[error("transactions[{index}] doesn't decode: {source}")]
    Decode {
        /// Position in the payload.
        index: usize,
        /// The decoder's reason.
        source: Eip2718Error,
    },
    /// A transaction is followed by further bytes.
    #[error("transactions[{index}] has trailing bytes")]
    TrailingBytes {
        /// Position in the payload.
        index: usize,
    },
    /// A transaction's signature yields no sender.
    #[error("transactions[{index}] has an invalid signature: {source}")]
    Signature {
        /// Position in the payload.
        index: usize,
        /// The reason.
        source: RecoveryError,
    },
    /// A transaction type that exists on no supported fork.
    #[error("transactions[{index}] has type {kind:#x}, which the chain's fork doesn't know")]
    UnknownType {
        /// Position in the payload.
        index: usize,
        /// EIP-2718 type byte.
        kind: u8,
    },
}

/// The parameters of `engine_newPayloadV3` and `V4`, one type for both.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewPayload {
    /// The payload's fields up to V3.
    pub payload: ExecutionPayloadV3,
    /// Storage root of the message passer; V4 only.
    pub withdrawals_root: Option<B256>,
    /// Root of the parent beacon block (EIP-4788).
    pub parent_beacon_block_root: B256,
    /// EIP-7685 requests, always an empty list; V4 only.
    pub execution_requests: Option<Vec<Bytes>>,
}

impl NewPayload {
    /// The header that the payload's fields make up. Its hash is what `blockHash` must say.
    ///
    /// # Errors
    /// When a field doesn't fit a header.
    pub fn header(&self) -> Result<Header, PayloadError> {
        let ExecutionPayloadV2 { payload_inner: v1, withdrawals } = &self.payload.payload_inner;
        Ok(Header {
            parent_hash: v1.parent_hash,
            beneficiary: v1.fee_recipient,
            state_root: v1.state_root,
            transactions_root: ordered_trie_root_encoded(&v1.transactions),
            receipts_root: v1.receipts_root,
            logs_bloom: v1.logs_bloom,
            number: v1.block_number,
            gas_limit: v1.gas_limit,
            gas_used: v1.gas_used,
            timestamp: v1.timestamp,
            extra_data: v1.extra_data.clone(),
            mix_hash: v1.prev_randao,
            base_fee_per_gas: Some(v1.base_fee_per_gas.try_into().map_err(|_| PayloadError::BaseFeeTooLarge)?),
            withdrawals_root: Some(self.withdrawals_root.unwrap_or_else(|| calculate_withdrawals_root(withdrawals))),
            blob_gas_used: Some(self.payload.blob_gas_used),
            excess_blob_gas: Some(self.payload.excess_blob_gas),
            parent_beacon_block_root: Some(self.parent_beacon_block_root),
            requests_hash: self.execution_requests.is_some().then_some(EMPTY_REQUESTS_HASH),
            ..Default::default()
        })
    }

    /// The payload's transactions in their EIP-2718 encoding.
    pub fn encoded_transactions(&self) -> &[Bytes] {
        &self.payload.payload_inner.payload_inner.transactions
    }

    /// The payload's transactions with their senders.
    ///
    /// # Errors
    /// When one doesn't decode, isn't signed rightly or is of an unknown type.
    pub fn transactions(&self) -> Result<Vec<Recovered<OpTxEnvelope>>, PayloadError> {
        decode_transactions(self.encoded_transactions(), |_| None)
    }

    /// What the payload claims as its hash.
    pub fn block_hash(&self) -> B256 {
        self.payload.payload_inner.payload_inner.block_hash
    }
}

/// Decodes EIP-2718 transactions and recovers their senders, except where `known_sender` has one for the transaction's
/// hash: recovery is by far the dearest step, and a hash commits to the signature.
///
/// # Errors
/// Names the first transaction that isn't one.
pub fn decode_transactions(
    encoded: &[Bytes],
    known_sender: impl Fn(B256) -> Option<Address>,
) -> Result<Vec<Recovered<OpTxEnvelope>>, PayloadError> {
    let decode = |(index, encoded): (usize, &Bytes)| {
        let mut rest = encoded.as_ref();
        let transaction =
            OpTxEnvelope::decode_2718(&mut rest).map_err(|source| PayloadError::Decode { index, source })?;
        if !rest.is_empty() {
            return Err(PayloadError::TrailingBytes { index });
        }
        if matches!(transaction, OpTxEnvelope::PostExec(_)) {
            return Err(PayloadError::UnknownType { index, kind: transaction.tx_type() as u8 });
        }
        match known_sender(transaction.tx_hash()) {
            Some(sender) => Ok(Recovered::new_unchecked(transaction, sender)),
            None => transaction.try_into_recovered().map_err(|source| PayloadError::Signature { index, source }),
        }
    };
    encoded.iter().enumerate().map(decode).collect()
}

/// The answer to `engine_getPayloadV3`.
pub fn envelope_v3(block: &ExecutedBlock) -> OpExecutionPayloadEnvelopeV3 {
    OpExecutionPayloadEnvelopeV3 {
        execution_payload: payload_v3(block),
        block_value: block.fees,
        blobs_bundle: BlobsBundleV1::empty(),
        should_override_builder: false,
        parent_beacon_block_root: block.header.parent_beacon_block_root.unwrap_or_default(),
    }
}

/// The answer to `engine_getPayloadV4`.
pub fn envelope_v4(block: &ExecutedBlock) -> OpExecutionPayloadEnvelopeV4 {
    OpExecutionPayloadEnvelopeV4 {
        execution_payload: OpExecutionPayloadV4 {
            payload_inner: payload_v3(block),
            withdrawals_root: block.header.withdrawals_root.unwrap_or_default(),
        },
        block_value: block.fees,
        blobs_bundle: BlobsBundleV1::empty(),
        should_override_builder: false,
        parent_beacon_block_root: block.header.parent_beacon_block_root.unwrap_or_default(),
        execution_requests: Vec::new(),
    }
}

fn payload_v3(block: &ExecutedBlock) -> ExecutionPayloadV3 {
    let header = &block.header;
    ExecutionPayloadV3 {
        payload_inner: ExecutionPayloadV2 {
            payload_inner: ExecutionPayloadV1 {
                parent_hash: header.parent_hash,
                fee_recipient: header.beneficiary,
                state_root: header.state_root,
                receipts_root: header.receipts_root,
                logs_bloom: header.logs_bloom,
                prev_randao: header.mix_hash,
                block_number: header.number,
                gas_limit: header.gas_limit,
                gas_used: header.gas_used,
                timestamp: header.timestamp,
                extra_data: header.extra_data.clone(),
                base_fee_per_gas: alloy::primitives::U256::from(header.base_fee_per_gas.unwrap_or_default()),
                block_hash: block.hash(),
                transactions: block.encoded_transactions(),
            },
            withdrawals: Vec::new(),
        },
        blob_gas_used: header.blob_gas_used.unwrap_or_default(),
        excess_blob_gas: header.excess_blob_gas.unwrap_or_default(),
    }
}
