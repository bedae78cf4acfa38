//! Who gets a call and who answers it: a pure function of the call and the schedule.

use crate::{
    mode::{Mode, Modes},
    peek::{Call, Method, Order, PayloadId, RegistryQuery},
};
use baton_protocol::{GatewayId, NOBODY, SlotClock};
use baton_schedule::Snapshot;
use serde::Serialize;
use std::collections::BTreeSet;

/// What routing looks at.
#[derive(Clone, Copy, Debug)]
pub struct View<'a> {
    /// The schedule.
    pub snapshot: &'a Snapshot,
    /// The gateways that can be reached, in order of id.
    pub gateways: &'a [GatewayId],
    /// Which of them are let build.
    pub modes: &'a Modes,
    /// The gateway of every block where no chain says who owns it.
    pub fixed: Option<GatewayId>,
}

/// Who builds a block besides the fallback.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Owner {
    /// Its owner, rule `[T3]`.
    Ask(GatewayId),
    /// Nobody.
    Skip(Skip),
}

/// Why no gateway is asked for a block.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Skip {
    /// The timestamp isn't that of an L2 block, rule `[T2]`.
    OffGrid,
    /// The schedule of the owner slot isn't known.
    UnknownEpoch,
    /// The slot is open, rule `[S5]`.
    OpenSlot,
    /// The owner has been ended, rule `[C6]`.
    Ended(GatewayId),
    /// The owner has no usable endpoint.
    NoEndpoint(GatewayId),
    /// The operator has switched the owner off.
    Disabled(GatewayId),
    /// The owner's circuit breaker is open.
    Suspended(GatewayId),
    /// The owner has lost its turn: its soft blocks don't reach the feed.
    LostTurn(GatewayId),
    /// The block may hold forced transactions only, so there is nothing to choose. Whose it is, if anybody's.
    NoTxPool(Option<GatewayId>),
    /// The attributes have a form that isn't known here, so no payload could be compared with them. Whose it is, if anybody's.
    Unread(Option<GatewayId>),
    /// The portal hasn't seen the order for it. Whose it is by the schedule, if anybody's.
    UnknownOrder(Option<GatewayId>),
}

impl Owner {
    /// Whose the block is, asked or not; `None` if nobody's, or nobody knows.
    pub const fn gateway(self) -> Option<GatewayId> {
        match self {
            Self::Ask(id)
            | Self::Skip(
                Skip::Ended(id) | Skip::NoEndpoint(id) | Skip::Disabled(id) | Skip::Suspended(id) | Skip::LostTurn(id),
            ) => Some(id),
            Self::Skip(Skip::NoTxPool(owner) | Skip::Unread(owner) | Skip::UnknownOrder(owner)) => owner,
            Self::Skip(Skip::OffGrid | Skip::UnknownEpoch | Skip::OpenSlot) => None,
        }
    }
}

/// In which form a gateway gets a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// As it came.
    Unchanged,
    /// A forkchoice update without its attributes: the head moves, nothing is built.
    HeadOnly,
}

/// What kind of update a gateway gets; decides what may be dropped when it can't keep up.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// The head moves.
    Head,
    /// The head moves and a block is to be built.
    Build,
    /// A block.
    Payload,
    /// A transaction.
    Pool,
    /// Something that steers building, such as a limit for it.
    Steer,
    /// Something that it should know already, said again before its turn.
    WarmUp,
}

impl Kind {
    /// As in metrics and logs.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Head => "head",
            Self::Build => "build",
            Self::Payload => "payload",
            Self::Pool => "pool",
            Self::Steer => "steer",
            Self::WarmUp => "warm_up",
        }
    }
}

/// What to do with a call.
#[derive(Debug, PartialEq, Eq)]
pub enum Route {
    /// The fallback answers; these gateways are told.
    Forward {
        /// What it is to them.
        kind: Kind,
        /// Who is told.
        tell: Vec<GatewayId>,
    },
    /// The fallback answers and begins to build; so does the owner, if it can be asked; the other gateways get the head.
    Build {
        /// Who builds besides the fallback.
        owner: Owner,
        /// The number of the block to be built, rule `[T2]`.
        number: Option<u64>,
    },
    /// The scheduled gateway answers if it can do so in time, else the fallback.
    Read,
    /// The fallback's answer, or if it has none, what the portal can carry.
    Capabilities,
    /// The owner's payload if it is good and in time, else the fallback's.
    Select {
        /// Version of `getPayload`.
        version: u8,
        /// What op-node calls it.
        id: PayloadId,
    },
    /// Answered from the schedule in memory.
    Memory(RegistryQuery),
}

/// Routes a call.
pub fn route(call: &Call<'_>, view: View<'_>) -> Route {
    let tell_all = |kind| Route::Forward { kind, tell: view.gateways.to_vec() };
    match &call.method {
        Method::ForkchoiceUpdated(update) => {
            // Without a chain nobody says what the clock is, so a timestamp gives no number.
            let clock = view.fixed.is_none().then_some(view.snapshot.clock);
            let number = |timestamp| clock.and_then(|clock| clock.block_at(timestamp));
            match &update.order {
                None => tell_all(Kind::Head),
                Some(Order::Read(attributes)) => {
                    let number = number(attributes.timestamp.to());
                    let owner = match (attributes.no_tx_pool, owner(number, view)) {
                        (Some(true), owner) => Owner::Skip(Skip::NoTxPool(owner.gateway())),
                        (_, owner) => owner,
                    };
                    Route::Build { owner, number }
                }
                Some(Order::Unread { timestamp, .. }) => {
                    let number = timestamp.and_then(number);
                    let owner = Owner::Skip(Skip::Unread(owner(number, view).gateway()));
                    Route::Build { owner, number }
                }
            }
        }
        Method::GetPayload { version, id } => Route::Select { version: *version, id: *id },
        Method::NewPayload => tell_all(Kind::Payload),
        Method::SendTransaction => tell_all(Kind::Pool),
        Method::Steer => tell_all(Kind::Steer),
        Method::Registry(query) => Route::Memory(*query),
        Method::Read => Route::Read,
        Method::Capabilities => Route::Capabilities,
        Method::Other => Route::Forward { kind: Kind::Pool, tell: Vec::new() },
    }
}

/// The form in which a gateway gets an order to build.
pub fn form(owner: Owner, gateway: GatewayId) -> Form {
    if owner == Owner::Ask(gateway) { Form::Unchanged } else { Form::HeadOnly }
}

/// The owner of a block, rule `[T3]`: by its number, never by the time of asking.
pub fn owner(number: Option<u64>, view: View<'_>) -> Owner {
    if let Some(gateway) = view.fixed {
        return reachable(gateway, view);
    }
    let Some(number) = number else { return Owner::Skip(Skip::OffGrid) };
    match slot_owner(view.snapshot, view.snapshot.clock.owner_slot(number)) {
        Ok(gateway) => reachable(gateway, view),
        Err(skip) => Owner::Skip(skip),
    }
}

/// Whose a slot is; why nobody's, if it isn't anybody's: unknown, open, or its gateway is ended, rule `[C6]`.
pub fn slot_owner(snapshot: &Snapshot, slot: u64) -> Result<GatewayId, Skip> {
    let gateway = snapshot.schedule.gateway_at(slot).map_err(|_| Skip::UnknownEpoch)?;
    if gateway == NOBODY {
        return Err(Skip::OpenSlot);
    }
    let ended = snapshot.gateways.get(&gateway).and_then(|info| info.ended_slot);
    if ended.is_some_and(|ended| ended <= slot) { Err(Skip::Ended(gateway)) } else { Ok(gateway) }
}

fn reachable(gateway: GatewayId, view: View<'_>) -> Owner {
    if view.modes.of(gateway) == Mode::Disabled {
        return Owner::Skip(Skip::Disabled(gateway));
    }
    if view.gateways.binary_search(&gateway).is_err() {
        return Owner::Skip(Skip::NoEndpoint(gateway));
    }
    Owner::Ask(gateway)
}

/// The gateways that are worth a connection: those in the known schedule until they are ended, and those eligible to be scheduled.
pub fn worth_telling(snapshot: &Snapshot) -> Vec<GatewayId> {
    let current = snapshot.l1_head.map_or(0, |head| SlotClock::epoch_of(snapshot.clock.slot_at(head.timestamp)));
    let epochs = snapshot.schedule.epochs().map(|epoch| epoch.epoch).filter(|epoch| *epoch >= current);
    let slots = epochs.flat_map(|epoch| SlotClock::epoch_start(epoch)..SlotClock::epoch_start(epoch + 1));
    let scheduled: BTreeSet<GatewayId> = slots.filter_map(|slot| slot_owner(snapshot, slot).ok()).collect();
    let gateways = snapshot.gateways.values().filter(|info| info.id != NOBODY);
    gateways.filter(|info| info.eligible || scheduled.contains(&info.id)).map(|info| info.id).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::peek;
    use alloy::primitives::B256;
    use baton_protocol::{EpochSchedule, Schedule};
    use baton_schedule::{GatewayInfo, L1Head};

    const CLOCK: SlotClock = SlotClock {
        l1_genesis_time: 1000,
        slot_length: 2,
        l2_genesis_time: 1000,
        l2_block_time: 1,
        settlement_delay: 2,
    };
    const HASH: B256 = B256::repeat_byte(7);

    fn info(id: GatewayId) -> GatewayInfo {
        GatewayInfo::unregistered(id, "")
    }

    /// Epoch 0: gateways 1 and 2 in turns of eight slots, the last turn open.
    fn snapshot() -> Snapshot {
        let mut schedule = Schedule::default();
        let slots = std::array::from_fn(|slot| match slot / 8 {
            0 | 2 => (1, baton_protocol::Kind::Fallback),
            1 => (2, baton_protocol::Kind::Fallback),
            _ => (NOBODY, baton_protocol::Kind::Open),
        });
        schedule.insert(EpochSchedule { epoch: 0, slots });
        let gateways = [info(NOBODY), info(1), info(2), info(3)].map(|info| (info.id, info)).into_iter().collect();
        Snapshot { schedule, gateways, ..Snapshot::unread(CLOCK) }
    }

    fn fcu(timestamp: Option<u64>, no_tx_pool: bool) -> String {
        let attributes = timestamp
            .map_or("null".to_owned(), |time| format!(r#"{{"timestamp":"0x{time:x}","noTxPool":{no_tx_pool}}}"#));
        format!(
            r#"{{"method":"engine_forkchoiceUpdatedV3","params":[{{"headBlockHash":"{HASH}"}},{attributes}],"id":1}}"#
        )
    }

    fn routed(text: &str, snapshot: &Snapshot, gateways: &[GatewayId]) -> Route {
        routed_with(text, snapshot, gateways, &Modes::default(), None)
    }

    fn routed_with(
        text: &str,
        snapshot: &Snapshot,
        gateways: &[GatewayId],
        modes: &Modes,
        fixed: Option<GatewayId>,
    ) -> Route {
        route(&peek::call(text.as_bytes()).expect("a call"), View { snapshot, gateways, modes, fixed })
    }

    fn owner_at(timestamp: u64, snapshot: &Snapshot, gateways: &[GatewayId]) -> Owner {
        match routed(&fcu(Some(timestamp), false), snapshot, gateways) {
            Route::Build { owner, .. } => owner,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn the_owner_comes_from_the_attributes_timestamp() {
        let snapshot = snapshot();
        // Slot 5 plus a delay of 2 is slot 7, gateway 1's last; a slot later it is gateway 2's turn.
        assert_eq!(owner_at(1011, &snapshot, &[1, 2]), Owner::Ask(1));
        assert_eq!(owner_at(1012, &snapshot, &[1, 2]), Owner::Ask(2));
        assert_eq!(owner_at(1027, &snapshot, &[1, 2]), Owner::Ask(2));
        assert_eq!(owner_at(1028, &snapshot, &[1, 2]), Owner::Ask(1));
    }

    #[test]
    fn the_owner_builds_and_the_others_get_the_head() {
        let snapshot = snapshot();
        let route = routed(&fcu(Some(1012), false), &snapshot, &[1, 2, 3]);
        assert_eq!(route, Route::Build { owner: Owner::Ask(2), number: Some(12) });
        let forms = [1, 2, 3].map(|id| form(Owner::Ask(2), id));
        assert_eq!(forms, [Form::HeadOnly, Form::Unchanged, Form::HeadOnly]);
        assert_eq!(form(Owner::Skip(Skip::Suspended(2)), 2), Form::HeadOnly);
    }

    #[test]
    fn a_gateway_that_is_switched_off_is_not_asked() {
        let snapshot = snapshot();
        let modes = |mode| Modes { global: Mode::Enabled, single: [(2, mode)].into_iter().collect() };
        let owner = |mode| routed_with(&fcu(Some(1012), false), &snapshot, &[1, 2], &modes(mode), None);
        let build = |owner| Route::Build { owner, number: Some(12) };
        assert_eq!(owner(Mode::Disabled), build(Owner::Skip(Skip::Disabled(2))));
        assert_eq!(owner(Mode::DryRun), build(Owner::Ask(2)));
    }

    #[test]
    fn a_fixed_gateway_owns_every_block_and_none_has_a_number() {
        let snapshot = Snapshot::unread(CLOCK);
        let build = |gateways| routed_with(&fcu(Some(77), false), &snapshot, gateways, &Modes::default(), Some(1));
        assert_eq!(build(&[1]), Route::Build { owner: Owner::Ask(1), number: None });
        assert_eq!(build(&[]), Route::Build { owner: Owner::Skip(Skip::NoEndpoint(1)), number: None });
    }

    #[test]
    fn nobody_is_asked_when_there_is_nobody_to_ask() {
        let mut snapshot = snapshot();
        assert_eq!(owner_at(1044, &snapshot, &[1, 2]), Owner::Skip(Skip::OpenSlot));
        assert_eq!(owner_at(1060, &snapshot, &[1, 2]), Owner::Skip(Skip::UnknownEpoch));
        assert_eq!(owner_at(999, &snapshot, &[1, 2]), Owner::Skip(Skip::OffGrid));
        assert_eq!(owner_at(1012, &snapshot, &[1]), Owner::Skip(Skip::NoEndpoint(2)));
        snapshot.gateways.get_mut(&1).expect("gateway 1").ended_slot = Some(7);
        assert_eq!(owner_at(1009, &snapshot, &[1, 2]), Owner::Ask(1));
        assert_eq!(owner_at(1010, &snapshot, &[1, 2]), Owner::Skip(Skip::Ended(1)));
    }

    #[test]
    fn a_derived_block_is_nobodys_choice() {
        let Route::Build { owner, .. } = routed(&fcu(Some(1012), true), &snapshot(), &[1, 2]) else {
            panic!("a build")
        };
        // Whose it is, is known all the same.
        assert_eq!(owner, Owner::Skip(Skip::NoTxPool(Some(2))));
        assert_eq!(owner.gateway(), Some(2));
        assert_eq!(form(owner, 2), Form::HeadOnly);
    }

    #[test]
    fn attributes_of_an_unknown_form_are_the_fallbacks_and_their_head_is_everybodys() {
        for (timestamp, number, whose) in [("\"0x3f4\"", Some(12), Some(2)), ("true", None, None)] {
            let attributes = format!(r#"{{"timestamp":{timestamp},"withdrawals":7}}"#);
            let text = fcu(None, false).replace("null", &attributes);
            let owner = Owner::Skip(Skip::Unread(whose));
            assert_eq!(routed(&text, &snapshot(), &[1, 2]), Route::Build { owner, number });
            assert_eq!(form(owner, 2), Form::HeadOnly);
        }
    }

    #[test]
    fn updates_go_to_everybody() {
        let snapshot = snapshot();
        let payload = format!(
            r#"{{"method":"engine_newPayloadV4","params":[{{"blockHash":"{HASH}","parentHash":"{HASH}","blockNumber":"0x1","timestamp":"0x1"}}],"id":1}}"#
        );
        for (text, kind) in [
            (fcu(None, false), Kind::Head),
            (payload, Kind::Payload),
            (r#"{"method":"eth_sendRawTransaction","params":["0x02"],"id":1}"#.to_owned(), Kind::Pool),
            (r#"{"method":"miner_setMaxDASize","params":["0x1","0x1"],"id":1}"#.to_owned(), Kind::Steer),
        ] {
            assert_eq!(routed(&text, &snapshot, &[1, 2]), Route::Forward { kind, tell: vec![1, 2] });
        }
    }

    #[test]
    fn everything_else_is_the_fallbacks_alone() {
        for method in [
            "engine_getClientVersionV1",
            "engine_getPayloadBodiesByHashV1",
            "engine_getPayloadBodiesByRangeV1",
            "engine_signalSuperchainV1",
            "engine_someDraftV9",
            "eth_getBlockByNumber",
            "debug_x",
            "y",
        ] {
            let text = format!(r#"{{"method":"{method}","params":[],"id":1}}"#);
            assert_eq!(routed(&text, &snapshot(), &[1, 2]), Route::Forward { kind: Kind::Pool, tell: vec![] });
        }
    }

    #[test]
    fn payloads_are_selected_and_questions_answered_from_memory() {
        let text = r#"{"method":"engine_getPayloadV4","params":["0x0102030405060708"],"id":1}"#;
        let id = PayloadId::from([1, 2, 3, 4, 5, 6, 7, 8]);
        assert_eq!(routed(text, &snapshot(), &[1]), Route::Select { version: 4, id });
        let text = r#"{"method":"registry_gateways","params":[],"id":1}"#;
        assert_eq!(routed(text, &snapshot(), &[1]), Route::Memory(RegistryQuery::All));
        let text = r#"{"method":"engine_exchangeCapabilities","params":[[]],"id":1}"#;
        assert_eq!(routed(text, &snapshot(), &[1]), Route::Capabilities);
        let text = r#"{"method":"eth_call","params":[],"id":1}"#;
        assert_eq!(routed(text, &snapshot(), &[1]), Route::Read);
    }

    #[test]
    fn gateways_are_worth_telling_while_eligible_or_scheduled() {
        let mut snapshot = snapshot();
        for id in [1, 3] {
            snapshot.gateways.get_mut(&id).expect("a gateway").eligible = false;
        }
        assert_eq!(worth_telling(&snapshot), [1, 2]);
        // Once its epoch is over, nothing keeps gateway 1.
        let timestamp = CLOCK.slot_start(SlotClock::epoch_start(1));
        snapshot.l1_head = Some(L1Head { number: 1, hash: HASH, parent_hash: HASH, timestamp });
        assert_eq!(worth_telling(&snapshot), [2]);
    }

    #[test]
    fn an_ended_gateway_is_not_worth_telling_for_slots_that_are_open() {
        let mut snapshot = snapshot();
        let mut next = EpochSchedule { epoch: 1, slots: [(2, baton_protocol::Kind::Fallback); 32] };
        next.slots[31].0 = 1;
        snapshot.schedule.insert(next);
        for id in [1, 2, 3] {
            snapshot.gateways.get_mut(&id).expect("a gateway").eligible = false;
        }
        let timestamp = CLOCK.slot_start(SlotClock::epoch_start(1));
        snapshot.l1_head = Some(L1Head { number: 1, hash: HASH, parent_hash: HASH, timestamp });
        assert_eq!(worth_telling(&snapshot), [1, 2]);
        snapshot.gateways.get_mut(&1).expect("gateway 1").ended_slot = Some(63);
        assert_eq!(worth_telling(&snapshot), [2]);
        assert_eq!(slot_owner(&snapshot, 63), Err(Skip::Ended(1)));
        assert_eq!(slot_owner(&snapshot, 62), Ok(2));
    }
}
