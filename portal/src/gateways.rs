//! The lanes that are open, kept in step with the registry.

use crate::{
    config::{Endpoint, GatewaySettings},
    lane::{Lane, Peer},
    mode::{Mode, Modes},
    route, telemetry,
    upstream::Upstream,
};
use arc_swap::ArcSwap;
use baton_protocol::GatewayId;
use baton_schedule::{NodeUrl, Snapshot};
use http::Uri;
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex, PoisonError},
};
use tracing::{info, warn};

/// The open lanes at one moment.
#[derive(Debug, Default)]
pub(crate) struct Lanes {
    /// In order of id.
    pub(crate) ids: Vec<GatewayId>,
    /// Several may share one.
    by_id: BTreeMap<GatewayId, Arc<Lane>>,
    /// Each lane once, and whose it is.
    each: Vec<(Vec<GatewayId>, Arc<Lane>)>,
}

impl From<BTreeMap<GatewayId, Arc<Lane>>> for Lanes {
    fn from(by_id: BTreeMap<GatewayId, Arc<Lane>>) -> Self {
        let mut each: Vec<(Vec<GatewayId>, Arc<Lane>)> = Vec::new();
        for (id, lane) in &by_id {
            match each.iter_mut().find(|(_, other)| Arc::ptr_eq(other, lane)) {
                Some((ids, _)) => ids.push(*id),
                None => each.push((vec![*id], lane.clone())),
            }
        }
        Self { ids: by_id.keys().copied().collect(), by_id, each }
    }
}

impl Lanes {
    pub(crate) fn get(&self, id: GatewayId) -> Option<&Arc<Lane>> {
        self.by_id.get(&id)
    }

    /// Each lane once, however many gateways share it, and whose it is.
    pub(crate) fn each(&self) -> impl Iterator<Item = (&[GatewayId], &Arc<Lane>)> {
        self.each.iter().map(|(ids, lane)| (ids.as_slice(), lane))
    }

    pub(crate) fn all(&self) -> impl Iterator<Item = (GatewayId, &Arc<Lane>)> {
        self.by_id.iter().map(|(id, lane)| (*id, lane))
    }
}

/// All lanes. Readers take no lock.
#[derive(Debug)]
pub(crate) struct Gateways {
    settings: ArcSwap<GatewaySettings>,
    max_body: usize,
    lanes: ArcSwap<Lanes>,
    /// Held while lanes change, so that no change undoes another.
    changing: Mutex<Changing>,
}

/// What is known for the next change of lanes.
#[derive(Debug, Default)]
struct Changing {
    /// Gateways whose registered URLs aren't used, and for whose sake.
    refused: BTreeMap<GatewayId, &'static str>,
    /// Gateways whose lanes have the settings from before.
    outdated: BTreeSet<GatewayId>,
}

/// What to do about one gateway.
#[derive(Debug, PartialEq, Eq)]
enum Change {
    /// A new one, or one that moved.
    Open(GatewayId),
    /// One that is no longer wanted or can't be reached.
    Close(GatewayId),
}

/// Compares the lanes that are open with those that should be.
fn changes(open: &BTreeMap<GatewayId, Uri>, wanted: &BTreeMap<GatewayId, Uri>) -> Vec<Change> {
    let gone = open.keys().filter(|id| !wanted.contains_key(id)).map(|id| Change::Close(*id));
    let new = wanted.iter().filter(|(id, uri)| open.get(id) != Some(uri)).map(|(id, _)| Change::Open(*id));
    gone.chain(new).collect()
}

impl Gateways {
    pub(crate) fn new(settings: GatewaySettings, max_body: usize) -> Self {
        Self {
            settings: ArcSwap::from_pointee(settings),
            max_body,
            lanes: ArcSwap::default(),
            changing: Mutex::default(),
        }
    }

    /// Takes other settings. Lanes that they change are opened anew by the next [`Gateways::follow`]: until then there are those from before, since a gateway
    /// without a lane isn't asked for a block.
    pub(crate) fn reconfigure(&self, settings: GatewaySettings) {
        let mut changing = self.changing.lock().unwrap_or_else(PoisonError::into_inner);
        let before = self.settings.swap(Arc::new(settings));
        let now = self.settings.load();
        let is_outdated = |id: &GatewayId, lane: &Arc<Lane>| {
            let registered = lane.uri().to_string();
            before.timeout != now.timeout
                || before.queue != now.queue
                || before.endpoint(*id, &registered) != now.endpoint(*id, &registered)
        };
        let lanes = self.lanes.load();
        let outdated = lanes.by_id.iter().filter(|(id, lane)| is_outdated(id, lane));
        changing.outdated.extend(outdated.map(|(id, _)| *id));
    }

    /// What of the operator's is where a URL leads, by its key in the configuration.
    pub(crate) fn taken_by(&self, uri: &Uri) -> Option<&'static str> {
        self.settings.load().places.taken_by(uri)
    }

    pub(crate) fn lanes(&self) -> Arc<Lanes> {
        self.lanes.load_full()
    }

    /// Opens and closes lanes so that there is one for every gateway that is worth telling, can be reached, and isn't disabled. Gives those that it
    /// opened. `read` gives schedule and modes as they are when it is called, so that of two calls at once the later knows no less.
    pub(crate) fn follow(&self, read: impl FnOnce() -> (Arc<Snapshot>, Modes)) -> Vec<Arc<Lane>> {
        let mut changing = self.changing.lock().unwrap_or_else(PoisonError::into_inner);
        let Changing { refused, outdated } = &mut *changing;
        let (snapshot, modes) = read();
        let settings = self.settings.load();
        let wanted: BTreeMap<GatewayId, Endpoint> = route::worth_telling(&snapshot)
            .into_iter()
            .filter(|id| modes.of(*id) != Mode::Disabled)
            .filter_map(|id| {
                let registered = snapshot.gateways.get(&id).map_or("", |info| info.urls.endpoint.as_str());
                let taken_by = settings.taken_by(id, registered);
                let before = match taken_by {
                    Some(taken_by) => refused.insert(id, taken_by),
                    None => refused.remove(&id),
                };
                if let Some(taken_by) = taken_by.filter(|_| before != taken_by) {
                    warn!(gateway = id, uri = %NodeUrl::from(registered), taken_by, "a gateway's registered URL leads to the portal's own side and isn't used");
                }
                Some((id, settings.endpoint(id, registered)?))
            })
            .collect();
        let lanes = self.lanes.load();
        let mut by_id = lanes.by_id.clone();
        by_id.retain(|id, _| !outdated.contains(id));
        let open = by_id.iter().map(|(id, lane)| (*id, lane.uri().clone())).collect();
        let uris = wanted.iter().map(|(id, endpoint)| (*id, endpoint.uri.clone())).collect();
        let changes = changes(&open, &uris);
        let mut opened = Vec::new();
        if changes.is_empty() && outdated.is_empty() {
            return opened;
        }
        // One that moves leaves the lane that it has first: whoever moves to the same place mustn't join it there.
        by_id.retain(|id, _| !changes.contains(&Change::Open(*id)));
        for change in changes {
            match change {
                Change::Close(gateway) => {
                    info!(gateway, "closing a gateway's lane");
                    by_id.remove(&gateway);
                }
                Change::Open(gateway) => {
                    let Some(Endpoint { uri, secret }) = wanted.get(&gateway).cloned() else { continue };
                    // Two lanes to one engine would have no common order, and a head of the one could come behind a newer one of the other.
                    let shared = by_id.values().find(|lane| lane.leads_to(&uri, &secret)).cloned();
                    if let Some(lane) = shared {
                        info!(gateway, with = %lane.peer(), "a gateway shares another's lane: both name the same endpoint");
                        telemetry::gateway_known(gateway);
                        by_id.insert(gateway, lane);
                        continue;
                    }
                    info!(gateway, uri = %NodeUrl::from(uri.to_string()), "opening a gateway's lane");
                    let upstream = Upstream::new(uri, secret, settings.timeout, self.max_body);
                    let lane = Arc::new(Lane::open(Peer::Gateway(gateway), upstream, settings.queue));
                    opened.push(lane.clone());
                    by_id.insert(gateway, lane);
                }
            }
        }
        self.replace(&lanes, by_id);
        outdated.clear();
        opened
    }

    /// Puts other lanes in the place of those that are open, and closes those that nobody has any more: one that went on sending beside its successor could
    /// bring an older head after a newer one, or something to a gateway that is disabled.
    fn replace(&self, open: &Lanes, by_id: BTreeMap<GatewayId, Arc<Lane>>) {
        let gone = open.each().filter(|(_, lane)| !by_id.values().any(|kept| Arc::ptr_eq(kept, lane)));
        // Before anybody has their successors.
        gone.for_each(|(_, lane)| lane.close());
        self.lanes.store(Arc::new(by_id.into()));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{config::Places, jwt::Secret};
    use baton_protocol::SlotClock;
    use baton_schedule::GatewayInfo;
    use std::time::Duration;

    fn lanes(of: &[(GatewayId, &'static str)]) -> BTreeMap<GatewayId, Uri> {
        of.iter().map(|(id, uri)| (*id, Uri::from_static(uri))).collect()
    }

    const CLOCK: SlotClock =
        SlotClock { l1_genesis_time: 0, slot_length: 1, l2_genesis_time: 0, l2_block_time: 1, settlement_delay: 2 };

    fn settings(queue: usize) -> GatewaySettings {
        GatewaySettings {
            secret: Secret::new([1; 32]),
            overrides: BTreeMap::new(),
            timeout: Duration::from_secs(1),
            queue,
            places: Places::default(),
        }
    }

    /// Gateways from 1 on, each at a URL.
    fn snapshot(urls: &[&str]) -> Snapshot {
        let infos = (1..).zip(urls).map(|(id, url)| (id, GatewayInfo::unregistered(id, *url)));
        Snapshot { gateways: infos.collect(), ..Snapshot::unread(CLOCK) }
    }

    #[test]
    fn schedule_and_modes_are_read_while_nothing_else_changes_lanes() {
        let gateways = Gateways::new(settings(1), 1);
        let mut is_locked = false;
        gateways.follow(|| {
            // Else another call, with what is newer, could be done before this one begins.
            is_locked = gateways.changing.try_lock().is_err();
            (Arc::new(snapshot(&[])), Modes::default())
        });
        assert!(is_locked);
    }

    #[tokio::test]
    async fn gateways_at_one_endpoint_share_a_lane() {
        let overrides = BTreeMap::from([(4, (None, Some(Secret::new([2; 32]))))]);
        let gateways = Gateways::new(GatewaySettings { overrides, ..settings(1) }, 1);
        let follow = |urls: [&str; 4]| {
            let opened = gateways.follow(|| (Arc::new(snapshot(&urls)), Modes::default())).len();
            let each: Vec<Vec<_>> = gateways.lanes().each().map(|(ids, _)| ids.to_vec()).collect();
            (opened, each)
        };
        // The fourth has another secret.
        assert_eq!(
            follow(["http://a:1", "http://b:1", "http://A:1/", "http://a:1"]),
            (3, vec![vec![1, 3], vec![2], vec![4]])
        );
        let lane = gateways.lanes().get(3).cloned().expect("a lane");
        // Who moves away takes nothing from who stays.
        assert_eq!(
            follow(["http://c:1", "http://b:1", "http://a:1", "http://a:1"]),
            (1, vec![vec![1], vec![2], vec![3], vec![4]])
        );
        assert!(Arc::ptr_eq(&lane, gateways.lanes().get(3).expect("a lane")));
        // Only when nobody is left is it closed.
        assert!(!lane.is_closed());
        follow(["http://c:1", "http://b:1", "http://d:1", "http://a:1"]);
        assert!(lane.is_closed() && gateways.lanes().all().all(|(_, lane)| !lane.is_closed()));
    }

    #[tokio::test]
    async fn a_lane_that_other_settings_replace_is_closed() {
        let gateways = Gateways::new(settings(1), 1);
        let snapshot = Arc::new(snapshot(&["http://a:1"]));
        let follow = |modes: Modes| gateways.follow(|| (snapshot.clone(), modes)).len();
        assert_eq!(follow(Modes::default()), 1);
        let lane = gateways.lanes().get(1).cloned().expect("a lane");
        gateways.reconfigure(settings(1));
        assert_eq!(follow(Modes::default()), 0);
        // There is one at any moment.
        gateways.reconfigure(settings(2));
        assert!(gateways.lanes().get(1).is_some_and(|now| Arc::ptr_eq(now, &lane)) && !lane.is_closed());
        assert_eq!(follow(Modes::default()), 1);
        assert!(gateways.lanes().get(1).is_some_and(|now| !Arc::ptr_eq(now, &lane)) && lane.is_closed());
        assert_eq!(follow(Modes::default()), 0);
        // Unless nobody is to have it any more.
        gateways.reconfigure(settings(3));
        assert_eq!(follow(Modes { global: Mode::Disabled, ..Modes::default() }), 0);
        assert!(gateways.lanes().get(1).is_none());
    }

    #[test]
    fn only_what_differs_changes() {
        let open = lanes(&[(1, "http://a"), (2, "http://b"), (3, "http://c")]);
        let wanted = lanes(&[(1, "http://a"), (2, "http://moved"), (4, "http://d")]);
        assert_eq!(changes(&open, &wanted), [Change::Close(3), Change::Open(2), Change::Open(4)]);
        assert_eq!(changes(&open, &open), []);
    }
}
