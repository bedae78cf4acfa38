//! Nodes that say what isn't so.

use crate::{
    l1::{L1, until_snapshot},
    wire::{Fault, Wire},
};
use baton_schedule::{Follower, FollowerConfig, Snapshot};
use tokio_util::sync::CancellationToken;

#[tokio::test]
async fn events_that_were_not_asked_for_are_not_taken() {
    let l1 = L1::start().await;
    l1.register(1).await;
    for (field, value) in [("blockNumber", "0x7fffffff"), ("address", "0x0000000000000000000000000000000000000001")] {
        let liar = Wire::to(&l1.ws_url(), Fault::EventsWith(field, value)).await;
        let follow = |l1_urls| {
            let config = FollowerConfig { l1_urls, ..l1.config() };
            Follower::spawn(config, CancellationToken::new()).expect("a good configuration")
        };
        let alone = follow(vec![liar.url.as_str().into()]);
        let told = |now: &Snapshot| now.stale.as_deref().is_some_and(|why| why.contains("weren't asked for"));
        // Another node is followed instead, and nothing of the lie is left.
        let handle = follow(vec![liar.url.as_str().into(), l1.url.as_str().into()]);
        until_snapshot(&handle, "the other node", |now| now.is_known() && now.stale.is_none()).await;
        liar.set(Fault::Refuses);
        let moved = format!("http://moved-{field}");
        l1.set_urls(1, &moved).await;
        until_snapshot(&handle, "a change", |now| now.gateways[&1].urls.endpoint == moved).await;
        liar.set(Fault::EventsWith(field, value));
        until_snapshot(&alone, "a reason", told).await;
        assert!(!alone.snapshot().is_known());
    }
}
