//! The live-slot verdict, rules `[V1]` to `[V4]`.

use crate::{Kind, SlotClock, Window};

/// What the owner did in its window, as far as the verdict depends on it. `[V4]`
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct WindowRecord {
    /// Whether, at its first settlement in the window, blocks from before the window were still unsettled.
    pub faced_backlog: bool,
    /// Blocks that it settled in the window, its own or others'.
    pub settled: u64,
    /// Whether another gateway settled in the window's last slot: there is one settlement a slot. `[V2]`
    pub last_taken: bool,
}

/// The first owner slot that isn't liable in a window that is over: blocks with an owner slot below it are charged when another settles them.
///
/// `live` says whether an L1 slot had an execution block; `min_chances` is how many live slots at the end owe nothing.
pub fn liable_before(
    clock: &SlotClock,
    window: &Window,
    min_chances: u64,
    record: WindowRecord,
    live: impl Fn(u64) -> bool,
) -> u64 {
    if window.kind == Kind::Open {
        return window.first;
    }
    if record.faced_backlog {
        let slots = (window.first..window.end).filter(|slot| live(*slot)).count() as u64;
        if record.settled >= slots * clock.blocks_per_slot() {
            return window.first;
        }
    }
    if window.kind == Kind::Proven && window.end > window.first && live(window.end - 1) && !record.last_taken {
        return window.end;
    }
    let chances = usize::try_from(min_chances.saturating_sub(1)).unwrap_or(usize::MAX);
    (window.first..window.end).rev().filter(|slot| live(*slot)).nth(chances).map_or(window.first, |slot| slot + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    const CLOCK: SlotClock =
        SlotClock { l1_genesis_time: 0, slot_length: 12, l2_genesis_time: 0, l2_block_time: 2, settlement_delay: 2 };

    fn verdict(kind: Kind, record: WindowRecord, live: &[u64]) -> u64 {
        let window = Window { gateway: 1, kind, first: 8, end: 16 };
        liable_before(&CLOCK, &window, 3, record, |slot| live.contains(&slot))
    }

    #[test]
    fn a_fallback_window_is_liable_up_to_its_third_last_live_slot() {
        let none = WindowRecord::default();
        assert_eq!(verdict(Kind::Fallback, none, &[8, 9, 10, 11, 12, 13, 14, 15]), 14);
        assert_eq!(verdict(Kind::Fallback, none, &[8, 10, 12, 15]), 11);
        assert_eq!(verdict(Kind::Fallback, none, &[9, 15]), 8);
    }

    #[test]
    fn a_proven_window_is_liable_whole_if_its_own_proposer_built() {
        let none = WindowRecord::default();
        assert_eq!(verdict(Kind::Proven, none, &[15]), 16);
        assert_eq!(verdict(Kind::Proven, none, &[8, 9, 10, 11]), 10);
    }

    #[test]
    fn a_last_slot_that_another_took_is_no_chance() {
        let taken = WindowRecord { last_taken: true, ..WindowRecord::default() };
        assert_eq!(verdict(Kind::Proven, taken, &[15]), 8);
        assert_eq!(verdict(Kind::Proven, taken, &[8, 9, 10, 15]), 10);
    }

    #[test]
    fn a_backlog_worked_off_at_full_rate_excuses_the_rest() {
        let live = [8, 9, 10, 11];
        let enough = WindowRecord { faced_backlog: true, settled: 24, last_taken: false };
        assert_eq!(verdict(Kind::Proven, enough, &live), 8);
        assert_eq!(verdict(Kind::Proven, WindowRecord { settled: 23, ..enough }, &live), 10);
        assert_eq!(verdict(Kind::Proven, WindowRecord { faced_backlog: false, ..enough }, &live), 10);
    }

    #[test]
    fn open_slots_owe_nothing() {
        assert_eq!(verdict(Kind::Open, WindowRecord::default(), &[15]), 8);
    }
}
