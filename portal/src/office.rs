//! The admin port: health, metrics, decisions, the status page, and `debug_` methods.

use crate::{
    decision::KEPT,
    handler::{JSON, Reply, TEXT},
    proxy::{Degree, Proxy},
    registry, status,
};
use http::{HeaderMap, Method, Request, StatusCode, header, uri::Authority};
use http_body_util::{BodyExt, Limited};
use hyper::body::Incoming;
use metrics_exporter_prometheus::PrometheusHandle;
use std::{net::IpAddr, sync::Arc};

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
            // The server leaves the body away where only the head was asked for.
            Method::GET | Method::HEAD => self.page(request.uri().path(), request.uri().query()),
            Method::POST => {
                let host = request.uri().authority().map(|authority| authority.as_str());
                if let Some((status, reason)) = refusal(request.headers(), host) {
                    return Reply::new(status, TEXT, reason);
                }
                match Limited::new(request.into_body(), MAX_BODY).collect().await {
                    Ok(body) => Reply::answer(status::debug(&self.proxy, &body.to_bytes()), None),
                    Err(error) => Reply::new(StatusCode::BAD_REQUEST, TEXT, error.to_string()),
                }
            }
            _ => Reply::new(StatusCode::METHOD_NOT_ALLOWED, TEXT, "only GET and HEAD, and POST for debug_ methods"),
        }
    }

    /// Health, in rollup-boost's codes: 200, 206 while the fallback builds alone because something else fails, 503 without a fallback. The body says why.
    pub(crate) fn health(&self, path: &str) -> Option<Reply> {
        Some(match path {
            "/healthz" => {
                let (degree, text) = self.proxy.degree();
                let status = match degree {
                    Degree::Healthy => StatusCode::OK,
                    Degree::WithoutGateway | Degree::WithoutValidator => StatusCode::PARTIAL_CONTENT,
                    Degree::HeadOld | Degree::FallbackDown => StatusCode::SERVICE_UNAVAILABLE,
                };
                Reply::new(status, TEXT, text)
            }
            "/readyz" => {
                let snapshot = self.proxy.schedule.snapshot();
                match (snapshot.is_known() || self.proxy.fixed().is_some(), &snapshot.stale) {
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
            "/decisions" => match count(query) {
                Ok(count) => json(&self.proxy.decisions.last(count)),
                Err(problem) => Reply::new(StatusCode::BAD_REQUEST, TEXT, problem),
            },
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

/// Why a post isn't taken. A browser that has the status page open in one window posts here for whatever site is open in another, and says so (Fetch
/// Metadata, Fetch); and what such a site may post without being asked first is never JSON, which jsonrpsee, behind rollup-boost's `debug_` methods, insists
/// on as well. A page is the portal's own if it was got from an address: a name is its owner's to lead here while his page is open (DNS rebinding).
/// `host` is what HTTP/2 has for a Host header.
fn refusal(headers: &HeaderMap, host: Option<&str>) -> Option<(StatusCode, &'static str)> {
    let text = |name: &str| headers.get(name).map(|value| value.to_str().unwrap_or_default());
    let host = host.or_else(|| text(header::HOST.as_str()));
    let is_own = |origin: &str| {
        let from = origin.split_once("://").map(|(_, from)| from);
        from.zip(host).is_some_and(|(from, host)| from.eq_ignore_ascii_case(host) && is_address(host))
    };
    let is_json = |value: &str| {
        let essence = value.split(';').next().unwrap_or_default().trim();
        essence.eq_ignore_ascii_case(JSON) || essence.eq_ignore_ascii_case("application/json-rpc")
    };
    if matches!(text("sec-fetch-site"), Some("cross-site" | "same-site"))
        || !text(header::ORIGIN.as_str()).is_none_or(is_own)
    {
        return Some((StatusCode::FORBIDDEN, "another site's pages have no say here"));
    }
    let is_json = text(header::CONTENT_TYPE.as_str()).is_some_and(is_json);
    (!is_json).then_some((StatusCode::UNSUPPORTED_MEDIA_TYPE, "debug_ methods take `content-type: application/json`"))
}

/// Whether a host, with or without a port, is an address or this machine: a name could lead anywhere.
fn is_address(host: &str) -> bool {
    host.parse::<Authority>().is_ok_and(|authority| {
        let host = authority.host().trim_start_matches('[').trim_end_matches(']');
        host.eq_ignore_ascii_case("localhost") || host.parse::<IpAddr>().is_ok()
    })
}

/// `count=n` in a query; everything without one. What is wrong with any other.
fn count(query: Option<&str>) -> Result<usize, String> {
    let pairs = query.unwrap_or_default().split('&').filter(|pair| !pair.is_empty());
    pairs.into_iter().try_fold(KEPT, |_, pair| {
        let count = pair.strip_prefix("count=").and_then(|count| count.parse().ok());
        count.ok_or_else(|| {
            format!("{pair:?} in the query isn't known; there is count=n, with a number, for the last n decisions")
        })
    })
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
    fn posts_come_from_here_and_are_json() {
        let asked = |fields: &[(&'static str, &str)], host| {
            let headers = fields.iter().map(|(name, value)| {
                (http::HeaderName::from_static(name), http::HeaderValue::from_bytes(value.as_bytes()).expect("a value"))
            });
            refusal(&headers.collect(), host).map(|(status, _)| status.as_u16())
        };
        let json = ("content-type", "application/json");
        let host = ("host", "10.0.0.1:9");
        // Programs, and pages of the portal's own.
        assert_eq!(asked(&[json], None), None);
        assert_eq!(asked(&[json, ("host", "portal:9")], None), None);
        for own in ["10.0.0.1:9", "10.0.0.1", "[fd00::1]:9", "LocalHost:9"] {
            let origin = format!("http://{}", own.to_ascii_lowercase());
            let origin = ("origin", origin.as_str());
            assert_eq!(asked(&[json, ("host", own), origin, ("sec-fetch-site", "same-origin")], None), None, "{own}");
            assert_eq!(asked(&[json, origin], Some(own)), None, "{own}");
        }
        assert_eq!(asked(&[json, host, ("sec-fetch-site", "none")], None), None);
        for origin in ["http://10.0.0.1", "http://10.0.0.1:90", "http://evil:9", "null", "", "10.0.0.1:9", "http://é"]
        {
            assert_eq!(asked(&[json, host, ("origin", origin)], None), Some(403), "{origin}");
        }
        assert_eq!(asked(&[json, ("origin", "http://10.0.0.1:9")], None), Some(403));
        // A name leads here as soon as its owner says so, and its page with it.
        for name in ["evil.example:9", "10.0.0.1.evil.example:9", "localhost.evil.example", "portal:9", ""] {
            let origin = format!("http://{name}");
            let fields = [json, ("host", name), ("origin", &origin), ("sec-fetch-site", "same-origin")];
            assert_eq!(asked(&fields, None), Some(403), "{name}");
        }
        for site in ["cross-site", "same-site"] {
            assert_eq!(asked(&[json, host, ("sec-fetch-site", site)], None), Some(403), "{site}");
        }
        for kind in ["application/json; charset=utf-8", "Application/JSON;charset=utf-8", "application/json-rpc"] {
            assert_eq!(asked(&[("content-type", kind)], None), None, "{kind}");
        }
        for kind in ["text/plain", "application/x-www-form-urlencoded", "application/jsonp", "text/json", ""] {
            assert_eq!(asked(&[("content-type", kind)], None), Some(415), "{kind}");
        }
        assert_eq!(asked(&[], None), Some(415));
    }

    #[test]
    fn a_number_of_decisions_can_be_asked_for() {
        assert_eq!(count(None), Ok(KEPT));
        assert_eq!(count(Some("")), Ok(KEPT));
        assert_eq!(count(Some("count=7")), Ok(7));
        for wrong in ["count=x", "count=", "count=-1", "n=1", "n=1&count=8", "count=8&n=1", "count"] {
            assert!(count(Some(wrong)).is_err_and(|problem| problem.contains("count=n")), "{wrong}");
        }
    }
}
