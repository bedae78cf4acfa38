//! How the portal is: what it hears of the fallback, and whether the gateway whose turn it is can build.

use super::{HEAD, Lanes, PROBE, Proxy, lock, unix_now};
use crate::{
    body::Outgoing,
    breaker::Breaker,
    config::Live,
    health::{Call, Probe, Trouble},
    lane::{Health, Lane},
    mode::Mode,
    registry,
    route::{self, Owner, Skip, View},
    rpc, telemetry,
    upstream::UpstreamError,
};
use baton_protocol::GatewayId;
use bytes::Bytes;
use serde::Serialize;
use std::{sync::Arc, time::Duration};
use tokio::time::timeout;
use tracing::{info, warn};

/// How the portal is: rollup-boost's three degrees, the last two of them for several reasons.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Degree {
    /// All is well.
    Healthy,
    /// Blocks are built, by the fallback, because the scheduled gateway fails.
    WithoutGateway,
    /// Blocks are built, by the fallback, because the second validator can't be asked about anybody else's.
    WithoutValidator,
    /// The fallback answers, but its newest block is older than it may be.
    HeadOld,
    /// The fallback doesn't answer, or its engine fails.
    FallbackDown,
}

/// What logs were told of the fallback last.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) enum Told {
    #[default]
    Nothing,
    Up,
    /// Why it answers no probe, if that is it.
    Down(Option<Arc<str>>),
}

/// Whether a peer's last update couldn't be delivered.
fn is_failing(Health { last, reachable, .. }: &Health) -> bool {
    last.is_some() && !reachable
}

impl Proxy {
    /// What is wrong with the fallback, if anything is.
    pub(crate) fn fallback_trouble(&self) -> Option<Trouble> {
        self.health.trouble(self.uptime())
    }

    /// How it is, and in words.
    pub(crate) fn degree(&self) -> (Degree, String) {
        if let Some(trouble) = self.fallback_trouble() {
            return (Degree::FallbackDown, trouble.to_string());
        }
        if self.health.has_old_head() {
            let text =
                "the fallback's newest block is older than `fallback.max_head_age_s`, or it doesn't say which that is";
            return (Degree::HeadOld, text.to_owned());
        }
        let (lanes, live) = (self.gateways.lanes(), self.live());
        let (owner, number) = self.scheduled(&lanes, &live);
        // A slot that is nobody's is the fallback's by rule.
        let (Owner::Ask(gateway) | Owner::Skip(Skip::NoEndpoint(gateway))) = owner else {
            return (Degree::Healthy, "ok".to_owned());
        };
        if live.modes.of(gateway) != Mode::Enabled {
            return (Degree::Healthy, "ok".to_owned());
        }
        let reason = match lanes.get(gateway).map(|lane| is_failing(&lane.health())) {
            None => Some("has no URL that can be used"),
            Some(true) => Some("can't be reached"),
            Some(false) => self.left_out(gateway, number),
        };
        if let Some(reason) = reason {
            let text = format!("ok, but the fallback builds alone: the scheduled gateway, {gateway}, {reason}");
            return (Degree::WithoutGateway, text);
        }
        if self.validator.as_ref().map(Lane::health).as_ref().is_some_and(is_failing) {
            let text = "ok, but the fallback builds alone: the second validator can't be reached";
            return (Degree::WithoutValidator, text.to_owned());
        }
        (Degree::Healthy, "ok".to_owned())
    }

    /// The owner of the block that is due next, and that block's number, if there is a schedule.
    fn scheduled(&self, lanes: &Lanes, live: &Live) -> (Owner, Option<u64>) {
        let snapshot = self.schedule.snapshot();
        let view = View { snapshot: &snapshot, gateways: &lanes.ids, modes: &live.modes, fixed: self.fixed };
        let due = self.fixed.is_none().then(|| registry::due_block(&snapshot.clock, unix_now().as_secs()));
        (route::owner(due, view), due)
    }

    /// Why a gateway isn't asked for a block though it is its turn.
    fn left_out(&self, gateway: GatewayId, number: Option<u64>) -> Option<&'static str> {
        if number.is_some_and(|number| self.has_lost_turn(gateway, number)) {
            return Some("has lost its turn");
        }
        let is_closed = lock(&self.breakers).get(&gateway).is_none_or(Breaker::is_closed);
        (!is_closed).then_some("is left out by its breaker")
    }

    /// The gateway to ask what users read: the one that builds the next block.
    pub(super) fn reader(&self, lanes: &Lanes, live: &Live) -> Option<GatewayId> {
        let (Owner::Ask(gateway), number) = self.scheduled(lanes, live) else { return None };
        (live.modes.of(gateway) == Mode::Enabled && self.left_out(gateway, number).is_none()).then_some(gateway)
    }

    /// Makes a payload call to the fallback that op-node waits for, and keeps in mind whether it is answered.
    pub(super) async fn ask_engine(&self, call: Call, body: impl Into<Outgoing<'_>>) -> Result<Bytes, UpstreamError> {
        let waiting = self.health.wait(call, self.uptime());
        let answer = self.fallback.call(body).await;
        drop(waiting);
        self.engine_said(answer.as_ref().map(|_| ()));
        answer
    }

    /// Keeps in mind whether the fallback has answered a payload call.
    pub(super) fn engine_said(&self, answer: Result<(), &UpstreamError>) {
        match answer {
            Ok(()) => {
                if self.health.succeeded(self.uptime()) {
                    self.tell_health();
                }
            }
            Err(error) => {
                self.health.failed(self.uptime(), error);
                self.tell_health();
            }
        }
    }

    /// Tells logs and metrics how the fallback is, if that is news, and why it isn't up.
    fn tell_health(&self) {
        let trouble = self.fallback_trouble();
        let now = match &trouble {
            None => Told::Up,
            Some(Trouble::NoAnswer(reason)) => Told::Down(Some(reason.clone())),
            Some(_) => Told::Down(None),
        };
        let is_news = {
            let mut told = lock(&self.told);
            // One that is down in another way is no news, but why it doesn't answer at all is.
            let is_news = *told != now && !matches!((&*told, &now), (Told::Down(_), Told::Down(None)));
            if is_news {
                *told = now;
            }
            is_news
        };
        if is_news {
            match &trouble {
                None => info!("the fallback answers"),
                Some(trouble) => warn!(%trouble, "the fallback can't be relied on"),
            }
            telemetry::fallback_up(trouble.is_none());
        }
    }

    /// Looks whether the fallback answers within a time, and whether its head is new enough.
    pub(crate) async fn probe(&self, within: Duration) {
        let body = if self.max_head_age.is_some() { HEAD } else { PROBE };
        let began = self.uptime();
        let answer = timeout(within, self.prober.call(body)).await;
        let answer = answer.unwrap_or(Err(UpstreamError::Timeout(within)));
        self.health.probed(match &answer {
            Ok(_) => Probe::Answered,
            Err(error @ UpstreamError::Timeout(_)) => Probe::Silent(began, error.to_string().into()),
            Err(error) => Probe::Failed(error.to_string().into()),
        });
        self.tell_health();
        // Whoever had news at the same moment on the other thread may have been the last to set it, with what was older.
        telemetry::fallback_up(self.fallback_trouble().is_none());
        if let (Some(limit), Ok(answer)) = (self.max_head_age, &answer) {
            let old = rpc::timestamp(answer).is_none_or(|at| unix_now().as_secs().saturating_sub(at) > limit.as_secs());
            if self.health.head_is(old) {
                telemetry::fallback_head_old(old);
                if old {
                    warn!(limit_s = limit.as_secs(), "the fallback's newest block is too old");
                } else {
                    info!("the fallback's newest block is new again");
                }
            }
        }
    }
}
