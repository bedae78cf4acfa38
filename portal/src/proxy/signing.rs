//! Whether gateways sign their blocks once those are adopted.

use super::{Proxy, attempt::Attempt, lock};
use crate::{
    breaker::Fault,
    builds::Build,
    config::http_uri,
    lane::Building,
    route::Owner,
    soft_blocks::{self, Expected, Said},
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
            tokio::spawn(async move { proxy.watch_feed(expected).await });
        }
    }

    async fn watch_feed(&self, expected: Expected) {
        let Some(rule) = self.live().soft_blocks.clone() else { return };
        let Expected { gateway, number, .. } = expected;
        let snapshot = self.schedule.snapshot();
        let feed = snapshot.gateways.get(&gateway).map(|info| info.urls.feed.replacen("ws://", "http://", 1));
        let (Some(uri), Some(key)) = (feed.as_deref().and_then(http_uri), snapshot.key_of_block(number)) else {
            debug!(gateway, number, "no feed or key to look for a soft block with");
            return;
        };
        // Feeds are public: they get no token.
        let feed = Upstream::new(uri, None, Duration::from_millis(rule.within_ms), MAX_ANSWER);
        let said = soft_blocks::look(&feed, &expected, key, &rule).await;
        match &said {
            Said::Signed => {
                self.clear(gateway, Fault::Unsigned);
                return;
            }
            Said::Another(item) => {
                warn!(gateway, number, served = %expected.hash, "a gateway signed another block than the one it built");
                if let Some(directory) = &rule.archive {
                    soft_blocks::archive(directory, &expected, item).await;
                }
            }
            Said::Nothing => warn!(gateway, number, "a gateway's soft block didn't reach its feed in time"),
        }
        self.note(gateway, Some(Fault::Unsigned));
    }
}
