//! What a payload must be to answer the attributes it was asked for with, checked before the fallback spends time on it.

use crate::{
    peek::ForkchoiceUpdated,
    rpc::{self, AnswerError},
    version::Validation,
};
use alloy::primitives::{B256, U64};
use bytes::Bytes;
use serde::Deserialize;
use serde_json::value::RawValue;

/// What op-node asked for, kept from `forkchoiceUpdated` until `getPayload`.
#[derive(Clone, Debug, PartialEq, Eq)]
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
    /// The transactions that must come first, as JSON strings.
    pub forced: Vec<Box<str>>,
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
    /// A forced transaction is missing, changed or not in front.
    #[error("forced transactions missing or changed")]
    ForcedTransactions,
}

/// A payload that was got from a gateway.
#[derive(Debug)]
pub struct Payload<'a> {
    /// Its block's hash.
    pub block_hash: B256,
    fields: PayloadFields<'a>,
    envelope: Envelope<'a>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Envelope<'a> {
    #[serde(borrow)]
    execution_payload: &'a RawValue,
    #[serde(default)]
    parent_beacon_block_root: Option<B256>,
    #[serde(borrow, default)]
    execution_requests: Option<&'a RawValue>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct PayloadFields<'a> {
    parent_hash: B256,
    block_hash: B256,
    block_number: U64,
    timestamp: U64,
    gas_limit: U64,
    #[serde(borrow)]
    transactions: Vec<&'a RawValue>,
}

impl Demand {
    /// What a forkchoice update with attributes asks for; `None` if it has none.
    pub fn of(update: &ForkchoiceUpdated<'_>, number: Option<u64>) -> Option<Self> {
        let attributes = update.attributes.as_ref()?;
        let forced = attributes.transactions.iter().flatten().map(|raw| Box::from(raw.get())).collect();
        Some(Self {
            parent: update.head,
            timestamp: attributes.timestamp.to(),
            number,
            gas_limit: attributes.gas_limit.map(|limit| limit.to()),
            beacon_root: attributes.parent_beacon_block_root,
            forced,
        })
    }
}

impl<'a> Payload<'a> {
    /// Reads `getPayload`'s result.
    pub fn read(result: &'a RawValue) -> Result<Self, AnswerError> {
        let envelope: Envelope<'a> = serde_json::from_str(result.get()).map_err(|_| AnswerError::WrongShape)?;
        let fields: PayloadFields<'a> =
            serde_json::from_str(envelope.execution_payload.get()).map_err(|_| AnswerError::WrongShape)?;
        Ok(Self { block_hash: fields.block_hash, fields, envelope })
    }

    /// Compares the payload with what was asked for.
    pub fn check(&self, demand: &Demand) -> Result<(), Mismatch> {
        let fields = &self.fields;
        if fields.parent_hash != demand.parent {
            return Err(Mismatch::Parent);
        }
        if fields.timestamp.to::<u64>() != demand.timestamp {
            return Err(Mismatch::Timestamp);
        }
        if demand.number.is_some_and(|number| number != fields.block_number.to::<u64>()) {
            return Err(Mismatch::Number);
        }
        if demand.gas_limit.is_some_and(|limit| limit != fields.gas_limit.to::<u64>()) {
            return Err(Mismatch::GasLimit);
        }
        if demand.beacon_root.is_some() && self.envelope.parent_beacon_block_root != demand.beacon_root {
            return Err(Mismatch::BeaconRoot);
        }
        let enough = fields.transactions.len() >= demand.forced.len();
        let mut pairs = fields.transactions.iter().zip(&demand.forced);
        if !enough || !pairs.all(|(has, wants)| has.get().eq_ignore_ascii_case(wants)) {
            return Err(Mismatch::ForcedTransactions);
        }
        Ok(())
    }

    /// The `newPayload` request that has the fallback check it.
    pub fn validation_request(&self, with: &Validation, id: u64) -> Bytes {
        let root = self.envelope.parent_beacon_block_root.map(|root| format!("\"{root}\"")).unwrap_or_default();
        let mut params = vec![self.envelope.execution_payload.get()];
        if with.beacon_root {
            // Blob hashes: L2 blocks carry no blobs.
            params.extend(["[]", if root.is_empty() { "null" } else { &root }]);
        }
        if with.requests {
            params.push(self.envelope.execution_requests.map_or("[]", RawValue::get));
        }
        rpc::request(id, with.new_payload, &params)
    }
}

/// What became of a `newPayload` or of the head in a `forkchoiceUpdated`.
#[derive(Debug, Deserialize)]
pub struct PayloadStatus {
    /// `VALID`, `INVALID`, `SYNCING`, `ACCEPTED`.
    pub status: String,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{peek, version};

    fn envelope(payload: &serde_json::Value) -> Box<RawValue> {
        let root = B256::repeat_byte(9);
        let text = serde_json::json!({
            "executionPayload": payload, "blockValue": "0x0", "shouldOverrideBuilder": false,
            "parentBeaconBlockRoot": root, "executionRequests": ["0x01"],
        });
        RawValue::from_string(text.to_string()).expect("JSON")
    }

    fn payload() -> serde_json::Value {
        serde_json::json!({
            "parentHash": B256::repeat_byte(1), "blockHash": B256::repeat_byte(2), "blockNumber": "0x3", "timestamp": "0x10",
            "gasLimit": "0x5", "transactions": ["0x7e01", "0x7E02", "0x02"], "extraData": "0x",
        })
    }

    fn demand() -> Demand {
        Demand {
            parent: B256::repeat_byte(1),
            timestamp: 16,
            number: Some(3),
            gas_limit: Some(5),
            beacon_root: Some(B256::repeat_byte(9)),
            forced: vec![r#""0x7e01""#.into(), r#""0x7e02""#.into()],
        }
    }

    fn check(demand: &Demand) -> Result<(), Mismatch> {
        let raw = envelope(&payload());
        Payload::read(&raw).expect("a payload").check(demand)
    }

    #[test]
    fn what_was_asked_for_passes() {
        assert_eq!(check(&demand()), Ok(()));
        let loose = Demand { number: None, gas_limit: None, beacon_root: None, forced: vec![], ..demand() };
        assert_eq!(check(&loose), Ok(()));
    }

    #[test]
    fn each_difference_is_found() {
        let other = Demand { parent: B256::ZERO, ..demand() };
        assert_eq!(check(&other), Err(Mismatch::Parent));
        assert_eq!(check(&Demand { timestamp: 17, ..demand() }), Err(Mismatch::Timestamp));
        assert_eq!(check(&Demand { number: Some(4), ..demand() }), Err(Mismatch::Number));
        assert_eq!(check(&Demand { gas_limit: Some(6), ..demand() }), Err(Mismatch::GasLimit));
        assert_eq!(check(&Demand { beacon_root: Some(B256::ZERO), ..demand() }), Err(Mismatch::BeaconRoot));
        for forced in [vec![r#""0x7e02""#.into()], vec![r#""0x7e01""#.into(); 4]] {
            assert_eq!(check(&Demand { forced, ..demand() }), Err(Mismatch::ForcedTransactions));
        }
    }

    #[test]
    fn the_fallback_is_asked_in_the_version_of_the_fork() {
        let raw = envelope(&payload());
        let payload_read = Payload::read(&raw).expect("a payload");
        let params = |get_payload| {
            let with = version::validation(get_payload).expect("a known version");
            let request = payload_read.validation_request(with, 1);
            serde_json::from_slice::<serde_json::Value>(&request).expect("JSON")["params"].clone()
        };
        let root = serde_json::json!(B256::repeat_byte(9));
        assert_eq!(params(2), serde_json::json!([payload()]));
        assert_eq!(params(3), serde_json::json!([payload(), [], root]));
        assert_eq!(params(4), serde_json::json!([payload(), [], root, ["0x01"]]));
    }

    #[test]
    fn a_demand_is_read_from_the_call() {
        let hash = B256::repeat_byte(1);
        let text = format!(
            r#"{{"method":"engine_forkchoiceUpdatedV3","params":[{{"headBlockHash":"{hash}"}},{{"timestamp":"0x10","gasLimit":"0x5","parentBeaconBlockRoot":"{}","transactions":["0x7e01","0x7e02"]}}],"id":1}}"#,
            B256::repeat_byte(9)
        );
        let call = peek::call(text.as_bytes()).expect("a call");
        let peek::Method::ForkchoiceUpdated(update) = &call.method else { panic!("{call:?}") };
        assert_eq!(Demand::of(update, Some(3)), Some(demand()));
    }
}
