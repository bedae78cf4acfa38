//! Blocks being built: which gateway builds what the fallback knows under which payload id.

use crate::{demand::Demand, peek::PayloadId, route::Owner, trace::Ordered};
use serde::Serialize;
use std::{
    collections::{HashMap, VecDeque},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
};

/// How many blocks are remembered. op-node asks for a payload within seconds of ordering it; more than one at a time only when it restarts building.
const REMEMBERED: usize = 64;

/// A block being built. `T` is how the gateway's own payload id can be waited for.
#[derive(Debug)]
pub struct Build<T> {
    /// What it must be.
    pub demand: Demand,
    /// Whose it is.
    pub owner: Owner,
    /// The orders to the owner, if the owner was asked: the latest, and behind it, where it is repeated, the earliest that still counts.
    pub orders: Mutex<Vec<T>>,
    /// What becomes of the owner's payload.
    pub purpose: Purpose,
    /// When it was ordered.
    pub ordered: Ordered,
    /// Whether the owner's breaker has heard of it. op-node may ask for one payload several times, and breakers count blocks.
    pub judged: Mark,
    /// Whether it has been counted which transactions it leaves out, likewise.
    pub counted: Mark,
}

impl<T: Clone> Build<T> {
    /// The orders to the owner, the latest first.
    pub fn orders(&self) -> Vec<T> {
        self.orders.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Takes the order of one that says nothing new, if the owner `still` builds by an order of its own. Whether it did.
    fn takes(&self, again: &Self, still: impl Fn(&T, &T) -> bool) -> bool {
        if self.owner != again.owner || self.purpose != again.purpose || self.demand != again.demand {
            return false;
        }
        let Some(latest) = again.orders().into_iter().next() else { return false };
        let mut orders = self.orders.lock().unwrap_or_else(PoisonError::into_inner);
        orders.retain(|order| still(order, &latest));
        let Some(earliest) = orders.pop() else { return false };
        *orders = vec![latest, earliest];
        true
    }
}

/// Something that is done once.
#[derive(Debug, Default)]
pub struct Mark(AtomicBool);

impl Mark {
    /// Sets it. Whether it wasn't set before.
    pub fn set(&self) -> bool {
        !self.0.swap(true, Ordering::Relaxed)
    }
}

/// What becomes of an owner's payload.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Purpose {
    /// It is served if it is good.
    Serve,
    /// It is checked and recorded; the fallback's is served. The operator wants it so.
    DryRun,
    /// The same, to see whether a gateway that failed works again.
    Trial,
}

impl Purpose {
    /// As in decisions and logs.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Serve => "serve",
            Self::DryRun => "dry_run",
            Self::Trial => "trial",
        }
    }
}

/// Blocks being built, by the id that op-node knows them under, which is the fallback's.
#[derive(Debug)]
pub struct Builds<T> {
    by_id: HashMap<PayloadId, Arc<Build<T>>>,
    order: VecDeque<PayloadId>,
}

impl<T> Default for Builds<T> {
    fn default() -> Self {
        Self { by_id: HashMap::new(), order: VecDeque::new() }
    }
}

impl<T> Builds<T> {
    /// Remembers a block. Attributes asked for again give the same id again. The later block counts, except where it says nothing new and the same owner
    /// `still` builds by an earlier order: then it is the same block, ordered once more, and what is known of it stays.
    pub fn insert(&mut self, id: PayloadId, build: Build<T>, still: impl Fn(&T, &T) -> bool)
    where
        T: Clone,
    {
        if let Some(known) = self.by_id.get(&id) {
            self.order.retain(|known| *known != id);
            if known.takes(&build, still) {
                self.order.push_back(id);
                return;
            }
        }
        self.by_id.insert(id, Arc::new(build));
        self.order.push_back(id);
        if self.order.len() > REMEMBERED
            && let Some(oldest) = self.order.pop_front()
        {
            self.by_id.remove(&oldest);
        }
    }

    /// What is built under an id. It stays, because op-node may ask again.
    pub fn get(&self, id: &PayloadId) -> Option<Arc<Build<T>>> {
        self.by_id.get(id).cloned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn build(timestamp: u64, order: u64) -> Build<u64> {
        Build {
            demand: Demand { timestamp, ..Demand::default() },
            owner: Owner::Ask(1),
            orders: Mutex::new(vec![order]),
            purpose: Purpose::Serve,
            ordered: Ordered::default(),
            judged: Mark::default(),
            counted: Mark::default(),
        }
    }

    fn id(number: u64) -> PayloadId {
        PayloadId::from(number.to_be_bytes())
    }

    #[test]
    fn the_later_order_under_an_id_counts() {
        let mut builds = Builds::default();
        builds.insert(id(1), build(5, 10), |_, _| false);
        builds.insert(id(1), build(5, 11), |_, _| false);
        assert_eq!(builds.get(&id(1)).map(|build| build.orders()), Some(vec![11]));
        assert!(builds.get(&id(2)).is_none());
    }

    #[test]
    fn an_order_that_is_repeated_joins_those_that_still_count() {
        let after = |again: Build<u64>, still: bool| {
            let mut builds = Builds::default();
            builds.insert(id(1), build(5, 10), |_, _| true);
            builds.get(&id(1)).expect("a block").judged.set();
            builds.insert(id(1), again, |before, again| {
                assert_eq!((*before, *again), (10, 11));
                still
            });
            assert_eq!(builds.order.len(), 1);
            let build = builds.get(&id(1)).expect("a block");
            (build.orders(), !build.judged.set())
        };
        assert_eq!(after(build(5, 11), true), (vec![11, 10], true));
        assert_eq!(after(build(5, 11), false), (vec![11], false));
        assert_eq!(after(build(6, 11), true), (vec![11], false));
        assert_eq!(after(Build { purpose: Purpose::DryRun, ..build(5, 11) }, true), (vec![11], false));
        assert_eq!(after(Build { owner: Owner::Ask(2), ..build(5, 11) }, true), (vec![11], false));
        assert_eq!(after(Build { orders: Mutex::default(), ..build(5, 11) }, true), (vec![], false));
    }

    #[test]
    fn of_many_orders_the_latest_and_the_earliest_that_counts_are_kept() {
        let mut builds = Builds::default();
        for order in 10..20 {
            builds.insert(id(1), build(5, order), |before, _| *before != 10 || order < 15);
            let earliest = if order < 15 { 10 } else { 14 };
            let orders = builds.get(&id(1)).expect("a block").orders();
            assert_eq!(orders, if order == 10 { vec![10] } else { vec![order, earliest] });
        }
    }

    #[test]
    fn a_bounded_number_is_remembered_and_the_newest_stay() {
        let mut builds = Builds::default();
        for number in 0..1000 {
            builds.insert(id(number), build(number, number), |_, _| true);
            // Ordered again and again: it must not push itself out.
            builds.insert(id(u64::MAX), build(0, 0), |_, _| number % 2 == 0);
        }
        assert_eq!(builds.by_id.len(), REMEMBERED);
        assert_eq!(builds.order.len(), REMEMBERED);
        assert!(builds.get(&id(999)).is_some());
        assert!(builds.get(&id(u64::MAX)).is_some());
        assert!(builds.get(&id(0)).is_none());
    }
}
