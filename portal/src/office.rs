//! The admin port: health, metrics, decisions, the status page, and `debug_` methods.

use crate::{
    decision::KEPT,
    handler::{JSON, Reply, TEXT},
    proxy::{Degree, Proxy},
    registry, status,
};
use http::{Method, Request, StatusCode};
use http_body_util::{BodyExt, Limited};
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

    pub(crate) async fn answer(&self, request: Request<Incoming>) -> Reply {
        match *request.method() {
            Method::GET => self.page(request.uri().path(), request.uri().query()),
            Method::POST => match Limited::new(request.into_body(), MAX_BODY).collect().await {
                Ok(body) => Reply::new(StatusCode::OK, JSON, status::debug(&self.proxy, &body.to_bytes())),
                Err(error) => Reply::new(StatusCode::BAD_REQUEST, TEXT, error.to_string()),
            },
            _ => Reply::new(StatusCode::METHOD_NOT_ALLOWED, TEXT, "only GET, and POST for debug_ methods"),
        }
    }

    /// Health, in rollup-boost's codes: 200, 206 while the scheduled gateway fails and the fallback builds alone, 503 without a fallback.
    pub(crate) fn health(&self, path: &str) -> Option<Reply> {
        Some(match path {
            "/healthz" => match self.proxy.degree() {
                Degree::Healthy => Reply::new(StatusCode::OK, TEXT, "ok"),
                Degree::WithoutGateway => Reply::new(
                    StatusCode::PARTIAL_CONTENT,
                    TEXT,
                    "ok, but the scheduled gateway fails and the fallback builds alone",
                ),
                Degree::Unhealthy => Reply::new(StatusCode::SERVICE_UNAVAILABLE, TEXT, "the fallback doesn't answer"),
            },
            "/readyz" => {
                let snapshot = self.proxy.schedule.snapshot();
                match (snapshot.is_known() || self.proxy.is_fixed(), &snapshot.stale) {
                    (true, None) => Reply::new(StatusCode::OK, TEXT, "ok"),
                    (true, Some(reason)) => {
                        Reply::new(StatusCode::OK, TEXT, format!("ok, but the schedule is stale: {reason}"))
                    }
                    (false, reason) => {
                        let reason = reason.as_deref().unwrap_or("unknown");
                        Reply::new(StatusCode::SERVICE_UNAVAILABLE, TEXT, format!("no schedule yet: {reason}"))
                    }
                }
            }
            "/livez" => Reply::new(StatusCode::OK, TEXT, "ok"),
            _ => return None,
        })
    }

    fn page(&self, path: &str, query: Option<&str>) -> Reply {
        if let Some(answer) = self.health(path) {
            return answer;
        }
        match path {
            "/" | "/status" => Reply::new(StatusCode::OK, HTML, PAGE),
            "/metrics" => match &self.metrics {
                Some(metrics) => Reply::new(StatusCode::OK, "text/plain; version=0.0.4", metrics.render()),
                None => Reply::new(StatusCode::NOT_FOUND, TEXT, "this process exports its metrics elsewhere"),
            },
            "/decisions" => json(&self.proxy.decisions.last(count(query))),
            "/status.json" => json(&status::status(&self.proxy)),
            "/schedule" => json(&registry::timeline(&self.proxy.schedule.snapshot())),
            _ => Reply::new(
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

fn json(value: &impl serde::Serialize) -> Reply {
    match serde_json::to_vec(value) {
        Ok(json) => Reply::new(StatusCode::OK, JSON, json),
        Err(error) => Reply::new(StatusCode::INTERNAL_SERVER_ERROR, TEXT, error.to_string()),
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
