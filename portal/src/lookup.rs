//! Finding the addresses that belong to a node's name: one lookup at a time for a node, or two when the first takes its time, each on a thread of its own.
//!
//! The system's resolver takes seconds to give up a name that nobody answers for, and can't be told to stop. Where each call to a gateway had a thread look its name
//! up, there would be more of them the longer that takes, and the runtime, which waits for its own threads, couldn't end before.

use futures::future::select;
use hyper_util::client::legacy::connect::dns::Name;
use std::{
    fmt, io,
    net::{SocketAddr, ToSocketAddrs},
    pin::{Pin, pin},
    sync::{Arc, PoisonError},
    task::{Context, Poll},
    thread,
    time::{Duration, Instant},
    vec,
};
use tokio::{
    sync::{Mutex, oneshot},
    time::timeout_at,
};
use tower_service::Service;

type Find = dyn Fn(&str) -> io::Result<Vec<SocketAddr>> + Send + Sync;

/// How long a lookup may take before another is begun beside it: the system's resolver asks again only after seconds when a packet is lost.
const SLOW: Duration = Duration::from_secs(1);

/// Looks a node's name up. Clones do it together.
#[derive(Clone)]
pub(crate) struct Lookup {
    find: Arc<Find>,
    first: Arc<Turn>,
    /// For one that is begun while the first takes its time.
    beside: Arc<Turn>,
    slow: Duration,
}

/// One lookup after the other.
#[derive(Default)]
struct Turn {
    /// Locked while one is under way, whether or not anybody still waits for it.
    last: Arc<Mutex<Option<Found>>>,
    /// When the one that is under way was begun.
    begun: std::sync::Mutex<Option<Instant>>,
}

/// What was found, and when.
struct Found {
    at: Instant,
    addresses: Vec<SocketAddr>,
}

impl fmt::Debug for Lookup {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Lookup").finish_non_exhaustive()
    }
}

impl Default for Lookup {
    fn default() -> Self {
        Self::by(|name| (name, 0).to_socket_addrs().map(Iterator::collect))
    }
}

impl Lookup {
    /// By something that finds a name's addresses, and may take its time.
    pub(crate) fn by(find: impl Fn(&str) -> io::Result<Vec<SocketAddr>> + Send + Sync + 'static) -> Self {
        Self { find: Arc::new(find), first: Arc::default(), beside: Arc::default(), slow: SLOW }
    }

    async fn addresses(self, name: Name) -> io::Result<vec::IntoIter<SocketAddr>> {
        let asked = Instant::now();
        let is_slow = self.first.begun().unwrap_or(asked) + self.slow;
        let mut first = pin!(self.first.find(self.find.clone(), name.clone(), asked));
        let found = match timeout_at(is_slow.into(), first.as_mut()).await {
            Ok(found) => found,
            Err(_) => {
                let beside = pin!(self.beside.find(self.find.clone(), name, asked));
                select(first, beside).await.factor_first().0
            }
        };
        Ok(found?.into_iter())
    }
}

impl Turn {
    fn begun(&self) -> Option<Instant> {
        *self.begun.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn begin(&self, at: Option<Instant>) {
        *self.begun.lock().unwrap_or_else(PoisonError::into_inner) = at;
    }

    async fn find(self: &Arc<Self>, find: Arc<Find>, name: Name, asked: Instant) -> io::Result<Vec<SocketAddr>> {
        let mut last = self.last.clone().lock_owned().await;
        // Whoever has waited for another's takes what that found.
        if let Some(found) = last.as_ref().filter(|found| found.at >= asked) {
            return Ok(found.addresses.clone());
        }
        let (sender, found) = oneshot::channel();
        let turn = self.clone();
        turn.begin(Some(Instant::now()));
        thread::Builder::new().name("lookup".to_owned()).spawn(move || {
            let found = find(name.as_str());
            *last = found.as_ref().ok().map(|addresses| Found { at: Instant::now(), addresses: addresses.clone() });
            turn.begin(None);
            drop(last);
            // Nobody may be waiting any more.
            let _ = sender.send(found);
        })?;
        found.await.unwrap_or_else(|_| Err(io::Error::other("the lookup ended without a result")))
    }
}

impl Service<Name> for Lookup {
    type Response = vec::IntoIter<SocketAddr>;
    type Error = io::Error;
    type Future = Pin<Box<dyn Future<Output = io::Result<Self::Response>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, name: Name) -> Self::Future {
        Box::pin(self.clone().addresses(name))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures::future::join_all;
    use std::{
        str::FromStr,
        sync::{
            atomic::{AtomicUsize, Ordering},
            mpsc,
        },
    };
    use tokio::{
        runtime::Runtime,
        sync::OwnedMutexGuard,
        time::{sleep, timeout},
    };

    const PATIENCE: Duration = Duration::from_secs(10);

    /// A resolver that finds one address, once nobody holds a gate; how often it was asked.
    fn gated() -> (Lookup, Arc<Mutex<()>>, Arc<AtomicUsize>) {
        let (gate, asked) = (Arc::new(Mutex::new(())), Arc::new(AtomicUsize::new(0)));
        let (through, count) = (gate.clone(), asked.clone());
        let lookup = Lookup::by(move |name| {
            assert_eq!(name, "gateway");
            count.fetch_add(1, Ordering::SeqCst);
            let _through = through.blocking_lock();
            Ok(vec![SocketAddr::from(([127, 0, 0, 1], 0))])
        });
        // Nothing here is slow.
        (Lookup { slow: 360 * PATIENCE, ..lookup }, gate, asked)
    }

    fn look(lookup: &Lookup) -> impl Future<Output = io::Result<vec::IntoIter<SocketAddr>>> + use<> {
        lookup.clone().call(Name::from_str("gateway").expect("a name"))
    }

    #[tokio::test]
    async fn calls_that_are_given_up_leave_one_lookup_behind() {
        let (lookup, gate, asked) = gated();
        {
            let _held = gate.lock().await;
            for _ in 0..10 {
                assert!(timeout(Duration::from_millis(10), look(&lookup)).await.is_err());
            }
            while asked.load(Ordering::SeqCst) == 0 {
                sleep(Duration::from_millis(1)).await;
            }
        }
        let found = timeout(PATIENCE, look(&lookup)).await.expect("in time").expect("found");
        assert_eq!(found.collect::<Vec<_>>(), [SocketAddr::from(([127, 0, 0, 1], 0))]);
        assert!(asked.load(Ordering::SeqCst) <= 2);
    }

    /// A resolver whose first lookup is lost as long as a gate is held, and how often it was asked.
    async fn losing(slow: Duration) -> (Lookup, Arc<AtomicUsize>, OwnedMutexGuard<()>) {
        let (gate, asked) = (Arc::new(Mutex::new(())), Arc::new(AtomicUsize::new(0)));
        let (through, count) = (gate.clone(), asked.clone());
        let lookup = Lookup::by(move |_| {
            if count.fetch_add(1, Ordering::SeqCst) == 0 {
                let _through = through.blocking_lock();
            }
            Ok(vec![SocketAddr::from(([127, 0, 0, 1], 0))])
        });
        (Lookup { slow, ..lookup }, asked, gate.lock_owned().await)
    }

    #[tokio::test]
    async fn a_lookup_that_is_lost_does_not_keep_whoever_began_it_waiting() {
        let (lookup, _, _held) = losing(Duration::from_millis(10)).await;
        assert!(timeout(PATIENCE, look(&lookup)).await.expect("in time").is_ok());
    }

    #[tokio::test]
    async fn who_comes_when_a_lookup_has_long_been_lost_does_not_wait() {
        let (lookup, asked, _held) = losing(2 * PATIENCE).await;
        let _lost = tokio::spawn(look(&lookup));
        while asked.load(Ordering::SeqCst) == 0 {
            sleep(Duration::from_millis(1)).await;
        }
        lookup.first.begin(Instant::now().checked_sub(lookup.slow));
        assert!(timeout(PATIENCE, look(&lookup)).await.expect("in time").is_ok());
    }

    #[tokio::test]
    async fn calls_at_once_take_one_lookup() {
        let (lookup, gate, asked) = gated();
        let held = gate.lock().await;
        let calls: Vec<_> = (0..10).map(|_| tokio::spawn(look(&lookup))).collect();
        while asked.load(Ordering::SeqCst) == 0 {
            sleep(Duration::from_millis(1)).await;
        }
        drop(held);
        for found in timeout(PATIENCE, join_all(calls)).await.expect("in time") {
            assert_eq!(found.expect("no panic").expect("found").count(), 1);
        }
        assert_eq!(asked.load(Ordering::SeqCst), 1);
        // A later one finds what there is by then.
        look(&lookup).await.expect("found");
        assert_eq!(asked.load(Ordering::SeqCst), 2);
    }

    #[test]
    fn a_lookup_does_not_keep_a_runtime_from_ending() {
        let (lookup, gate, asked) = gated();
        let _held = gate.blocking_lock();
        let (sender, ended) = mpsc::channel();
        thread::spawn(move || {
            let runtime = Runtime::new().expect("a runtime");
            runtime.spawn(look(&lookup));
            while asked.load(Ordering::SeqCst) == 0 {
                thread::yield_now();
            }
            drop(runtime);
            let _ = sender.send(());
        });
        assert_eq!(ended.recv_timeout(PATIENCE), Ok(()));
    }
}
