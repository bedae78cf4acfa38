//! Metrics, by name in one place. Recording is independent of logging.

use crate::{queue::Dropped, route::Kind, selection::Choice};
use baton_protocol::GatewayId;
use metrics::{counter, describe_counter, describe_gauge, describe_histogram, gauge, histogram};
use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle};
use std::{sync::OnceLock, time::Duration};

const REQUESTS: &str = "baton_portal_request_seconds";
const GATEWAY_REQUESTS: &str = "baton_portal_gateway_requests_total";
const LANE_DROPPED: &str = "baton_portal_lane_dropped_total";
const PAYLOADS: &str = "baton_portal_payloads_total";
const OWNER_OUTCOMES: &str = "baton_portal_owner_outcomes_total";
const FALLBACK_UP: &str = "baton_portal_fallback_up";
const SCHEDULE_STALE: &str = "baton_portal_schedule_stale";
const GATEWAYS: &str = "baton_portal_gateways";

/// Upper bounds of the latency buckets, in seconds: from loopback's tenths of a millisecond to op-node's limit of five seconds.
const SECONDS: [f64; 14] = [0.000_25, 0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0];

/// The process's recorder. `None` if another part of the process has installed its own, which then has the portal's metrics as well.
pub(crate) fn install() -> Option<PrometheusHandle> {
    static HANDLE: OnceLock<Option<PrometheusHandle>> = OnceLock::new();
    HANDLE
        .get_or_init(|| {
            let builder =
                PrometheusBuilder::new().set_buckets_for_metric(Matcher::Full(REQUESTS.to_owned()), &SECONDS).ok()?;
            let recorder = builder.build_recorder();
            let handle = recorder.handle();
            metrics::set_global_recorder(recorder).ok()?;
            describe_histogram!(REQUESTS, "Seconds from a call's last byte to its answer, by method");
            describe_counter!(GATEWAY_REQUESTS, "Updates carried to gateways, by gateway, kind and outcome");
            describe_counter!(LANE_DROPPED, "Updates that never reached a gateway, by gateway, kind and reason");
            describe_counter!(PAYLOADS, "Payloads served, by whose they were");
            describe_counter!(OWNER_OUTCOMES, "How asking owners for payloads went, by gateway and outcome");
            describe_gauge!(FALLBACK_UP, "1 while the fallback answers");
            describe_gauge!(SCHEDULE_STALE, "1 while the schedule can't be refreshed from L1");
            describe_gauge!(GATEWAYS, "Gateways with an open lane");
            Some(handle)
        })
        .clone()
}

/// Methods that get a label of their own; callers choose names, and labels must not be theirs to multiply.
const METHODS: [&str; 7] = [
    "engine_forkchoiceUpdated",
    "engine_getPayload",
    "engine_newPayload",
    "engine_exchangeCapabilities",
    "eth_sendRawTransaction",
    "registry_",
    "eth_",
];

pub(crate) fn request(method: &str, took: Duration) {
    let method = METHODS.into_iter().find(|known| method.starts_with(known)).unwrap_or("other");
    histogram!(REQUESTS, "method" => method).record(took.as_secs_f64());
}

pub(crate) fn gateway_request(gateway: GatewayId, kind: Kind, outcome: &'static str) {
    counter!(GATEWAY_REQUESTS, "gateway" => gateway.to_string(), "kind" => kind_name(kind), "outcome" => outcome)
        .increment(1);
}

pub(crate) fn lane_dropped(gateway: GatewayId, kind: Kind, reason: Dropped) {
    counter!(LANE_DROPPED, "gateway" => gateway.to_string(), "kind" => kind_name(kind), "reason" => reason.name())
        .increment(1);
}

pub(crate) fn payload(choice: Choice, gateway: Option<GatewayId>, outcome: &'static str) {
    let source = match choice {
        Choice::Gateway => "gateway",
        Choice::Fallback => "fallback",
        Choice::Nothing => "nothing",
    };
    counter!(PAYLOADS, "source" => source).increment(1);
    let gateway = gateway.map_or("none".to_owned(), |id| id.to_string());
    counter!(OWNER_OUTCOMES, "gateway" => gateway, "outcome" => outcome).increment(1);
}

pub(crate) fn fallback_up(up: bool) {
    gauge!(FALLBACK_UP).set(f64::from(u8::from(up)));
}

pub(crate) fn schedule(stale: bool, gateways: usize) {
    gauge!(SCHEDULE_STALE).set(f64::from(u8::from(stale)));
    gauge!(GATEWAYS).set(u32::try_from(gateways).unwrap_or(u32::MAX));
}

const fn kind_name(kind: Kind) -> &'static str {
    match kind {
        Kind::Head => "head",
        Kind::Build => "build",
        Kind::Payload => "payload",
        Kind::Pool => "pool",
    }
}
