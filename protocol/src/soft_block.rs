//! Soft blocks: a gateway's signed commitment to an L2 block, rules `[L2]` to `[L5]`.

use crate::{Domain, Link, SignatureError};
use alloy::primitives::{Address, B256, Signature};
use serde::{Deserialize, Serialize};

alloy_sol_types::sol! {
    /// A commitment to one L2 block and, through the link, to all before it. `[L2]`
    #[derive(Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct SoftBlock {
        /// The L2 block's number.
        uint64 number;
        /// The link of the block before.
        bytes32 parentLink;
        /// The L2 block's hash.
        bytes32 blockHash;
        /// The L1 block that this commitment hangs on. `[L4]`
        uint64 anchorNumber;
        /// Its hash.
        bytes32 anchorHash;
    }
}

impl SoftBlock {
    /// The link of the committed block.
    pub fn link(&self) -> Link {
        Link(self.parentLink).then(self.blockHash)
    }

    /// The digest that its owner signs.
    pub fn digest(&self, domain: &Domain) -> B256 {
        domain.digest(self)
    }
}

/// A soft block with its owner's signature: what feeds carry and re-creations prove.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SignedSoftBlock {
    /// What is committed to.
    pub soft_block: SoftBlock,
    /// 65 bytes: r, s (lower half), v.
    pub signature: Signature,
}

impl SignedSoftBlock {
    /// Checks that `key` signed it in this domain.
    pub fn verify(&self, domain: &Domain, key: Address) -> Result<(), SignatureError> {
        Domain::verify(self.soft_block.digest(domain), &self.signature, key)
    }
}
