//! Whether gateways sign their blocks once those are adopted.

use super::{Proxy, attempt::Attempt, lock};
use crate::{
    builds::Build,
    config::feed_uri,
    lane::Building,
    route::Owner,
    soft_blocks::{self, Expected, Seen, Shelf, SoftBlockRule, Verdict},
    telemetry,
    upstream::Upstream,
};
use alloy::primitives::B256;
use std::{sync::Arc, time::Duration};
use tracing::{debug, info, warn};

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
            let expected = Expected {
                gateway,
                number,
                parent: build.demand.parent,
                hash: payload.block_hash,
                payload: payload.result.clone(),
            };
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
        let uri = live.feeds.get(&gateway).cloned().or_else(registered);
        let taken_by = uri.as_ref().and_then(|uri| self.gateways.taken_by(uri));
        let seen = match (uri, taken_by) {
            (Some(_), Some(taken_by)) => {
                warn!(gateway, number, taken_by, "a gateway's feed leads to the portal's own side and isn't read");
                Seen::default()
            }
            (Some(uri), None) => {
                // Feeds are public: they get no token.
                let feed = Upstream::new(
                    uri,
                    None,
                    soft_blocks::PATIENCE.max(Duration::from_millis(rule.within_ms)),
                    MAX_ANSWER,
                );
                let newest = snapshot.l1_head.map_or(0, |head| head.number);
                soft_blocks::look(&feed, &expected, key, rule, newest).await
            }
            (None, _) => {
                warn!(gateway, number, "a gateway has no feed that can be read; gateways.overrides may give one");
                Seen::default()
            }
        };
        let served = expected.hash;
        let verdict = seen.verdict(&expected);
        match verdict {
            Verdict::Signed => {}
            Verdict::Contradicted => {
                warn!(gateway, number, %served, "a gateway signed two blocks of one number on one base");
            }
            Verdict::Another => {
                warn!(gateway, number, %served, "a gateway signed another block, and not in time the one it built");
            }
            Verdict::WithoutBlock => {
                warn!(gateway, number, %served, "a gateway's soft block is in its feed without its block");
            }
            Verdict::Nothing => warn!(gateway, number, "a gateway's soft block didn't reach its feed in time"),
        }
        keep_evidence(&seen, &expected, verdict, rule).await;
        if verdict == Verdict::Signed {
            lock(&self.turns).signed(gateway);
            return;
        }
        if lock(&self.turns).unsigned(gateway, rule.after, turn.end) {
            warn!(gateway, number, until_slot = turn.end, "a gateway loses its turn");
            telemetry::turn_lost(gateway);
        }
    }
}

/// Keeps what accuses the gateway or might, if anything does and there is a place for it.
async fn keep_evidence(seen: &Seen, expected: &Expected, verdict: Verdict, rule: &SoftBlockRule) {
    let (Some(directory), Some(evidence)) = (&rule.archive, seen.evidence(expected, &rule.domain())) else { return };
    let Expected { gateway, number, .. } = *expected;
    let shelf = match verdict {
        Verdict::Contradicted | Verdict::Another => Shelf::of_accusing(),
        Verdict::Signed | Verdict::WithoutBlock | Verdict::Nothing => Shelf::of_doubtful(),
    };
    match soft_blocks::keep(directory, &evidence, shelf).await {
        Ok(path) => info!(gateway, number, path = %path.display(), "evidence is archived"),
        Err(error) => {
            warn!(gateway, number, directory = %directory.display(), %error, "evidence can't be archived");
        }
    }
}
