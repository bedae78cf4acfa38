//! Turns that gateways lose because their soft blocks don't reach the feed: for a whole turn, whatever the circuit breaker says. A payload on trial isn't served, so
//! nobody could see whether it would have been signed. Pure.

use baton_protocol::GatewayId;
use std::collections::BTreeMap;

/// What is known of every gateway's signing.
#[derive(Clone, Debug, Default)]
pub struct Turns(BTreeMap<GatewayId, Record>);

#[derive(Clone, Copy, Debug, Default)]
struct Record {
    /// Blocks in a row that weren't signed.
    unsigned: u32,
    /// The first slot that isn't lost.
    lost_until: u64,
}

impl Turns {
    /// Notes a block that wasn't signed in time, of a turn that ends before a slot. `true` if the gateway loses the rest of it: that is after so many blocks in a row
    /// (0: never). Turns later it is at once, until it signs one.
    pub fn unsigned(&mut self, gateway: GatewayId, limit: u32, end: u64) -> bool {
        let record = self.0.entry(gateway).or_default();
        record.unsigned = record.unsigned.saturating_add(1);
        let is_lost = limit > 0 && record.unsigned >= limit && end > record.lost_until;
        if is_lost {
            record.lost_until = end;
        }
        is_lost
    }

    /// Notes a block that was signed. What is lost stays lost: it may have been signed before the one that wasn't.
    pub fn signed(&mut self, gateway: GatewayId) {
        self.0.entry(gateway).or_default().unsigned = 0;
    }

    /// Whether a gateway has lost the turn in which a slot is.
    pub fn has_lost(&self, gateway: GatewayId, slot: u64) -> bool {
        slot < self.lost_until(gateway)
    }

    /// The slot at which the last turn ended that a gateway lost; 0 if it never lost one.
    pub fn lost_until(&self, gateway: GatewayId) -> u64 {
        self.0.get(&gateway).map_or(0, |record| record.lost_until)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_turn_is_lost_to_its_end_and_the_next_begins_anew() {
        let mut turns = Turns::default();
        assert!(!turns.has_lost(1, 0));
        assert!(turns.unsigned(1, 1, 8));
        assert!(turns.has_lost(1, 7));
        assert_eq!(turns.lost_until(1), 8);
        assert!(!turns.has_lost(1, 8));
        assert!(!turns.has_lost(2, 7));
        // Another block of it, which was ordered before.
        assert!(!turns.unsigned(1, 1, 8));
        turns.signed(1);
        assert!(turns.has_lost(1, 7), "one signature doesn't give it back");
    }

    #[test]
    fn only_blocks_in_a_row_count_and_who_has_lost_one_must_sign_the_next() {
        let mut turns = Turns::default();
        assert!(!turns.unsigned(1, 2, 8));
        turns.signed(1);
        assert!(!turns.unsigned(1, 2, 8));
        assert!(turns.unsigned(1, 2, 8));
        assert!(turns.unsigned(1, 2, 32), "the first of the next turn");
        turns.signed(1);
        assert!(!turns.unsigned(1, 2, 64));
        assert!(!turns.has_lost(1, 63));
    }

    #[test]
    fn no_turn_is_lost_without_a_limit() {
        let mut turns = Turns::default();
        assert!((0..10).all(|_| !turns.unsigned(1, 0, 8)));
        assert!(!turns.has_lost(1, 7));
    }
}
