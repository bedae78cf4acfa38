//! What routing needs to know of a call, read from its bytes without taking the rest apart. The bytes themselves go on unchanged.
//!
//! What can't be understood is [`Method::Other`]: the fallback gets it as it is and says what is wrong with it.

use crate::{
    object,
    payload::Withdrawal,
    version::{self, Name},
};
use alloy::primitives::{Address, B64, B256, U64};
use serde::Deserialize;
use serde_json::value::RawValue;
use std::borrow::Cow;

mod batch;
mod prefix;

pub(crate) use batch::MOST as MOST_CALLS;
pub(crate) use prefix::{LONGEST as BEGINNING, new_payload};

/// The Engine API's handle for a block being built.
pub type PayloadId = B64;

/// A JSON-RPC call, as far as it is looked at.
#[derive(Debug)]
pub struct Call<'a> {
    /// The id as the caller wrote it; `None` for a notification, for `null`, and where it stands behind a payload that isn't read; see [`id`].
    pub id: Option<&'a RawValue>,
    /// The method's name.
    pub name: Cow<'a, str>,
    /// What it is about.
    pub method: Method<'a>,
}

/// What a call is about.
#[derive(Debug)]
pub enum Method<'a> {
    /// `engine_forkchoiceUpdatedV*`
    ForkchoiceUpdated(ForkchoiceUpdated<'a>),
    /// `engine_getPayloadV*`
    GetPayload {
        /// The method's version.
        version: u8,
        /// Which payload.
        id: PayloadId,
    },
    /// `engine_newPayloadV*`, of which nothing more is read: it goes to everybody as it is.
    NewPayload,
    /// `engine_exchangeCapabilities`
    Capabilities,
    /// What users ask about the chain's state, which the gateway that builds knows first.
    Read,
    /// `eth_sendRawTransaction*`
    SendTransaction,
    /// `miner_*`: limits that steer building.
    Steer,
    /// `registry_*`
    Registry(RegistryQuery),
    /// Everything else.
    Other,
}

/// `engine_forkchoiceUpdatedV*`
#[derive(Debug)]
pub struct ForkchoiceUpdated<'a> {
    /// The forkchoice state as it was written.
    pub state: &'a RawValue,
    /// The head to set, and the parent of the block to build.
    pub head: B256,
    /// The block to build, if one is wanted.
    pub order: Option<Order<'a>>,
}

/// A block to build.
#[derive(Debug)]
pub enum Order<'a> {
    /// What is asked of it. Boxed, because most calls have none.
    Read(Box<Attributes<'a>>),
    /// Attributes in a form that isn't known here, or that is wrong. Nothing can be compared with them, but the head that they come with counts.
    Unread {
        /// Their timestamp, if at least that can be read: Unix seconds.
        timestamp: Option<u64>,
        /// What is unknown about them.
        error: serde_json::Error,
    },
}

/// What is asked of a block to build: `PayloadAttributesV1` to `V3` with the OP Stack's fields. Forks add fields under the versions that there are, so one
/// that isn't known here asks for something that no payload would be compared with.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Attributes<'a> {
    /// Unix seconds.
    pub timestamp: U64,
    /// Consensus layer's block root, from Ecotone on.
    #[serde(default)]
    pub parent_beacon_block_root: Option<B256>,
    /// Whether only the forced transactions may be in it.
    #[serde(default)]
    pub no_tx_pool: Option<bool>,
    /// Its gas limit.
    #[serde(default)]
    pub gas_limit: Option<U64>,
    /// Who gets the priority fees.
    #[serde(default)]
    pub suggested_fee_recipient: Option<Address>,
    /// The L1 randomness.
    #[serde(default)]
    pub prev_randao: Option<B256>,
    /// The withdrawals, which on the OP Stack are an empty list from Canyon on.
    #[serde(default)]
    pub withdrawals: Option<Vec<Withdrawal>>,
    /// EIP-1559 denominator and elasticity, from Holocene on.
    #[serde(default)]
    pub eip1559_params: Option<B64>,
    /// The least base fee in wei, from Jovian on.
    #[serde(default)]
    pub min_base_fee: Option<Number>,
    /// The L1 slot, in Amsterdam as it is drafted.
    #[serde(default)]
    pub slot_number: Option<Number>,
    /// The forced transactions, as they were written.
    #[serde(borrow, default)]
    pub transactions: Option<Vec<&'a RawValue>>,
}

/// A question about the schedule.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RegistryQuery {
    /// `registry_futureGateway`: of the block so many after the one that is due. `registry_currentGateway` is the same with zero.
    Future(u64),
    /// `registry_registeredGateways`
    Registered,
    /// `registry_nextGateway`
    Next,
    /// `registry_gatewayAtBlock`; without a number, of the block that is due.
    AtBlock(Option<u64>),
    /// `registry_gateways`
    All,
    /// Another name or wrong parameters.
    Unknown,
}

#[derive(Deserialize)]
struct RawCall<'a> {
    #[serde(borrow, default)]
    id: Option<&'a RawValue>,
    #[serde(borrow)]
    method: Cow<'a, str>,
    #[serde(borrow, default)]
    params: Option<&'a RawValue>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct RawForkchoice {
    head_block_hash: B256,
}

/// A request body: one call, or several in an array.
#[derive(Debug)]
pub enum Body<'a> {
    /// One call.
    Single(Call<'a>),
    /// Several, each as it was written.
    Batch(Vec<&'a RawValue>),
    /// More than are taken.
    TooMany,
    /// Not JSON-RPC.
    Unreadable,
}

/// Reads that are users', rule `[P5]`. What consensus clients ask on the same port (blocks, receipts, proofs, `eth_chainId`, `eth_syncing`) isn't among
/// them: they take it for the truth, so it is the fallback's to answer. Why is in `docs/decisions/0006-reads-that-stay-at-the-fallback.md`.
const READS: [&str; 12] = [
    "eth_blobBaseFee",
    "eth_call",
    "eth_createAccessList",
    "eth_estimateGas",
    "eth_feeHistory",
    "eth_gasPrice",
    "eth_getBalance",
    "eth_getCode",
    "eth_getLogs",
    "eth_getStorageAt",
    "eth_getTransactionCount",
    "eth_maxPriorityFeePerGas",
];

/// Looks at a request body.
pub fn body(bytes: &[u8]) -> Body<'_> {
    if let Some(call) = prefix::new_payload(bytes) {
        return Body::Single(call);
    }
    if bytes.iter().find(|byte| !byte.is_ascii_whitespace()) == Some(&b'[') {
        return batch::read(bytes);
    }
    call(bytes).map_or(Body::Unreadable, Body::Single)
}

/// The id of a call, wherever it stands.
pub fn id(bytes: &[u8]) -> Option<&RawValue> {
    object::from_slice::<RawCall<'_>>(bytes).ok()?.id
}

/// Whether a call has no id, not even `null`: nothing is answered to it (JSON-RPC 2.0, section 4.1).
pub fn is_notification(bytes: &[u8]) -> bool {
    #[derive(Deserialize)]
    struct Id {
        #[serde(default, deserialize_with = "any")]
        id: Option<()>,
    }
    fn any<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Option<()>, D::Error> {
        serde::de::IgnoredAny::deserialize(deserializer).map(|_| Some(()))
    }
    object::from_slice::<Id>(bytes).is_ok_and(|call| call.id.is_none())
}

/// Looks at one call. `None` if it isn't a JSON object with a method.
pub fn call(bytes: &[u8]) -> Option<Call<'_>> {
    let raw: RawCall<'_> = object::from_slice(bytes).ok()?;
    let method = method(&raw.method, raw.params).unwrap_or(Method::Other);
    Some(Call { id: raw.id, name: raw.method, method })
}

fn method<'a>(name: &str, params: Option<&'a RawValue>) -> Option<Method<'a>> {
    if name.starts_with("eth_sendRawTransaction") {
        return Some(Method::SendTransaction);
    }
    if name.starts_with("miner_") {
        return Some(Method::Steer);
    }
    if let Some(query) = name.strip_prefix("registry_") {
        return Some(Method::Registry(registry_query(query, params)));
    }
    if name == "engine_exchangeCapabilities" {
        return Some(Method::Capabilities);
    }
    if READS.contains(&name) {
        return Some(Method::Read);
    }
    let (name, number) = version::parse(name)?;
    if name == Name::NewPayload {
        return Some(Method::NewPayload);
    }
    let params: Vec<&'a RawValue> = serde_json::from_str(params?.get()).ok()?;
    let first = params.first()?.get();
    Some(match name {
        Name::ForkchoiceUpdated => {
            let forkchoice: RawForkchoice = object::from_str(first).ok()?;
            Method::ForkchoiceUpdated(ForkchoiceUpdated {
                state: params.first()?,
                head: forkchoice.head_block_hash,
                order: params.get(1).map(|raw| raw.get()).filter(|text| *text != "null").map(order),
            })
        }
        Name::GetPayload => Method::GetPayload { version: number, id: serde_json::from_str(first).ok()? },
        Name::NewPayload => Method::NewPayload,
    })
}

fn order(text: &str) -> Order<'_> {
    #[derive(Deserialize)]
    struct Time {
        timestamp: U64,
    }
    match object::from_str(text) {
        Ok(attributes) => Order::Read(attributes),
        Err(error) => {
            let timestamp = object::from_str::<Time>(text).ok().map(|time| time.timestamp.to());
            Order::Unread { timestamp, error }
        }
    }
}

/// A number as clients write it: op-node writes most as hexadecimal quantities and some as JSON numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(untagged)]
pub enum Number {
    /// A JSON number.
    Plain(u64),
    /// A hexadecimal quantity.
    Quantity(U64),
}

impl Number {
    /// The number, however it was written.
    pub fn value(self) -> u64 {
        match self {
            Self::Plain(number) => number,
            Self::Quantity(number) => number.to(),
        }
    }
}

fn registry_query(name: &str, params: Option<&RawValue>) -> RegistryQuery {
    /// Clients leave out what a method doesn't take, or send an empty list.
    fn numbers(params: Option<&RawValue>) -> Option<Vec<u64>> {
        let Some(params) = params.filter(|params| params.get() != "null") else { return Some(Vec::new()) };
        let numbers: Vec<Number> = serde_json::from_str(params.get()).ok()?;
        Some(numbers.into_iter().map(Number::value).collect())
    }
    match (name, numbers(params).as_deref()) {
        ("currentGateway", _) => RegistryQuery::Future(0),
        ("futureGateway", Some([blocks])) => RegistryQuery::Future(*blocks),
        ("registeredGateways", _) => RegistryQuery::Registered,
        ("nextGateway", _) => RegistryQuery::Next,
        ("gateways", _) => RegistryQuery::All,
        ("gatewayAtBlock", Some([])) => RegistryQuery::AtBlock(None),
        ("gatewayAtBlock", Some([number])) => RegistryQuery::AtBlock(Some(*number)),
        _ => RegistryQuery::Unknown,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const HASH: &str = "0x53baa004c682915ad8ba0e3ec2268ee312768ae696450d0390870eaee80fd2a9";

    fn fcu(attributes: &str) -> String {
        format!(
            r#"{{"method":"engine_forkchoiceUpdatedV3","params":[{{"headBlockHash":"{HASH}","safeBlockHash":"{HASH}","finalizedBlockHash":"{HASH}"}}{attributes}],"id":6,"jsonrpc":"2.0"}}"#
        )
    }

    #[test]
    fn only_a_call_without_any_id_is_a_notification() {
        assert!(is_notification(br#"{"method":"eth_chainId"}"#));
        for id in ["null", "7", "\"\"", "{}"] {
            assert!(!is_notification(format!(r#"{{"method":"eth_chainId","id":{id}}}"#).as_bytes()), "{id}");
        }
    }

    #[test]
    fn a_head_update_has_no_attributes_whether_null_or_left_away() {
        for attributes in ["", ",null", " , null "] {
            let text = fcu(attributes);
            let call = call(text.as_bytes()).expect("a call");
            let Method::ForkchoiceUpdated(update) = call.method else { panic!("{call:?}") };
            assert!(update.order.is_none());
            assert_eq!(update.head.to_string(), HASH);
            assert_eq!(call.id.map(RawValue::get), Some("6"));
        }
    }

    #[test]
    fn attributes_are_read() {
        let text = fcu(&format!(
            r#",{{"timestamp":"0x10","noTxPool":true,"gasLimit":"0x5","transactions":["0x7e","0x7F"],"parentBeaconBlockRoot":"{HASH}","eip1559Params":"0x0000000000000000"}}"#
        ));
        let call = call(text.as_bytes()).expect("a call");
        let Method::ForkchoiceUpdated(update) = call.method else { panic!("{call:?}") };
        let Some(Order::Read(attributes)) = update.order else { panic!("{:?}", update.order) };
        assert_eq!(attributes.timestamp.to::<u64>(), 16);
        assert_eq!(attributes.no_tx_pool, Some(true));
        assert_eq!(attributes.gas_limit.map(|limit| limit.to::<u64>()), Some(5));
        assert_eq!(attributes.transactions.expect("forced").len(), 2);
    }

    #[test]
    fn attributes_of_an_unknown_form_are_an_order_all_the_same() {
        for (attributes, known) in [
            (r#"{"timestamp":"0x10","withdrawals":{}}"#, Some(16)),
            (r#"{"timestamp":"0x10","anything":7}"#, Some(16)),
            (r#"{"anything":null,"timestamp":"0x10"}"#, Some(16)),
            (r#"{"timestamp":"0x10","GasLimit":"0x5"}"#, Some(16)),
            (r#"{"timestamp":"0x10","timestamp":"0x11"}"#, None),
            (r#"{"timestamp":true}"#, None),
            (r#"["0x10"]"#, None),
            ("{}", None),
            ("7", None),
        ] {
            let text = fcu(&format!(",{attributes}"));
            let call = call(text.as_bytes()).expect("a call");
            let Method::ForkchoiceUpdated(update) = call.method else { panic!("{call:?}") };
            assert_eq!(update.head.to_string(), HASH);
            let Some(Order::Unread { timestamp, .. }) = update.order else { panic!("{:?}", update.order) };
            assert_eq!(timestamp, known, "{attributes}");
        }
    }

    #[test]
    fn what_cannot_be_understood_is_left_to_the_fallback() {
        for text in [
            r#"{"method":"engine_getPayloadV4","params":["0x12"],"id":1}"#,
            r#"{"method":"engine_getPayloadV4","params":[],"id":1}"#,
            r#"{"method":"engine_forkchoiceUpdatedV3","id":1}"#,
            r#"{"method":"engine_forkchoiceUpdatedV3","params":[["0x53baa004c682915ad8ba0e3ec2268ee312768ae696450d0390870eaee80fd2a9"]],"id":1}"#,
            r#"{"method":"engine_exchangecapabilities","params":[[]],"id":1}"#,
            r#"{"method":"eth_chainId","id":1}"#,
            r#"{"method":"eth_getBlockByNumber","id":1}"#,
        ] {
            assert!(matches!(call(text.as_bytes()).expect("a call").method, Method::Other), "{text}");
        }
        for text in [
            "",
            "{}",
            "null",
            "7",
            "{\"method\":1}",
            "{\"method\":\"a\",\"method\":\"b\"}",
            r#"["x","engine_newPayloadV4","y"]"#,
            r#" [{"jsonrpc":"2.0","id":1,"method":"engine_forkchoiceUpdatedV3","params":[]},"eth_foo","eth_chainId"]"#,
        ] {
            assert!(call(text.as_bytes()).is_none() && id(text.as_bytes()).is_none(), "{text}");
        }
    }

    #[test]
    fn registry_questions() {
        let ask = |name: &str, params: &str| {
            let text = format!(r#"{{"method":"registry_{name}","params":{params},"id":1}}"#);
            match call(text.as_bytes()).expect("a call").method {
                Method::Registry(query) => query,
                other => panic!("{other:?}"),
            }
        };
        assert_eq!(ask("currentGateway", "[]"), RegistryQuery::Future(0));
        assert_eq!(ask("futureGateway", "[3]"), RegistryQuery::Future(3));
        assert_eq!(ask("futureGateway", "[]"), RegistryQuery::Unknown);
        assert_eq!(ask("registeredGateways", "[]"), RegistryQuery::Registered);
        assert_eq!(ask("nextGateway", "[]"), RegistryQuery::Next);
        assert_eq!(ask("gateways", "[]"), RegistryQuery::All);
        assert_eq!(ask("gatewayAtBlock", "[17]"), RegistryQuery::AtBlock(Some(17)));
        assert_eq!(ask("gatewayAtBlock", r#"["0x11"]"#), RegistryQuery::AtBlock(Some(17)));
        assert_eq!(ask("gatewayAtBlock", "[]"), RegistryQuery::AtBlock(None));
        assert_eq!(ask("gatewayAtBlock", "null"), RegistryQuery::AtBlock(None));
        assert_eq!(ask("gatewayAtBlock", "[1,2]"), RegistryQuery::Unknown);
        assert_eq!(ask("gatewayAtBlock", r#"["latest"]"#), RegistryQuery::Unknown);
        assert_eq!(ask("nothing", "[]"), RegistryQuery::Unknown);
    }

    #[test]
    fn batches_keep_each_call_as_written() {
        let Body::Batch(calls) = body(br#" [ {"method":"a","id":1} , {"id" : 2} ] "#) else { panic!("a batch") };
        assert_eq!(
            calls.iter().map(|call| call.get()).collect::<Vec<_>>(),
            [r#"{"method":"a","id":1}"#, r#"{"id" : 2}"#]
        );
        assert!(matches!(body(b"[{]"), Body::Unreadable));
    }

    proptest! {
        /// No bytes make it panic.
        #[test]
        fn takes_any_bytes(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            body(&bytes);
        }

        /// Reading only the beginning of a body comes to what reading all of it does.
        #[test]
        fn the_short_way_and_the_long_way_agree(
            id in prop::sample::select(vec!["7", "\"x\"", "null", "1.5e3"]),
            order in Just(vec![0usize, 1, 2, 3]).prop_shuffle(),
            version in 1u8..7,
            space in prop::sample::select(vec!["", " ", "\n\t "]),
        ) {
            let members = [
                format!("\"id\"{space}:{space}{id}"),
                format!("{space}\"jsonrpc\":\"2.0\""),
                format!("\"method\":{space}\"engine_newPayloadV{version}\"{space}"),
                "\"params\":[{\"id\":9,\"method\":\"engine_getPayloadV4\"}]".to_owned(),
            ];
            let members: Vec<_> = order.iter().map(|index| members[*index].as_str()).collect();
            let text = format!("{space}{{{}}}", members.join(","));
            let Body::Single(short) = body(text.as_bytes()) else { panic!("{text}") };
            let long = call(text.as_bytes()).expect("a call");
            prop_assert_eq!(&short.name, &long.name);
            prop_assert!(matches!(short.method, Method::NewPayload) && matches!(long.method, Method::NewPayload));
            // An id behind the payload is found when it is needed.
            let found = short.id.or_else(|| super::id(text.as_bytes())).map(RawValue::get);
            prop_assert_eq!(found, long.id.map(RawValue::get));
        }

        /// No damage to a real call makes it panic.
        #[test]
        fn takes_damaged_calls(at in 0usize..400, byte in any::<u8>()) {
            let mut bytes = fcu(r#",{"timestamp":"0x10","transactions":["0x7e"]}"#).into_bytes();
            let length = bytes.len();
            bytes[at % length] = byte;
            body(&bytes);
        }
    }
}
