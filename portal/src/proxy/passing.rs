//! Updates: asked of the fallback, and passed on to gateways and validator without op-node waiting for it.

use super::{Proxy, lock, unreachable_fallback};
use crate::{
    body::{Incoming, Outgoing, Pieces},
    config::Live,
    gateways::Lanes,
    lane::Bell,
    peek::Call,
    route::Kind,
    rpc, telemetry,
    upstream::UpstreamError,
    version::{self, Label},
};
use baton_protocol::GatewayId;
use bytes::Bytes;
use std::{future::poll_fn, time::Duration};
use tokio::{
    runtime,
    time::{Instant, sleep, timeout_at},
};

/// How long others wait for an update that the fallback is busy with.
const HEAD_START: Duration = Duration::from_millis(20);

/// How long a block or head waits before it goes to the others: the head update that follows a block comes at once, and their copies would compete with
/// it for the processors. An order to build takes along what waits before it.
const QUIET: Duration = Duration::from_millis(1);

/// An update that others are to have, once: put into their lanes as soon as all of it is there, which is while the fallback is busy with it, and let go
/// later. If op-node hangs up before, they get it all the same: the fallback may have it already.
struct Passing<F: Fn() -> Option<Held>> {
    put: F,
    held: Option<Held>,
}

impl<F: Fn() -> Option<Held>> Passing<F> {
    /// Puts it into the lanes if that hasn't been done and can be; says whether it is done.
    fn put(&mut self) -> bool {
        if self.held.is_none() {
            self.held = (self.put)();
        }
        self.held.is_some()
    }

    /// Gives what is to be dropped to let it go.
    fn take(&mut self) -> Held {
        if self.put() { self.held.replace(Held::default()).unwrap_or_default() } else { Held::default() }
    }
}

impl<F: Fn() -> Option<Held>> Drop for Passing<F> {
    fn drop(&mut self) {
        self.put();
    }
}

/// An update in the lanes of others, which goes out when this is dropped.
#[derive(Debug, Default)]
pub(super) struct Held {
    bells: Vec<Bell>,
    /// Whether the fallback is busy with it, and the others needn't have it at once.
    of_chain: bool,
}

impl Drop for Held {
    fn drop(&mut self) {
        if self.bells.is_empty() {
            return;
        }
        let (bells, of_chain) = (std::mem::take(&mut self.bells), self.of_chain);
        let ring = async move {
            if of_chain {
                sleep(QUIET).await;
            }
            bells.iter().for_each(Bell::ring);
        };
        // There is no runtime any more if calls are cut off because the portal ends.
        if let Ok(handle) = runtime::Handle::try_current() {
            handle.spawn(ring);
        }
    }
}

/// What is left to do about a call, and needn't be done before op-node has its answer: done when it is dropped.
#[derive(Debug)]
pub(crate) struct Rest {
    label: Label,
    outcome: &'static str,
    took: Duration,
    /// Dropped, and so let go, along with this.
    _held: Held,
}

impl Rest {
    pub(super) fn new(call: &Call<'_>, answer: &[u8], started: Instant, held: Held) -> Self {
        Self { label: version::label(&call.name), outcome: rpc::outcome(answer), took: started.elapsed(), _held: held }
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
    ) -> (Bytes, Rest) {
        let started = Instant::now();
        let (outgoing, kept) = Outgoing::passing(first, rest, length);
        let put = || {
            let whole = kept.whole()?;
            let lanes = self.gateways.lanes();
            Some(self.tell(Kind::Payload, &lanes.ids, &call.name, &whole, &lanes, &self.live()))
        };
        let (answer, held) = self.answer_first(outgoing, put).await;
        let answer = answer.unwrap_or_else(|error| unreachable_fallback(call.id, &error));
        let rest = Rest::new(call, &answer, started, held);
        (answer, rest)
    }

    /// Asks the fallback, and passes an update on to the others once it has answered, or doesn't for a while: their copies must not be what op-node
    /// waits for. They are in the others' lanes before op-node has its answer, so that its next update comes behind them.
    pub(super) async fn answer_first(
        &self,
        body: impl Into<Outgoing<'_>>,
        put: impl Fn() -> Option<Held>,
    ) -> (Result<Bytes, UpstreamError>, Held) {
        let limit = self.fallback.timeout();
        let deadline = Instant::now() + limit;
        let mut body = body.into();
        let mut passing = Passing { put, held: None };
        let mut waited = false;
        let answer = {
            let mut asked = std::pin::pin!(self.fallback.exchange(&mut body));
            loop {
                let until = if waited { deadline } else { deadline.min(Instant::now() + HEAD_START) };
                let asked_and_put = poll_fn(|context| {
                    let polled = asked.as_mut().poll(context);
                    // Of a body that is still coming, only once all of it is there.
                    passing.put();
                    polled
                });
                match timeout_at(until, asked_and_put).await {
                    Ok(answer) => break answer,
                    Err(_) if until == deadline => break Err(UpstreamError::Timeout(limit)),
                    // Again and again, until all of a body that is still coming is there.
                    Err(_) => {
                        waited = passing.put();
                        drop(passing.take());
                    }
                }
            }
        };
        if !passing.put() && !matches!(answer, Err(UpstreamError::Body(_))) {
            // The fallback failed, or has answered, before it had all of the body. The others get it all the same, and op-node, which may still be
            // writing, sees the answer. What is still missing then has broken off.
            let _ = timeout_at(deadline.max(Instant::now() + HEAD_START), body.finish()).await;
        }
        // That op-node has hung up, or stopped in the middle, says nothing about the fallback.
        if passing.put() || answer.is_ok() {
            self.fallback_is(answer.as_ref().map(|_| ()));
        }
        let held = passing.take();
        (answer, held)
    }

    /// Puts an update into the lanes of gateways and validator.
    pub(super) fn tell(
        &self,
        kind: Kind,
        gateways: &[GatewayId],
        method: &str,
        body: &Pieces,
        lanes: &Lanes,
        live: &Live,
    ) -> Held {
        let of_chain = matches!(kind, Kind::Head | Kind::Payload);
        if kind == Kind::Pool && live.multiplex.is_none() && method.starts_with("eth_") {
            return Held::default();
        }
        if of_chain {
            let mut latest = lock(&self.latest);
            let entry = Some((method.to_owned(), body.clone()));
            if kind == Kind::Head { latest.head = entry } else { latest.payload = entry }
        }
        let peers = gateways.iter().filter_map(|id| lanes.get(*id).map(AsRef::as_ref));
        let peers = peers.chain(self.validator.as_ref().filter(|_| of_chain));
        let bells = peers.map(|lane| lane.put(kind, method, body.clone())).collect();
        Held { bells, of_chain }
    }
}
