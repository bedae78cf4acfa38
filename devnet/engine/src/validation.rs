//! What a header must say, given its parent and given what execution yields.

use alloy::consensus::Header;

use crate::fork::{ChainRules, FeeParameterError, Fork};

/// The rule that a header breaks.
#[derive(Debug, thiserror::Error)]
pub enum HeaderError {
    /// A field differs from what it must be.
    #[error("{field} is {got}, must be {expected}")]
    Mismatch {
        /// The field's name in the payload.
        field: &'static str,
        /// What the header says.
        got: String,
        /// What it must say.
        expected: String,
    },
    /// Time doesn't advance.
    #[error("timestamp {got} isn't after the parent's {parent}")]
    Timestamp {
        /// The header's, Unix seconds.
        got: u64,
        /// The parent's, Unix seconds.
        parent: u64,
    },
    /// More gas used than allowed.
    #[error("gasUsed {used} is above gasLimit {limit}")]
    GasLimit {
        /// Gas used.
        used: u64,
        /// Gas limit.
        limit: u64,
    },
    /// Extra data doesn't fit the fork.
    #[error("extraData: {0}")]
    ExtraData(#[from] FeeParameterError),
}

/// Checks what can be checked before execution. The OP Stack takes the gas limit from L1, so that it may jump.
///
/// # Errors
/// Names the first rule that is broken.
pub fn check_against_parent(rules: &ChainRules, header: &Header, parent: &Header) -> Result<(), HeaderError> {
    expect("blockNumber", header.number, parent.number + 1)?;
    if header.timestamp <= parent.timestamp {
        return Err(HeaderError::Timestamp { got: header.timestamp, parent: parent.timestamp });
    }
    if header.gas_used > header.gas_limit {
        return Err(HeaderError::GasLimit { used: header.gas_used, limit: header.gas_limit });
    }
    rules.check_extra_data(&header.extra_data)?;
    expect("baseFeePerGas", header.base_fee_per_gas.unwrap_or_default(), rules.next_base_fee(parent)?)?;
    expect("excessBlobGas", header.excess_blob_gas.unwrap_or_default(), 0)?;
    if !rules.fork.includes(Fork::Jovian) {
        expect("blobGasUsed", header.blob_gas_used.unwrap_or_default(), 0)?;
    }
    Ok(())
}

/// Checks every field that execution computes: `header` is the claim, `computed` the outcome.
///
/// # Errors
/// Names the first field that differs.
pub fn check_outcome(header: &Header, computed: &Header) -> Result<(), HeaderError> {
    expect("gasUsed", header.gas_used, computed.gas_used)?;
    expect("receiptsRoot", header.receipts_root, computed.receipts_root)?;
    expect("logsBloom", header.logs_bloom, computed.logs_bloom)?;
    expect("stateRoot", header.state_root, computed.state_root)?;
    expect("withdrawalsRoot", header.withdrawals_root, computed.withdrawals_root)?;
    expect("blobGasUsed", header.blob_gas_used, computed.blob_gas_used)?;
    // The rest is copied from the claim, so that the hashes can only differ in a field that is not listed above.
    expect("blockHash", header.hash_slow(), computed.hash_slow())
}

fn expect<T: PartialEq + std::fmt::Debug>(field: &'static str, got: T, expected: T) -> Result<(), HeaderError> {
    if got == expected {
        Ok(())
    } else {
        Err(HeaderError::Mismatch { field, got: format!("{got:?}"), expected: format!("{expected:?}") })
    }
}
