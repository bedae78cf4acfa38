//! The task that keeps the snapshot up to date.

use crate::{
    Ancestor, ConfigError, FollowError, FollowerConfig, Handle, HeadTrail, L1Head, Publisher, Snapshot, UrlBook,
    channel, l1::L1,
};
use baton_protocol::{Schedule, SlotClock};
use std::{
    sync::Arc,
    time::{Duration, SystemTime, UNIX_EPOCH},
};
use tokio_util::sync::CancellationToken;
use tracing::{debug, info, warn};

/// In which order to ask `count` nodes when `active` answered last: it first, then the ones after it, round.
pub fn fail_over_order(active: usize, count: usize) -> impl Iterator<Item = usize> {
    (0..count).map(move |step| (active + step) % count)
}

/// Follows the registry on L1.
#[derive(Debug)]
pub struct Follower {
    nodes: Vec<L1>,
    active: usize,
    clock: SlotClock,
    deployment_block: u64,
    past_epochs: u64,
    max_head_age: Duration,
    state: Followed,
    publisher: Publisher,
}

/// What has been read so far; replaced as a whole when a read succeeds.
#[derive(Clone, Debug, Default)]
struct Followed {
    trail: HeadTrail,
    urls: UrlBook,
    schedule: Schedule,
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
        let urls = config.validate()?;
        let (publisher, handle) = channel(Snapshot::unread(config.clock));
        let nodes = urls.into_iter().map(|url| L1::new(url, config.registry, config.request_timeout)).collect();
        let follower = Self {
            nodes,
            active: 0,
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

    async fn run(mut self, poll_interval: Duration) {
        let mut ticks = tokio::time::interval(poll_interval);
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            self.look().await;
        }
    }

    /// One look at the L1: asks node after node until one answers with a fresh head. If none does, takes a node whose only fault is an old
    /// head, and marks the snapshot.
    async fn look(&mut self) {
        let mut stuck = None;
        let mut last_error = None;
        for index in fail_over_order(self.active, self.nodes.len()) {
            match self.read(index, true).await {
                Ok(read) => {
                    if index != self.active {
                        info!(from = self.active, to = index, "changed to another L1 node");
                        self.active = index;
                    }
                    return self.accept(read, None);
                }
                Err(error) => {
                    debug!(node = index, %error, "an L1 node failed");
                    if matches!(error, FollowError::Stuck(_)) {
                        stuck.get_or_insert(index);
                    }
                    last_error = Some(error);
                }
            }
        }
        let Some(error) = last_error else { return };
        let reason: Arc<str> = Arc::from(error.to_string());
        if let Some(index) = stuck
            && let Ok(read) = self.read(index, false).await
        {
            return self.accept(read, Some(reason));
        }
        self.mark_stale(reason, error.is_retryable());
    }

    /// Takes a read over and publishes it.
    fn accept(&mut self, read: Read, stale: Option<Arc<str>>) {
        let latest = self.publisher.latest();
        if latest.stale.is_some() && stale.is_none() && latest.is_known() {
            info!("the L1 can be read again");
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
    fn mark_stale(&self, reason: Arc<str>, retryable: bool) {
        let latest = self.publisher.latest();
        if latest.stale.as_ref() == Some(&reason) {
            return;
        }
        warn!(error = %reason, retryable, "the schedule can't be refreshed; keeping the last good one");
        self.publisher.publish(Snapshot { stale: Some(reason), ..(*latest).clone() });
    }

    /// Reads one node, from its head on down. Changes nothing here.
    async fn read(&self, index: usize, only_fresh: bool) -> Result<Read, FollowError> {
        let l1 = &self.nodes[index];
        let head = l1.head().await?;
        if only_fresh {
            let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
            let age = now.saturating_sub(head.timestamp);
            if age > self.max_head_age.as_secs() {
                return Err(FollowError::Stuck(age));
            }
        }
        if self.state.trail.contains(head.number, head.hash) {
            return Ok(Read::Nothing);
        }
        let mut state = self.state.clone();
        let reorged = drop_reorged(l1, &mut state.trail, &head).await?;
        let read_up_to = state.trail.newest().map(|(number, _)| number);
        if reorged {
            info!(head = head.number, kept_up_to = read_up_to, "L1 reorg");
            state.urls.roll_back(read_up_to);
        }
        let from = read_up_to.map_or(self.deployment_block, |number| number + 1);
        if from <= head.number {
            state.urls.add(l1.urls_logs(from..=head.number).await?);
            // Logs are asked for by number: make sure that the numbers still meant this branch.
            if l1.block(head.number).await?.map(|block| block.hash) != Some(head.hash) {
                return Err(FollowError::Moved { number: head.number, hash: head.hash });
            }
        }
        state.urls.prune(head.number);
        state.trail.push(&head);
        let gateways = l1.gateways(&head, &state.urls).await?;
        let wanted = epochs_to_read(&self.clock, &head, self.past_epochs, &state.schedule, reorged);
        state.schedule.forget_before(wanted.first);
        for epoch in &wanted.epochs {
            state.schedule.forget(*epoch);
        }
        for epoch in l1.schedules(&head, wanted.epochs).await? {
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

/// Which epochs to ask the registry for.
#[derive(Debug, PartialEq, Eq)]
struct WantedEpochs {
    /// The oldest to keep.
    first: u64,
    /// Those to read, in order.
    epochs: Vec<u64>,
}

/// The epochs from `past` before the head's up to the next: those not known yet, the newest two again and again because a reorg may reach behind
/// what fixed them, and after a reorg all of them.
fn epochs_to_read(clock: &SlotClock, head: &L1Head, past: u64, known: &Schedule, reorged: bool) -> WantedEpochs {
    let current = SlotClock::epoch_of(clock.slot_at(head.timestamp));
    let first = current.saturating_sub(past);
    let epochs =
        (first..=current + 1).filter(|epoch| reorged || *epoch >= current || !known.contains(*epoch)).collect();
    WantedEpochs { first, epochs }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloy::primitives::B256;
    use baton_protocol::{EpochSchedule, Kind};

    const CLOCK: SlotClock = SlotClock {
        l1_genesis_time: 1000,
        slot_length: 2,
        l2_genesis_time: 1000,
        l2_block_time: 1,
        settlement_delay: 2,
    };

    fn head_in_epoch(epoch: u64) -> L1Head {
        let timestamp = CLOCK.slot_start(SlotClock::epoch_start(epoch) + 5);
        L1Head { number: 1, hash: B256::ZERO, parent_hash: B256::ZERO, timestamp }
    }

    #[test]
    fn every_node_is_asked_once_from_the_active_one_on() {
        assert_eq!(fail_over_order(0, 1).collect::<Vec<_>>(), [0]);
        assert_eq!(fail_over_order(2, 4).collect::<Vec<_>>(), [2, 3, 0, 1]);
    }

    #[test]
    fn the_next_epoch_is_read_and_known_past_ones_are_not() {
        let mut known = Schedule::default();
        assert_eq!(epochs_to_read(&CLOCK, &head_in_epoch(7), 2, &known, false).epochs, [5, 6, 7, 8]);
        for epoch in 5..=8 {
            known.insert(EpochSchedule { epoch, slots: [(1, Kind::Fallback); 32] });
        }
        assert_eq!(epochs_to_read(&CLOCK, &head_in_epoch(7), 2, &known, false).epochs, [7, 8]);
        let next = epochs_to_read(&CLOCK, &head_in_epoch(8), 2, &known, false);
        assert_eq!(next, WantedEpochs { first: 6, epochs: vec![8, 9] });
    }

    #[test]
    fn after_a_reorg_all_epochs_are_read_again() {
        let mut known = Schedule::default();
        for epoch in 0..=8 {
            known.insert(EpochSchedule { epoch, slots: [(1, Kind::Fallback); 32] });
        }
        assert_eq!(epochs_to_read(&CLOCK, &head_in_epoch(7), 2, &known, true).epochs, [5, 6, 7, 8]);
    }

    #[test]
    fn the_chains_first_epochs_have_no_past() {
        assert_eq!(epochs_to_read(&CLOCK, &head_in_epoch(0), 4, &Schedule::default(), false).epochs, [0, 1]);
    }
}
