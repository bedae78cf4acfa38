//! Getting a payload from its owner and having it checked, within a time budget.

use super::{Proxy, lock};
use crate::{
    body::Pieces,
    builds::{Build, Purpose},
    decision::Stages,
    demand::Mismatch,
    lane::{Building, Lane, NotBuilding, Peer},
    mode::Mode,
    payload::{self, Payload, PayloadStatus},
    peek::PayloadId,
    policy::Offer,
    route::{Owner, Skip},
    rpc::{self, Answer, AnswerError},
    selection::{OwnerOutcome, Stage},
    telemetry,
    upstream::UpstreamError,
    version::{self, Fields, Label},
};
use alloy::primitives::B256;
use bytes::Bytes;
use std::{sync::Arc, time::Duration};
use tokio::time::{Instant, timeout_at};

/// A valid payload of an owner.
#[derive(Debug)]
pub(super) struct OwnerPayload {
    /// `getPayload`'s result, as the gateway wrote it: JSON.
    pub(super) result: Bytes,
    pub(super) block_hash: B256,
    pub(super) number: u64,
    pub(super) extra_data: Bytes,
    pub(super) offer: Offer,
}

/// How an attempt ended, and how long its parts took.
#[derive(Debug)]
pub(super) struct Attempt {
    pub(super) outcome: OwnerOutcome,
    pub(super) payload: Option<OwnerPayload>,
    /// The hash that its payload says it has, valid or not.
    pub(super) block_hash: Option<B256>,
    pub(super) stages: Stages,
    /// The request for the payload. For metrics, which can wait until op-node has its answer.
    pub(super) asked: Option<Asked>,
    /// The fallback's check, likewise.
    pub(super) checked: Option<Asked>,
}

/// A request, and how it went.
#[derive(Clone, Copy, Debug)]
pub(super) struct Asked {
    peer: Peer,
    label: Label,
    outcome: &'static str,
    took: Duration,
}

/// What is known of an attempt that may still fail.
#[derive(Debug, Default)]
struct Notes {
    block_hash: Option<B256>,
    stages: Stages,
    asked: Option<Asked>,
    checked: Option<Asked>,
}

/// A payload to check.
struct Check<'a> {
    request: Pieces,
    fork: &'a version::Fork,
    /// The request's.
    id: u64,
    fields: Fields,
    /// Whether op-node doesn't wait for it.
    aside: bool,
}

impl Attempt {
    /// Whether it brought a payload in which there is nothing but what was asked for.
    pub(super) fn is_empty(&self) -> bool {
        self.payload.as_ref().is_some_and(|payload| payload.offer.own_transactions == 0)
    }
}

impl Asked {
    /// Adds it to the metrics.
    pub(super) fn record(self) {
        telemetry::peer_request(self.peer, self.label, self.outcome, self.took);
    }
}

impl Proxy {
    /// Tries to get a valid payload from the owner until a deadline.
    pub(super) async fn attempt(&self, version: u8, build: &Build<Building>, deadline: Instant) -> Attempt {
        let mut notes = Notes::default();
        let tried = self.try_owner(version, build, deadline, &mut notes).await;
        let Notes { block_hash, stages, asked, checked } = notes;
        let (outcome, payload) = match tried {
            Ok(payload) => (OwnerOutcome::Valid, Some(payload)),
            Err(outcome) if outcome.is_no_payload() && !self.has_its_lane(build) => {
                (OwnerOutcome::LaneClosed(outcome.to_string()), None)
            }
            Err(outcome) => (outcome, None),
        };
        Attempt { outcome, payload, block_hash, stages, asked, checked }
    }

    /// Whether the lane that an order went over is still open, and the owner's.
    fn has_its_lane(&self, build: &Build<Building>) -> bool {
        let lanes = self.gateways.lanes();
        let now = build.owner.gateway().and_then(|gateway| lanes.get(gateway));
        // All of a block's orders went over one. It is closed, and drops them, before there is another in its place.
        let is_open = |lane: &Arc<Lane>| now.is_some_and(|now| Arc::ptr_eq(now, lane)) && !lane.is_closed();
        build.orders().first().is_some_and(|order| is_open(&order.lane))
    }

    async fn try_owner(
        &self,
        version: u8,
        build: &Build<Building>,
        deadline: Instant,
        Notes { block_hash, stages, asked, checked }: &mut Notes,
    ) -> Result<OwnerPayload, OwnerOutcome> {
        let gateway = match build.owner {
            Owner::Ask(gateway) => gateway,
            Owner::Skip(reason) => return Err(OwnerOutcome::Skipped(reason)),
        };
        let mut orders = build.orders();
        let Some(latest) = orders.first().cloned() else {
            return Err(OwnerOutcome::Skipped(Skip::NoEndpoint(gateway)));
        };
        // The operator's word counts at once, for blocks under way too.
        if self.live().modes.of(gateway) == Mode::Disabled {
            return Err(OwnerOutcome::Skipped(Skip::Disabled(gateway)));
        }
        let Some(fork) = version::of_get_payload(version) else {
            return Err(OwnerOutcome::Undecided(format!("version {version} of getPayload isn't known here")));
        };
        let aside = build.purpose != Purpose::Serve;
        let budget = deadline.saturating_duration_since(Instant::now());
        let method = format!("engine_getPayloadV{version}");
        let (is_repeated, mut is_replaced) = (orders.len() > 1, false);
        let (id, answer) = loop {
            let started = Instant::now();
            let known = known_id(&mut orders, deadline).await;
            stages.id_us = so_far(stages.id_us, started);
            let at_gateway = known.map_err(|why| if is_replaced { OwnerOutcome::Replaced } else { why })?;
            let id = rpc::next_id();
            let request = rpc::request(id, &method, &[&format!("\"{at_gateway}\"")]);
            let started = Instant::now();
            let answer = latest.lane.payloads(aside).call_until(deadline, request).await;
            stages.payload_us = so_far(stages.payload_us, started);
            let (peer, label) = (Peer::Gateway(gateway), version::label(&method));
            let now = Asked { peer, label, outcome: outcome(answer.as_ref()), took: started.elapsed() };
            asked.replace(now).into_iter().for_each(Asked::record);
            let answer = answer.ok_or(OwnerOutcome::Late(Stage::Payload))?;
            let answer = answer.map_err(|error| OwnerOutcome::Unreachable(error.to_string()))?;
            // An engine may keep only what it was last asked for, under another id each time: this block again, or the next, for which op-node doesn't wait until
            // this one is there if it won't get it.
            let may_be_gone = is_repeated || aside && !latest.is_last();
            if !may_be_gone || !rpc::is_unknown_payload(&answer) {
                break (id, answer);
            }
            is_replaced = true;
        };
        let payload = Payload::read(&answer, id).map_err(OwnerOutcome::BadAnswer)?;
        *block_hash = Some(payload.block_hash);
        if !payload.is_of(fork) {
            return Err(OwnerOutcome::Mismatch(Mismatch::Fork));
        }
        if let Some(field) = payload.lacks(fork) {
            return Err(OwnerOutcome::Mismatch(Mismatch::Lacks(field)));
        }
        build.demand.check(&payload).map_err(OwnerOutcome::Mismatch)?;

        let started = Instant::now();
        let id = rpc::next_id();
        let (before, text, after) = payload.validation_request(fork, id);
        let request = vec![before.into(), answer.slice_ref(text), after.into()];
        let check = Check { request: request.into(), fork, id, fields: payload.fields, aside };
        let verdict = self.validate(check, deadline, checked).await;
        stages.validation_us = micros(started);
        let left = deadline.saturating_duration_since(started);
        verdict.map_err(|outcome| match outcome {
            OwnerOutcome::Late(stage) => OwnerOutcome::Late(stage.late_check(left, budget, *lock(&self.last_check))),
            other => other,
        })?;
        *lock(&self.last_check) = Some(started.elapsed());
        let wants_hashes = self.live().policies.iter().any(|policy| policy.wants_hashes());
        let offer = {
            let own = payload.transactions().skip(build.demand.forced.len());
            Offer {
                gas_used: payload.gas_used,
                value: payload.value,
                own_transactions: own.len(),
                hashes: if wants_hashes { own.filter_map(payload::transaction_hash).collect() } else { Vec::new() },
            }
        };
        let Payload { block_hash, number, extra_data, result, .. } = payload;
        let result = answer.slice_ref(result);
        Ok(OwnerPayload { result, block_hash, number, extra_data: extra_data.0, offer })
    }

    /// Has the fallback, and the second validator if there is one, check a payload; both at once. What op-node doesn't wait for goes over other connections
    /// than its calls: a connection is served where it was made.
    async fn validate(
        &self,
        Check { request, fork, id, fields, aside }: Check<'_>,
        deadline: Instant,
        checked: &mut Option<Asked>,
    ) -> Result<(), OwnerOutcome> {
        let label = version::label(&format!("engine_newPayloadV{}", fork.new_payload));
        let second = async {
            let Some(validator) = &self.validator else { return Ok(()) };
            let started = Instant::now();
            let answer = validator.asked(aside).call_until(deadline, request.clone()).await;
            let name = outcome(answer.as_ref());
            telemetry::peer_request(validator.peer(), label, name, started.elapsed());
            let answer = answer.ok_or(OwnerOutcome::Late(Stage::SecondValidation))?;
            let said = |error: &dyn std::fmt::Display| OwnerOutcome::Unchecked(format!("second validator: {error}"));
            let answer = answer.map_err(|error| said(&error))?;
            match status(&answer, id).map_err(|error| said(&error))?.as_str() {
                "VALID" => Ok(()),
                "INVALID" => Err(OwnerOutcome::Disputed("INVALID".to_owned())),
                // With an error, too, since it is the fallback's word against that of a client that may be older.
                other => Err(said(&other)),
            }
        };
        let first = async {
            let started = Instant::now();
            let fallback = if aside { &self.prober } else { &self.fallback };
            let answer = fallback.call_until(deadline, request.clone()).await;
            let name = outcome(answer.as_ref());
            *checked = Some(Asked { peer: Peer::Fallback, label, outcome: name, took: started.elapsed() });
            let answer = answer.ok_or(OwnerOutcome::Late(Stage::Validation))?;
            // A gateway wrote this request: what it can bring about by that says nothing about the fallback.
            if answer.as_ref().err().is_none_or(UpstreamError::is_of_the_node) {
                self.engine_said(answer.as_ref().map(|_| ()));
            }
            let answer = answer.map_err(|error| OwnerOutcome::Unchecked(error.to_string()))?;
            // Of what an error says, only this much can be the gateway's doing. That the fallback lacks the method (-32601), refuses the token (an HTTP status)
            // or has an error of its own is the operator's affair, and would be so with any gateway's payload.
            let status = status(&answer, id).map_err(|error| match rpc::error_code(&answer) {
                Some(rpc::INVALID_PARAMS) => OwnerOutcome::Rejected(error.to_string()),
                Some(rpc::UNSUPPORTED_FORK) => OwnerOutcome::Unsupported(fields),
                _ => OwnerOutcome::Unchecked(error.to_string()),
            })?;
            match status.as_str() {
                "VALID" => Ok(()),
                other if other.starts_with("INVALID") => Err(OwnerOutcome::Rejected(other.to_owned())),
                other => Err(OwnerOutcome::Undecided(other.to_owned())),
            }
        };
        // The fallback's word comes first in the record: a payload that both reject is invalid, not disputed.
        let (first, second) = tokio::join!(first, second);
        first.and(second)
    }
}

/// A short name for metrics; `None` stands for an answer that didn't come in time.
fn outcome(answer: Option<&Result<Bytes, UpstreamError>>) -> &'static str {
    match answer {
        None => "late",
        Some(Err(error)) => error.name(),
        Some(Ok(answer)) => rpc::outcome(answer),
    }
}

fn status(answer: &[u8], id: u64) -> Result<String, AnswerError> {
    let result = Answer::result_for(answer, id)?;
    let verdict: PayloadStatus = serde_json::from_str(result.get()).map_err(|_| AnswerError::WrongShape)?;
    Ok(verdict.status)
}

/// The id of the latest order that the gateway has answered with one, or else of the first that it answers. That order is taken out, and those that failed.
async fn known_id(orders: &mut Vec<Building>, deadline: Instant) -> Result<PayloadId, OwnerOutcome> {
    let dropped = || OwnerOutcome::NotBuilding("the order was dropped from its lane".to_owned());
    let mut failed = dropped();
    loop {
        let known = orders.iter().enumerate().find_map(|(at, order)| Some((at, order.known()?)));
        if let Some((at, id)) = known {
            orders.remove(at);
            return Ok(id);
        }
        // A lane carries one after the other, so that the earliest is answered first.
        let Some(earliest) = orders.last_mut() else { return Err(failed) };
        let said = timeout_at(deadline, earliest.id.wait_for(Option::is_some)).await;
        let said = said.map_err(|_| OwnerOutcome::Late(Stage::Id))?.ok().and_then(|said| said.clone());
        failed = match said {
            Some(Ok(_)) => continue,
            Some(Err(NotBuilding::Upstream(error))) => OwnerOutcome::Unreachable(error.to_string()),
            Some(Err(other)) => OwnerOutcome::NotBuilding(other.to_string()),
            None => dropped(),
        };
        orders.pop();
    }
}

/// What a stage has taken with what it took since.
fn so_far(before: Option<u64>, since: Instant) -> Option<u64> {
    Some(before.unwrap_or_default().saturating_add(micros(since)?))
}

fn micros(since: Instant) -> Option<u64> {
    u64::try_from(since.elapsed().as_micros()).ok()
}
