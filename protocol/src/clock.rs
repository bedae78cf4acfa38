//! Slots, epochs and the owner slot of an L2 block, rules `[T1]` to `[T4]`.

use serde::{Deserialize, Serialize};

/// Slots in an epoch, as on every Ethereum beacon chain with mainnet's preset (consensus specs, `SLOTS_PER_EPOCH`).
pub const SLOTS_PER_EPOCH: u64 = 32;

/// A deployment's arithmetic of time: L1 slots on one side, L2 blocks on the other. All times are Unix seconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SlotClock {
    /// Beacon genesis: the start of slot 0.
    pub l1_genesis_time: u64,
    /// Seconds in an L1 slot.
    pub slot_length: u64,
    /// Timestamp of L2 block 0.
    pub l2_genesis_time: u64,
    /// Seconds between L2 blocks.
    pub l2_block_time: u64,
    /// Slots from a block's own slot to its owner's.
    pub settlement_delay: u64,
}

/// Why a [`SlotClock`] can't be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SlotClockError {
    /// A length is zero.
    #[error("`{0}` is 0; set it to the deployment's value in seconds")]
    Zero(&'static str),
    /// Rule `[T2]`.
    #[error("`slot_length` ({slot_length} s) isn't a multiple of `l2_block_time` ({l2_block_time} s)")]
    NotAMultiple {
        /// Seconds in an L1 slot.
        slot_length: u64,
        /// Seconds between L2 blocks.
        l2_block_time: u64,
    },
    /// The L2 chain can't be older than L1's slots.
    #[error("`l2_genesis_time` ({l2}) lies before `l1_genesis_time` ({l1})")]
    BeforeL1 {
        /// L1 genesis.
        l1: u64,
        /// L2 genesis.
        l2: u64,
    },
}

impl SlotClock {
    /// Checks what all other functions rely on.
    pub const fn validate(&self) -> Result<(), SlotClockError> {
        if self.slot_length == 0 {
            return Err(SlotClockError::Zero("slot_length"));
        }
        if self.l2_block_time == 0 {
            return Err(SlotClockError::Zero("l2_block_time"));
        }
        if !self.slot_length.is_multiple_of(self.l2_block_time) {
            return Err(SlotClockError::NotAMultiple {
                slot_length: self.slot_length,
                l2_block_time: self.l2_block_time,
            });
        }
        if self.l2_genesis_time < self.l1_genesis_time {
            return Err(SlotClockError::BeforeL1 { l1: self.l1_genesis_time, l2: self.l2_genesis_time });
        }
        Ok(())
    }

    /// The slot that a time lies in; slot 0 for times before genesis. `[T1]`
    pub const fn slot_at(&self, time: u64) -> u64 {
        time.saturating_sub(self.l1_genesis_time) / self.slot_length
    }

    /// The time at which a slot begins.
    pub const fn slot_start(&self, slot: u64) -> u64 {
        self.l1_genesis_time.saturating_add(slot.saturating_mul(self.slot_length))
    }

    /// The epoch that a slot lies in. `[T1]`
    pub const fn epoch_of(slot: u64) -> u64 {
        slot / SLOTS_PER_EPOCH
    }

    /// The first slot of an epoch.
    pub const fn epoch_start(epoch: u64) -> u64 {
        epoch.saturating_mul(SLOTS_PER_EPOCH)
    }

    /// The timestamp of an L2 block. `[T2]`
    pub const fn block_time(&self, number: u64) -> u64 {
        self.l2_genesis_time.saturating_add(number.saturating_mul(self.l2_block_time))
    }

    /// The number of the L2 block with a timestamp; `None` if no block has it.
    pub const fn block_at(&self, timestamp: u64) -> Option<u64> {
        match timestamp.checked_sub(self.l2_genesis_time) {
            Some(since) if since.is_multiple_of(self.l2_block_time) => Some(since / self.l2_block_time),
            _ => None,
        }
    }

    /// The slot whose gateway owns an L2 block. `[T3]`
    pub const fn owner_slot(&self, number: u64) -> u64 {
        self.slot_at(self.block_time(number)).saturating_add(self.settlement_delay)
    }

    /// The highest L2 block that the inbox accepts in a slot; `None` if that's not even block 0. `[T4]`
    pub const fn last_block_of_owner_slot(&self, slot: u64) -> Option<u64> {
        let Some(own) = slot.checked_sub(self.settlement_delay) else { return None };
        let end = self.slot_start(own + 1);
        match end.checked_sub(1) {
            Some(last) if last >= self.l2_genesis_time => Some((last - self.l2_genesis_time) / self.l2_block_time),
            _ => None,
        }
    }

    /// How many L2 blocks a slot produces.
    pub const fn blocks_per_slot(&self) -> u64 {
        self.slot_length / self.l2_block_time
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const MAINNET: SlotClock = SlotClock {
        l1_genesis_time: 1_606_824_023,
        slot_length: 12,
        l2_genesis_time: 1_606_824_023 + 120,
        l2_block_time: 2,
        settlement_delay: 2,
    };

    #[test]
    fn owner_slot_counts_from_the_blocks_own_slot() {
        // [T3]: block 0 lies in slot 10, six blocks a slot, two slots later.
        assert_eq!(MAINNET.owner_slot(0), 12);
        assert_eq!(MAINNET.owner_slot(5), 12);
        assert_eq!(MAINNET.owner_slot(6), 13);
    }

    #[test]
    fn times_before_genesis_are_slot_zero() {
        assert_eq!(MAINNET.slot_at(0), 0);
        assert_eq!(MAINNET.slot_at(MAINNET.l1_genesis_time + 11), 0);
        assert_eq!(MAINNET.slot_at(MAINNET.l1_genesis_time + 12), 1);
    }

    #[test]
    fn refuses_lengths_that_do_not_fit() {
        assert_eq!(SlotClock { slot_length: 0, ..MAINNET }.validate(), Err(SlotClockError::Zero("slot_length")));
        assert_eq!(SlotClock { l2_block_time: 0, ..MAINNET }.validate(), Err(SlotClockError::Zero("l2_block_time")));
        assert!(matches!(
            SlotClock { l2_block_time: 5, ..MAINNET }.validate(),
            Err(SlotClockError::NotAMultiple { .. })
        ));
        assert!(matches!(SlotClock { l2_genesis_time: 0, ..MAINNET }.validate(), Err(SlotClockError::BeforeL1 { .. })));
        assert_eq!(MAINNET.validate(), Ok(()));
    }

    proptest! {
        #[test]
        fn block_and_time_are_inverse(number in 0u64..1 << 40, off in 1u64..2) {
            let time = MAINNET.block_time(number);
            prop_assert_eq!(MAINNET.block_at(time), Some(number));
            prop_assert_eq!(MAINNET.block_at(time + off), None);
        }

        #[test]
        fn the_last_block_of_a_slot_is_the_last(slot in 12u64..1 << 40) {
            let last = MAINNET.last_block_of_owner_slot(slot).expect("past the genesis block's owner slot");
            prop_assert_eq!(MAINNET.owner_slot(last), slot);
            prop_assert_eq!(MAINNET.owner_slot(last + 1), slot + 1);
        }
    }
}
