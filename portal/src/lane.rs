//! The lane of one gateway: updates go out one after the other, so that none overtakes another; a slow gateway holds up nobody but itself.

use crate::{
    peek::PayloadId,
    queue::Queue,
    route::Kind,
    rpc::{Answer, AnswerError},
    telemetry,
    upstream::{Upstream, UpstreamError},
};
use baton_protocol::GatewayId;
use bytes::Bytes;
use serde::Deserialize;
use serde_json::value::RawValue;
use std::sync::{Arc, Mutex, PoisonError};
use tokio::sync::{Notify, watch};
use tokio_util::sync::CancellationToken;
use tracing::{debug, warn};

/// The payload id that a gateway builds under, once known.
pub(crate) type Building = watch::Receiver<Option<Result<PayloadId, NotBuilding>>>;

/// Why a gateway doesn't build.
#[derive(Clone, Debug, thiserror::Error)]
pub(crate) enum NotBuilding {
    /// It couldn't be asked.
    #[error("{0}")]
    Upstream(Arc<UpstreamError>),
    /// It answered with something else than an id.
    #[error("{0}")]
    Answer(#[from] AnswerError),
    /// It is somewhere else.
    #[error("its head is {0}")]
    Head(String),
}

/// An update on its way.
#[derive(Debug)]
struct Update {
    body: Bytes,
    building: Option<watch::Sender<Option<Result<PayloadId, NotBuilding>>>>,
}

/// One of a lane's two queues and its bell.
#[derive(Debug)]
struct Track {
    queue: Mutex<Queue<Update>>,
    bell: Notify,
}

/// One gateway's lane. Dropping it ends its tasks.
#[derive(Debug)]
pub(crate) struct Lane {
    gateway: GatewayId,
    upstream: Upstream,
    /// Blocks and heads, in order.
    updates: Arc<Track>,
    /// Transactions: apart, so that a flood of them can't hold up blocks.
    pool: Arc<Track>,
    stop: CancellationToken,
}

impl Lane {
    /// Opens a lane. Each of its queues holds `capacity` updates.
    pub(crate) fn open(gateway: GatewayId, upstream: Upstream, capacity: usize) -> Self {
        let stop = CancellationToken::new();
        let track = || {
            let track = Arc::new(Track { queue: Mutex::new(Queue::new(capacity)), bell: Notify::new() });
            let task = carry(gateway, upstream.clone(), track.clone());
            tokio::spawn(stop.clone().run_until_cancelled_owned(task));
            track
        };
        Self { gateway, updates: track(), pool: track(), upstream: upstream.clone(), stop }
    }

    /// The gateway itself, for what needs no order.
    pub(crate) const fn upstream(&self) -> &Upstream {
        &self.upstream
    }

    /// Puts an update at the end of the lane. Never waits.
    pub(crate) fn send(&self, kind: Kind, body: Bytes) {
        self.push(kind, Update { body, building: None });
    }

    /// Like [`Lane::send`], for an order to build, whose answer can be waited for.
    pub(crate) fn order(&self, body: Bytes) -> Building {
        let (sender, receiver) = watch::channel(None);
        self.push(Kind::Build, Update { body, building: Some(sender) });
        receiver
    }

    fn push(&self, kind: Kind, update: Update) {
        let track = if kind == Kind::Pool { &self.pool } else { &self.updates };
        let dropped = track.queue.lock().unwrap_or_else(PoisonError::into_inner).push(kind, update);
        track.bell.notify_one();
        for (kind, reason, _) in dropped {
            telemetry::lane_dropped(self.gateway, kind, reason);
            debug!(
                gateway = self.gateway,
                ?kind,
                reason = reason.name(),
                "an update was dropped from a gateway's lane"
            );
        }
    }
}

impl Drop for Lane {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

/// Carries a track's updates to the gateway, one by one.
async fn carry(gateway: GatewayId, upstream: Upstream, track: Arc<Track>) {
    let mut reachable = true;
    loop {
        let next = track.queue.lock().unwrap_or_else(PoisonError::into_inner).pop();
        let Some((kind, update)) = next else {
            track.bell.notified().await;
            continue;
        };
        let answer = upstream.call(update.body).await;
        match &answer {
            Ok(body) => {
                if !reachable {
                    tracing::info!(gateway, "a gateway can be reached again");
                }
                reachable = true;
                telemetry::gateway_request(gateway, kind, note(gateway, kind, body));
            }
            Err(error) => {
                // Once per outage: a dead gateway would fill the log with every block.
                if reachable {
                    warn!(gateway, ?kind, %error, "a gateway can't be reached");
                }
                reachable = false;
                telemetry::gateway_request(gateway, kind, error.name());
            }
        }
        if let Some(building) = update.building {
            // Nobody may be waiting any more.
            let _ = building.send(Some(building_under(answer)));
        }
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ForkchoiceAnswer<'a> {
    #[serde(borrow)]
    payload_status: Status<'a>,
    #[serde(default)]
    payload_id: Option<PayloadId>,
}

#[derive(Deserialize)]
struct Status<'a> {
    status: &'a str,
}

fn building_under(answer: Result<Bytes, UpstreamError>) -> Result<PayloadId, NotBuilding> {
    let body = answer.map_err(|error| NotBuilding::Upstream(Arc::new(error)))?;
    let result = result_of(&body)?;
    let answer: ForkchoiceAnswer<'_> = serde_json::from_str(result.get()).map_err(|_| AnswerError::WrongShape)?;
    answer.payload_id.ok_or_else(|| NotBuilding::Head(answer.payload_status.status.to_owned()))
}

/// The result of an answer on the lane, where each answer belongs to the one request under way, so that its id says nothing.
fn result_of(body: &[u8]) -> Result<&RawValue, AnswerError> {
    let answer: Answer<'_> = serde_json::from_slice(body).map_err(|_| AnswerError::Garbage)?;
    answer.into_result()
}

/// Notes what a gateway thinks of an update, and gives it a short name.
fn note(gateway: GatewayId, kind: Kind, body: &[u8]) -> &'static str {
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Any<'a> {
        #[serde(borrow, default)]
        payload_status: Option<Status<'a>>,
        #[serde(borrow, default)]
        status: Option<&'a str>,
    }
    let result = match result_of(body) {
        Ok(result) => result,
        Err(error) => {
            debug!(gateway, ?kind, %error, "a gateway refused an update");
            return "error";
        }
    };
    if kind == Kind::Pool {
        return "ok";
    }
    let status = serde_json::from_str::<Any<'_>>(result.get()).ok();
    match status.and_then(|any| any.status.or(any.payload_status.map(|status| status.status))) {
        Some("VALID") => "valid",
        Some("SYNCING" | "ACCEPTED") => {
            debug!(gateway, ?kind, "a gateway lacks blocks");
            "syncing"
        }
        Some("INVALID") => {
            warn!(gateway, ?kind, "a gateway rejects a block that was adopted");
            "invalid"
        }
        _ => "error",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
        assert!(under(r#"{"id":1,"error":{"code":-38003,"message":"bad attributes"}}"#).is_err());
        assert_eq!(under("<html>"), Err(AnswerError::Garbage.to_string()));
        assert_eq!(under(r#"{"id":1,"result":7}"#), Err(AnswerError::WrongShape.to_string()));
    }

    #[test]
    fn answers_are_named_for_metrics() {
        let note = |body: &str| note(1, Kind::Payload, body.as_bytes());
        assert_eq!(note(r#"{"id":1,"result":{"status":"VALID"}}"#), "valid");
        assert_eq!(note(r#"{"id":1,"result":{"payloadStatus":{"status":"SYNCING"}}}"#), "syncing");
        assert_eq!(note(r#"{"id":1,"result":{"status":"INVALID"}}"#), "invalid");
        assert_eq!(note(r#"{"id":1,"error":{}}"#), "error");
    }
}
