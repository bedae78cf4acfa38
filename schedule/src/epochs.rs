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
    /// The next, while nobody is known to have published it and no block belongs to it yet: a node that only says that the registry refuses to tell it is
    /// taken to mean that it isn't fixed. That some nodes don't pass on the registry's reason mustn't keep all else from being read.
    pub(crate) may_be_open: Option<u64>,
}

/// The epochs from `past` before the head's up to the next: those not known yet, and the newest two again and again: the next one may have been fixed since.
pub(crate) fn epochs_to_read(clock: &SlotClock, head: &L1Head, past: u64, known: &Schedule) -> WantedEpochs {
    let current = SlotClock::epoch_of(clock.slot_at(head.timestamp));
    let first = current.saturating_sub(past);
    let epochs = (first..=current + 1).filter(|epoch| *epoch >= current || !known.contains(*epoch)).collect();
    let next = current + 1;
    // The registry's own deadline is its margin earlier, `[S6]`, which honest nodes keep to.
    let is_early = clock.slot_at(head.timestamp) + clock.settlement_delay < SlotClock::epoch_start(next);
    let may_be_open = (is_early && !known.contains(next)).then_some(next);
    WantedEpochs { first, epochs, may_be_open }
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
        assert_eq!(epochs_to_read(&CLOCK, &head_in_epoch(7), 2, &known).epochs, [5, 6, 7, 8]);
        for epoch in 5..=8 {
            known.insert(EpochSchedule { epoch, slots: [(1, Kind::Fallback); 32] });
        }
        assert_eq!(epochs_to_read(&CLOCK, &head_in_epoch(7), 2, &known).epochs, [7, 8]);
        let next = epochs_to_read(&CLOCK, &head_in_epoch(8), 2, &known);
        assert_eq!(next, WantedEpochs { first: 6, epochs: vec![8, 9], may_be_open: Some(9) });
    }

    #[test]
    fn the_next_epoch_may_be_open_while_it_is_unknown_and_far_enough_away() {
        let at = |slot, known: &Schedule| {
            let head = L1Head { timestamp: CLOCK.slot_start(slot), ..head_in_epoch(7) };
            epochs_to_read(&CLOCK, &head, 2, known).may_be_open
        };
        let mut known = Schedule::default();
        let end = SlotClock::epoch_start(8) - CLOCK.settlement_delay;
        assert_eq!(at(SlotClock::epoch_start(7), &known), Some(8));
        assert_eq!((at(end - 1, &known), at(end, &known)), (Some(8), None));
        // Once it is published, only a reorg can take it back, after which nothing is known.
        known.insert(EpochSchedule { epoch: 8, slots: [(1, Kind::Fallback); 32] });
        assert_eq!(at(end - 1, &known), None);
    }

    #[test]
    fn the_chains_first_epochs_have_no_past() {
        assert_eq!(epochs_to_read(&CLOCK, &head_in_epoch(0), 4, &Schedule::default()).epochs, [0, 1]);
    }
}
