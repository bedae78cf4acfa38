//! An item of a feed, as it travels.

use crate::archive::ArchivedSoftBlock;
use alloy::primitives::{Bytes, Signature};
use baton_protocol::{GatewayId, SignedSoftBlock, SoftBlock};
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
    /// The item as the archive keeps it; `None` if its signature isn't 65 bytes of r, s and v.
    pub fn into_archived(self) -> Option<ArchivedSoftBlock> {
        let signature = Signature::from_raw(&self.signature).ok()?;
        let signed = SignedSoftBlock { soft_block: self.soft_block, signature };
        Some(ArchivedSoftBlock { gateway: self.gateway, signed, block: self.block })
    }
}

impl From<ArchivedSoftBlock> for FeedItem {
    fn from(archived: ArchivedSoftBlock) -> Self {
        let SignedSoftBlock { soft_block, signature } = archived.signed;
        Self {
            gateway: archived.gateway,
            soft_block,
            signature: Bytes::from(signature.as_bytes().to_vec()),
            block: archived.block,
        }
    }
}
