//! Traces of blocks, from the order to the payload served, sent as OTLP over HTTP in JSON (OpenTelemetry protocol specification, OTLP/HTTP).
//!
//! A trace's id follows from the payload id and the time of the order, and each span carries the payload id, so that a block's trace is found by
//! what is in everybody's logs.

use crate::{decision::Decision, telemetry};
use baton_logging::told;
use bytes::Bytes;
use http::{HeaderValue, Method, Request, Uri, header};
use http_body_util::{BodyExt, Full};
use hyper_util::{client::legacy::Client, rt::TokioExecutor};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use std::time::Duration;
use tokio::{sync::mpsc, time::timeout};
use tracing::warn;

/// How many blocks' spans wait for a slow collector; after that they are dropped.
const QUEUE: usize = 256;
/// How many blocks go out in one request at most.
const BATCH: usize = 64;
/// How long a collector may take.
const TIMEOUT: Duration = Duration::from_secs(5);

/// When a block was ordered, and how long the fallback took to say under which id.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Ordered {
    /// Unix nanoseconds.
    pub at_ns: u64,
    /// Nanoseconds.
    pub took_ns: u64,
}

/// When a payload was asked for, and how long the answer took.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Asked {
    /// Unix nanoseconds.
    pub(crate) at_ns: u64,
    /// From op-node's question to its answer.
    pub(crate) took: Duration,
}

/// Where spans are put. Clones share the collector.
#[derive(Clone, Debug, Default)]
pub(crate) struct Tracer(Option<mpsc::Sender<Vec<Value>>>);

impl Tracer {
    /// A tracer for a collector, and the task that sends; or one that does nothing.
    pub(crate) fn new(collector: Option<Uri>) -> (Self, impl Future<Output = ()>) {
        let (sender, receiver) = mpsc::channel(QUEUE);
        let sender = collector.is_some().then_some(sender);
        let send = async move {
            if let Some(uri) = collector {
                export(uri, receiver).await;
            }
        };
        (Self(sender), send)
    }

    /// Puts a block's spans; never waits.
    pub(crate) fn put(&self, ordered: Ordered, asked: Asked, decision: &Decision) {
        if let Some(sender) = &self.0
            && sender.try_send(spans(ordered, asked, decision)).is_err()
        {
            telemetry::traces_dropped(1);
        }
    }
}

/// A block's spans: the block, and in it the order and the payload; in the payload what asking the owner consisted of.
fn spans(ordered: Ordered, asked: Asked, decision: &Decision) -> Vec<Value> {
    let seed = Sha256::new()
        .chain_update(decision.payload_id)
        .chain_update(decision.parent)
        .chain_update(ordered.at_ns.to_be_bytes())
        .finalize();
    let trace = alloy::hex::encode(&seed[..16]);
    let id = |index: u8| alloy::hex::encode(&Sha256::new().chain_update(seed).chain_update([index]).finalize()[..8]);
    let text = |key: &str, value: String| json!({"key": key, "value": {"stringValue": value}});
    let attributes = || {
        let mut all = vec![
            text("payload.id", decision.payload_id.to_string()),
            text("payload.source", decision.choice.name().to_owned()),
            text("gateway.outcome", decision.outcome.to_owned()),
            text("gateway.reason", decision.reason.clone()),
        ];
        all.extend(decision.owner.map(|owner| text("gateway.id", owner.to_string())));
        all.extend(decision.number.map(|number| text("block.number", number.to_string())));
        all.extend(decision.block_hash.map(|hash| text("block.hash", hash.to_string())));
        all
    };
    let span = |index: u8, parent: Option<u8>, name: &str, from: u64, took: u64| {
        json!({
            "traceId": trace, "spanId": id(index), "parentSpanId": parent.map(id).unwrap_or_default(), "name": name,
            // Server for what op-node called, client for what the portal did.
            "kind": if index < 3 { 2 } else { 3 },
            "startTimeUnixNano": from.to_string(), "endTimeUnixNano": from.saturating_add(took).to_string(),
            "attributes": attributes(), "status": {},
        })
    };
    let served = u64::try_from(asked.took.as_nanos()).unwrap_or(u64::MAX);
    let all = asked.at_ns.saturating_add(served).saturating_sub(ordered.at_ns);
    let mut spans = vec![
        span(0, None, "block", ordered.at_ns, all),
        span(1, Some(0), "engine_forkchoiceUpdated", ordered.at_ns, ordered.took_ns),
        span(2, Some(0), "engine_getPayload", asked.at_ns, served),
    ];
    let mut from = asked.at_ns;
    let stages = decision.stages;
    for (index, (name, took)) in
        [("payload id", stages.id_us), ("payload", stages.payload_us), ("validation", stages.validation_us)]
            .into_iter()
            .enumerate()
    {
        let Some(took) = took.map(|micros| micros.saturating_mul(1000)) else { break };
        spans.push(span(u8::try_from(index).unwrap_or(u8::MAX).saturating_add(3), Some(2), name, from, took));
        from += took;
    }
    spans
}

async fn export(uri: Uri, mut receiver: mpsc::Receiver<Vec<Value>>) {
    let client: Client<_, Full<Bytes>> = Client::builder(TokioExecutor::new()).build_http();
    let mut reachable = true;
    let mut blocks = Vec::new();
    while receiver.recv_many(&mut blocks, BATCH).await > 0 {
        let count = blocks.len() as u64;
        let spans: Vec<Value> = blocks.drain(..).flatten().collect();
        let body = json!({"resourceSpans": [{
            "resource": {"attributes": [{"key": "service.name", "value": {"stringValue": env!("CARGO_PKG_NAME")}}]},
            "scopeSpans": [{"scope": {"name": env!("CARGO_PKG_NAME"), "version": env!("CARGO_PKG_VERSION")}, "spans": spans}],
        }]});
        let mut request = Request::new(Full::new(Bytes::from(body.to_string())));
        *request.method_mut() = Method::POST;
        *request.uri_mut() = uri.clone();
        request.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
        let sent = timeout(TIMEOUT, async {
            let response = client.request(request).await.map_err(|error| told(&error))?;
            let status = response.status();
            // Read, so that the connection can be used again.
            let _ = response.into_body().collect().await;
            if status.is_success() { Ok(()) } else { Err(format!("HTTP status {status}")) }
        });
        let sent = sent.await.unwrap_or_else(|_| Err("no answer in time".to_owned()));
        if let Err(error) = &sent {
            telemetry::traces_dropped(count);
            if reachable {
                warn!(%error, "the trace collector (`tracing.otlp_url`) doesn't take traces");
            }
        }
        reachable = sent.is_ok();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{builds::Purpose, decision::Stages, peek::PayloadId, selection::Choice};
    use alloy::primitives::B256;

    fn decision() -> Decision {
        Decision {
            number: Some(3),
            timestamp: 1,
            parent: B256::ZERO,
            owner_slot: Some(5),
            owner: Some(1),
            payload_id: PayloadId::repeat_byte(7),
            purpose: Purpose::Serve,
            choice: Choice::Fallback,
            would_serve: Choice::Fallback,
            outcome: "late",
            reason: "late".to_owned(),
            block_hash: None,
            gateway_block_hash: None,
            stages: Stages { id_us: Some(2), payload_us: Some(3000), validation_us: None },
            took_ms: 4,
            at_ms: 0,
        }
    }

    #[test]
    fn a_trace_holds_the_block_from_order_to_payload() {
        // No span ends before those in it, not even by a part of a millisecond.
        let asked = Asked { at_ns: 2_000_000, took: Duration::from_nanos(4_567_891) };
        let spans = spans(Ordered { at_ns: 1_000, took_ns: 500 }, asked, &decision());
        let seen: Vec<_> = spans
            .iter()
            .map(|span| {
                let time = |key: &str| span[key].as_str().and_then(|text| text.parse::<u64>().ok()).expect("a number");
                (span["name"].as_str().expect("a name"), time("startTimeUnixNano"), time("endTimeUnixNano"))
            })
            .collect();
        assert_eq!(
            seen,
            [
                ("block", 1_000, 6_567_891),
                ("engine_forkchoiceUpdated", 1_000, 1_500),
                ("engine_getPayload", 2_000_000, 6_567_891),
                ("payload id", 2_000_000, 2_002_000),
                ("payload", 2_002_000, 5_002_000),
            ]
        );
        for span in &spans {
            assert_eq!(span["traceId"], spans[0]["traceId"]);
            assert_eq!(span["traceId"].as_str().map(str::len), Some(32));
            assert_eq!(span["spanId"].as_str().map(str::len), Some(16));
            assert_eq!(
                span["attributes"][0],
                json!({"key": "payload.id", "value": {"stringValue": "0x0707070707070707"}})
            );
        }
        assert_eq!(spans[0]["parentSpanId"], "");
        assert_eq!(spans[2]["parentSpanId"], spans[0]["spanId"]);
        assert_eq!(spans[4]["parentSpanId"], spans[2]["spanId"]);
    }

    #[test]
    fn blocks_have_traces_of_their_own() {
        let asked = Asked { at_ns: 0, took: Duration::ZERO };
        let trace = |ordered, decision: &Decision| spans(ordered, asked, decision)[0]["traceId"].clone();
        let other = Decision { payload_id: PayloadId::ZERO, ..decision() };
        let (one, two) = (Ordered { at_ns: 1, took_ns: 0 }, Ordered { at_ns: 2, took_ns: 0 });
        assert_ne!(trace(one, &decision()), trace(one, &other));
        assert_ne!(trace(one, &decision()), trace(two, &decision()));
    }
}
