//! Reading a long past, which takes many queries of which any may fail.

use crate::{
    l1::{L1, until, until_snapshot},
    wire::{Fault, Wire},
};
use baton_schedule::{Follower, FollowerConfig, Handle, Snapshot};
use serde_json::json;
use std::time::Duration;
use tokio_util::sync::CancellationToken;

const SPAN: u64 = 10;
const EVENTS: &str = "eth_getLogs";

/// An L1 of some hundred blocks.
async fn with_a_past() -> L1 {
    let l1 = L1::start().await;
    l1.register(1).await;
    l1.anvil("anvil_mine", json!([100])).await;
    l1.set_urls(1, "http://moved").await;
    l1.anvil("anvil_mine", json!([60])).await;
    l1
}

/// The same, and a follower on a wire, which reads so many blocks at once.
async fn on_the_way(fault: Fault, span: u64) -> (L1, Wire, Handle) {
    let l1 = with_a_past().await;
    let wire = Wire::to(&l1.ws_url(), fault).await;
    let config = FollowerConfig { l1_urls: vec![wire.url.as_str().into()], log_span: span, ..l1.config() };
    let handle = Follower::spawn(config, CancellationToken::new()).expect("a good configuration");
    (l1, wire, handle)
}

/// The same on a wire that lets only some of the queries through, until they are through.
async fn stopped_on_the_way(queries: usize) -> (L1, Wire, Handle) {
    let (l1, wire, handle) = on_the_way(Fault::FewLogs(queries), SPAN).await;
    until_snapshot(&handle, "a refusal", |now| now.stale.is_some()).await;
    until("the queries that are let through", async || wire.asked(EVENTS) == queries).await;
    (l1, wire, handle)
}

fn endpoint(snapshot: &Snapshot) -> &str {
    snapshot.gateways.get(&1).map_or("", |info| &info.urls.endpoint)
}

#[tokio::test]
async fn what_was_read_before_a_failure_is_not_read_again() {
    let (_l1, wire, handle) = stopped_on_the_way(6).await;
    assert!(!handle.snapshot().is_known());
    wire.set(Fault::Nothing);
    let snapshot = until_snapshot(&handle, "the whole past", Snapshot::is_known).await;
    assert_eq!(endpoint(&snapshot), "http://moved");
    // Each block once, though in shorter queries after those that failed.
    let from = wire.from();
    assert!(from.is_sorted_by(|one, next| one < next) && from[5..7] == [5 * SPAN, 6 * SPAN], "{from:?}");
}

#[tokio::test]
async fn a_reorg_on_the_way_takes_back_what_its_blocks_had_brought_and_no_more() {
    // So many queries reach past the block with the change of URLs.
    let (l1, wire, handle) = stopped_on_the_way(12).await;
    // The node mines the other branch block by block, and nothing of it is to be seen before the end.
    wire.set(Fault::Refuses);
    l1.anvil("anvil_reorg", json!([80, []])).await;
    wire.set(Fault::Nothing);
    let snapshot = until_snapshot(&handle, "the other branch", Snapshot::is_known).await;
    assert_eq!(endpoint(&snapshot), "http://gateway-1");
    // Eight spans are on both branches.
    let from = wire.from();
    assert!(from.len() > 12 && from[12..].iter().all(|first| *first >= 8 * SPAN), "{from:?}");
}

#[tokio::test]
async fn a_head_of_more_blocks_than_there_were_seconds_is_told_by_the_first_span() {
    // Not too many for the seconds since the genesis, three epochs before the first block, by which it is told before any span is read.
    let (l1, wire, handle) = on_the_way(Fault::Lies(3700), SPAN).await;
    let told = |now: &Snapshot| now.stale.as_deref().is_some_and(|why| why.contains("can't be true"));
    let snapshot = until_snapshot(&handle, "a reason", told).await;
    assert!(!snapshot.is_known());
    // Another node is asked.
    let l1_urls = vec![wire.url.as_str().into(), l1.url.as_str().into()];
    let config = FollowerConfig { l1_urls, log_span: SPAN, ..l1.config() };
    let handle = Follower::spawn(config, CancellationToken::new()).expect("a good configuration");
    let snapshot = until_snapshot(&handle, "the other's head", Snapshot::is_known).await;
    assert_eq!(endpoint(&snapshot), "http://moved");
}

#[tokio::test]
async fn who_does_not_answer_about_so_many_blocks_is_asked_about_fewer() {
    for fault in [Fault::ShortLogs(7), Fault::ShortLogs(5), Fault::ShortLogs(1), Fault::SilentLogs(30)] {
        let l1 = with_a_past().await;
        let wire = Wire::to(&l1.ws_url(), fault).await;
        let l1_urls = vec![wire.url.as_str().into()];
        let config = FollowerConfig { l1_urls, request_timeout: Duration::from_millis(500), ..l1.config() };
        let handle = Follower::spawn(config, CancellationToken::new()).expect("a good configuration");
        let snapshot = until_snapshot(&handle, "the whole past", Snapshot::is_known).await;
        assert_eq!(endpoint(&snapshot), "http://moved");
        // What is searched again with each head is no more than one such query is about.
        let (asked, head) = (wire.asked(EVENTS), snapshot.l1_head.expect("known").number);
        l1.anvil("anvil_mine", json!([1])).await;
        until_snapshot(&handle, "the next head", |now| now.l1_head.is_some_and(|now| now.number > head)).await;
        assert!(wire.asked(EVENTS) - asked < 10, "{} queries", wire.asked(EVENTS) - asked);
    }
}

#[tokio::test]
async fn a_span_is_read_in_the_time_of_one_answer() {
    let (_l1, wire, handle) = on_the_way(Fault::LogsInCompany, SPAN).await;
    let snapshot = until_snapshot(&handle, "the whole past", Snapshot::is_known).await;
    assert_eq!(endpoint(&snapshot), "http://moved");
    let blocks = snapshot.l1_head.expect("known").number + 1;
    assert_eq!(wire.asked(EVENTS) as u64, blocks.div_ceil(SPAN));
}

#[tokio::test]
async fn events_of_one_branch_are_not_kept_under_the_blocks_of_another() {
    // The first span holds the change of URLs.
    let (l1, wire, handle) = on_the_way(Fault::BlocksHeld, 120).await;
    until("the events of the first span", async || wire.asked(EVENTS) == 1).await;
    // Its last block is on the branch that hasn't got the change, and so are all that come then.
    l1.anvil("anvil_reorg", json!([80, []])).await;
    wire.set(Fault::Nothing);
    let snapshot = until_snapshot(&handle, "the other branch", Snapshot::is_known).await;
    assert_eq!(endpoint(&snapshot), "http://gateway-1");
}
