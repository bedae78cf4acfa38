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
    /// Both.
    pub const ALL: [Self; 2] = [Self::Superseded, Self::Overflow];

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
    /// Each with its size in bytes.
    waiting: VecDeque<(Kind, T, usize)>,
    capacity: usize,
    /// In bytes.
    most: usize,
    /// In bytes, all that wait together.
    size: usize,
}

impl<T> Queue<T> {
    /// A queue for a number of updates, and for a number of bytes.
    pub const fn new(capacity: usize, most: usize) -> Self {
        Self { waiting: VecDeque::new(), capacity, most, size: 0 }
    }

    /// Adds an update of a size in bytes at the end and gives what it pushed out: head updates that it supersedes, then, while they are still too many or too
    /// large, the oldest head update, or if there is none the oldest update. The one that is added stays, however large it is.
    pub fn push(&mut self, kind: Kind, item: T, size: usize) -> Vec<(Kind, Dropped, T)> {
        let mut dropped = Vec::new();
        if matches!(kind, Kind::Head | Kind::Build) {
            let all = std::mem::take(&mut self.waiting);
            for (kind, item, size) in all {
                if kind == Kind::Head {
                    self.size -= size;
                    dropped.push((kind, Dropped::Superseded, item));
                } else {
                    self.waiting.push_back((kind, item, size));
                }
            }
        }
        self.waiting.push_back((kind, item, size));
        self.size += size;
        while self.waiting.len() > 1 && (self.waiting.len() > self.capacity || self.size > self.most) {
            let last = self.waiting.len() - 1;
            let victim = self.waiting.iter().take(last).position(|(kind, ..)| *kind == Kind::Head).unwrap_or(0);
            if let Some((kind, item, size)) = self.waiting.remove(victim) {
                self.size -= size;
                dropped.push((kind, Dropped::Overflow, item));
            }
        }
        dropped
    }

    /// Takes the oldest.
    pub fn pop(&mut self) -> Option<(Kind, T)> {
        let (kind, item, size) = self.waiting.pop_front()?;
        self.size -= size;
        Some((kind, item))
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
        let mut queue = Queue::new(10, 100);
        queue.push(Kind::Payload, "payload 1", 0);
        queue.push(Kind::Head, "head 1", 0);
        queue.push(Kind::Build, "build 2", 0);
        queue.push(Kind::Payload, "payload 2", 0);
        queue.push(Kind::Head, "head 2", 0);
        let dropped = queue.push(Kind::Head, "head 2, safe", 0);
        assert_eq!(dropped, [(Kind::Head, Dropped::Superseded, "head 2")]);
        assert_eq!(drain(&mut queue), ["payload 1", "build 2", "payload 2", "head 2, safe"]);
    }

    #[test]
    fn a_full_queue_drops_the_oldest_head_update_first() {
        let mut queue = Queue::new(3, 100);
        queue.push(Kind::Payload, 1, 0);
        queue.push(Kind::Head, 2, 0);
        queue.push(Kind::Payload, 3, 0);
        assert_eq!(queue.push(Kind::Payload, 4, 0), [(Kind::Head, Dropped::Overflow, 2)]);
        assert_eq!(queue.push(Kind::Payload, 5, 0), [(Kind::Payload, Dropped::Overflow, 1)]);
        assert_eq!(drain(&mut queue), [3, 4, 5]);
    }

    #[test]
    fn the_newcomer_is_never_the_one_to_go() {
        let mut queue = Queue::new(1, 100);
        queue.push(Kind::Payload, 1, 0);
        assert_eq!(queue.push(Kind::Head, 2, 0), [(Kind::Payload, Dropped::Overflow, 1)]);
        assert_eq!(drain(&mut queue), [2]);
    }

    #[test]
    fn what_is_too_large_makes_room() {
        let mut queue = Queue::new(10, 100);
        queue.push(Kind::Payload, 1, 40);
        queue.push(Kind::Head, 2, 10);
        queue.push(Kind::Payload, 3, 40);
        assert_eq!(queue.push(Kind::Payload, 4, 20), [(Kind::Head, Dropped::Overflow, 2)]);
        assert_eq!(queue.push(Kind::Payload, 5, 70), [1, 3].map(|item| (Kind::Payload, Dropped::Overflow, item)));
        assert_eq!(queue.pop(), Some((Kind::Payload, 4)));
        assert_eq!(queue.push(Kind::Payload, 6, 30), []);
        // Superseded heads and what is too large by itself count too, while they wait.
        let rest = [5, 6].map(|item| (Kind::Payload, Dropped::Overflow, item));
        assert_eq!(queue.push(Kind::Head, 7, 1000), rest);
        assert_eq!(queue.push(Kind::Head, 8, 100), [(Kind::Head, Dropped::Superseded, 7)]);
        assert_eq!(queue.push(Kind::Payload, 9, 0), []);
        assert_eq!(drain(&mut queue), [8, 9]);
    }

    proptest! {
        #[test]
        fn never_overtakes_never_overflows_never_loses_silently(kinds in prop::collection::vec(0u8..4, 0..60), capacity in 1usize..12) {
            let mut queue = Queue::new(capacity, 100);
            let mut dropped = Vec::new();
            for (number, kind) in kinds.iter().enumerate() {
                let kind = [Kind::Head, Kind::Build, Kind::Payload, Kind::Pool][usize::from(*kind)];
                dropped.extend(queue.push(kind, number, 0).into_iter().map(|(_, _, item)| item));
                prop_assert!(queue.len() <= capacity);
                let heads = queue.waiting.iter().filter(|(kind, ..)| *kind == Kind::Head).count();
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
