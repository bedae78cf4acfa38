//! JSON-RPC 2.0 envelopes: requests, batches, parameters and answers.

use serde::{Deserialize, Serialize, de::DeserializeOwned};
use serde_json::{Value, json};

use crate::error::EngineError;

/// Requests answered in one batch at most.
const MAX_BATCH: usize = 1000;

#[derive(Deserialize)]
struct Request {
    #[serde(default)]
    id: Value,
    method: String,
    #[serde(default)]
    params: Value,
}

/// Answers a request body, single or batch, with `dispatch` for each call. `None`: nothing but notifications.
pub fn answer(body: &[u8], mut dispatch: impl FnMut(&str, Params) -> Result<Value, EngineError>) -> Option<Value> {
    match serde_json::from_slice(body) {
        Err(error) => Some(failure(Value::Null, -32700, &format!("Parse error: {error}"), None)),
        Ok(Value::Array(calls)) if calls.is_empty() || calls.len() > MAX_BATCH => {
            Some(failure(Value::Null, -32600, &format!("Invalid request: a batch has 1 to {MAX_BATCH} calls"), None))
        }
        Ok(Value::Array(calls)) => {
            let answers: Vec<_> = calls.into_iter().filter_map(|call| answer_one(call, &mut dispatch)).collect();
            (!answers.is_empty()).then_some(Value::Array(answers))
        }
        Ok(call) => answer_one(call, &mut dispatch),
    }
}

fn answer_one(call: Value, dispatch: &mut impl FnMut(&str, Params) -> Result<Value, EngineError>) -> Option<Value> {
    let notification = call.as_object().is_some_and(|call| !call.contains_key("id"));
    let request: Request = match serde_json::from_value(call) {
        Ok(request) => request,
        Err(error) => return Some(failure(Value::Null, -32600, &format!("Invalid request: {error}"), None)),
    };
    let outcome = match request.params {
        Value::Null => dispatch(&request.method, Params(Vec::new())),
        Value::Array(params) => dispatch(&request.method, Params(params)),
        _ => Err(EngineError::InvalidParams("params must be an array".into())),
    };
    if notification {
        return None;
    }
    Some(match outcome {
        Ok(result) => json!({ "jsonrpc": "2.0", "id": request.id, "result": result }),
        Err(error) => {
            tracing::debug!(method = request.method, code = error.code(), %error, "call failed");
            failure(request.id, error.code(), &error.to_string(), error.data().map(ToString::to_string))
        }
    })
}

fn failure(id: Value, code: i64, message: &str, data: Option<String>) -> Value {
    let mut error = json!({ "code": code, "message": message });
    if let Some(data) = data {
        error["data"] = Value::String(data);
    }
    json!({ "jsonrpc": "2.0", "id": id, "error": error })
}

/// The answer as JSON.
///
/// # Errors
/// When the answer doesn't serialise, which is a defect.
pub fn result(answer: impl Serialize) -> Result<Value, EngineError> {
    serde_json::to_value(answer).map_err(EngineError::internal)
}

/// Positional parameters.
#[derive(Clone, Debug, Default)]
pub struct Params(Vec<Value>);

impl Params {
    /// Refuses parameters beyond the first `count`.
    ///
    /// # Errors
    /// When there are more.
    pub fn at_most(self, count: usize) -> Result<Self, EngineError> {
        if self.0.len() > count {
            return Err(EngineError::InvalidParams(format!("{} parameters, at most {count} expected", self.0.len())));
        }
        Ok(self)
    }

    /// The parameter at `index`.
    ///
    /// # Errors
    /// When it is missing, null or of the wrong shape; the message has its `name`.
    pub fn required<T: DeserializeOwned>(&mut self, index: usize, name: &str) -> Result<T, EngineError> {
        self.optional(index, name)?.ok_or_else(|| EngineError::InvalidParams(format!("{name} is missing")))
    }

    /// The parameter at `index`, `None` if missing or null.
    ///
    /// # Errors
    /// When it is of the wrong shape.
    pub fn optional<T: DeserializeOwned>(&mut self, index: usize, name: &str) -> Result<Option<T>, EngineError> {
        match self.0.get_mut(index).map(Value::take) {
            None | Some(Value::Null) => Ok(None),
            Some(value) => serde_json::from_value(value)
                .map(Some)
                .map_err(|error| EngineError::InvalidParams(format!("{name}: {error}"))),
        }
    }
}
