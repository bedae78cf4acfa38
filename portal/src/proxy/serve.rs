//! `getPayload`: the owner's payload if it is good and in time, else the fallback's.

use super::{
    PayloadId, Proxy,
    attempt::{Asked, Attempt},
    lock,
    passing::Then,
    unix_now, unreachable_fallback,
};
use crate::{
    body::Pieces,
    breaker::{self, Condition, Fault},
    builds::{Build, Purpose},
    decision::{self, Decision, Stages},
    demand::{self, Demand, Mismatch},
    health::Call,
    lane::Building,
    payload::{self, OwnPayload},
    policy::{Candidates, Offer},
    route::Owner,
    rpc,
    selection::{Choice, FallbackOutcome, OwnerOutcome, Situation, choose, minds_fallback, select},
    telemetry, trace,
    upstream::UpstreamError,
};
use alloy::primitives::B256;
use bytes::Bytes;
use futures::FutureExt;
use serde_json::value::RawValue;
use std::{
    panic::AssertUnwindSafe,
    sync::{Arc, OnceLock},
    time::Duration,
};
use tokio::{
    runtime::Handle,
    time::{Instant, sleep_until, timeout},
};
use tracing::{error, info, warn};

/// The fallback's answer. It is read when something depends on it, which with a good payload of the owner's is after op-node has its answer.
#[derive(Debug)]
struct FromFallback {
    answer: Result<Bytes, UpstreamError>,
    own: OnceLock<Own>,
}

/// What the fallback's answer holds.
#[derive(Debug, Default)]
struct Own {
    payload: Option<OwnPayload>,
    offer: Offer,
}

impl From<Result<Bytes, UpstreamError>> for FromFallback {
    fn from(answer: Result<Bytes, UpstreamError>) -> Self {
        Self { answer, own: OnceLock::new() }
    }
}

impl Own {
    /// What policies look at; `None` if there is no payload.
    fn offer(&self) -> Option<&Offer> {
        self.payload.is_some().then_some(&self.offer)
    }

    fn outcome(&self) -> FallbackOutcome {
        if self.payload.is_some() { FallbackOutcome::Payload } else { FallbackOutcome::Failed }
    }
}

/// What was served, when.
#[derive(Clone, Copy, Debug)]
pub(super) struct Served {
    pub(super) choice: Choice,
    pub(super) block_hash: Option<B256>,
    /// The number that the payload says it has.
    pub(super) number: Option<u64>,
    pub(super) took: Duration,
    /// When it was asked for, Unix nanoseconds.
    pub(super) asked_ns: u64,
}

/// How long the owner has before the fallback's own payload is got as well. The fallback has the owner's to check then, and shouldn't have to finish one at the
/// same time; a gateway farther away hasn't answered by then.
pub(super) const HEAD_START: Duration = Duration::from_millis(10);

/// Whether the fallback's own payload is needed in any case.
fn needs_fallback(build: &Build<Building>, compare: bool) -> bool {
    let asked = matches!(build.owner, Owner::Ask(_)) && build.purpose == Purpose::Serve;
    !asked || compare || build.demand.asks_for_defaults()
}

/// Keeps an attempt to itself: not even a defect in reading what a gateway says may keep op-node from the fallback's payload.
async fn safely(attempt: impl Future<Output = Attempt>) -> Attempt {
    AssertUnwindSafe(attempt).catch_unwind().await.unwrap_or_else(|_| defect())
}

/// An attempt that came to nothing by the portal's own doing.
fn defect() -> Attempt {
    Attempt {
        outcome: OwnerOutcome::Unchecked("reading it panicked, which is a defect of the portal".to_owned()),
        payload: None,
        block_hash: None,
        stages: Stages::default(),
        asked: None,
        checked: None,
    }
}

impl Proxy {
    pub(super) async fn serve(
        self: &Arc<Self>,
        id: Option<&RawValue>,
        body: Bytes,
        version: u8,
        payload_id: PayloadId,
        build: Arc<Build<Building>>,
        started: Instant,
    ) -> (Pieces, Then) {
        let asked_ns = u64::try_from(unix_now().as_nanos()).unwrap_or(u64::MAX);
        let live = self.live();
        let deadline = started + live.payload_budget;
        let aside = build.purpose != Purpose::Serve;
        // It can go on after op-node has its answer, as it does in a dry run.
        let mut attempt = {
            let (proxy, of) = (self.clone(), build.clone());
            let attempt = safely(async move { proxy.attempt(version, &of, deadline).await });
            // What op-node won't get isn't read on its thread.
            if aside {
                self.elsewhere.spawn(attempt).map(|attempt| attempt.unwrap_or_else(|_| defect())).boxed()
            } else {
                attempt.boxed()
            }
        };
        let mut fallback = {
            let proxy = self.clone();
            async move { proxy.fallback.call(body).await }.boxed()
        };
        let (mut from_owner, mut from_fallback) = (None::<Attempt>, None::<FromFallback>);
        let mut compare = !live.policies.is_empty();
        let mut ask_fallback = needs_fallback(&build, compare);
        let mut waiting = None;
        let choice = loop {
            if ask_fallback && from_fallback.is_none() && waiting.is_none() {
                waiting = Some(self.health.wait(Call::GetPayload, self.uptime()));
            }
            let outcome = from_owner.as_ref().map(|attempt| self.judge(&build, attempt, from_fallback.as_ref()));
            let so_far = match &from_fallback {
                Some(fallback) if minds_fallback(build.purpose, outcome.as_ref(), compare) => {
                    self.own(&build.demand, fallback).outcome()
                }
                _ => FallbackOutcome::Pending,
            };
            let situation = Situation { purpose: build.purpose, owner: outcome.as_ref(), fallback: so_far, compare };
            if let Some(choice) = choose(situation) {
                if let (Some(outcome), Some(attempt)) = (outcome, &mut from_owner) {
                    attempt.outcome = outcome;
                }
                break choice;
            }
            tokio::select! {
                biased;
                answer = &mut fallback, if ask_fallback && from_fallback.is_none() => {
                    waiting = None;
                    self.engine_said(answer.as_ref().map(|_| ()));
                    from_fallback = Some(answer.into());
                }
                done = &mut attempt, if from_owner.is_none() => (from_owner, ask_fallback) = (Some(done), true),
                () = sleep_until(started + HEAD_START), if !ask_fallback => ask_fallback = true,
                // Comparing isn't worth more time than asking the owner.
                () = sleep_until(deadline), if compare && from_owner.is_some() => compare = false,
            }
        };
        // What the fallback takes beyond this isn't op-node's time.
        drop(waiting);
        let (answer, block) = match (choice, from_owner.as_ref().and_then(|attempt| attempt.payload.as_ref())) {
            (Choice::Gateway, Some(payload)) => {
                (rpc::success(id, payload.result.clone()).into(), Some((payload.block_hash, Some(payload.number))))
            }
            _ => match from_fallback.as_ref() {
                Some(fallback @ FromFallback { answer: Ok(body), .. }) => {
                    let own = self.own(&build.demand, fallback).payload.as_ref();
                    (body.clone().into(), own.map(|own| (own.block_hash, own.number())))
                }
                Some(FromFallback { answer: Err(error), .. }) => (unreachable_fallback(id, error).into(), None),
                // A choice is made only once the chosen one is there.
                None => (rpc::failure(id, rpc::UPSTREAM_FAILED, "no payload").into(), None),
            },
        };
        let (block_hash, number) = (block.map(|(hash, _)| hash), block.and_then(|(_, number)| number));
        let served = Served { choice, block_hash, number, took: started.elapsed(), asked_ns };
        let proxy = self.clone();
        let then = Then::new(move || {
            if choice == Choice::Gateway {
                proxy.expect_soft_block(&build, from_owner.as_ref());
            }
            // There is none any more if calls are cut off because the portal ends, nor anything that makes a timer.
            let runtime = if aside { Some(proxy.elsewhere.clone()) } else { Handle::try_current().ok() };
            let later = match (from_owner, from_fallback) {
                (Some(attempt), Some(fallback)) => {
                    let offer = proxy.own(&build.demand, &fallback).offer();
                    proxy.record(payload_id, &build, &attempt, offer, served);
                    return;
                }
                (Some(attempt), None) => {
                    let is_first = proxy.record(payload_id, &build, &attempt, None, served);
                    // The fallback goes on building until it is asked.
                    let (is_empty, asks) = (is_first && attempt.is_empty(), build.demand.asks_for_defaults());
                    async move {
                        if let Ok(answer @ Ok(_)) = timeout(live.payload_budget, fallback).await
                            && (is_empty || asks)
                        {
                            let fallback = answer.into();
                            if let Some(offer) = proxy.own(&build.demand, &fallback).offer().filter(|_| is_empty) {
                                proxy.note_emptiness(&build, offer);
                            }
                        }
                    }
                    .boxed()
                }
                (None, fallback) => async move {
                    let mut attempt = attempt.await;
                    attempt.outcome = proxy.judge(&build, &attempt, fallback.as_ref());
                    let offer = fallback.as_ref().and_then(|fallback| proxy.own(&build.demand, fallback).offer());
                    proxy.record(payload_id, &build, &attempt, offer, served);
                }
                .boxed(),
            };
            if let Some(runtime) = runtime {
                runtime.spawn(later);
            }
        });
        (answer, then)
    }

    /// What the fallback's answer holds, read the first time.
    fn own<'a>(&self, demand: &Demand, fallback: &'a FromFallback) -> &'a Own {
        fallback.own.get_or_init(|| match &fallback.answer {
            Ok(body) => self.read_own(demand, body),
            Err(_) => Own::default(),
        })
    }

    /// Reads the fallback's answer, and keeps what it takes as the chain's default EIP-1559 parameters, if it was asked for them.
    fn read_own(&self, demand: &Demand, body: &[u8]) -> Own {
        let wants_hashes = self.live().policies.iter().any(|policy| policy.wants_hashes());
        let hashes = if wants_hashes { payload::transaction_hashes(body) } else { Vec::new() };
        let own = OwnPayload::read(body);
        if demand.asks_for_defaults()
            && let Some(defaults) = own.as_ref().and_then(|own| demand::eip1559_of(&own.extra_data))
        {
            *lock(&self.default_fees) = Some(defaults);
        }
        let forced = demand.forced.len();
        let offer = own.as_ref().map(|own| Offer {
            gas_used: own.gas_used.to(),
            value: own.value,
            own_transactions: own.transactions.saturating_sub(forced),
            hashes: hashes.into_iter().skip(forced).collect(),
        });
        Own { payload: own, offer: offer.unwrap_or_default() }
    }

    /// A valid payload, compared with the chain's defaults and, by the operator's policies, with the fallback's.
    fn judge(&self, build: &Build<Building>, attempt: &Attempt, fallback: Option<&FromFallback>) -> OwnerOutcome {
        if let Some(fallback) = fallback.filter(|_| build.demand.asks_for_defaults()) {
            self.own(&build.demand, fallback);
        }
        if let (OwnerOutcome::Unsupported(fields), Some(fallback)) = (&attempt.outcome, fallback)
            && self.own(&build.demand, fallback).payload.as_ref().is_some_and(|own| own.fields() != *fields)
        {
            return OwnerOutcome::Mismatch(Mismatch::Form);
        }
        let outcome = self.against_defaults(build, attempt);
        let (OwnerOutcome::Valid, Some(payload), Some(fallback)) = (&outcome, &attempt.payload, fallback) else {
            return outcome;
        };
        let live = self.live();
        if live.policies.is_empty() {
            return outcome;
        }
        let Some(own) = self.own(&build.demand, fallback).offer() else { return outcome };
        let overdue = live.rules.include_after.map(|after| lock(&self.waiting).overdue(after)).unwrap_or_default();
        let candidates = Candidates { gateway: &payload.offer, fallback: own, overdue: &overdue };
        let objection = live.policies.iter().find_map(|policy| policy.judge(candidates).err());
        objection.map_or(outcome, OwnerOutcome::Outbid)
    }

    /// Where the attributes leave the EIP-1559 parameters to the chain, they must be what the fallback takes for them.
    fn against_defaults(&self, build: &Build<Building>, attempt: &Attempt) -> OwnerOutcome {
        let (OwnerOutcome::Valid, Some(payload)) = (&attempt.outcome, &attempt.payload) else {
            return attempt.outcome.clone();
        };
        let defaults = *lock(&self.default_fees);
        match build.demand.check_defaults(&payload.extra_data, defaults) {
            Ok(()) => OwnerOutcome::Valid,
            Err(mismatch) => OwnerOutcome::Mismatch(mismatch),
        }
    }

    /// Keeps and logs a decision, and what it says about the gateway; `fallback` is the fallback's payload, if it is known. Whether it was the first to say
    /// something about the gateway.
    pub(super) fn record(
        &self,
        payload_id: PayloadId,
        build: &Build<Building>,
        attempt: &Attempt,
        fallback: Option<&Offer>,
        served: Served,
    ) -> bool {
        let owner = build.owner.gateway();
        attempt.asked.into_iter().chain(attempt.checked).for_each(Asked::record);
        let is_first = self.note_fault(build, attempt, fallback);
        self.note_inclusion(build, attempt, fallback, served.choice);
        let clock = self.schedule.snapshot().clock;
        let demand = &build.demand;
        let millis = |time: Duration| u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
        let outcome = &attempt.outcome;
        let own = if fallback.is_some() { FallbackOutcome::Payload } else { FallbackOutcome::Failed };
        let would_serve = match build.purpose {
            Purpose::Serve => None,
            // Nothing is served, nor recorded, of these before it is known how the fallback fared.
            Purpose::DryRun | Purpose::Trial => select(outcome, own),
        };
        let decision = Decision {
            number: demand.number.or(served.number),
            timestamp: demand.timestamp,
            parent: demand.parent,
            owner_slot: demand.number.map(|number| clock.owner_slot(number)),
            owner,
            payload_id,
            purpose: build.purpose,
            choice: served.choice,
            would_serve: would_serve.unwrap_or(served.choice),
            outcome: outcome.name(),
            reason: decision::reason(outcome),
            block_hash: served.block_hash,
            gateway_block_hash: attempt.block_hash,
            stages: attempt.stages,
            took_ms: millis(served.took),
            at_ms: millis(Duration::from_nanos(served.asked_ns) + served.took),
        };
        // First, so that who follows the log finds it.
        self.decisions.push(decision.clone());
        info!(
            number = decision.number,
            owner = decision.owner,
            payload_id = %payload_id,
            purpose = decision.purpose.name(),
            choice = decision.choice.name(),
            would_serve = decision.would_serve.name(),
            reason = %decision.reason,
            block = decision.block_hash.map(tracing::field::display),
            gateway_block = decision.gateway_block_hash.map(tracing::field::display),
            took_ms = decision.took_ms,
            "payload"
        );
        if decision.choice == Choice::Nothing {
            let Decision { number, owner, reason, .. } = &decision;
            error!(number, owner, %payload_id, %reason, "no payload for a block: neither gateway nor fallback has one");
        }
        telemetry::payload(served.choice, owner, outcome.name());
        self.tracer.put(build.ordered, trace::Asked { at_ns: served.asked_ns, took: served.took }, &decision);
        is_first
    }

    /// Tells the gateway's breaker how it went, the first time that this block says something about it. Whether it does.
    fn note_fault(&self, build: &Build<Building>, attempt: &Attempt, fallback: Option<&Offer>) -> bool {
        let Owner::Ask(gateway) = build.owner else { return false };
        let Some(fault) = breaker::verdict(&attempt.outcome) else {
            if build.purpose == Purpose::Trial {
                let (outcome, reason) = (attempt.outcome.name(), &attempt.outcome);
                if !matches!(reason, OwnerOutcome::Late(_)) {
                    info!(gateway, outcome, %reason, "a trial says nothing about its gateway: the next block is one too");
                } else if let Some(pause_ms) = self.put_off(gateway) {
                    info!(gateway, outcome, %reason, pause_ms, "a trial says nothing about its gateway: the next waits");
                }
            }
            return false;
        };
        if !build.judged.set() {
            return false;
        }
        match (attempt.is_empty(), fallback) {
            // Only the fallback's payload, which is still to come, says whether it had to be.
            (true, None) => self.note(gateway, fault),
            // Where that isn't looked at, it is as good as any other.
            (true, Some(fallback)) if fallback.own_transactions > 0 && self.live().limits.empty > 0 => {
                self.note(gateway, fault.or(Some(Fault::Empty)));
            }
            _ => {
                self.note(gateway, fault);
                if attempt.payload.is_some() {
                    self.clear(gateway, Fault::Empty);
                }
            }
        }
        true
    }

    /// Tells the gateway's breaker, once the fallback's payload is known, what an empty one was.
    fn note_emptiness(&self, build: &Build<Building>, fallback: &Offer) {
        match build.owner {
            Owner::Ask(gateway) if fallback.own_transactions > 0 => self.note(gateway, Some(Fault::Empty)),
            Owner::Ask(gateway) => self.clear(gateway, Fault::Empty),
            Owner::Skip(_) => {}
        }
    }

    /// Tells a gateway's breaker that a block hadn't a fault.
    pub(super) fn clear(&self, gateway: baton_protocol::GatewayId, fault: Fault) {
        if let Some(breaker) = lock(&self.breakers).get_mut(&gateway) {
            breaker.clear(fault);
        }
    }

    /// Tells a gateway's breaker of a fault, or that there was none.
    pub(crate) fn note(&self, gateway: baton_protocol::GatewayId, fault: Option<Fault>) {
        let (limits, now) = (self.live().limits, self.uptime());
        let (before, after, condition) = {
            let mut breakers = lock(&self.breakers);
            let breaker = breakers.entry(gateway).or_default();
            let before = *breaker;
            breaker.note(fault, &limits, now);
            (before, *breaker, breaker.condition(now))
        };
        match (before.is_closed(), after.pause_ms()) {
            (true, Some(pause_ms)) => {
                warn!(
                    gateway,
                    fault = fault.map(Fault::name),
                    pause_ms,
                    "a gateway failed too often and is left out for a while"
                );
            }
            (false, Some(pause_ms)) if before != after => {
                warn!(
                    gateway,
                    fault = fault.map(Fault::name),
                    pause_ms,
                    "a gateway's trial failed and it is left out for longer"
                );
            }
            (false, None) => {
                let pause_ms = before.pause_ms();
                info!(gateway, pause_ms, "a gateway's trial was good: it is asked for blocks again");
            }
            _ => {}
        }
        telemetry::breaker(gateway, condition);
    }

    /// Tells a gateway's breaker that a trial's check was late. How long the next trial waits, in milliseconds, if this puts it off.
    fn put_off(&self, gateway: baton_protocol::GatewayId) -> Option<u64> {
        let now = self.uptime();
        let pause = lock(&self.breakers).get_mut(&gateway)?.put_off(now)?;
        telemetry::breaker(gateway, Condition::Open);
        Some(pause)
    }

    /// Keeps count of transactions that wait for a block, once for each block.
    fn note_inclusion(&self, build: &Build<Building>, attempt: &Attempt, fallback: Option<&Offer>, choice: Choice) {
        let (Some(_), Some(fallback)) = (self.live().rules.include_after, fallback) else { return };
        if !build.counted.set() {
            return;
        }
        let owner = attempt.payload.as_ref().map(|payload| payload.offer.hashes.as_slice()).unwrap_or_default();
        let included = if choice == Choice::Gateway { owner } else { &fallback.hashes };
        lock(&self.waiting).note(&fallback.hashes, included);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{builds::Mark, demand::FeeParameters, route::Skip, trace::Ordered};
    use std::sync::Mutex;

    #[test]
    fn the_fallback_is_asked_at_once_where_its_payload_is_needed() {
        let needs = |owner, purpose, eip1559: u64, compare| {
            let fees = Some(FeeParameters { eip1559: eip1559.to_be_bytes().into(), min_base_fee: None });
            let demand = Demand { fees, ..Demand::default() };
            let (judged, counted) = (Mark::default(), Mark::default());
            let ordered = Ordered::default();
            let orders = Mutex::default();
            needs_fallback(&Build { demand, owner, orders, purpose, ordered, judged, counted }, compare)
        };
        assert!(!needs(Owner::Ask(1), Purpose::Serve, 7, false));
        assert!(needs(Owner::Skip(Skip::OpenSlot), Purpose::Serve, 7, false));
        assert!(needs(Owner::Ask(1), Purpose::DryRun, 7, false));
        assert!(needs(Owner::Ask(1), Purpose::Trial, 7, false));
        assert!(needs(Owner::Ask(1), Purpose::Serve, 0, false));
        assert!(needs(Owner::Ask(1), Purpose::Serve, 7, true));
    }

    #[tokio::test]
    async fn a_defect_is_no_more_than_an_attempt_that_failed() {
        let attempt = safely(async { panic!("a defect") }).await;
        assert!(matches!(attempt.outcome, OwnerOutcome::Unchecked(_)));
        assert!(attempt.payload.is_none());
    }
}
