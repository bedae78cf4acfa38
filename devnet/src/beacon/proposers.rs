//! Which validator proposes in which slot.

use super::{Delegate, Validators};
use baton_protocol::SLOTS_PER_EPOCH;

/// Slots after which the other gateway's proposers come.
const STRETCH: u64 = 8;
/// Every how many slots a proposer has delegated; the slots before wait for it, rule `[S2]`.
const DELEGATED_EVERY: u64 = 4;

/// The validator indices of an epoch's 32 proposers.
///
/// A real chain draws them at random. Here gateways A and B get stretches of eight slots in turn, so that people can follow: in each, every fourth
/// proposer has delegated to the stretch's gateway, and the others to nobody.
pub fn proposers(validators: &Validators, epoch: u64) -> [u64; 32] {
    let mut slots = [0; 32];
    for (offset, proposer) in (0..).zip(&mut slots) {
        let slot = epoch * SLOTS_PER_EPOCH + offset;
        let delegate = match slot {
            _ if slot % DELEGATED_EVERY != DELEGATED_EVERY - 1 => Delegate::Nobody,
            _ if (slot / STRETCH).is_multiple_of(2) => Delegate::A,
            _ => Delegate::B,
        };
        let candidates = validators.of(delegate);
        *proposer = candidates.get(round(slot, candidates.len())).copied().unwrap_or_default();
    }
    slots
}

/// A number below `count` that jumps about with the slot, so that every validator gets its turn.
fn round(slot: u64, count: usize) -> usize {
    usize::try_from(slot.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 33).unwrap_or_default() % count.max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stretches_end_in_a_slot_of_their_gateways_own_proposer() {
        let validators = Validators::new().expect("keys");
        for epoch in [0, 7] {
            let slots = proposers(&validators, epoch);
            for (stretch, slots) in slots.chunks(8).enumerate() {
                let delegate = if stretch.is_multiple_of(2) { Delegate::A } else { Delegate::B };
                assert!(validators.of(delegate).contains(&slots[7]));
                assert!(validators.of(Delegate::Nobody).contains(&slots[0]));
            }
        }
        assert_ne!(proposers(&validators, 1), proposers(&validators, 2));
    }
}
