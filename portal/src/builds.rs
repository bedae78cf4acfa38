//! Blocks being built: which gateway builds what the fallback knows under which payload id.

use crate::{demand::Demand, peek::PayloadId, route::Owner, trace::Ordered};
use serde::Serialize;
use std::{
    collections::{HashMap, VecDeque},
    sync::Arc,
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
    /// The owner's payload id to come, if the owner was asked.
    pub pending: Option<T>,
    /// What becomes of the owner's payload.
    pub purpose: Purpose,
    /// When it was ordered.
    pub ordered: Ordered,
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
    /// Remembers a block. Attributes asked for again give the same id again; the later order counts.
    pub fn insert(&mut self, id: PayloadId, build: Build<T>) {
        if self.by_id.insert(id, Arc::new(build)).is_some() {
            self.order.retain(|known| *known != id);
        }
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
        }
    }

    fn id(number: u64) -> PayloadId {
        PayloadId::from(number.to_be_bytes())
    }

    #[test]
    fn the_later_order_under_an_id_counts() {
        let mut builds = Builds::default();
        builds.insert(id(1), build(5, 10));
        builds.insert(id(1), build(5, 11));
        assert_eq!(builds.get(&id(1)).and_then(|build| build.pending), Some(11));
        assert!(builds.get(&id(2)).is_none());
    }

    #[test]
    fn a_bounded_number_is_remembered_and_the_newest_stay() {
        let mut builds = Builds::default();
        for number in 0..1000 {
            builds.insert(id(number), build(number, number));
            // Ordered again and again: it must not push itself out.
            builds.insert(id(u64::MAX), build(0, 0));
        }
        assert_eq!(builds.by_id.len(), REMEMBERED);
        assert_eq!(builds.order.len(), REMEMBERED);
        assert!(builds.get(&id(999)).is_some());
        assert!(builds.get(&id(u64::MAX)).is_some());
        assert!(builds.get(&id(0)).is_none());
    }
}
