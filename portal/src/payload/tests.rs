use super::*;
use crate::version;
use proptest::{prelude::*, sample::Index};
use serde_json::{Value, json};

/// `getPayload`'s result around a payload.
pub(crate) fn envelope(payload: &Value) -> String {
    let root = B256::repeat_byte(9);
    let text = json!({
        "executionPayload": payload, "blockValue": "0x99", "shouldOverrideBuilder": false,
        "blobsBundle": {"commitments": [], "proofs": [], "blobs": []},
        "parentBeaconBlockRoot": root, "executionRequests": ["0x01"],
    });
    text.to_string()
}

/// An answer with a result.
pub(crate) fn answer(result: &str) -> Vec<u8> {
    format!(r#"{{"jsonrpc":"2.0","id":1,"result":{result}}}"#).into_bytes()
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

/// Why there is no payload in an answer with a result.
fn refused(result: &str) -> Option<AnswerError> {
    Payload::read(&answer(result), 1).err()
}

#[test]
fn a_payload_is_taken_only_from_an_answer_to_the_request() {
    let text = envelope(&payload());
    let refused = |answer: String| Payload::read(answer.as_bytes(), 7).err();
    for (before, behind, expected) in [
        (r#"{"jsonrpc":"2.0","id":7,"result":"#, "}", None),
        (r#" {"error":null,"result" : "#, " ,\n\"id\" : 7 } ", None),
        (r#"{"id":8,"result":"#, "}", Some(AnswerError::WrongId)),
        (r#"{"id":"7","result":"#, "}", Some(AnswerError::WrongId)),
        (r#"{"result":"#, "}", Some(AnswerError::WrongId)),
        (r#"{"id":7,"error":{},"result":"#, "}", Some(AnswerError::Error("{}".to_owned()))),
        (r#"{"id":7,"result":"#, r#","result":{}}"#, Some(AnswerError::Garbage)),
        (r#"{"id":7,"result":"#, r#","re\u0073ult":{}}"#, Some(AnswerError::Garbage)),
        (r#"{"id":7,"re\u0073ult":{},"result":"#, "}", Some(AnswerError::Garbage)),
        (r#"{"id":7,"result":"#, ".5}", Some(AnswerError::Garbage)),
        (r#"{"id":7,"result":"#, "}}", Some(AnswerError::Garbage)),
        (r#"{"id":7,"result":"#, "", Some(AnswerError::Garbage)),
        (r#"[7,"#, "]", Some(AnswerError::Garbage)),
    ] {
        assert_eq!(refused(format!("{before}{text}{behind}")), expected, "{before} {behind}");
    }
    for (answer, expected) in [
        (r#"{"id":7,"result":null}"#, AnswerError::WrongShape),
        (r#"{"id":7,"result":{"executionPayload":{"transactions":null}}}"#, AnswerError::WrongShape),
        (r#"{"id":8,"result":null}"#, AnswerError::WrongId),
        (r#"{"id":7,"error":7}"#, AnswerError::Error("7".to_owned())),
        (r#"{"id":7,"result":{},"#, AnswerError::Garbage),
        ("<html>", AnswerError::Garbage),
    ] {
        assert_eq!(refused(answer.to_owned()), Some(expected), "{answer}");
    }
}

#[test]
fn what_is_not_utf8_is_refused() {
    let text = answer(&envelope(&payload()));
    assert!(Payload::read(&text, 1).is_ok());
    // Strings of the answer, the envelope, the payload, and its transactions.
    for string in ["2.0", "0x99", "0x5", "0x7E02"] {
        let place = format!("\"{string}\"");
        let at = text.windows(place.len()).position(|part| part == place.as_bytes()).expect("it is there");
        let mut other = text.clone();
        other[at + 1] = 0xff;
        assert!(Payload::read(&other, 1).is_err(), "{string}");
    }
}

#[test]
fn the_fallback_is_asked_in_the_version_of_the_fork() {
    let answer = answer(&envelope(&payload()));
    let payload_read = Payload::read(&answer, 1).expect("a payload");
    let params = |get_payload| {
        let fork = version::of_get_payload(get_payload).expect("a known version");
        let (before, text, after) = payload_read.validation_request(fork, 1);
        let request = [before.as_bytes(), text, after.as_bytes()].concat();
        let request: Value = serde_json::from_slice(&request).expect("JSON");
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
    let whole = envelope(&payload());
    let forms = |text: String| {
        let answer = answer(&text);
        let payload = Payload::read(&answer, 1).expect("a payload");
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
        assert_eq!(refused(&without(key)), Some(AnswerError::WrongShape), "{key}");
    }
    let lacks = |envelope: &str| {
        let answer = answer(envelope);
        let payload = Payload::read(&answer, 1).expect("a payload");
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
        let answer = answer(&envelope(payload));
        let own = OwnPayload::read(&answer).expect("a payload").fields();
        assert_eq!(Payload::read(&answer, 1).expect("a payload").fields, own, "{payload}");
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
    let text = envelope(&payload());
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
        for text in with_member("\"executionPayload\":{", "},\"executionRequests\"", &format!("\"{key}\":{other}")) {
            assert_eq!(refused(&text), Some(AnswerError::WrongShape), "{key}");
        }
    }
    let whole = payload().to_string();
    for key in ["ExecutionPayload", "executionpayload", "execution\\u0050ayload", "executionPayload", "unknown"] {
        let member = format!("\"{key}\":{whole}");
        let text = envelope(&payload());
        for text in [text.replacen('{', &format!("{{{member},"), 1), format!("{},{member}}}", &text[..text.len() - 1])]
        {
            assert_eq!(refused(&text), Some(AnswerError::WrongShape), "{key}");
        }
    }
}

#[test]
fn nothing_hides_behind_what_is_taken() {
    let text = envelope(&payload());
    for (end, what) in [("},\"executionRequests\"", "the payload"), ("],\"withdrawals\"", "transactions")] {
        for behind in [".5", "e5", "E+1", "0", "\"\""] {
            let other = text.replacen(end, &format!("{}{behind}{}", &end[..1], &end[1..]), 1);
            assert_ne!(other, text, "{what}");
            assert!(refused(&other).is_some(), "{what}: {behind}");
        }
    }
}

#[test]
fn members_have_names() {
    let mut envelope = serde_json::from_str::<Value>(&envelope(&payload())).expect("JSON");
    for bundle in [json!([[], [], []]), json!(7), json!({"commitments": [], "proofs": []})] {
        envelope["blobsBundle"] = bundle;
        assert!(refused(&envelope.to_string()).is_some(), "{envelope}");
    }
    envelope["blobsBundle"] = Value::Null;
    assert!(refused(&envelope.to_string()).is_none());
    assert!(refused(&json!([envelope]).to_string()).is_some());
    let fields: Vec<_> = payload().as_object().expect("an object").values().cloned().collect();
    envelope["executionPayload"] = Value::from(fields);
    assert!(refused(&envelope.to_string()).is_some());
}

#[test]
fn requests_are_a_list_of_bytes() {
    let text = envelope(&payload());
    for requests in ["[7]", "[1e999]", "[\"0x1\"]", "[{}]", "{}", "\"0x01\"", "[[\"0x01\"]]"] {
        let other = text.replace("[\"0x01\"]", requests);
        assert_ne!(other, text);
        assert_eq!(refused(&other), Some(AnswerError::WrongShape), "{requests}");
    }
    assert!(refused(&text.replace("[\"0x01\"]", "[]")).is_none());
}

#[test]
fn values_are_written_as_the_engine_api_writes_them() {
    assert!(refused(&envelope(&payload())).is_none());
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
        assert!(refused(&envelope(&payload)).is_some(), "{key} {value}");
    }
    for transaction in ["7e02", "0X7e02", "0x7e0", "", "0x7g"] {
        let mut payload = payload();
        payload["transactions"][2] = json!(transaction);
        assert!(refused(&envelope(&payload)).is_some(), "{transaction}");
    }
    for escaped in ["\\u0030x7e", "0x02\\", "0x02\\\\", "\\"] {
        let escaped = envelope(&payload()).replacen("\"0x02\"", &format!("\"{escaped}\""), 1);
        assert_eq!(refused(&escaped), Some(AnswerError::WrongShape), "{escaped}");
    }
}

#[test]
fn withdrawals_are_written_as_the_engine_api_writes_them() {
    let address = Address::repeat_byte(6);
    let written = |index: &str, address: &str| {
        format!(r#"{{"index":{index},"validatorIndex":"0x1","address":{address},"amount":"0x2"}}"#)
    };
    let address = format!("\"{address}\"");
    let good = written("\"0x0\"", &address);
    let text = envelope(&payload());
    let with = |withdrawal: &str| text.replacen("\"withdrawals\":[]", &format!("\"withdrawals\":[{withdrawal}]"), 1);
    let read = answer(&with(&good));
    let withdrawals = Payload::read(&read, 1).expect("a payload").withdrawals;
    assert_eq!(withdrawals, serde_json::from_str(&format!("[{good}]")).expect("withdrawals"));
    for other in [
        written("0", &address),
        written("\"0\"", &address),
        written("\"0x00\"", &address),
        written("\"0b0\"", &address),
        written("\"0x10000000000000000\"", &address),
        written("\"\\u0030x0\"", &address),
        written("\"0x0\"", &address.replacen("0x", "", 1)),
        written("\"0x0\"", "\"0x06\""),
        format!(r#"["0x0","0x1",{address},"0x2"]"#),
        good.replacen("index", "Index", 1),
        good.replacen('{', "{\"index\":\"0x0\",", 1),
        good.replacen('{', "{\"more\":\"0x0\",", 1),
        "null".to_owned(),
    ] {
        assert_eq!(refused(&with(&other)), Some(AnswerError::WrongShape), "{other}");
    }
}

#[test]
fn transactions_have_hashes() {
    let hashes = transaction_hashes(&answer(&envelope(&payload())));
    assert_eq!(hashes, [keccak256([0x7e, 1]), keccak256([0x7e, 2]), keccak256([2])]);
    assert!(transaction_hashes(&answer("{}")).is_empty());
}

#[test]
fn the_fallbacks_own_may_hold_anything_more() {
    let mut own = payload();
    own["anythingNew"] = json!("0x");
    let own = OwnPayload::read(&answer(&envelope(&own))).expect("a payload");
    assert_eq!((own.transactions, own.gas_used.to::<u64>(), own.value), (3, 0x42, U256::from(0x99)));
    assert_eq!(own.block_hash, B256::repeat_byte(2));
    assert_eq!(own.extra_data.len(), 9);
    for none in ["{}", "null", "[]", "{\"executionPayload\":null}", "{\"executionPayload\":{\"transactions\":[]}}"] {
        assert!(OwnPayload::read(&answer(none)).is_none(), "{none}");
    }
    assert!(OwnPayload::read(b"{\"id\":1,\"error\":{}}").is_none());
}

#[test]
fn the_fallbacks_own_may_write_transactions_in_other_ways() {
    let text = envelope(&payload());
    let list = "[\"0x7e01\",\"0x7E02\",\"0x02\"]";
    assert!(text.contains(list));
    assert!(OwnPayload::counted(&answer(&text)).is_some(), "it is read in full");
    for (other, count) in
        [("null", 0), ("[7,{},[]]", 3), ("[\"\\u0030x02\",\"\\\"\"]", 2), ("[\"0X0\"]", 1), ("[ ]", 0)]
    {
        let own = OwnPayload::read(&answer(&text.replace(list, other))).expect("a payload");
        assert_eq!((own.transactions, own.block_hash), (count, B256::repeat_byte(2)), "{other}");
    }
    let without = text.replace(&format!(",\"transactions\":{list}"), "");
    assert_ne!(without, text);
    assert_eq!(OwnPayload::read(&answer(&without)).expect("a payload").transactions, 0);
    for other in ["\"\"", "7", "[\"\n\"]", "[\"\\x\"]", "[],\"transactions\":[]", "[].5"] {
        assert!(OwnPayload::read(&answer(&text.replace(list, other))).is_none(), "{other}");
    }
}

proptest! {
    /// Counting transactions takes no answer, and finds nothing in one, that reading it in full doesn't.
    #[test]
    fn the_fallbacks_own_is_what_is_there(
        at in any::<Index>(), length in 0..4usize,
        bytes in prop_oneof![
            "[\"\\\\{}\\[\\],: x0.]{0,3}".prop_map(String::into_bytes),
            prop::collection::vec(any::<u8>(), 0..2),
        ],
    ) {
        let mut text = answer(&envelope(&payload()));
        let at = at.index(text.len());
        let end = text.len().min(at + length);
        text.splice(at..end, bytes);
        if let Some(own) = OwnPayload::counted(&text) {
            prop_assert_eq!(Some(own), OwnPayload::in_full(&text), "{}", text.escape_ascii());
        }
    }
}
