//! Metrics, by name in one place. Recording is independent of logging.

#[cfg(test)]
pub(crate) mod lookups;

use crate::{
    breaker::Condition,
    lane::Peer,
    mode::Mode,
    queue::Dropped,
    route::Kind,
    selection::{Choice, OwnerOutcome},
    version::Label,
};
use baton_protocol::GatewayId;
use http::StatusCode;
use metrics::{Counter, Histogram, counter, describe_counter, describe_gauge, describe_histogram, gauge, histogram};
use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle};
use std::{
    collections::HashMap,
    hash::Hash,
    sync::{LazyLock, OnceLock, PoisonError, RwLock},
    time::Duration,
};

const REQUESTS: &str = "baton_portal_request_seconds";
const GATEWAY_REQUESTS: &str = "baton_portal_gateway_request_seconds";
const LANE_DROPPED: &str = "baton_portal_lane_dropped_total";
const PAYLOADS: &str = "baton_portal_payloads_total";
const OWNER_OUTCOMES: &str = "baton_portal_owner_outcomes_total";
const FALLBACK_UP: &str = "baton_portal_fallback_up";
const FALLBACK_HEAD_OLD: &str = "baton_portal_fallback_head_old";
const VALIDATOR_UP: &str = "baton_portal_validator_up";
const SCHEDULE_STALE: &str = "baton_portal_schedule_stale";
const GATEWAYS: &str = "baton_portal_gateways";
const BREAKER: &str = "baton_portal_breaker_open";
const MODE: &str = "baton_portal_execution_mode";
const READS: &str = "baton_portal_reads_total";
const TURNS_LOST: &str = "baton_portal_turns_lost_total";
const WARM_UPS: &str = "baton_portal_warm_ups_total";
const REFUSED: &str = "baton_portal_refused_total";
const TRACES_DROPPED: &str = "baton_portal_traces_dropped_total";

/// What labels can be, so that each series is there before what it counts first happens: a rate knows nothing of a series that begins at one.
const SOURCES: [Choice; 3] = [Choice::Gateway, Choice::Fallback, Choice::Nothing];
const READERS: [&str; 2] = ["gateway", "fallback"];
const KINDS: [Kind; 6] = [Kind::Head, Kind::Build, Kind::Payload, Kind::Pool, Kind::Steer, Kind::WarmUp];
/// Those that the engine port refuses calls with.
const REFUSALS: [StatusCode; 7] = [
    StatusCode::BAD_REQUEST,
    StatusCode::UNAUTHORIZED,
    StatusCode::METHOD_NOT_ALLOWED,
    StatusCode::PAYLOAD_TOO_LARGE,
    StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE,
    StatusCode::NOT_IMPLEMENTED,
    StatusCode::HTTP_VERSION_NOT_SUPPORTED,
];

/// Upper bounds of the latency buckets, in seconds: from loopback's tenths of a millisecond to the five seconds that older op-nodes wait.
const SECONDS: [f64; 14] = [0.000_25, 0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0];

/// The process's recorder. `None` if another part of the process has installed its own, which then has the portal's metrics as well.
pub(crate) fn install() -> Option<PrometheusHandle> {
    static HANDLE: OnceLock<Option<PrometheusHandle>> = OnceLock::new();
    HANDLE
        .get_or_init(|| {
            let mut builder = PrometheusBuilder::new();
            for name in [REQUESTS, GATEWAY_REQUESTS] {
                builder = builder.set_buckets_for_metric(Matcher::Full(name.to_owned()), &SECONDS).ok()?;
            }
            let recorder = builder.build_recorder();
            let handle = recorder.handle();
            metrics::set_global_recorder(recorder).ok()?;
            describe_histogram!(
                REQUESTS,
                "Seconds from when a call, or the beginning of one that passes while it comes, has been read to its answer, by method, version and outcome"
            );
            describe_histogram!(
                GATEWAY_REQUESTS,
                "Seconds that gateways and the validator took, and the fallback for checking payloads, by peer, method, version and outcome"
            );
            describe_gauge!(
                BREAKER,
                "1 while a gateway is left out, 0.5 once it is to be tried, until that is over; 0 without a lane"
            );
            describe_gauge!(MODE, "Execution mode of all gateways: 3 enabled, 2 dry run, 1 disabled");
            describe_counter!(READS, "Users' reads, by who answered");
            describe_counter!(TURNS_LOST, "Turns that gateways lost because they didn't sign");
            describe_counter!(WARM_UPS, "Gateways warmed before their turn");
            describe_counter!(LANE_DROPPED, "Updates that never reached a gateway, by peer, kind and reason");
            describe_counter!(PAYLOADS, "Payloads served, by whose they were");
            describe_counter!(OWNER_OUTCOMES, "How asking owners for payloads went, by gateway and outcome");
            describe_gauge!(FALLBACK_UP, "1 while the fallback answers, payload calls included");
            describe_gauge!(FALLBACK_HEAD_OLD, "1 while the fallback's newest block is older than it may be");
            describe_gauge!(VALIDATOR_UP, "1 once the second validator has answered, 0 while its last update couldn't be delivered");
            describe_counter!(REFUSED, "Calls to the engine port that were refused, by HTTP status");
            describe_counter!(TRACES_DROPPED, "Blocks whose traces didn't reach the collector");
            describe_gauge!(SCHEDULE_STALE, "1 while the schedule can't be refreshed from L1");
            describe_gauge!(GATEWAYS, "Gateways with an open lane");
            Some(handle)
        })
        .clone()
}

/// Begins the series that every portal has.
pub(crate) fn begin() {
    SOURCES.into_iter().for_each(|source| counter!(PAYLOADS, "source" => source.name()).increment(0));
    READERS.into_iter().for_each(|by| counter!(READS, "by" => by).increment(0));
    REFUSALS.into_iter().for_each(|status| counter!(REFUSED, "status" => status.as_str().to_owned()).increment(0));
    counter!(TRACES_DROPPED).increment(0);
    gauge!(FALLBACK_HEAD_OLD).set(0.0);
}

/// A lane's counters of what it drops. They are kept because updates are dropped on op-node's thread, where looking a counter up by its labels would cost
/// more than all else, for each gateway that hangs.
#[derive(Debug)]
pub(crate) struct LaneDrops(Vec<(Kind, Dropped, Counter)>);

impl LaneDrops {
    fn begin(peer: Peer) -> Self {
        let begun = |kind: Kind, reason: Dropped| {
            let counter =
                counter!(LANE_DROPPED, "peer" => peer.to_string(), "kind" => kind.name(), "reason" => reason.name());
            counter.increment(0);
            (kind, reason, counter)
        };
        Self(KINDS.into_iter().flat_map(|kind| Dropped::ALL.map(|reason| begun(kind, reason))).collect())
    }

    /// Counts one.
    pub(crate) fn count(&self, kind: Kind, reason: Dropped) {
        let of = self.0.iter().find(|(of_kind, of_reason, _)| (*of_kind, *of_reason) == (kind, reason));
        if let Some((.., counter)) = of {
            counter.increment(1);
        }
    }
}

/// Begins the series of a peer that gets a lane, and gives those that the lane counts in.
pub(crate) fn lane_opened(peer: Peer) -> LaneDrops {
    match peer {
        Peer::Gateway(id) => gateway_known(id),
        Peer::Validator => validator_up(false),
        Peer::Fallback => {}
    }
    LaneDrops::begin(peer)
}

/// Begins the series of a gateway that has a lane, be it another's.
pub(crate) fn gateway_known(id: GatewayId) {
    OwnerOutcome::NAMES.into_iter().for_each(|name| outcome(Some(id), name).increment(0));
    counter!(WARM_UPS, "gateway" => id.to_string()).increment(0);
    counter!(TURNS_LOST, "gateway" => id.to_string()).increment(0);
}

/// Histograms that were recorded in before, by their labels: looking one up by its name costs more than recording.
struct Known<K>(LazyLock<RwLock<HashMap<K, Histogram>>>);

impl<K: Copy + Eq + Hash> Known<K> {
    const fn new() -> Self {
        Self(LazyLock::new(RwLock::default))
    }

    fn record(&self, key: K, took: Duration, register: impl FnOnce() -> Histogram) {
        let known = self.0.read().unwrap_or_else(PoisonError::into_inner).get(&key).cloned();
        let histogram = known.unwrap_or_else(|| {
            let mut all = self.0.write().unwrap_or_else(PoisonError::into_inner);
            all.entry(key).or_insert_with(register).clone()
        });
        histogram.record(took.as_secs_f64());
    }
}

pub(crate) fn request(label: Label, outcome: &'static str, took: Duration) {
    static KNOWN: Known<(Label, &str)> = Known::new();
    KNOWN.record(
        (label, outcome),
        took,
        || histogram!(REQUESTS, "method" => label.method, "version" => version(label), "outcome" => outcome),
    );
}

pub(crate) fn peer_request(peer: Peer, label: Label, outcome: &'static str, took: Duration) {
    static KNOWN: Known<(Peer, Label, &str)> = Known::new();
    KNOWN.record((peer, label, outcome), took, || {
        histogram!(GATEWAY_REQUESTS, "peer" => peer.to_string(), "method" => label.method, "version" => version(label), "outcome" => outcome)
    });
}

/// Versions as labels; a method without any has 0.
fn version(label: Label) -> &'static str {
    const VERSIONS: [&str; 10] = ["0", "1", "2", "3", "4", "5", "6", "7", "8", "9"];
    VERSIONS[usize::from(label.version.min(9))]
}

pub(crate) fn breaker(gateway: GatewayId, condition: Condition) {
    let open = match condition {
        Condition::Closed => 0.0,
        Condition::HalfOpen => 0.5,
        Condition::Open => 1.0,
    };
    gauge!(BREAKER, "gateway" => gateway.to_string()).set(open);
}

/// The same numbers as rollup-boost's.
pub(crate) fn mode(mode: Mode) {
    gauge!(MODE).set(match mode {
        Mode::Enabled => 3.0,
        Mode::DryRun => 2.0,
        Mode::Disabled => 1.0,
    });
}

pub(crate) fn read(by: &'static str) {
    counter!(READS, "by" => by).increment(1);
}

pub(crate) fn warm_up(gateway: GatewayId) {
    counter!(WARM_UPS, "gateway" => gateway.to_string()).increment(1);
}

pub(crate) fn turn_lost(gateway: GatewayId) {
    counter!(TURNS_LOST, "gateway" => gateway.to_string()).increment(1);
}

pub(crate) fn payload(choice: Choice, gateway: Option<GatewayId>, name: &'static str) {
    counter!(PAYLOADS, "source" => choice.name()).increment(1);
    outcome(gateway, name).increment(1);
}

fn outcome(gateway: Option<GatewayId>, name: &'static str) -> Counter {
    let gateway = gateway.map_or("none".to_owned(), |id| id.to_string());
    counter!(OWNER_OUTCOMES, "gateway" => gateway, "outcome" => name)
}

pub(crate) fn refused(status: StatusCode) {
    counter!(REFUSED, "status" => status.as_str().to_owned()).increment(1);
}

pub(crate) fn traces_dropped(blocks: u64) {
    counter!(TRACES_DROPPED).increment(blocks);
}

pub(crate) fn fallback_up(up: bool) {
    gauge!(FALLBACK_UP).set(f64::from(u8::from(up)));
}

pub(crate) fn fallback_head_old(old: bool) {
    gauge!(FALLBACK_HEAD_OLD).set(f64::from(u8::from(old)));
}

pub(crate) fn validator_up(up: bool) {
    gauge!(VALIDATOR_UP).set(f64::from(u8::from(up)));
}

pub(crate) fn schedule(stale: bool) {
    gauge!(SCHEDULE_STALE).set(f64::from(u8::from(stale)));
}

pub(crate) fn gateways(gateways: usize) {
    gauge!(GATEWAYS).set(u32::try_from(gateways).unwrap_or(u32::MAX));
}
