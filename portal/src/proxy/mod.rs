//! What the portal does with each call: asks [`crate::route`] and [`crate::selection`], and sends.

mod attempt;
mod batch;
mod build;
mod health;
mod outbox;
mod passing;
mod serve;
mod signing;
mod unknown;

pub(crate) use health::Degree;
pub(crate) use passing::Rest;

use crate::{
    body::Pieces,
    breaker::{Breaker, Condition},
    builds::Builds,
    config::{GatewaySettings, Live},
    decision::DecisionLog,
    gateways::{Gateways, Lanes},
    health::FallbackHealth,
    lane::{Building, Health, Lane, Peer},
    mode::Mode,
    peek::{self, Body, Call, MOST_CALLS, Method, PayloadId, RegistryQuery},
    policy::Waiting,
    registry,
    route::{self, Kind, Owner, Route, View},
    rpc,
    soft_blocks::Expected,
    steering::Steering,
    telemetry,
    trace::Tracer,
    turns::Turns,
    upstream::{Upstream, UpstreamError},
    version,
    warm_up::Coming,
    wire::Pipes,
};
use alloy::primitives::B64;
use arc_swap::ArcSwap;
use baton_protocol::GatewayId;
use baton_schedule::Handle;
use bytes::Bytes;
use futures::future::join_all;
use health::Told;
use outbox::Outbox;
use passing::Then;
use serde::Serialize;
use serde_json::value::RawValue;
use std::{
    collections::BTreeMap,
    error::Error,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, SystemTime, UNIX_EPOCH},
};
use tokio::{
    runtime,
    time::{Instant, sleep, timeout},
};
use tracing::info;

/// A call that every Engine API port has. Those of the Engine API itself are no better: the ones that move nothing are answered without the engine that may
/// hang, and the others aren't the portal's to make.
const PROBE: Bytes = Bytes::from_static(br#"{"jsonrpc":"2.0","id":0,"method":"eth_chainId","params":[]}"#);

/// The fallback's newest block.
const HEAD: Bytes =
    Bytes::from_static(br#"{"jsonrpc":"2.0","id":0,"method":"eth_getBlockByNumber","params":["latest",false]}"#);

/// How often to make ready for calls: a few times a second, since tokens are for a second.
const READY: Duration = Duration::from_millis(200);

/// The portal itself.
#[derive(Debug)]
pub(crate) struct Proxy {
    pub(crate) schedule: Handle,
    pub(crate) fallback: Upstream,
    /// The fallback again, for looking whether it answers, and for what op-node doesn't wait for.
    prober: Upstream,
    pub(crate) gateways: Gateways,
    pub(crate) decisions: DecisionLog,
    live: ArcSwap<Live>,
    /// The gateway of every block, where no chain says who owns it.
    fixed: Option<GatewayId>,
    validator: Option<Lane>,
    tracer: Tracer,
    /// How old the fallback's newest block may be.
    max_head_age: Option<Duration>,
    builds: Mutex<Builds<Building>>,
    breakers: Mutex<BTreeMap<GatewayId, Breaker>>,
    turns: Mutex<Turns>,
    /// How long the last check of a gateway's payload took, of those that found it good.
    last_check: Mutex<Option<Duration>>,
    waiting: Mutex<Waiting>,
    latest: Mutex<Latest>,
    outbox: Arc<Outbox>,
    pipes: Pipes,
    /// Where to do what op-node's calls mustn't wait for, not even for a processor.
    elsewhere: runtime::Handle,
    /// The last payload of a gateway that was served and isn't known to be adopted.
    served: Mutex<Option<Expected>>,
    health: FallbackHealth,
    /// What logs and metrics have of the fallback.
    told: Mutex<Told>,
    /// The chain's default EIP-1559 parameters, as the fallback last showed them.
    default_fees: Mutex<Option<B64>>,
    started: Instant,
}

/// What a gateway is told when it gets a lane and before its turn, and which turn that was last done for.
#[derive(Debug, Default)]
struct Latest {
    payload: Option<(String, Pieces)>,
    head: Option<(String, Pieces)>,
    steering: Steering<Pieces>,
    warmed: Option<Coming>,
}

impl Latest {
    /// Tells a gateway. Nothing newer may be told meanwhile: whoever calls this holds the lock.
    fn give(&self, lane: &Lane) {
        for (method, body) in self.steering.all() {
            lane.send(Kind::Steer, method, body.clone());
        }
        if let Some((method, body)) = &self.payload {
            lane.send(Kind::WarmUp, method, body.clone());
        }
        if let Some((method, body)) = &self.head {
            lane.send(Kind::Head, method, body.clone());
        }
    }
}

/// A gateway, as operators see it.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct GatewayStatus {
    id: GatewayId,
    mode: Mode,
    breaker: Condition,
    /// The slot at which the last turn ended that it lost; 0 if it never lost one.
    lost_until_slot: u64,
    #[serde(flatten)]
    health: Health,
}

/// What a portal may have besides.
#[derive(Debug, Default)]
pub(crate) struct Also {
    pub(crate) fixed: Option<GatewayId>,
    pub(crate) tracer: Tracer,
    pub(crate) max_head_age: Option<Duration>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Proxy {
    pub(crate) fn new(
        schedule: Handle,
        fallback: Upstream,
        validator: Option<Lane>,
        gateways: Gateways,
        live: Live,
        also: Also,
    ) -> Self {
        let Also { fixed, tracer, max_head_age } = also;
        telemetry::mode(live.modes.global);
        telemetry::fallback_up(false);
        if let Some(lane) = &validator {
            // Else nothing would be known of it before the first head.
            lane.send(Kind::WarmUp, build::GREETING, rpc::request(rpc::next_id(), build::GREETING, &["[]"]));
        }
        Self {
            schedule,
            health: FallbackHealth::new(fallback.timeout()),
            prober: fallback.apart(),
            fallback,
            gateways,
            decisions: DecisionLog::default(),
            live: ArcSwap::from_pointee(live),
            fixed,
            validator,
            tracer,
            max_head_age,
            builds: Mutex::default(),
            breakers: Mutex::default(),
            turns: Mutex::default(),
            last_check: Mutex::default(),
            waiting: Mutex::default(),
            latest: Mutex::default(),
            outbox: Arc::default(),
            pipes: Pipes::default(),
            elsewhere: runtime::Handle::current(),
            served: Mutex::default(),
            told: Mutex::default(),
            default_fees: Mutex::default(),
            started: Instant::now(),
        }
    }

    /// How long a call may take, if it isn't one of a batch: at the fallback, behind a read's wait for a gateway, or a payload's.
    pub(crate) fn longest_call(&self) -> Duration {
        let live = self.live();
        (self.fallback.timeout() + live.multiplex.unwrap_or_default().max(serve::HEAD_START)).max(live.payload_budget)
    }

    /// What can change, as it is now.
    pub(crate) fn live(&self) -> Arc<Live> {
        self.live.load_full()
    }

    /// Takes other settings, for calls from now on.
    pub(crate) fn reconfigure(&self, live: Live, gateways: GatewaySettings) {
        telemetry::mode(live.modes.global);
        self.live.store(Arc::new(live));
        self.gateways.reconfigure(gateways);
        self.follow();
    }

    /// Sets the execution mode of a gateway, or of all together.
    pub(crate) fn set_mode(&self, gateway: Option<GatewayId>, mode: Mode) {
        info!(gateway, %mode, "the execution mode is set");
        self.live.rcu(|live| {
            let mut live = Live::clone(live);
            match gateway {
                Some(id) => {
                    live.modes.single.insert(id, mode);
                }
                None => live.modes.global = mode,
            }
            live
        });
        telemetry::mode(self.live.load().modes.global);
        self.follow();
    }

    /// Whether there is such a gateway: on the registry, or in the configuration. While the registry isn't read yet, any may be.
    pub(crate) fn may_be(&self, gateway: GatewayId) -> bool {
        let snapshot = self.schedule.snapshot();
        let unread = !snapshot.is_known() && self.fixed().is_none();
        let named = self.live.load().modes.single.contains_key(&gateway);
        gateway != baton_protocol::NOBODY && (unread || named || snapshot.gateways.contains_key(&gateway))
    }

    /// Brings the lanes in step with schedule and modes. A gateway that is new, or has moved, is told where the chain is.
    pub(crate) fn follow(&self) {
        let opened = self.gateways.follow(|| (self.schedule.snapshot(), self.live().modes.clone()));
        if !opened.is_empty() {
            let latest = lock(&self.latest);
            opened.iter().for_each(|lane| latest.give(lane));
        }
        telemetry::gateways(self.gateways.lanes().ids.len());
        self.show_breakers();
    }

    /// Has metrics show breakers as they are now: a pause ends without anybody telling, and a gateway without a lane isn't left out.
    pub(crate) fn show_breakers(&self) {
        let (lanes, now) = (self.gateways.lanes(), self.uptime());
        // op-node's thread takes the lock too, and mustn't wait for gauges to be found by their labels.
        let mut breakers = lock(&self.breakers).clone();
        lanes.ids.iter().for_each(|id| _ = breakers.entry(*id).or_default());
        for (id, breaker) in breakers {
            let breaker = lanes.get(id).map(|_| breaker).unwrap_or_default();
            telemetry::breaker(id, breaker.condition(now));
        }
    }

    /// Keeps ready what op-node's calls need. Never ends; for the engine port's thread, where its timer serves another end: a thread of tokio's wakes itself,
    /// by two system calls, for a timer that would be the first to run out. With this one always there, those that limit calls aren't.
    pub(crate) async fn stay_ready(&self) {
        loop {
            self.pipes.make_ready();
            self.fallback.make_ready();
            self.gateways.lanes().all().for_each(|(_, lane)| lane.direct().make_ready());
            sleep(READY).await;
        }
    }

    /// Lets updates go to others as op-node's calls leave moments for it. Never ends.
    pub(crate) async fn let_go(&self) {
        self.outbox.run().await;
    }

    /// Has what waits for others go, and waits until they have it, for so long at most. For the portal's end, when op-node calls no more.
    pub(crate) async fn finish(&self, limit: Duration) {
        let lanes = self.gateways.lanes();
        let all = lanes.each().map(|(_, lane)| lane.as_ref()).chain(&self.validator);
        if timeout(limit, join_all(all.map(Lane::finish))).await.is_err() {
            info!(limit_ms = limit.as_millis(), "some updates are still under way at the end and are given up");
        }
    }

    /// The gateway that owns every block, if one does.
    pub(crate) const fn fixed(&self) -> Option<GatewayId> {
        self.fixed
    }

    /// Whether a gateway has lost the turn in which a block is.
    fn has_lost_turn(&self, gateway: GatewayId, number: u64) -> bool {
        // Who takes the rule away gives turns back.
        self.live.load().soft_blocks.as_ref().is_some_and(|rule| rule.after > 0)
            && lock(&self.turns).has_lost(gateway, self.schedule.snapshot().clock.owner_slot(number))
    }

    /// All gateways with a lane or a breaker that isn't closed.
    pub(crate) fn gateway_status(&self) -> Vec<GatewayStatus> {
        let live = self.live.load();
        let lanes = self.gateways.lanes();
        let (breakers, turns, now) = (lock(&self.breakers), lock(&self.turns), self.uptime());
        let all = lanes.all().map(|(id, lane)| GatewayStatus {
            id,
            mode: live.modes.of(id),
            breaker: breakers.get(&id).copied().unwrap_or_default().condition(now),
            lost_until_slot: turns.lost_until(id),
            health: lane.health(),
        });
        all.collect()
    }

    /// The second validator, if there is one.
    pub(crate) fn validator_health(&self) -> Option<Health> {
        self.validator.as_ref().map(Lane::health)
    }

    /// Answers a request body.
    pub(crate) async fn answer(self: &Arc<Self>, bytes: Bytes) -> (Pieces, Option<Rest>) {
        let answer = match peek::body(&bytes) {
            Body::Single(call) => {
                let (answer, rest) = self.answer_call(&call, bytes.clone()).await;
                return (answer, Some(rest));
            }
            Body::Batch(calls) => self.answer_batch(calls).await,
            Body::TooMany => {
                let message = format!("a batch of more than {MOST_CALLS} calls; send fewer at once");
                rpc::failure(None, rpc::INVALID_REQUEST, &message)
            }
            Body::Unreadable => rpc::failure(None, rpc::PARSE_ERROR, "not a JSON-RPC call"),
        };
        (answer.into(), None)
    }

    async fn answer_call(self: &Arc<Self>, call: &Call<'_>, body: Bytes) -> (Pieces, Rest) {
        let (started, under_way) = (Instant::now(), self.outbox.enter(&call.method));
        let live = self.live();
        let snapshot = self.schedule.snapshot();
        let lanes = self.gateways.lanes();
        let view = View { snapshot: &snapshot, gateways: &lanes.ids, modes: &live.modes, fixed: self.fixed };
        let mut then = match &call.method {
            // Waking who looks into feeds is nothing that op-node should wait for.
            Method::ForkchoiceUpdated(update) if lock(&self.served).is_some() => {
                let (proxy, head) = (self.clone(), update.head);
                Then::new(move || proxy.adopted(head))
            }
            _ => Then::default(),
        };
        let answer = match route::route(call, view) {
            Route::Forward { kind, tell } => {
                let put = || {
                    self.tell(kind, &tell, &call.name, &body.clone().into(), &lanes, &live);
                    true
                };
                let answer = self.answer_first(kind, body.clone(), put).await;
                let id = || call.id.or_else(|| peek::id(&body));
                answer.unwrap_or_else(|error| unreachable_fallback(id(), &error)).into()
            }
            Route::Build { owner, number } => self.build(call, body, owner, number, &lanes, &live).await.into(),
            Route::Select { version, id } => {
                let build = lock(&self.builds).get(&id);
                match build {
                    Some(build) => {
                        let answer;
                        (answer, then) = self.serve(call.id, body, version, id, build, started).await;
                        answer
                    }
                    None => {
                        let answer;
                        (answer, then) = self.serve_unknown(call.id, body, id, started).await;
                        answer
                    }
                }
            }
            Route::Read => self.read(call, body, &lanes, &live).await.into(),
            Route::Capabilities => self.capabilities(call.id, body).await,
            Route::Memory(query) => self.recall(call.id, query),
        };
        let rest = Rest::new(call, &answer, started, then, under_way);
        (answer, rest)
    }

    /// The fallback's answer as it is; a JSON-RPC error if there is none.
    async fn forward(&self, id: Option<&RawValue>, body: Bytes) -> Bytes {
        match self.fallback.call(body.clone()).await {
            Ok(answer) => answer,
            Err(error) => unreachable_fallback(id.or_else(|| peek::id(&body)), &error),
        }
    }

    /// `engine_exchangeCapabilities`, without which a consensus client doesn't even start.
    async fn capabilities(&self, id: Option<&RawValue>, body: Bytes) -> Pieces {
        match self.fallback.call(body).await {
            Ok(answer) if rpc::outcome(&answer) == "ok" => answer.into(),
            _ => {
                let names = serde_json::to_string(&version::capabilities()).unwrap_or_else(|_| "[]".to_owned());
                rpc::success(id, names).into()
            }
        }
    }

    /// A user's read: the gateway that builds knows the newest state.
    async fn read(&self, call: &Call<'_>, body: Bytes, lanes: &Lanes, live: &Live) -> Bytes {
        if let Some(patience) = live.multiplex
            && let Some(gateway) = self.reader(lanes, live)
            && let Some(lane) = lanes.get(gateway)
        {
            let started = Instant::now();
            let answer = timeout(patience, lane.reads().call(body.clone())).await;
            // Only a result to this very question: errors are for the fallback to give.
            let (good, outcome) = match answer {
                Ok(Ok(answer)) if rpc::answers(&answer, call.id) => (Some(answer), "ok"),
                Ok(Ok(_)) => (None, "error"),
                Ok(Err(error)) => (None, error.name()),
                Err(_) => (None, "late"),
            };
            telemetry::peer_request(Peer::Gateway(gateway), version::label(&call.name), outcome, started.elapsed());
            if let Some(answer) = good {
                telemetry::read("gateway");
                return answer;
            }
        }
        telemetry::read("fallback");
        self.forward(call.id, body).await
    }

    /// `registry_*`
    fn recall(&self, id: Option<&RawValue>, query: RegistryQuery) -> Pieces {
        // Without a chain, blocks are known by those that were served.
        let due = || self.decisions.last(1).first().and_then(|last| last.number).map_or(0, |last| last + 1);
        let fixed = self.fixed.map(|gateway| registry::Fixed { gateway, due: due() });
        let failure = |code, error: &dyn Error| rpc::failure(id, code, &error.to_string()).into();
        match registry::answer(query, &self.schedule.snapshot(), unix_now().as_secs(), fixed) {
            Ok(answer) => match serde_json::to_string(&answer) {
                Ok(result) => rpc::success(id, result).into(),
                Err(error) => failure(rpc::UPSTREAM_FAILED, &error),
            },
            Err(error @ registry::RegistryError::Unknown) => failure(rpc::METHOD_NOT_FOUND, &error),
            Err(error) => failure(rpc::SCHEDULE_UNKNOWN, &error),
        }
    }

    /// Milliseconds since the portal started, for breakers.
    fn uptime(&self) -> u64 {
        u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX)
    }
}

fn unix_now() -> Duration {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()
}

fn unreachable_fallback(id: Option<&RawValue>, error: &UpstreamError) -> Bytes {
    rpc::failure(id, rpc::UPSTREAM_FAILED, &format!("the fallback execution client gave no answer: {error}"))
}

#[cfg(test)]
mod tests;
