//! What op-reth recorded, executed again: same genesis, same attributes, hence the same blocks to the last bit.

#![allow(clippy::unwrap_used, reason = "functions that tests share are test code too")]

use std::{collections::BTreeMap, fs, path::Path};

use alloy::{
    genesis::GenesisAccount,
    primitives::{Address, B256, U256, address, b256},
};
use baton_devnet_engine::{
    Engine, Fork, GenesisConfig,
    rpc::{
        engine_api,
        jsonrpc::{self, Params},
    },
};
use serde_json::{Value, json};

const FUNDED: [Address; 2] =
    [address!("0xf39Fd6e51aad88F6F4ce6aB8827279cffFb92266"), address!("0x70997970C51812dc3A010C7d01b50e0d17dc79C8")];

fn fixture(name: &str) -> String {
    fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures").join(name)).unwrap()
}

/// The recorded chains' genesis: two funded accounts, no code anywhere.
fn genesis(fork: Fork, chain_id: u64, timestamp: u64) -> GenesisConfig {
    let balance = U256::from(10).pow(U256::from(24));
    let account = GenesisAccount { balance, ..Default::default() };
    GenesisConfig {
        chain_id,
        fork,
        timestamp,
        gas_limit: 30_000_000,
        base_fee_per_gas: 1_000_000_000,
        eip1559_denominator: 250,
        eip1559_elasticity: 6,
        min_base_fee: 0,
        fee_recipient: address!("0x4200000000000000000000000000000000000011"),
        alloc: BTreeMap::from(FUNDED.map(|address| (address, account.clone()))),
    }
}

fn call(engine: &Engine, method: &str, params: Value) -> Value {
    let body = json!({ "jsonrpc": "2.0", "id": 7, "method": method, "params": params }).to_string();
    let dispatch = |method: &str, params: Params| engine_api::dispatch(engine, method, params);
    let mut answer = jsonrpc::answer(body.as_bytes(), dispatch).unwrap();
    assert_eq!(answer["error"], Value::Null, "{method}");
    answer["result"].take()
}

fn recording() -> Vec<Value> {
    fixture("rec_seq.jsonl").lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn recorded_chain() -> Engine {
    let engine = Engine::new(&genesis(Fork::Isthmus, 901, 0x6b00_c805)).unwrap();
    let recorded = b256!("0x53baa004c682915ad8ba0e3ec2268ee312768ae696450d0390870eaee80fd2a9");
    assert_eq!(engine.head().hash(), recorded, "genesis");
    engine
}

/// Builds each recorded block from its recorded attributes, without having seen op-reth's answer.
#[test]
fn recorded_blocks_are_built_again_bit_by_bit() {
    let engine = recorded_chain();
    let mut ids: BTreeMap<String, Value> = BTreeMap::new();
    let mut built = 0;
    for entry in recording() {
        let (method, params) = (entry["rq"]["method"].as_str().unwrap(), entry["rq"]["params"].clone());
        let recorded = &entry["rs"]["result"];
        match method {
            "engine_forkchoiceUpdatedV3" => {
                let answer = call(&engine, method, params);
                assert_eq!(answer["payloadStatus"], recorded["payloadStatus"]);
                if let Some(id) = recorded["payloadId"].as_str() {
                    ids.insert(id.to_owned(), answer["payloadId"].clone());
                }
            }
            "engine_getPayloadV4" => {
                let id = ids[params[0].as_str().unwrap()].clone();
                assert_eq!(call(&engine, method, json!([id])), *recorded);
                built += 1;
            }
            "engine_newPayloadV4" => assert_eq!(call(&engine, method, params), *recorded),
            _ => {}
        }
    }
    assert_eq!(built, 30);
    assert_eq!(engine.head().number(), 30);
}

/// Executes each recorded block as a node that follows would, without ever building.
#[test]
fn recorded_blocks_are_valid_for_an_engine_that_only_follows() {
    let engine = recorded_chain();
    for entry in recording().iter().filter(|entry| entry["rq"]["method"] == "engine_newPayloadV4") {
        let status = call(&engine, "engine_newPayloadV4", entry["rq"]["params"].clone());
        assert_eq!(status["status"], "VALID", "{status}");
    }
    let last = recording()
        .into_iter()
        .rfind(|entry| entry["rq"]["method"] == "engine_newPayloadV4")
        .map(|entry| serde_json::from_value::<B256>(entry["rq"]["params"][0]["blockHash"].clone()).unwrap())
        .unwrap();
    assert!(engine.block(last).is_some());
}

/// A user's transfer and a deposit, on the forks around the recording's.
#[test]
fn samples_of_other_forks_are_valid_on_their_genesis() {
    for (name, fork) in [("granite", Fork::Granite), ("holocene", Fork::Holocene), ("jovian", Fork::Jovian)] {
        let sample: Value = serde_json::from_str(&fixture(&format!("sample_{name}.json"))).unwrap();
        let envelope = &sample["envelope"];
        let engine = Engine::new(&genesis(fork, 901, 0x6553_f100)).unwrap();
        let head = engine.head().hash();
        assert_eq!(json!(head), envelope["executionPayload"]["parentHash"], "{name}: genesis");
        let (version, params) = if fork.includes(Fork::Isthmus) {
            ("V4", json!([envelope["executionPayload"], [], envelope["parentBeaconBlockRoot"], []]))
        } else {
            ("V3", json!([envelope["executionPayload"], [], envelope["parentBeaconBlockRoot"]]))
        };
        let status = call(&engine, &format!("engine_newPayload{version}"), params);
        assert_eq!(status["status"], "VALID", "{name}: {status}");

        // And built: the user's transaction comes from the pool.
        for transaction in &envelope["executionPayload"]["transactions"].as_array().unwrap()[1..] {
            engine.send_raw_transaction(&serde_json::from_value(transaction.clone()).unwrap()).unwrap();
        }
        let state = json!({ "headBlockHash": head, "safeBlockHash": head, "finalizedBlockHash": head });
        let started = call(&engine, "engine_forkchoiceUpdatedV3", json!([state, sample["attributes"]]));
        let payload = call(&engine, &format!("engine_getPayload{version}"), json!([started["payloadId"]]));
        assert_eq!(payload, *envelope, "{name}");
    }
}
