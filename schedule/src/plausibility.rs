//! Which heads no chain can have by now. A node that claims one would be asked for events until the end of time, and no other node would be asked meanwhile.

use crate::L1Head;
use baton_protocol::SlotClock;

/// How far ahead of this machine's clock a head may be, seconds, and how much more time its blocks may take than there was.
const MAX_AHEAD: u64 = 3600;

/// Whether a head isn't from far in the future, and not of more blocks since the registry's deployment than there were seconds since L1's genesis: what can be
/// told before anything else is asked.
pub(crate) const fn is_plausible(head: &L1Head, clock: &SlotClock, deployment_block: u64, now: u64) -> bool {
    let seconds = head.timestamp.saturating_sub(clock.l1_genesis_time).saturating_add(MAX_AHEAD);
    head.timestamp <= now.saturating_add(MAX_AHEAD) && head.number.saturating_sub(deployment_block) <= seconds
}

/// Whether a head has no more blocks above one that it leads back to, of this number and timestamp, than there were seconds: chains for tests make one a second,
/// however long their slots are said to be.
pub(crate) const fn has_time_for(head: &L1Head, number: u64, timestamp: u64) -> bool {
    head.number.saturating_sub(number) <= head.timestamp.saturating_add(MAX_AHEAD).saturating_sub(timestamp)
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloy::primitives::B256;

    const CLOCK: SlotClock = SlotClock {
        l1_genesis_time: 1000,
        slot_length: 12,
        l2_genesis_time: 1000,
        l2_block_time: 2,
        settlement_delay: 2,
    };

    const fn head(number: u64, timestamp: u64) -> L1Head {
        L1Head { number, hash: B256::ZERO, parent_hash: B256::ZERO, timestamp }
    }

    #[test]
    fn a_head_that_no_chain_can_have_is_told() {
        let plausible = |number, timestamp| is_plausible(&head(number, timestamp), &CLOCK, 500, 2000);
        assert!(plausible(0, 0) && plausible(583, 2000));
        assert!(plausible(500 + 1000 + MAX_AHEAD, 2000) && plausible(583, 2000 + MAX_AHEAD));
        assert!(!plausible(501 + 1000 + MAX_AHEAD, 2000));
        assert!(!plausible(583, 2001 + MAX_AHEAD));
        assert!(!plausible(u64::MAX, u64::MAX));
    }

    #[test]
    fn a_head_of_more_blocks_than_seconds_is_told() {
        let has_time = |number| has_time_for(&head(number, 12_120), 500, 120);
        assert!(has_time(0) && has_time(500) && has_time(500 + 12_000 + MAX_AHEAD));
        assert!(!has_time(501 + 12_000 + MAX_AHEAD) && !has_time(u64::MAX));
    }
}
