//! Collecting the bounties of own settlements.

use crate::{
    collecting,
    l1::L1Error,
    posting::{SendError, Sender, SlotStart, TransactionKind, collect_gas_limit},
    run::keeper::Keeper,
    settling::Landing,
};
use alloy::{
    primitives::Bytes,
    rpc::types::TransactionReceipt,
    sol_types::{SolCall, SolValue},
};
use baton_bindings::IInbox;

/// Slots after which a collection that failed is tried again.
const PUT_OFF: u64 = 32;

impl Keeper {
    pub(super) fn keep_record(&self, event: &IInbox::Settled) {
        let bounty = collecting::bounty(&event.outcomes);
        if bounty > 0 {
            let encoded = collecting::record(event).abi_encode();
            let kept = self.archive.put_record(event.slot, &encoded, bounty);
            self.note("archive", kept.map_err(|error| error.to_string()));
        }
    }

    /// After a collection that reverted, others go before.
    pub(super) fn put_off_reverted(&mut self, receipt: &TransactionReceipt, slot: u64) {
        if let Some(record) = self.collecting.take().filter(|_| !receipt.status()) {
            self.put_off.insert(record, slot + PUT_OFF);
        }
    }

    /// Collects the oldest bounty that is due.
    pub(super) async fn collect(&mut self, sender: &Sender, landing: &Landing) -> Result<(), SendError> {
        let Some(newest) = self.blocks.newest().copied() else { return Ok(()) };
        if self.records.is_due(landing.slot, newest.hash) {
            let read = self.read_records(newest.number).await;
            match &read {
                Ok(()) => self.records.done(landing.slot),
                Err(_) => self.records.failed(newest.hash),
            }
            // What the archive holds can be collected all the same.
            self.note("records", read.map_err(|error| error.to_string()));
        }
        self.put_off.retain(|_, until| *until > landing.slot);
        let records = self.archive.records().unwrap_or_default();
        let slots = records.iter().map(|(slot, ..)| *slot).filter(|slot| !self.put_off.contains_key(slot));
        let horizon = self.deployment.rules.evidence_horizon;
        let Some(due) = collecting::due(slots, landing.slot, horizon) else { return Ok(()) };
        let Some((_, encoded, bounty)) = records.into_iter().find(|(slot, ..)| *slot == due) else { return Ok(()) };
        let Ok(record) = IInbox::Record::abi_decode(&encoded) else {
            tracing::error!(slot = due, "a record in the archive can't be read; forgotten");
            let _ = self.archive.forget_record(due);
            return Ok(());
        };
        let outcomes = record.outcomes.len();
        let data = Bytes::from(IInbox::collectCall { record }.abi_encode());
        let moment = SlotStart { slot: landing.slot, timestamp: self.deployment.clock.slot_start(landing.slot) };
        match sender.simulate(&self.l1, &data, Vec::new(), newest.number, moment).await {
            Err(SendError::WouldRevert(revert)) if collecting::is_gone(&revert) => {
                tracing::warn!(slot = due, %revert, "bounties can't be collected; forgotten");
                let _ = self.archive.forget_record(due);
                return Ok(());
            }
            Err(SendError::WouldRevert(revert)) => {
                tracing::warn!(slot = due, %revert, "bounties can't be collected now; put off");
                self.put_off.insert(due, landing.slot + PUT_OFF);
                return Ok(());
            }
            simulated => simulated?,
        }
        let gas = collect_gas_limit(outcomes);
        let pending = sender.send(&self.l1, data, None, gas, landing.slot, None).await?;
        debug_assert_eq!(pending.kind, TransactionKind::Plain);
        tracing::info!(tx = %pending.hash, slot = due, wei = bounty, "collecting bounties");
        self.pending = Some(pending);
        self.collecting = Some(due);
        Ok(())
    }

    /// An archive that was lost, settlements of another process, or such as came otherwise than they were sent.
    async fn read_records(&self, newest: u64) -> Result<(), L1Error> {
        for event in self.l1.settlements_of(self.me, newest).await? {
            if collecting::bounty(&event.outcomes) > 0 && !self.l1.is_collected(event.slot).await? {
                self.keep_record(&event);
            }
        }
        Ok(())
    }
}
