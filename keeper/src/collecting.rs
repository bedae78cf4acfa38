//! Bounties of own settlements: which to collect now, rule `[I13]`.

use alloy::primitives::U256;
use baton_bindings::{IInbox, Outcome};

/// The record that a `Settled` event tells.
pub fn record(event: &IInbox::Settled) -> IInbox::Record {
    IInbox::Record {
        slot: event.slot,
        gateway: event.gateway,
        settler: event.settler,
        firstNumber: event.firstNumber,
        lastNumber: event.lastNumber,
        parentLink: event.parentLink,
        link: event.link,
        dataCommitment: event.dataCommitment,
        outcomes: event.outcomes.clone(),
    }
}

/// The bounties of a record, in wei.
pub fn bounty(outcomes: &[U256]) -> u128 {
    outcomes.iter().filter_map(|word| Outcome::unpack(*word)).map(|outcome| outcome.bounty).sum()
}

/// The oldest of the records' slots whose bounties can be collected in a slot.
pub fn due(slots: impl IntoIterator<Item = u64>, slot: u64, evidence_horizon: u64) -> Option<u64> {
    slots.into_iter().filter(|settled| settled.saturating_add(evidence_horizon) < slot).min()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_is_due_once_the_horizon_has_passed() {
        // `NotCollectableBefore(slot + horizon + 1)`.
        assert_eq!(due([30, 20, 25], 30, 10), None);
        assert_eq!(due([30, 20, 25], 31, 10), Some(20));
        assert_eq!(due([], 1_000, 10), None);
    }

    #[test]
    fn bounties_add_up_over_the_runs() {
        let word = |kind: u64, bounty: u64| U256::from(kind) | (U256::from(bounty) << 160);
        assert_eq!(bounty(&[word(0, 0), word(1, 40), word(1, 2)]), 42);
    }
}
