//! What `getPayload` returns, read from its text without taking the transactions apart.
//!
//! A gateway's payload goes to the fallback and to op-node as the text that the gateway wrote. The two needn't read one text alike: Go's JSON
//! package takes keys in any case and the last of several, others take exact keys and the first, or refuse. So a payload is taken only if there
//! is one way to read it: known keys, spelled exactly, each once, and hexadecimal values written as the Engine API writes them.

use crate::{
    object,
    rpc::AnswerError,
    taken,
    version::{self, Field, Fork},
};
use alloy::{
    hex,
    primitives::{Address, B256, Bytes as Binary, U64, U256, keccak256},
};
use serde::{Deserialize, Deserializer, de};
use serde_json::value::RawValue;

/// A payload that was got from a gateway.
#[derive(Debug)]
pub struct Payload<'a> {
    /// The parent block's hash.
    pub parent_hash: B256,
    /// Its block's hash.
    pub block_hash: B256,
    /// Its block's number.
    pub number: u64,
    /// Unix seconds.
    pub timestamp: u64,
    /// The block's gas limit.
    pub gas_limit: u64,
    /// Who gets the priority fees.
    pub fee_recipient: Address,
    /// The L1 randomness that the block carries.
    pub prev_randao: B256,
    /// The header's extra data, which holds the EIP-1559 parameters from Holocene on.
    pub extra_data: Binary,
    /// Withdrawals; `None` before Canyon.
    pub withdrawals: Option<Vec<Withdrawal>>,
    /// The parent beacon block root, if the envelope carries one.
    pub beacon_root: Option<B256>,
    transactions: Vec<Data<'a>>,
    /// The `executionPayload` as it was written.
    text: &'a str,
    requests: Option<Box<RawValue>>,
    /// The L1 slot, in Amsterdam's payloads as they are drafted.
    pub slot_number: Option<u64>,
    /// Gas used by the block.
    pub gas_used: u64,
    /// What the builder says that the block is worth to the fee recipient, in wei.
    pub value: U256,
    /// Which of the fields it has that not all forks' payloads do.
    pub fields: version::Fields,
}

/// A withdrawal (EIP-4895). The OP Stack has none, but the attributes could ask for them.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Withdrawal {
    index: U64,
    validator_index: U64,
    address: Address,
    amount: U64,
}

/// The fallback's own payload, as far as it is looked at. The fallback is trusted: whatever else it says goes to op-node unread.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct OwnPayload {
    /// Its block's hash.
    pub block_hash: B256,
    /// The parent block's hash.
    #[serde(default)]
    pub parent_hash: B256,
    #[serde(default)]
    block_number: Option<U64>,
    /// Unix seconds.
    #[serde(default)]
    pub timestamp: U64,
    /// The header's extra data.
    #[serde(default)]
    pub extra_data: Binary,
    /// Gas used by the block.
    #[serde(default)]
    pub gas_used: U64,
    /// How many transactions there are, forced ones included.
    #[serde(default, deserialize_with = "count")]
    pub transactions: usize,
    /// What the block is worth to the fee recipient, in wei: the envelope's.
    #[serde(skip)]
    pub value: U256,
    #[serde(default)]
    withdrawals: Option<de::IgnoredAny>,
    #[serde(default)]
    blob_gas_used: Option<de::IgnoredAny>,
    #[serde(default)]
    excess_blob_gas: Option<de::IgnoredAny>,
    #[serde(default)]
    withdrawals_root: Option<de::IgnoredAny>,
    #[serde(default)]
    block_access_list: Option<de::IgnoredAny>,
    #[serde(default)]
    slot_number: Option<de::IgnoredAny>,
}

/// The length of a list whose items don't matter.
fn count<'de, D: Deserializer<'de>>(deserializer: D) -> Result<usize, D::Error> {
    Ok(Option::<Vec<de::IgnoredAny>>::deserialize(deserializer)?.map_or(0, |items| items.len()))
}

/// Bytes: `"0x"` and an even number of hexadecimal digits. Borrowed, which a JSON string with escapes can't be.
#[derive(Clone, Copy, Debug)]
struct Data<'a>(&'a str);

/// A number: `"0x"` and digits without leading zeros.
#[derive(Clone, Copy, Debug)]
struct Quantity<'a>(&'a str);

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Envelope<'a> {
    /// A stand-in: it is taken out before.
    #[serde(rename = "executionPayload")]
    _execution_payload: de::IgnoredAny,
    #[serde(borrow, default)]
    parent_beacon_block_root: Option<Data<'a>>,
    #[serde(borrow, default)]
    execution_requests: Option<&'a RawValue>,
    #[serde(borrow, default)]
    block_value: Option<Quantity<'a>>,
    #[serde(borrow, default)]
    blobs_bundle: Option<&'a RawValue>,
    #[serde(default, rename = "shouldOverrideBuilder")]
    _should_override_builder: Option<bool>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct BlobsBundle<'a> {
    #[serde(borrow, rename = "commitments")]
    _commitments: Vec<Data<'a>>,
    #[serde(borrow, rename = "proofs")]
    _proofs: Vec<Data<'a>>,
    #[serde(borrow, rename = "blobs")]
    _blobs: Vec<Data<'a>>,
}

/// `ExecutionPayloadV1` to `V3` and the OP Stack's `withdrawalsRoot`. Fields with an underscore are there to be known, and read by the fallback.
/// Those of `V1` can't be missing; which of the others can't, [`Fork::fields`] says.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Fields<'a> {
    #[serde(borrow)]
    parent_hash: Data<'a>,
    #[serde(borrow)]
    fee_recipient: Data<'a>,
    #[serde(borrow)]
    prev_randao: Data<'a>,
    #[serde(borrow)]
    block_number: Quantity<'a>,
    #[serde(borrow)]
    gas_limit: Quantity<'a>,
    #[serde(borrow)]
    timestamp: Quantity<'a>,
    #[serde(borrow)]
    extra_data: Data<'a>,
    #[serde(borrow)]
    block_hash: Data<'a>,
    /// A stand-in too.
    #[serde(rename = "transactions")]
    _transactions: de::IgnoredAny,
    #[serde(default)]
    withdrawals: Option<Vec<Withdrawal>>,
    #[serde(borrow, rename = "stateRoot")]
    _state_root: Data<'a>,
    #[serde(borrow, rename = "receiptsRoot")]
    _receipts_root: Data<'a>,
    #[serde(borrow, rename = "logsBloom")]
    _logs_bloom: Data<'a>,
    #[serde(borrow)]
    gas_used: Quantity<'a>,
    #[serde(borrow, rename = "baseFeePerGas")]
    _base_fee_per_gas: Quantity<'a>,
    #[serde(borrow, default)]
    blob_gas_used: Option<Quantity<'a>>,
    #[serde(borrow, default)]
    excess_blob_gas: Option<Quantity<'a>>,
    #[serde(borrow, default)]
    withdrawals_root: Option<Data<'a>>,
    // Amsterdam's, as drafted.
    #[serde(borrow, default)]
    block_access_list: Option<Data<'a>>,
    #[serde(borrow, default)]
    slot_number: Option<Quantity<'a>>,
}

impl<'de: 'a, 'a> Deserialize<'de> for Data<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = <&'de str>::deserialize(deserializer)?;
        Self::of(text).ok_or_else(|| de::Error::custom("not 0x and whole hexadecimal bytes"))
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Quantity<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = <&'de str>::deserialize(deserializer)?;
        let digits = text.strip_prefix("0x").unwrap_or_default();
        let shortest = digits == "0" || !digits.is_empty() && !digits.starts_with('0');
        if shortest && digits.bytes().all(|digit| digit.is_ascii_hexdigit()) {
            Ok(Self(text))
        } else {
            Err(de::Error::custom("not 0x and hexadecimal digits without leading zeros"))
        }
    }
}

impl<'a> Data<'a> {
    fn of(text: &'a str) -> Option<Self> {
        let digits = text.strip_prefix("0x")?;
        (digits.len() % 2 == 0 && hex::check_raw(digits)).then_some(Self(text))
    }

    fn parse<T: std::str::FromStr>(self) -> Result<T, AnswerError> {
        self.0.parse().map_err(|_| AnswerError::WrongShape)
    }
}

impl Quantity<'_> {
    fn wei(self) -> Result<U256, AnswerError> {
        U256::from_str_radix(&self.0[2..], 16).map_err(|_| AnswerError::WrongShape)
    }

    fn number(self) -> Result<u64, AnswerError> {
        u64::from_str_radix(&self.0[2..], 16).map_err(|_| AnswerError::WrongShape)
    }
}

impl<'a> Payload<'a> {
    /// Reads `getPayload`'s result. [`AnswerError::WrongShape`] also if it holds what two readers could read in two ways, or isn't JSON.
    pub fn read(result: &'a str) -> Result<Self, AnswerError> {
        let shape = |_| AnswerError::WrongShape;
        let in_envelope = taken::take(result, "executionPayload").ok_or(AnswerError::WrongShape)?;
        let envelope: Envelope<'_> = serde_json::from_str(&in_envelope.rest).map_err(shape)?;
        let text = in_envelope.value;
        let in_payload = taken::take(text, "transactions").ok_or(AnswerError::WrongShape)?;
        let fields: Fields<'_> = serde_json::from_str(&in_payload.rest).map_err(shape)?;
        let transactions = taken::strings(in_payload.value).ok_or(AnswerError::WrongShape)?;
        let transactions = transactions.into_iter().map(|text| Data::of(text).ok_or(AnswerError::WrongShape));
        if let Some(bundle) = envelope.blobs_bundle {
            object::from_str::<BlobsBundle<'_>>(bundle.get()).map_err(shape)?;
        }
        if let Some(requests) = envelope.execution_requests {
            serde_json::from_str::<Vec<Data<'_>>>(requests.get()).map_err(shape)?;
        }
        Ok(Self {
            parent_hash: fields.parent_hash.parse()?,
            block_hash: fields.block_hash.parse()?,
            number: fields.block_number.number()?,
            timestamp: fields.timestamp.number()?,
            gas_limit: fields.gas_limit.number()?,
            fee_recipient: fields.fee_recipient.parse()?,
            prev_randao: fields.prev_randao.parse()?,
            extra_data: fields.extra_data.parse()?,
            fields: version::Fields([
                fields.withdrawals.is_some(),
                fields.blob_gas_used.is_some(),
                fields.excess_blob_gas.is_some(),
                fields.withdrawals_root.is_some(),
                fields.block_access_list.is_some(),
                fields.slot_number.is_some(),
            ]),
            withdrawals: fields.withdrawals,
            beacon_root: envelope.parent_beacon_block_root.map(Data::parse).transpose()?,
            transactions: transactions.collect::<Result<_, _>>()?,
            text,
            requests: envelope.execution_requests.map(ToOwned::to_owned),
            slot_number: fields.slot_number.map(Quantity::number).transpose()?,
            gas_used: fields.gas_used.number()?,
            value: envelope.block_value.map(Quantity::wei).transpose()?.unwrap_or_default(),
        })
    }

    /// Its transactions, as hexadecimal text.
    pub fn transactions(&self) -> impl ExactSizeIterator<Item = &'a str> {
        self.transactions.iter().map(|data| data.0)
    }

    /// Whether the envelope has the form of a fork's: root and requests are there exactly if the fork has them.
    pub const fn is_of(&self, fork: &Fork) -> bool {
        self.beacon_root.is_some() == fork.beacon_root && self.requests.is_some() == fork.requests
    }

    /// A field that it lacks and a fork's payloads can't. Clients answer its `newPayload` with an error instead of `INVALID` (-32602, some -38005), by which
    /// nobody could tell whose fault it is.
    pub fn lacks(&self, fork: &Fork) -> Option<Field> {
        fork.fields.iter().copied().find(|field| !self.fields.has(*field))
    }

    /// The `newPayload` request that has the fallback check it, in three parts. Its first parameter, the second part, is the `executionPayload` as it was
    /// written.
    pub fn validation_request(&self, fork: &Fork, id: u64) -> (String, &'a str, String) {
        let method = fork.new_payload;
        let before = format!(r#"{{"jsonrpc":"2.0","id":{id},"method":"engine_newPayloadV{method}","params":["#);
        let mut after = String::new();
        if fork.beacon_root {
            // Blob hashes: L2 blocks carry no blobs.
            after.push_str(",[],");
            match self.beacon_root {
                Some(root) => after.push_str(&format!("\"{root}\"")),
                None => after.push_str("null"),
            }
        }
        if fork.requests {
            after.push(',');
            after.push_str(self.requests.as_ref().map_or("[]", |requests| requests.get()));
        }
        after.push_str("]}");
        (before, self.text, after)
    }
}

impl OwnPayload {
    /// Reads `getPayload`'s result; `None` if it holds no payload.
    pub fn read(result: &RawValue) -> Option<Self> {
        #[derive(Deserialize)]
        #[serde(rename_all = "camelCase")]
        struct Envelope {
            execution_payload: OwnPayload,
            #[serde(default)]
            block_value: U256,
        }
        let envelope: Envelope = serde_json::from_str(result.get()).ok()?;
        Some(OwnPayload { value: envelope.block_value, ..envelope.execution_payload })
    }

    /// Which of the fields it has that not all forks' payloads do.
    pub const fn fields(&self) -> version::Fields {
        version::Fields([
            self.withdrawals.is_some(),
            self.blob_gas_used.is_some(),
            self.excess_blob_gas.is_some(),
            self.withdrawals_root.is_some(),
            self.block_access_list.is_some(),
            self.slot_number.is_some(),
        ])
    }

    /// Its block's number, if it says.
    pub fn number(&self) -> Option<u64> {
        self.block_number.map(|number| number.to())
    }
}

/// The hash of a transaction in hexadecimal text; `None` if it isn't any.
pub fn transaction_hash(text: &str) -> Option<B256> {
    hex::decode(text).ok().map(keccak256)
}

/// The hashes of all transactions in `getPayload`'s result; none if it holds no payload.
pub fn transaction_hashes(result: &RawValue) -> Vec<B256> {
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Envelope<'a> {
        #[serde(borrow)]
        execution_payload: Transactions<'a>,
    }
    #[derive(Deserialize)]
    struct Transactions<'a> {
        #[serde(borrow)]
        transactions: Vec<&'a str>,
    }
    let envelope = serde_json::from_str::<Envelope<'_>>(result.get()).ok();
    let texts = envelope.map(|envelope| envelope.execution_payload.transactions).unwrap_or_default();
    texts.into_iter().filter_map(transaction_hash).collect()
}

/// What became of a `newPayload` or of the head in a `forkchoiceUpdated`.
#[derive(Debug, Deserialize)]
pub struct PayloadStatus {
    /// `VALID`, `INVALID`, `SYNCING`, `ACCEPTED`.
    pub status: String,
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::version;
    use serde_json::{Value, json};

    /// `getPayload`'s result around a payload.
    pub(crate) fn envelope(payload: &Value) -> Box<RawValue> {
        let root = B256::repeat_byte(9);
        let text = json!({
            "executionPayload": payload, "blockValue": "0x99", "shouldOverrideBuilder": false,
            "blobsBundle": {"commitments": [], "proofs": [], "blobs": []},
            "parentBeaconBlockRoot": root, "executionRequests": ["0x01"],
        });
        raw(text.to_string())
    }

    /// A payload with forced and other transactions.
    pub(crate) fn payload() -> Value {
        let hash = B256::repeat_byte(3);
        json!({
            "parentHash": B256::repeat_byte(1), "blockHash": B256::repeat_byte(2), "blockNumber": "0x3", "timestamp": "0x10",
            "gasLimit": "0x5", "transactions": ["0x7e01", "0x7E02", "0x02"], "extraData": "0x00000000fa00000006",
            "feeRecipient": Address::repeat_byte(4), "prevRandao": B256::repeat_byte(5), "withdrawals": [],
            "stateRoot": hash, "receiptsRoot": hash, "logsBloom": "0x00", "gasUsed": "0x42", "baseFeePerGas": "0x7",
            "blobGasUsed": "0x0", "excessBlobGas": "0x0", "withdrawalsRoot": hash,
        })
    }

    fn raw(text: String) -> Box<RawValue> {
        RawValue::from_string(text).expect("JSON")
    }

    #[test]
    fn the_fallback_is_asked_in_the_version_of_the_fork() {
        let raw = envelope(&payload());
        let payload_read = Payload::read(raw.get()).expect("a payload");
        let params = |get_payload| {
            let fork = version::of_get_payload(get_payload).expect("a known version");
            let (before, text, after) = payload_read.validation_request(fork, 1);
            let request: Value = serde_json::from_str(&format!("{before}{text}{after}")).expect("JSON");
            assert_eq!(request["id"], 1);
            assert_eq!(request["method"], format!("engine_newPayloadV{get_payload}"));
            request["params"].clone()
        };
        let root = json!(B256::repeat_byte(9));
        assert_eq!(params(2), json!([payload()]));
        assert_eq!(params(3), json!([payload(), [], root]));
        assert_eq!(params(4), json!([payload(), [], root, ["0x01"]]));
    }

    #[test]
    fn an_envelope_has_the_form_of_its_fork() {
        let whole = envelope(&payload()).get().to_owned();
        let forms = |text: String| {
            let raw = raw(text);
            let payload = Payload::read(raw.get()).expect("a payload");
            [2, 3, 4, 5].map(|version| payload.is_of(version::of_get_payload(version).expect("a known version")))
        };
        assert_eq!(forms(whole.clone()), [false, false, true, true]);
        let granite = whole.replace(r#","executionRequests":["0x01"]"#, "");
        assert_eq!(forms(granite.clone()), [false, true, false, false]);
        let root = format!(r#","parentBeaconBlockRoot":"{}""#, B256::repeat_byte(9));
        assert_eq!(forms(granite.replace(&root, "")), [true, false, false, false]);
    }

    #[test]
    fn what_a_fork_needs_is_there() {
        let without = |key: &str| {
            let mut payload = payload();
            payload.as_object_mut().expect("an object").remove(key).expect("it was there");
            envelope(&payload)
        };
        for key in ["stateRoot", "receiptsRoot", "logsBloom", "gasUsed", "baseFeePerGas"] {
            assert_eq!(Payload::read(without(key).get()).err(), Some(AnswerError::WrongShape), "{key}");
        }
        let lacks = |envelope: &RawValue| {
            let payload = Payload::read(envelope.get()).expect("a payload");
            [2, 3, 4, 5].map(|version| payload.lacks(version::of_get_payload(version).expect("a known version")))
        };
        assert_eq!(lacks(&envelope(&payload())), [None; 4]);
        for (key, field, from) in [
            ("blobGasUsed", Field::BlobGasUsed, 1),
            ("excessBlobGas", Field::ExcessBlobGas, 1),
            ("withdrawalsRoot", Field::WithdrawalsRoot, 2),
        ] {
            let expected = std::array::from_fn(|index| (index >= from).then_some(field));
            assert_eq!(lacks(&without(key)), expected, "{key}");
            let mut null = payload();
            null[key] = Value::Null;
            assert_eq!(lacks(&envelope(&null)), expected, "{key}");
        }
    }

    #[test]
    fn the_fallbacks_own_has_the_same_fields_as_one_like_it() {
        let fields = |payload: &Value| {
            let envelope = envelope(payload);
            let own = OwnPayload::read(&envelope).expect("a payload").fields();
            assert_eq!(Payload::read(envelope.get()).expect("a payload").fields, own, "{payload}");
            own
        };
        let all = fields(&payload());
        for key in ["withdrawals", "blobGasUsed", "excessBlobGas", "withdrawalsRoot"] {
            let mut other = payload();
            other[key] = Value::Null;
            assert_ne!(fields(&other), all, "{key}");
        }
        for (key, value) in [("blockAccessList", "0xc0"), ("slotNumber", "0x1")] {
            let mut other = payload();
            other[key] = json!(value);
            assert_ne!(fields(&other), all, "{key}");
        }
    }

    /// Puts a member in front of, and behind, all others of the object that `start` opens.
    fn with_member(start: &str, end: &str, member: &str) -> [String; 2] {
        let text = envelope(&payload()).get().to_owned();
        assert!(text.contains(start) && text.contains(end), "{text}");
        [text.replacen(start, &format!("{start}{member},"), 1), text.replacen(end, &format!(",{member}{end}"), 1)]
    }

    #[test]
    fn only_one_reading_is_possible() {
        let other = format!("\"{}\"", B256::repeat_byte(8));
        // Keys that Go's JSON package takes for blockHash, two of them with U+212A for k and U+017F for s; and a plain repetition.
        for key in [
            "BlockHash",
            "blockhash",
            "BLOCKHASH",
            "bloc\u{212a}Hash",
            "blockHa\u{17f}h",
            "block\\u0048ash",
            "blockHash",
            "unknown",
        ] {
            for text in with_member("\"executionPayload\":{", "},\"executionRequests\"", &format!("\"{key}\":{other}"))
            {
                assert_eq!(Payload::read(raw(text).get()).err(), Some(AnswerError::WrongShape), "{key}");
            }
        }
        let whole = payload().to_string();
        for key in ["ExecutionPayload", "executionpayload", "execution\\u0050ayload", "executionPayload", "unknown"] {
            let member = format!("\"{key}\":{whole}");
            let text = envelope(&payload()).get().to_owned();
            for text in
                [text.replacen('{', &format!("{{{member},"), 1), format!("{},{member}}}", &text[..text.len() - 1])]
            {
                assert_eq!(Payload::read(raw(text).get()).err(), Some(AnswerError::WrongShape), "{key}");
            }
        }
    }

    #[test]
    fn nothing_hides_behind_what_is_taken() {
        let text = envelope(&payload()).get().to_owned();
        for (end, what) in [("},\"executionRequests\"", "the payload"), ("],\"withdrawals\"", "transactions")] {
            for behind in [".5", "e5", "E+1", "0", "\"\""] {
                let other = text.replacen(end, &format!("{}{behind}{}", &end[..1], &end[1..]), 1);
                assert_ne!(other, text, "{what}");
                assert!(Payload::read(&other).is_err(), "{what}: {behind}");
            }
        }
    }

    #[test]
    fn members_have_names() {
        let mut envelope = serde_json::from_str::<Value>(envelope(&payload()).get()).expect("JSON");
        for bundle in [json!([[], [], []]), json!(7), json!({"commitments": [], "proofs": []})] {
            envelope["blobsBundle"] = bundle;
            assert!(Payload::read(&envelope.to_string()).is_err(), "{envelope}");
        }
        envelope["blobsBundle"] = Value::Null;
        assert!(Payload::read(&envelope.to_string()).is_ok());
        assert!(Payload::read(&json!([envelope]).to_string()).is_err());
        let fields: Vec<_> = payload().as_object().expect("an object").values().cloned().collect();
        envelope["executionPayload"] = Value::from(fields);
        assert!(Payload::read(&envelope.to_string()).is_err());
    }

    #[test]
    fn requests_are_a_list_of_bytes() {
        let text = envelope(&payload()).get().to_owned();
        for requests in ["[7]", "[1e999]", "[\"0x1\"]", "[{}]", "{}", "\"0x01\"", "[[\"0x01\"]]"] {
            let other = text.replace("[\"0x01\"]", requests);
            assert_ne!(other, text);
            assert_eq!(Payload::read(raw(other).get()).err(), Some(AnswerError::WrongShape), "{requests}");
        }
        assert!(Payload::read(raw(text.replace("[\"0x01\"]", "[]")).get()).is_ok());
    }

    #[test]
    fn values_are_written_as_the_engine_api_writes_them() {
        assert!(Payload::read(envelope(&payload()).get()).is_ok());
        for (key, value) in [
            ("blockNumber", "0x03"),
            ("blockNumber", "3"),
            ("gasUsed", "0x"),
            ("baseFeePerGas", "7"),
            ("stateRoot", "0303"),
            ("extraData", "0x0"),
            ("extraData", "0X00"),
            ("parentHash", "0x01"),
        ] {
            let mut payload = payload();
            payload[key] = json!(value);
            assert!(Payload::read(envelope(&payload).get()).is_err(), "{key} {value}");
        }
        for transaction in ["7e02", "0X7e02", "0x7e0", "", "0x7g"] {
            let mut payload = payload();
            payload["transactions"][2] = json!(transaction);
            assert!(Payload::read(envelope(&payload).get()).is_err(), "{transaction}");
        }
        let escaped = envelope(&payload()).get().replacen("\"0x02\"", "\"\\u0030x7e\"", 1);
        assert!(Payload::read(raw(escaped).get()).is_err());
    }

    #[test]
    fn transactions_have_hashes() {
        let hashes = transaction_hashes(&envelope(&payload()));
        assert_eq!(hashes, [keccak256([0x7e, 1]), keccak256([0x7e, 2]), keccak256([2])]);
        assert!(transaction_hashes(&raw("{}".to_owned())).is_empty());
    }

    #[test]
    fn the_fallbacks_own_may_hold_anything_more() {
        let mut own = payload();
        own["anythingNew"] = json!("0x");
        let own = OwnPayload::read(&envelope(&own)).expect("a payload");
        assert_eq!((own.transactions, own.gas_used.to::<u64>(), own.value), (3, 0x42, U256::from(0x99)));
        assert_eq!(own.block_hash, B256::repeat_byte(2));
        assert_eq!(own.extra_data.len(), 9);
        assert!(OwnPayload::read(&raw("{}".to_owned())).is_none());
    }
}
