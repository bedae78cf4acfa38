//! An item of a feed of soft blocks, as it travels and as evidence keeps it.

use crate::{GatewayId, SignatureError, SignedSoftBlock, SoftBlock};
use alloy::primitives::{Bytes, Signature};
use serde::{Deserialize, Serialize};

/// A soft block with signature and block.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct FeedItem {
    /// Whose signature it is; 0 for the rollup operator's.
    pub gateway: GatewayId,
    /// The commitment.
    pub soft_block: SoftBlock,
    /// 65 bytes: r, s (lower half), v.
    pub signature: Bytes,
    /// RLP of the block.
    pub block: Bytes,
}

impl FeedItem {
    /// Commitment and signature.
    ///
    /// # Errors
    /// A signature that isn't 65 bytes of r, s and v. Whose it is isn't looked at.
    pub fn signed(&self) -> Result<SignedSoftBlock, SignatureError> {
        let signature = Signature::from_raw(&self.signature).map_err(|_| SignatureError::Malformed)?;
        Ok(SignedSoftBlock { soft_block: self.soft_block.clone(), signature })
    }
}
