//! What decisions about settling look at.

use crate::{
    links::{Claim, SettledHead},
    settling::Landing,
};
use baton_protocol::{GatewayId, Schedule, SlotClock};
use std::collections::{BTreeMap, BTreeSet};

/// The deployment's parameters that settling depends on, as the contracts say them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SettlementRules {
    /// Live slots at a window's end that owe nothing, `[V2]`.
    pub min_chances: u64,
    /// Slots without a settlement after which any eligible gateway may settle, `[I2]`.
    pub silence: u64,
    /// Slots during which evidence counts, `[I9]`.
    pub evidence_horizon: u64,
}

/// L1 and L2 at one moment.
#[derive(Clone, Copy, Debug)]
pub struct Situation<'a> {
    /// The keeper's gateway.
    pub me: GatewayId,
    /// The deployment's arithmetic of time.
    pub clock: &'a SlotClock,
    /// The schedule.
    pub schedule: &'a Schedule,
    /// The deployment's parameters.
    pub rules: SettlementRules,
    /// The inbox's head.
    pub head: SettledHead,
    /// In which slot a transaction sent now is included.
    pub landing: Landing,
    /// The slots from which gateways are ended, `[C6]`.
    pub ended: &'a BTreeMap<GatewayId, u64>,
    /// The gateways that are eligible now, in the order of their ids.
    pub eligible: &'a [GatewayId],
    /// L1 slots that had a block, at least those of the current window.
    pub live_slots: &'a BTreeSet<u64>,
    /// The unsettled chain.
    pub claims: &'a [Claim],
}
