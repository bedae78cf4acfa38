//! How an epoch's schedule came about, for people and scripts.

use crate::{
    l1::{L1, L1Error},
    lookahead::{Publication, PublicationRules, publication_of},
};
use alloy::{eips::BlockNumberOrTag, primitives::U256};
use baton_bindings::{IRegistry, registry::UnknownKind};
use baton_protocol::{EpochSchedule, Kind, NOBODY, SlotClock, Window};
use serde::Serialize;
use std::fmt;

/// Why there is no report.
#[derive(Debug, thiserror::Error)]
pub enum ReportError {
    /// The L1.
    #[error("{0}")]
    L1(#[from] L1Error),
    /// The registry.
    #[error("contract call: {0}")]
    Contract(#[from] alloy::contract::Error),
    /// Its answer.
    #[error("{0}")]
    Kind(#[from] UnknownKind),
}

/// An epoch's schedule and where it comes from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct EpochReport {
    /// The epoch.
    pub epoch: u64,
    /// How far its schedule is.
    #[serde(flatten)]
    pub origin: Origin,
    /// Its windows in order; none as long as it isn't fixed, and no more once it is forgotten.
    pub windows: Vec<Window>,
}

/// Where an epoch's schedule comes from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "origin", rename_all = "camelCase", rename_all_fields = "camelCase")]
pub enum Origin {
    /// Its lookahead was published.
    Published {
        /// In which transaction; `None` if the L1 node doesn't find it.
        publication: Option<Publication>,
    },
    /// Nobody published it in time: the rotation's.
    Fallback,
    /// The chain has no proposers to prove: the rotation's, always.
    Rotation,
    /// It can be published until a slot begins.
    Open {
        /// The first slot that is too late.
        until: u64,
    },
    /// It can't be published before a slot.
    Ahead {
        /// The first slot in which it can be.
        from: u64,
    },
    /// The registry doesn't keep it any more.
    Forgotten,
}

/// Reports of an epoch as of the newest L1 block. `rules` are `None` on a chain without proposers to prove.
///
/// # Errors
/// See [`ReportError`].
pub async fn report(
    l1: &L1,
    clock: &SlotClock,
    rules: Option<PublicationRules>,
    epoch: u64,
) -> Result<EpochReport, ReportError> {
    let newest = l1.block(BlockNumberOrTag::Latest.into()).await?;
    let current = SlotClock::epoch_of(clock.slot_at(newest.timestamp));
    let schedule = match l1.registry().scheduleOf(U256::from(epoch)).block(newest.hash.into()).call().await {
        Ok(answer) => answer.schedule(epoch)?,
        Err(error) => {
            let origin = if error.as_decoded_error::<IRegistry::EpochNotFixed>().is_some() {
                match rules {
                    Some(rules) if epoch == current + 1 => Origin::Open { until: rules.deadline(epoch) },
                    _ => Origin::Ahead { from: SlotClock::epoch_start(epoch.saturating_sub(1)) },
                }
            } else if error.as_decoded_error::<IRegistry::EpochForgotten>().is_some() {
                Origin::Forgotten
            } else {
                return Err(error.into());
            };
            return Ok(EpochReport { epoch, origin, windows: Vec::new() });
        }
    };
    let origin = if rules.is_none() {
        Origin::Rotation
    } else if l1.is_published(epoch, newest.hash).await? {
        Origin::Published { publication: publication_of(l1, clock, &newest, epoch).await? }
    } else {
        Origin::Fallback
    };
    Ok(EpochReport { epoch, origin, windows: windows(&schedule) })
}

fn windows(schedule: &EpochSchedule) -> Vec<Window> {
    let mut windows = Vec::new();
    let mut slot = SlotClock::epoch_start(schedule.epoch);
    while let Some(window) = schedule.window_at(slot) {
        slot = window.end;
        windows.push(window);
    }
    windows
}

impl fmt::Display for EpochReport {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "epoch {}: ", self.epoch)?;
        match &self.origin {
            Origin::Published { publication: None } => write!(formatter, "published")?,
            Origin::Published { publication: Some(publication) } => {
                write!(formatter, "published in L1 block {}, transaction {}", publication.block, publication.tx_hash)?;
                if let Some(by) = publication.by {
                    write!(formatter, ", by {by}")?;
                }
                if let Some(slot) = publication.header_slot {
                    write!(formatter, ", proven from the block of slot {slot}")?;
                }
            }
            Origin::Fallback => write!(formatter, "nobody published it in time, the rotation's")?,
            Origin::Rotation => write!(formatter, "the rotation's: this chain has no proposers to prove")?,
            Origin::Open { until } => write!(formatter, "open, can be published before slot {until}")?,
            Origin::Ahead { from } => write!(formatter, "not yet, can be published from slot {from} on")?,
            Origin::Forgotten => write!(formatter, "too old, the registry has forgotten it")?,
        }
        for Window { gateway, kind, first, end } in &self.windows {
            let kind = match kind {
                Kind::Open => "open",
                Kind::Fallback => "by rotation",
                Kind::Proven => "proven",
            };
            let last = end - 1;
            match *gateway {
                NOBODY => write!(formatter, "\n  slots {first} to {last}: open to all eligible gateways")?,
                gateway => write!(formatter, "\n  slots {first} to {last}: gateway {gateway}, {kind}")?,
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn schedule() -> EpochSchedule {
        let slots = std::array::from_fn(|slot| match slot {
            0..4 => (7, Kind::Proven),
            4..30 => (7, Kind::Fallback),
            _ => (NOBODY, Kind::Open),
        });
        EpochSchedule { epoch: 3, slots }
    }

    #[test]
    fn people_read_windows_and_origin() {
        let publication = Publication { tx_hash: Default::default(), by: None, block: 70, header_slot: Some(64) };
        let origin = Origin::Published { publication: Some(publication) };
        let report = EpochReport { epoch: 3, origin, windows: windows(&schedule()) };
        let lines: Vec<_> = report.to_string().lines().map(str::to_owned).collect();
        assert_eq!(lines.len(), 4);
        assert!(
            lines[0].starts_with("epoch 3: published in L1 block 70") && lines[0].ends_with("slot 64"),
            "{lines:?}"
        );
        assert_eq!(
            lines[1..],
            [
                "  slots 96 to 99: gateway 7, proven",
                "  slots 100 to 125: gateway 7, by rotation",
                "  slots 126 to 127: open to all eligible gateways",
            ]
        );
    }

    #[test]
    fn scripts_read_json() {
        let report = EpochReport { epoch: 4, origin: Origin::Open { until: 110 }, windows: Vec::new() };
        let json = serde_json::to_value(&report).expect("JSON");
        assert_eq!(json, serde_json::json!({"epoch": 4, "origin": "open", "until": 110, "windows": []}));
    }
}
