//! Damaged bodies through each function that reads bodies, for itself.

use crate::damage::{BATCH, Time, bodies, corpus, generator, runner};
use alloy::primitives::hex;
use baton_portal::{
    demand::Demand,
    mode::Modes,
    payload::{OwnPayload, Payload, transaction_hashes},
    peek::{self, Body, Call, Method, Order},
    registry,
    route::{self, View},
    rpc::{self, Answer},
    version,
};
use baton_protocol::SlotClock;
use baton_schedule::Snapshot;
use serde_json::{Value, value::RawValue};

fn snapshot() -> Snapshot {
    Snapshot::unread(SlotClock {
        l1_genesis_time: 1000,
        slot_length: 12,
        l2_genesis_time: 1000,
        l2_block_time: 2,
        settlement_delay: 2,
    })
}

/// A call, as the proxy reads it.
fn read_call(call: &Call<'_>, snapshot: &Snapshot) {
    let modes = Modes::default();
    for fixed in [None, Some(1)] {
        route::route(call, View { snapshot, gateways: &[1], modes: &modes, fixed });
    }
    version::label(&call.name);
    match &call.method {
        Method::ForkchoiceUpdated(update) => {
            let demand = Demand::of(update, Some(1));
            let asked_for = match &update.order {
                Some(Order::Read(_)) => true,
                Some(Order::Unread { timestamp, .. }) => timestamp.is_some(),
                None => false,
            };
            assert_eq!(demand.is_some(), asked_for);
        }
        Method::Registry(query) => {
            // What isn't known is an error, whatever the number.
            let _ = registry::answer(*query, snapshot, u64::MAX, None);
        }
        _ => {}
    }
}

/// A request, in every way in which one is read.
fn read_request(body: &[u8], snapshot: &Snapshot) {
    let parsed: Option<Value> = serde_json::from_slice(body).ok();
    match peek::body(body) {
        Body::Single(call) => {
            // Where both ways of reading come to something, it is the same. By its beginning, a call with two methods is its first one's: it comes
            // from op-node, whom the portal believes, and goes to the fallback as it is.
            if let Some(long) = peek::call(body) {
                assert_eq!(call.name, long.name);
                assert_eq!(matches!(call.method, Method::NewPayload), matches!(long.method, Method::NewPayload));
                if let Some(parsed) = &parsed {
                    assert_eq!(parsed["method"].as_str(), Some(&*call.name));
                }
            }
            let id = call.id.or_else(|| peek::id(body));
            // An id is given back as it was written, a number that no reader can hold included.
            let failure = rpc::failure(id, -1, "x");
            let answer: Answer<'_> = serde_json::from_slice(&failure).expect("an answer is JSON");
            assert!(answer.error.is_some());
            assert_eq!(answer.id.map(RawValue::get), id.map(RawValue::get));
            read_call(&call, snapshot);
        }
        Body::Batch(calls) => {
            for raw in calls {
                if let Some(call) = peek::call(raw.get().as_bytes()) {
                    // A node finds the same call there.
                    if let Ok(parsed) = serde_json::from_str::<Value>(raw.get()) {
                        assert_eq!(parsed["method"].as_str(), Some(&*call.name));
                    }
                    read_call(&call, snapshot);
                }
            }
        }
        Body::TooMany | Body::Unreadable => {}
    }
}

/// An answer, in every way in which one is read.
fn read_answer(body: &[u8]) {
    rpc::outcome(body);
    rpc::timestamp(body);
    OwnPayload::read(body);
    transaction_hashes(body);
    rpc::answers(body, None);
    for id in [0, 1, 7] {
        let result = Answer::result_for(body, id);
        // A payload that is found without being read is in the result that a reader finds, and JSON all around it. The fallback's own would be the same, but for
        // a value that may not be null there.
        if let Ok(payload) = Payload::read(body, id) {
            let result = result.as_ref().expect("an answer");
            assert_eq!(payload.result, result.get().as_bytes());
            let own = OwnPayload::read(body).map(|own| (own.block_hash, own.transactions));
            assert!(own.is_none_or(|own| own == (payload.block_hash, payload.transactions().len())));
        }
        if let Ok(result) = result {
            read_result(result);
        }
    }
    if let Ok(answer) = serde_json::from_slice::<Answer<'_>>(body)
        && let Some(result) = answer.result
    {
        read_result(result);
    }
}

fn read_result(result: &RawValue) {
    let answer = format!(r#"{{"id":1,"result":{}}}"#, result.get());
    let Ok(payload) = Payload::read(answer.as_bytes(), 1) else { return };
    // A payload that is taken is read by everybody in the same way: as this reader does, which takes the last of several keys.
    let parsed: Value = serde_json::from_str(result.get()).expect("what was taken is JSON");
    let inner = &parsed["executionPayload"];
    assert_eq!(inner["blockHash"].as_str().map(str::to_lowercase), Some(payload.block_hash.to_string()));
    let quantity = |key: &str| u64::from_str_radix(&inner[key].as_str().expect("text")[2..], 16).expect("a number");
    assert_eq!((quantity("timestamp"), quantity("blockNumber")), (payload.timestamp, payload.number));
    assert_eq!(inner["transactions"].as_array().map(Vec::len), Some(payload.transactions().len()));
    for transaction in payload.transactions() {
        hex::decode(transaction).expect("whole bytes");
    }
    for fork in version::FORKS {
        let (before, text, after) = payload.validation_request(&fork, 1);
        let request = [before.as_bytes(), text, after.as_bytes()].concat();
        let request: Value = serde_json::from_slice(&request).expect("a request is JSON");
        assert_eq!(&request["params"][0], inner);
    }
    // Whatever it is, comparing it with what was asked for ends well.
    let _ = Demand::default().check(&payload);
}

#[test]
fn no_body_does_harm() {
    let (corpus, snapshot) = (corpus(), snapshot());
    let read = |body: &[u8]| {
        read_request(body, &snapshot);
        read_answer(body);
    };
    corpus.iter().for_each(|body| read(body));
    let (mut rng, seed) = generator();
    let (mut time, mut tried) = (Time::start("bodies"), 0u64);
    let bodies = bodies(corpus);
    while time.is_left(tried) {
        // Each runner counts its cases only once.
        let harmless = runner(&mut rng).run(&bodies, |body| {
            read(&body.0);
            Ok(())
        });
        // It has been made as small as it still does harm.
        assert!(harmless.is_ok(), "seed {seed}, after {tried} bodies: {}", harmless.unwrap_err());
        tried += u64::from(BATCH);
    }
    println!("{tried} bodies read, seed {seed}");
}
