//! Connections whose callers haven't shown a valid token: there is room for few of them, and for none that says nothing for long.
//!
//! A new one is let in all the same; the one that has said nothing for longest makes room. Whoever has shown a valid token once is no stranger on that
//! connection any more: it is neither counted nor closed, however long it is idle.

use std::{
    collections::BTreeMap,
    future::{Future, poll_fn},
    pin::pin,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};
use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;

/// How long strangers may stay.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Times {
    /// How long the first request may take to come, from when the connection is accepted.
    pub(crate) first: Duration,
    /// How long the next may take after one.
    pub(crate) next: Duration,
    /// How long one that has just come, or made a request, needn't make room for others: op-node's first request takes a moment to come, too.
    pub(crate) alone: Duration,
}

pub(crate) const TIMES: Times =
    Times { first: Duration::from_secs(10), next: Duration::from_secs(60), alone: Duration::from_millis(100) };

/// The strangers on one port.
#[derive(Debug)]
pub(crate) struct Strangers {
    most: usize,
    times: Times,
    inside: Mutex<Inside>,
}

#[derive(Debug, Default)]
struct Inside {
    next: u64,
    /// The one that has said nothing for longest comes first.
    stays: BTreeMap<u64, Stay>,
}

#[derive(Debug)]
struct Stay {
    heard: Instant,
    until: Instant,
    sent_away: CancellationToken,
}

/// Who is at the other end of a connection: a stranger until shown to be none.
#[derive(Debug)]
pub(crate) struct Visitor {
    strangers: Arc<Strangers>,
    number: AtomicU64,
    is_known: AtomicBool,
    sent_away: CancellationToken,
}

impl Strangers {
    /// Room for so many.
    pub(crate) fn new(most: usize, times: Times) -> Arc<Self> {
        Arc::new(Self { most, times, inside: Mutex::default() })
    }

    /// Lets one in, for whom another may have to go; or says how long it has to wait, if all others have just come.
    pub(crate) fn enter(self: &Arc<Self>, now: Instant) -> Result<Arc<Visitor>, Duration> {
        let mut inside = self.inside();
        if inside.stays.len() >= self.most
            && let Some(oldest) = inside.stays.first_entry()
        {
            let silent = now.duration_since(oldest.get().heard);
            if silent < self.times.alone {
                return Err(self.times.alone - silent);
            }
            oldest.remove().sent_away.cancel();
        }
        let sent_away = CancellationToken::new();
        let number = inside.put(Stay { heard: now, until: now + self.times.first, sent_away: sent_away.clone() });
        let is_known = AtomicBool::new(false);
        Ok(Arc::new(Visitor { strangers: self.clone(), number: number.into(), is_known, sent_away }))
    }

    fn inside(&self) -> MutexGuard<'_, Inside> {
        self.inside.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inside {
    fn put(&mut self, stay: Stay) -> u64 {
        self.next += 1;
        self.stays.insert(self.next, stay);
        self.next
    }
}

impl Visitor {
    /// One that never has to make room.
    #[cfg(test)]
    pub(crate) fn alone() -> Arc<Self> {
        Strangers::new(1, TIMES).enter(Instant::now()).expect("room")
    }

    fn is_stranger(&self) -> bool {
        !self.is_known.load(Ordering::Relaxed)
    }

    /// Hears a request.
    pub(crate) fn heard(&self) {
        if self.is_stranger() {
            let (now, mut inside) = (Instant::now(), self.strangers.inside());
            if let Some(stay) = inside.stays.remove(&self.number.load(Ordering::Relaxed)) {
                let number = inside.put(Stay { heard: now, until: now + self.strangers.times.next, ..stay });
                self.number.store(number, Ordering::Relaxed);
            }
        }
    }

    /// It has shown a valid token.
    pub(crate) fn admit(&self) {
        if self.is_stranger() {
            self.is_known.store(true, Ordering::Relaxed);
            self.leave();
        }
    }

    fn leave(&self) {
        self.strangers.inside().stays.remove(&self.number.load(Ordering::Relaxed));
    }

    /// Until when it may stay without a request; `None` if it has had to make room.
    fn until(&self) -> Option<Instant> {
        self.strangers.inside().stays.get(&self.number.load(Ordering::Relaxed)).map(|stay| stay.until)
    }

    /// Goes on with a connection, as long as a stranger may stay. `None` if it has to go before the connection ends.
    pub(crate) async fn stay<T>(&self, connection: impl Future<Output = T>) -> Option<T> {
        let (mut connection, mut sent_away) = (pin!(connection), pin!(self.sent_away.cancelled()));
        let mut silence = self.until().map(|until| Box::pin(sleep_until(until)));
        poll_fn(|context| {
            if self.is_stranger() {
                // Looked at first: a call that is begun must not be cut.
                if sent_away.as_mut().poll(context).is_ready() {
                    return std::task::Poll::Ready(None);
                }
                while let Some(over) = &mut silence
                    && over.as_mut().poll(context).is_ready()
                {
                    match self.until() {
                        Some(until) if until > Instant::now() => over.as_mut().reset(until),
                        _ => return std::task::Poll::Ready(None),
                    }
                }
            } else if silence.is_some() {
                silence = None;
            }
            connection.as_mut().poll(context).map(Some)
        })
        .await
    }
}

impl Drop for Visitor {
    fn drop(&mut self) {
        if self.is_stranger() {
            self.leave();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures::FutureExt;
    use std::future::pending;
    use tokio::time::timeout;

    const SHORT: Duration = Duration::from_millis(1);
    const LONG: Duration = Duration::from_secs(3600);
    const LONG_ENOUGH: Duration = Duration::from_secs(10);

    /// Whether it may stay, as far as can be said at once.
    fn stays(visitor: &Visitor) -> bool {
        visitor.stay(pending::<()>()).now_or_never().is_none()
    }

    #[tokio::test]
    async fn the_stranger_that_has_said_nothing_for_longest_makes_room() {
        let strangers = Strangers::new(2, Times { first: LONG, next: LONG, alone: SHORT });
        let start = Instant::now();
        let enter = |after: u32| strangers.enter(start + SHORT * after);
        let (first, second) = (enter(0).expect("room"), enter(0).expect("room"));
        // Nobody goes who has just come.
        assert_eq!(enter(0).err(), Some(SHORT));
        // By another clock than the tests', it has just made a request.
        first.heard();
        let third = strangers.enter(Instant::now() + SHORT).expect("room");
        assert!(stays(&first) && !stays(&second) && stays(&third));
        // Whoever is known isn't counted, and stays.
        first.admit();
        let later = Instant::now() + LONG / 2;
        let others = [0, 1, 2].map(|after| strangers.enter(later + SHORT * after).expect("room"));
        assert!(stays(&first) && !stays(&third) && !stays(&others[0]) && stays(&others[1]) && stays(&others[2]));
        drop(others);
        assert!(strangers.inside().stays.is_empty());
    }

    #[tokio::test]
    async fn a_stranger_that_says_nothing_goes() {
        let silent = Strangers::new(1, Times { first: SHORT, next: LONG, alone: SHORT });
        let visitor = silent.enter(Instant::now()).expect("room");
        assert_eq!(timeout(LONG_ENOUGH, visitor.stay(pending::<()>())).await, Ok(None));
        let idle = Strangers::new(1, Times { first: LONG, next: SHORT, alone: SHORT });
        let visitor = idle.enter(Instant::now()).expect("room");
        visitor.heard();
        assert_eq!(timeout(LONG_ENOUGH, visitor.stay(pending::<()>())).await, Ok(None));
        // One whose request came meanwhile stays.
        let patient = Strangers::new(1, Times { first: SHORT * 20, next: LONG, alone: SHORT });
        let visitor = patient.enter(Instant::now()).expect("room");
        let mut stay = pin!(visitor.stay(tokio::time::sleep(SHORT * 40)));
        assert!(stay.as_mut().now_or_never().is_none());
        visitor.heard();
        assert_eq!(stay.await, Some(()));
    }

    #[tokio::test]
    async fn who_has_shown_a_token_stays_however_silent() {
        let strangers = Strangers::new(1, Times { first: SHORT * 20, next: SHORT, alone: SHORT });
        let visitor = strangers.enter(Instant::now()).expect("room");
        let mut stay = pin!(visitor.stay(tokio::time::sleep(SHORT * 40)));
        assert!(stay.as_mut().now_or_never().is_none());
        visitor.heard();
        visitor.admit();
        visitor.heard();
        assert_eq!(stay.await, Some(()));
    }
}
