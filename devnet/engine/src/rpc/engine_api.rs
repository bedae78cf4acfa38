//! The `engine_` namespace (Engine API specification with the OP Stack's extensions).

use alloy::{
    primitives::{B256, Bytes, U64},
    rpc::types::engine::{ExecutionPayloadV3, ForkchoiceState, PayloadId},
};
use op_alloy::rpc_types_engine::{OpExecutionPayloadV4, OpPayloadAttributes};
use serde_json::{Value, json};

use super::jsonrpc::{Params, result};
use crate::{
    engine::Engine,
    error::EngineError,
    fork::Fork,
    payload::{NewPayload, envelope_v3, envelope_v4},
};

/// Methods of this namespace, as `engine_exchangeCapabilities` answers them.
pub const CAPABILITIES: [&str; 11] = [
    "engine_forkchoiceUpdatedV2",
    "engine_forkchoiceUpdatedV3",
    "engine_getPayloadV2",
    "engine_getPayloadV3",
    "engine_getPayloadV4",
    "engine_newPayloadV2",
    "engine_newPayloadV3",
    "engine_newPayloadV4",
    "engine_getPayloadBodiesByHashV1",
    "engine_getPayloadBodiesByRangeV1",
    "engine_getClientVersionV1",
];

/// Answers one `engine_` call.
///
/// # Errors
/// With the code that the Engine API gives the failure.
pub fn dispatch(engine: &Engine, method: &str, params: Params) -> Result<Value, EngineError> {
    let isthmus = engine.rules().fork.includes(Fork::Isthmus);
    match method {
        "engine_exchangeCapabilities" => {
            params.at_most(1)?.optional::<Vec<String>>(0, "capabilities")?;
            result(CAPABILITIES)
        }
        "engine_getClientVersionV1" => Ok(json!([{
            "code": "BT",
            "name": "baton-devnet-engine",
            "version": env!("CARGO_PKG_VERSION"),
            "commit": "0x00000000",
        }])),
        "engine_forkchoiceUpdatedV2" => {
            let mut params = params.at_most(2)?;
            let state = params.required(0, "forkchoiceState")?;
            if params.optional::<Value>(1, "payloadAttributes")?.is_some() {
                return Err(EngineError::UnsupportedFork("build with engine_forkchoiceUpdatedV3"));
            }
            result(engine.forkchoice_updated(state, None)?)
        }
        "engine_forkchoiceUpdatedV3" => {
            let (state, attributes) = forkchoice_params(params)?;
            result(engine.forkchoice_updated(state, attributes)?)
        }
        "engine_getPayloadV2" | "engine_newPayloadV2" => {
            Err(EngineError::UnsupportedFork("the chain is past Canyon, use V3 or V4"))
        }
        "engine_getPayloadV3" if isthmus => Err(EngineError::UnsupportedFork("use engine_getPayloadV4")),
        "engine_getPayloadV3" => result(envelope_v3(&*engine.payload(payload_id(params)?)?)),
        "engine_getPayloadV4" if !isthmus => Err(EngineError::UnsupportedFork("use engine_getPayloadV3")),
        "engine_getPayloadV4" => result(envelope_v4(&*engine.payload(payload_id(params)?)?)),
        "engine_newPayloadV3" if isthmus => Err(EngineError::UnsupportedFork("use engine_newPayloadV4")),
        "engine_newPayloadV3" => result(engine.new_payload(&new_payload_v3(params)?)?),
        "engine_newPayloadV4" if !isthmus => Err(EngineError::UnsupportedFork("use engine_newPayloadV3")),
        "engine_newPayloadV4" => result(engine.new_payload(&new_payload_v4(params)?)?),
        "engine_getPayloadBodiesByHashV1" => {
            let hashes: Vec<B256> = params.at_most(1)?.required(0, "hashes")?;
            result(engine.bodies_by_hash(&hashes)?)
        }
        "engine_getPayloadBodiesByRangeV1" => {
            let mut params = params.at_most(2)?;
            let (start, count): (U64, U64) = (params.required(0, "start")?, params.required(1, "count")?);
            result(engine.bodies_by_range(start.to(), count.to())?)
        }
        _ => Err(EngineError::MethodNotFound(method.into())),
    }
}

/// Parameters of `engine_forkchoiceUpdatedV3`.
///
/// # Errors
/// When a parameter is missing or has the wrong shape; attributes of the wrong shape are -38003.
pub fn forkchoice_params(params: Params) -> Result<(ForkchoiceState, Option<OpPayloadAttributes>), EngineError> {
    let mut params = params.at_most(2)?;
    let state = params.required(0, "forkchoiceState")?;
    let attributes = params.optional(1, "payloadAttributes").map_err(|error| match error {
        EngineError::InvalidParams(reason) => EngineError::InvalidAttributes(reason),
        other => other,
    })?;
    Ok((state, attributes))
}

/// Parameters of `engine_getPayload*`.
///
/// # Errors
/// When the id is missing or isn't 8 bytes.
pub fn payload_id(params: Params) -> Result<PayloadId, EngineError> {
    params.at_most(1)?.required(0, "payloadId")
}

/// Parameters of `engine_newPayloadV3`.
///
/// # Errors
/// When a parameter is missing or has the wrong shape.
pub fn new_payload_v3(params: Params) -> Result<NewPayload, EngineError> {
    let mut params = params.at_most(3)?;
    let payload: ExecutionPayloadV3 = params.required(0, "executionPayload")?;
    let parent_beacon_block_root = blob_and_beacon_params(&mut params)?;
    Ok(NewPayload { payload, withdrawals_root: None, parent_beacon_block_root, execution_requests: None })
}

/// Parameters of `engine_newPayloadV4`.
///
/// # Errors
/// When a parameter is missing or has the wrong shape, or there are execution requests.
pub fn new_payload_v4(params: Params) -> Result<NewPayload, EngineError> {
    let mut params = params.at_most(4)?;
    let payload: OpExecutionPayloadV4 = params.required(0, "executionPayload")?;
    let parent_beacon_block_root = blob_and_beacon_params(&mut params)?;
    let requests: Vec<Bytes> = params.required(3, "executionRequests")?;
    if !requests.is_empty() {
        return Err(EngineError::InvalidParams("executionRequests must be empty on the OP Stack".into()));
    }
    Ok(NewPayload {
        payload: payload.payload_inner,
        withdrawals_root: Some(payload.withdrawals_root),
        parent_beacon_block_root,
        execution_requests: Some(requests),
    })
}

/// The second and third parameter: no blobs, and the parent beacon block root.
fn blob_and_beacon_params(params: &mut Params) -> Result<B256, EngineError> {
    let versioned_hashes: Vec<B256> = params.required(1, "expectedBlobVersionedHashes")?;
    if !versioned_hashes.is_empty() {
        return Err(EngineError::InvalidParams(
            "expectedBlobVersionedHashes must be empty: the OP Stack has no blob transactions".into(),
        ));
    }
    params.required(2, "parentBeaconBlockRoot")
}
