//! `getPayload`: the owner's payload if it is good and in time, else the fallback's.

use super::{PayloadId, Proxy, attempt::Attempt, lock, unix_now, unreachable_fallback};
use crate::{
    breaker::{self, Fault},
    builds::Build,
    decision::{Decision, Stages},
    demand::{self, Demand},
    lane::Building,
    payload::{self, OwnPayload},
    policy::{Candidates, Offer},
    route::{Owner, Skip},
    rpc::{self, Answer},
    selection::{Choice, FallbackOutcome, OwnerOutcome, Situation, choose},
    telemetry,
    upstream::UpstreamError,
};
use alloy::primitives::B256;
use bytes::Bytes;
use serde_json::value::RawValue;
use std::{sync::Arc, time::Duration};
use tokio::time::{Instant, sleep_until};
use tracing::{info, warn};

/// The fallback's answer, read once.
#[derive(Debug)]
struct FromFallback {
    answer: Result<Bytes, UpstreamError>,
    own: Option<OwnPayload>,
    offer: Offer,
}

impl FromFallback {
    fn outcome(&self) -> FallbackOutcome {
        if self.own.is_some() { FallbackOutcome::Payload } else { FallbackOutcome::Failed }
    }
}

/// What was served, when.
#[derive(Clone, Copy, Debug)]
struct Served {
    choice: Choice,
    block_hash: Option<B256>,
    took: Duration,
    /// When it was asked for, Unix nanoseconds.
    asked_ns: u64,
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
    ) -> Bytes {
        let asked_ns = u64::try_from(unix_now().as_nanos()).unwrap_or(u64::MAX);
        let live = self.live();
        let deadline = started + live.payload_budget;
        // A task of its own, because in a dry run it goes on after op-node has its answer.
        let mut attempt = tokio::spawn({
            let (proxy, build) = (self.clone(), build.clone());
            async move { proxy.attempt(version, &build, deadline).await }
        });
        let mut fallback = std::pin::pin!(self.ask_fallback(body));
        let (mut from_owner, mut from_fallback) = (None::<Attempt>, None::<FromFallback>);
        let mut compare = !live.policies.is_empty();
        let choice = loop {
            let so_far = from_fallback.as_ref().map_or(FallbackOutcome::Pending, FromFallback::outcome);
            let outcome = from_owner.as_ref().map(|attempt| self.judge(&build, attempt, from_fallback.as_ref()));
            let situation = Situation { purpose: build.purpose, owner: outcome.as_ref(), fallback: so_far, compare };
            if let Some(choice) = choose(situation) {
                if let (Some(outcome), Some(attempt)) = (outcome, &mut from_owner) {
                    attempt.outcome = outcome;
                }
                break choice;
            }
            tokio::select! {
                done = &mut attempt, if from_owner.is_none() => from_owner = Some(done.unwrap_or_else(|error| Attempt {
                    outcome: OwnerOutcome::Unchecked(format!("the attempt ended early: {error}")),
                    payload: None,
                    stages: Stages::default(),
                })),
                answer = fallback.as_mut(), if from_fallback.is_none() => {
                    from_fallback = Some(self.read_own(&build.demand, answer));
                }
                // Comparing isn't worth more time than asking the owner.
                () = sleep_until(deadline), if compare && from_owner.is_some() => compare = false,
            }
        };
        let (answer, block_hash) = match (choice, from_owner.as_ref().and_then(|attempt| attempt.payload.as_ref())) {
            (Choice::Gateway, Some(payload)) => (rpc::success(id, payload.result.get()), Some(payload.block_hash)),
            _ => match from_fallback.as_ref() {
                Some(FromFallback { answer: Ok(body), own, .. }) => {
                    (body.clone(), own.as_ref().map(|own| own.block_hash))
                }
                Some(FromFallback { answer: Err(error), .. }) => (unreachable_fallback(id, error), None),
                // A choice is made only once the chosen one is there.
                None => (rpc::failure(id, rpc::UPSTREAM_FAILED, "no payload"), None),
            },
        };
        if choice == Choice::Gateway {
            self.expect_soft_block(&build, from_owner.as_ref());
        }
        let served = Served { choice, block_hash, took: started.elapsed(), asked_ns };
        let offer = from_fallback.map(|fallback| fallback.offer);
        match from_owner {
            Some(attempt) => self.record(payload_id, &build, &attempt, offer.as_ref(), served),
            None => {
                let proxy = self.clone();
                tokio::spawn(async move {
                    if let Ok(mut attempt) = attempt.await {
                        attempt.outcome = proxy.against_defaults(&build, &attempt);
                        proxy.record(payload_id, &build, &attempt, offer.as_ref(), served);
                    }
                });
            }
        }
        answer
    }

    /// Reads the fallback's answer, and keeps what it takes as the chain's default EIP-1559 parameters, if it was asked for them.
    fn read_own(&self, demand: &Demand, answer: Result<Bytes, UpstreamError>) -> FromFallback {
        let wants_hashes = self.live().policies.iter().any(|policy| policy.wants_hashes());
        let (own, hashes) = match &answer {
            Ok(body) => {
                let result = serde_json::from_slice::<Answer<'_>>(body).ok().and_then(|answer| answer.result);
                let hashes = result.filter(|_| wants_hashes).map(payload::transaction_hashes).unwrap_or_default();
                (result.and_then(OwnPayload::read), hashes)
            }
            Err(_) => (None, Vec::new()),
        };
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
        FromFallback { answer, own, offer: offer.unwrap_or_default() }
    }

    /// A valid payload, compared with the chain's defaults and, by the operator's policies, with the fallback's.
    fn judge(&self, build: &Build<Building>, attempt: &Attempt, fallback: Option<&FromFallback>) -> OwnerOutcome {
        let outcome = self.against_defaults(build, attempt);
        let (OwnerOutcome::Valid, Some(payload), Some(fallback)) = (&outcome, &attempt.payload, fallback) else {
            return outcome;
        };
        let live = self.live();
        if live.policies.is_empty() || fallback.own.is_none() {
            return outcome;
        }
        let overdue = live.rules.include_after.map(|after| lock(&self.waiting).overdue(after)).unwrap_or_default();
        let candidates = Candidates { gateway: &payload.offer, fallback: &fallback.offer, overdue: &overdue };
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

    /// Keeps and logs a decision, and what it says about the gateway.
    fn record(
        &self,
        payload_id: PayloadId,
        build: &Build<Building>,
        attempt: &Attempt,
        fallback: Option<&Offer>,
        served: Served,
    ) {
        let owner = match build.owner {
            Owner::Ask(id)
            | Owner::Skip(Skip::Ended(id) | Skip::NoEndpoint(id) | Skip::Disabled(id) | Skip::Suspended(id)) => {
                Some(id)
            }
            Owner::Skip(_) => None,
        };
        self.note_fault(build, attempt, fallback);
        self.note_inclusion(attempt, fallback, served.choice);
        let clock = self.schedule.snapshot().clock;
        let demand = &build.demand;
        let millis = |time: Duration| u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
        let outcome = &attempt.outcome;
        let decision = Decision {
            number: demand.number,
            timestamp: demand.timestamp,
            parent: demand.parent,
            owner_slot: demand.number.map(|number| clock.owner_slot(number)),
            owner,
            payload_id,
            purpose: build.purpose,
            choice: served.choice,
            outcome: outcome.name(),
            reason: outcome.to_string(),
            block_hash: served.block_hash,
            stages: attempt.stages,
            took_ms: millis(served.took),
            at_ms: millis(unix_now()),
        };
        info!(
            number = decision.number,
            owner = decision.owner,
            payload_id = %payload_id,
            purpose = ?decision.purpose,
            choice = ?decision.choice,
            reason = %decision.reason,
            block = decision.block_hash.map(tracing::field::display),
            took_ms = decision.took_ms,
            "payload"
        );
        telemetry::payload(served.choice, owner, outcome.name());
        self.tracer.put(build.ordered, served.asked_ns, &decision);
        self.decisions.push(decision);
    }

    /// Tells the gateway's breaker how it went.
    fn note_fault(&self, build: &Build<Building>, attempt: &Attempt, fallback: Option<&Offer>) {
        let Owner::Ask(gateway) = build.owner else { return };
        let Some(mut fault) = breaker::verdict(&attempt.outcome) else { return };
        let is_empty = attempt.payload.as_ref().is_some_and(|payload| payload.offer.own_transactions == 0);
        if fault.is_none() && is_empty && fallback.is_some_and(|offer| offer.own_transactions > 0) {
            fault = Some(Fault::Empty);
        }
        self.note(gateway, fault);
    }

    /// Tells a gateway's breaker of a fault, or that there was none.
    pub(crate) fn note(&self, gateway: baton_protocol::GatewayId, fault: Option<Fault>) {
        let limits = self.live().limits;
        let (opened, condition) = {
            let mut breakers = lock(&self.breakers);
            let breaker = breakers.entry(gateway).or_default();
            (breaker.note(fault, &limits, self.uptime()), breaker.condition())
        };
        if opened {
            warn!(gateway, ?fault, "a gateway failed too often and is left out for a while");
        }
        telemetry::breaker(gateway, condition);
    }

    /// Keeps count of transactions that wait for a block.
    fn note_inclusion(&self, attempt: &Attempt, fallback: Option<&Offer>, choice: Choice) {
        let (Some(_), Some(fallback)) = (self.live().rules.include_after, fallback) else { return };
        let owner = attempt.payload.as_ref().map(|payload| payload.offer.hashes.as_slice()).unwrap_or_default();
        let included = if choice == Choice::Gateway { owner } else { &fallback.hashes };
        lock(&self.waiting).note(&fallback.hashes, included);
    }
}
