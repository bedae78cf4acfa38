//! What is sent: a recorded payload of a real execution client, blown up with transactions.

use eyre::{OptionExt, Result};
use serde_json::{Value, json};

/// Recorded traffic of a real consensus client.
const RECORDED: &str = include_str!("../../tests/fixtures/sequencer.jsonl");

pub(crate) struct Bodies {
    envelope: Value,
    attributes: Value,
}

/// Everybody's payload id for a block as it was recorded, and for a large one.
pub(crate) const PAYLOAD_ID: &str = "0x03aabbccddeeff00";
pub(crate) const LARGE_ID: &str = "0x03aabbccddeeff01";
/// By what attributes and payload of a large block are told: their prevRandao, of which the recorded chain makes nothing.
pub(crate) const LARGE: &str = "0x1a46e00000000000000000000000000000000000000000000000000000000000";

/// The block that is ordered and got.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Block {
    /// As recorded: some 2 KB.
    Small,
    /// With transactions up to [`LARGE_SIZE`].
    Large,
}

/// How large a large block's envelope is, in bytes.
const LARGE_SIZE: usize = 1000 << 10;

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
        Ok(Self { envelope: envelope(Block::Small)?, attributes: order["rq"]["params"][1].clone() })
    }

    fn parent(&self) -> &Value {
        &self.envelope["executionPayload"]["parentHash"]
    }

    /// A `newPayload` of about a size, in bytes.
    pub(crate) fn new_payload(&self, size: usize) -> Result<Vec<u8>> {
        let mut payload = self.envelope["executionPayload"].clone();
        fill(&mut payload, size)?;
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

    pub(crate) fn order(&self, block: Block) -> Vec<u8> {
        let mut attributes = self.attributes.clone();
        if block == Block::Large {
            attributes["prevRandao"] = json!(LARGE);
        }
        call("engine_forkchoiceUpdatedV3", &json!([self.state(), attributes]))
    }
}

/// The call that gets a block.
pub(crate) fn get_payload(block: Block) -> Vec<u8> {
    let id = if block == Block::Large { LARGE_ID } else { PAYLOAD_ID };
    call("engine_getPayloadV4", &json!([id]))
}

/// Adds transactions to a payload until it has about a size, in bytes.
fn fill(payload: &mut Value, size: usize) -> Result<()> {
    let transactions = payload["transactions"].as_array_mut().ok_or_eyre("no transactions")?;
    // 300 bytes each, about what a user's transaction with some calldata has.
    let filler = format!("0x02{}", "5a".repeat(299));
    while (transactions.len() + 1) * (filler.len() + 3) < size {
        transactions.push(json!(filler));
    }
    Ok(())
}

/// The payload that answers an order.
pub(crate) fn envelope(block: Block) -> Result<Value> {
    let mut envelope = recorded("engine_getPayloadV4")?["rs"]["result"].clone();
    if block == Block::Large {
        envelope["executionPayload"]["prevRandao"] = json!(LARGE);
        fill(&mut envelope["executionPayload"], LARGE_SIZE)?;
    }
    Ok(envelope)
}
