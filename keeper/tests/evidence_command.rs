//! `keeper evidence check` against a real registry.

use alloy::{
    primitives::{Address, FixedBytes, U256},
    providers::Provider,
    transports::http::reqwest::Client,
};
use axum::{Router, body::Bytes, routing::post};
use baton_devnet_l1::RegistryL1;
use baton_protocol::SlotClock;
use serde_json::{Value, json};
use std::{
    path::Path,
    sync::{Arc, Mutex},
    time::{SystemTime, UNIX_EPOCH},
};
use tokio::process::Command;

const FILE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../protocol/tests/evidence/signatures.json");
/// The registry's inbox, and a slot in seconds.
const INBOX: Address = Address::repeat_byte(0x1b);
const SLOT: u64 = 2;

/// From which L1 blocks on events were asked for.
type Asked = Arc<Mutex<Vec<u64>>>;

/// Something between keeper and L1 that sees which events are asked for.
async fn watched(l1: String) -> (String, Asked) {
    let (asked, client) = (Asked::default(), Client::new());
    let shared = asked.clone();
    let app = Router::new().fallback(post(move |body: Bytes| async move {
        let call: Value = serde_json::from_slice(&body).expect("a call");
        if call["method"] == "eth_getLogs" {
            let from = call["params"][0]["fromBlock"].as_str().expect("a number").trim_start_matches("0x");
            shared.lock().expect("not poisoned").push(u64::from_str_radix(from, 16).expect("hexadecimal"));
        }
        let request = client.post(&l1).header("content-type", "application/json").body(body);
        request.send().await.expect("an answer").bytes().await.expect("a body")
    }));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let url = format!("http://{}", listener.local_addr().expect("bound"));
    tokio::spawn(async move { axum::serve(listener, app).await });
    (url, asked)
}

/// The code of a contract that answers every call with an inbox's parameters.
fn inbox(clock: &SlotClock) -> String {
    let words = [clock.l2_genesis_time, clock.l2_block_time, 0, clock.settlement_delay, 3, 64, 256, 0, 0, 0];
    let answer = words.map(|word| U256::from(word).to_be_bytes::<32>()).concat();
    // Copies what follows it, 0x140 bytes, and returns that.
    let code = [0x61, 0x01, 0x40, 0x60, 0x0c, 0x5f, 0x39, 0x61, 0x01, 0x40, 0x5f, 0xf3];
    alloy::primitives::hex::encode_prefixed([&code[..], &answer].concat())
}

async fn l1() -> RegistryL1 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970").as_secs();
    let genesis = now - 3 * 32 * SLOT;
    let clock = SlotClock {
        l1_genesis_time: genesis,
        slot_length: SLOT,
        l2_genesis_time: genesis,
        l2_block_time: 1,
        settlement_delay: 2,
    };
    let l1 = RegistryL1::start(clock, now, &[]).await;
    l1.deploy_registry(Address::ZERO, FixedBytes::ZERO).await;
    l1.anvil("anvil_setCode", json!([INBOX, inbox(&clock)])).await;
    l1.register(1, "http://gateway", "ws://gateway").await;
    l1
}

/// What the command says on stderr, of a file that is about another rollup.
async fn check(url: &str, registry: Address, arguments: &[&str]) -> String {
    let mut command = Command::new(env!("CARGO_BIN_EXE_keeper"));
    command.args(["evidence", "check", "--set", &format!("l1.urls=[\"{url}\"]"), "--set"]);
    command.arg(format!("contracts.registry={registry}")).args(arguments).arg(Path::new(FILE));
    let output = command.env_remove("RUST_LOG").kill_on_drop(true).output().await.expect("it runs");
    assert!(!output.status.success());
    String::from_utf8(output.stderr).expect("text")
}

#[tokio::test]
async fn evidence_is_checked_without_a_keepers_configuration_and_without_old_events() {
    let l1 = l1().await;
    let newest = l1.provider.get_block_number().await.expect("an answer");
    assert!(newest > 1);
    let (url, asked) = watched(l1.url.clone()).await;
    // It has come to the file when it says this: L1, registry, inbox and schedule are read by then.
    let said = check(&url, l1.registry(), &[]).await;
    assert!(said.contains(&format!("the registry's is {INBOX} on chain 31337")), "{said}");
    let asked = asked.lock().expect("not poisoned").clone();
    assert!(!asked.is_empty() && asked.iter().all(|from| *from >= newest), "{asked:?}, the newest is {newest}");
    // To keep something it must know where.
    let said = check(&url, l1.registry(), &["--keep"]).await;
    assert!(said.contains("--config is missing"), "{said}");
}
