//! The OP Stack fork that a devnet runs, and the header rules that depend on it.

use alloy::{
    consensus::Header,
    eips::{
        eip1559::{BaseFeeParams, calc_next_block_base_fee},
        eip7685::EMPTY_REQUESTS_HASH,
    },
    primitives::{B64, B256, Bytes},
};
use alloy_op_hardforks::{ForkCondition, OpChainHardforks, OpHardfork};
use op_alloy::consensus::{
    EIP1559ParamError, decode_holocene_extra_data, decode_jovian_extra_data, encode_holocene_extra_data,
    encode_jovian_extra_data,
};
use serde::{Deserialize, Serialize};

/// An OP Stack fork, active from genesis on. A devnet's chain never changes fork.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Fork {
    /// Granite: Engine API V3 throughout.
    Granite,
    /// Holocene: EIP-1559 parameters travel in attributes and extra data.
    Holocene,
    /// Isthmus: Prague rules, storage root of the message passer in the header, Engine API V4 payloads.
    #[default]
    Isthmus,
    /// Jovian: minimum base fee, data availability footprint counted as blob gas.
    Jovian,
}

impl Fork {
    /// Whether this fork includes the rules of `other`.
    pub fn includes(self, other: Self) -> bool {
        self >= other
    }
}

/// What a payload's attributes must carry on a fork and don't, or carry and mustn't.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FeeParameterError {
    /// The fork needs the field.
    #[error("{0} is missing: the chain's fork requires it")]
    Missing(&'static str),
    /// The fork doesn't know the field.
    #[error("{0} is set: the chain's fork doesn't know it, leave it away")]
    Unexpected(&'static str),
    /// A zero denominator or elasticity where none is allowed.
    #[error("eip1559Params has a zero {0}: set both denominator and elasticity, or neither")]
    Zero(&'static str),
    /// The parameters don't fit their encoding.
    #[error("eip1559Params: {0}")]
    Encoding(#[from] EIP1559ParamError),
}

/// The rules of one chain.
#[derive(Clone, Debug)]
pub struct ChainRules {
    /// EIP-155 chain id.
    pub chain_id: u64,
    /// Active fork.
    pub fork: Fork,
    /// EIP-1559 parameters before Holocene, and where attributes say zero.
    pub base_fee_params: BaseFeeParams,
    /// The fork as the executor reads it.
    pub hardforks: OpChainHardforks,
}

impl ChainRules {
    /// The rules of a chain on `fork` with the given EIP-1559 denominator and elasticity.
    pub fn new(chain_id: u64, fork: Fork, denominator: u32, elasticity: u32) -> Self {
        let newest = match fork {
            Fork::Granite => OpHardfork::Granite,
            Fork::Holocene => OpHardfork::Holocene,
            Fork::Isthmus => OpHardfork::Isthmus,
            Fork::Jovian => OpHardfork::Jovian,
        };
        let active = OpHardfork::VARIANTS.iter().filter(|hardfork| hardfork.idx() <= newest.idx()).map(|hardfork| {
            let condition = match hardfork {
                OpHardfork::Bedrock => ForkCondition::Block(0),
                _ => ForkCondition::Timestamp(0),
            };
            (*hardfork, condition)
        });
        Self {
            chain_id,
            fork,
            base_fee_params: BaseFeeParams::new(u128::from(denominator), u128::from(elasticity)),
            hardforks: OpChainHardforks::new(active),
        }
    }

    /// Extra data of a block built from attributes with these fields (specs: Holocene and Jovian execution engine).
    ///
    /// # Errors
    /// When a field doesn't fit the fork.
    pub fn extra_data(
        &self,
        eip1559_params: Option<B64>,
        min_base_fee: Option<u64>,
    ) -> Result<Bytes, FeeParameterError> {
        if min_base_fee.is_some() && !self.fork.includes(Fork::Jovian) {
            return Err(FeeParameterError::Unexpected("minBaseFee"));
        }
        if !self.fork.includes(Fork::Holocene) {
            return match eip1559_params {
                Some(_) => Err(FeeParameterError::Unexpected("eip1559Params")),
                None => Ok(Bytes::new()),
            };
        }
        let params = eip1559_params.ok_or(FeeParameterError::Missing("eip1559Params"))?;
        if !params.is_zero() {
            check_nonzero(&params[..4], "denominator")?;
            check_nonzero(&params[4..], "elasticity")?;
        }
        Ok(if self.fork.includes(Fork::Jovian) {
            let min_base_fee = min_base_fee.ok_or(FeeParameterError::Missing("minBaseFee"))?;
            encode_jovian_extra_data(params, self.base_fee_params, min_base_fee)?
        } else {
            encode_holocene_extra_data(params, self.base_fee_params)?
        })
    }

    /// Whether a header's extra data is what the fork allows; the reason if not.
    ///
    /// # Errors
    /// When length, version byte or a value is wrong.
    pub fn check_extra_data(&self, extra_data: &[u8]) -> Result<(), FeeParameterError> {
        if !self.fork.includes(Fork::Holocene) {
            // Before Holocene the field is free, up to Ethereum's 32 bytes.
            return if extra_data.len() <= 32 { Ok(()) } else { Err(EIP1559ParamError::InvalidExtraDataLength.into()) };
        }
        let (elasticity, denominator, _) = self.header_fee_parameters(extra_data)?;
        if denominator == 0 {
            return Err(FeeParameterError::Zero("denominator"));
        }
        if elasticity == 0 { Err(FeeParameterError::Zero("elasticity")) } else { Ok(()) }
    }

    /// Base fee in wei of the block after `parent`.
    ///
    /// # Errors
    /// When the parent's extra data doesn't decode.
    pub fn next_base_fee(&self, parent: &Header) -> Result<u64, FeeParameterError> {
        let base_fee = parent.base_fee_per_gas.unwrap_or_default();
        if !self.fork.includes(Fork::Holocene) {
            return Ok(calc_next_block_base_fee(parent.gas_used, parent.gas_limit, base_fee, self.base_fee_params));
        }
        let (elasticity, denominator, min_base_fee) = self.header_fee_parameters(&parent.extra_data)?;
        let params = BaseFeeParams::new(u128::from(denominator), u128::from(elasticity));
        // From Jovian on blobGasUsed is the data availability footprint, which takes gas from the block as well.
        let used = if self.fork.includes(Fork::Jovian) {
            parent.gas_used.max(parent.blob_gas_used.unwrap_or_default())
        } else {
            parent.gas_used
        };
        Ok(calc_next_block_base_fee(used, parent.gas_limit, base_fee, params).max(min_base_fee))
    }

    /// The header's withdrawals root: from Isthmus on the message passer's storage root, before the empty list's.
    pub fn withdrawals_root(&self, message_passer_storage_root: B256) -> B256 {
        if self.fork.includes(Fork::Isthmus) { message_passer_storage_root } else { alloy_trie::EMPTY_ROOT_HASH }
    }

    /// The header's requests hash: the hash of no requests from Isthmus on, absent before.
    pub fn requests_hash(&self) -> Option<B256> {
        self.fork.includes(Fork::Isthmus).then_some(EMPTY_REQUESTS_HASH)
    }

    /// (elasticity, denominator, minimum base fee in wei) from a Holocene or Jovian header.
    fn header_fee_parameters(&self, extra_data: &[u8]) -> Result<(u32, u32, u64), EIP1559ParamError> {
        if self.fork.includes(Fork::Jovian) {
            decode_jovian_extra_data(extra_data)
        } else {
            decode_holocene_extra_data(extra_data).map(|(elasticity, denominator)| (elasticity, denominator, 0))
        }
    }
}

fn check_nonzero(bytes: &[u8], name: &'static str) -> Result<(), FeeParameterError> {
    if bytes.iter().all(|byte| *byte == 0) { Err(FeeParameterError::Zero(name)) } else { Ok(()) }
}
