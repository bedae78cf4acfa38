//! JSON-RPC 2.0 bodies: reading answers, writing answers and the portal's own requests.

use crate::object;
use alloy::primitives::U64;
use bytes::Bytes;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use std::sync::atomic::{AtomicU64, Ordering};

/// The node behind the portal can't be reached or said something that can't be passed on (JSON-RPC: implementation-defined server error).
pub const UPSTREAM_FAILED: i64 = -32_000;
/// The schedule isn't known yet, or doesn't reach as far (implementation-defined server error).
pub const SCHEDULE_UNKNOWN: i64 = -32_001;
/// JSON-RPC: invalid request.
pub const INVALID_REQUEST: i64 = -32_600;
/// JSON-RPC: method not found.
pub const METHOD_NOT_FOUND: i64 = -32_601;
/// JSON-RPC: invalid parameters.
pub const INVALID_PARAMS: i64 = -32_602;
/// Engine API: no payload is built under that id, or no longer.
pub const UNKNOWN_PAYLOAD: i64 = -38_001;
/// Engine API: the method isn't for payloads of that fork.
pub const UNSUPPORTED_FORK: i64 = -38_005;
/// JSON-RPC: parse error.
pub const PARSE_ERROR: i64 = -32_700;

/// An answer, as far as it is looked at.
#[derive(Debug, Deserialize)]
pub struct Answer<'a> {
    /// Whose answer.
    #[serde(borrow, default)]
    pub id: Option<&'a RawValue>,
    /// The result; `None` if it is absent or `null`.
    #[serde(borrow, default)]
    pub result: Option<&'a RawValue>,
    /// The error.
    #[serde(borrow, default)]
    pub error: Option<&'a RawValue>,
}

/// Why an answer is no good.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AnswerError {
    /// Not JSON-RPC.
    #[error("the answer isn't JSON-RPC")]
    Garbage,
    /// To another question.
    #[error("the answer carries another id than the request")]
    WrongId,
    /// An error answer.
    #[error("error answer: {0}")]
    Error(String),
    /// `null`, or something of another shape.
    #[error("the answer's result isn't what the method returns")]
    WrongShape,
}

/// How much of an error answer goes into logs.
const ERROR_EXCERPT: usize = 200;

impl<'a> Answer<'a> {
    /// The result of an answer to one of the portal's own requests.
    pub fn result_for(bytes: &'a [u8], id: u64) -> Result<&'a RawValue, AnswerError> {
        let answer: Answer<'a> = object::from_slice(bytes).map_err(|_| AnswerError::Garbage)?;
        if answer.id.and_then(|raw| raw.get().parse().ok()) != Some(id) {
            // Of a call that it couldn't read a node doesn't know the id; only then is null right.
            return Err(if answer.id.is_none() {
                answer.refusal().unwrap_or(AnswerError::WrongId)
            } else {
                AnswerError::WrongId
            });
        }
        answer.into_result()
    }

    /// The result, whatever the id.
    pub fn into_result(self) -> Result<&'a RawValue, AnswerError> {
        match self.refusal() {
            Some(error) => Err(error),
            None => self.result.ok_or(AnswerError::WrongShape),
        }
    }

    fn refusal(&self) -> Option<AnswerError> {
        self.error.map(|error| AnswerError::Error(error.get().chars().take(ERROR_EXCERPT).collect()))
    }
}

/// How much of an answer is looked at to tell results from errors.
const BEGINNING: usize = 256;

/// A short name for what an answer is, by its beginning: `ok` or `error`. For metrics, where being nearly always right is enough.
pub fn outcome(answer: &[u8]) -> &'static str {
    let beginning = &answer[..answer.len().min(BEGINNING)];
    let at = |name: &[u8]| beginning.windows(name.len()).position(|part| part == name);
    match (at(b"\"result\""), at(b"\"error\"")) {
        (None, Some(_)) => "error",
        (Some(result), Some(error)) if error < result => "error",
        (None, None) => "error",
        _ => "ok",
    }
}

/// The code of an error answer; `None` if it is none, or says none. However long it is: some nodes repeat in an error what they were sent.
pub fn error_code(answer: &[u8]) -> Option<i64> {
    #[derive(Deserialize)]
    struct Error {
        code: i64,
    }
    let answer: Answer<'_> = object::from_slice(answer).ok()?;
    serde_json::from_str::<Error>(answer.error?.get()).ok().map(|error| error.code)
}

/// The longest answer to `getPayload` that is looked through for an error, in bytes. Payloads may have megabytes, and op-node waits for them.
const LONGEST_UNKNOWN: usize = 64 << 10;

/// Whether an answer to `getPayload` says that no payload is built under that id, and nothing that is longer than such a word.
pub fn is_unknown_payload(answer: &[u8]) -> bool {
    answer.len() <= LONGEST_UNKNOWN && error_code(answer) == Some(UNKNOWN_PAYLOAD)
}

/// Whether an answer holds a result, and is to the call with an id.
pub fn answers(answer: &[u8], id: Option<&RawValue>) -> bool {
    object::from_slice::<Answer<'_>>(answer).is_ok_and(|answer| {
        answer.error.is_none() && answer.result.is_some() && answer.id.map(RawValue::get) == id.map(RawValue::get)
    })
}

/// The timestamp of the block in an answer to `eth_getBlockByNumber`, Unix seconds.
pub fn timestamp(answer: &[u8]) -> Option<u64> {
    #[derive(Deserialize)]
    struct Block {
        timestamp: U64,
    }
    let answer: Answer<'_> = object::from_slice(answer).ok()?;
    serde_json::from_str::<Block>(answer.result?.get()).ok().map(|block| block.timestamp.to())
}

/// An id for a request of the portal's own.
pub fn next_id() -> u64 {
    static NEXT: AtomicU64 = AtomicU64::new(1);
    NEXT.fetch_add(1, Ordering::Relaxed)
}

fn id_text(id: Option<&RawValue>) -> &str {
    id.map_or("null", RawValue::get)
}

/// A successful answer around a result in JSON, in pieces: one may be a megabyte, which isn't copied.
pub fn success(id: Option<&RawValue>, result: impl Into<Bytes>) -> Vec<Bytes> {
    let before = format!(r#"{{"jsonrpc":"2.0","id":{},"result":"#, id_text(id));
    vec![before.into(), result.into(), Bytes::from_static(b"}")]
}

/// An error answer.
pub fn failure(id: Option<&RawValue>, code: i64, message: &str) -> Bytes {
    #[derive(Serialize)]
    struct Error<'a> {
        code: i64,
        message: &'a str,
    }
    // A number and a string always serialize.
    let error = serde_json::to_string(&Error { code, message }).unwrap_or_default();
    Bytes::from(format!(r#"{{"jsonrpc":"2.0","id":{},"error":{error}}}"#, id_text(id)))
}

/// A request of the portal's own, with parameters in JSON.
pub fn request(id: u64, method: &str, params: &[&str]) -> Bytes {
    Bytes::from(format!(r#"{{"jsonrpc":"2.0","id":{id},"method":"{method}","params":[{}]}}"#, params.join(",")))
}

/// Several answers in one body, in order.
pub fn batch(answers: &[Bytes]) -> Bytes {
    let mut body = Vec::with_capacity(answers.iter().map(|answer| answer.len() + 1).sum::<usize>() + 2);
    body.push(b'[');
    for (index, answer) in answers.iter().enumerate() {
        if index > 0 {
            body.push(b',');
        }
        body.extend_from_slice(answer);
    }
    body.push(b']');
    body.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn raw(text: &str) -> Box<RawValue> {
        RawValue::from_string(text.to_owned()).expect("JSON")
    }

    #[test]
    fn results_are_taken_only_from_answers_to_the_request() {
        let result = |text: &str| Answer::result_for(text.as_bytes(), 7).map(|raw| raw.get().to_owned());
        assert_eq!(result(r#"{"jsonrpc":"2.0","id":7,"result":{"a": 1}}"#), Ok(r#"{"a": 1}"#.to_owned()));
        for id in ["8", r#""7""#, "null", "7.0"] {
            assert_eq!(result(&format!(r#"{{"jsonrpc":"2.0","id":{id},"result":{{}}}}"#)), Err(AnswerError::WrongId));
        }
        assert_eq!(result(r#"{"jsonrpc":"2.0","result":{}}"#), Err(AnswerError::WrongId));
        assert_eq!(result(r#"{"id":7,"result":null}"#), Err(AnswerError::WrongShape));
        for twice in [r#"{"id":7,"result":1,"result":2}"#, r#"{"id":7,"result":1,"re\u0073ult":2}"#] {
            assert_eq!(result(twice), Err(AnswerError::Garbage));
        }
        for garbage in ["<html>", r#"[7,{}]"#] {
            assert_eq!(result(garbage), Err(AnswerError::Garbage));
        }
    }

    #[test]
    fn an_error_answer_is_one_even_without_an_id() {
        for id in ["7", "null"] {
            let text = format!(r#"{{"id":{id},"error":{{"code":1}}}}"#);
            let error = Answer::result_for(text.as_bytes(), 7).expect_err("an error");
            assert!(matches!(error, AnswerError::Error(text) if text.contains("code")));
        }
    }

    #[test]
    fn errors_have_codes() {
        let code = |text: &str| error_code(text.as_bytes());
        assert_eq!(code(r#"{"id":7,"error":{"code":-32602,"message":"Invalid params"}}"#), Some(INVALID_PARAMS));
        for other in [r#"{"id":7,"result":{"code":-32602}}"#, r#"{"id":7,"error":"-32602"}"#, "<html>"] {
            assert_eq!(code(other), None, "{other}");
        }
    }

    #[test]
    fn a_payload_is_not_looked_through_for_an_error() {
        let unknown = |code: i64, length: usize| {
            is_unknown_payload(
                format!(r#"{{"error":{{"code":{code},"message":"{}"}}}}"#, "x".repeat(length)).as_bytes(),
            )
        };
        assert!(unknown(UNKNOWN_PAYLOAD, 60_000) && !unknown(UNKNOWN_PAYLOAD, LONGEST_UNKNOWN));
        assert!(!unknown(INVALID_PARAMS, 0));
    }

    #[test]
    fn answers_are_told_by_their_beginning() {
        for (text, expected) in [
            (r#"{"jsonrpc":"2.0","id":1,"result":null}"#, "ok"),
            (r#"{"result":{"error":1},"id":1}"#, "ok"),
            (r#"{"jsonrpc":"2.0","id":1,"error":{"data":"result"}}"#, "error"),
            ("<html>", "error"),
            ("", "error"),
        ] {
            assert_eq!(outcome(text.as_bytes()), expected, "{text}");
        }
    }

    #[test]
    fn only_a_result_to_the_question_answers_it() {
        let id = raw("7");
        for (text, good) in [
            (r#"{"id":7,"result":"0x1"}"#, true),
            (r#"{"id":8,"result":"0x1"}"#, false),
            (r#"{"id":7,"error":{},"result":"0x1"}"#, false),
            (r#"{"id":7,"result":null}"#, false),
            (r#"[7,"0x1"]"#, false),
            ("{", false),
        ] {
            assert_eq!(answers(text.as_bytes(), Some(&id)), good, "{text}");
        }
    }

    #[test]
    fn a_result_is_not_copied() {
        let result = Bytes::from(vec![b'1'; 100]);
        assert!(success(None, result.clone()).iter().any(|piece| piece.as_ptr() == result.as_ptr()));
    }

    #[test]
    fn bodies_are_json() {
        let id = raw(r#""x""#);
        let parse = |bytes: Bytes| serde_json::from_slice::<serde_json::Value>(&bytes).expect("JSON");
        let success = |id: Option<&RawValue>, result| Bytes::from(success(id, result).concat());
        assert_eq!(parse(success(Some(&id), "[1]")), serde_json::json!({"jsonrpc": "2.0", "id": "x", "result": [1]}));
        assert_eq!(parse(failure(None, PARSE_ERROR, "a \"quote\""))["error"]["message"], "a \"quote\"");
        assert_eq!(parse(request(next_id(), "m", &["1", "{}"]))["params"][1], serde_json::json!({}));
        assert_eq!(parse(batch(&[success(None, "1"), success(None, "2")]))[1]["result"], 2);
        assert_eq!(parse(batch(&[])), serde_json::json!([]));
    }
}
