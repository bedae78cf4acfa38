//! What is known of schedule and gateways at one moment.

use alloy::primitives::{Address, B256};
use baton_protocol::{GatewayId, Schedule, SlotClock};
use std::{collections::BTreeMap, sync::Arc, time::SystemTime};

/// An L1 block, as far as the schedule needs it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct L1Head {
    /// Its number.
    pub number: u64,
    /// Its hash.
    pub hash: B256,
    /// Its parent's hash.
    pub parent_hash: B256,
    /// Unix seconds.
    pub timestamp: u64,
}

/// A gateway's sequencer keys, rule `[T6]`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SequencerKeys {
    /// In force from `from_epoch` on.
    pub current: Address,
    /// In force before; zero if there was none.
    pub previous: Address,
    /// The first epoch of `current`.
    pub from_epoch: u64,
}

impl SequencerKeys {
    /// The key that counts in an epoch; `None` if there was none yet.
    pub fn at(&self, epoch: u64) -> Option<Address> {
        let key = if epoch >= self.from_epoch { self.current } else { self.previous };
        (!key.is_zero()).then_some(key)
    }
}

/// Where a gateway can be reached, rule `[G2]`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct GatewayUrls {
    /// Engine API, for portals.
    pub endpoint: String,
    /// Feed of soft blocks, for keepers.
    pub feed: String,
}

/// A registered gateway as of the snapshot's L1 head. Id 0 is the rollup operator, rule `[G1]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GatewayInfo {
    /// Its id.
    pub id: GatewayId,
    /// Decides about keys, money and exit.
    pub owner: Address,
    /// Sends settlements.
    pub settler: Address,
    /// Sign soft blocks.
    pub keys: SequencerKeys,
    /// The slot from which it is ended, rule `[C6]`.
    pub ended_slot: Option<u64>,
    /// The slot from which its collateral can be withdrawn, while it is exiting, rule `[C7]`.
    pub withdrawable_slot: Option<u64>,
    /// Whether it is in the eligible set now, which schedules it from two epochs later on.
    pub eligible: bool,
    /// Where it can be reached; empty strings if it never said.
    pub urls: GatewayUrls,
}

impl GatewayInfo {
    /// One that is on no registry: eligible, and without accounts and keys.
    pub fn unregistered(id: GatewayId, endpoint: impl Into<String>) -> Self {
        Self {
            id,
            owner: Address::ZERO,
            settler: Address::ZERO,
            keys: SequencerKeys { current: Address::ZERO, previous: Address::ZERO, from_epoch: 0 },
            ended_slot: None,
            withdrawable_slot: None,
            eligible: true,
            urls: GatewayUrls { endpoint: endpoint.into(), feed: String::new() },
        }
    }
}

/// Schedule and gateways as of one L1 block. Never changes; a newer one replaces it.
#[derive(Clone, Debug)]
pub struct Snapshot {
    /// The L1 block at which all of it was read; `None` until the first read.
    pub l1_head: Option<L1Head>,
    /// The deployment's arithmetic of time.
    pub clock: SlotClock,
    /// The current epoch, some before, and the next one as soon as it is fixed, `[S1]`.
    pub schedule: Schedule,
    /// All gateways, and the operator under id 0.
    pub gateways: BTreeMap<GatewayId, GatewayInfo>,
    /// When it was read.
    pub updated_at: SystemTime,
    /// Why it may be out of date: the error of the last look at the L1, until one succeeds.
    pub stale: Option<Arc<str>>,
}

impl Snapshot {
    /// What is known before the first read: nothing.
    pub fn unread(clock: SlotClock) -> Self {
        Self {
            l1_head: None,
            clock,
            schedule: Schedule::default(),
            gateways: BTreeMap::new(),
            updated_at: SystemTime::UNIX_EPOCH,
            stale: Some(Arc::from("the L1 hasn't been read yet")),
        }
    }

    /// Whether the L1 was ever read.
    pub const fn is_known(&self) -> bool {
        self.l1_head.is_some()
    }

    /// The owner of an L2 block, rule `[T3]`; [`baton_protocol::NOBODY`] in open slots, `None` if its epoch isn't known here.
    pub fn owner_of_block(&self, number: u64) -> Option<GatewayId> {
        self.schedule.gateway_at(self.clock.owner_slot(number)).ok()
    }

    /// The sequencer key that counts for an L2 block, rule `[T6]`: its owner's in the owner slot's epoch.
    pub fn key_of_block(&self, number: u64) -> Option<Address> {
        let slot = self.clock.owner_slot(number);
        let owner = self.schedule.gateway_at(slot).ok()?;
        self.gateways.get(&owner)?.keys.at(SlotClock::epoch_of(slot))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_counts_from_its_epoch_on() {
        let keys =
            SequencerKeys { current: Address::repeat_byte(2), previous: Address::repeat_byte(1), from_epoch: 10 };
        assert_eq!(keys.at(9), Some(Address::repeat_byte(1)));
        assert_eq!(keys.at(10), Some(Address::repeat_byte(2)));
        assert_eq!(SequencerKeys { previous: Address::ZERO, ..keys }.at(9), None);
    }
}
