//! The lane of one gateway: updates go out one after the other, so that none overtakes another; a slow gateway holds up nobody but itself.
//!
//! What needs no such order has tracks of its own beside the updates: transactions, several at once, and what steers building, of which the latest counts.

use crate::{
    body::Pieces,
    demand::MAX_GOSSIP,
    jwt::Secret,
    object,
    peek::PayloadId,
    queue::{Dropped, Queue},
    recurring::Recurring,
    route::Kind,
    rpc::{Answer, AnswerError},
    steering::Steering,
    telemetry::{self, LaneDrops},
    upstream::{Upstream, UpstreamError},
    version::{self, Label},
};
use baton_protocol::GatewayId;
use bytes::Bytes;
use futures::{StreamExt, stream::FuturesUnordered};
use http::Uri;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use std::{
    fmt,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};
use tokio::sync::{Notify, watch};
use tokio_util::sync::CancellationToken;
use tracing::{debug, warn};

/// The largest answer to an update. Most have some hundred bytes; all are read on the one thread that also looks whether the fallback answers.
const LARGEST_ANSWER: usize = 1 << 20;

/// The largest answer to a user's read, which is looked through on op-node's thread. A longer one is the fallback's to give.
const LARGEST_READ: usize = 2 << 20;

/// The largest answer with a payload, which is read on op-node's thread too: the largest block that op-nodes gossip, in hexadecimal, and what is around it.
const LARGEST_PAYLOAD: usize = 2 * MAX_GOSSIP + (1 << 20);

/// How many bytes wait at most in one of a lane's queues, for a gateway that takes nothing.
const MOST_WAITING: usize = 64 << 20;

/// How many transactions are on their way to one gateway at once: as many as an [`Upstream`] keeps connections.
const AT_ONCE: usize = 32;

/// How often the log says at most that a lane overflows.
const OVERFLOWS: Duration = Duration::from_secs(10);

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Who is at the end of a lane.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Peer {
    Gateway(GatewayId),
    Validator,
    /// Without a lane: op-node waits for what it says. Asked to check gateways' payloads.
    Fallback,
}

impl fmt::Display for Peer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Gateway(id) => write!(f, "{id}"),
            Self::Validator => f.write_str("validator"),
            Self::Fallback => f.write_str("fallback"),
        }
    }
}

/// How a peer took the last update, of those that go in order.
#[derive(Clone, Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Health {
    /// The last outcome's short name; `None` before the first.
    pub(crate) last: Option<&'static str>,
    /// Whether it could be reached.
    pub(crate) reachable: bool,
    /// When, Unix milliseconds.
    pub(crate) at_ms: u64,
    /// Updates that never reached it.
    pub(crate) dropped: u64,
}

/// An order that went to a gateway.
#[derive(Clone, Debug)]
pub(crate) struct Building {
    /// The payload id that it builds under, once known.
    pub(crate) id: watch::Receiver<Option<Result<PayloadId, NotBuilding>>>,
    /// The lane that it went over: whatever has become of the gateway's lane since, only the engine at the end of this one knows the id.
    pub(crate) lane: Arc<Lane>,
    /// Which of the lane's orders it is.
    number: u64,
}

impl Building {
    /// Whether no order has come behind it.
    pub(crate) fn is_last(&self) -> bool {
        self.lane.orders.load(Ordering::Relaxed) == self.number
    }

    /// The id, if the gateway has said it.
    pub(crate) fn known(&self) -> Option<PayloadId> {
        self.id.borrow().as_ref()?.as_ref().ok().copied()
    }

    /// Whether the gateway hasn't refused, and the order hasn't been dropped on its way.
    pub(crate) fn goes_on(&self) -> bool {
        // Asked first: whoever carries the order may be about to say the id, and goes then.
        let is_carried = self.id.has_changed().is_ok();
        match &*self.id.borrow() {
            Some(said) => said.is_ok(),
            None => is_carried,
        }
    }
}

/// Why a gateway doesn't build.
#[derive(Clone, Debug, thiserror::Error)]
pub(crate) enum NotBuilding {
    /// It couldn't be asked.
    #[error("{0}")]
    Upstream(Arc<UpstreamError>),
    /// It answered with something else than an id.
    #[error("{0}")]
    Answer(#[from] AnswerError),
    /// It is somewhere else.
    #[error("its head is {0}")]
    Head(&'static str),
}

/// An update on its way.
#[derive(Debug)]
struct Update {
    label: Label,
    body: Pieces,
    building: Option<watch::Sender<Option<Result<PayloadId, NotBuilding>>>>,
}

/// One of a lane's two queues and its bell.
#[derive(Debug)]
struct Track {
    /// `None` once the lane is closed.
    queue: Mutex<Option<Queue<Update>>>,
    bell: Arc<Notify>,
}

/// What steers building, and its bell.
#[derive(Debug)]
struct Wheel {
    /// `None` once the lane is closed.
    steering: Mutex<Option<Steering<(Label, Pieces)>>>,
    bell: Arc<Notify>,
    /// Whether something hasn't reached the peer, which may have forgotten by what it builds when it can be reached again.
    missed: AtomicBool,
}

/// One gateway's lane. Dropping it ends its tasks, unless it is closed: then they end with what is under way.
#[derive(Debug)]
pub(crate) struct Lane {
    peer: Peer,
    /// The connections of the lane's own tasks.
    upstream: Upstream,
    /// The same peer over other connections.
    direct: Upstream,
    health: Arc<Mutex<Health>>,
    drops: LaneDrops,
    overflows: Mutex<Recurring>,
    /// Blocks and heads, in order.
    updates: Arc<Track>,
    /// Transactions: apart, so that a flood of them can't hold up blocks.
    pool: Arc<Track>,
    /// What steers building: apart, so that it isn't lost in a flood.
    wheel: Arc<Wheel>,
    /// How many orders were put into it.
    orders: AtomicU64,
    /// Nothing more comes.
    ends: CancellationToken,
    /// Closed once its tasks have ended.
    tasks: watch::Sender<()>,
    stop: CancellationToken,
}

impl Lane {
    /// Opens a lane. Each of its queues holds `capacity` updates, and 64 MiB.
    pub(crate) fn open(peer: Peer, upstream: Upstream, capacity: usize) -> Self {
        let drops = telemetry::lane_opened(peer);
        let direct = upstream.apart();
        let bounded = upstream.clone().at_most(LARGEST_ANSWER);
        let (ends, stop) = (CancellationToken::new(), CancellationToken::new());
        let (tasks, task) = watch::channel(());
        let health = Arc::new(Mutex::new(Health::default()));
        let steering = Mutex::new(Some(Steering::default()));
        let wheel = Arc::new(Wheel { steering, bell: Arc::default(), missed: AtomicBool::default() });
        let carrier = || Carrier {
            peer,
            upstream: bounded.clone(),
            health: health.clone(),
            wheel: wheel.clone(),
            reachable: true,
            told: None,
            ends: ends.clone(),
            _task: task.clone(),
        };
        let track = |at_once| {
            let queue = Mutex::new(Some(Queue::new(capacity, MOST_WAITING)));
            let track = Arc::new(Track { queue, bell: Arc::default() });
            let of = track.clone();
            let task = carrier().carry(track.bell.clone(), at_once, move || lock(&of.queue).as_mut()?.pop());
            tokio::spawn(stop.clone().run_until_cancelled_owned(task));
            track
        };
        let (updates, pool) = (track(1), track(AT_ONCE));
        let of = wheel.clone();
        let next = move || {
            let (label, body) = lock(&of.steering).as_mut()?.tell().cloned()?;
            Some((Kind::Steer, Update { label, body, building: None }))
        };
        tokio::spawn(stop.clone().run_until_cancelled_owned(carrier().carry(wheel.bell.clone(), 1, next)));
        let overflows = Mutex::new(Recurring::every(OVERFLOWS));
        let orders = AtomicU64::default();
        Self { peer, updates, pool, wheel, orders, direct, upstream, health, drops, overflows, ends, tasks, stop }
    }

    /// Closes it: what waits in it is dropped, and so is whatever comes yet. What is under way is still answered, and a block ordered over it can still be got
    /// where it was ordered.
    pub(crate) fn close(&self) {
        let updates = lock(&self.updates.queue).take();
        let pool = lock(&self.pool.queue).take();
        drop(lock(&self.wheel.steering).take());
        self.ends.cancel();
        let waiting = [updates, pool].iter().flatten().map(Queue::len).sum::<usize>();
        debug!(peer = %self.peer, waiting, "a lane is closed, and what waited in it is dropped");
    }

    /// Whether it is closed. It is before anybody can see that something in it was dropped for that.
    pub(crate) fn is_closed(&self) -> bool {
        lock(&self.updates.queue).is_none()
    }

    /// Has all that waits in it go at once, and waits until it is answered. For the portal's end: what comes now may stay.
    pub(crate) async fn finish(&self) {
        self.ends.cancel();
        self.tasks.closed().await;
    }

    /// How many updates wait in order.
    #[cfg(test)]
    pub(crate) fn waiting(&self) -> usize {
        lock(&self.updates.queue).as_ref().map_or(0, Queue::len)
    }

    /// Who is at its end.
    pub(crate) const fn peer(&self) -> Peer {
        self.peer
    }

    /// How it went last.
    pub(crate) fn health(&self) -> Health {
        lock(&self.health).clone()
    }

    /// Where the peer is.
    pub(crate) const fn uri(&self) -> &Uri {
        self.upstream.uri()
    }

    /// Whether the peer is at a URI, with a secret.
    pub(crate) fn leads_to(&self, uri: &Uri, secret: &Secret) -> bool {
        self.upstream.is_at(uri, secret)
    }

    /// The peer itself, for what needs no order, over connections that only the caller's thread uses.
    pub(crate) const fn direct(&self) -> &Upstream {
        &self.direct
    }

    /// Like [`Lane::direct`], or if op-node doesn't wait for it, over the lane's own connections.
    pub(crate) const fn asked(&self, aside: bool) -> &Upstream {
        if aside { &self.upstream } else { &self.direct }
    }

    /// Like [`Lane::asked`], for the payloads that it built.
    pub(crate) fn payloads(&self, aside: bool) -> Upstream {
        self.asked(aside).clone().at_most(LARGEST_PAYLOAD)
    }

    /// Like [`Lane::direct`], for users' reads.
    pub(crate) fn reads(&self) -> Upstream {
        self.direct.clone().at_most(LARGEST_READ)
    }

    /// Puts an update at the end of the lane. Never waits.
    pub(crate) fn send(&self, kind: Kind, method: &str, body: impl Into<Pieces>) {
        self.put(kind, method, body).ring();
    }

    /// Like [`Lane::send`], but it goes out only when the bell is rung, or with another update behind it.
    pub(crate) fn put(&self, kind: Kind, method: &str, body: impl Into<Pieces>) -> Bell {
        let (label, body) = (version::label(method), body.into());
        if kind == Kind::Steer {
            return self.steer(method, label, body);
        }
        self.push(kind, Update { label, body, building: None })
    }

    /// Like [`Lane::send`], for an order to build, whose answer can be waited for.
    pub(crate) fn order(self: &Arc<Self>, method: &str, body: impl Into<Pieces>) -> Building {
        let (sender, id) = watch::channel(None);
        let number = self.orders.fetch_add(1, Ordering::Relaxed) + 1;
        self.push(Kind::Build, Update { label: version::label(method), body: body.into(), building: Some(sender) })
            .ring();
        Building { id, lane: self.clone(), number }
    }

    fn push(&self, kind: Kind, update: Update) -> Bell {
        let track = if kind == Kind::Pool { &self.pool } else { &self.updates };
        let size = update.body.len();
        let dropped = lock(&track.queue).as_mut().map(|queue| queue.push(kind, update, size));
        for (kind, reason, _) in dropped.into_iter().flatten() {
            self.note_drop(kind, reason);
        }
        Bell(track.bell.clone())
    }

    fn steer(&self, method: &str, label: Label, body: Pieces) -> Bell {
        let size = body.len();
        let untold = lock(&self.wheel.steering).as_mut().map(|steering| steering.put(method, (label, body), size));
        let untold = untold.unwrap_or_default();
        (0..untold.superseded).for_each(|_| self.note_drop(Kind::Steer, Dropped::Superseded));
        (0..untold.overflowed).for_each(|_| self.note_drop(Kind::Steer, Dropped::Overflow));
        Bell(self.wheel.bell.clone())
    }

    fn note_drop(&self, kind: Kind, reason: Dropped) {
        self.drops.count(kind, reason);
        debug!(peer = %self.peer, kind = kind.name(), reason = reason.name(), "an update was dropped from a lane");
        if reason != Dropped::Overflow {
            return;
        }
        lock(&self.health).dropped += 1;
        let due = lock(&self.overflows).add(Instant::now());
        if let Some(dropped) = due {
            warn!(peer = %self.peer, kind = kind.name(), dropped, "a lane overflows: its peer takes updates too slowly");
        }
    }
}

/// Sends a lane's updates on their way.
#[derive(Clone, Debug, Default)]
pub(crate) struct Bell(Arc<Notify>);

impl Bell {
    pub(crate) fn ring(&self) {
        self.0.notify_one();
    }

    /// Waits until it is rung.
    #[cfg(test)]
    pub(crate) async fn rung(&self) {
        self.0.notified().await;
    }
}

impl Drop for Lane {
    fn drop(&mut self) {
        if !self.is_closed() {
            self.stop.cancel();
        }
    }
}

/// Carries a track's updates to the peer.
struct Carrier {
    peer: Peer,
    upstream: Upstream,
    health: Arc<Mutex<Health>>,
    wheel: Arc<Wheel>,
    reachable: bool,
    /// What metrics were told of it.
    told: Option<bool>,
    /// Nothing more comes.
    ends: CancellationToken,
    _task: watch::Receiver<()>,
}

/// An update that the peer has answered, or won't.
struct Carried {
    kind: Kind,
    update: Update,
    answer: Result<Bytes, UpstreamError>,
    took: Duration,
}

/// Carries one update.
async fn carry_one(upstream: Upstream, kind: Kind, mut update: Update) -> Carried {
    let started = Instant::now();
    let body = std::mem::replace(&mut update.body, Bytes::new().into());
    let answer = upstream.call(body).await;
    Carried { kind, update, answer, took: started.elapsed() }
}

impl Carrier {
    /// Carries what is next, so many updates at once; when nothing is, it waits for the bell. When nothing more comes, it ends with what there is.
    async fn carry(mut self, bell: Arc<Notify>, at_once: usize, next: impl Fn() -> Option<(Kind, Update)>) {
        let (mut under_way, ends) = (FuturesUnordered::new(), self.ends.clone());
        loop {
            // Before looking for the last: what was put before the end is carried.
            let is_end = ends.is_cancelled();
            while under_way.len() < at_once
                && let Some((kind, update)) = next()
            {
                under_way.push(carry_one(self.upstream.clone(), kind, update));
            }
            tokio::select! {
                Some(carried) = under_way.next() => self.note(carried),
                () = bell.notified(), if !is_end && under_way.len() < at_once => {}
                () = ends.cancelled(), if !is_end => {}
                else => return,
            }
        }
    }

    fn note(&mut self, Carried { kind, update, answer, took }: Carried) {
        let outcome = match &answer {
            Ok(body) => note(self.peer, kind, body),
            Err(error) => error.name(),
        };
        telemetry::peer_request(self.peer, update.label, outcome, took);
        // Only blocks and heads say how the peer is: one that refuses transactions, for their number, builds all the same.
        if !matches!(kind, Kind::Pool | Kind::Steer) {
            self.note_health(kind, outcome, answer.as_ref().err());
        }
        self.wheel.heard(kind, answer.is_ok());
        if let Some(building) = update.building {
            // Nobody may be waiting any more.
            let _ = building.send(Some(building_under(answer)));
        }
    }

    fn note_health(&mut self, kind: Kind, outcome: &'static str, error: Option<&UpstreamError>) {
        let peer = self.peer;
        match error {
            None if !self.reachable => tracing::info!(%peer, "a peer can be reached again"),
            // Once per outage: a dead gateway would fill the log with every block.
            Some(error) if self.reachable => {
                warn!(%peer, kind = kind.name(), %error, "a peer can't be reached");
            }
            _ => {}
        }
        self.reachable = error.is_none();
        if peer == Peer::Validator && self.told.replace(self.reachable) != Some(self.reachable) {
            telemetry::validator_up(self.reachable);
        }
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let mut health = lock(&self.health);
        health.last = Some(outcome);
        health.reachable = self.reachable;
        health.at_ms = u64::try_from(now.as_millis()).unwrap_or(u64::MAX);
    }
}

impl Wheel {
    /// Hears whether the peer has answered something. A block or head that reaches it after something didn't has it told all again: it comes with every
    /// block, so that a peer that takes the one and not the other isn't told without end.
    fn heard(&self, kind: Kind, reached: bool) {
        match (kind, reached) {
            (Kind::Pool, _) | (Kind::Steer, true) => {}
            (_, false) => self.missed.store(true, Ordering::Relaxed),
            (_, true) => {
                if self.missed.swap(false, Ordering::Relaxed) {
                    if let Some(steering) = lock(&self.steering).as_mut() {
                        steering.again();
                    }
                    self.bell.notify_one();
                }
            }
        }
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ForkchoiceAnswer<'a> {
    #[serde(borrow)]
    payload_status: Status<'a>,
    #[serde(default)]
    payload_id: Option<PayloadId>,
}

#[derive(Deserialize)]
struct Status<'a> {
    status: &'a str,
}

fn building_under(answer: Result<Bytes, UpstreamError>) -> Result<PayloadId, NotBuilding> {
    let body = answer.map_err(|error| NotBuilding::Upstream(Arc::new(error)))?;
    let result = result_of(&body)?;
    let answer: ForkchoiceAnswer<'_> = serde_json::from_str(result.get()).map_err(|_| AnswerError::WrongShape)?;
    answer.payload_id.ok_or_else(|| NotBuilding::Head(known(answer.payload_status.status)))
}

/// A status as the Engine API spells it. It is kept with the decision, for thousands of blocks, so that nothing else of a gateway's text is.
fn known(status: &str) -> &'static str {
    const STATUSES: [&str; 5] = ["VALID", "INVALID", "SYNCING", "ACCEPTED", "INVALID_BLOCK_HASH"];
    STATUSES.into_iter().find(|known| *known == status).unwrap_or("in a state that the Engine API doesn't have")
}

/// The result of an answer on the lane, where each answer belongs to the one request under way, so that its id says nothing.
fn result_of(body: &[u8]) -> Result<&RawValue, AnswerError> {
    let answer: Answer<'_> = object::from_slice(body).map_err(|_| AnswerError::Garbage)?;
    answer.into_result()
}

/// Notes what a gateway thinks of an update, and gives it a short name.
fn note(peer: Peer, kind: Kind, body: &[u8]) -> &'static str {
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Any<'a> {
        #[serde(borrow, default)]
        payload_status: Option<Status<'a>>,
        #[serde(borrow, default)]
        status: Option<&'a str>,
    }
    let result = match result_of(body) {
        Ok(result) => result,
        Err(error) => {
            debug!(%peer, kind = kind.name(), %error, "a peer refused an update");
            return "error";
        }
    };
    if matches!(kind, Kind::Pool | Kind::Steer | Kind::WarmUp) && !result.get().starts_with('{') {
        return "ok";
    }
    let status = serde_json::from_str::<Any<'_>>(result.get()).ok();
    match status.and_then(|any| any.status.or(any.payload_status.map(|status| status.status))) {
        Some("VALID") => "valid",
        Some("SYNCING" | "ACCEPTED") => {
            debug!(%peer, kind = kind.name(), "a peer lacks blocks");
            "syncing"
        }
        Some("INVALID") => {
            warn!(%peer, kind = kind.name(), "a peer rejects a block that was adopted");
            "invalid"
        }
        _ if matches!(kind, Kind::Pool | Kind::Steer) => "ok",
        _ => "error",
    }
}

#[cfg(test)]
mod tests;
