//! Whether gateways sign their blocks once those are adopted.

use super::{Proxy, attempt::Attempt, lock};
use crate::{
    builds::Build,
    config::feed_uri,
    lane::Building,
    route::Owner,
    soft_blocks::{self, Expected, Said},
    telemetry,
    upstream::Upstream,
};
use alloy::primitives::B256;
use std::{sync::Arc, time::Duration};
use tracing::{debug, warn};

/// The largest answer of a feed, in bytes: one block of the largest size that is gossiped, in hexadecimal.
const MAX_ANSWER: usize = 24 << 20;

impl Proxy {
    /// Keeps in mind that a gateway's payload was served, if somebody wants to know whether it signs it.
    pub(super) fn expect_soft_block(&self, build: &Build<Building>, attempt: Option<&Attempt>) {
        let payload = attempt.and_then(|attempt| attempt.payload.as_ref());
        let (Some(payload), Some(number), Owner::Ask(gateway)) = (payload, build.demand.number, build.owner) else {
            return;
        };
        if self.live().soft_blocks.is_some() {
            let expected = Expected { gateway, number, hash: payload.block_hash, payload: payload.result.clone() };
            *lock(&self.served) = Some(expected);
        }
    }

    /// op-node has a new head. If a gateway built it, its time for signing runs.
    pub(super) fn adopted(self: &Arc<Self>, head: B256) {
        let mut served = lock(&self.served);
        if served.as_ref().is_some_and(|expected| expected.hash == head)
            && let Some(expected) = served.take()
        {
            let proxy = self.clone();
            // Reading what a feed says and recovering its keys takes a processor for longer than op-node's calls may wait.
            self.elsewhere.spawn(async move { proxy.watch_feed(expected).await });
        }
    }

    async fn watch_feed(&self, expected: Expected) {
        let live = self.live();
        let Some(rule) = &live.soft_blocks else { return };
        let Expected { gateway, number, .. } = expected;
        let snapshot = self.schedule.snapshot();
        let slot = snapshot.clock.owner_slot(number);
        let (Some(key), Ok(turn)) = (snapshot.key_of_block(number), snapshot.schedule.window_at(slot)) else {
            debug!(gateway, number, "whose turn it was isn't known any more");
            return;
        };
        if turn.gateway != gateway {
            debug!(gateway, number, now = turn.gateway, "an L1 reorg has made it another's turn");
            return;
        }
        let registered = || snapshot.gateways.get(&gateway).and_then(|info| feed_uri(&info.urls.feed));
        let said = match live.feeds.get(&gateway).cloned().or_else(registered) {
            Some(uri) => {
                // Feeds are public: they get no token.
                let feed = Upstream::new(
                    uri,
                    None,
                    soft_blocks::PATIENCE.max(Duration::from_millis(rule.within_ms)),
                    MAX_ANSWER,
                );
                soft_blocks::look(&feed, &expected, key, rule).await
            }
            None => {
                warn!(gateway, number, "a gateway has no feed that can be read; gateways.overrides may give one");
                Said::Nothing
            }
        };
        let (another, is_signed) = match said {
            Said::Signed(another) => (another, true),
            Said::Another(item) => (Some(item), false),
            Said::Nothing => (None, false),
        };
        match &another {
            Some(item) => {
                warn!(gateway, number, is_signed, served = %expected.hash, "a gateway signed another block than the one it built");
                if let Some(directory) = &rule.archive {
                    soft_blocks::archive(directory, &expected, item).await;
                }
            }
            None if is_signed => {}
            None => warn!(gateway, number, "a gateway's soft block didn't reach its feed in time"),
        }
        if is_signed {
            lock(&self.turns).signed(gateway);
            return;
        }
        if lock(&self.turns).unsigned(gateway, rule.after, turn.end) {
            warn!(gateway, number, until_slot = turn.end, "a gateway loses its turn");
            telemetry::turn_lost(gateway);
        }
    }
}
