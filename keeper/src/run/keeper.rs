//! The loop: look, sign, settle, collect.

use crate::{
    adopted::AdoptedChain,
    archive::{Archive, ArchivedSoftBlock},
    collecting::RecordsReading,
    config::{ConfigError, KeeperConfig},
    feed::{FeedFollowers, FeedItem, FeedServer, FollowerContext},
    journal::Journal,
    l1::{Deployment, L1, L1Error},
    l1_blocks::L1Blocks,
    l2::{L2, L2Error},
    links::{Claim, SettledHead, claims},
    observation::Observation,
    posting::{Outcome, Pending, SendError, Sender, TransactionKind},
    run::{
        settlement::{CachedData, L1View, Settlement, SettlementEnd, gateways, now_millis},
        start::l1_poll,
    },
    settling::{Decision, Landing, SettlingPolicy, Situation, Turn, decide, may_replace, turn},
    signer::DigestSigner,
    signing::{Role, due},
    status::{BlockRef, SettledStatus, StatusBoard},
};
use alloy::{primitives::B256, rpc::types::TransactionReceipt, sol_types::SolEvent};
use baton_batch::{BatchEncoder, Kzg};
use baton_bindings::IInbox;
use baton_protocol::{GatewayId, Link, SoftBlock};
use baton_schedule::{Handle, Snapshot};
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, atomic::Ordering},
    time::{Duration, Instant},
};
use tokio::{
    task::JoinHandle,
    time::{MissedTickBehavior, interval},
};
use tokio_util::sync::CancellationToken;

/// How long settled blocks stay in the archive, for peers that lag and for reorgs.
const KEPT: Duration = Duration::from_secs(3600);
/// How often to forget what is older.
const FORGET_EVERY: Duration = Duration::from_secs(60);
/// Slots during which signatures can be evidence at most: the reach of EIP-2935.
const SIGNATURE_REACH: u64 = 8_192;
/// Slots whose settled blocks stay in view, for L1 reorgs that take settlements back.
const SLOTS_IN_VIEW: u64 = 64;
/// Unknown older L1 blocks that are read in one look at most.
const OLDER_AT_ONCE: usize = 16;

pub(super) struct Keeper {
    role: Role,
    pub(super) me: GatewayId,
    pub(super) deployment: Deployment,
    policy: SettlingPolicy,
    l1_poll: Duration,
    l2_poll: Duration,
    grace: Duration,
    pub(super) l1: Arc<L1>,
    l2: L2,
    journal: Journal,
    pub(super) archive: Arc<Archive>,
    signer: Arc<dyn DigestSigner>,
    sender: Option<Arc<Sender>>,
    kzg: Option<Kzg>,
    encoder: BatchEncoder,
    feed: FeedServer,
    followers: FeedFollowers,
    context: Arc<FollowerContext>,
    schedule: Handle,
    board: Arc<StatusBoard>,

    pub(super) blocks: L1Blocks,
    view: Option<L1View>,
    chain: AdoptedChain,
    claims: Vec<Claim>,
    settlement: Option<JoinHandle<(SettlementEnd, Option<CachedData>)>>,
    pub(super) pending: Option<Pending>,
    cached: Option<CachedData>,
    fits: Option<(Link, usize)>,
    refused: BTreeSet<Link>,
    pub(super) records: RecordsReading,
    pub(super) put_off: BTreeMap<u64, u64>,
    pub(super) collecting: Option<u64>,
    dropped_at: Option<B256>,
    retry_at: Instant,
    looked_at_l1: Option<Instant>,
    forgot: Instant,
}

impl Keeper {
    #[allow(clippy::too_many_arguments)]
    pub(super) fn new(
        config: &KeeperConfig,
        deployment: Deployment,
        policy: SettlingPolicy,
        l1: L1,
        l2: L2,
        journal: Journal,
        archive: Arc<Archive>,
        signer: Arc<dyn DigestSigner>,
        sender: Option<Sender>,
        kzg: Option<Kzg>,
        feed: FeedServer,
        followers: FeedFollowers,
        context: Arc<FollowerContext>,
        schedule: Handle,
        board: Arc<StatusBoard>,
    ) -> Result<Self, ConfigError> {
        Ok(Self {
            role: config.role,
            me: config.gateway,
            deployment,
            policy,
            l1_poll: l1_poll(config, &deployment.clock),
            l2_poll: Duration::from_millis(config.l2.poll_ms),
            grace: config.grace(),
            l1: Arc::new(l1),
            l2,
            journal,
            archive,
            signer,
            sender: sender.map(Arc::new),
            kzg,
            encoder: config.encoder()?,
            feed,
            followers,
            context,
            schedule,
            board,
            blocks: L1Blocks::default(),
            view: None,
            chain: AdoptedChain::default(),
            claims: Vec::new(),
            settlement: None,
            pending: None,
            cached: None,
            fits: None,
            refused: BTreeSet::new(),
            records: RecordsReading::default(),
            put_off: BTreeMap::new(),
            collecting: None,
            dropped_at: None,
            retry_at: Instant::now(),
            looked_at_l1: None,
            forgot: Instant::now(),
        })
    }

    /// Looks around until shutdown. A look that is under way is finished; a settlement that is being made isn't waited for.
    pub(super) async fn run(mut self, shutdown: CancellationToken) {
        let mut looks = interval(self.l1_poll.min(self.l2_poll));
        looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let context = self.context.clone();
        loop {
            tokio::select! {
                _ = looks.tick() => {}
                () = context.news.notified() => {}
                () = shutdown.cancelled() => break,
            }
            self.look().await;
        }
        if let Some(settlement) = self.settlement.take() {
            settlement.abort();
        }
        tracing::info!(gateway = self.me, "keeper stopped");
    }

    async fn look(&mut self) {
        let snapshot = self.schedule.snapshot();
        if snapshot.is_known() {
            self.followers.update(&snapshot);
        }
        let l1 = self.look_at_l1().await;
        if l1.is_err() {
            self.l1.fail_over();
        }
        self.note("l1", l1.map_err(|error| error.to_string()));
        let Some(head) = self.view.map(|view| view.inbox.head) else { return };
        let l2 = self.look_at_l2(&head).await;
        self.note("l2", l2.map_err(|error| error.to_string()));
        let older = self.read_older_anchors().await;
        self.note("anchors", older.map_err(|error| error.to_string()));
        if !snapshot.is_known() {
            return;
        }
        self.claims = {
            let observation = self.observe(&snapshot);
            claims(&head, self.chain.blocks(), |number, parent| observation.commitment(number, parent))
        };
        let signed = self.sign(&snapshot).await;
        self.note("signing", signed);
        self.show(&head);
        if self.sender.is_some() {
            let settled = self.settle(&snapshot, head).await;
            self.note("settling", settled.map_err(|error| error.to_string()));
        }
        self.forget(&head);
    }

    async fn look_at_l1(&mut self) -> Result<(), L1Error> {
        if self.looked_at_l1.is_some_and(|at| at.elapsed() < self.l1_poll) {
            return Ok(());
        }
        self.looked_at_l1 = Some(Instant::now());
        let replaced = self.l1.follow(&mut self.blocks).await?;
        let Some(newest) = self.blocks.newest().copied() else { return Ok(()) };
        if let Some(replaced @ 1..) = replaced {
            let slot = self.deployment.clock.slot_at(newest.timestamp);
            tracing::warn!(replaced, head = newest.number, "L1 reorg");
            self.records.reorged(slot);
        }
        if replaced.is_some() || self.view.is_none_or(|view| view.newest.hash != newest.hash) {
            let inbox = self.l1.inbox_at(newest.hash).await?;
            self.context.settled.store(inbox.head.number, Ordering::Relaxed);
            self.view = Some(L1View { newest, inbox });
        }
        Ok(())
    }

    async fn look_at_l2(&mut self, head: &SettledHead) -> Result<(), L2Error> {
        // An L1 reorg can take settlements back, further than what is in view.
        if self.chain.blocks().first_key_value().is_some_and(|(lowest, _)| *lowest > head.number + 1) {
            self.chain = AdoptedChain::default();
        }
        let floor = self.blocks_before(head.number, SLOTS_IN_VIEW);
        if let Some(replaced @ 1..) = self.l2.follow(&mut self.chain, &self.archive, floor, head.number).await? {
            tracing::warn!(replaced, head = ?self.chain.head().map(|block| block.number), "L2 reorg");
        }
        Ok(())
    }

    /// Anchors of blocks that wait for long lie below what following the L1 has seen.
    async fn read_older_anchors(&mut self) -> Result<(), L1Error> {
        let Some(lowest) = self.blocks.lowest() else { return Ok(()) };
        let wanted: BTreeSet<u64> = self
            .claims
            .iter()
            .map(|claim| claim.block.origin)
            .filter(|origin| origin.number < lowest.max(1) || self.blocks.canonical(origin).is_none())
            .map(|origin| origin.number)
            .filter(|number| self.blocks.newest().is_some_and(|newest| *number < newest.number))
            .take(OLDER_AT_ONCE)
            .collect();
        for number in wanted {
            let block = self.l1.block(number.into()).await?;
            self.blocks.add_older(block);
        }
        Ok(())
    }

    fn observe<'a>(&'a self, snapshot: &'a Snapshot) -> Observation<'a> {
        Observation {
            role: self.role,
            me: self.me,
            snapshot,
            blocks: &self.blocks,
            chain: &self.chain,
            journal: &self.journal,
            archive: &self.archive,
            now: Instant::now(),
        }
    }

    async fn sign(&mut self, snapshot: &Snapshot) -> Result<(), String> {
        let due = due(self.role, self.me, self.grace, &self.claims, &self.observe(snapshot));
        for soft_block in due {
            let (number, link) = (soft_block.number, soft_block.link());
            // A gap in the signatures would commit to a block unrecorded: stop at the first refusal.
            if let Err(error) = self.sign_one(soft_block).await {
                if self.refused.insert(link) {
                    metrics::counter!("baton_keeper_signing_refusals_total").increment(1);
                    tracing::error!(number, %error, "block not signed");
                }
                // The operator's signatures are nobody's promise: one over a later block covers this one as well.
                if self.role == Role::Operator {
                    continue;
                }
                return Err(error);
            }
        }
        Ok(())
    }

    async fn sign_one(&self, soft_block: SoftBlock) -> Result<(), String> {
        let (number, hash) = (soft_block.number, soft_block.blockHash);
        let signed = self.journal.sign(soft_block, self.signer.as_ref()).await.map_err(|error| error.to_string())?;
        let block = self.archive.block(hash).map_err(|error| error.to_string())?;
        let block = block.ok_or_else(|| format!("block {number} isn't in the archive"))?;
        let parent = self.chain.blocks().get(&number).map(|block| block.parent_hash).unwrap_or_default();
        let archived = ArchivedSoftBlock { gateway: self.me, signed, block };
        self.archive.put_soft_block(&archived, parent).map_err(|error| error.to_string())?;
        self.feed.publish(&FeedItem::from(archived));
        metrics::counter!("baton_keeper_signatures_total").increment(1);
        let journal = self.journal.len();
        self.board.update(|status| {
            status.last_signed = Some(BlockRef { number, hash });
            status.journal = journal;
        });
        tracing::debug!(number, %hash, "block signed");
        Ok(())
    }

    fn landing(&self) -> Option<Landing> {
        let newest = self.blocks.newest()?;
        Some(Landing::at(&self.deployment.clock, now_millis(), newest.timestamp))
    }

    async fn settle(&mut self, snapshot: &Snapshot, head: SettledHead) -> Result<(), SendError> {
        let (Some(sender), Some(kzg), Some(landing)) = (self.sender.clone(), self.kzg, self.landing()) else {
            return Ok(());
        };
        if !self.take_in(&sender).await? {
            return Ok(());
        }
        let (ended, eligible) = gateways(snapshot);
        let live_slots = self.blocks.live_slots(&self.deployment.clock);
        let situation = Situation {
            me: self.me,
            clock: &self.deployment.clock,
            schedule: &snapshot.schedule,
            rules: self.deployment.rules,
            head,
            landing,
            ended: &ended,
            eligible: &eligible,
            live_slots: &live_slots,
            claims: &self.claims,
        };
        if self
            .pending
            .as_ref()
            .is_some_and(|pending| !may_replace(&situation, pending.slot, self.policy.resubmit_slots))
        {
            return Ok(());
        }
        if Instant::now() < self.retry_at {
            return Ok(());
        }
        // What failed once fails again until something has changed.
        let Some(view) = self.view.filter(|view| self.dropped_at != Some(view.newest.hash)) else { return Ok(()) };
        let mut policy = self.policy;
        if let Some((_, fits)) = self.fits.filter(|(link, _)| *link == head.link) {
            policy.max_blocks = policy.max_blocks.min(fits);
        }
        match decide(&situation, &policy, &self.observe(snapshot)) {
            Err(error) => tracing::debug!(%error, "no decision about settling"),
            Ok(Decision::Settle { plan, reason }) => {
                let settlement = Settlement {
                    me: self.me,
                    clock: self.deployment.clock,
                    rules: self.deployment.rules,
                    schedule: self.schedule.clone(),
                    l1: self.l1.clone(),
                    archive: self.archive.clone(),
                    sender,
                    encoder: self.encoder,
                    kzg,
                    plan,
                    reason,
                    decided_at: view.newest,
                    claims: self.claims.clone(),
                    replaces: self.pending.clone(),
                    cached: self.cached.take(),
                };
                self.settlement = Some(tokio::spawn(settlement.execute()));
            }
            Ok(Decision::Wait) if self.pending.is_none() && !is_needed_soon(&situation) => {
                self.collect(&sender, &landing).await?;
            }
            Ok(Decision::Wait) => {}
        }
        Ok(())
    }

    /// Takes in what became of the settlement and the transaction under way. The answer says whether to decide anew.
    async fn take_in(&mut self, sender: &Sender) -> Result<bool, SendError> {
        if let Some(settlement) = self.settlement.take() {
            if !settlement.is_finished() {
                self.settlement = Some(settlement);
                return Ok(false);
            }
            match settlement.await {
                Ok((end, cached)) => {
                    self.cached = cached;
                    self.take_end(end);
                }
                Err(error) => tracing::error!(%error, "settlement task ended early"),
            }
        }
        let Some(pending) = &self.pending else { return Ok(true) };
        match sender.outcome(&self.l1, pending).await? {
            Outcome::Waiting => return Ok(true),
            Outcome::Replaced => {
                // By one of ours that was sent before, or by another process: what it settled is told by the chain alone.
                self.records.replaced();
                self.finish(pending.clone(), "replaced");
            }
            Outcome::Included(receipt) => {
                let pending = pending.clone();
                self.take_receipt(&receipt, &pending);
                self.put_off_reverted(&receipt, pending.slot);
                self.finish(pending, if receipt.status() { "included" } else { "reverted" });
            }
        }
        // The head as known may be from before the inclusion: decide at the next look, after the L1 was read again.
        self.looked_at_l1 = None;
        Ok(false)
    }

    fn take_end(&mut self, end: SettlementEnd) {
        match end {
            SettlementEnd::Sent { pending, batch } => {
                self.board.update(|status| status.last_batch = Some(batch));
                self.pending = Some(pending);
            }
            SettlementEnd::Fits(blocks) => self.fits = self.view.map(|view| (view.inbox.head.link, blocks)),
            SettlementEnd::Dropped { reason, fails_at } => {
                tracing::warn!(%reason, "settlement dropped");
                metrics::counter!("baton_keeper_settlements_total", "result" => "dropped").increment(1);
                match fails_at {
                    Some(block) => self.dropped_at = Some(block),
                    // A node that fails isn't asked in a hurry, but within the slot.
                    None => self.retry_at = Instant::now() + self.l1_poll,
                }
            }
        }
    }

    fn finish(&mut self, pending: Pending, state: &'static str) {
        if pending.kind == TransactionKind::Blob {
            tracing::info!(tx = %pending.hash, state, "settlement ended");
            metrics::counter!("baton_keeper_settlements_total", "result" => state).increment(1);
            self.board.update(|status| {
                if let Some(batch) = status.last_batch.as_mut().filter(|batch| batch.tx_hash == pending.hash) {
                    batch.state = state;
                }
                status.settlements += u64::from(state == "included");
            });
        }
        self.pending = None;
        self.collecting = None;
    }

    fn take_receipt(&self, receipt: &TransactionReceipt, pending: &Pending) {
        for log in receipt.logs().iter().filter(|log| log.address() == self.l1.inbox()) {
            if let Ok(event) = IInbox::Settled::decode_log(&log.inner) {
                self.keep_record(&event.data);
            }
            if let Ok(event) = IInbox::BountiesCollected::decode_log(&log.inner) {
                tracing::info!(slot = event.slot, to = %event.to, wei = %event.amount, "bounties credited");
                let forgotten = self.archive.forget_record(event.slot);
                self.note("archive", forgotten.map_err(|error| error.to_string()));
            }
        }
        if !receipt.status() {
            tracing::warn!(tx = %pending.hash, kind = ?pending.kind, "transaction reverted");
        }
    }

    /// Shows a failure, or that it is over.
    pub(super) fn note(&self, what: &'static str, result: Result<(), String>) {
        match result {
            Ok(()) => {
                if self.board.get().errors.contains_key(what) {
                    tracing::info!(what, "works again");
                    self.board.update(|status| drop(status.errors.remove(what)));
                }
            }
            Err(error) => {
                if self.board.get().errors.get(what) != Some(&error) {
                    tracing::warn!(what, %error, "look failed");
                }
                self.board.update(|status| drop(status.errors.insert(what, error)));
            }
        }
    }

    fn show(&self, head: &SettledHead) {
        let l1_head = self.blocks.newest().map(|block| BlockRef { number: block.number, hash: block.hash });
        let l2_head = self.l2.head().map(|block| BlockRef { number: block.number, hash: block.hash });
        metrics::gauge!("baton_keeper_settled_block").set(head.number as f64);
        metrics::gauge!("baton_keeper_unsettled_blocks").set(self.claims.len() as f64);
        if let Some(l2_head) = l2_head {
            metrics::gauge!("baton_keeper_l2_block").set(l2_head.number as f64);
        }
        let (slot, peers) = (self.landing().map_or(0, |landing| landing.slot), self.followers.connected());
        self.board.update(|status| {
            status.slot = slot;
            status.l1_head = l1_head;
            status.l2_head = l2_head;
            status.settled = Some(SettledStatus { number: head.number, link: head.link.0, slot: head.slot });
            status.unsettled = self.claims.len();
            status.peers = peers;
        });
    }

    fn forget(&mut self, head: &SettledHead) {
        let in_view = self.blocks_before(head.number, SLOTS_IN_VIEW);
        self.chain.forget_below(in_view);
        if self.forgot.elapsed() < FORGET_EVERY {
            return;
        }
        self.forgot = Instant::now();
        self.refused.clear();
        let kept = head.number.saturating_sub(KEPT.as_secs() / self.deployment.clock.l2_block_time);
        let archive = self.archive.forget_below(kept.min(in_view)).map_err(|error| error.to_string());
        self.note("archive", archive);
        let evident = self.blocks_before(head.number, 2 * SIGNATURE_REACH);
        let journal = self.journal.forget_below(evident).map_err(|error| error.to_string());
        self.note("journal", journal);
    }

    /// The number that lies some slots' blocks before another.
    const fn blocks_before(&self, number: u64, slots: u64) -> u64 {
        number.saturating_sub(slots.saturating_mul(self.deployment.clock.blocks_per_slot()))
    }
}

/// Whether a settlement may have to go out within the next slots, so that nothing else may occupy the account.
fn is_needed_soon(situation: &Situation<'_>) -> bool {
    let slot = situation.landing.slot;
    let near = (0..=2).any(|ahead| match turn(situation, slot + ahead) {
        Ok(Turn::Holder(window)) => {
            ahead > 0 && slot < window.first || window.end <= slot + situation.rules.min_chances + 3
        }
        Ok(Turn::NotMine) => false,
        Ok(Turn::Open | Turn::Silent) | Err(_) => true,
    });
    near && !situation.claims.is_empty()
}
