//! What a payload must be to answer the attributes it was asked for with, checked before the fallback spends time on it.
//!
//! The fallback's `newPayload` says whether a block is valid, not whether it is the one that was asked for. Whatever the attributes fix and L1's
//! derivation computes by itself must be compared here: were it otherwise in the block, every node that derives would replace the block.

use crate::{
    payload::{Payload, Withdrawal},
    peek::{ForkchoiceUpdated, Number, Order},
    version::Field,
};
use alloy::primitives::{Address, B64, B256};

/// First byte of a deposit transaction, which mints and needs no signature (OP Stack specification, Deposits).
const DEPOSIT: &[u8] = b"0x7e";
/// The largest block that op-nodes pass on to each other, in bytes (OP Stack specification, Rollup node P2P: `MAX_GOSSIP_SIZE`).
pub const MAX_GOSSIP: usize = 10 << 20;

/// What op-node asked for, kept from `forkchoiceUpdated` until `getPayload`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Demand {
    /// The parent's hash.
    pub parent: B256,
    /// Unix seconds.
    pub timestamp: u64,
    /// The number that a block with this timestamp has, rule `[T2]`.
    pub number: Option<u64>,
    /// The gas limit, if one was asked for.
    pub gas_limit: Option<u64>,
    /// The parent beacon block root, if there was one.
    pub beacon_root: Option<B256>,
    /// Who gets the priority fees.
    pub fee_recipient: Option<Address>,
    /// The L1 randomness.
    pub prev_randao: Option<B256>,
    /// The withdrawals. Whether there is a list follows from the fork; where none was asked for, an empty one is the fallback's to judge.
    pub withdrawals: Option<Vec<Withdrawal>>,
    /// The fee parameters, from Holocene on. Before, the extra data says nothing and derivation doesn't set it.
    pub fees: Option<FeeParameters>,
    /// The L1 slot, in Amsterdam's attributes as they are drafted.
    pub slot_number: Option<u64>,
    /// The transactions that must come first, as hexadecimal text.
    pub forced: Vec<Box<str>>,
}

/// Fee parameters as attributes name them (OP Stack specification, Holocene and Jovian execution engine).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FeeParameters {
    /// Denominator and elasticity, four bytes each. Zero stands for the chain's defaults, which the portal doesn't know.
    pub eip1559: B64,
    /// The least base fee in wei, from Jovian on.
    pub min_base_fee: Option<u64>,
}

/// In what a payload differs from what was asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Mismatch {
    /// Built on another block.
    #[error("another parent than the head it was asked for on")]
    Parent,
    /// For another time.
    #[error("another timestamp than the attributes'")]
    Timestamp,
    /// Another number than the timestamp's.
    #[error("another number than the timestamp's")]
    Number,
    /// Another gas limit.
    #[error("another gas limit than the attributes'")]
    GasLimit,
    /// Another beacon root.
    #[error("another parent beacon block root than the attributes'")]
    BeaconRoot,
    /// The fees go to somebody else.
    #[error("another fee recipient than the attributes'")]
    FeeRecipient,
    /// Other randomness.
    #[error("another prevRandao than the attributes'")]
    PrevRandao,
    /// Other withdrawals.
    #[error("other withdrawals than the attributes'")]
    Withdrawals,
    /// The extra data has another form than its fork's, or other parameters.
    #[error("other EIP-1559 parameters or another minimum base fee in extraData than the attributes'")]
    FeeParameters,
    /// Not the parameters that zero stands for.
    #[error("other EIP-1559 parameters in extraData than the fallback's, where the attributes leave them to the chain")]
    DefaultFeeParameters,
    /// For another slot.
    #[error("another slot number than the attributes'")]
    SlotNumber,
    /// A forced transaction is missing, changed or not in front.
    #[error("forced transactions missing or changed")]
    ForcedTransactions,
    /// A deposit that nobody made on L1.
    #[error("a deposit transaction behind the forced ones")]
    Deposit,
    /// Fields of its envelope are missing or too many for the version it was asked for in.
    #[error("another fork's form than the version it was asked for in")]
    Fork,
    /// A field is missing that every payload of its version has.
    #[error("no {0}, which every payload of the version has that it was asked for in")]
    Lacks(Field),
    /// The fallback can't check it by any method that it knows, and writes payloads with other fields itself.
    #[error("other fields than the fallback's own payload, which can't check it with them")]
    Form,
    /// Too big for op-node's gossip.
    #[error("more than {MAX_GOSSIP} bytes of transactions, which no op-node gossips")]
    Size,
}

impl FeeParameters {
    /// Whether the chain's defaults are asked for.
    pub fn are_defaults(&self) -> bool {
        self.eip1559.is_zero()
    }

    /// Whether extra data carries these parameters. Defaults aren't looked at here, only that there is room for them.
    fn are_in(&self, extra_data: &[u8]) -> bool {
        // Holocene: 0 and the parameters. Jovian: 1, the parameters and the minimum base fee.
        let (version, tail) = match self.min_base_fee {
            None => (0, Vec::new()),
            Some(fee) => (1, fee.to_be_bytes().to_vec()),
        };
        let Some(carried) = eip1559_of(extra_data) else { return false };
        extra_data[0] == version && extra_data[9..] == tail && (self.are_defaults() || carried == self.eip1559)
    }
}

/// The EIP-1559 parameters in extra data; `None` if it is too short.
pub fn eip1559_of(extra_data: &[u8]) -> Option<B64> {
    extra_data.get(1..9).map(B64::from_slice)
}

impl Demand {
    /// What a forkchoice update with attributes asks for; `None` if it has none, or if not even their timestamp can be read. Of attributes in an unknown
    /// form there is no more than that and the parent: nobody is asked for such a block.
    pub fn of(update: &ForkchoiceUpdated<'_>, number: Option<u64>) -> Option<Self> {
        let attributes = match update.order.as_ref()? {
            Order::Read(attributes) => attributes,
            Order::Unread { timestamp, .. } => {
                return Some(Self { parent: update.head, timestamp: (*timestamp)?, number, ..Self::default() });
            }
        };
        let forced = attributes.transactions.iter().flatten();
        let min_base_fee = attributes.min_base_fee.map(Number::value);
        Some(Self {
            parent: update.head,
            timestamp: attributes.timestamp.to(),
            number,
            gas_limit: attributes.gas_limit.map(|limit| limit.to()),
            beacon_root: attributes.parent_beacon_block_root,
            fee_recipient: attributes.suggested_fee_recipient,
            prev_randao: attributes.prev_randao,
            withdrawals: attributes.withdrawals.clone(),
            fees: attributes.eip1559_params.map(|eip1559| FeeParameters { eip1559, min_base_fee }),
            slot_number: attributes.slot_number.map(Number::value),
            forced: forced.map(|raw| Box::from(raw.get().trim_matches('"'))).collect(),
        })
    }

    /// Compares a payload with what was asked for. What zero EIP-1559 parameters stand for, only [`Self::check_defaults`] can tell.
    pub fn check(&self, payload: &Payload<'_>) -> Result<(), Mismatch> {
        let other = |differs: bool, mismatch| if differs { Err(mismatch) } else { Ok(()) };
        other(payload.parent_hash != self.parent, Mismatch::Parent)?;
        other(payload.timestamp != self.timestamp, Mismatch::Timestamp)?;
        other(self.number.is_some_and(|number| number != payload.number), Mismatch::Number)?;
        other(self.gas_limit.is_some_and(|limit| limit != payload.gas_limit), Mismatch::GasLimit)?;
        other(self.beacon_root.is_some() && self.beacon_root != payload.beacon_root, Mismatch::BeaconRoot)?;
        other(self.fee_recipient.is_some_and(|to| to != payload.fee_recipient), Mismatch::FeeRecipient)?;
        other(self.prev_randao.is_some_and(|randao| randao != payload.prev_randao), Mismatch::PrevRandao)?;
        let has = payload.withdrawals.as_deref();
        let same = self.withdrawals.as_deref().map_or(has.is_none_or(<[_]>::is_empty), |wants| has == Some(wants));
        other(!same, Mismatch::Withdrawals)?;
        other(self.fees.is_some_and(|fees| !fees.are_in(&payload.extra_data)), Mismatch::FeeParameters)?;
        other(self.slot_number.is_some() && self.slot_number != payload.slot_number, Mismatch::SlotNumber)?;
        let size: usize = payload.transactions().map(|text| text.len() / 2).sum();
        other(size > MAX_GOSSIP, Mismatch::Size)?;
        let transactions = payload.transactions();
        let enough = transactions.len() >= self.forced.len();
        let same = transactions.zip(&self.forced).all(|(has, wants)| has.eq_ignore_ascii_case(wants.as_bytes()));
        other(!enough || !same, Mismatch::ForcedTransactions)?;
        // Execution clients execute any deposit that is in a block; only derivation knows which ones there were.
        let deposit = |text: &[u8]| text.get(..4).is_some_and(|kind| kind.eq_ignore_ascii_case(DEPOSIT));
        other(payload.transactions().skip(self.forced.len()).any(deposit), Mismatch::Deposit)
    }

    /// Where the chain's default EIP-1559 parameters are asked for: compares a payload's extra data with what the fallback is known to take as
    /// defaults. `None`, before the fallback has given any such payload: nothing to compare with, and the payload passes.
    pub fn check_defaults(&self, extra_data: &[u8], defaults: Option<B64>) -> Result<(), Mismatch> {
        match defaults {
            Some(_) if self.asks_for_defaults() && eip1559_of(extra_data) != defaults => {
                Err(Mismatch::DefaultFeeParameters)
            }
            _ => Ok(()),
        }
    }

    /// Whether the chain's default EIP-1559 parameters are asked for.
    pub fn asks_for_defaults(&self) -> bool {
        self.fees.is_some_and(|fees| fees.are_defaults())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        payload::tests::{answer, envelope, payload},
        peek,
    };
    use alloy::primitives::b64;
    use serde_json::{Value, json};

    const PARAMS: B64 = b64!("0x000000fa00000006");

    fn demand() -> Demand {
        Demand {
            parent: B256::repeat_byte(1),
            timestamp: 16,
            number: Some(3),
            gas_limit: Some(5),
            beacon_root: Some(B256::repeat_byte(9)),
            fee_recipient: Some(Address::repeat_byte(4)),
            prev_randao: Some(B256::repeat_byte(5)),
            withdrawals: Some(vec![]),
            fees: Some(FeeParameters { eip1559: PARAMS, min_base_fee: None }),
            slot_number: None,
            forced: vec!["0x7e01".into(), "0x7e02".into()],
        }
    }

    fn check_payload(demand: &Demand, payload: &Value) -> Result<(), Mismatch> {
        demand.check(&Payload::read(&answer(&envelope(payload)), 1).expect("a payload"))
    }

    fn check(demand: &Demand) -> Result<(), Mismatch> {
        check_payload(demand, &payload())
    }

    /// The payload with one field changed.
    fn with(key: &str, value: Value) -> Value {
        let mut payload = payload();
        payload[key] = value;
        payload
    }

    #[test]
    fn what_was_asked_for_passes() {
        assert_eq!(check(&demand()), Ok(()));
        let forced = demand().forced;
        let loose = Demand { parent: demand().parent, timestamp: 16, forced, ..Demand::default() };
        assert_eq!(check(&loose), Ok(()));
        for none in [Value::Null, json!([])] {
            assert_eq!(check_payload(&loose, &with("withdrawals", none)), Ok(()));
        }
    }

    #[test]
    fn each_difference_is_found() {
        let other = Demand { parent: B256::ZERO, ..demand() };
        assert_eq!(check(&other), Err(Mismatch::Parent));
        assert_eq!(check(&Demand { timestamp: 17, ..demand() }), Err(Mismatch::Timestamp));
        assert_eq!(check(&Demand { number: Some(4), ..demand() }), Err(Mismatch::Number));
        assert_eq!(check(&Demand { gas_limit: Some(6), ..demand() }), Err(Mismatch::GasLimit));
        assert_eq!(check(&Demand { beacon_root: Some(B256::ZERO), ..demand() }), Err(Mismatch::BeaconRoot));
        assert_eq!(check(&Demand { fee_recipient: Some(Address::ZERO), ..demand() }), Err(Mismatch::FeeRecipient));
        assert_eq!(check(&Demand { prev_randao: Some(B256::ZERO), ..demand() }), Err(Mismatch::PrevRandao));
        assert_eq!(check(&Demand { slot_number: Some(7), ..demand() }), Err(Mismatch::SlotNumber));
        let of_slot = |slot| check_payload(&Demand { slot_number: Some(7), ..demand() }, &with("slotNumber", slot));
        assert_eq!(of_slot(json!("0x7")), Ok(()));
        assert_eq!(of_slot(json!("0x8")), Err(Mismatch::SlotNumber));
        for forced in [vec!["0x7e02".into()], vec!["0x7e01".into(); 4]] {
            assert_eq!(check(&Demand { forced, ..demand() }), Err(Mismatch::ForcedTransactions));
        }
    }

    #[test]
    fn a_block_that_cannot_be_gossiped_is_too_big() {
        let of_size = |bytes: usize| {
            let filler = format!("0x02{}", "00".repeat(bytes - 1));
            check_payload(&demand(), &with("transactions", json!(["0x7e01", "0x7e02", filler])))
        };
        // Two bytes and a half for each forced transaction's text, prefix included.
        assert_eq!(of_size(MAX_GOSSIP - 100), Ok(()));
        assert_eq!(of_size(MAX_GOSSIP), Err(Mismatch::Size));
    }

    #[test]
    fn withdrawals_are_the_ones_that_were_asked_for() {
        let withdrawal = |amount: &str| json!([{"index": "0x1", "validatorIndex": "0x2", "address": Address::ZERO, "amount": amount}]);
        let asked = Demand { withdrawals: serde_json::from_value(withdrawal("0x3")).expect("withdrawals"), ..demand() };
        assert_eq!(check_payload(&asked, &with("withdrawals", withdrawal("0x3"))), Ok(()));
        assert_eq!(check_payload(&asked, &with("withdrawals", withdrawal("0x4"))), Err(Mismatch::Withdrawals));
        assert_eq!(check(&asked), Err(Mismatch::Withdrawals));
        assert_eq!(check_payload(&demand(), &with("withdrawals", withdrawal("0x3"))), Err(Mismatch::Withdrawals));
        // No list isn't an empty one, where there is to be one.
        assert_eq!(check_payload(&demand(), &with("withdrawals", Value::Null)), Err(Mismatch::Withdrawals));
        let none = Demand { withdrawals: None, ..demand() };
        assert_eq!(check_payload(&none, &with("withdrawals", withdrawal("0x3"))), Err(Mismatch::Withdrawals));
    }

    #[test]
    fn deposits_come_from_l1_alone() {
        for deposit in ["0x7e", "0x7e03", "0x7E03"] {
            for behind in [json!(["0x7e01", "0x7e02", deposit]), json!(["0x7e01", "0x7e02", "0x02", deposit, "0x02"])] {
                assert_eq!(check_payload(&demand(), &with("transactions", behind)), Err(Mismatch::Deposit));
            }
        }
        // Other transactions may well have the byte elsewhere.
        assert_eq!(check_payload(&demand(), &with("transactions", json!(["0x7e01", "0x7e02", "0x027e"]))), Ok(()));
    }

    #[test]
    fn fee_parameters_are_the_attributes() {
        let asked = |eip1559, min_base_fee| Demand { fees: Some(FeeParameters { eip1559, min_base_fee }), ..demand() };
        let carried = |text: &str| with("extraData", json!(text));
        let (holocene, jovian) = ("0x00000000fa00000006", "0x01000000fa000000060000000000000007");
        let right = [(asked(PARAMS, None), holocene), (asked(PARAMS, Some(7)), jovian)];
        for (demand, extra_data) in &right {
            assert_eq!(check_payload(demand, &carried(extra_data)), Ok(()), "{extra_data}");
        }
        for min_base_fee in [None, Some(7)] {
            for wrong in [
                "0x",
                "0x000000fa00000006",
                "0x02000000fa00000006",
                "0x00000000fa00000007",
                "0x00000000fa0000000600",
                "0x01000000fa000000060000000000000008",
                "0x01000000fa00000006000000000000000700",
                if min_base_fee.is_some() { holocene } else { jovian },
            ] {
                let found = check_payload(&asked(PARAMS, min_base_fee), &carried(wrong));
                assert_eq!(found, Err(Mismatch::FeeParameters), "{wrong} {min_base_fee:?}");
            }
        }
        // Defaults can be anything, but in the right place and beside the right minimum.
        assert_eq!(check_payload(&asked(B64::ZERO, None), &carried(holocene)), Ok(()));
        assert_eq!(check_payload(&asked(B64::ZERO, Some(7)), &carried(jovian)), Ok(()));
        assert_eq!(check_payload(&asked(B64::ZERO, Some(8)), &carried(jovian)), Err(Mismatch::FeeParameters));
        assert_eq!(check_payload(&asked(B64::ZERO, None), &carried("0x")), Err(Mismatch::FeeParameters));
    }

    #[test]
    fn default_fee_parameters_are_the_fallbacks() {
        let extra_data = [&[0][..], PARAMS.as_slice()].concat();
        let asked = Demand { fees: Some(FeeParameters { eip1559: B64::ZERO, min_base_fee: None }), ..demand() };
        assert_eq!(asked.check_defaults(&extra_data, Some(PARAMS)), Ok(()));
        assert_eq!(asked.check_defaults(&extra_data, None), Ok(()));
        let others = Some(B64::repeat_byte(1));
        assert_eq!(asked.check_defaults(&extra_data, others), Err(Mismatch::DefaultFeeParameters));
        // Parameters that are named have been compared already.
        assert_eq!(demand().check_defaults(&extra_data, others), Ok(()));
    }

    #[test]
    fn a_demand_is_read_from_the_call() {
        let attributes = json!({
            "timestamp": "0x10", "gasLimit": "0x5", "parentBeaconBlockRoot": B256::repeat_byte(9),
            "transactions": ["0x7e01", "0x7e02"], "suggestedFeeRecipient": Address::repeat_byte(4),
            "prevRandao": B256::repeat_byte(5), "withdrawals": [], "eip1559Params": PARAMS,
        });
        let read = |attributes: &Value| {
            let state = json!({"headBlockHash": B256::repeat_byte(1)});
            let call =
                json!({"method": "engine_forkchoiceUpdatedV3", "params": [state, attributes], "id": 1}).to_string();
            let call = peek::call(call.as_bytes()).expect("a call");
            let peek::Method::ForkchoiceUpdated(update) = &call.method else { panic!("{call:?}") };
            Demand::of(update, Some(3)).expect("attributes")
        };
        assert_eq!(read(&attributes), demand());
        // op-node writes the minimum base fee as a plain number.
        for fee in [json!(7), json!("0x7")] {
            let mut jovian = attributes.clone();
            jovian["minBaseFee"] = fee;
            let fees = Some(FeeParameters { eip1559: PARAMS, min_base_fee: Some(7) });
            assert_eq!(read(&jovian), Demand { fees, ..demand() });
        }
    }
}
