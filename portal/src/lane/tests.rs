use super::*;
use crate::telemetry::lookups::Lookups;
use metrics_exporter_prometheus::PrometheusBuilder;
use std::{cell::Cell, time::Duration};

fn under(text: &'static str) -> Result<PayloadId, String> {
    building_under(Ok(Bytes::from_static(text.as_bytes()))).map_err(|error| error.to_string())
}

#[test]
fn the_gateways_own_id_is_taken() {
    let answer = r#"{"id":1,"result":{"payloadStatus":{"status":"VALID"},"payloadId":"0x0000000000000007"}}"#;
    assert_eq!(under(answer), Ok(PayloadId::from([0, 0, 0, 0, 0, 0, 0, 7])));
}

#[test]
fn a_gateway_that_does_not_build_says_why() {
    let syncing = r#"{"id":1,"result":{"payloadStatus":{"status":"SYNCING"},"payloadId":null}}"#;
    assert_eq!(under(syncing), Err("its head is SYNCING".to_owned()));
    let own_words = r#"{"id":1,"result":{"payloadStatus":{"status":"AAAAAAAA"},"payloadId":null}}"#;
    assert_eq!(under(own_words), Err("its head is in a state that the Engine API doesn't have".to_owned()));
    assert!(under(r#"{"id":1,"error":{"code":-38003,"message":"bad attributes"}}"#).is_err());
    assert_eq!(under("<html>"), Err(AnswerError::Garbage.to_string()));
    assert_eq!(under(r#"{"id":1,"result":7}"#), Err(AnswerError::WrongShape.to_string()));
}

#[test]
fn answers_are_named_for_metrics() {
    let note = |body: &str| note(Peer::Gateway(1), Kind::Payload, body.as_bytes());
    assert_eq!(note(r#"{"id":1,"result":{"status":"VALID"}}"#), "valid");
    assert_eq!(note(r#"{"id":1,"result":{"payloadStatus":{"status":"SYNCING"}}}"#), "syncing");
    assert_eq!(note(r#"{"id":1,"result":{"status":"INVALID"}}"#), "invalid");
    assert_eq!(note(r#"{"id":1,"error":{}}"#), "error");
}

#[tokio::test]
async fn what_is_dropped_is_counted_without_a_lookup() {
    let recorder = PrometheusBuilder::new().build_recorder();
    let metrics = recorder.handle();
    let opened = metrics::set_default_local_recorder(&recorder);
    let upstream = Upstream::new(Uri::from_static("http://127.0.0.1:1"), None, Duration::from_secs(1), 1 << 20);
    let lane = Lane::open(Peer::Gateway(7), upstream, 2);
    drop(opened);
    let lookups = Cell::new(0);
    let recorder = Lookups(|| lookups.set(lookups.get() + 1));
    let _watched = metrics::set_default_local_recorder(&recorder);
    // Nothing is taken from the lane as long as this doesn't wait.
    for kind in [Kind::Head, Kind::Head, Kind::Payload, Kind::Payload, Kind::Payload] {
        lane.put(kind, "engine_any", Bytes::new());
    }
    assert_eq!(lookups.get(), 0);
    let counted = |kind, reason, count| {
        let labels = format!(r#"{{peer="7",kind="{kind}",reason="{reason}"}} {count}"#);
        metrics.render().lines().any(|line| line.ends_with(&labels))
    };
    assert!(counted("head", "superseded", 1) && counted("head", "overflow", 1) && counted("payload", "overflow", 1));
    assert!(counted("build", "overflow", 0));
}

#[tokio::test]
async fn an_order_in_a_lane_that_is_closed_is_given_up() {
    let upstream = Upstream::new(Uri::from_static("http://127.0.0.1:1"), None, Duration::from_secs(1), 1 << 20);
    let lane = Arc::new(Lane::open(Peer::Gateway(7), upstream, 2));
    // Nothing is taken from the lane as long as this doesn't wait.
    let waiting = lane.order("engine_any", Bytes::new());
    assert!(waiting.goes_on());
    lane.close();
    assert!(!waiting.goes_on());
    assert!(!lane.order("engine_any", Bytes::new()).goes_on());
}

/// What is logged, as text.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl std::io::Write for Log {
    fn write(&mut self, text: &[u8]) -> std::io::Result<usize> {
        lock(&self.0).extend_from_slice(text);
        Ok(text.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[tokio::test]
async fn the_first_overflow_of_a_lane_is_said_and_the_others_are_counted() {
    let log = Log::default();
    let subscriber = tracing_subscriber::fmt().with_max_level(tracing::Level::WARN).with_ansi(false);
    let writer = log.clone();
    let _logged = tracing::subscriber::set_default(subscriber.with_writer(move || writer.clone()).finish());
    let upstream = Upstream::new(Uri::from_static("http://127.0.0.1:1"), None, Duration::from_secs(1), 1 << 20);
    let lane = Lane::open(Peer::Gateway(7), upstream, 2);
    let said = || String::from_utf8(lock(&log.0).clone()).expect("text");
    for _ in 0..2 {
        lane.put(Kind::Pool, "eth_sendRawTransaction", Bytes::new());
    }
    assert_eq!(said(), "");
    for _ in 0..3 {
        lane.put(Kind::Pool, "eth_sendRawTransaction", Bytes::new());
    }
    let said = said();
    assert!(said.matches("a lane overflows").count() == 1 && said.contains("peer=7 kind=\"pool\" dropped=1"), "{said}");
    assert_eq!(lane.health().dropped, 3);
}
