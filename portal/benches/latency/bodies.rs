//! What is sent: a recorded payload of a real execution client, blown up with transactions.

use eyre::{OptionExt, Result};
use serde_json::{Value, json};

/// Recorded traffic of a real consensus client.
const RECORDED: &str = include_str!("../../tests/fixtures/sequencer.jsonl");

pub(crate) struct Bodies {
    envelope: Value,
    attributes: Value,
}

/// The fallback's payload id for every block.
pub(crate) const PAYLOAD_ID: &str = "0x03aabbccddeeff00";

fn call(method: &str, params: &Value) -> Vec<u8> {
    // In the order in which op-node writes it.
    format!(r#"{{"jsonrpc":"2.0","id":7,"method":"{method}","params":{params}}}"#).into_bytes()
}

/// A recorded exchange of a method; of `forkchoiceUpdated`, one with attributes.
fn recorded(method: &str) -> Result<Value> {
    let exchanges = RECORDED.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    let mut of_method = exchanges.filter(|exchange| exchange["rq"]["method"] == method);
    let found = of_method.find(|exchange| !method.contains("forkchoice") || exchange["rq"]["params"][1].is_object());
    found.ok_or_eyre("not recorded")
}

impl Bodies {
    pub(crate) fn read() -> Result<Self> {
        let order = recorded("engine_forkchoiceUpdatedV3")?;
        Ok(Self { envelope: envelope()?, attributes: order["rq"]["params"][1].clone() })
    }

    fn parent(&self) -> &Value {
        &self.envelope["executionPayload"]["parentHash"]
    }

    /// A `newPayload` of about a size, in bytes.
    pub(crate) fn new_payload(&self, size: usize) -> Result<Vec<u8>> {
        let mut payload = self.envelope["executionPayload"].clone();
        let transactions = payload["transactions"].as_array_mut().ok_or_eyre("no transactions")?;
        // 300 bytes each, about what a user's transaction with some calldata has.
        let filler = format!("0x02{}", "5a".repeat(299));
        while (transactions.len() + 1) * (filler.len() + 3) < size {
            transactions.push(json!(filler));
        }
        let root = &self.envelope["parentBeaconBlockRoot"];
        Ok(call("engine_newPayloadV4", &json!([payload, [], root, []])))
    }

    fn state(&self) -> Value {
        let head = self.parent();
        json!({"headBlockHash": head, "safeBlockHash": head, "finalizedBlockHash": head})
    }

    pub(crate) fn head(&self) -> Vec<u8> {
        call("engine_forkchoiceUpdatedV3", &json!([self.state(), null]))
    }

    pub(crate) fn order(&self) -> Vec<u8> {
        call("engine_forkchoiceUpdatedV3", &json!([self.state(), self.attributes]))
    }

    pub(crate) fn get_payload(&self) -> Vec<u8> {
        call("engine_getPayloadV4", &json!([PAYLOAD_ID]))
    }
}

/// The payload that answers the recorded order.
pub(crate) fn envelope() -> Result<Value> {
    Ok(recorded("engine_getPayloadV4")?["rs"]["result"].clone())
}
