//! Bounties of own settlements: which to collect now, rule `[I13]`.

use crate::posting::Revert;
use alloy::primitives::{B256, U256};
use baton_bindings::{
    IInbox::{self, IInboxErrors},
    Outcome,
};

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

/// Whether a revert says that a record will never bring anything: the L1 dropped it, or it was collected. Anything else may pass.
pub const fn is_gone(revert: &Revert) -> bool {
    matches!(revert, Revert::Inbox(IInboxErrors::UnknownRecord(_) | IInboxErrors::NothingToCollect(_)))
}

/// When to read own records from the chain: at the start, after a transaction of ours was replaced by one of ours, and after an L1 reorg, which may
/// have dropped a record or moved it to another slot. What a reorg drops may come back later: so again once that is over.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RecordsReading {
    read: bool,
    again_from: Option<u64>,
    failed_at: Option<B256>,
}

impl RecordsReading {
    /// Slots after which what a reorg dropped doesn't come back.
    const SETTLES: u64 = 64;

    /// A transaction was replaced.
    pub const fn replaced(&mut self) {
        self.read = false;
    }

    /// The L1 reorged, in some slot.
    pub const fn reorged(&mut self, slot: u64) {
        self.read = false;
        self.again_from = Some(slot.saturating_add(Self::SETTLES));
    }

    /// Whether to read now. After a failure only once the L1 has another newest block.
    pub fn is_due(&self, slot: u64, newest: B256) -> bool {
        let due = !self.read || self.again_from.is_some_and(|from| slot >= from);
        due && self.failed_at != Some(newest)
    }

    /// They were read.
    pub fn done(&mut self, slot: u64) {
        (self.read, self.failed_at) = (true, None);
        self.again_from = self.again_from.filter(|from| slot < *from);
    }

    /// They couldn't be read.
    pub const fn failed(&mut self, newest: B256) {
        self.failed_at = Some(newest);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloy::primitives::Bytes;

    #[test]
    fn only_a_record_that_is_gone_is_forgotten() {
        for (error, gone) in [
            (IInboxErrors::UnknownRecord(IInbox::UnknownRecord { slot: 1 }), true),
            (IInboxErrors::NothingToCollect(IInbox::NothingToCollect { slot: 1 }), true),
            (IInboxErrors::NotCollectableBefore(IInbox::NotCollectableBefore { slot: U256::ONE }), false),
            (IInboxErrors::NotPlainAccount(IInbox::NotPlainAccount { caller: Default::default() }), false),
        ] {
            assert_eq!(is_gone(&Revert::Inbox(error.clone())), gone, "{error:?}");
        }
        assert!(!is_gone(&Revert::Other(Bytes::new())));
    }

    #[test]
    fn records_are_read_again_after_replacements_and_reorgs() {
        let (one, two) = (B256::repeat_byte(1), B256::repeat_byte(2));
        let mut reading = RecordsReading::default();
        assert!(reading.is_due(5, one));
        reading.failed(one);
        assert!(!reading.is_due(5, one) && reading.is_due(6, two));
        reading.done(6);
        assert!(!reading.is_due(7, two) && !reading.is_due(1_000, two));
        reading.replaced();
        assert!(reading.is_due(7, two));
        reading.done(7);
        reading.reorged(8);
        assert!(reading.is_due(8, two));
        reading.done(8);
        assert!(!reading.is_due(71, two) && reading.is_due(72, two));
        reading.done(72);
        assert!(!reading.is_due(1_000, two));
    }

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
