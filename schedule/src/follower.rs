//! The task that keeps the snapshot up to date.

use crate::{
    Ancestor, ConfigError, FollowError, FollowerConfig, Handle, HeadTrail, L1Head, Publisher, Snapshot, UrlBook,
    channel,
    epochs::epochs_to_read,
    l1::L1,
    node::Node,
    plausibility::{has_time_for, is_plausible},
};
use baton_protocol::{Schedule, SlotClock};
use std::{
    cmp::Reverse,
    ops::RangeInclusive,
    sync::Arc,
    time::{Duration, SystemTime, UNIX_EPOCH},
};
use tokio::{join, time::Instant, try_join};
use tokio_util::sync::CancellationToken;
use tracing::{debug, info, warn};

/// How often to say how far the reading has come.
const PROGRESS: Duration = Duration::from_secs(5);
/// How many of the newest blocks are searched for events again when there is a new head, as far as one query spans so many: nodes may know of a block before
/// they find its events, and say nothing of it.
const SEARCHED_AGAIN: u64 = 64;

/// In which order to ask `count` nodes when `active` answered last: it first, then the ones after it, round.
pub fn fail_over_order(active: usize, count: usize) -> impl Iterator<Item = usize> {
    (0..count).map(move |step| (active + step) % count)
}

/// Follows the registry on L1.
#[derive(Debug)]
pub struct Follower {
    nodes: Vec<Node>,
    /// The node that is followed.
    active: usize,
    /// Whether no node could be read the last time.
    failing: bool,
    clock: SlotClock,
    deployment_block: u64,
    past_epochs: u64,
    max_head_age: Duration,
    state: Followed,
    publisher: Publisher,
}

/// What has been read so far: replaced as a whole when a read succeeds, and on a long way there with each span of blocks.
#[derive(Clone, Debug, Default)]
struct Followed {
    trail: HeadTrail,
    urls: UrlBook,
    /// The last block whose events needn't be searched for again.
    searched: Option<u64>,
    schedule: Schedule,
    /// Whether a reorg was seen since a read succeeded.
    reorged: bool,
}

/// Which heads a read takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Takes {
    /// Those of a node that keeps up, whatever was read before: there may have been a reorg.
    Fresh,
    /// Those of nodes that don't, if they are newer than what was read before.
    Newer,
}

/// What a read of one node came to.
enum Read {
    /// The node's head is the one known, or an ancestor of it: a node that lags.
    Nothing,
    /// A new state.
    New(Box<(Followed, Snapshot)>),
}

impl Follower {
    /// Checks the configuration and starts following, until the token is cancelled. Returns at once; [`Handle::known`] waits for the first
    /// snapshot.
    pub fn spawn(config: FollowerConfig, shutdown: CancellationToken) -> Result<Handle, ConfigError> {
        config.validate()?;
        let (publisher, handle) = channel(Snapshot::unread(config.clock));
        let node = |(index, url)| Node::new(index, url, config.registry, config.request_timeout, config.log_span);
        let nodes = config.l1_urls.into_iter().enumerate().map(node).collect::<Result<_, _>>()?;
        let follower = Self {
            nodes,
            active: 0,
            failing: false,
            clock: config.clock,
            deployment_block: config.deployment_block,
            past_epochs: config.past_epochs,
            max_head_age: config.max_head_age,
            state: Followed::default(),
            publisher,
        };
        tokio::spawn(shutdown.run_until_cancelled_owned(follower.run(config.poll_interval)));
        Ok(handle)
    }

    /// Looks whenever something says that there may be news: the interval, which is enough by itself; a head that the node announces; the loss of
    /// its connection; and, while no node can be read, the end of a websocket's pause.
    async fn run(mut self, poll_interval: Duration) {
        let mut ticks = tokio::time::interval(poll_interval);
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            let redial = if self.failing { self.nodes.iter().filter_map(Node::redial_due).min() } else { None };
            tokio::select! {
                _ = ticks.tick() => {}
                () = self.nodes[self.active].announced() => {}
                () = at(redial) => {}
            }
            self.look().await;
        }
    }

    /// One look at the L1: asks node after node until one answers with a fresh head. If none does, takes the newest of the heads that are old, if it
    /// says more than is known, and marks the snapshot.
    async fn look(&mut self) {
        let mut stuck = Vec::new();
        let (mut failures, mut last_error) = (Vec::new(), None);
        for index in fail_over_order(self.active, self.nodes.len()) {
            match self.ask(index, Takes::Fresh).await {
                Ok(read) => {
                    if index != self.active {
                        self.change_to(index, &failures);
                    }
                    self.hang_up_on_others();
                    return self.accept(read, None);
                }
                Err(error) => {
                    debug!(node = index, %error, "an L1 node failed");
                    if let FollowError::Stuck { number, timestamp } = error {
                        stuck.push((Reverse((timestamp, number)), index));
                    }
                    failures.push(format!("{}: {error}", self.nodes[index].url()));
                    last_error = Some(error);
                }
            }
        }
        let Some(error) = last_error else { return };
        let reason: Arc<str> = Arc::from(error.to_string());
        stuck.sort_unstable();
        for (_, index) in stuck {
            match self.ask(index, Takes::Newer).await {
                Ok(read) => return self.accept(read, Some(reason)),
                Err(FollowError::Stuck { .. }) => {}
                Err(error) => debug!(node = index, %error, "an L1 node with an old head failed"),
            }
        }
        self.failing = true;
        self.mark_stale(reason, error.is_retryable(), &failures);
    }

    /// Follows another node, for what is wrong with those before it.
    fn change_to(&mut self, index: usize, failures: &[String]) {
        warn!(to = %self.nodes[index].url(), error = failures.join("; "), "an L1 node fails; another one is followed");
        self.active = index;
    }

    /// Reads one node. A connection that is found lost after it had held for long is made anew before the node counts as failing.
    async fn ask(&mut self, index: usize, takes: Takes) -> Result<Read, FollowError> {
        let mut may_repeat = true;
        loop {
            let l1 = self.nodes[index].open().await?;
            // What is read now is at least as new as what was announced until now.
            self.nodes[index].forget_announced();
            let read = self.read(index, &l1, takes).await;
            match &read {
                Err(error) if self.nodes[index].failed(error) && may_repeat => may_repeat = false,
                _ => return read,
            }
        }
    }

    /// Nobody listens to what nodes announce that aren't followed.
    fn hang_up_on_others(&mut self) {
        let others = self.nodes.iter_mut().enumerate().filter(|(index, _)| *index != self.active);
        others.for_each(|(_, node)| node.close());
    }

    /// Takes a read over and publishes it.
    fn accept(&mut self, read: Read, stale: Option<Arc<str>>) {
        self.failing = false;
        let latest = self.publisher.latest();
        if latest.stale.is_some() && stale.is_none() && latest.is_known() {
            info!("the L1 can be read again");
        }
        if let Some(reason) = stale.as_ref().filter(|reason| latest.stale.as_ref() != Some(reason)) {
            warn!(error = %reason, "the schedule is as old as the newest head that any L1 node has");
        }
        match read {
            Read::New(new) => {
                let (state, snapshot) = *new;
                self.state = state;
                self.publisher.publish(Snapshot { stale, ..snapshot });
            }
            Read::Nothing if latest.stale != stale => {
                self.publisher.publish(Snapshot { stale, ..(*latest).clone() });
            }
            Read::Nothing => {}
        }
    }

    /// Keeps the last good snapshot and says why it may be old.
    fn mark_stale(&self, reason: Arc<str>, retryable: bool, failures: &[String]) {
        let latest = self.publisher.latest();
        if latest.stale.as_ref() == Some(&reason) {
            return;
        }
        let error = failures.join("; ");
        warn!(error, retryable, "the schedule can't be refreshed; what is known of it stays");
        self.publisher.publish(Snapshot { stale: Some(reason), ..(*latest).clone() });
    }

    /// Reads one node, from its head on down. All that it changes here is how far events are known, and how many blocks' events the node is asked for at once.
    async fn read(&mut self, index: usize, l1: &L1, takes: Takes) -> Result<Read, FollowError> {
        let head = l1.head().await?;
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
        if !is_plausible(&head, &self.clock, self.deployment_block, now) {
            return Err(FollowError::Implausible { number: head.number, timestamp: head.timestamp });
        }
        let published = self.publisher.latest().l1_head;
        let is_taken = match takes {
            Takes::Fresh => now.saturating_sub(head.timestamp) <= self.max_head_age.as_secs(),
            Takes::Newer => {
                published.is_none_or(|known| head.number > known.number && head.timestamp >= known.timestamp)
            }
        };
        if !is_taken {
            return Err(FollowError::Stuck { number: head.number, timestamp: head.timestamp });
        }
        // What is on the trail beyond what was published is only how far events are known.
        let known = published.is_some_and(|known| head.number <= known.number);
        if known && !self.state.reorged && self.state.trail.contains(head.number, head.hash) {
            return Ok(Read::Nothing);
        }
        let mut state = self.state.clone();
        if drop_reorged(l1, &mut state.trail, &head).await? {
            let kept_up_to = state.trail.newest().map(|(number, _)| number);
            info!(head = head.number, kept_up_to, "L1 reorg");
            state.urls.roll_back(kept_up_to);
            state.searched = state.searched.min(kept_up_to);
            // All of it: what the dropped blocks had fixed may be later than what there is now.
            state.schedule = Schedule::default();
            state.reorged = true;
        }
        // No more than one query is about: a node that answers about few blocks would be asked many times with each head.
        let again = SEARCHED_AGAIN.min(self.nodes[index].span.now() - 1).max(1);
        let first = state.searched.map_or(0, |searched| searched + 1).max(self.deployment_block);
        let (mut said, mut is_checked) = (Instant::now(), true);
        let mut left = first..=head.number;
        while let Some(span) = next_span(&mut left, self.nodes[index].span.now()) {
            let (end, blocks) = (*span.end(), span.end() - span.start() + 1);
            let last = async { if end < head.number { l1.block(end).await } else { Ok(Some(head)) } };
            let node_span = &mut self.nodes[index].span;
            let logs = async {
                let logs = l1.urls_logs(span).await;
                if logs.is_ok() {
                    node_span.answered(blocks)
                } else {
                    node_span.failed(blocks)
                }
                logs
            };
            let read = async { try_join!(logs, last) };
            // The way may be long, so the next span is asked for together with whether the one before it counts.
            let check = async { if is_checked { Ok(()) } else { still_leads_to(l1, &head).await } };
            let (read, checked) = join!(read, check);
            checked?;
            if !is_checked {
                // Whatever happens on the rest of the way, this needn't be read again.
                self.state = state.clone();
                if said.elapsed() >= PROGRESS {
                    said = Instant::now();
                    let read_up_to = state.trail.newest().map(|(number, _)| number);
                    info!(read_up_to, head = head.number, "reading the registry's events");
                }
            }
            let (logs, last) = read?;
            let last = last.ok_or(FollowError::MissingBlock(end))?;
            if !has_time_for(&head, end, last.timestamp) {
                return Err(FollowError::Implausible { number: head.number, timestamp: head.timestamp });
            }
            state.urls.add(logs);
            state.trail.push(&last);
            state.searched = head.number.checked_sub(again).map(|sure| sure.min(end));
            is_checked = false;
        }
        if !is_checked {
            still_leads_to(l1, &head).await?;
        }
        state.trail.push(&head);
        // However new the head is said to be, a reorg goes back to one that is remembered, or to the beginning.
        state.urls.prune(state.trail.oldest());
        let gateways = l1.gateways(&head, &state.urls).await?;
        let wanted = epochs_to_read(&self.clock, &head, self.past_epochs, &state.schedule);
        state.reorged = false;
        state.schedule.forget_before(wanted.first);
        for epoch in &wanted.epochs {
            state.schedule.forget(*epoch);
        }
        for epoch in l1.schedules(&head, wanted.epochs, wanted.may_be_open).await? {
            state.schedule.insert(epoch);
        }
        debug!(head = head.number, gateways = gateways.len(), "read the L1");
        let snapshot = Snapshot {
            l1_head: Some(head),
            clock: self.clock,
            schedule: state.schedule.clone(),
            gateways,
            updated_at: SystemTime::now(),
            stale: None,
        };
        Ok(Read::New(Box::new((state, snapshot))))
    }
}

/// Takes the next of the blocks that are left, at most so many.
fn next_span(left: &mut RangeInclusive<u64>, most: u64) -> Option<RangeInclusive<u64>> {
    let (first, last) = (*left.start(), *left.end());
    if left.is_empty() {
        return None;
    }
    let end = first.saturating_add(most - 1).min(last);
    *left = end + 1..=last;
    Some(first..=end)
}

/// Waits until a time, or forever.
async fn at(time: Option<Instant>) {
    match time {
        Some(time) => tokio::time::sleep_until(time).await,
        None => std::future::pending().await,
    }
}

/// Makes sure that the numbers by which logs and blocks were asked for until now meant the branch of `head`: that it is still the block of its own number.
async fn still_leads_to(l1: &L1, head: &L1Head) -> Result<(), FollowError> {
    let block = l1.block(head.number).await?;
    if block.map(|block| block.hash) == Some(head.hash) {
        Ok(())
    } else {
        Err(FollowError::Moved { number: head.number, hash: head.hash })
    }
}

/// Drops the heads that aren't ancestors of `head`; says whether there were any.
async fn drop_reorged(l1: &L1, trail: &mut HeadTrail, head: &L1Head) -> Result<bool, FollowError> {
    let mut reorged = false;
    while let Some(ancestor) = trail.newest_is_ancestor_of(head) {
        let canonical = match (ancestor, trail.newest()) {
            (Ancestor::AskHashAt(number), Some((_, hash))) => {
                l1.block(number).await?.is_some_and(|block| block.hash == hash)
            }
            (ancestor, _) => ancestor == Ancestor::Yes,
        };
        if canonical {
            break;
        }
        trail.drop_newest();
        reorged = true;
    }
    Ok(reorged)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_cover_every_block_once() {
        let spans = |mut left, most| {
            std::iter::from_fn(|| next_span(&mut left, most).map(|span| (*span.start(), *span.end())))
                .collect::<Vec<_>>()
        };
        assert_eq!(spans(5..=11, 3), [(5, 7), (8, 10), (11, 11)]);
        assert_eq!(spans(5..=10, 3), [(5, 7), (8, 10)]);
        assert_eq!(spans(5..=5, 2000), [(5, 5)]);
        assert_eq!(spans(RangeInclusive::new(6, 5), 2000), []);
    }

    #[test]
    fn every_node_is_asked_once_from_the_active_one_on() {
        assert_eq!(fail_over_order(0, 1).collect::<Vec<_>>(), [0]);
        assert_eq!(fail_over_order(2, 4).collect::<Vec<_>>(), [2, 3, 0, 1]);
    }
}
