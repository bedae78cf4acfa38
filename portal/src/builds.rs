//! Blocks being built: which gateway builds what the fallback knows under which payload id.

use crate::{demand::Demand, peek::PayloadId, route::Owner, trace::Ordered};
use serde::Serialize;
use std::{
    collections::{HashMap, VecDeque},
    sync::{
        Arc,
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
    /// The order to the owner, if the owner was asked.
    pub pending: Option<T>,
    /// What becomes of the owner's payload.
    pub purpose: Purpose,
    /// When it was ordered.
    pub ordered: Ordered,
    /// Whether the owner's breaker has heard of it. op-node may ask for one payload several times, and breakers count blocks.
    pub judged: Mark,
    /// Whether it has been counted which transactions it leaves out, likewise.
    pub counted: Mark,
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
    /// Remembers a block. Attributes asked for again give the same id again. The later order counts, except where it says nothing new and the same owner
    /// `still` builds by the earlier one: what is known of that is worth more.
    pub fn insert(&mut self, id: PayloadId, build: Build<T>, still: impl FnOnce(&T, &T) -> bool) {
        if let Some(known) = self.by_id.get(&id) {
            self.order.retain(|known| *known != id);
            let same = known.owner == build.owner && known.purpose == build.purpose && known.demand == build.demand;
            if same && matches!((&known.pending, &build.pending), (Some(known), Some(again)) if still(known, again)) {
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

    fn build(timestamp: u64, pending: u64) -> Build<u64> {
        Build {
            demand: Demand { timestamp, ..Demand::default() },
            owner: Owner::Ask(1),
            pending: Some(pending),
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
        assert_eq!(builds.get(&id(1)).and_then(|build| build.pending), Some(11));
        assert!(builds.get(&id(2)).is_none());
    }

    #[test]
    fn an_order_that_is_repeated_changes_nothing() {
        let after = |again: Build<u64>, still: bool| {
            let mut builds = Builds::default();
            builds.insert(id(1), build(5, 10), |_, _| true);
            builds.insert(id(1), again, |before, again| {
                assert_eq!((*before, *again), (10, 11));
                still
            });
            assert_eq!(builds.order.len(), 1);
            builds.get(&id(1)).and_then(|build| build.pending)
        };
        assert_eq!(after(build(5, 11), true), Some(10));
        assert_eq!(after(build(5, 11), false), Some(11));
        assert_eq!(after(build(6, 11), true), Some(11));
        assert_eq!(after(Build { purpose: Purpose::DryRun, ..build(5, 11) }, true), Some(11));
        assert_eq!(after(Build { owner: Owner::Ask(2), ..build(5, 11) }, true), Some(11));
        assert_eq!(after(Build { pending: None, ..build(5, 11) }, true), None);
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
