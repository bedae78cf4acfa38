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

    /// Whether no gateway that follows `[K3]` signs both: other blocks of one number on one base, with anchors that one L1 chain may hold. Both bind where
    /// both anchors are canonical.
    pub fn contradicts(&self, other: &Self) -> bool {
        let is_same_position = self.number == other.number && self.parentLink == other.parentLink;
        let excludes = self.anchorNumber == other.anchorNumber && self.anchorHash != other.anchorHash;
        is_same_position && self.blockHash != other.blockHash && !excludes
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_other_blocks_of_one_number_and_base_with_anchors_of_one_chain_contradict_each_other() {
        let of = |number, base, block, anchor_number, anchor| SoftBlock {
            number,
            parentLink: B256::repeat_byte(base),
            blockHash: B256::repeat_byte(block),
            anchorNumber: anchor_number,
            anchorHash: B256::repeat_byte(anchor),
        };
        let signed = of(7, 1, 1, 100, 1);
        for (other, contradicts) in [
            (of(7, 1, 2, 100, 1), true),
            (of(7, 1, 2, 101, 2), true),
            (of(7, 1, 1, 101, 2), false),
            (of(7, 1, 2, 100, 2), false),
            (of(7, 2, 2, 100, 1), false),
            (of(8, 1, 2, 100, 1), false),
        ] {
            assert_eq!(signed.contradicts(&other), contradicts, "{other:?}");
            assert_eq!(other.contradicts(&signed), contradicts, "{other:?}");
        }
    }
}
