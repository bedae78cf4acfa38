//! Nodes that are behind: as a whole, or with their events.

use crate::{
    l1::{L1, until, until_snapshot},
    log::Log,
    wire::{Fault, Wire},
};
use alloy::{eips::BlockNumberOrTag, providers::Provider};
use baton_schedule::{Follower, FollowerConfig, Handle, Snapshot};
use serde_json::json;
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use tokio_util::sync::CancellationToken;

const EVENTS: &str = "eth_getLogs";
const BLOCKS: &str = "eth_getBlockByNumber";

fn follow(l1: &L1, wires: [&Wire; 2], poll_interval: Duration) -> Handle {
    let l1_urls = wires.iter().map(|wire| wire.url.as_str().into()).collect();
    let max_head_age = Duration::from_secs(1);
    // However busy the machine is.
    let request_timeout = Duration::from_secs(30);
    let config = FollowerConfig { l1_urls, poll_interval, max_head_age, request_timeout, ..l1.config() };
    Follower::spawn(config, CancellationToken::new()).expect("a good configuration")
}

fn endpoint(snapshot: &Snapshot) -> &str {
    snapshot.gateways.get(&1).map_or("", |info| &info.urls.endpoint)
}

fn number(snapshot: &Snapshot) -> Option<u64> {
    snapshot.l1_head.map(|head| head.number)
}

/// An L1 whose head is far from being old, and the last of its blocks that are.
async fn with_old_blocks() -> (L1, u64) {
    let l1 = L1::start().await;
    l1.register(1).await;
    l1.set_urls(1, "http://old").await;
    l1.anvil("anvil_mine", json!([2])).await;
    let newest = || async {
        let head = l1.provider.get_block_by_number(BlockNumberOrTag::Latest).await.expect("an answer");
        head.expect("a head").header.inner
    };
    let old = newest().await;
    l1.pass(600).await;
    l1.set_urls(1, "http://new").await;
    let now = || SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970").as_secs();
    until("the blocks are old", async || now() > old.timestamp + 1).await;
    (l1, old.number)
}

#[tokio::test]
async fn a_stuck_node_does_not_take_back_what_a_better_one_said() {
    let (l1, old) = with_old_blocks().await;
    let stuck = Wire::to(&l1.ws_url(), Fault::StuckAt(old)).await;
    let good = Wire::to(&l1.ws_url(), Fault::Nothing).await;
    let handle = follow(&l1, [&stuck, &good], Duration::from_millis(20));
    let known = until_snapshot(&handle, "the good one's head", |now| now.is_known() && now.stale.is_none()).await;
    assert_eq!(endpoint(&known), "http://new");
    good.set(Fault::Refuses);
    until_snapshot(&handle, "staleness", |now| now.stale.is_some()).await;
    let asked = stuck.asked(BLOCKS);
    until("more looks", async || stuck.asked(BLOCKS) > asked + 3).await;
    let kept = handle.snapshot();
    assert_eq!((kept.l1_head, endpoint(&kept)), (known.l1_head, "http://new"));

    // A node that keeps up is followed wherever it goes, down as well.
    good.set(Fault::Nothing);
    until_snapshot(&handle, "freshness", |now| now.stale.is_none()).await;
    let height = number(&known).expect("known");
    l1.anvil("anvil_mine", json!([2])).await;
    until_snapshot(&handle, "two more blocks", |now| number(now) == Some(height + 2)).await;
    l1.anvil("anvil_rollback", json!([3])).await;
    l1.pass(1).await;
    let back = until_snapshot(&handle, "the reorg", |now| number(now) == Some(height)).await;
    assert_eq!((endpoint(&back), back.stale.as_deref()), ("http://old", None));
}

#[tokio::test]
async fn of_stuck_nodes_the_newest_is_taken() {
    let (log, _guard) = Log::of(tracing::Level::WARN);
    let (l1, old) = with_old_blocks().await;
    let stuck = Wire::to(&l1.ws_url(), Fault::StuckAt(old - 2)).await;
    let newer = Wire::to(&l1.ws_url(), Fault::StuckAt(old - 1)).await;
    let handle = follow(&l1, [&stuck, &newer], Duration::from_millis(20));
    let snapshot = until_snapshot(&handle, "a first snapshot", Snapshot::is_known).await;
    assert_eq!(number(&snapshot), Some(old - 1));
    assert!(snapshot.stale.as_deref().is_some_and(|why| why.contains("stalled")), "{:?}", snapshot.stale);
    assert!(log.text().contains("as old as the newest head"), "{}", log.text());
    // One more block isn't much, and is more than nothing.
    stuck.set(Fault::StuckAt(old));
    let snapshot = until_snapshot(&handle, "a newer head", |now| number(now) == Some(old)).await;
    assert!(snapshot.stale.is_some());
}

#[tokio::test]
async fn a_stuck_node_that_has_nothing_newer_does_not_hide_one_that_has() {
    let (log, _guard) = Log::of(tracing::Level::DEBUG);
    // The second chain's head is later, but of fewer blocks.
    let (l1, other_l1) = (L1::begun(100).await, L1::begun(50).await);
    l1.anvil("anvil_mine", json!([5])).await;
    let height = l1.provider.get_block_number().await.expect("an answer");
    let stuck = Wire::to(&l1.ws_url(), Fault::StuckAt(height - 1)).await;
    let other = Wire::to(&other_l1.ws_url(), Fault::Refuses).await;
    let handle = follow(&l1, [&stuck, &other], Duration::from_millis(20));
    until_snapshot(&handle, "a first snapshot", |now| number(now) == Some(height - 1)).await;
    other.set(Fault::Nothing);
    let asked = other.asked(BLOCKS);
    until("looks at both", async || other.asked(BLOCKS) > asked + 4).await;
    stuck.set(Fault::StuckAt(height));
    let snapshot = until_snapshot(&handle, "a newer head", |now| number(now) == Some(height)).await;
    assert!(snapshot.stale.is_some());
    // That it has nothing newer is no failure.
    assert!(!log.text().contains("with an old head failed"), "{}", log.text());
}

#[tokio::test]
async fn an_event_that_is_found_later_than_its_block_is_not_missed() {
    let l1 = L1::start().await;
    l1.register(1).await;
    l1.anvil("anvil_mine", json!([100])).await;
    let wire = Wire::to(&l1.ws_url(), Fault::Nothing).await;
    let config = FollowerConfig {
        l1_urls: vec![wire.url.as_str().into()],
        poll_interval: Duration::from_secs(3600),
        ..l1.config()
    };
    let handle = Follower::spawn(config, CancellationToken::new()).expect("a good configuration");
    let known = until_snapshot(&handle, "a first snapshot", Snapshot::is_known).await;
    let height = number(&known).expect("known");
    let asked = wire.asked(EVENTS);
    wire.set(Fault::FindsNothing);
    l1.set_urls(1, "http://moved").await;
    let missed = until_snapshot(&handle, "the block of the event", |now| number(now) == Some(height + 1)).await;
    assert_eq!(endpoint(&missed), "http://gateway-1");
    wire.set(Fault::Nothing);
    l1.pass(1).await;
    let found = until_snapshot(&handle, "the next block", |now| number(now) == Some(height + 2)).await;
    assert_eq!(endpoint(&found), "http://moved");
    // One query a head, as ever.
    assert_eq!(wire.asked(EVENTS) - asked, 2);
}
