//! The admin port: health, metrics, decisions, the status page, and `debug_` methods.

use crate::{
    decision::KEPT,
    proxy::{Degree, Proxy},
    registry,
    server::{JSON, TEXT, respond},
    status,
};
use bytes::Bytes;
use http::{Method, Request, Response, StatusCode};
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Incoming;
use metrics_exporter_prometheus::PrometheusHandle;
use std::sync::Arc;

/// The largest body taken here, in bytes.
const MAX_BODY: usize = 64 << 10;
const HTML: &str = "text/html; charset=utf-8";
/// The status page: one file without anything from elsewhere, so that it works where there is no other network.
const PAGE: &str = include_str!("status.html");

/// The admin port.
#[derive(Debug)]
pub(crate) struct Office {
    proxy: Arc<Proxy>,
    metrics: Option<PrometheusHandle>,
}

impl Office {
    pub(crate) const fn new(proxy: Arc<Proxy>, metrics: Option<PrometheusHandle>) -> Self {
        Self { proxy, metrics }
    }

    pub(crate) async fn answer(&self, request: Request<Incoming>) -> Response<Full<Bytes>> {
        match *request.method() {
            Method::GET => self.page(request.uri().path(), request.uri().query()),
            Method::POST => match Limited::new(request.into_body(), MAX_BODY).collect().await {
                Ok(body) => respond(StatusCode::OK, JSON, status::debug(&self.proxy, &body.to_bytes())),
                Err(error) => respond(StatusCode::BAD_REQUEST, TEXT, error.to_string()),
            },
            _ => respond(StatusCode::METHOD_NOT_ALLOWED, TEXT, "only GET, and POST for debug_ methods"),
        }
    }

    /// Health, in rollup-boost's codes: 200, 206 while the scheduled gateway fails and the fallback builds alone, 503 without a fallback.
    pub(crate) fn health(&self, path: &str) -> Option<Response<Full<Bytes>>> {
        Some(match path {
            "/healthz" => match self.proxy.degree() {
                Degree::Healthy => respond(StatusCode::OK, TEXT, "ok"),
                Degree::WithoutGateway => respond(
                    StatusCode::PARTIAL_CONTENT,
                    TEXT,
                    "ok, but the scheduled gateway fails and the fallback builds alone",
                ),
                Degree::Unhealthy => respond(StatusCode::SERVICE_UNAVAILABLE, TEXT, "the fallback doesn't answer"),
            },
            "/readyz" => {
                let snapshot = self.proxy.schedule.snapshot();
                match (snapshot.is_known() || self.proxy.is_fixed(), &snapshot.stale) {
                    (true, None) => respond(StatusCode::OK, TEXT, "ok"),
                    (true, Some(reason)) => {
                        respond(StatusCode::OK, TEXT, format!("ok, but the schedule is stale: {reason}"))
                    }
                    (false, reason) => {
                        let reason = reason.as_deref().unwrap_or("unknown");
                        respond(StatusCode::SERVICE_UNAVAILABLE, TEXT, format!("no schedule yet: {reason}"))
                    }
                }
            }
            "/livez" => respond(StatusCode::OK, TEXT, "ok"),
            _ => return None,
        })
    }

    fn page(&self, path: &str, query: Option<&str>) -> Response<Full<Bytes>> {
        if let Some(answer) = self.health(path) {
            return answer;
        }
        match path {
            "/" | "/status" => respond(StatusCode::OK, HTML, PAGE),
            "/metrics" => match &self.metrics {
                Some(metrics) => respond(StatusCode::OK, "text/plain; version=0.0.4", metrics.render()),
                None => respond(StatusCode::NOT_FOUND, TEXT, "this process exports its metrics elsewhere"),
            },
            "/decisions" => json(&self.proxy.decisions.last(count(query))),
            "/status.json" => json(&status::status(&self.proxy)),
            "/schedule" => json(&registry::timeline(&self.proxy.schedule.snapshot())),
            _ => respond(
                StatusCode::NOT_FOUND,
                TEXT,
                "there are / (status page), /healthz, /readyz, /livez, /metrics, /decisions, /schedule and /status.json",
            ),
        }
    }
}

/// `count=n` in a query; everything without one.
fn count(query: Option<&str>) -> usize {
    let pairs = query.unwrap_or_default().split('&');
    pairs.filter_map(|pair| pair.strip_prefix("count=")?.parse().ok()).next_back().unwrap_or(KEPT)
}

fn json(value: &impl serde::Serialize) -> Response<Full<Bytes>> {
    match serde_json::to_vec(value) {
        Ok(json) => respond(StatusCode::OK, JSON, json),
        Err(error) => respond(StatusCode::INTERNAL_SERVER_ERROR, TEXT, error.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_of_decisions_can_be_asked_for() {
        assert_eq!(count(None), KEPT);
        assert_eq!(count(Some("count=7")), 7);
        assert_eq!(count(Some("x=1&count=8")), 8);
        assert_eq!(count(Some("count=x")), KEPT);
    }
}
