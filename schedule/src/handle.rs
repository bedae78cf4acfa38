//! How snapshots get from the follower to its readers.

use crate::Snapshot;
use arc_swap::ArcSwap;
use std::sync::Arc;
use tokio::sync::watch;

/// The follower is gone; no further snapshot will come. The last one stays readable.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the schedule's follower has stopped")]
pub struct Closed;

/// A reader's end. Cheap to clone; [`Handle::snapshot`] takes no lock.
#[derive(Clone, Debug)]
pub struct Handle {
    current: Arc<ArcSwap<Snapshot>>,
    version: watch::Receiver<u64>,
}

/// The writer's end.
#[derive(Debug)]
pub struct Publisher {
    current: Arc<ArcSwap<Snapshot>>,
    version: watch::Sender<u64>,
}

/// A publisher and its first reader, which sees `first` until something is published. The follower makes one for itself; a process that knows
/// the schedule from elsewhere can make its own.
pub fn channel(first: Snapshot) -> (Publisher, Handle) {
    let current = Arc::new(ArcSwap::from_pointee(first));
    let (sender, receiver) = watch::channel(0);
    (Publisher { current: current.clone(), version: sender }, Handle { current, version: receiver })
}

impl Publisher {
    /// Replaces the snapshot and wakes everybody who waits for a change.
    pub fn publish(&self, snapshot: Snapshot) {
        self.current.store(Arc::new(snapshot));
        self.version.send_modify(|version| *version += 1);
    }

    /// The snapshot published last.
    pub fn latest(&self) -> Arc<Snapshot> {
        self.current.load_full()
    }
}

impl Handle {
    /// The newest snapshot.
    pub fn snapshot(&self) -> Arc<Snapshot> {
        self.current.load_full()
    }

    /// Waits until a snapshot is published that this handle hasn't been woken for, and gives the newest. Several publications in between
    /// wake once.
    pub async fn changed(&mut self) -> Result<Arc<Snapshot>, Closed> {
        self.version.changed().await.map_err(|_| Closed)?;
        Ok(self.snapshot())
    }

    /// Waits until the L1 was read once.
    pub async fn known(&mut self) -> Result<Arc<Snapshot>, Closed> {
        loop {
            self.version.borrow_and_update();
            let snapshot = self.snapshot();
            if snapshot.is_known() {
                return Ok(snapshot);
            }
            self.version.changed().await.map_err(|_| Closed)?;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::L1Head;
    use alloy::primitives::B256;
    use baton_protocol::SlotClock;

    const CLOCK: SlotClock =
        SlotClock { l1_genesis_time: 0, slot_length: 2, l2_genesis_time: 0, l2_block_time: 1, settlement_delay: 2 };

    #[tokio::test]
    async fn readers_are_woken_once_and_see_the_newest() {
        let (publisher, mut handle) = channel(Snapshot::unread(CLOCK));
        assert!(!handle.snapshot().is_known());
        let head = L1Head { number: 7, hash: B256::ZERO, parent_hash: B256::ZERO, timestamp: 9 };
        publisher.publish(Snapshot { l1_head: Some(L1Head { number: 6, ..head }), ..Snapshot::unread(CLOCK) });
        publisher.publish(Snapshot { l1_head: Some(head), ..Snapshot::unread(CLOCK) });
        assert_eq!(handle.changed().await.expect("published").l1_head, Some(head));
        drop(publisher);
        assert_eq!(handle.changed().await.err(), Some(Closed));
        assert_eq!(handle.known().await.expect("known already").l1_head, Some(head));
    }
}
