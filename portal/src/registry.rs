//! Answers to `registry_*`: which gateway when, from the schedule in memory. Pure.

use crate::{
    peek::RegistryQuery,
    route::{self, Skip},
};
use alloy::primitives::{Address, B256};
use baton_protocol::{GatewayId, Kind, NOBODY, SlotClock, Window};
use baton_schedule::{GatewayInfo, Snapshot};
use serde::Serialize;

/// Why a question has no answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RegistryError {
    /// No such question.
    #[error(
        "unknown method or parameters; there are registry_currentGateway, registry_futureGateway(blocks), registry_registeredGateways, \
         registry_nextGateway, registry_gatewayAtBlock(number) and registry_gateways; gateways register on L1"
    )]
    Unknown,
    /// The schedule doesn't reach there.
    #[error("the schedule of epoch {0} isn't known: it isn't fixed yet, is forgotten already, or the L1 can't be read")]
    UnknownEpoch(u64),
    /// The block is in an open slot.
    #[error("block {0} is in an open slot: no gateway owns it")]
    Open(u64),
    /// All slots known belong to the same gateway.
    #[error("no change of gateway in the schedule known")]
    NoNext,
}

/// The gateway of every block, where no chain says who owns it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fixed {
    /// Which.
    pub gateway: GatewayId,
    /// The number of the block that is due, as far as is known: without a chain no clock says it.
    pub due: u64,
}

/// Who owns a block.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Ownership {
    /// The L2 block.
    pub block: u64,
    /// The slot that decides, rule `[T3]`; `None` without a schedule.
    pub owner_slot: Option<u64>,
    /// The window it lies in, rule `[T5]`, as far as its gateway isn't ended, rule `[C6]`; `None` without a schedule.
    pub window: Option<Window>,
    /// The owner; `None` in an open slot.
    pub gateway: Option<Listed>,
}

/// A gateway as it is told to clients.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Listed {
    /// Its id.
    pub id: GatewayId,
    /// Sends settlements.
    pub settler: Address,
    /// Signs soft blocks in the epoch asked about.
    pub sequencer_key: Option<Address>,
    /// Engine API, for portals.
    pub endpoint: String,
    /// Feed of soft blocks.
    pub feed: String,
    /// Whether it is in the eligible set now.
    pub eligible: bool,
    /// The slot from which it is ended, rule `[C6]`.
    pub ended_slot: Option<u64>,
}

/// A gateway in the form in which based-op's registry tells it: Engine API, address, secret for its Engine API. The address is the key that signs its soft
/// blocks, zero if it has none. The secret is always zero: it isn't anybody's who asks.
pub type Told = (String, Address, B256);

/// An answer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(untagged)]
pub enum RegistryAnswer {
    /// A block, and its gateway as based-op tells it.
    Future(u64, String, Address, B256),
    /// All gateways that are eligible, as based-op tells them.
    Registered(Vec<Told>),
    /// About one block.
    One(Box<Ownership>),
    /// All gateways.
    All(Vec<Listed>),
}

/// Answers a question at a time (Unix seconds). The block that is due is the first whose timestamp is later. `fixed` takes the place of the schedule.
pub fn answer(
    query: RegistryQuery,
    snapshot: &Snapshot,
    now: u64,
    fixed: Option<Fixed>,
) -> Result<RegistryAnswer, RegistryError> {
    let due = fixed.map_or_else(|| due_block(&snapshot.clock, now), |fixed| fixed.due);
    // A key counts by the slot that a block's owner is looked up in, rule `[T6]`.
    let epoch = SlotClock::epoch_of(snapshot.clock.owner_slot(due));
    let gateways = snapshot.gateways.values().filter(|info| info.id != NOBODY);
    let one = |number| match fixed {
        Some(fixed) => {
            let gateway = snapshot.gateways.get(&fixed.gateway).map(|info| listed(info, epoch));
            Ok(Ownership { block: number, owner_slot: None, window: None, gateway })
        }
        None => ownership(number, snapshot),
    };
    match query {
        RegistryQuery::Future(blocks) => {
            let block = due.saturating_add(blocks);
            let Listed { endpoint, sequencer_key, .. } = one(block)?.gateway.ok_or(RegistryError::Open(block))?;
            Ok(RegistryAnswer::Future(block, endpoint, sequencer_key.unwrap_or_default(), B256::ZERO))
        }
        RegistryQuery::Registered => Ok(RegistryAnswer::Registered(
            gateways.filter(|info| info.eligible).map(|info| told(info, epoch)).collect(),
        )),
        RegistryQuery::AtBlock(number) => Ok(RegistryAnswer::One(Box::new(one(number.unwrap_or(due))?))),
        RegistryQuery::Next if fixed.is_some() => Err(RegistryError::NoNext),
        RegistryQuery::Next => next(due, snapshot).map(|next| RegistryAnswer::One(Box::new(next))),
        RegistryQuery::All => Ok(RegistryAnswer::All(gateways.map(|info| listed(info, epoch)).collect())),
        RegistryQuery::Unknown => Err(RegistryError::Unknown),
    }
}

fn told(info: &GatewayInfo, epoch: u64) -> Told {
    (info.urls.endpoint.clone(), info.keys.at(epoch).unwrap_or_default(), B256::ZERO)
}

/// The first block with a timestamp after a time.
pub fn due_block(clock: &SlotClock, now: u64) -> u64 {
    now.checked_sub(clock.l2_genesis_time).map_or(0, |since| since / clock.l2_block_time + 1)
}

/// A window of the schedule, with when it counts.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct TimelineWindow {
    /// Whose and how; slots `first` to before `end`.
    #[serde(flatten)]
    pub window: Window,
    /// When its first block is due, Unix seconds.
    pub from: u64,
    /// When the next window's first block is due.
    pub to: u64,
}

/// All windows that are known, oldest first, those of ended gateways open, rule `[C6]`. Times are those of the blocks they own, which are built `settlementDelay` before the slots.
pub fn timeline(snapshot: &Snapshot) -> Vec<TimelineWindow> {
    let clock = &snapshot.clock;
    let start = |slot: u64| clock.slot_start(slot.saturating_sub(clock.settlement_delay));
    let mut windows = Vec::new();
    for epoch in snapshot.schedule.epochs() {
        let mut slot = SlotClock::epoch_start(epoch.epoch);
        while slot < SlotClock::epoch_start(epoch.epoch + 1) {
            let Ok(window) = window(slot, snapshot) else { break };
            slot = window.end;
            windows.push(TimelineWindow { from: start(window.first), to: start(window.end), window });
        }
    }
    windows
}

fn ownership(block: u64, snapshot: &Snapshot) -> Result<Ownership, RegistryError> {
    let owner_slot = snapshot.clock.owner_slot(block);
    let window = window(owner_slot, snapshot)?;
    let epoch = SlotClock::epoch_of(owner_slot);
    let gateway = route::slot_owner(snapshot, owner_slot).ok().and_then(|id| snapshot.gateways.get(&id));
    let gateway = gateway.map(|info| listed(info, epoch));
    Ok(Ownership { block, owner_slot: Some(owner_slot), window: Some(window), gateway })
}

/// The first block of the first window after `block`'s that belongs to somebody else.
fn next(block: u64, snapshot: &Snapshot) -> Result<Ownership, RegistryError> {
    let clock = &snapshot.clock;
    let current = window(clock.owner_slot(block), snapshot)?;
    let mut slot = current.end;
    loop {
        let window = window(slot, snapshot).map_err(|_| RegistryError::NoNext)?;
        if window.gateway != current.gateway {
            let before = clock.last_block_of_owner_slot(slot.saturating_sub(1));
            return ownership(before.map_or(0, |last| last + 1), snapshot);
        }
        slot = window.end;
    }
}

/// The window in which a slot lies. That of a gateway that is ended in the middle of it ends there, and an open one begins.
fn window(slot: u64, snapshot: &Snapshot) -> Result<Window, RegistryError> {
    let window = snapshot.schedule.window_at(slot);
    let window = window.map_err(|_| RegistryError::UnknownEpoch(SlotClock::epoch_of(slot)))?;
    let ended = snapshot.gateways.get(&window.gateway).and_then(|info| info.ended_slot).unwrap_or(u64::MAX);
    Ok(match route::slot_owner(snapshot, slot) {
        Err(Skip::Ended(_)) => {
            Window { gateway: NOBODY, kind: Kind::Open, first: window.first.max(ended), end: window.end }
        }
        Ok(_) => Window { end: window.end.min(ended), ..window },
        Err(_) => window,
    })
}

fn listed(info: &GatewayInfo, epoch: u64) -> Listed {
    Listed {
        id: info.id,
        settler: info.settler,
        sequencer_key: info.keys.at(epoch),
        endpoint: info.urls.endpoint.clone(),
        feed: info.urls.feed.clone(),
        eligible: info.eligible,
        ended_slot: info.ended_slot,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use baton_protocol::{EpochSchedule, Schedule};
    use baton_schedule::SequencerKeys;
    use serde_json::json;

    const CLOCK: SlotClock = SlotClock {
        l1_genesis_time: 1000,
        slot_length: 2,
        l2_genesis_time: 1000,
        l2_block_time: 1,
        settlement_delay: 2,
    };

    fn snapshot(of_slot: impl Fn(usize) -> GatewayId) -> Snapshot {
        let mut schedule = Schedule::default();
        let slots = std::array::from_fn(|slot| {
            let id = of_slot(slot);
            (id, if id == NOBODY { Kind::Open } else { Kind::Fallback })
        });
        schedule.insert(EpochSchedule { epoch: 0, slots });
        let info = |id| GatewayInfo {
            settler: Address::repeat_byte(9),
            keys: SequencerKeys { current: Address::repeat_byte(1), previous: Address::ZERO, from_epoch: 0 },
            ..GatewayInfo::unregistered(id, format!("http://gateway-{id}"))
        };
        let gateways = [0, 1, 2].map(|id| (id, info(id))).into_iter().collect();
        Snapshot { schedule, gateways, ..Snapshot::unread(CLOCK) }
    }

    fn one(query: RegistryQuery, snapshot: &Snapshot, now: u64) -> Ownership {
        match answer(query, snapshot, now, None) {
            Ok(RegistryAnswer::One(ownership)) => *ownership,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn the_current_gateway_owns_the_block_due_next() {
        let snapshot = snapshot(|slot| if slot < 8 { 1 } else { 2 });
        // At 1010 block 10 has its timestamp; 11 is due, in slot 5, owner slot 7: gateway 1's last.
        let current = one(RegistryQuery::AtBlock(None), &snapshot, 1010);
        assert_eq!((current.block, current.owner_slot), (11, Some(7)));
        assert_eq!(current.gateway.map(|listed| listed.id), Some(1));
        let current = one(RegistryQuery::AtBlock(None), &snapshot, 1011);
        assert_eq!(current.gateway.map(|listed| listed.id), Some(2));
        assert_eq!(one(RegistryQuery::AtBlock(None), &snapshot, 5).block, 0);
    }

    #[test]
    fn clients_of_based_op_are_told_what_they_read_by_position() {
        let mut snapshot = snapshot(|slot| match slot {
            0..8 => 1,
            8..10 => NOBODY,
            _ => 2,
        });
        let gone = GatewayInfo { id: 3, eligible: false, ..snapshot.gateways[&2].clone() };
        snapshot.gateways.insert(3, gone);
        let ask =
            |query| answer(query, &snapshot, 1010, None).map(|answer| serde_json::to_value(answer).expect("JSON"));
        let (key, secret) = (Address::repeat_byte(1), B256::ZERO);
        assert_eq!(ask(RegistryQuery::Future(0)), Ok(json!([11, "http://gateway-1", key, secret])));
        assert_eq!(ask(RegistryQuery::Future(1)), Err(RegistryError::Open(12)));
        assert_eq!(ask(RegistryQuery::Future(5)), Ok(json!([16, "http://gateway-2", key, secret])));
        let all = json!([["http://gateway-1", key, secret], ["http://gateway-2", key, secret]]);
        assert_eq!(ask(RegistryQuery::Registered), Ok(all));
        assert!(matches!(ask(RegistryQuery::Future(u64::MAX)), Err(RegistryError::UnknownEpoch(_))));
    }

    #[test]
    fn the_next_gateway_is_another() {
        let snapshot = snapshot(|slot| if slot < 8 { 1 } else { 2 });
        let next = one(RegistryQuery::Next, &snapshot, 1000);
        assert_eq!((next.block, next.owner_slot, next.window.map(|window| window.first)), (12, Some(8), Some(8)));
        assert_eq!(next.gateway.map(|listed| listed.endpoint), Some("http://gateway-2".to_owned()));
        assert_eq!(answer(RegistryQuery::Next, &snapshot, 1020, None), Err(RegistryError::NoNext));
    }

    #[test]
    fn the_timeline_is_every_window_with_its_time() {
        let windows = timeline(&snapshot(|slot| if slot < 8 { 1 } else { 2 }));
        let seen: Vec<_> = windows.iter().map(|at| (at.window.gateway, at.window.first, at.from, at.to)).collect();
        // Two slots of delay: slot 8's first block is due when slot 6 begins.
        assert_eq!(seen, [(1, 0, 1000, 1012), (2, 8, 1012, 1060)]);
    }

    #[test]
    fn open_slots_have_a_window_and_no_gateway() {
        let snapshot = snapshot(|_| NOBODY);
        let at = one(RegistryQuery::AtBlock(Some(3)), &snapshot, 0);
        assert_eq!(at.gateway, None);
        assert_eq!(at.window.map(|window| window.kind), Some(Kind::Open));
    }

    #[test]
    fn nobody_is_never_ended_whatever_an_l1_node_says() {
        // A window that ended before a slot in it would have no next one, and a timeline no end.
        let mut snapshot = snapshot(|_| NOBODY);
        snapshot.gateways.get_mut(&NOBODY).expect("the operator").ended_slot = Some(5);
        let at = one(RegistryQuery::AtBlock(Some(20)), &snapshot, 0);
        assert_eq!(at.window.map(|window| (window.first, window.end)), Some((0, 32)));
        assert_eq!(timeline(&snapshot).len(), 1);
        assert_eq!(answer(RegistryQuery::Next, &snapshot, 1020, None), Err(RegistryError::NoNext));
    }

    #[test]
    fn what_is_not_known_is_said() {
        let snapshot = snapshot(|_| 1);
        assert_eq!(
            answer(RegistryQuery::AtBlock(Some(1000)), &snapshot, 0, None),
            Err(RegistryError::UnknownEpoch(15))
        );
        assert_eq!(answer(RegistryQuery::Unknown, &snapshot, 0, None), Err(RegistryError::Unknown));
    }

    #[test]
    fn all_gateways_without_the_operator() {
        let all = answer(RegistryQuery::All, &snapshot(|_| 1), 1000, None);
        let Ok(RegistryAnswer::All(all)) = all else { panic!("a list") };
        assert_eq!(all.iter().map(|listed| listed.id).collect::<Vec<_>>(), [1, 2]);
    }

    #[test]
    fn an_ended_gateway_is_not_named() {
        // Ended in slot 5, in the middle of its window; the end of the epoch would have been its own again.
        let mut snapshot = snapshot(|slot| if (8..20).contains(&slot) { 2 } else { 1 });
        snapshot.gateways.get_mut(&1).expect("gateway 1").ended_slot = Some(5);
        let at = |number| one(RegistryQuery::AtBlock(Some(number)), &snapshot, 0);
        let seen = |number| {
            let Ownership { window, gateway, .. } = at(number);
            let window = window.expect("a schedule");
            (gateway.map(|listed| listed.id), window.gateway, window.kind, window.first, window.end)
        };
        // Block 5 is in slot 2, owner slot 4.
        assert_eq!(seen(5), (Some(1), 1, Kind::Fallback, 0, 5));
        assert_eq!(seen(6), (None, NOBODY, Kind::Open, 5, 8));
        assert_eq!(seen(12), (Some(2), 2, Kind::Fallback, 8, 20));
        assert_eq!(seen(40), (None, NOBODY, Kind::Open, 20, 32));
        let future = |now| answer(RegistryQuery::Future(0), &snapshot, now, None);
        assert_eq!(future(1005), Err(RegistryError::Open(6)));
        assert!(future(1004).is_ok());
        let next = one(RegistryQuery::Next, &snapshot, 1006);
        assert_eq!((next.block, next.gateway.map(|listed| listed.id)), (12, Some(2)));
        let windows = timeline(&snapshot);
        let windows: Vec<_> = windows.iter().map(|at| (at.window.gateway, at.window.first, at.window.end)).collect();
        assert_eq!(windows, [(1, 0, 5), (NOBODY, 5, 8), (2, 8, 20), (NOBODY, 20, 32)]);
    }

    #[test]
    fn a_new_key_is_told_from_the_first_block_it_counts_for() {
        let mut snapshot = snapshot(|_| 1);
        snapshot.schedule.insert(EpochSchedule { epoch: 1, slots: [(1, Kind::Fallback); 32] });
        let (old, new) = (Address::repeat_byte(1), Address::repeat_byte(2));
        snapshot.gateways.get_mut(&1).expect("gateway 1").keys =
            SequencerKeys { current: new, previous: old, from_epoch: 1 };
        // Epoch 1 begins with slot 32, whose first block is due two slots before, at 1060.
        for (now, key) in [(1058, old), (1059, new)] {
            let ask = |query| answer(query, &snapshot, now, None);
            let Ok(RegistryAnswer::Future(_, _, current, _)) = ask(RegistryQuery::Future(0)) else { panic!("one") };
            let Ok(RegistryAnswer::Registered(registered)) = ask(RegistryQuery::Registered) else { panic!("a list") };
            let Ok(RegistryAnswer::All(all)) = ask(RegistryQuery::All) else { panic!("a list") };
            assert_eq!((current, registered[0].1, all[0].sequencer_key), (key, key, Some(key)), "{now}");
        }
    }

    #[test]
    fn a_fixed_gateway_is_every_blocks() {
        let unread = Snapshot { gateways: snapshot(|_| 1).gateways, ..Snapshot::unread(CLOCK) };
        let ask = |query| answer(query, &unread, 1000, Some(Fixed { gateway: 2, due: 7 }));
        let (key, secret) = (Address::repeat_byte(1), B256::ZERO);
        let told = |block| Ok(RegistryAnswer::Future(block, "http://gateway-2".to_owned(), key, secret));
        assert_eq!(ask(RegistryQuery::Future(0)), told(7));
        assert_eq!(ask(RegistryQuery::Future(5)), told(12));
        for (number, block) in [(None, 7), (Some(900), 900)] {
            let Ok(RegistryAnswer::One(one)) = ask(RegistryQuery::AtBlock(number)) else { panic!("one") };
            assert_eq!((one.block, one.owner_slot, one.window), (block, None, None));
            assert_eq!(one.gateway.map(|listed| listed.id), Some(2));
        }
        assert_eq!(ask(RegistryQuery::Next), Err(RegistryError::NoNext));
        let Ok(RegistryAnswer::All(all)) = ask(RegistryQuery::All) else { panic!("a list") };
        assert_eq!(all.len(), 2);
    }
}
