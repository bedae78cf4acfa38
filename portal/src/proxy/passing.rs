//! Updates: asked of the fallback, and passed on to gateways and validator without op-node waiting for it.

use super::{Proxy, lock, outbox::UnderWay, unreachable_fallback};
use crate::{
    body::{Incoming, Outgoing, Pieces},
    config::Live,
    gateways::Lanes,
    health,
    peek::{self, Call},
    route::Kind,
    rpc, telemetry,
    upstream::UpstreamError,
    version::{self, Label},
};
use baton_protocol::GatewayId;
use bytes::Bytes;
use std::{
    fmt,
    future::poll_fn,
    sync::{Mutex, PoisonError},
    time::Duration,
};
use tokio::time::{Instant, timeout_at};

/// How long op-node may take to hand over the rest of a body that the fallback doesn't want any more.
const FINISH: Duration = Duration::from_millis(20);

/// What is left to do about a call, and needn't be done before op-node has its answer: done when it is dropped.
#[derive(Debug)]
pub(crate) struct Rest {
    label: Label,
    outcome: &'static str,
    took: Duration,
    _then: Then,
    _under_way: UnderWay,
}

/// Whether a call is about blocks, and so the engine's to answer.
const fn is_of_chain(kind: Kind) -> bool {
    matches!(kind, Kind::Head | Kind::Payload)
}

type Act = Box<dyn FnOnce() + Send>;

/// Something to do when this is dropped. Never locked: the mutex lets a reply be looked at from several threads.
#[derive(Default)]
pub(super) struct Then(Mutex<Option<Act>>);

impl Then {
    pub(super) fn new(act: impl FnOnce() + Send + 'static) -> Self {
        Self(Mutex::new(Some(Box::new(act))))
    }
}

impl fmt::Debug for Then {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Then").finish_non_exhaustive()
    }
}

impl Drop for Then {
    fn drop(&mut self) {
        if let Some(act) = self.0.get_mut().unwrap_or_else(PoisonError::into_inner).take() {
            act();
        }
    }
}

impl Rest {
    pub(super) fn new(call: &Call<'_>, answer: &Pieces, started: Instant, then: Then, under_way: UnderWay) -> Self {
        // Where an answer begins with a piece of its own, that says what it is.
        let beginning = answer.bytes().next().map_or(&[][..], |first| first);
        let (label, outcome) = (version::label(&call.name), rpc::outcome(beginning));
        Self { label, outcome, took: started.elapsed(), _then: then, _under_way: under_way }
    }
}

impl Drop for Rest {
    fn drop(&mut self) {
        telemetry::request(self.label, self.outcome, self.took);
    }
}

impl Proxy {
    /// Answers a `newPayload` whose body is still coming: the fallback gets it piece by piece as it comes.
    pub(crate) async fn pass(
        &self,
        call: &Call<'_>,
        first: Vec<Bytes>,
        rest: Incoming<'_>,
        length: u64,
    ) -> (Pieces, Rest) {
        let (started, under_way) = (Instant::now(), self.outbox.enter(&call.method));
        let (outgoing, kept) = Outgoing::passing(first, rest, length, &self.pipes);
        let put = || {
            kept.whole().is_some_and(|whole| {
                let lanes = self.gateways.lanes();
                self.tell(Kind::Payload, &lanes.ids, &call.name, &whole, &lanes, &self.live());
                true
            })
        };
        let answer = self.answer_first(Kind::Payload, outgoing, put).await.unwrap_or_else(|error| {
            // Where the id stands last, only the whole body has it.
            let whole = kept.whole().filter(|_| call.id.is_none()).map(|whole| whole.joined());
            unreachable_fallback(call.id.or_else(|| peek::id(whole.as_deref()?)), &error)
        });
        let answer = Pieces::from(answer);
        let rest = Rest::new(call, &answer, started, Then::default(), under_way);
        (answer, rest)
    }

    /// Asks the fallback, and puts an update into the lanes of the others, once: as soon as all of it is there, which is while the fallback is busy with it,
    /// so that op-node's next comes behind it.
    pub(super) async fn answer_first(
        &self,
        kind: Kind,
        body: impl Into<Outgoing<'_>>,
        put: impl Fn() -> bool,
    ) -> Result<Bytes, UpstreamError> {
        let limit = self.fallback.timeout();
        let deadline = Instant::now() + limit;
        let mut body = body.into();
        // The fallback has all of it from here on, so that it is the one to wait for.
        let watch = || {
            let call = if kind == Kind::Head { health::Call::ForkchoiceUpdated } else { health::Call::NewPayload };
            is_of_chain(kind).then(|| self.health.wait(call, self.uptime()))
        };
        let mut waiting = None;
        let mut is_put = false;
        let mut put = || {
            is_put = is_put || put();
            is_put
        };
        let answer = {
            let mut asked = std::pin::pin!(self.fallback.exchange(&mut body));
            let asked_and_put = poll_fn(|context| {
                let polled = asked.as_mut().poll(context);
                // Of a body that is still coming, only once all of it is there.
                if put() && waiting.is_none() && polled.is_pending() {
                    waiting = watch();
                }
                polled
            });
            timeout_at(deadline, asked_and_put).await.unwrap_or(Err(UpstreamError::Timeout(limit)))
        };
        drop(waiting);
        if !put() && !matches!(answer, Err(UpstreamError::Body(_))) {
            // The fallback failed, or has answered, before it had all of the body. The others get it all the same, and op-node, which may still be
            // writing, sees the answer. What is still missing then has broken off.
            let _ = timeout_at(deadline.max(Instant::now() + FINISH), body.finish()).await;
        }
        // That op-node has hung up, or stopped in the middle, says nothing about the fallback.
        if is_of_chain(kind) && (put() || answer.is_ok()) {
            self.engine_said(answer.as_ref().map(|_| ()));
        }
        answer
    }

    /// Puts an update into the lanes of gateways and validator, where it waits for a pause between op-node's calls. Gateways and lanes are those that the call
    /// has seen, which is enough for transactions. For all else there may be others by now, and they count.
    pub(super) fn tell(
        &self,
        kind: Kind,
        gateways: &[GatewayId],
        method: &str,
        body: &Pieces,
        lanes: &Lanes,
        live: &Live,
    ) {
        let of_chain = is_of_chain(kind);
        if kind == Kind::Pool && live.multiplex.is_none() {
            return;
        }
        if kind == Kind::Steer {
            // A copy: it is kept for long, and would have what came with it kept.
            let body = Pieces::from(body.joined());
            let mut latest = lock(&self.latest);
            latest.steering.put(method, body.clone(), body.len());
            // The lanes that there are now, under the lock: whoever gets one later is given what is kept.
            let lanes = self.gateways.lanes();
            self.outbox.hold(lanes.each().map(|(_, lane)| lane.put(kind, method, body.clone())));
            return;
        }
        if of_chain {
            let mut latest = lock(&self.latest);
            let entry = Some((method.to_owned(), body.clone()));
            if kind == Kind::Head {
                latest.head = entry
            } else {
                latest.payload = entry
            }
            let lanes = self.gateways.lanes();
            let peers = lanes.each().map(|(_, lane)| lane.as_ref()).chain(&self.validator);
            self.outbox.hold(peers.map(|lane| lane.put(kind, method, body.clone())));
        } else {
            let told = lanes.each().filter(|(ids, _)| ids.iter().any(|id| gateways.contains(id)));
            self.outbox.hold(told.map(|(_, lane)| lane.put(kind, method, body.clone())));
        }
        self.outbox.read_later(body);
    }
}
