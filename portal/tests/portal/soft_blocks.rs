//! Gateways that must sign what they built.

use crate::{
    node::{GENESIS, made_up_block},
    stand::{Options, Stand, builder, present, snapshot},
    turns::read_from,
};
use alloy::{
    primitives::{Address, B256, Bytes, keccak256},
    signers::{SignerSync, local::PrivateKeySigner},
};
use axum::{Json, Router, routing::post};
use baton_portal::{GatewayOverride, SoftBlockRule, mode::Mode};
use baton_protocol::{Delivered, Domain, EpochSchedule, Evidence, FeedItem, Kind, SoftBlock};
use baton_schedule::Snapshot;
use serde_json::{Value, json};
use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
    time::Duration,
};
use tokio::time::sleep;

const INBOX: Address = Address::repeat_byte(0xb2);

/// What a feed has about blocks, and how it answers.
#[derive(Clone, Default)]
struct Feed {
    items: Arc<Mutex<Vec<Value>>>,
    asked: Arc<AtomicUsize>,
    delay_ms: Arc<AtomicU64>,
}

impl Feed {
    fn put(&self, item: Value) {
        self.items.lock().expect("not poisoned").push(item);
    }

    async fn is_asked(&self) {
        let asked = async {
            while self.asked.load(Ordering::Relaxed) == 0 {
                sleep(Duration::from_millis(1)).await;
            }
        };
        tokio::time::timeout(Duration::from_secs(10), asked).await.expect("the feed is asked");
    }
}

/// A keeper's feed: it gives whatever was in it when it was asked.
async fn feed() -> (String, Feed) {
    let items = Feed::default();
    let shared = items.clone();
    let app = Router::new().fallback(post(move |headers: axum::http::HeaderMap, Json(call): Json<Value>| async move {
        assert!(headers.get("authorization").is_none(), "a feed was given a token");
        assert_eq!(call["method"], "baton_softBlocks");
        let from = call["params"][0].as_u64().expect("a number");
        let all = shared.items.lock().expect("not poisoned").clone();
        shared.asked.fetch_add(1, Ordering::Relaxed);
        let found: Vec<_> = all.into_iter().filter(|item| item["softBlock"]["number"] == from).collect();
        sleep(Duration::from_millis(shared.delay_ms.load(Ordering::Relaxed))).await;
        Json(json!({"jsonrpc": "2.0", "id": call["id"], "result": found}))
    }));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let url = format!("ws://{}", listener.local_addr().expect("bound"));
    tokio::spawn(async move { axum::serve(listener, app).await });
    (url, items)
}

fn signer() -> PrivateKeySigner {
    PrivateKeySigner::from_bytes(&B256::repeat_byte(5)).expect("a key")
}

/// A soft block of gateway 1's on an anchor at height 1.
fn on_anchor(number: u64, (hash, block): (B256, Bytes), anchor: B256) -> Value {
    let soft_block = SoftBlock { number, parentLink: B256::ZERO, blockHash: hash, anchorNumber: 1, anchorHash: anchor };
    let signature = signer().sign_hash_sync(&soft_block.digest(&Domain { chain_id: 1, inbox: INBOX })).expect("signed");
    let signature = Bytes::from(signature.as_bytes().to_vec());
    json!({"gateway": 1, "softBlock": soft_block, "signature": signature, "block": block})
}

/// Over another first block than the one that is ordered.
fn over_another() -> Value {
    on_anchor(1, another(), B256::ZERO)
}

fn another() -> (B256, Bytes) {
    let (hash, block) = made_up_block(GENESIS, keccak256("another"));
    (hash, block.into())
}

pub(crate) struct Watched {
    pub(crate) stand: Stand,
    items: Feed,
    archive: tempfile::TempDir,
}

fn rule(within_ms: u64, archive: &tempfile::TempDir) -> SoftBlockRule {
    let archive = Some(archive.path().join("evidence"));
    SoftBlockRule { within_ms, after: 1, archive, chain_id: 1, inbox: INBOX }
}

impl Watched {
    /// Over a block that gateway 1 has built.
    fn over(&self, number: u64, hash: B256) -> Value {
        on_anchor(number, (hash, self.stand.gateways[0].block(hash).into()), B256::ZERO)
    }

    /// All files with evidence, by name.
    fn evidence(&self) -> Vec<(String, Evidence<Value>)> {
        evidence_in(&self.archive)
    }
}

fn evidence_in(archive: &tempfile::TempDir) -> Vec<(String, Evidence<Value>)> {
    let Ok(files) = std::fs::read_dir(archive.path().join("evidence")) else { return Vec::new() };
    let read = |path: std::path::PathBuf| {
        let evidence = serde_json::from_slice(&std::fs::read(&path).expect("a file")).expect("evidence");
        (path.file_name().expect("a name").to_string_lossy().into_owned(), evidence)
    };
    files.map(|entry| read(entry.expect("an entry").path())).collect()
}

fn feed_item(item: &Value) -> FeedItem {
    serde_json::from_value(item.clone()).expect("an item")
}

pub(crate) async fn watched(within_ms: u64) -> Watched {
    watched_with(within_ms, |_| {}).await
}

/// With something in the chain's schedule or gateways that is different.
async fn watched_with(within_ms: u64, different: impl FnOnce(&mut Snapshot)) -> Watched {
    let (url, items) = feed().await;
    let archive = tempfile::tempdir().expect("temporary directory");
    let mut stand = Stand::start_with(Options::DEFAULT).await;
    let mut config = stand.config();
    config.gateways.soft_blocks = Some(rule(within_ms, &archive));
    stand.portal.reload(&config).expect("right");
    let mut known = snapshot([stand.gateways[0].url(), stand.gateways[1].url()]);
    let gateway = known.gateways.get_mut(&1).expect("gateway 1");
    gateway.urls.feed = url;
    gateway.keys.current = signer().address();
    different(&mut known);
    stand.publisher.publish(known);
    Watched { stand, items, archive }
}

fn with_feed(feed: &str) -> impl FnOnce(&mut Snapshot) {
    let feed = feed.to_owned();
    |known| known.gateways.get_mut(&1).expect("gateway 1").urls.feed = feed
}

/// Gateway 1 has blocks up to 3 and from 7 to 9, gateway 2 the others.
fn in_short_turns(known: &mut Snapshot) {
    let slots = std::array::from_fn(|slot| (if matches!(slot, 0..6 | 9..12) { 1 } else { 2 }, Kind::Fallback));
    known.schedule.insert(EpochSchedule { epoch: 0, slots });
}

#[tokio::test]
async fn a_gateway_that_does_not_sign_in_time_loses_its_turn() {
    let Watched { stand, .. } = watched_with(100, in_short_turns).await;
    let (mut head, mut builders) = (GENESIS, Vec::new());
    for number in 1..=9 {
        let answer = stand.block(head, number).await;
        builders.push(builder(&answer).to_owned());
        head = stand.adopt(&answer["result"]).await;
        match number {
            1 => stand.loses_its_turn(6).await,
            // The next turn is a new one, which its first block decides.
            7 => stand.loses_its_turn(12).await,
            _ => {}
        }
    }
    assert_eq!(builders[..4], ["gateway 1", "fallback", "fallback", "gateway 2"]);
    assert_eq!(builders[6..], ["gateway 1", "fallback", "fallback"]);
    let status = stand.admin("/status.json").await.1;
    assert!(!status.contains(r#""breaker":"open""#), "that is another matter: {status}");
    let metrics = stand.admin("/metrics").await.1;
    let lost = metrics.lines().find_map(|line| line.strip_prefix(r#"baton_portal_turns_lost_total{gateway="1"} "#));
    let lost: Option<u32> = lost.and_then(|value| value.parse().ok());
    assert!(lost >= Some(2), "{lost:?}");
}

#[tokio::test]
async fn a_gateway_without_a_feed_loses_its_turn() {
    for feed in ["", "wss://127.0.0.1:1", "https://127.0.0.1:1", "nonsense"] {
        let Watched { stand, .. } = watched_with(10_000, with_feed(feed)).await;
        let answer = stand.block(GENESIS, 1).await;
        let head = stand.adopt(&answer["result"]).await;
        stand.loses_its_turn(16).await;
        assert_eq!(builder(&stand.block(head, 2).await), "fallback");
    }
}

#[tokio::test]
async fn a_gateway_that_has_lost_its_turn_is_not_asked_what_users_read() {
    let Watched { stand, .. } = watched_with(10_000, with_feed("")).await;
    let answer = stand.block(GENESIS, 1).await;
    stand.adopt(&answer["result"]).await;
    stand.loses_its_turn(16).await;
    // By the present clock it is slot 2.
    stand.publish(present);
    assert_eq!(read_from(&stand).await, "fallback");
    let (status, text) = stand.admin("/healthz").await;
    assert_eq!(status, 206);
    assert!(text.contains("gateway, 1, has lost its turn"), "{text}");
}

#[tokio::test]
async fn a_feed_can_be_read_elsewhere_than_the_registry_says() {
    let Watched { mut stand, archive, .. } = watched_with(300, with_feed("wss://feed.example")).await;
    let (url, items) = feed().await;
    let mut config = stand.config();
    config.gateways.soft_blocks = Some(rule(300, &archive));
    config.gateways.overrides =
        vec![GatewayOverride { id: 1, url: None, feed: Some(url), jwt_secret_file: None, mode: Mode::Enabled }];
    stand.portal.reload(&config).expect("right");
    // What it says there counts, which is that it signed another.
    items.put(over_another());
    let answer = stand.block(GENESIS, 1).await;
    stand.adopt(&answer["result"]).await;
    stand.loses_its_turn(16).await;
    assert_eq!(evidence_in(&archive).len(), 1);
}

#[tokio::test]
async fn a_gateway_that_signs_stays() {
    let watched = watched(10_000).await;
    let Watched { stand, items, .. } = &watched;
    let mut head = GENESIS;
    for number in 1..=3 {
        let answer = stand.block(head, number).await;
        assert_eq!(builder(&answer), "gateway 1", "block {number}");
        let hash = serde_json::from_value(answer["result"]["executionPayload"]["blockHash"].clone()).expect("a hash");
        items.put(watched.over(number, hash));
        head = stand.adopt(&answer["result"]).await;
    }
    assert!(watched.evidence().is_empty());
}

#[tokio::test]
async fn a_block_that_was_not_adopted_needs_no_signature() {
    let Watched { stand, .. } = watched(100).await;
    // Ordered again and again, as an op-node does that starts anew; nothing is adopted.
    for _ in 0..5 {
        assert_eq!(builder(&stand.block(GENESIS, 1).await), "gateway 1");
        sleep(Duration::from_millis(60)).await;
    }
}

#[tokio::test]
async fn a_signature_without_its_block_is_none() {
    for block in [json!("0x"), Value::Null] {
        let watched = watched(300).await;
        let answer = watched.stand.block(GENESIS, 1).await;
        let hash = serde_json::from_value(answer["result"]["executionPayload"]["blockHash"].clone()).expect("a hash");
        let mut item = watched.over(1, hash);
        item["block"] = block;
        watched.items.put(item);
        watched.stand.adopt(&answer["result"]).await;
        watched.stand.loses_its_turn(16).await;
        assert!(watched.evidence().is_empty());
    }
}

#[tokio::test]
async fn a_feed_on_the_portals_own_side_is_not_read() {
    let Watched { stand, .. } = watched(100).await;
    let mut known = snapshot([stand.gateways[0].url(), stand.gateways[1].url()]);
    with_feed(&stand.fallback.url().replace("http", "ws"))(&mut known);
    stand.publisher.publish(known);
    let answer = stand.block(GENESIS, 1).await;
    stand.adopt(&answer["result"]).await;
    stand.loses_its_turn(16).await;
    assert_eq!(stand.fallback.refused(), 0, "feeds are asked without a token");
    // Nor may the configuration name it.
    let mut config = stand.config();
    let feed = Some(stand.fallback.url());
    config.gateways.overrides =
        vec![GatewayOverride { id: 1, url: None, feed, jwt_secret_file: None, mode: Mode::Enabled }];
    let error = config.check().expect_err("refused").to_string();
    assert!(error.contains("`gateways.overrides[0].feed`") && error.contains("`fallback.url`"), "{error}");
}

#[tokio::test]
async fn a_signature_over_another_block_is_archived() {
    let watched = watched(300).await;
    let Watched { stand, items, .. } = &watched;
    items.put(over_another());
    let answer = stand.block(GENESIS, 1).await;
    stand.adopt(&answer["result"]).await;
    stand.loses_its_turn(16).await;
    let [(name, evidence)] = watched.evidence().try_into().expect("one file");
    assert_eq!(name, format!("1-1-{}-payload.json", another().0));
    assert_eq!(evidence.domain(), Domain { chain_id: 1, inbox: INBOX });
    assert_eq!(evidence.other, feed_item(&over_another()));
    assert_eq!(evidence.delivered, Delivered::Payload(answer["result"].clone()));
}

#[tokio::test]
async fn two_signatures_for_one_number_on_one_base_are_archived_and_are_none() {
    for order in [[0, 1], [1, 0]] {
        let watched = watched(300).await;
        let answer = watched.stand.block(GENESIS, 1).await;
        let hash = serde_json::from_value(answer["result"]["executionPayload"]["blockHash"].clone()).expect("a hash");
        let both = [watched.over(1, hash), over_another()];
        order.into_iter().for_each(|index| watched.items.put(both[index].clone()));
        watched.stand.adopt(&answer["result"]).await;
        watched.stand.loses_its_turn(16).await;
        let [(name, evidence)] = watched.evidence().try_into().expect("one file");
        assert_eq!(name, format!("1-1-{}-item.json", another().0));
        assert_eq!(evidence.other, feed_item(&both[1]));
        assert_eq!(evidence.delivered, Delivered::Item(feed_item(&both[0])));
    }
}

/// Long enough for a turn to be lost.
async fn stays(stand: &Stand) {
    sleep(Duration::from_millis(800)).await;
    stand.loses_its_turn(0).await;
}

#[tokio::test]
async fn what_is_in_the_feed_in_time_counts_however_slow_the_feed_is() {
    let watched = watched(300).await;
    let Watched { stand, items, .. } = &watched;
    items.delay_ms.store(200, Ordering::Relaxed);
    // From before an L1 reorg, after which the gateway rightly signs again.
    items.put(on_anchor(1, another(), B256::repeat_byte(0xaa)));
    let answer = stand.block(GENESIS, 1).await;
    let head = stand.adopt(&answer["result"]).await;
    items.is_asked().await;
    items.put(watched.over(1, head));
    stays(stand).await;
    // Its blocks have no L1 origin: which anchor is right is left to whoever reads the evidence.
    let [(name, evidence)] = watched.evidence().try_into().expect("one file");
    assert_eq!(name, format!("1-1-{}-item-doubtful.json", another().0));
    assert!(matches!(evidence.delivered, Delivered::Item(_)));
}

#[tokio::test]
async fn what_may_be_honest_leaves_room_for_what_accuses() {
    for (anchor, files) in [(B256::repeat_byte(0xaa), 32), (B256::ZERO, 33)] {
        let watched = watched(300).await;
        let directory = watched.archive.path().join("evidence");
        std::fs::create_dir_all(&directory).expect("made");
        (0..32).for_each(|index| std::fs::write(directory.join(format!("1-{index}")), "").expect("written"));
        let answer = watched.stand.block(GENESIS, 1).await;
        let hash = serde_json::from_value(answer["result"]["executionPayload"]["blockHash"].clone()).expect("a hash");
        watched.items.put(watched.over(1, hash));
        watched.items.put(on_anchor(1, another(), anchor));
        watched.stand.adopt(&answer["result"]).await;
        if anchor.is_zero() {
            watched.stand.loses_its_turn(16).await;
        } else {
            stays(&watched.stand).await;
        }
        assert_eq!(std::fs::read_dir(&directory).expect("there").count(), files);
    }
}

#[tokio::test]
async fn a_turn_that_has_become_anothers_is_not_lost() {
    let Watched { stand, .. } = watched(100).await;
    let answer = stand.block(GENESIS, 1).await;
    let mut known = snapshot([stand.gateways[0].url(), stand.gateways[1].url()]);
    known.schedule.insert(EpochSchedule { epoch: 0, slots: [(2, Kind::Fallback); 32] });
    stand.publisher.publish(known);
    stand.adopt(&answer["result"]).await;
    stays(&stand).await;
}

#[tokio::test]
async fn who_takes_the_rule_away_gives_turns_back() {
    let Watched { mut stand, .. } = watched(100).await;
    let answer = stand.block(GENESIS, 1).await;
    let head = stand.adopt(&answer["result"]).await;
    stand.loses_its_turn(16).await;
    assert_eq!(builder(&stand.block(head, 2).await), "fallback");
    let config = stand.config();
    stand.portal.reload(&config).expect("right");
    assert_eq!(builder(&stand.block(head, 2).await), "gateway 1");
}
