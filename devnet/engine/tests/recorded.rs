//! The engine's own header and parameter code against traffic of an unmodified op-reth.

#![allow(clippy::unwrap_used, reason = "functions that tests share are test code too")]

use std::{fs, path::Path};

use alloy::{
    consensus::proofs::calculate_transaction_root,
    primitives::{B256, Bytes},
    rpc::types::Header as RpcHeader,
};
use baton_devnet_engine::{
    Engine, Fork,
    fork::ChainRules,
    payload::{NewPayload, decode_transactions},
    rpc::{
        engine_api::{self, new_payload_v3, new_payload_v4},
        eth_api,
        jsonrpc::{self, Params},
    },
    validation::check_against_parent,
};
use op_alloy::rpc_types_engine::OpPayloadAttributes;
use serde_json::{Value, json};

fn fixture(name: &str) -> String {
    fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures").join(name)).unwrap()
}

fn recording() -> Vec<Value> {
    fixture("rec_seq.jsonl").lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn sample(name: &str) -> Value {
    serde_json::from_str(&fixture(&format!("sample_{name}.json"))).unwrap()
}

/// Passes `params` through the request decoding of the server.
fn params(params: Value) -> Params {
    let mut seen = None;
    let body = json!({ "jsonrpc": "2.0", "id": 1, "method": "m", "params": params }).to_string();
    jsonrpc::answer(body.as_bytes(), |_, params| {
        seen = Some(params);
        Ok(Value::Null)
    });
    seen.unwrap()
}

/// `engine_newPayload`'s parameters from an answer of `engine_getPayload`.
fn from_envelope(envelope: &Value, isthmus: bool) -> NewPayload {
    let (payload, root) = (&envelope["executionPayload"], &envelope["parentBeaconBlockRoot"]);
    if isthmus {
        new_payload_v4(params(json!([payload, [], root, envelope["executionRequests"]]))).unwrap()
    } else {
        new_payload_v3(params(json!([payload, [], root]))).unwrap()
    }
}

fn assert_hash_and_transactions(payload: &NewPayload) {
    let header = payload.header().unwrap();
    assert_eq!(header.hash_slow(), payload.block_hash(), "block {}", header.number);
    let transactions = payload.transactions().unwrap();
    assert_eq!(calculate_transaction_root(&transactions), header.transactions_root);
    assert!(transactions[0].is_deposit());
}

#[test]
fn hash_of_every_recorded_payload_is_recomputed_from_its_fields() {
    let mut payloads = 0;
    for call in recording() {
        let payload = match call["rq"]["method"].as_str().unwrap() {
            "engine_newPayloadV4" => new_payload_v4(params(call["rq"]["params"].clone())).unwrap(),
            "engine_getPayloadV4" => from_envelope(&call["rs"]["result"], true),
            _ => continue,
        };
        assert_hash_and_transactions(&payload);
        payloads += 1;
    }
    assert_eq!(payloads, 60);
}

#[test]
fn hash_of_each_forks_sample_is_recomputed_from_its_fields() {
    for (name, isthmus) in [("granite", false), ("holocene", false), ("isthmus", true), ("jovian", true)] {
        let payload = from_envelope(&sample(name)["envelope"], isthmus);
        assert_hash_and_transactions(&payload);
    }
}

#[test]
fn extra_data_of_each_forks_sample_follows_from_its_attributes() {
    for (name, fork) in
        [("granite", Fork::Granite), ("holocene", Fork::Holocene), ("isthmus", Fork::Isthmus), ("jovian", Fork::Jovian)]
    {
        let sample = sample(name);
        let attributes: OpPayloadAttributes = serde_json::from_value(sample["attributes"].clone()).unwrap();
        let extra_data =
            ChainRules::new(1, fork, 250, 6).extra_data(attributes.eip_1559_params, attributes.min_base_fee).unwrap();
        let recorded: Bytes =
            serde_json::from_value(sample["envelope"]["executionPayload"]["extraData"].clone()).unwrap();
        assert_eq!(extra_data, recorded, "{name}");
    }
}

#[test]
fn each_recorded_header_follows_from_its_parent() {
    let rules = ChainRules::new(1, Fork::Isthmus, 250, 6);
    let genesis = recording_genesis();
    let mut parent = genesis;
    for call in recording().iter().filter(|call| call["rq"]["method"] == "engine_newPayloadV4") {
        let header = new_payload_v4(params(call["rq"]["params"].clone())).unwrap().header().unwrap();
        assert_eq!(header.parent_hash, parent.hash_slow());
        check_against_parent(&rules, &header, &parent).unwrap();
        parent = header;
    }
    assert_eq!(parent.number, 30);
}

fn recording_genesis() -> alloy::consensus::Header {
    let call = recording()
        .into_iter()
        .find(|call| call["rq"]["method"] == "eth_getBlockByNumber" && call["rq"]["params"][0] == "0x0")
        .unwrap();
    let header: RpcHeader = serde_json::from_value(call["rs"]["result"].clone()).unwrap();
    header.inner
}

#[test]
fn every_recorded_request_is_understood() {
    let engine =
        Engine::new(&baton_devnet_engine::devnet_genesis(901, Fork::Isthmus, 0x6b00_c805, [], Default::default()))
            .unwrap();
    let mut calls = 0;
    for call in recording() {
        let method = call["rq"]["method"].as_str().unwrap().to_owned();
        let answer = jsonrpc::answer(call["rq"].to_string().as_bytes(), |method, params| {
            if method.starts_with("engine_") {
                engine_api::dispatch(&engine, method, params)
            } else {
                eth_api::dispatch(&engine, method, params)
            }
        })
        .unwrap();
        assert_eq!(answer["id"], call["rq"]["id"]);
        // The recorded chain isn't ours: an unknown head and parent, or an unknown payload id, but never a parameter
        // that can't be read.
        match method.as_str() {
            "engine_getPayloadV4" => assert_eq!(answer["error"]["code"], -38001, "{answer}"),
            "engine_newPayloadV4" => assert_eq!(answer["result"]["status"], "SYNCING", "{answer}"),
            "engine_forkchoiceUpdatedV3" => {
                assert_eq!(answer["result"]["payloadStatus"]["status"], "SYNCING", "{answer}");
            }
            _ => assert!(answer.get("result").is_some(), "{method}: {answer}"),
        }
        calls += 1;
    }
    assert_eq!(calls, 158);
}

#[test]
fn recorded_transactions_survive_decoding_and_encoding() {
    use alloy::eips::eip2718::Encodable2718;
    let encoded: Vec<Bytes> =
        serde_json::from_value(sample("isthmus")["envelope"]["executionPayload"]["transactions"].clone()).unwrap();
    let decoded = decode_transactions(&encoded, |_| None).unwrap();
    let again: Vec<Bytes> = decoded.iter().map(|transaction| transaction.encoded_2718().into()).collect();
    assert_eq!(again, encoded);
    let ids: Vec<B256> = decoded.iter().map(|transaction| transaction.tx_hash()).collect();
    assert_ne!(ids[0], ids[1]);
}
