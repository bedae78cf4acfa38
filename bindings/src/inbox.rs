//! The inbox: settlement, records, rotation.

// Generated: prose lives in the Solidity interface, and the widest event has one field too many for the lint.
#[allow(missing_docs, clippy::too_many_arguments)]
mod abi {
    alloy_sol_types::sol! {
        #[sol(rpc, all_derives)]
        IInbox,
        "abi/IInbox.json"
    }
}
pub use abi::IInbox;

impl From<baton_protocol::SoftBlock> for IInbox::SoftBlock {
    fn from(block: baton_protocol::SoftBlock) -> Self {
        let baton_protocol::SoftBlock { number, parentLink, blockHash, anchorNumber, anchorHash } = block;
        Self { number, parentLink, blockHash, anchorNumber, anchorHash }
    }
}

impl From<baton_protocol::Receipt> for IInbox::Receipt {
    fn from(receipt: baton_protocol::Receipt) -> Self {
        let baton_protocol::Receipt { number, parentLink, txIndex, txHash, payee, anchorNumber, anchorHash } = receipt;
        Self { number, parentLink, txIndex, txHash, payee, anchorNumber, anchorHash }
    }
}
