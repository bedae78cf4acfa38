//! What `getPayload` returns, read from its text without taking the transactions apart.
//!
//! A gateway's payload goes to the fallback and to op-node as the text that the gateway wrote. The two needn't read one text alike: Go's JSON
//! package takes keys in any case and the last of several, others take exact keys and the first, or refuse. So a payload is taken only if there
//! is one way to read it: known keys, spelled exactly, each once, and hexadecimal values written as the Engine API writes them.

use crate::{
    object,
    rpc::{Answer, AnswerError},
    taken::{Taken, take},
    version::{self, Field, Fork},
};
use alloy::{
    hex,
    primitives::{Address, B256, Bytes as Binary, U64, U256, keccak256},
};
use serde::{Deserialize, Deserializer, de};
use serde_json::value::RawValue;

/// Where an answer to `getPayload` has the transactions.
const TRANSACTIONS: [&str; 3] = ["result", "executionPayload", "transactions"];

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
    /// The answer's result as it was written: JSON.
    pub result: &'a [u8],
    transactions: Vec<&'a [u8]>,
    /// The `executionPayload` as it was written.
    text: &'a [u8],
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
#[derive(Debug, PartialEq, Deserialize)]
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

/// `getPayload`'s result, as far as the fallback's is looked at.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct OwnEnvelope<P> {
    execution_payload: P,
    #[serde(default)]
    block_value: U256,
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

/// A gateway's withdrawal.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct WrittenWithdrawal<'a> {
    #[serde(borrow)]
    index: Quantity<'a>,
    #[serde(borrow)]
    validator_index: Quantity<'a>,
    #[serde(borrow)]
    address: Data<'a>,
    #[serde(borrow)]
    amount: Quantity<'a>,
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
    #[serde(borrow, default)]
    withdrawals: Option<Vec<&'a RawValue>>,
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
        if is_data(text.as_bytes()) {
            Ok(Self(text))
        } else {
            Err(de::Error::custom("not 0x and whole hexadecimal bytes"))
        }
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

/// Whether a text is `0x` and an even number of hexadecimal digits.
fn is_data(text: &[u8]) -> bool {
    text.strip_prefix(b"0x").is_some_and(|digits| digits.len() % 2 == 0 && hex::check_raw(digits))
}

impl Data<'_> {
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

impl Withdrawal {
    /// Reads a gateway's.
    fn read(text: &RawValue) -> Result<Self, AnswerError> {
        let written: WrittenWithdrawal<'_> = object::from_str(text.get()).map_err(|_| AnswerError::WrongShape)?;
        Ok(Self {
            index: U64::from(written.index.number()?),
            validator_index: U64::from(written.validator_index.number()?),
            address: written.address.parse()?,
            amount: U64::from(written.amount.number()?),
        })
    }
}

impl<'a> Payload<'a> {
    /// Reads the answer to a `getPayload` with an id. [`AnswerError::WrongShape`] also if its result holds what two readers could read in two ways, or isn't JSON.
    pub fn read(answer: &'a [u8], id: u64) -> Result<Self, AnswerError> {
        let shape = |_| AnswerError::WrongShape;
        let Some(taken) = take(answer, TRANSACTIONS) else {
            // Whatever the result is, it is no payload.
            return Err(Answer::result_for(answer, id).err().unwrap_or(AnswerError::WrongShape));
        };
        let Taken { rests: [around, envelope, fields], values: [result, text, _], strings: transactions } = taken;
        Answer::result_for(around.as_bytes(), id)?;
        let envelope: Envelope<'_> = serde_json::from_str(&envelope).map_err(shape)?;
        let fields: Fields<'_> = serde_json::from_str(&fields).map_err(shape)?;
        // Before a byte of it is sent on: behind a backslash a parser takes the quote for a part of the string, and what follows for another request. An execution
        // client may act on the first JSON value of a body, so that holding back its end wouldn't help.
        if !transactions.iter().all(|text| is_data(text)) {
            return Err(AnswerError::WrongShape);
        }
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
            withdrawals: fields.withdrawals.map(|all| all.into_iter().map(Withdrawal::read).collect()).transpose()?,
            beacon_root: envelope.parent_beacon_block_root.map(Data::parse).transpose()?,
            result,
            transactions,
            text,
            requests: envelope.execution_requests.map(ToOwned::to_owned),
            slot_number: fields.slot_number.map(Quantity::number).transpose()?,
            gas_used: fields.gas_used.number()?,
            value: envelope.block_value.map(Quantity::wei).transpose()?.unwrap_or_default(),
        })
    }

    /// Its transactions, as hexadecimal text.
    pub fn transactions(&self) -> impl ExactSizeIterator<Item = &'a [u8]> {
        self.transactions.iter().copied()
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
    pub fn validation_request(&self, fork: &Fork, id: u64) -> (String, &'a [u8], String) {
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
    /// Reads an answer to `getPayload`; `None` if it holds no payload.
    pub fn read(answer: &[u8]) -> Option<Self> {
        // What it may write in other ways than a gateway has to is read in full.
        Self::counted(answer).or_else(|| Self::in_full(answer))
    }

    /// Reads one with plain transactions, which are only counted.
    fn counted(answer: &[u8]) -> Option<Self> {
        let Taken { rests: [around, envelope, fields], strings, .. } = take(answer, TRANSACTIONS)?;
        if !strings.iter().all(|text| is_data(text)) {
            return None;
        }
        object::from_str::<Answer<'_>>(&around).ok()?;
        let envelope: OwnEnvelope<de::IgnoredAny> = serde_json::from_str(&envelope).ok()?;
        let fields: Self = serde_json::from_str(&fields).ok()?;
        Some(Self { transactions: strings.len(), value: envelope.block_value, ..fields })
    }

    fn in_full(answer: &[u8]) -> Option<Self> {
        let envelope: OwnEnvelope<Self> = serde_json::from_str(result_of(answer)?.get()).ok()?;
        Some(Self { value: envelope.block_value, ..envelope.execution_payload })
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
pub fn transaction_hash(text: &[u8]) -> Option<B256> {
    hex::decode(text).ok().map(keccak256)
}

/// All transactions in `getPayload`'s result, as hexadecimal text; `None` if it holds no payload.
pub fn transactions_of(result: &[u8]) -> Option<Vec<&str>> {
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
    let envelope: Envelope<'_> = serde_json::from_slice(result).ok()?;
    Some(envelope.execution_payload.transactions)
}

/// An answer's result, whatever the id.
fn result_of(answer: &[u8]) -> Option<&RawValue> {
    object::from_slice::<Answer<'_>>(answer).ok()?.result
}

/// The hashes of all transactions in an answer to `getPayload`; none if it holds no payload.
pub fn transaction_hashes(answer: &[u8]) -> Vec<B256> {
    let texts = result_of(answer).and_then(|result| transactions_of(result.get().as_bytes())).unwrap_or_default();
    texts.into_iter().filter_map(|text| transaction_hash(text.as_bytes())).collect()
}

/// What became of a `newPayload` or of the head in a `forkchoiceUpdated`.
#[derive(Debug, Deserialize)]
pub struct PayloadStatus {
    /// `VALID`, `INVALID`, `SYNCING`, `ACCEPTED`.
    pub status: String,
}

#[cfg(test)]
pub(crate) mod tests;
