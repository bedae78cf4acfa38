//! What waits to be sent to one gateway: in order, bounded, without what has become superfluous.

use crate::route::Kind;
use std::collections::VecDeque;

/// Why something never reached its gateway.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dropped {
    /// A later forkchoice update says all that it said.
    Superseded,
    /// The gateway is too slow.
    Overflow,
}

impl Dropped {
    /// A short fixed name, for metrics.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Superseded => "superseded",
            Self::Overflow => "overflow",
        }
    }
}

/// Updates for one gateway, oldest first.
#[derive(Debug)]
pub struct Queue<T> {
    waiting: VecDeque<(Kind, T)>,
    capacity: usize,
}

impl<T> Queue<T> {
    /// A queue for a number of updates.
    pub const fn new(capacity: usize) -> Self {
        Self { waiting: VecDeque::new(), capacity }
    }

    /// Adds an update at the end and gives what it pushed out: head updates that it supersedes, then, if there are still too many, the oldest head
    /// update, or if there is none the oldest update.
    pub fn push(&mut self, kind: Kind, item: T) -> Vec<(Kind, Dropped, T)> {
        let mut dropped = Vec::new();
        if matches!(kind, Kind::Head | Kind::Build) {
            let all = std::mem::take(&mut self.waiting);
            for (kind, item) in all {
                if kind == Kind::Head {
                    dropped.push((kind, Dropped::Superseded, item));
                } else {
                    self.waiting.push_back((kind, item));
                }
            }
        }
        self.waiting.push_back((kind, item));
        if self.waiting.len() > self.capacity {
            let last = self.waiting.len() - 1;
            let victim = self.waiting.iter().take(last).position(|(kind, _)| *kind == Kind::Head).unwrap_or(0);
            dropped.extend(self.waiting.remove(victim).map(|(kind, item)| (kind, Dropped::Overflow, item)));
        }
        dropped
    }

    /// Takes the oldest.
    pub fn pop(&mut self) -> Option<(Kind, T)> {
        self.waiting.pop_front()
    }

    /// How many wait.
    pub fn len(&self) -> usize {
        self.waiting.len()
    }

    /// Whether none waits.
    pub fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn drain<T>(queue: &mut Queue<T>) -> Vec<T> {
        std::iter::from_fn(|| queue.pop()).map(|(_, item)| item).collect()
    }

    #[test]
    fn head_updates_coalesce_and_the_rest_keeps_its_order() {
        let mut queue = Queue::new(10);
        queue.push(Kind::Payload, "payload 1");
        queue.push(Kind::Head, "head 1");
        queue.push(Kind::Build, "build 2");
        queue.push(Kind::Payload, "payload 2");
        queue.push(Kind::Head, "head 2");
        let dropped = queue.push(Kind::Head, "head 2, safe");
        assert_eq!(dropped, [(Kind::Head, Dropped::Superseded, "head 2")]);
        assert_eq!(drain(&mut queue), ["payload 1", "build 2", "payload 2", "head 2, safe"]);
    }

    #[test]
    fn a_full_queue_drops_the_oldest_head_update_first() {
        let mut queue = Queue::new(3);
        queue.push(Kind::Payload, 1);
        queue.push(Kind::Head, 2);
        queue.push(Kind::Payload, 3);
        assert_eq!(queue.push(Kind::Payload, 4), [(Kind::Head, Dropped::Overflow, 2)]);
        assert_eq!(queue.push(Kind::Payload, 5), [(Kind::Payload, Dropped::Overflow, 1)]);
        assert_eq!(drain(&mut queue), [3, 4, 5]);
    }

    #[test]
    fn the_newcomer_is_never_the_one_to_go() {
        let mut queue = Queue::new(1);
        queue.push(Kind::Payload, 1);
        assert_eq!(queue.push(Kind::Head, 2), [(Kind::Payload, Dropped::Overflow, 1)]);
        assert_eq!(drain(&mut queue), [2]);
    }

    proptest! {
        #[test]
        fn never_overtakes_never_overflows_never_loses_silently(kinds in prop::collection::vec(0u8..4, 0..60), capacity in 1usize..12) {
            let mut queue = Queue::new(capacity);
            let mut dropped = Vec::new();
            for (number, kind) in kinds.iter().enumerate() {
                let kind = [Kind::Head, Kind::Build, Kind::Payload, Kind::Pool][usize::from(*kind)];
                dropped.extend(queue.push(kind, number).into_iter().map(|(_, _, item)| item));
                prop_assert!(queue.len() <= capacity);
                let heads = queue.waiting.iter().filter(|(kind, _)| *kind == Kind::Head).count();
                prop_assert!(heads <= 1);
            }
            let sent = drain(&mut queue);
            prop_assert!(sent.is_sorted());
            prop_assert_eq!(sent.len() + dropped.len(), kinds.len());
            if let Some(newest) = kinds.len().checked_sub(1) {
                prop_assert_eq!(sent.last(), Some(&newest));
            }
        }
    }
}
