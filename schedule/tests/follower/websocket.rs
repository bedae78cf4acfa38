//! Following over websockets. Where the poll interval is an hour, what is seen is seen because the node announced it.

use crate::{
    l1::{EPOCH, L1, until, until_snapshot},
    log::Log,
    wire::{Fault, Wire},
};
use baton_protocol::SlotClock;
use baton_schedule::{Follower, FollowerConfig, Handle, Snapshot};
use serde_json::json;
use std::time::{Duration, Instant};
use tokio_util::sync::CancellationToken;

const HOUR: Duration = Duration::from_secs(3600);
const SOON: Duration = Duration::from_millis(20);
/// Longer than an answer takes on a busy machine, short enough to be waited for.
const PATIENCE: Duration = Duration::from_secs(1);

fn config(l1: &L1, urls: &[&str], poll_interval: Duration) -> FollowerConfig {
    let l1_urls = urls.iter().map(|url| (*url).into()).collect();
    FollowerConfig { l1_urls, poll_interval, request_timeout: PATIENCE, ..l1.config() }
}

async fn follow(l1: &L1, urls: &[&str], poll_interval: Duration) -> Handle {
    let handle = spawn(l1, urls, poll_interval);
    until_snapshot(&handle, "a first snapshot", |now| now.is_known() && now.stale.is_none()).await;
    handle
}

fn spawn(l1: &L1, urls: &[&str], poll_interval: Duration) -> Handle {
    Follower::spawn(config(l1, urls, poll_interval), CancellationToken::new()).expect("a good configuration")
}

fn endpoint(snapshot: &Snapshot) -> &str {
    snapshot.gateways.get(&1).map_or("", |info| &info.urls.endpoint)
}

/// Changes something on the L1 and waits until the follower knows; says how long that took.
async fn change_is_seen(l1: &L1, handle: &Handle, to: &str) -> Duration {
    l1.set_urls(1, to).await;
    let changed = Instant::now();
    until_snapshot(handle, to, |now| endpoint(now) == to && now.stale.is_none()).await;
    changed.elapsed()
}

#[tokio::test]
async fn an_announced_head_is_read_at_once() {
    let l1 = L1::start().await;
    let handle = follow(&l1, &[&l1.ws_url()], HOUR).await;

    // A registration, and what it does to the schedule.
    l1.register(1).await;
    let registered = Instant::now();
    let seen = until_snapshot(&handle, "the gateway", |now| endpoint(now) == "http://gateway-1").await;
    assert!(registered.elapsed() < PATIENCE, "{:?}", registered.elapsed());
    let epoch = SlotClock::epoch_of(l1.clock.slot_at(seen.l1_head.expect("known").timestamp));
    l1.pass(2 * EPOCH).await;
    let owned = |now: &Snapshot| now.schedule.gateway_at(SlotClock::epoch_start(epoch + 3)) == Ok(1);
    until_snapshot(&handle, "the gateway's slots", owned).await;

    // A reorg takes back what its blocks had brought.
    assert!(change_is_seen(&l1, &handle, "http://moved").await < PATIENCE);
    let moved = handle.snapshot();
    l1.anvil("anvil_reorg", json!([1, []])).await;
    let back = until_snapshot(&handle, "the old URL", |now| endpoint(now) == "http://gateway-1").await;
    assert_ne!(back.l1_head.map(|head| head.hash), moved.l1_head.map(|head| head.hash));
}

#[tokio::test]
async fn a_burst_of_heads_is_few_looks() {
    let l1 = L1::start().await;
    let wire = Wire::to(&l1.ws_url(), Fault::Nothing).await;
    let handle = follow(&l1, &[&wire.url], HOUR).await;
    // A look reads the newest block, and that block again by its number at the end.
    let looks = || wire.asked("eth_getBlockByNumber");
    let before = looks();
    let known = handle.snapshot().l1_head.expect("known").number;
    wire.set(Fault::Held);
    l1.anvil("anvil_mine", json!([200])).await;
    wire.set(Fault::Nothing);
    let last = |now: &Snapshot| now.l1_head.is_some_and(|head| head.number == known + 200);
    until_snapshot(&handle, "the last head", last).await;
    tokio::time::sleep(Duration::from_millis(500)).await;
    assert!(looks() - before < 12, "{} reads for 200 heads", looks() - before);
}

#[tokio::test]
async fn a_node_that_comes_back_is_dialled_again_and_announces_again() {
    let mut l1 = L1::start().await;
    l1.register(1).await;
    l1.stop().await;
    // It isn't there yet.
    let began = Instant::now();
    let handle = spawn(&l1, &[&l1.ws_url()], HOUR);
    assert!(began.elapsed() < PATIENCE / 2, "nothing is dialled before");
    until_snapshot(&handle, "the reason", |now| now.stale.as_deref().is_some_and(|why| why.contains("refused"))).await;
    l1.start_again().await;
    until_snapshot(&handle, "a first snapshot", |now| now.is_known() && now.stale.is_none()).await;
    assert!(change_is_seen(&l1, &handle, "http://first").await < PATIENCE);

    // It goes, which is noticed, and comes back.
    l1.stop().await;
    let stale = until_snapshot(&handle, "staleness", |now| now.stale.is_some()).await;
    assert_eq!(endpoint(&stale), "http://first");
    l1.start_again().await;
    until_snapshot(&handle, "freshness", |now| now.stale.is_none()).await;
    assert!(change_is_seen(&l1, &handle, "http://second").await < PATIENCE);
}

#[tokio::test]
async fn the_next_node_is_used_while_a_websocket_is_down_and_the_first_again_when_the_next_fails() {
    let (log, _guard) = Log::of(tracing::Level::WARN);
    let l1 = L1::start().await;
    l1.register(1).await;
    // Nobody listens on the first one's port.
    let handle = follow(&l1, &["ws://127.0.0.1:1", &l1.url], SOON).await;
    change_is_seen(&l1, &handle, "http://over-http").await;
    // Which, to which, and why.
    let said = |what: &str, parts: &[&str]| {
        let log = log.text();
        let line = log.lines().find(|line| line.contains(what)).unwrap_or_else(|| panic!("{log}"));
        assert!(parts.iter().all(|part| line.contains(part)), "{line}");
    };
    said("another one is followed", &["ws://127.0.0.1:1: ", "refused", &format!("to={}", l1.url)]);
    // And each, when none can be read.
    let _handle = spawn(&l1, &["ws://127.0.0.1:1", "http://127.0.0.1:2"], SOON);
    until("a word about it", async || log.text().contains("can't be refreshed")).await;
    said("can't be refreshed", &["ws://127.0.0.1:1: ", "http://127.0.0.1:2: "]);

    // One that goes down while it is followed.
    let (one, two) = (Wire::to(&l1.ws_url(), Fault::Nothing).await, Wire::to(&l1.ws_url(), Fault::Nothing).await);
    let handle = follow(&l1, &[&one.url, &two.url], HOUR).await;
    one.set(Fault::HangsUp);
    one.cut();
    until("the second node", async || two.connections() == 1 && handle.snapshot().stale.is_none()).await;
    assert!(change_is_seen(&l1, &handle, "http://over-two").await < PATIENCE);
    one.set(Fault::Nothing);
    let before = one.connections();
    two.set(Fault::HangsUp);
    two.cut();
    until("the first node again", async || one.connections() > before).await;
    assert!(change_is_seen(&l1, &handle, "http://over-one").await < PATIENCE);
}

#[tokio::test]
async fn a_node_that_claims_ages_of_blocks_is_not_asked_for_them() {
    let l1 = L1::start().await;
    l1.register(1).await;
    let liar = Wire::to(&l1.ws_url(), Fault::Lies(i64::MAX.unsigned_abs() / 2)).await;
    let handle = follow(&l1, &[&liar.url, &l1.url], SOON).await;
    assert!(change_is_seen(&l1, &handle, "http://over-the-other").await < PATIENCE);
    assert_eq!(liar.asked("eth_getLogs"), 0);
    // With no other there is no schedule, and the reason is said.
    let handle = spawn(&l1, &[&liar.url], SOON);
    let snapshot =
        until_snapshot(&handle, "a reason", |now| now.stale.as_ref().is_some_and(|why| why.contains("can't be true")))
            .await;
    assert!(!snapshot.is_known());
}

#[tokio::test]
async fn while_all_nodes_are_down_each_is_tried_and_afterwards_nobody_is_asked_for_nothing() {
    let l1 = L1::start().await;
    l1.register(1).await;
    let (one, two) = (Wire::to(&l1.ws_url(), Fault::HangsUp).await, Wire::to(&l1.ws_url(), Fault::HangsUp).await);
    let handle = spawn(&l1, &[&one.url, &two.url], HOUR);
    until("several tries of both", async || one.connections() > 2 && two.connections() > 2).await;
    assert!(!handle.snapshot().is_known());
    two.set(Fault::Nothing);
    until_snapshot(&handle, "a first snapshot", |now| now.is_known() && now.stale.is_none()).await;
    // The first one's pause ends, which is of no interest any more.
    let (tries, asked) = (one.connections(), two.asked("eth_getBlockByNumber"));
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!((one.connections(), two.asked("eth_getBlockByNumber")), (tries, asked));
    assert!(change_is_seen(&l1, &handle, "http://over-two").await < PATIENCE);
}

#[tokio::test]
async fn only_the_node_that_is_followed_is_connected() {
    let l1 = L1::start().await;
    l1.register(1).await;
    let (one, two) = (Wire::to(&l1.ws_url(), Fault::Nothing).await, Wire::to(&l1.ws_url(), Fault::Nothing).await);
    let handle = follow(&l1, &[&one.url, &two.url], SOON).await;
    change_is_seen(&l1, &handle, "http://over-one").await;
    assert_eq!((one.open(), two.connections()), (1, 0));
    // It answers, but with errors: that is no reason to hang up, that another is followed is.
    one.set(Fault::Refuses);
    until("the other node alone", async || (one.open(), two.open()) == (0, 1)).await;
    change_is_seen(&l1, &handle, "http://over-two").await;
    assert_eq!((one.connections(), two.connections()), (1, 1));
}

#[tokio::test]
async fn a_websocket_that_says_nothing_is_given_up_in_time() {
    let l1 = L1::start().await;
    l1.register(1).await;
    for fault in [Fault::Dead, Fault::Silent] {
        let wire = Wire::to(&l1.ws_url(), fault).await;
        let began = Instant::now();
        let handle = follow(&l1, &[&wire.url, &l1.url], SOON).await;
        assert!(began.elapsed() >= PATIENCE && began.elapsed() < 3 * PATIENCE, "{fault:?}: {:?}", began.elapsed());
        change_is_seen(&l1, &handle, &format!("http://{fault:?}")).await;
    }
    // A connection that was good falls silent, as when the other side's machine is gone.
    let wire = Wire::to(&l1.ws_url(), Fault::Nothing).await;
    let handle = follow(&l1, &[&wire.url, &l1.url], SOON).await;
    wire.set(Fault::Silent);
    change_is_seen(&l1, &handle, "http://half-open").await;
    // Alone, it is dialled anew.
    let alone = Wire::to(&l1.ws_url(), Fault::Nothing).await;
    let handle = follow(&l1, &[&alone.url], SOON).await;
    alone.set(Fault::Silent);
    until_snapshot(&handle, "staleness", |now| now.stale.as_deref().is_some_and(|why| why.contains("too long"))).await;
    alone.set(Fault::Nothing);
    change_is_seen(&l1, &handle, "http://anew").await;
    assert!(alone.connections() > 1);
}

#[tokio::test]
async fn a_node_that_announces_nothing_is_polled() {
    let l1 = L1::start().await;
    l1.register(1).await;
    for fault in [Fault::Unannounced, Fault::NoSubscriptions] {
        let wire = Wire::to(&l1.ws_url(), fault).await;
        let handle = follow(&l1, &[&wire.url], SOON).await;
        change_is_seen(&l1, &handle, &format!("http://{fault:?}")).await;
        assert_eq!(wire.connections(), 1);
    }
}

#[tokio::test]
async fn a_node_that_hangs_up_is_dialled_with_pauses() {
    let l1 = L1::start().await;
    let wire = Wire::to(&l1.ws_url(), Fault::HangsUp).await;
    let handle = spawn(&l1, &[&wire.url], SOON);
    tokio::time::sleep(Duration::from_millis(1500)).await;
    // After 0, 0.1, 0.3, 0.7 and 1.5 seconds, though it is looked fifty times a second.
    assert!((3..=5).contains(&wire.connections()), "{}", wire.connections());
    let why = handle.snapshot().stale.clone();
    assert!(why.is_some_and(|why| why.starts_with("L1 node: ")), "{:?}", handle.snapshot().stale);
}

#[tokio::test]
async fn the_loss_of_a_steady_connection_is_no_reason_to_change_nodes() {
    let l1 = L1::start().await;
    l1.register(1).await;
    let wire = Wire::to(&l1.ws_url(), Fault::Nothing).await;
    // Over HTTP nothing would be seen for an hour.
    let handle = follow(&l1, &[&wire.url, &l1.url], HOUR).await;
    // Where no announcements end with the connection, its loss is found by asking.
    let polled = Wire::to(&l1.ws_url(), Fault::NoSubscriptions).await;
    let _other = follow(&l1, &[&polled.url, &l1.url], SOON).await;
    let silent = Wire::to(&l1.ws_url(), Fault::Nothing).await;
    let third = follow(&l1, &[&silent.url, &l1.url], SOON).await;
    tokio::time::sleep(Duration::from_millis(5200)).await;
    wire.cut();
    polled.cut();
    until("other connections", async || (wire.connections(), polled.connections()) == (2, 2)).await;
    assert!(change_is_seen(&l1, &handle, "http://again").await < PATIENCE);
    // One that is there and says nothing isn't waited for a second time before the next node is asked.
    silent.set(Fault::Silent);
    change_is_seen(&l1, &third, "http://over-http").await;
    assert_eq!(silent.connections(), 1);
}
