//! Receipts: a gateway's signed promise to include a transaction, rule `[L6]`.

use crate::Domain;
use alloy::primitives::B256;
use serde::{Deserialize, Serialize};

alloy_sol_types::sol! {
    /// A promise to include a transaction at a place of a block. `[L6]`
    #[derive(Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Receipt {
        /// The L2 block's number.
        uint64 number;
        /// The link of the block before.
        bytes32 parentLink;
        /// The transaction's index in the block.
        uint32 txIndex;
        /// The transaction's hash.
        bytes32 txHash;
        /// Who is refunded if the promise is broken.
        address payee;
        /// The L1 block that this promise hangs on. `[L4]`
        uint64 anchorNumber;
        /// Its hash.
        bytes32 anchorHash;
    }
}

impl Receipt {
    /// The digest that the block's owner signs.
    pub fn digest(&self, domain: &Domain) -> B256 {
        domain.digest(self)
    }
}
