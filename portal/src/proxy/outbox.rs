//! Copies of updates that wait in others' lanes while op-node waits for an answer: on their way they would compete with its calls for the processors.
//!
//! They go when a call has been answered, except that a block's wait for the head update that follows it at once. A task looks for what is left over: a timer
//! for each update would cost the engine port's thread more than the update.

use super::lock;
use crate::{
    body::{Pieces, Unread},
    lane::Bell,
    peek::Method,
};
use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};
use tokio::{
    sync::Notify,
    time::{Instant, sleep},
};

/// How often to look.
const TICK: Duration = Duration::from_millis(10);
/// How long copies wait at most, if op-node's calls leave no moment between them, or the fallback takes its time with one; a tick more at worst.
const PATIENCE: Duration = Duration::from_millis(20);
/// For how long to go on looking once all is gone: for longer than chains take for a block.
const ALERT: Duration = Duration::from_secs(10);

/// Copies that wait, and what they wait for.
#[derive(Debug, Default)]
pub(super) struct Outbox {
    /// Calls under way that op-node waits for.
    calls: AtomicUsize,
    waiting: Mutex<Waiting>,
    woken: Notify,
}

#[derive(Debug, Default)]
struct Waiting {
    /// Since when each waits.
    bells: Vec<(Instant, Bell)>,
    /// What is to be read when somebody looks: pipes are few, and a peer that hangs would have its copies wait in them.
    unread: Vec<Unread>,
    /// Whether nobody looks.
    asleep: bool,
}

/// A call, until this is dropped.
#[derive(Debug)]
pub(super) struct UnderWay {
    outbox: Arc<Outbox>,
    started: Instant,
    part: Part,
}

/// What a call is to a block's making.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Part {
    /// Nothing: copies needn't wait for it.
    None,
    /// op-node waits for it.
    Any,
    /// And another follows it at once.
    First,
}

impl From<&Method<'_>> for Part {
    fn from(method: &Method<'_>) -> Self {
        match method {
            Method::NewPayload => Self::First,
            Method::ForkchoiceUpdated(_) | Method::GetPayload { .. } => Self::Any,
            _ => Self::None,
        }
    }
}

impl Outbox {
    /// Counts a call in.
    pub(super) fn enter(self: &Arc<Self>, method: &Method<'_>) -> UnderWay {
        let part = Part::from(method);
        if part != Part::None {
            self.calls.fetch_add(1, Ordering::AcqRel);
        }
        UnderWay { outbox: self.clone(), started: Instant::now(), part }
    }

    /// Takes copies that are in their lanes.
    pub(super) fn hold(&self, bells: impl IntoIterator<Item = Bell>) {
        // Putting them into their lanes first, without the lock.
        let bells: Vec<_> = bells.into_iter().collect();
        let now = Instant::now();
        let mut waiting = lock(&self.waiting);
        waiting.bells.extend(bells.into_iter().map(|bell| (now, bell)));
        if !waiting.bells.is_empty() {
            self.wake(&mut waiting);
        }
    }

    /// Has a body read, away from op-node's thread.
    pub(super) fn read_later(&self, body: &Pieces) {
        if let Some(unread) = body.unread() {
            let mut waiting = lock(&self.waiting);
            waiting.unread.push(unread);
            self.wake(&mut waiting);
        }
    }

    fn wake(&self, waiting: &mut Waiting) {
        if std::mem::take(&mut waiting.asleep) {
            self.woken.notify_one();
        }
    }

    /// Lets go what is left over. Never ends.
    pub(super) async fn run(&self) {
        self.run_alert(ALERT).await;
    }

    async fn run_alert(&self, alert: Duration) {
        let mut last = Instant::now();
        loop {
            sleep(TICK).await;
            let unread = std::mem::take(&mut lock(&self.waiting).unread);
            unread.iter().for_each(Unread::read);
            let now = Instant::now();
            let due = self.due(now, now);
            if !due.is_empty() {
                last = now;
                due.iter().for_each(Bell::ring);
            }
            if now.duration_since(last) >= alert && lock(&self.waiting).may_sleep() {
                self.woken.notified().await;
                last = Instant::now();
            }
        }
    }

    fn due(&self, now: Instant, since: Instant) -> Vec<Bell> {
        lock(&self.waiting).due(self.calls.load(Ordering::Acquire) > 0, now, since)
    }
}

impl Waiting {
    /// What may go by now: while a call is under way, only what has waited for long; else what waits since a time.
    fn due(&mut self, busy: bool, now: Instant, since: Instant) -> Vec<Bell> {
        // Those that have waited for longest come first.
        let count = self.bells.partition_point(|(at, _)| if busy { now >= *at + PATIENCE } else { *at <= since });
        self.bells.drain(..count).map(|(_, bell)| bell).collect()
    }

    /// Whether to stop looking until something comes.
    fn may_sleep(&mut self) -> bool {
        self.asleep = self.bells.is_empty() && self.unread.is_empty();
        self.asleep
    }
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        if self.part != Part::None {
            self.outbox.calls.fetch_sub(1, Ordering::AcqRel);
        }
        let now = Instant::now();
        let since = if self.part == Part::First { self.started } else { now };
        self.outbox.due(now, since).iter().for_each(Bell::ring);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::peek::PayloadId;
    use futures::FutureExt;

    fn is_rung(bell: &Bell) -> bool {
        bell.rung().now_or_never().is_some()
    }

    #[test]
    fn copies_go_once_a_call_is_answered_and_blocks_after_the_next() {
        let outbox = Arc::new(Outbox::default());
        let (first, second, head) = (Bell::default(), Bell::default(), Bell::default());
        let get = Method::GetPayload { version: 4, id: PayloadId::default() };
        for (method, bell, before) in [
            (Method::NewPayload, &first, None),
            (Method::NewPayload, &second, Some(&first)),
            (get, &head, Some(&second)),
        ] {
            let call = outbox.enter(&method);
            outbox.hold([bell.clone()]);
            drop(outbox.enter(&Method::Read));
            assert!(!before.is_some_and(is_rung), "op-node waits for an answer");
            drop(call);
            assert!(before.is_none_or(is_rung));
            assert_eq!(is_rung(bell), !matches!(method, Method::NewPayload));
        }
        // What has nothing to do with blocks keeps nothing waiting.
        let _read = outbox.enter(&Method::Read);
        let call = outbox.enter(&Method::SendTransaction);
        outbox.hold([first.clone()]);
        drop(call);
        assert!(is_rung(&first));
    }

    #[test]
    fn what_is_left_over_goes_when_no_call_is_under_way_or_after_a_while() {
        let start = Instant::now();
        let at = |part: u32| start + PATIENCE * part / 4;
        let bells = [0, 2, 2].map(|part| (at(part), Bell::default())).into();
        let mut waiting = Waiting { bells, ..Waiting::default() };
        let mut due = |busy, part, since| waiting.due(busy, at(part), at(since)).len();
        assert_eq!(due(true, 3, 3), 0);
        assert_eq!(due(true, 4, 4), 1, "the one that waits since the beginning");
        assert_eq!(due(false, 4, 1), 0, "those of the call that has just ended");
        assert_eq!(due(false, 4, 4), 2);
        assert_eq!(due(false, 4, 4), 0);
    }

    #[tokio::test]
    async fn what_comes_after_a_long_silence_goes_too() {
        let outbox = Arc::new(Outbox::default());
        let looking = outbox.clone();
        tokio::spawn(async move { looking.run_alert(Duration::ZERO).await });
        for _ in 0..2 {
            while !lock(&outbox.waiting).asleep {
                sleep(Duration::from_millis(1)).await;
            }
            let bell = Bell::default();
            outbox.hold([bell.clone()]);
            let rung = tokio::time::timeout(Duration::from_secs(10), bell.rung()).await;
            assert!(rung.is_ok());
        }
    }

    #[cfg(target_os = "linux")]
    #[tokio::test]
    async fn bodies_are_read_though_nobody_takes_them() {
        // The smallest there is, which nobody's limit keeps from anybody.
        let (outbox, pipes) = (Arc::new(Outbox::default()), crate::wire::Pipes::of(&[1]));
        let looking = outbox.clone();
        tokio::spawn(async move { looking.run_alert(Duration::ZERO).await });
        while !lock(&outbox.waiting).asleep {
            sleep(Duration::from_millis(1)).await;
        }
        // No call under way, nobody to send it to, or one who hangs.
        let body = Pieces::held(pipes.take().expect("a pipe"));
        outbox.read_later(&body);
        let read = async {
            while pipes.taken() > 0 {
                sleep(Duration::from_millis(1)).await;
            }
        };
        assert!(tokio::time::timeout(Duration::from_secs(10), read).await.is_ok());
    }
}
