//! Getting a payload from its owner and having it checked, within a time budget.

use super::Proxy;
use crate::{
    builds::Build,
    decision::Stages,
    demand::Mismatch,
    lane::{Building, NotBuilding, Peer},
    payload::{self, Payload, PayloadStatus},
    policy::Offer,
    route::{Owner, Skip},
    rpc::{self, Answer, AnswerError},
    selection::{OwnerOutcome, Stage},
    telemetry, version,
};
use alloy::primitives::B256;
use bytes::Bytes;
use serde_json::value::RawValue;
use tokio::time::{Instant, timeout_at};

/// A valid payload of an owner.
#[derive(Debug)]
pub(super) struct OwnerPayload {
    /// `getPayload`'s result, as the gateway wrote it.
    pub(super) result: Box<RawValue>,
    pub(super) block_hash: B256,
    pub(super) extra_data: Bytes,
    pub(super) offer: Offer,
}

/// How an attempt ended, and how long its parts took.
#[derive(Debug)]
pub(super) struct Attempt {
    pub(super) outcome: OwnerOutcome,
    pub(super) payload: Option<OwnerPayload>,
    pub(super) stages: Stages,
}

impl Proxy {
    /// Tries to get a valid payload from the owner until a deadline.
    pub(super) async fn attempt(&self, version: u8, build: &Build<Building>, deadline: Instant) -> Attempt {
        let mut stages = Stages::default();
        match self.try_owner(version, build, deadline, &mut stages).await {
            Ok(payload) => Attempt { outcome: OwnerOutcome::Valid, payload: Some(payload), stages },
            Err(outcome) => Attempt { outcome, payload: None, stages },
        }
    }

    async fn try_owner(
        &self,
        version: u8,
        build: &Build<Building>,
        deadline: Instant,
        stages: &mut Stages,
    ) -> Result<OwnerPayload, OwnerOutcome> {
        let gateway = match build.owner {
            Owner::Ask(gateway) => gateway,
            Owner::Skip(reason) => return Err(OwnerOutcome::Skipped(reason)),
        };
        let gone = || OwnerOutcome::Skipped(Skip::NoEndpoint(gateway));
        let lane = self.gateways.lanes().get(gateway).cloned().ok_or_else(gone)?;
        let mut pending = build.pending.clone().ok_or_else(gone)?;
        let Some(fork) = version::of_get_payload(version) else {
            return Err(OwnerOutcome::Undecided(format!("version {version} of getPayload isn't known here")));
        };
        let started = Instant::now();
        let known = timeout_at(deadline, pending.wait_for(Option::is_some)).await;
        stages.id_us = micros(started);
        let known = known.map_err(|_| OwnerOutcome::Late(Stage::Id))?;
        let dropped = || OwnerOutcome::NotBuilding("its lane is full or closed".to_owned());
        let at_gateway = known.map_err(|_| dropped())?.clone().ok_or_else(dropped)?;
        let at_gateway = at_gateway.map_err(|error| match error {
            NotBuilding::Upstream(error) => OwnerOutcome::Unreachable(error.to_string()),
            other => OwnerOutcome::NotBuilding(other.to_string()),
        })?;

        let get_payload = format!("engine_getPayloadV{version}");
        let id = rpc::next_id();
        let request = rpc::request(id, &get_payload, &[&format!("\"{at_gateway}\"")]);
        let started = Instant::now();
        let answer = timeout_at(deadline, lane.direct().call(request)).await;
        stages.payload_us = micros(started);
        let name = match &answer {
            Err(_) => "late",
            Ok(Err(error)) => error.name(),
            Ok(Ok(answer)) => rpc::outcome(answer),
        };
        telemetry::peer_request(Peer::Gateway(gateway), version::label(&get_payload), name, started.elapsed());
        let answer = answer.map_err(|_| OwnerOutcome::Late(Stage::Payload))?;
        let answer = answer.map_err(|error| OwnerOutcome::Unreachable(error.to_string()))?;
        let result = Answer::result_for(&answer, id).map_err(OwnerOutcome::BadAnswer)?;
        let payload = Payload::read(result).map_err(OwnerOutcome::BadAnswer)?;
        if !payload.is_of(fork) {
            return Err(OwnerOutcome::Mismatch(Mismatch::Fork));
        }
        build.demand.check(&payload).map_err(OwnerOutcome::Mismatch)?;

        let started = Instant::now();
        let verdict = self.validate(&payload, fork, deadline).await;
        stages.validation_us = micros(started);
        verdict?;
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
        let Payload { block_hash, extra_data, .. } = payload;
        Ok(OwnerPayload { result: result.to_owned(), block_hash, extra_data: extra_data.0, offer })
    }

    /// Has the fallback, and the second validator if there is one, check a payload; both at once.
    async fn validate(
        &self,
        payload: &Payload<'_>,
        fork: &version::Fork,
        deadline: Instant,
    ) -> Result<(), OwnerOutcome> {
        let id = rpc::next_id();
        let request = payload.validation_request(fork, id);
        let method = format!("engine_newPayloadV{}", fork.new_payload);
        let second = async {
            let Some(validator) = &self.validator else { return Ok(()) };
            let started = Instant::now();
            let answer = timeout_at(deadline, validator.direct().call(request.clone())).await;
            let name = match &answer {
                Err(_) => "late",
                Ok(Err(error)) => error.name(),
                Ok(Ok(answer)) => rpc::outcome(answer),
            };
            telemetry::peer_request(validator.peer(), version::label(&method), name, started.elapsed());
            let answer = answer.map_err(|_| OwnerOutcome::Late(Stage::SecondValidation))?;
            let said = |error: &dyn std::fmt::Display| OwnerOutcome::Unchecked(format!("second validator: {error}"));
            let answer = answer.map_err(|error| said(&error))?;
            match status(&answer, id).map_err(|error| said(&error))?.as_str() {
                "VALID" => Ok(()),
                "INVALID" => Err(OwnerOutcome::Disputed("INVALID".to_owned())),
                other => Err(said(&other)),
            }
        };
        let first = async {
            let answer = timeout_at(deadline, self.ask_fallback(request.clone())).await;
            let answer = answer.map_err(|_| OwnerOutcome::Late(Stage::Validation))?;
            let answer = answer.map_err(|error| OwnerOutcome::Unchecked(error.to_string()))?;
            match status(&answer, id).map_err(|error| OwnerOutcome::Unchecked(error.to_string()))?.as_str() {
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

fn status(answer: &[u8], id: u64) -> Result<String, AnswerError> {
    let result = Answer::result_for(answer, id)?;
    let verdict: PayloadStatus = serde_json::from_str(result.get()).map_err(|_| AnswerError::WrongShape)?;
    Ok(verdict.status)
}

fn micros(since: Instant) -> Option<u64> {
    u64::try_from(since.elapsed().as_micros()).ok()
}
