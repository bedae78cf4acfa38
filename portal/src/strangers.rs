//! Connections whose callers haven't shown a valid token: there is room for few of them, and for none that says nothing for long.
//!
//! A new one is let in all the same; the one that has said nothing for longest makes room. Each has a moment for its first request before that may happen
//! to it, and no request makes the moment longer: otherwise strangers that keep talking would keep everybody else out. Whoever has shown a valid token once
//! is no stranger on that connection any more: it is neither counted nor closed, however long it is idle.
//!
//! Strangers' requests take turns: of all that have come over all their connections, one is looked at between whatever else the thread has to do. As many
//! as they send, op-node's calls wait for one of them at a time.

use std::{
    collections::BTreeMap,
    future::{Future, poll_fn},
    pin::pin,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering},
    },
    time::Duration,
};
use tokio::{
    sync::{Semaphore, SemaphorePermit},
    task::yield_now,
    time::{Instant, sleep, sleep_until},
};
use tokio_util::sync::CancellationToken;

/// How long strangers may stay.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Times {
    /// How long a request may take to come, from when the connection is accepted or from the one before. Longer than callers keep an idle connection: Go's
    /// do for 90 seconds by default, and those they dial in advance as well. One that is closed just when it is used costs its caller a call.
    pub(crate) silent: Duration,
    /// How long one whose connection was just accepted needn't make room for others: op-node's first request takes a moment to come, too.
    pub(crate) alone: Duration,
}

const TIMES: Times = Times { silent: Duration::from_secs(95), alone: Duration::from_millis(100) };

/// How many bytes of a stranger's requests may wait for their turns: some hundreds of requests, which a caller may send at once before the first is answered.
const MOST_WAITING: usize = 256 << 10;

/// The strangers on one port.
#[derive(Debug)]
pub(crate) struct Strangers {
    most: usize,
    times: Times,
    inside: Mutex<Inside>,
    /// Whose turn it is: those who wait have it in the order in which they came.
    turn: Semaphore,
}

#[derive(Debug, Default)]
struct Inside {
    next: u64,
    /// The one that has said nothing for longest comes first.
    stays: BTreeMap<u64, Stay>,
}

#[derive(Debug)]
struct Stay {
    came: Instant,
    heard: Instant,
    sent_away: CancellationToken,
}

/// A request that waits for its turn.
#[derive(Debug)]
pub(crate) struct Waiting {
    visitor: Arc<Visitor>,
    bytes: usize,
}

/// Who is at the other end of a connection: a stranger until shown to be none.
#[derive(Debug)]
pub(crate) struct Visitor {
    strangers: Arc<Strangers>,
    number: AtomicU64,
    is_known: AtomicBool,
    sent_away: CancellationToken,
    /// One request of a stranger's at a time. Closed when it is none any more.
    alone: Semaphore,
    /// How many bytes of requests wait for their turns.
    waiting: AtomicUsize,
}

impl Strangers {
    /// Room for so many.
    pub(crate) fn new(most: usize) -> Arc<Self> {
        Self::with(most, TIMES)
    }

    /// The same with other times.
    pub(crate) fn with(most: usize, times: Times) -> Arc<Self> {
        Arc::new(Self { most, times, inside: Mutex::default(), turn: Semaphore::new(1) })
    }

    /// When each was heard last.
    #[cfg(test)]
    pub(crate) fn heard(&self) -> Vec<Instant> {
        self.inside().stays.values().map(|stay| stay.heard).collect()
    }

    /// Lets one in, for whom another may have to go. If all others have just come it waits, once, until the first of them has had its moment: whatever
    /// they do meanwhile, it gets in then.
    pub(crate) async fn enter(self: &Arc<Self>) -> Arc<Visitor> {
        if let Some(wait) = self.wait(Instant::now()) {
            sleep(wait).await;
        }
        self.let_in(Instant::now())
    }

    /// How long it takes until somebody may be sent away to make room; `None` if there is room, or somebody may be.
    fn wait(&self, now: Instant) -> Option<Duration> {
        let inside = self.inside();
        if inside.stays.len() < self.most {
            return None;
        }
        let first = inside.stays.values().map(|stay| stay.came).min()?;
        (first + self.times.alone).checked_duration_since(now).filter(|wait| !wait.is_zero())
    }

    fn let_in(self: &Arc<Self>, now: Instant) -> Arc<Visitor> {
        let mut inside = self.inside();
        if inside.stays.len() >= self.most {
            let has_had_time = |stay: &Stay| stay.came + self.times.alone <= now;
            let goes = inside.stays.iter().find_map(|(number, stay)| has_had_time(stay).then_some(*number));
            // After the wait somebody has had it. If not, somebody goes all the same: there is no more room.
            if let Some(number) = goes.or_else(|| inside.stays.keys().next().copied())
                && let Some(stay) = inside.stays.remove(&number)
            {
                stay.sent_away.cancel();
            }
        }
        let sent_away = CancellationToken::new();
        let number = inside.put(Stay { came: now, heard: now, sent_away: sent_away.clone() });
        let is_known = AtomicBool::new(false);
        let (alone, waiting) = (Semaphore::new(1), AtomicUsize::default());
        Arc::new(Visitor { strangers: self.clone(), number: number.into(), is_known, sent_away, alone, waiting })
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
        Strangers::new(1).let_in(Instant::now())
    }

    fn is_stranger(&self) -> bool {
        !self.is_known.load(Ordering::Relaxed)
    }

    /// Hears a request.
    pub(crate) fn heard(&self) {
        self.heard_at(Instant::now());
    }

    fn heard_at(&self, now: Instant) {
        if self.is_stranger() {
            let mut inside = self.strangers.inside();
            if let Some(stay) = inside.stays.remove(&self.number.load(Ordering::Relaxed)) {
                let number = inside.put(Stay { heard: now, ..stay });
                self.number.store(number, Ordering::Relaxed);
            }
        }
    }

    /// It has shown a valid token.
    pub(crate) fn admit(&self) {
        if self.is_stranger() {
            self.is_known.store(true, Ordering::Relaxed);
            self.alone.close();
            self.leave();
        }
    }

    /// Waits for a stranger's turn, before a request is looked at or anything else is done that it could have done without end. What this gives is held
    /// while that goes on, so that it is one thing at a time; others have their turns meanwhile. Who has shown a token waits for nothing.
    pub(crate) async fn turn(&self) -> Option<SemaphorePermit<'_>> {
        let alone = self.alone.acquire().await.ok()?;
        let _turn = self.strangers.turn.acquire().await;
        // By then, everybody else who could go on has.
        yield_now().await;
        Some(alone)
    }

    /// Has a request of so many bytes wait for its turn, where several come at once over one connection: what this gives is let go when the turn has come.
    /// `None` if too much of a stranger's waits already.
    pub(crate) fn wait(self: &Arc<Self>, bytes: usize) -> Option<Waiting> {
        let before = self.waiting.fetch_add(bytes, Ordering::Relaxed);
        let waiting = Waiting { visitor: self.clone(), bytes };
        (before.saturating_add(bytes) <= MOST_WAITING || !self.is_stranger()).then_some(waiting)
    }

    fn leave(&self) {
        self.strangers.inside().stays.remove(&self.number.load(Ordering::Relaxed));
    }

    /// Until when it may stay without a request; `None` if it has had to make room.
    fn until(&self) -> Option<Instant> {
        let inside = self.strangers.inside();
        let stay = inside.stays.get(&self.number.load(Ordering::Relaxed))?;
        Some(stay.heard + self.strangers.times.silent)
    }

    /// Goes on with a connection, as long as a stranger may stay. `None` if it has to go before the connection ends.
    pub(crate) async fn stay<T>(&self, connection: impl Future<Output = T>) -> Option<T> {
        self.stay_until(self.until(), connection).await
    }

    /// The same, where the silence is looked at again at a time.
    async fn stay_until<T>(&self, again: Option<Instant>, connection: impl Future<Output = T>) -> Option<T> {
        let (mut connection, mut sent_away) = (pin!(connection), pin!(self.sent_away.cancelled()));
        let mut silence = again.map(|again| Box::pin(sleep_until(again)));
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

impl Drop for Waiting {
    fn drop(&mut self) {
        self.visitor.waiting.fetch_sub(self.bytes, Ordering::Relaxed);
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
        let strangers = Strangers::with(2, Times { silent: LONG, alone: SHORT });
        let start = Instant::now();
        let (first, second) = (strangers.let_in(start), strangers.let_in(start));
        first.heard();
        let third = strangers.let_in(start + SHORT);
        assert!(stays(&first) && !stays(&second) && stays(&third));
        // Whoever is known isn't counted, and stays.
        first.admit();
        let others = [2, 3, 4].map(|after| strangers.let_in(start + SHORT * after));
        assert!(stays(&first) && !stays(&third) && !stays(&others[0]) && stays(&others[1]) && stays(&others[2]));
        drop(others);
        assert!(strangers.inside().stays.is_empty());
    }

    #[tokio::test]
    async fn who_has_just_come_has_a_moment_that_no_request_makes_longer() {
        let strangers = Strangers::with(2, Times { silent: LONG, alone: LONG });
        let start = Instant::now();
        let first = strangers.let_in(start);
        assert_eq!(strangers.wait(start), None);
        let second = strangers.let_in(start + SHORT);
        assert_eq!(strangers.wait(start + SHORT), Some(LONG - SHORT));
        first.heard();
        second.heard();
        assert_eq!(strangers.wait(start + SHORT), Some(LONG - SHORT));
        assert_eq!(strangers.wait(start + LONG), None);
        let third = strangers.let_in(start + LONG);
        assert!(!stays(&first) && stays(&second) && stays(&third));
        // The third has said nothing, for longer than the second, but it has just come.
        second.heard();
        let fourth = strangers.let_in(start + LONG + SHORT);
        assert!(!stays(&second) && stays(&third) && stays(&fourth));
        // Even if nobody has had its moment, there is room for no more.
        let fifth = strangers.let_in(start + LONG + SHORT);
        assert!(!stays(&third) && stays(&fourth) && stays(&fifth));
    }

    #[tokio::test]
    async fn who_waits_gets_in_whatever_the_others_say() {
        let strangers = Strangers::with(2, Times { silent: LONG, alone: SHORT * 20 });
        let others = [strangers.enter().await, strangers.enter().await];
        let talk = async {
            loop {
                others.iter().for_each(|other| other.heard());
                sleep(SHORT).await;
            }
        };
        let entered = tokio::select! {
            () = talk => None,
            entered = timeout(LONG_ENOUGH, strangers.enter()) => entered.ok(),
        };
        assert!(stays(&entered.expect("nobody may be kept out")));
        assert_eq!(others.iter().filter(|other| stays(other)).count(), 1);
    }

    #[tokio::test]
    async fn strangers_take_turns_with_everybody_else() {
        const COUNT: usize = 10;
        let strangers = Strangers::new(COUNT);
        let rounds = Arc::new(AtomicU64::default());
        let everybody_else = rounds.clone();
        let everybody_else = tokio::spawn(async move {
            loop {
                everybody_else.fetch_add(1, Ordering::Relaxed);
                yield_now().await;
            }
        });
        let visitors: Vec<_> = (0..COUNT).map(|_| strangers.let_in(Instant::now())).collect();
        let turns = visitors.iter().map(async |visitor| {
            let _turn = visitor.turn().await;
            rounds.load(Ordering::Relaxed)
        });
        let turns = futures::future::join_all(turns).await;
        // After two at the latest: the runtime turns the order of those who wait around.
        assert!(turns.windows(3).all(|three| three[0] < three[2]), "{turns:?}");
        everybody_else.abort();
    }

    #[tokio::test]
    async fn a_strangers_requests_are_looked_at_one_by_one_until_it_shows_a_token() {
        let strangers = Strangers::new(1);
        let visitor = strangers.let_in(Instant::now());
        let first = visitor.turn().await;
        assert!(first.is_some());
        let (second, third) = (visitor.turn(), visitor.turn());
        let (mut second, mut third) = (pin!(second), pin!(third));
        for _ in 0..10 {
            assert!(second.as_mut().now_or_never().is_none() && third.as_mut().now_or_never().is_none());
            yield_now().await;
        }
        drop(first);
        assert!(timeout(LONG_ENOUGH, second.as_mut()).await.is_ok_and(|turn| turn.is_some()));
        visitor.admit();
        assert!(third.now_or_never().is_some_and(|turn| turn.is_none()));
        assert!(visitor.turn().now_or_never().is_some_and(|turn| turn.is_none()));
    }

    #[tokio::test]
    async fn only_so_much_of_a_strangers_requests_waits() {
        let strangers = Strangers::new(2);
        let visitor = strangers.let_in(Instant::now());
        let half = visitor.wait(MOST_WAITING / 2).expect("room");
        let other = visitor.wait(MOST_WAITING / 2).expect("room");
        assert!(visitor.wait(1).is_none());
        // Each has room of its own.
        assert!(strangers.let_in(Instant::now()).wait(MOST_WAITING).is_some());
        drop(half);
        assert!(visitor.wait(1).is_some());
        // Who is known isn't bound.
        visitor.admit();
        assert!(visitor.wait(MOST_WAITING).is_some());
        drop(other);
        assert_eq!(visitor.waiting.load(Ordering::Relaxed), 0);
    }

    #[tokio::test]
    async fn a_stranger_may_be_silent_for_95_seconds() {
        let limit = Duration::from_secs(95);
        let (strangers, now) = (Strangers::new(4), Instant::now());
        let visitor = strangers.let_in(now);
        assert_eq!(visitor.until(), Some(now + limit));
        visitor.heard_at(now + limit / 2);
        assert_eq!(visitor.until(), Some(now + limit / 2 + limit));
        // None of it is left.
        let silent = strangers.let_in(now - limit);
        assert_eq!(timeout(LONG_ENOUGH, silent.stay(pending::<()>())).await, Ok(None));
        // Half of it is, as a request has come since the time for the look was set.
        let half = strangers.let_in(now - limit / 2);
        assert!(timeout(SHORT * 50, half.stay_until(Some(now), pending::<()>())).await.is_err());
    }

    #[tokio::test]
    async fn who_has_shown_a_token_stays_however_silent() {
        let strangers = Strangers::new(1);
        let visitor = strangers.let_in(Instant::now());
        // It is a stranger when this begins, and known when its silence is looked at.
        let mut stay = pin!(visitor.stay_until(Some(Instant::now() + SHORT * 20), pending::<()>()));
        assert!(stay.as_mut().now_or_never().is_none());
        visitor.heard();
        visitor.admit();
        visitor.heard();
        assert!(timeout(SHORT * 100, stay).await.is_err());
        assert_eq!(visitor.stay(sleep(SHORT)).await, Some(()));
    }
}
