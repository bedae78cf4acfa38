//! One settlement on its way: data, last look, transaction.

use crate::{
    anchor::Anchor,
    archive::Archive,
    l1::{InboxState, L1},
    l1_blocks::L1Block,
    links::Claim,
    posting::{DataError, Pending, Prepared, SendError, Sender, SlotStart, batch, prepare},
    settling::{Landing, Plan, Reason, SettlementRules, Situation, Turn, landing_turn, settle_gas_limit},
    status::{BatchStatus, RunStatus},
};
use alloy::{
    eips::{BlockNumberOrTag, eip7594::BlobTransactionSidecarVariant},
    primitives::{B256, Bytes},
    sol_types::SolCall,
};
use baton_batch::{BatchEncoder, Kzg};
use baton_bindings::{IInbox, RunKind};
use baton_protocol::{GatewayId, SlotClock};
use baton_schedule::Handle;
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::{SystemTime, UNIX_EPOCH},
};

/// The L1 as the loop saw it last.
#[derive(Clone, Copy, Debug)]
pub(super) struct L1View {
    pub(super) newest: L1Block,
    pub(super) inbox: InboxState,
}

/// What a settlement needs, owned, so that the loop can go on meanwhile.
pub(super) struct Settlement {
    pub(super) me: GatewayId,
    pub(super) clock: SlotClock,
    pub(super) rules: SettlementRules,
    pub(super) schedule: Handle,
    pub(super) l1: Arc<L1>,
    pub(super) archive: Arc<Archive>,
    pub(super) sender: Arc<Sender>,
    pub(super) encoder: BatchEncoder,
    pub(super) kzg: Kzg,
    pub(super) plan: Plan,
    pub(super) reason: Reason,
    /// The newest L1 block when it was decided.
    pub(super) decided_at: L1Block,
    pub(super) claims: Vec<Claim>,
    pub(super) replaces: Option<Pending>,
    pub(super) cached: Option<CachedData>,
}

/// Data made before: a replacement at higher fees carries the same blobs.
#[derive(Clone)]
pub(super) struct CachedData {
    first: B256,
    last: B256,
    sidecar: BlobTransactionSidecarVariant,
}

/// How it ended.
pub(super) enum SettlementEnd {
    /// On its way.
    Sent {
        /// The transaction.
        pending: Pending,
        /// What it settles.
        batch: BatchStatus,
    },
    /// Only so many blocks fit: decide again.
    Fits(usize),
    /// Not sent: the world moved on, or something failed.
    Dropped {
        /// Why.
        reason: String,
        /// The L1 block at which it would fail again, if it would.
        fails_at: Option<B256>,
    },
}

#[derive(Debug, thiserror::Error)]
enum SettlementError {
    #[error("{0}")]
    Data(#[from] DataError),
    #[error("{0}")]
    Send(#[from] SendError),
    #[error("encoding task: {0}")]
    Task(#[from] tokio::task::JoinError),
    #[error("not sent: {0}")]
    MovedOn(&'static str),
}

impl SettlementError {
    /// Whether the same attempt at the same L1 block would fail the same way. What nodes answer, or how the world moves, may be other the next time.
    const fn is_deterministic(&self) -> bool {
        match self {
            Self::Data(DataError::Archive(_)) | Self::Task(_) | Self::MovedOn(_) => false,
            Self::Data(_) => true,
            Self::Send(error) => error.is_deterministic(),
        }
    }
}

impl Settlement {
    /// Prepares and sends it. The data comes back for another attempt with the same blocks.
    pub(super) async fn execute(mut self) -> (SettlementEnd, Option<CachedData>) {
        let mut at = self.decided_at.hash;
        let end = self.attempt(&mut at).await.unwrap_or_else(|error| SettlementEnd::Dropped {
            reason: error.to_string(),
            fails_at: error.is_deterministic().then_some(at),
        });
        (end, self.cached)
    }

    async fn attempt(&mut self, at: &mut B256) -> Result<SettlementEnd, SettlementError> {
        let cached = match self.data().await? {
            Ok(cached) => cached,
            Err(fits) => return Ok(SettlementEnd::Fits(fits)),
        };
        self.cached = Some(cached.clone());
        // Making the data may have taken a slot or more: look again. The view has to be the very newest block where the batcher rotates, `[R2]`.
        let newest = self.l1.block(BlockNumberOrTag::Latest.into()).await.map_err(SendError::from)?;
        *at = newest.hash;
        let view = L1View { newest, inbox: self.l1.inbox_at(newest.hash).await.map_err(SendError::from)? };
        let landing = self.check(&view)?;
        same_branch(&self.l1, &self.decided_at).await?;
        let named = Anchor { number: view.newest.number, hash: view.newest.hash };
        let call = IInbox::settleCall { batch: batch(self.me, &self.plan, &self.claims, &named) };
        let data = Bytes::from(call.abi_encode());
        let hashes: Vec<B256> = cached.sidecar.versioned_hashes().collect();
        let blobs = hashes.len();
        let moment = SlotStart { slot: landing.slot, timestamp: self.clock.slot_start(landing.slot) };
        self.sender.simulate(&self.l1, &data, hashes, view.newest.number, moment).await?;
        let gas = settle_gas_limit(self.plan.blocks(), self.plan.runs.len());
        let sidecar = Some(cached.sidecar.clone());
        let pending = self.sender.send(&self.l1, data, sidecar, gas, landing.slot, self.replaces.as_ref()).await?;
        tracing::info!(
            tx = %pending.hash, slot = landing.slot, first = self.plan.head.number + 1, blocks = self.plan.blocks(),
            runs = self.plan.runs.len(), blobs, reason = ?self.reason, replaces = self.replaces.is_some(), "settlement sent"
        );
        Ok(SettlementEnd::Sent { batch: self.status(&pending, blobs), pending })
    }

    async fn data(&mut self) -> Result<Result<CachedData, usize>, SettlementError> {
        let claims = &self.claims[..self.plan.blocks().min(self.claims.len())];
        let (Some(first), Some(last)) = (claims.first(), claims.last()) else {
            return Err(SettlementError::MovedOn("the plan is empty"));
        };
        let (first, last) = (first.block.hash, last.block.hash);
        if let Some(cached) = self.cached.take().filter(|cached| cached.first == first && cached.last == last) {
            return Ok(Ok(cached));
        }
        let (claims, archive, encoder, kzg) = (claims.to_vec(), self.archive.clone(), self.encoder, self.kzg);
        let prepared = tokio::task::spawn_blocking(move || prepare(&claims, &archive, &encoder, &kzg)).await??;
        Ok(match prepared {
            Prepared::Whole { sidecar, .. } => Ok(CachedData { first, last, sidecar }),
            Prepared::Fits(blocks) => Err(blocks),
        })
    }

    /// Whether the plan still builds on the head, and the slot is still the gateway's.
    fn check(&self, view: &L1View) -> Result<Landing, SettlementError> {
        let head = view.inbox.head;
        if (head.number, head.link) != (self.plan.head.number, self.plan.head.link) {
            return Err(SettlementError::MovedOn("the head has moved"));
        }
        let landing = Landing::at(&self.clock, now_millis(), view.newest.timestamp);
        let snapshot = self.schedule.snapshot();
        let (ended, eligible) = gateways(&snapshot);
        let situation = Situation {
            me: self.me,
            clock: &self.clock,
            schedule: &snapshot.schedule,
            rules: self.rules,
            head,
            landing,
            ended: &ended,
            eligible: &eligible,
            live_slots: &BTreeSet::new(),
            claims: &[],
        };
        if !matches!(landing_turn(&situation), Ok(by) if by != Turn::NotMine) {
            return Err(SettlementError::MovedOn("the slot is another's"));
        }
        Ok(landing)
    }

    fn status(&self, pending: &Pending, blobs: usize) -> BatchStatus {
        BatchStatus {
            tx_hash: pending.hash,
            slot: pending.slot,
            first: self.plan.head.number + 1,
            last: self.plan.head.number + self.plan.blocks() as u64,
            runs: self
                .plan
                .runs
                .iter()
                .map(|run| RunStatus {
                    kind: kind_name(run.kind),
                    owner: run.owner,
                    blocks: run.blocks,
                    signed: run.proof.is_some(),
                })
                .collect(),
            blobs,
            state: "pending",
        }
    }
}

/// Refuses to go on from an L1 block that isn't canonical any more: on another branch the blocks' origins may be gone, and a record of blocks
/// that can't be derived is a fault.
async fn same_branch(l1: &L1, decided_at: &L1Block) -> Result<(), SettlementError> {
    let now = l1.block(decided_at.number.into()).await.map_err(SendError::from)?;
    if now.hash == decided_at.hash { Ok(()) } else { Err(SettlementError::MovedOn("the L1 was reorged")) }
}

const fn kind_name(kind: RunKind) -> &'static str {
    match kind {
        RunKind::Own => "own",
        RunKind::Recreated => "recreated",
        RunKind::Vacant => "vacant",
        RunKind::Stale => "stale",
    }
}

/// From which slots gateways are ended, and which are eligible, in the order of their ids.
pub(super) fn gateways(snapshot: &baton_schedule::Snapshot) -> (BTreeMap<GatewayId, u64>, Vec<GatewayId>) {
    let ended = snapshot.gateways.values().filter_map(|info| Some((info.id, info.ended_slot?))).collect();
    let eligible = snapshot.gateways.values().filter(|info| info.eligible).map(|info| info.id).collect();
    (ended, eligible)
}

/// Wall-clock time in milliseconds since 1970.
pub(super) fn now_millis() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        l1::scripted::{l1_block, l1_of},
        posting::Revert,
        scripted_node::serve,
    };
    use alloy::transports::TransportErrorKind;

    #[test]
    fn only_what_would_fail_again_at_the_same_block_is_held_back() {
        let revert = || SendError::WouldRevert(Box::new(Revert::Other(Bytes::new())));
        let missing = || DataError::MissingBlock { number: 1, hash: B256::ZERO };
        let lost = TransportErrorKind::backend_gone;
        for (error, deterministic) in [
            (SettlementError::from(revert()), true),
            (missing().into(), true),
            (SendError::Build(String::new()).into(), true),
            (SendError::Rpc(lost()).into(), false),
            (SendError::L1(lost().into()).into(), false),
            (SendError::Refused(lost()).into(), false),
            (SettlementError::MovedOn("the head has moved"), false),
        ] {
            assert_eq!(error.is_deterministic(), deterministic, "{error}");
        }
    }
    #[tokio::test]
    async fn nothing_is_sent_over_an_l1_reorg() {
        let canonical = B256::repeat_byte(1);
        let url = serve(move |_, _| Ok(l1_block(9, canonical, 7))).await;
        let l1 = l1_of(vec![url]);
        let decided_at = l1.block(9.into()).await.expect("answered");
        assert!(same_branch(&l1, &decided_at).await.is_ok());
        let reorged = L1Block { hash: B256::repeat_byte(2), ..decided_at };
        assert!(matches!(same_branch(&l1, &reorged).await, Err(SettlementError::MovedOn(_))));
    }
}
