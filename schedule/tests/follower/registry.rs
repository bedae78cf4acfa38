//! Schedule, gateways and URLs as the real registry has them.

use crate::{
    l1::{EPOCH, L1, until, until_snapshot},
    wire::{Fault, Wire},
};
use alloy::primitives::{Address, U256};
use baton_protocol::{NOBODY, SlotClock};
use baton_schedule::{Follower, FollowerConfig, Snapshot};
use serde_json::json;
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use tokio_util::sync::CancellationToken;

#[tokio::test]
async fn follows_schedule_gateways_and_urls_through_reorgs_and_outages() {
    let mut l1 = L1::start().await;
    l1.register(1).await;
    l1.register(2).await;
    l1.pass(2 * EPOCH).await;
    let mut config = l1.config();
    // The first node is down: nobody listens on that port.
    config.l1_urls.insert(0, "http://127.0.0.1:1".into());
    let shutdown = CancellationToken::new();
    let mut handle = Follower::spawn(config, shutdown.clone()).expect("a good configuration");
    let snapshot = tokio::time::timeout(Duration::from_secs(30), handle.known()).await.expect("in time").expect("read");

    // Gateways as they registered, and the operator under id 0.
    assert_eq!(snapshot.stale, None);
    assert_eq!(snapshot.gateways.keys().copied().collect::<Vec<_>>(), [NOBODY, 1, 2]);
    assert_eq!(snapshot.gateways[&NOBODY].keys.current, Address::repeat_byte(0xfb));
    assert!(!snapshot.gateways[&NOBODY].eligible);
    let one = &snapshot.gateways[&1];
    assert!(one.eligible);
    assert_eq!((one.urls.endpoint.as_str(), one.urls.feed.as_str()), ("http://gateway-1", "ws://gateway-1"));
    assert_eq!(one.settler, Address::repeat_byte(1));
    let head = snapshot.l1_head.expect("known");
    let epoch = SlotClock::epoch_of(l1.clock.slot_at(head.timestamp));
    assert_eq!(one.keys.at(epoch), Some(Address::repeat_byte(0x81)));

    // Every slot of every epoch known is what the contract says, the next epoch's included.
    let known: Vec<_> = snapshot.schedule.epochs().map(|known| known.epoch).collect();
    assert_eq!(known.last(), Some(&(epoch + 1)));
    assert!(known.contains(&epoch));
    for slot in SlotClock::epoch_start(known[0])..SlotClock::epoch_start(epoch + 2) {
        let says = l1.contract().gatewayAt(U256::from(slot)).call().await.expect("an answer");
        assert_eq!(snapshot.schedule.gateway_at(slot), Ok(says), "slot {slot}");
    }
    assert_ne!(snapshot.schedule.gateway_at(SlotClock::epoch_start(epoch)), Ok(NOBODY));

    // A change is seen, and seen no more once its block is gone.
    l1.set_urls(1, "http://moved").await;
    let endpoint = |snapshot: &Snapshot, endpoint: &str| snapshot.gateways[&1].urls.endpoint == endpoint;
    let moved = until_snapshot(&handle, "the new URL", |now| endpoint(now, "http://moved")).await;
    l1.anvil("anvil_reorg", json!([1, []])).await;
    let back = until_snapshot(&handle, "the old URL", |now| endpoint(now, "http://gateway-1")).await;
    assert_ne!(back.l1_head.map(|head| head.hash), moved.l1_head.map(|head| head.hash));

    // A new epoch begins: one more is known, and old ones are forgotten.
    l1.pass(6 * EPOCH).await;
    let later = until_snapshot(&handle, "later epochs", |now| now.schedule.contains(epoch + 7)).await;
    assert!(!later.schedule.contains(epoch + 1));

    // Without an L1 the last good snapshot stays, and says so.
    l1.stop().await;
    let stale = until_snapshot(&handle, "staleness", |now| now.stale.is_some()).await;
    assert_eq!(stale.schedule, later.schedule);
    assert_eq!(stale.gateways, later.gateways);
    shutdown.cancel();
    until("the follower's end", async || handle.changed().await.is_err()).await;
}

#[tokio::test]
async fn the_next_epoch_is_known_once_it_is_fixed() {
    // [S1]: while somebody can still publish it, nobody knows who owns its slots.
    let l1 = L1::start_with_verifier().await;
    let handle = Follower::spawn(l1.config(), CancellationToken::new()).expect("a good configuration");
    let epoch = SlotClock::epoch_of(
        l1.clock.slot_at(until_snapshot(&handle, "a head", Snapshot::is_known).await.l1_head.expect("known").timestamp),
    ) + 3;
    // [S6]: two slots of delay and sixteen of margin before the epoch begins.
    let deadline = SlotClock::epoch_start(epoch + 1) - 2 - 16;
    let at = |timestamp| move |now: &Snapshot| now.l1_head.is_some_and(|head| head.timestamp == timestamp);
    l1.mine(deadline - 1).await;
    let before = until_snapshot(&handle, "the slot before", at(l1.clock.slot_start(deadline - 1))).await;
    assert!(before.stale.is_none() && before.schedule.contains(epoch) && !before.schedule.contains(epoch + 1));
    l1.mine(deadline).await;
    let fixed = until_snapshot(&handle, "the deadline", at(l1.clock.slot_start(deadline))).await;
    assert!(fixed.schedule.contains(epoch + 1));
    // A reorg puts a block from before the deadline in its place: it may be published after all.
    l1.anvil("anvil_rollback", json!([1])).await;
    let late = l1.clock.slot_start(deadline - 1) + 1;
    l1.mine_at(late).await;
    let back = until_snapshot(&handle, "the reorg", at(late)).await;
    assert!(back.schedule.contains(epoch) && !back.schedule.contains(epoch + 1));
}

#[tokio::test]
async fn what_dropped_blocks_had_fixed_is_forgotten_however_late_it_is() {
    let l1 = L1::start().await;
    let handle = Follower::spawn(l1.config(), CancellationToken::new()).expect("a good configuration");
    let known = until_snapshot(&handle, "a first snapshot", Snapshot::is_known).await;
    let timestamp = known.l1_head.expect("known").timestamp;
    let epoch = SlotClock::epoch_of(l1.clock.slot_at(timestamp));
    l1.mine_at(timestamp + EPOCH).await;
    until_snapshot(&handle, "the next epoch", |now| now.schedule.contains(epoch + 2)).await;
    l1.anvil("anvil_rollback", json!([1])).await;
    l1.mine_at(timestamp + 1).await;
    let back = |now: &Snapshot| now.l1_head.is_some_and(|head| head.timestamp == timestamp + 1);
    let back = until_snapshot(&handle, "the reorg", back).await;
    let known: Vec<_> = back.schedule.epochs().map(|known| known.epoch).collect();
    assert_eq!(known, (0..=epoch + 1).collect::<Vec<_>>());
}

#[tokio::test]
async fn an_epoch_that_is_not_fixed_is_told_without_the_registrys_reason() {
    let l1 = L1::start_with_verifier().await;
    let now = l1.clock.slot_at(SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970").as_secs());
    let epoch = SlotClock::epoch_of(now) + 3;
    l1.mine(SlotClock::epoch_start(epoch)).await;
    let wire = Wire::to(&l1.ws_url(), Fault::BareReverts).await;
    let config = |clock| FollowerConfig { clock, l1_urls: vec![wire.url.as_str().into()], ..l1.config() };
    let handle = Follower::spawn(config(l1.clock), CancellationToken::new()).expect("a good configuration");
    let begun = until_snapshot(&handle, "a first snapshot", Snapshot::is_known).await;
    assert!(begun.stale.is_none() && begun.schedule.contains(epoch) && !begun.schedule.contains(epoch + 1));
    l1.mine(SlotClock::epoch_start(epoch + 1) - 2 - 16).await;
    let fixed = until_snapshot(&handle, "the deadline", |now| now.schedule.contains(epoch + 1)).await;
    assert!(fixed.stale.is_none());
    // By this clock the next epoch's blocks are due, and by the contract's it can't be known. Nothing is to be taken from that.
    let late = SlotClock { l1_genesis_time: l1.clock.l1_genesis_time - 17 * l1.clock.slot_length, ..l1.clock };
    let handle = Follower::spawn(config(late), CancellationToken::new()).expect("a good configuration");
    l1.mine(SlotClock::epoch_start(epoch + 2) - 19).await;
    let refused = |now: &Snapshot| now.stale.as_deref().is_some_and(|why| why.contains("reverted"));
    until_snapshot(&handle, "the refusal", refused).await;
}

#[tokio::test]
async fn a_clock_that_is_not_the_contracts_is_named() {
    let l1 = L1::start().await;
    let mut config = l1.config();
    // By this clock it is later than it is.
    config.clock.l1_genesis_time -= 4 * EPOCH;
    let handle = Follower::spawn(config, CancellationToken::new()).expect("a good configuration");
    let reason = "set `clock`";
    until_snapshot(&handle, reason, |now| now.stale.as_deref().is_some_and(|why| why.contains(reason))).await;
    assert!(!handle.snapshot().is_known());
}

#[tokio::test]
async fn a_head_that_stays_is_taken_and_marked() {
    let l1 = L1::start().await;
    let mut config = l1.config();
    config.max_head_age = Duration::from_secs(1);
    let handle = Follower::spawn(config, CancellationToken::new()).expect("a good configuration");
    // Nothing is mined, so the head grows old.
    let stuck = |now: &Snapshot| now.is_known() && now.stale.as_deref().is_some_and(|why| why.contains("stalled"));
    until_snapshot(&handle, "a stuck head", stuck).await;
    // Far enough ahead not to grow old again before it is seen.
    l1.pass(600).await;
    until_snapshot(&handle, "freshness", |now| now.stale.is_none()).await;
}
