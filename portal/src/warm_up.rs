//! Which gateway's turn is about to begin: a pure function of the schedule.

use crate::route::{self, Skip};
use baton_protocol::{GatewayId, NOBODY};
use baton_schedule::Snapshot;

/// A turn that begins soon.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Coming {
    /// Whose.
    pub gateway: GatewayId,
    /// Its first block's owner slot.
    pub slot: u64,
}

/// The next gateway after the owner of a block, if its turn begins within so many blocks.
pub fn coming(snapshot: &Snapshot, number: u64, ahead: u64) -> Option<Coming> {
    let owner = |number| {
        let slot = snapshot.clock.owner_slot(number);
        match route::slot_owner(snapshot, slot) {
            Err(Skip::UnknownEpoch) => None,
            owner => Some((owner.unwrap_or(NOBODY), slot)),
        }
    };
    let (current, _) = owner(number)?;
    let later = (1..=ahead).map_while(|ahead| owner(number.checked_add(ahead)?));
    let (gateway, slot) = later.into_iter().find(|(gateway, _)| *gateway != current && *gateway != NOBODY)?;
    Some(Coming { gateway, slot })
}

#[cfg(test)]
mod tests {
    use super::*;
    use baton_protocol::{EpochSchedule, Kind, Schedule, SlotClock};
    use baton_schedule::GatewayInfo;

    /// Two blocks a slot; gateway 1 has slots 0 to 7, 8 is open, gateway 2 has the rest.
    fn snapshot() -> Snapshot {
        let clock = SlotClock {
            l1_genesis_time: 1000,
            slot_length: 2,
            l2_genesis_time: 1000,
            l2_block_time: 1,
            settlement_delay: 2,
        };
        let mut schedule = Schedule::default();
        let slots = std::array::from_fn(|slot| match slot {
            0..8 => (1, Kind::Fallback),
            8 => (NOBODY, Kind::Open),
            _ => (2, Kind::Fallback),
        });
        schedule.insert(EpochSchedule { epoch: 0, slots });
        Snapshot { schedule, ..Snapshot::unread(clock) }
    }

    #[test]
    fn the_next_turn_is_seen_a_number_of_blocks_ahead() {
        let snapshot = snapshot();
        // Block 14 is in slot 7, owner slot 9: gateway 2's first.
        let next = Some(Coming { gateway: 2, slot: 9 });
        assert_eq!(coming(&snapshot, 10, 4), next);
        assert_eq!(coming(&snapshot, 10, 3), None);
        assert_eq!(coming(&snapshot, 12, 2), next);
        // In its own turn nothing changes.
        assert_eq!(coming(&snapshot, 14, 10), None);
        assert_eq!(coming(&snapshot, 13, 0), None);
    }

    #[test]
    fn an_ended_gateway_is_not_coming() {
        let mut snapshot = snapshot();
        let ended = GatewayInfo { ended_slot: Some(9), eligible: false, ..GatewayInfo::unregistered(2, "") };
        snapshot.gateways.insert(2, ended);
        assert_eq!(coming(&snapshot, 10, 4), None);
    }

    #[test]
    fn what_is_not_known_is_not_coming() {
        assert_eq!(coming(&snapshot(), 100, 10), None);
        assert_eq!(coming(&snapshot(), u64::MAX, 10), None);
    }
}
