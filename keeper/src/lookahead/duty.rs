//! The duty: a task beside the keeper's loop that sees to it that each epoch's lookahead is published once.

use crate::{
    beacon::{BeaconClient, Progress, ProvableError},
    l1::{L1, L1Error},
    l1_blocks::L1Block,
    lookahead::{
        Backoff, Decision, PendingDecision, PrepareError, Prepared, PublicationRules, Situation, decide,
        decide_pending, decision::rank, prepare,
    },
    posting::{Estimate, Outcome, Pending, SendError, Sender},
    registry_revert::RegistryRevert,
    settling::Landing,
    status::{LookaheadRecord, Publisher, StatusBoard},
};
use alloy::{eips::BlockNumberOrTag, primitives::B256};
use baton_protocol::{GatewayId, NOBODY, SlotClock};
use baton_schedule::Handle;
use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};
use tokio::time::{MissedTickBehavior, interval, timeout};
use tokio_util::sync::CancellationToken;

/// How often a download is logged.
const LOG_EVERY: Duration = Duration::from_secs(10);
/// Proofs of an epoch that the registry may refuse before no more are made: each is a download of a whole state, and what isn't mended by a newer
/// block or two, such as a fork whose verifier is missing, isn't mended by the next.
const MAX_REFUSALS: u32 = 3;
/// What it is called in the status.
const WHAT: &str = "lookahead";

/// Why an attempt failed. All are tried again after a pause.
#[derive(Debug, thiserror::Error)]
pub enum PublicationError {
    /// The L1.
    #[error("{0}")]
    L1(#[from] L1Error),
    /// The proof.
    #[error("{0}")]
    Prepare(#[from] PrepareError),
    /// The proof took too long: all the time that is left, or this node's share of it where there are others to ask.
    #[error("the proof of epoch {epoch} wasn't ready in time; name a faster node in `beacon.urls`")]
    TooSlow {
        /// The epoch.
        epoch: u64,
    },
    /// The transaction.
    #[error("{0}")]
    Send(#[from] SendError),
    /// The registry refuses it.
    #[error("the registry would revert: {0}")]
    WouldRevert(RegistryRevert),
    /// It reverted.
    #[error("publication {0} reverted")]
    Reverted(B256),
}

impl PublicationError {
    /// Whether another L1 node may do better.
    const fn is_of_l1(&self) -> bool {
        matches!(self, Self::L1(_) | Self::Send(_) | Self::Prepare(PrepareError::Provable(ProvableError::L1(_))))
    }
}

/// What the duty works with.
#[derive(Debug)]
pub struct LookaheadDuty {
    /// The L1. The duty's own: its failures are nobody else's.
    pub l1: L1,
    /// The beacon nodes.
    pub beacon: BeaconClient,
    /// The publisher's account, which calls the registry.
    pub sender: Sender,
    /// Arithmetic of time.
    pub clock: SlotClock,
    /// The deployment's rules.
    pub rules: PublicationRules,
    /// The keeper's gateway; 0 for the operator's.
    pub me: GatewayId,
    /// Who is eligible.
    pub schedule: Handle,
    /// Where to show what comes of it.
    pub board: Arc<StatusBoard>,
    /// How often to look at the L1.
    pub poll: Duration,
}

/// What it remembers from look to look.
#[derive(Debug, Default)]
struct Memory {
    /// The last answer of `isPublished`: block, epoch, answer.
    published: Option<(B256, u64, bool)>,
    prepared: Option<Prepared>,
    /// The epoch's publication that isn't included yet.
    pending: Option<(u64, Pending)>,
    /// One that was given up, and whose nonce the next one uses.
    given_up: Option<Pending>,
    /// The last epoch that was published from here.
    own: Option<(u64, B256)>,
    /// The L1 block at which nothing could be proven, or whose proof was refused.
    unprovable_at: Option<B256>,
    /// How many proofs of an epoch the registry has refused.
    refused: (u64, u32),
}

impl Memory {
    /// Takes in that the registry refused a proof made at an L1 block.
    fn refuse(&mut self, epoch: u64, at: B256) {
        self.unprovable_at = Some(at);
        self.refused = if self.refused.0 == epoch { (epoch, self.refused.1 + 1) } else { (epoch, 1) };
    }

    /// Whether another proof of an epoch is worth a download.
    const fn may_try(&self, epoch: u64) -> bool {
        self.refused.0 != epoch || self.refused.1 < MAX_REFUSALS
    }
}

impl LookaheadDuty {
    /// Looks around until shutdown; what is under way then is dropped.
    pub async fn run(self, shutdown: CancellationToken) {
        let mut looks = interval(self.poll);
        looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let (mut memory, mut backoff, mut retry_at) = (Memory::default(), Backoff::default(), Instant::now());
        let look_on = async {
            loop {
                looks.tick().await;
                if Instant::now() < retry_at {
                    continue;
                }
                match self.look(&mut memory).await {
                    Ok(()) => {
                        backoff.worked();
                        self.note(None);
                    }
                    Err(error) => {
                        retry_at = Instant::now() + backoff.failed(self.clock.slot_length);
                        if error.is_of_l1() {
                            self.l1.fail_over();
                        }
                        self.note(Some(&error));
                    }
                }
            }
        };
        shutdown.run_until_cancelled(look_on).await;
    }

    async fn look(&self, memory: &mut Memory) -> Result<(), PublicationError> {
        let newest = self.l1.block(BlockNumberOrTag::Latest.into()).await?;
        let Some(situation) = self.situation(memory, &newest).await? else { return Ok(()) };
        // The transaction after the block: one that still waits then isn't what the block holds, and one that doesn't calls for another look.
        if self.take_in(memory).await? {
            return Ok(());
        }
        let epoch = situation.epoch();
        let decision = decide(&situation);
        self.show(memory, &situation, decision);
        let mut replaces = memory.given_up.clone();
        if let Some((of, pending)) = memory.pending.clone() {
            match decide_pending(&situation, of, pending.slot) {
                PendingDecision::Wait => return Ok(()),
                PendingDecision::Replace => replaces = Some(pending),
                PendingDecision::GiveUp => {
                    tracing::warn!(tx = %pending.hash, epoch = of, "publication given up");
                    (memory.pending, memory.given_up) = (None, Some(pending));
                    return Ok(());
                }
            }
        }
        if decision != Decision::Publish || memory.unprovable_at == Some(newest.hash) || !memory.may_try(epoch) {
            return Ok(());
        }
        let prepared = memory.prepared.take().filter(|prepared| prepared.epoch == epoch);
        let Some(prepared) = prepared else {
            match self.prepare(&newest, epoch).await {
                // The next look decides anew: a download takes its time.
                Ok(prepared) => memory.prepared = Some(prepared),
                Err(PublicationError::Prepare(PrepareError::OtherEpoch { slot, .. })) => {
                    tracing::debug!(slot, epoch, "no block of the epoch before can be proven yet");
                    memory.unprovable_at = Some(newest.hash);
                }
                Err(error) => return Err(error),
            }
            return Ok(());
        };
        let gas = match self.sender.estimate(&self.l1, &prepared.data).await {
            Ok(Estimate::Gas(gas)) => gas,
            Ok(Estimate::Reverts(data)) => {
                // After an L1 reorg the proof is of a block that isn't there any more: it isn't kept.
                let revert = RegistryRevert::decode(data);
                if revert.is_settled() {
                    return Ok(());
                }
                memory.refuse(epoch, newest.hash);
                if !memory.may_try(epoch) {
                    tracing::error!(epoch, %revert, "the registry refuses all proofs; giving the epoch up");
                }
                return Err(PublicationError::WouldRevert(revert));
            }
            Err(error) => {
                memory.prepared = Some(prepared);
                return Err(error.into());
            }
        };
        let (data, header_slot) = (prepared.data.clone(), prepared.header_slot);
        memory.prepared = Some(prepared);
        let pending =
            self.sender.send(&self.l1, data, None, gas_limit(gas), situation.landing, replaces.as_ref()).await?;
        tracing::info!(tx = %pending.hash, epoch, header_slot, slot = pending.slot, "lookahead sent");
        (memory.pending, memory.given_up) = (Some((epoch, pending)), None);
        Ok(())
    }

    /// Takes in what became of the transaction under way; the answer says whether anything did.
    async fn take_in(&self, memory: &mut Memory) -> Result<bool, PublicationError> {
        let Some((epoch, pending)) = memory.pending.clone() else { return Ok(false) };
        let outcome = self.sender.outcome(&self.l1, &pending).await?;
        if outcome == Outcome::Waiting {
            return Ok(false);
        }
        memory.pending = None;
        match outcome {
            Outcome::Included(receipt) if receipt.status() => {
                tracing::info!(tx = %pending.hash, epoch, gas = receipt.gas_used, "lookahead published");
                memory.own = Some((epoch, pending.hash));
            }
            Outcome::Included(_) => return Err(PublicationError::Reverted(pending.hash)),
            Outcome::Replaced | Outcome::Waiting => {
                tracing::warn!(tx = %pending.hash, epoch, "another transaction took its nonce");
            }
        }
        Ok(true)
    }

    /// What to decide about; nothing as long as it isn't known who the keepers are.
    async fn situation(&self, memory: &mut Memory, newest: &L1Block) -> Result<Option<Situation>, PublicationError> {
        let snapshot = self.schedule.snapshot();
        if !snapshot.is_known() {
            return Ok(None);
        }
        let eligible: Vec<GatewayId> = snapshot
            .gateways
            .values()
            .filter(|gateway| gateway.eligible && gateway.id != NOBODY)
            .map(|gateway| gateway.id)
            .collect();
        let landing = Landing::at(&self.clock, now_millis(), newest.timestamp);
        let landing = landing.slot + u64::from(landing.overdue);
        let epoch = SlotClock::epoch_of(landing) + 1;
        let known = memory.published.filter(|(block, of, _)| (*block, *of) == (newest.hash, epoch));
        let published = match known {
            Some((.., published)) => published,
            None => self.l1.is_published(epoch, newest.hash).await?,
        };
        memory.published = Some((newest.hash, epoch, published));
        Ok(Some(Situation {
            rules: self.rules,
            newest: self.clock.slot_at(newest.timestamp),
            landing,
            published,
            rank: rank(&self.me, &eligible, epoch),
            count: eligible.len() as u64,
        }))
    }

    async fn prepare(&self, newest: &L1Block, epoch: u64) -> Result<Prepared, PublicationError> {
        let left = (self.clock.slot_start(self.rules.deadline(epoch)) * 1000).saturating_sub(now_millis());
        let began = Instant::now();
        let logged = AtomicU64::new(0);
        let progress = |progress: Progress| {
            let tenths = began.elapsed().as_secs() / LOG_EVERY.as_secs();
            if logged.fetch_max(tenths, Ordering::Relaxed) < tenths {
                tracing::info!(epoch, received = progress.received, of = ?progress.length, "beacon state coming in");
            }
        };
        let proving = prepare(&self.l1, &self.beacon, newest, epoch, &progress);
        // One slow node mustn't take the time in which another would answer: it gets its share, and then it is another's turn.
        let share = Duration::from_millis(left / self.beacon.node_count().max(1));
        let prepared = timeout(share, proving).await.map_err(|_| {
            self.beacon.pass_over();
            PublicationError::TooSlow { epoch }
        })??;
        let seconds = began.elapsed().as_secs_f64();
        metrics::histogram!("baton_keeper_lookahead_proof_seconds").record(seconds);
        tracing::debug!(epoch, header_slot = prepared.header_slot, seconds, "lookahead proven");
        Ok(prepared)
    }

    fn show(&self, memory: &Memory, situation: &Situation, decision: Decision) {
        let epoch = situation.epoch();
        let own = memory.own.filter(|(of, _)| *of == epoch).map(|(_, tx)| tx);
        let by = match decision {
            Decision::Published if own.is_some() => Publisher::Own,
            Decision::Published => Publisher::Other,
            // Until the last slot's block is there, it can hold one.
            Decision::TooLate if situation.newest + 1 >= situation.rules.deadline(epoch) => Publisher::Nobody,
            _ => return,
        };
        let record = LookaheadRecord { epoch, by, tx_hash: own };
        let shown = self.board.get().lookahead;
        if shown.is_some_and(|shown| shown.last == Some(record)) {
            return;
        }
        match by {
            Publisher::Nobody => tracing::warn!(epoch, "nobody published the lookahead; the epoch falls back"),
            _ => tracing::info!(epoch, ?by, "lookahead fixed"),
        }
        metrics::gauge!("baton_keeper_lookahead_epoch").set(epoch as f64);
        metrics::counter!("baton_keeper_lookahead_epochs_total", "published_by" => by.name()).increment(1);
        self.board.amend(|status| {
            let lookahead = status.lookahead.get_or_insert_default();
            lookahead.last = Some(record);
            lookahead.publications += u64::from(by == Publisher::Own);
        });
    }

    fn note(&self, error: Option<&PublicationError>) {
        let Some(error) = error else {
            if self.board.get().errors.contains_key(WHAT) {
                tracing::info!(what = WHAT, "works again");
                self.board.amend(|status| drop(status.errors.remove(WHAT)));
            }
            return;
        };
        tracing::warn!(%error, "lookahead not published");
        metrics::counter!("baton_keeper_lookahead_failures_total").increment(1);
        self.board.amend(|status| {
            status.lookahead.get_or_insert_default().failures += 1;
            status.errors.insert(WHAT, error.to_string());
        });
    }
}

/// What a publication that was estimated may use: delegations that change meanwhile change little.
pub(crate) const fn gas_limit(estimate: u64) -> u64 {
    estimate + estimate / 4
}

fn now_millis() -> u64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(now.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_registry_keeps_refusing_is_given_up_for_the_epoch() {
        let mut memory = Memory::default();
        for block in 1..=3 {
            assert!(memory.may_try(7));
            memory.refuse(7, B256::with_last_byte(block));
            assert_eq!(memory.unprovable_at, Some(B256::with_last_byte(block)), "the same block isn't tried again");
        }
        assert!(!memory.may_try(7));
        assert!(memory.may_try(8), "the next epoch is another matter");
        memory.refuse(8, B256::ZERO);
        assert!(memory.may_try(8));
    }
}
