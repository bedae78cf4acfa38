//! `keeper evidence check` against a real registry.

use alloy::{
    network::TransactionBuilder,
    primitives::{Address, B256, FixedBytes, U256},
    providers::Provider,
    signers::{SignerSync, local::PrivateKeySigner},
    transports::http::reqwest::Client,
};
use axum::{Router, body::Bytes, routing::post};
use baton_bindings::IRegistry::Registration;
use baton_devnet_l1::{ETHER, RegistryL1};
use baton_protocol::{Delivered, Domain, Evidence, FeedItem, SlotClock, SoftBlock};
use serde_json::{Value, json};
use std::{
    fs::File,
    path::Path,
    process::Output,
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

/// Something between keeper and L1 that sees which events are asked for, and refuses numbers that no block can have, as geth does.
async fn watched(l1: String) -> (String, Asked) {
    let (asked, client) = (Asked::default(), Client::new());
    let shared = asked.clone();
    let app = Router::new().fallback(post(move |body: Bytes| async move {
        let call: Value = serde_json::from_slice(&body).expect("a call");
        if call["method"] == "eth_getLogs" {
            let from = call["params"][0]["fromBlock"].as_str().expect("a number").trim_start_matches("0x");
            shared.lock().expect("not poisoned").push(u64::from_str_radix(from, 16).expect("hexadecimal"));
        }
        let number = call["params"][0].as_str().and_then(|number| number.strip_prefix("0x"));
        let number = number.and_then(|digits| u64::from_str_radix(digits, 16).ok());
        if call["method"] == "eth_getBlockByNumber" && number > Some(i64::MAX.unsigned_abs()) {
            let error = json!({"code": -32602, "message": "invalid argument 0: block number larger than int64"});
            return Bytes::from(json!({"jsonrpc": "2.0", "id": call["id"], "error": error}).to_string());
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
    let registration = Registration {
        owner: l1.account().address(),
        settler: Address::repeat_byte(1),
        sequencerKey: signer().address(),
        penalty: U256::from(2 * ETHER),
        endpoint: "http://gateway".to_owned(),
        feed: "ws://gateway".to_owned(),
    };
    let call = l1.contract().register(registration).into_transaction_request();
    l1.send(call.with_value(U256::from(3 * ETHER + 1))).await;
    l1
}

/// Gateway 1's.
fn signer() -> PrivateKeySigner {
    PrivateKeySigner::from_bytes(&B256::repeat_byte(5)).expect("a key")
}

async fn run(url: &str, registry: Address, arguments: &[&str], file: &Path) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_keeper"));
    command.args(["evidence", "check", "--set", &format!("l1.urls=[\"{url}\"]"), "--set"]);
    command.arg(format!("contracts.registry={registry}")).args(arguments).arg(file);
    command.env_remove("RUST_LOG").kill_on_drop(true).output().await.expect("it runs")
}

/// What the command says on stderr, of a file that is about another rollup.
async fn check(url: &str, registry: Address, arguments: &[&str]) -> String {
    let output = run(url, registry, arguments, Path::new(FILE)).await;
    assert!(!output.status.success());
    String::from_utf8(output.stderr).expect("text")
}

/// Two signatures for one number on one base, on these anchors.
fn evidence(number: u64, anchors: [(u64, u8); 2]) -> String {
    let domain = Domain { chain_id: 31337, inbox: INBOX };
    let [other, delivered] = [1, 2].map(|block| {
        let (anchor, fork) = anchors[usize::from(block) - 1];
        let soft_block = SoftBlock {
            number,
            parentLink: B256::ZERO,
            blockHash: B256::repeat_byte(block),
            anchorNumber: anchor,
            anchorHash: B256::repeat_byte(fork),
        };
        let signature = signer().sign_hash_sync(&soft_block.digest(&domain)).expect("signed").as_bytes().to_vec();
        FeedItem { gateway: 1, soft_block, signature: signature.into(), block: Default::default() }
    });
    let Domain { chain_id, inbox } = domain;
    let evidence = Evidence { chain_id, inbox, other, delivered: Delivered::<Value>::Item(delivered) };
    serde_json::to_string(&evidence).expect("JSON")
}

#[tokio::test]
async fn anchors_that_the_l1_has_not_come_to_spoil_no_evidence_and_accuse_nobody() {
    let l1 = l1().await;
    // By then the gateway has slots.
    let slot = SlotClock::epoch_start(5) + 1;
    l1.mine_at(l1.clock.slot_start(slot)).await;
    let number = (slot - l1.clock.settlement_delay) * l1.clock.blocks_per_slot();
    assert_eq!(l1.clock.owner_slot(number), slot);
    let newest = l1.provider.get_block_number().await.expect("an answer");
    let (url, _) = watched(l1.url.clone()).await;
    let directory = tempfile::tempdir().expect("temporary directory");
    for (anchors, says) in [
        ([(u64::MAX, 1), (newest, 1)], ["(not there yet)", "(not canonical)", "proves: two signatures for one number"]),
        ([(newest + 1, 1), (newest + 1, 2)], ["(not there yet)", "(not there yet)", "proves: nothing yet"]),
        (
            [(newest, 1), (newest, 2)],
            ["(not canonical)", "(not canonical)", "proves: the signature over the delivered block binds nobody"],
        ),
    ] {
        let file = directory.path().join("evidence.json");
        std::fs::write(&file, evidence(number, anchors)).expect("written");
        let output = run(&url, l1.registry(), &[], &file).await;
        let said = String::from_utf8(output.stdout).expect("text");
        let lines: Vec<_> = said.lines().collect();
        assert_eq!(lines.len(), 3, "{said}{}", String::from_utf8_lossy(&output.stderr));
        assert!(lines.iter().zip(says).all(|(line, says)| line.contains(says)), "{said}");
    }
}

#[tokio::test]
async fn a_file_that_is_too_long_is_refused_unread() {
    let directory = tempfile::tempdir().expect("temporary directory");
    let path = directory.path().join("evidence.json");
    File::create(&path).and_then(|file| file.set_len(1 << 40)).expect("a file with a hole");
    let output = run("http://127.0.0.1:1", Address::repeat_byte(1), &[], &path).await;
    let said = String::from_utf8(output.stderr).expect("text");
    assert!(said.contains("it has 1099511627776 bytes"), "{said}");
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
