//! `getPayload` for a payload whose order the portal hasn't seen: it came before the portal started, or went elsewhere.

use super::{PayloadId, Proxy, attempt::Attempt, passing::Then, serve::Served, unix_now, unreachable_fallback};
use crate::{
    body::Pieces,
    builds::{Build, Mark, Purpose},
    decision::Stages,
    demand::Demand,
    health::Call,
    payload::OwnPayload,
    peek,
    route::{self, Owner, Skip, View},
    selection::{Choice, OwnerOutcome},
    telemetry,
    trace::Ordered,
};
use bytes::Bytes;
use serde_json::value::RawValue;
use std::{
    sync::{Arc, Mutex},
    time::Duration,
};
use tokio::time::Instant;
use tracing::error;

impl Proxy {
    /// Passes on whatever the fallback says.
    pub(super) async fn serve_unknown(
        self: &Arc<Self>,
        id: Option<&RawValue>,
        body: Bytes,
        payload_id: PayloadId,
        started: Instant,
    ) -> (Pieces, Then) {
        let asked_at = unix_now();
        let answer = match self.ask_engine(Call::GetPayload, body.clone()).await {
            Ok(answer) => answer,
            Err(error) => unreachable_fallback(id.or_else(|| peek::id(&body)), &error),
        };
        let (proxy, said, took) = (self.clone(), answer.clone(), started.elapsed());
        let then = Then::new(move || proxy.record_unknown(payload_id, &said, asked_at, took));
        (answer.into(), then)
    }

    /// Keeps and logs what was served, with the owner that the schedule names, as if that had been skipped.
    fn record_unknown(&self, payload_id: PayloadId, answer: &[u8], asked_at: Duration, took: Duration) {
        let Some(own) = OwnPayload::read(answer) else {
            let skipped = OwnerOutcome::Skipped(Skip::UnknownOrder(None));
            telemetry::payload(Choice::Nothing, None, skipped.name());
            error!(%payload_id, reason = %skipped, "no payload for a block: the fallback has none under this id");
            return;
        };
        let (live, snapshot, lanes) = (self.live(), self.schedule.snapshot(), self.gateways.lanes());
        let view = View { snapshot: &snapshot, gateways: &lanes.ids, modes: &live.modes, fixed: self.fixed };
        let number = own.number().filter(|_| self.fixed.is_none());
        let skipped = Skip::UnknownOrder(route::owner(number, view).gateway());
        let asked_ns = u64::try_from(asked_at.as_nanos()).unwrap_or(u64::MAX);
        let build = Build {
            demand: Demand { parent: own.parent_hash, timestamp: own.timestamp.to(), number, ..Demand::default() },
            owner: Owner::Skip(skipped),
            orders: Mutex::default(),
            purpose: Purpose::Serve,
            ordered: Ordered { at_ns: asked_ns, took_ns: 0 },
            judged: Mark::default(),
            counted: Mark::default(),
        };
        let attempt = Attempt {
            outcome: OwnerOutcome::Skipped(skipped),
            payload: None,
            block_hash: None,
            stages: Stages::default(),
            asked: None,
            checked: None,
        };
        let block_hash = Some(own.block_hash);
        let served = Served { choice: Choice::Fallback, block_hash, number: own.number(), took, asked_ns };
        self.record(payload_id, &build, &attempt, None, served);
    }
}
