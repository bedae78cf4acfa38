//! Calls that are refused before anybody is asked: counted, and said in the log now and then, however many there are.

use crate::{recurring::Recurring, telemetry};
use http::StatusCode;
use std::{
    fmt,
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};
use tracing::warn;

/// How often the log says so at most.
const INTERVAL: Duration = Duration::from_secs(10);

/// What was refused since the log last said so.
#[derive(Debug)]
pub(crate) struct Refusals(Mutex<Recurring>);

impl Default for Refusals {
    fn default() -> Self {
        Self(Mutex::new(Recurring::every(INTERVAL)))
    }
}

impl Refusals {
    /// Counts a call that is refused. The reason, which must hold no secret, is that of the last one.
    pub(crate) fn note(&self, status: StatusCode, reason: &impl fmt::Display) {
        telemetry::refused(status);
        let due = self.0.lock().unwrap_or_else(PoisonError::into_inner).add(Instant::now());
        if let Some(refused) = due {
            warn!(refused, status = status.as_u16(), %reason, "refused calls to the engine port");
        }
    }
}
