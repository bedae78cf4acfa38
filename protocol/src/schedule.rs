//! The schedule of L1 slots and its windows, rules `[S1]` and `[T5]`, as read from the lookahead contract.

use crate::SlotClock;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// A gateway's id in the registry.
pub type GatewayId = u16;

/// The id of nobody: the owner of open slots, whose key is the rollup operator's fallback key. `[G1]`
pub const NOBODY: GatewayId = 0;

/// How a slot came by its gateway.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// Nobody's: any eligible gateway may settle. `[S5]`
    Open,
    /// By the rotation. `[S3]`
    Fallback,
    /// By a proven delegation. `[S2]`
    Proven,
}

/// A run of slots of one gateway. `[T5]`
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Window {
    /// The gateway; [`NOBODY`] in open slots.
    pub gateway: GatewayId,
    /// How it came by the slots.
    pub kind: Kind,
    /// First slot.
    pub first: u64,
    /// One past the last slot.
    pub end: u64,
}

impl Window {
    /// Whether a slot lies in the window.
    pub const fn contains(&self, slot: u64) -> bool {
        self.first <= slot && slot < self.end
    }
}

/// One epoch's schedule, which never changes once it is fixed: published, or past the deadline for publishing it. `[S1]`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EpochSchedule {
    /// The epoch.
    pub epoch: u64,
    /// Gateway and kind of each of its slots.
    pub slots: [(GatewayId, Kind); 32],
}

impl EpochSchedule {
    /// The window that a slot of this epoch lies in; `None` for a slot of another epoch.
    pub fn window_at(&self, slot: u64) -> Option<Window> {
        let start = SlotClock::epoch_start(self.epoch);
        let index = usize::try_from(slot.checked_sub(start)?).ok()?;
        let entry = *self.slots.get(index)?;
        let first = self.slots[..index].iter().rposition(|other| *other != entry).map_or(0, |before| before + 1);
        let end = self.slots[index..].iter().position(|other| *other != entry).map_or(self.slots.len(), |n| index + n);
        Some(Window { gateway: entry.0, kind: entry.1, first: start + first as u64, end: start + end as u64 })
    }
}

/// Epochs known so far.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Schedule {
    epochs: BTreeMap<u64, EpochSchedule>,
}

/// Why the schedule has no answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ScheduleError {
    /// Not read from L1 yet, or forgotten.
    #[error("the schedule of epoch {0} isn't known here")]
    UnknownEpoch(u64),
}

impl Schedule {
    /// Adds an epoch, or replaces it (which happens only when an L1 reorg changed what was read).
    pub fn insert(&mut self, epoch: EpochSchedule) {
        self.epochs.insert(epoch.epoch, epoch);
    }

    /// Whether an epoch is known.
    pub fn contains(&self, epoch: u64) -> bool {
        self.epochs.contains_key(&epoch)
    }

    /// Forgets one epoch.
    pub fn forget(&mut self, epoch: u64) {
        self.epochs.remove(&epoch);
    }

    /// Forgets all epochs before one.
    pub fn forget_before(&mut self, epoch: u64) {
        self.epochs = self.epochs.split_off(&epoch);
    }

    /// The epochs known, in order.
    pub fn epochs(&self) -> impl Iterator<Item = &EpochSchedule> {
        self.epochs.values()
    }

    /// The window that a slot lies in. `[T5]`
    pub fn window_at(&self, slot: u64) -> Result<Window, ScheduleError> {
        let epoch = SlotClock::epoch_of(slot);
        self.epochs.get(&epoch).and_then(|known| known.window_at(slot)).ok_or(ScheduleError::UnknownEpoch(epoch))
    }

    /// The gateway that a slot belongs to; [`NOBODY`] for open slots.
    pub fn gateway_at(&self, slot: u64) -> Result<GatewayId, ScheduleError> {
        Ok(self.window_at(slot)?.gateway)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn epoch(epoch: u64, gateways: impl Fn(usize) -> GatewayId) -> EpochSchedule {
        let slots = std::array::from_fn(|i| {
            let id = gateways(i);
            (id, if id == NOBODY { Kind::Open } else { Kind::Fallback })
        });
        EpochSchedule { epoch, slots }
    }

    #[test]
    fn windows_end_at_each_change_of_gateway() {
        let schedule = epoch(3, |i| [1, 2, 1, 2][i / 8]);
        for slot in 96..128 {
            let window = schedule.window_at(slot).expect("slot of the epoch");
            assert!(window.contains(slot));
            assert_eq!(window.first, slot / 8 * 8);
            assert_eq!(window.end, window.first + 8);
        }
        assert_eq!(schedule.window_at(95), None);
        assert_eq!(schedule.window_at(128), None);
    }

    #[test]
    fn windows_end_at_each_change_of_kind() {
        // [T5]: proven slots followed by the same gateway's fallback turn are two windows.
        let mut schedule = epoch(0, |_| 7);
        for slot in &mut schedule.slots[..10] {
            slot.1 = Kind::Proven;
        }
        assert_eq!(schedule.window_at(9), Some(Window { gateway: 7, kind: Kind::Proven, first: 0, end: 10 }));
        assert_eq!(schedule.window_at(10), Some(Window { gateway: 7, kind: Kind::Fallback, first: 10, end: 32 }));
    }

    #[test]
    fn windows_end_at_each_epoch() {
        let mut schedule = Schedule::default();
        schedule.insert(epoch(0, |_| 1));
        schedule.insert(epoch(1, |_| 1));
        assert_eq!(schedule.window_at(31).map(|w| w.end), Ok(32));
        assert_eq!(schedule.window_at(32).map(|w| w.first), Ok(32));
        assert_eq!(schedule.window_at(64), Err(ScheduleError::UnknownEpoch(2)));
        schedule.forget_before(1);
        assert_eq!(schedule.gateway_at(31), Err(ScheduleError::UnknownEpoch(0)));
    }
}
