//! Payload attributes with the L1-info deposit that opens every L2 block (OP Stack specs, "L1 attributes deposited transaction").

use super::origin::Origin;
use alloy::{
    eips::eip2718::Encodable2718,
    primitives::{Address, B256, Bytes, TxKind, U256, address, hex, keccak256},
};
use op_alloy::consensus::TxDeposit;
use serde_json::{Value, json};

/// Where priority fees go on an OP chain.
const SEQUENCER_FEE_VAULT: Address = address!("4200000000000000000000000000000000000011");
/// The predeploy that holds the L1 info.
const L1_BLOCK: Address = address!("4200000000000000000000000000000000000015");
/// Who the L1-info deposit is from.
const L1_INFO_DEPOSITOR: Address = address!("deaddeaddeaddeaddeaddeaddeaddeaddead0001");
/// `setL1BlockValuesIsthmus()`.
const ISTHMUS_SELECTOR: [u8; 4] = hex!("098999be");
/// Gas of the L1-info deposit.
const L1_INFO_GAS: u64 = 1_000_000;

/// What stays the same from block to block.
pub(super) struct AttributesBuilder {
    pub(super) batcher: Address,
    pub(super) gas_limit: u64,
}

impl AttributesBuilder {
    /// `PayloadAttributesV3` with the OP Stack's fields (Isthmus).
    pub(super) fn build(&self, timestamp: u64, origin: &Origin) -> Value {
        json!({
            "timestamp": format!("{timestamp:#x}"),
            "prevRandao": origin.prev_randao,
            "suggestedFeeRecipient": SEQUENCER_FEE_VAULT,
            "withdrawals": [],
            "parentBeaconBlockRoot": origin.parent_beacon_block_root,
            "transactions": [self.l1_info(origin)],
            "noTxPool": false,
            "gasLimit": format!("{:#x}", self.gas_limit),
            // Zero: the chain's own defaults (Holocene).
            "eip1559Params": "0x0000000000000000",
        })
    }

    fn l1_info(&self, origin: &Origin) -> Bytes {
        let deposit = TxDeposit {
            source_hash: source_hash(origin),
            from: L1_INFO_DEPOSITOR,
            to: TxKind::Call(L1_BLOCK),
            mint: 0,
            value: U256::ZERO,
            gas_limit: L1_INFO_GAS,
            is_system_transaction: false,
            input: self.l1_info_calldata(origin),
        };
        deposit.encoded_2718().into()
    }

    /// Packed, not ABI-encoded (OP Stack specs, Isthmus). The fee scalars are zero: this L2 charges no fee for its L1 data.
    fn l1_info_calldata(&self, origin: &Origin) -> Bytes {
        let mut data = Vec::with_capacity(176);
        data.extend(ISTHMUS_SELECTOR);
        data.extend(0u32.to_be_bytes());
        data.extend(0u32.to_be_bytes());
        data.extend(origin.sequence_number.to_be_bytes());
        data.extend(origin.timestamp.to_be_bytes());
        data.extend(origin.number.to_be_bytes());
        data.extend(U256::from(origin.base_fee).to_be_bytes::<32>());
        data.extend(U256::from(1).to_be_bytes::<32>());
        data.extend(origin.hash);
        data.extend(self.batcher.into_word());
        data.extend(0u32.to_be_bytes());
        data.extend(0u64.to_be_bytes());
        data.into()
    }
}

/// Source hash of an L1-info deposit: domain 1 over L1 block hash and sequence number (OP Stack specs, "Source hash computation").
fn source_hash(origin: &Origin) -> B256 {
    let mut inner = [0u8; 64];
    inner[..32].copy_from_slice(origin.hash.as_slice());
    inner[32..].copy_from_slice(&U256::from(origin.sequence_number).to_be_bytes::<32>());
    let mut outer = [0u8; 64];
    outer[..32].copy_from_slice(&U256::from(1).to_be_bytes::<32>());
    outer[32..].copy_from_slice(keccak256(inner).as_slice());
    keccak256(outer)
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloy::primitives::b256;

    #[test]
    fn deposits_like_a_real_rollup_node() {
        // Block 1 of a recorded run of kona-node: its L1-info deposit, field by field from its own L1 origin.
        let origin = Origin {
            number: 0,
            hash: b256!("f82b3e559d91d8bd011dc4c0b093d347a26012d033dcaed55daedb813bc51e0c"),
            timestamp: 0x6b00_c805,
            base_fee: 1_000_000_000,
            prev_randao: B256::ZERO,
            parent_beacon_block_root: B256::ZERO,
            sequence_number: 1,
        };
        let batcher = address!("3c44cdddb6a900fa2b585dd299e03d12fa4293bc");
        let recorded = hex!(
            "7ef90104a05a386e906e03b5225ac93f08b7000ce7a973ab7a94e758ed37746c5b71142dda94deaddeaddeaddeaddeaddeaddeaddeaddead00019442000000000000000000000000000000000000158080830f424080b8b0098999be00000000000000000000000000000001000000006b00c8050000000000000000000000000000000000000000000000000000000000000000000000003b9aca000000000000000000000000000000000000000000000000000000000000000001f82b3e559d91d8bd011dc4c0b093d347a26012d033dcaed55daedb813bc51e0c0000000000000000000000003c44cdddb6a900fa2b585dd299e03d12fa4293bc000000000000000000000000"
        );
        let built = AttributesBuilder { batcher, gas_limit: 30_000_000 }.l1_info(&origin);
        assert_eq!(built, Bytes::from(recorded));
    }
}
