//! Which epochs' schedules to read. Pure.

use crate::L1Head;
use baton_protocol::{Schedule, SlotClock};

/// Which epochs to ask the registry for.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct WantedEpochs {
    /// The oldest to keep.
    pub(crate) first: u64,
    /// Those to read, in order.
    pub(crate) epochs: Vec<u64>,
}

/// The epochs from `past` before the head's up to the next: those not known yet, the newest two again and again because a reorg may reach behind
/// what fixed them, and after a reorg all of them.
pub(crate) fn epochs_to_read(
    clock: &SlotClock,
    head: &L1Head,
    past: u64,
    known: &Schedule,
    reorged: bool,
) -> WantedEpochs {
    let current = SlotClock::epoch_of(clock.slot_at(head.timestamp));
    let first = current.saturating_sub(past);
    let epochs =
        (first..=current + 1).filter(|epoch| reorged || *epoch >= current || !known.contains(*epoch)).collect();
    WantedEpochs { first, epochs }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloy::primitives::B256;
    use baton_protocol::{EpochSchedule, Kind};

    const CLOCK: SlotClock = SlotClock {
        l1_genesis_time: 1000,
        slot_length: 2,
        l2_genesis_time: 1000,
        l2_block_time: 1,
        settlement_delay: 2,
    };

    fn head_in_epoch(epoch: u64) -> L1Head {
        let timestamp = CLOCK.slot_start(SlotClock::epoch_start(epoch) + 5);
        L1Head { number: 1, hash: B256::ZERO, parent_hash: B256::ZERO, timestamp }
    }

    #[test]
    fn the_next_epoch_is_read_and_known_past_ones_are_not() {
        let mut known = Schedule::default();
        assert_eq!(epochs_to_read(&CLOCK, &head_in_epoch(7), 2, &known, false).epochs, [5, 6, 7, 8]);
        for epoch in 5..=8 {
            known.insert(EpochSchedule { epoch, slots: [(1, Kind::Fallback); 32] });
        }
        assert_eq!(epochs_to_read(&CLOCK, &head_in_epoch(7), 2, &known, false).epochs, [7, 8]);
        let next = epochs_to_read(&CLOCK, &head_in_epoch(8), 2, &known, false);
        assert_eq!(next, WantedEpochs { first: 6, epochs: vec![8, 9] });
    }

    #[test]
    fn after_a_reorg_all_epochs_are_read_again() {
        let mut known = Schedule::default();
        for epoch in 0..=8 {
            known.insert(EpochSchedule { epoch, slots: [(1, Kind::Fallback); 32] });
        }
        assert_eq!(epochs_to_read(&CLOCK, &head_in_epoch(7), 2, &known, true).epochs, [5, 6, 7, 8]);
    }

    #[test]
    fn the_chains_first_epochs_have_no_past() {
        assert_eq!(epochs_to_read(&CLOCK, &head_in_epoch(0), 4, &Schedule::default(), false).epochs, [0, 1]);
    }
}
