//! `forkchoiceUpdated` with attributes: who is asked to build, and whose turn is about to begin.

use super::{Owner, PayloadId, Proxy, lock, unix_now, unreachable_fallback};
use crate::{
    breaker::Admission,
    builds::{Build, Mark, Purpose},
    config::Live,
    demand::Demand,
    gateways::Lanes,
    health,
    lane::Building,
    mode::Mode,
    object,
    peek::{Call, Method, Order},
    route::{self, Form, Kind, Skip},
    rpc::{self, Answer},
    telemetry,
    trace::Ordered,
    warm_up::{self, Coming},
};
use baton_protocol::GatewayId;
use bytes::Bytes;
use serde::Deserialize;
use std::{
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};
use tracing::{debug, info, warn};

/// A call by which a gateway, or the second validator, shows that it can be reached and knows the portal's secret.
pub(super) const GREETING: &str = "engine_exchangeCapabilities";

impl Proxy {
    pub(super) async fn build(
        &self,
        call: &Call<'_>,
        body: Bytes,
        owner: Owner,
        number: Option<u64>,
        lanes: &Lanes,
        live: &Live,
    ) -> Bytes {
        let Method::ForkchoiceUpdated(update) = &call.method else { return self.forward(call.id, body).await };
        if let Some(Order::Unread { error, .. }) = &update.order {
            warn!(%error, number, "attributes have a form unknown here: no gateway is asked; look for a newer portal");
        }
        let (owner, purpose) = self.admit(owner, number, live);
        let is_owners = |ids: &[GatewayId]| ids.iter().any(|id| route::form(owner, *id) == Form::Unchanged);
        let ordered_over = lanes.each().find(|(ids, _)| is_owners(ids)).map(|(_, lane)| lane);
        let pending = ordered_over.map(|lane| lane.order(&call.name, body.clone()));
        let head_only = rpc::request(rpc::next_id(), &call.name, &[update.state.get(), "null"]);
        {
            let mut latest = lock(&self.latest);
            latest.head = Some((call.name.clone().into_owned(), head_only.clone().into()));
            // The lanes that there are now, under the lock: whoever gets one later is given the head that is kept.
            let now = self.gateways.lanes();
            let others = now.each().map(|(_, lane)| lane).filter(|lane| {
                // Who builds has the head with the order.
                ordered_over.is_none_or(|ordered_over| !Arc::ptr_eq(ordered_over, lane))
            });
            let told = others.map(Arc::as_ref).chain(&self.validator);
            self.outbox.hold(told.map(|lane| lane.put(Kind::Head, &call.name, head_only.clone())));
        }
        self.warm_up(number, live);
        let (at, started) = (unix_now(), Instant::now());
        let answer = match self.ask_engine(health::Call::ForkchoiceUpdated, body).await {
            Ok(answer) => answer,
            Err(error) => return unreachable_fallback(call.id, &error),
        };
        if let (Some(id), Some(demand)) = (payload_id(&answer), Demand::of(update, number)) {
            let nanos = |time: Duration| u64::try_from(time.as_nanos()).unwrap_or(u64::MAX);
            let ordered = Ordered { at_ns: nanos(at), took_ns: nanos(started.elapsed()) };
            debug!(payload_id = %id, number, owner = owner.gateway(), purpose = purpose.name(), "building");
            let (judged, counted) = (Mark::default(), Mark::default());
            let orders = Mutex::new(pending.into_iter().collect());
            let build = Build { demand, owner, orders, purpose, ordered, judged, counted };
            // Another lane leads to another engine.
            let still =
                |before: &Building, again: &Building| Arc::ptr_eq(&before.lane, &again.lane) && before.goes_on();
            lock(&self.builds).insert(id, build, still);
        }
        answer
    }

    /// Whether the owner may be asked, and what for.
    fn admit(&self, owner: Owner, number: Option<u64>, live: &Live) -> (Owner, Purpose) {
        let Owner::Ask(gateway) = owner else { return (owner, Purpose::Serve) };
        if number.is_some_and(|number| self.has_lost_turn(gateway, number)) {
            return (Owner::Skip(Skip::LostTurn(gateway)), Purpose::Serve);
        }
        let now = self.uptime();
        let admission = lock(&self.breakers).entry(gateway).or_default().admit(now);
        match (admission, live.modes.of(gateway)) {
            (Admission::No, _) => (Owner::Skip(Skip::Suspended(gateway)), Purpose::Serve),
            (_, Mode::DryRun) => (owner, Purpose::DryRun),
            (Admission::Trial, _) => (owner, Purpose::Trial),
            (Admission::Yes, _) => (owner, Purpose::Serve),
        }
    }

    /// Tells the gateway whose turn is about to begin what it should know, once for each turn.
    fn warm_up(&self, number: Option<u64>, live: &Live) {
        let snapshot: Arc<_> = self.schedule.snapshot();
        let Some(coming) = number.and_then(|number| warm_up::coming(&snapshot, number, live.warm_up_blocks)) else {
            return;
        };
        let Coming { gateway, slot } = coming;
        let mut latest = lock(&self.latest);
        // The lane that there is now, under the lock.
        let lanes = self.gateways.lanes();
        let Some(lane) = lanes.get(gateway) else { return };
        if latest.warmed.replace(coming) == Some(coming) {
            return;
        }
        info!(gateway, slot, health = ?lane.health().last, "warming a gateway before its turn");
        telemetry::warm_up(gateway);
        let greeting = rpc::request(rpc::next_id(), GREETING, &["[]"]);
        lane.send(Kind::WarmUp, GREETING, greeting.clone());
        // And the connection over which its payloads will be got.
        let direct = lane.direct().clone();
        tokio::spawn(async move { direct.call(greeting).await });
        latest.give(lane);
    }
}

/// The payload id in an answer to `forkchoiceUpdated`.
fn payload_id(answer: &[u8]) -> Option<PayloadId> {
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Update {
        #[serde(default)]
        payload_id: Option<PayloadId>,
    }
    let answer: Answer<'_> = object::from_slice(answer).ok()?;
    serde_json::from_str::<Update>(answer.result?.get()).ok()?.payload_id
}
