//! What the portal does with each call: asks [`crate::route`] and [`crate::selection`], and sends.

use crate::{
    builds::{Build, Builds},
    decision::{Decision, DecisionLog},
    demand::{self, Demand},
    gateways::{Gateways, Lanes},
    lane::{Building, NotBuilding},
    payload::{OwnPayload, Payload, PayloadStatus},
    peek::{self, Body, Call, Method, PayloadId, RegistryQuery},
    registry,
    route::{self, Form, Kind, Owner, Route, Skip, View},
    rpc::{self, Answer, AnswerError},
    selection::{Choice, FallbackOutcome, OwnerOutcome, Stage, select},
    telemetry,
    upstream::{Upstream, UpstreamError},
    version,
};
use alloy::primitives::{B64, B256};
use baton_protocol::GatewayId;
use baton_schedule::Handle;
use bytes::Bytes;
use serde::Deserialize;
use serde_json::value::RawValue;
use std::{
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, SystemTime, UNIX_EPOCH},
};
use tokio::time::{Instant, timeout_at};
use tracing::{debug, info, warn};

/// A call that every Engine API port has.
const PROBE: Bytes = Bytes::from_static(br#"{"jsonrpc":"2.0","id":0,"method":"eth_chainId","params":[]}"#);

/// The portal itself.
#[derive(Debug)]
pub(crate) struct Proxy {
    pub(crate) schedule: Handle,
    pub(crate) fallback: Upstream,
    pub(crate) gateways: Gateways,
    pub(crate) decisions: DecisionLog,
    builds: Mutex<Builds<Building>>,
    payload_budget: Duration,
    fallback_up: AtomicBool,
    /// The chain's default EIP-1559 parameters, as the fallback last showed them.
    default_fees: Mutex<Option<B64>>,
}

impl Proxy {
    pub(crate) fn new(schedule: Handle, fallback: Upstream, gateways: Gateways, payload_budget: Duration) -> Self {
        Self {
            schedule,
            fallback,
            gateways,
            decisions: DecisionLog::default(),
            builds: Mutex::default(),
            payload_budget,
            fallback_up: AtomicBool::new(false),
            default_fees: Mutex::default(),
        }
    }

    /// Whether the fallback answered when it was last asked something.
    pub(crate) fn fallback_up(&self) -> bool {
        self.fallback_up.load(Ordering::Relaxed)
    }

    /// Answers a request body.
    pub(crate) async fn answer(&self, bytes: Bytes) -> Bytes {
        match peek::body(&bytes) {
            Body::Single(call) => self.answer_call(&call, bytes.clone()).await,
            // One after the other, so that the calls take effect in the order in which they were written.
            Body::Batch(calls) if !calls.is_empty() => {
                let mut answers = Vec::with_capacity(calls.len());
                for raw in calls {
                    let body = Bytes::copy_from_slice(raw.get().as_bytes());
                    answers.push(match peek::call(raw.get().as_bytes()) {
                        Some(call) => self.answer_call(&call, body).await,
                        None => rpc::failure(None, rpc::INVALID_REQUEST, "not a JSON-RPC call"),
                    });
                }
                rpc::batch(&answers)
            }
            Body::Batch(_) => rpc::failure(None, rpc::INVALID_REQUEST, "an empty batch"),
            Body::Unreadable => rpc::failure(None, rpc::PARSE_ERROR, "not a JSON-RPC call"),
        }
    }

    async fn answer_call(&self, call: &Call<'_>, body: Bytes) -> Bytes {
        let started = Instant::now();
        let snapshot = self.schedule.snapshot();
        let lanes = self.gateways.lanes();
        let view = View { snapshot: &snapshot, gateways: &lanes.ids };
        let answer = match route::route(call, view) {
            Route::Forward { kind, tell } => {
                for lane in tell.into_iter().filter_map(|id| lanes.get(id)) {
                    lane.send(kind, body.clone());
                }
                self.forward(call.id, body).await
            }
            Route::Build { owner, number, tell } => self.build(call, body, owner, number, tell, &lanes).await,
            Route::Select { version, id } => {
                let build = self.builds.lock().unwrap_or_else(PoisonError::into_inner).get(&id);
                match build {
                    Some(build) => self.payload(call.id, body, version, &build, &lanes, started).await,
                    // Ordered before the portal started, or never: whatever the fallback says.
                    None => self.forward(call.id, body).await,
                }
            }
            Route::Memory(query) => self.recall(call.id, query),
        };
        telemetry::request(&call.name, started.elapsed());
        answer
    }

    /// Asks the fallback, and keeps in mind whether it answers.
    async fn ask_fallback(&self, body: Bytes) -> Result<Bytes, UpstreamError> {
        let answer = self.fallback.call(body).await;
        let up = answer.is_ok();
        if self.fallback_up.swap(up, Ordering::Relaxed) != up {
            match &answer {
                Ok(_) => info!("the fallback answers"),
                Err(error) => warn!(%error, "the fallback doesn't answer"),
            }
        }
        telemetry::fallback_up(up);
        answer
    }

    /// Looks whether the fallback answers.
    pub(crate) async fn probe(&self) {
        // The outcome is kept where all outcomes are.
        let _ = self.ask_fallback(PROBE).await;
    }

    /// The fallback's answer as it is; a JSON-RPC error if there is none.
    async fn forward(&self, id: Option<&RawValue>, body: Bytes) -> Bytes {
        self.ask_fallback(body).await.unwrap_or_else(|error| unreachable_fallback(id, &error))
    }

    /// `forkchoiceUpdated` with attributes.
    async fn build(
        &self,
        call: &Call<'_>,
        body: Bytes,
        owner: Owner,
        number: Option<u64>,
        tell: Vec<(GatewayId, Form)>,
        lanes: &Lanes,
    ) -> Bytes {
        let Method::ForkchoiceUpdated(update) = &call.method else { return self.forward(call.id, body).await };
        let mut pending = None;
        let head_only = rpc::request(rpc::next_id(), &call.name, &[update.state.get(), "null"]);
        for (id, form) in tell {
            let Some(lane) = lanes.get(id) else { continue };
            match form {
                Form::Unchanged => pending = Some(lane.order(body.clone())),
                Form::HeadOnly => lane.send(Kind::Head, head_only.clone()),
            }
        }
        let answer = match self.ask_fallback(body).await {
            Ok(answer) => answer,
            Err(error) => return unreachable_fallback(call.id, &error),
        };
        if let (Some(id), Some(demand)) = (payload_id(&answer), Demand::of(update, number)) {
            debug!(payload_id = %id, number, ?owner, "building");
            let build = Build { demand, owner, pending };
            self.builds.lock().unwrap_or_else(PoisonError::into_inner).insert(id, build);
        }
        answer
    }

    /// `getPayload`: the owner's if it is good and in time, else the fallback's.
    async fn payload(
        &self,
        id: Option<&RawValue>,
        body: Bytes,
        version: u8,
        build: &Build<Building>,
        lanes: &Lanes,
        started: Instant,
    ) -> Bytes {
        let fallback = self.ask_fallback(body);
        let mut fallback = std::pin::pin!(fallback);
        let owner = self.owner_payload(version, build, lanes, started + self.payload_budget);
        let mut owner = std::pin::pin!(owner);
        // Both at once; the fallback's answer is kept until the owner's fate is known.
        let mut from_fallback = None;
        let (outcome, from_owner) = loop {
            tokio::select! {
                done = owner.as_mut() => break done,
                answer = fallback.as_mut(), if from_fallback.is_none() => from_fallback = Some(answer),
            }
        };
        if let Some(Ok(answer)) = &from_fallback {
            self.learn_defaults(&build.demand, answer);
        }
        let outcome = match &from_owner {
            Some(payload) => self.against_defaults(&build.demand, payload, outcome),
            None => outcome,
        };
        let so_far = from_fallback.as_ref().map_or(FallbackOutcome::Pending, fallback_outcome);
        let (choice, answer) = match (select(&outcome, so_far), from_owner, from_fallback) {
            (Some(Choice::Gateway), Some(payload), _) => {
                (Choice::Gateway, Ok((rpc::success(id, &payload.result), Some(payload.block_hash))))
            }
            (_, _, answered) => {
                let answer = match answered {
                    Some(answer) => answer,
                    None => fallback.await,
                };
                if let Ok(answer) = &answer {
                    self.learn_defaults(&build.demand, answer);
                }
                let choice = select(&outcome, fallback_outcome(&answer)).unwrap_or(Choice::Nothing);
                (choice, answer.map(|body| (body.clone(), block_hash(&body))))
            }
        };
        let hash = answer.as_ref().ok().and_then(|(_, hash)| *hash);
        self.record(build, &outcome, choice, hash, started);
        answer.map_or_else(|error| unreachable_fallback(id, &error), |(body, _)| body)
    }

    /// Keeps what the fallback takes as the chain's default EIP-1559 parameters, if it was asked for them.
    fn learn_defaults(&self, demand: &Demand, answer: &[u8]) {
        let carried = || demand::eip1559_of(&own_payload(answer)?.extra_data);
        if demand.asks_for_defaults()
            && let Some(defaults) = carried()
        {
            *self.default_fees.lock().unwrap_or_else(PoisonError::into_inner) = Some(defaults);
        }
    }

    /// Compares a valid payload of the owner with the chain's defaults, where the attributes leave the parameters to the chain.
    fn against_defaults(&self, demand: &Demand, payload: &OwnerPayload, outcome: OwnerOutcome) -> OwnerOutcome {
        let defaults = *self.default_fees.lock().unwrap_or_else(PoisonError::into_inner);
        match demand.check_defaults(&payload.extra_data, defaults) {
            Ok(()) => outcome,
            Err(mismatch) => OwnerOutcome::Mismatch(mismatch),
        }
    }

    /// Tries to get a valid payload from the owner until a deadline.
    async fn owner_payload(
        &self,
        version: u8,
        build: &Build<Building>,
        lanes: &Lanes,
        deadline: Instant,
    ) -> (OwnerOutcome, Option<OwnerPayload>) {
        match self.try_owner(version, build, lanes, deadline).await {
            Ok(payload) => (OwnerOutcome::Valid, Some(payload)),
            Err(outcome) => (outcome, None),
        }
    }

    async fn try_owner(
        &self,
        version: u8,
        build: &Build<Building>,
        lanes: &Lanes,
        deadline: Instant,
    ) -> Result<OwnerPayload, OwnerOutcome> {
        let gateway = match build.owner {
            Owner::Ask(gateway) => gateway,
            Owner::Skip(reason) => return Err(OwnerOutcome::Skipped(reason)),
        };
        let gone = || OwnerOutcome::Skipped(Skip::NoEndpoint(gateway));
        let lane = lanes.get(gateway).ok_or_else(gone)?;
        let mut pending = build.pending.clone().ok_or_else(gone)?;
        let Some(validation) = version::validation(version) else {
            return Err(OwnerOutcome::NotBuilding(format!("version {version} of getPayload isn't known here")));
        };
        let known =
            timeout_at(deadline, pending.wait_for(Option::is_some)).await.map_err(|_| OwnerOutcome::Late(Stage::Id))?;
        let dropped = || OwnerOutcome::NotBuilding("its lane is full or closed".to_owned());
        let at_gateway = known.map_err(|_| dropped())?.clone().ok_or_else(dropped)?;
        let at_gateway = at_gateway.map_err(|error| match error {
            NotBuilding::Upstream(error) => OwnerOutcome::Unreachable(error.to_string()),
            other => OwnerOutcome::NotBuilding(other.to_string()),
        })?;

        let get_payload = format!("engine_getPayloadV{version}");
        let id = rpc::next_id();
        let request = rpc::request(id, &get_payload, &[&format!("\"{at_gateway}\"")]);
        let answer = timeout_at(deadline, lane.upstream().call(request)).await;
        let answer = answer.map_err(|_| OwnerOutcome::Late(Stage::Payload))?;
        let answer = answer.map_err(|error| OwnerOutcome::Unreachable(error.to_string()))?;
        let result = Answer::result_for(&answer, id).map_err(OwnerOutcome::BadAnswer)?;
        let payload = Payload::read(result).map_err(OwnerOutcome::BadAnswer)?;
        build.demand.check(&payload).map_err(OwnerOutcome::Mismatch)?;

        let id = rpc::next_id();
        let request = payload.validation_request(validation, id);
        let verdict = timeout_at(deadline, self.ask_fallback(request)).await;
        let verdict = verdict.map_err(|_| OwnerOutcome::Late(Stage::Validation))?;
        let verdict = verdict.map_err(|error| OwnerOutcome::Unchecked(error.to_string()))?;
        let verdict = Answer::result_for(&verdict, id).map_err(|error| OwnerOutcome::Unchecked(error.to_string()))?;
        match serde_json::from_str::<PayloadStatus>(verdict.get()) {
            Ok(verdict) if verdict.status == "VALID" => {
                let Payload { block_hash, extra_data, .. } = payload;
                Ok(OwnerPayload { result: result.get().to_owned(), block_hash, extra_data: extra_data.0 })
            }
            Ok(verdict) => Err(OwnerOutcome::Rejected(verdict.status)),
            Err(_) => Err(OwnerOutcome::Unchecked(AnswerError::WrongShape.to_string())),
        }
    }

    /// Keeps and logs a decision.
    fn record(
        &self,
        build: &Build<Building>,
        outcome: &OwnerOutcome,
        choice: Choice,
        block_hash: Option<B256>,
        started: Instant,
    ) {
        let owner = match build.owner {
            Owner::Ask(id) | Owner::Skip(Skip::Ended(id) | Skip::NoEndpoint(id)) => Some(id),
            Owner::Skip(_) => None,
        };
        let clock = self.schedule.snapshot().clock;
        let demand = &build.demand;
        let millis = |time: Duration| u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
        let decision = Decision {
            number: demand.number,
            timestamp: demand.timestamp,
            parent: demand.parent,
            owner_slot: demand.number.map(|number| clock.owner_slot(number)),
            owner,
            choice,
            outcome: outcome.name(),
            reason: outcome.to_string(),
            block_hash,
            took_ms: millis(started.elapsed()),
            at_ms: millis(SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()),
        };
        info!(
            number = decision.number,
            owner = decision.owner,
            choice = ?decision.choice,
            reason = %decision.reason,
            block = decision.block_hash.map(tracing::field::display),
            took_ms = decision.took_ms,
            "payload"
        );
        telemetry::payload(choice, owner, outcome.name());
        self.decisions.push(decision);
    }

    /// `registry_*`
    fn recall(&self, id: Option<&RawValue>, query: RegistryQuery) -> Bytes {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
        match registry::answer(query, &self.schedule.snapshot(), now) {
            Ok(answer) => match serde_json::to_string(&answer) {
                Ok(result) => rpc::success(id, &result),
                Err(error) => rpc::failure(id, rpc::UPSTREAM_FAILED, &error.to_string()),
            },
            Err(error @ registry::RegistryError::Unknown) => {
                rpc::failure(id, rpc::METHOD_NOT_FOUND, &error.to_string())
            }
            Err(error) => rpc::failure(id, rpc::SCHEDULE_UNKNOWN, &error.to_string()),
        }
    }
}

/// A valid payload of an owner.
#[derive(Debug)]
struct OwnerPayload {
    /// `getPayload`'s result, as the gateway wrote it.
    result: String,
    block_hash: B256,
    extra_data: Bytes,
}

fn unreachable_fallback(id: Option<&RawValue>, error: &UpstreamError) -> Bytes {
    rpc::failure(id, rpc::UPSTREAM_FAILED, &format!("the fallback execution client gave no answer: {error}"))
}

fn fallback_outcome(answer: &Result<Bytes, UpstreamError>) -> FallbackOutcome {
    match answer {
        Ok(body) if block_hash(body).is_some() => FallbackOutcome::Payload,
        _ => FallbackOutcome::Failed,
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
    let answer: Answer<'_> = serde_json::from_slice(answer).ok()?;
    serde_json::from_str::<Update>(answer.result?.get()).ok()?.payload_id
}

/// The payload in the fallback's answer to `getPayload`.
fn own_payload(answer: &[u8]) -> Option<OwnPayload> {
    let answer: Answer<'_> = serde_json::from_slice(answer).ok()?;
    OwnPayload::read(answer.result?)
}

/// The block's hash in the fallback's answer to `getPayload`.
fn block_hash(answer: &[u8]) -> Option<B256> {
    own_payload(answer).map(|payload| payload.block_hash)
}
