//! What the duties look at, put together from chain views, journal and archive at one moment.

use crate::{
    adopted::AdoptedChain,
    anchor::Anchor,
    archive::{Archive, anchor_of},
    journal::Journal,
    l1_blocks::L1Blocks,
    links::{BlockSummary, Claim, Commitment},
    settling::Evidence,
    signing::{Role, SigningView},
};
use alloy::primitives::B256;
use baton_batch::L2Block;
use baton_protocol::{GatewayId, Link, NOBODY, SignedSoftBlock};
use baton_schedule::Snapshot;
use std::time::{Duration, Instant};

/// Everything at one moment, borrowed. A failing store counts as one that knows nothing, which never leads to a signature or a settlement: the
/// journal asks itself again before it signs, and without evidence a plan only gets shorter.
#[derive(Debug)]
pub struct Observation<'a> {
    /// Whose part.
    pub role: Role,
    /// Which gateway.
    pub me: GatewayId,
    /// Schedule and keys.
    pub snapshot: &'a Snapshot,
    /// L1.
    pub blocks: &'a L1Blocks,
    /// L2.
    pub chain: &'a AdoptedChain,
    /// Own commitments.
    pub journal: &'a Journal,
    /// Blocks and soft blocks.
    pub archive: &'a Archive,
    /// When.
    pub now: Instant,
}

impl Observation<'_> {
    /// What the journal says about a number on a base, for [`crate::links::claims`].
    pub fn commitment(&self, number: u64, parent_link: Link) -> Commitment {
        // The operator follows what was adopted, whatever it signed before; its signatures are nobody's promise.
        if self.role == Role::Operator || self.snapshot.owner_of_block(number) != Some(self.me) {
            return Commitment::Free;
        }
        let history = warn("journal", self.journal.history(number, parent_link)).unwrap_or_default();
        let Some(bound) = history.iter().find(|intent| self.blocks.canonical(&intent.anchor) == Some(true)) else {
            return Commitment::Free;
        };
        if let Some(adopted) = self.chain.blocks().get(&number).filter(|block| block.hash == bound.block_hash) {
            return Commitment::Bound(*adopted);
        }
        self.archived(bound.block_hash).map_or(Commitment::Lost(bound.block_hash), Commitment::Bound)
    }

    fn archived(&self, hash: B256) -> Option<BlockSummary> {
        let rlp = warn("archive", self.archive.block(hash)).flatten()?;
        L2Block::from_rlp(&rlp).ok().as_ref().map(BlockSummary::from)
    }

    fn signature_of(&self, gateway: GatewayId, claim: &Claim) -> Option<SignedSoftBlock> {
        let found = self.archive.soft_blocks_of(gateway, claim.block.number, claim.parent_link, claim.block.hash);
        warn("archive", found)
            .unwrap_or_default()
            .into_iter()
            .find(|signed| SigningView::canonical(self, &anchor_of(&signed.soft_block)))
    }
}

fn warn<T, E: std::fmt::Display>(store: &'static str, result: Result<T, E>) -> Option<T> {
    result.inspect_err(|error| tracing::warn!(store, %error, "store can't be read")).ok()
}

impl SigningView for Observation<'_> {
    fn owner(&self, number: u64) -> Option<GatewayId> {
        self.snapshot.owner_of_block(number)
    }

    fn signed(&self, claim: &Claim, anchor: &Anchor) -> bool {
        let found = self.archive.soft_blocks_of(self.me, claim.block.number, claim.parent_link, claim.block.hash);
        warn("archive", found).unwrap_or_default().iter().any(|signed| anchor_of(&signed.soft_block) == *anchor)
    }

    fn owner_signed(&self, claim: &Claim) -> bool {
        let owner = self.snapshot.owner_of_block(claim.block.number).filter(|owner| *owner != NOBODY);
        owner.is_some_and(|owner| self.signature_of(owner, claim).is_some())
    }

    fn canonical(&self, anchor: &Anchor) -> bool {
        self.blocks.canonical(anchor) == Some(true)
    }

    fn adopted(&self, number: u64) -> Option<B256> {
        self.chain.blocks().get(&number).map(|block| block.hash)
    }

    fn age(&self, claim: &Claim) -> Duration {
        self.chain.age(claim.block.number, claim.block.hash, self.now)
    }
}

impl Evidence for Observation<'_> {
    fn owner_signed(&self, claim: &Claim) -> Option<SignedSoftBlock> {
        let owner = self.snapshot.owner_of_block(claim.block.number).filter(|owner| *owner != NOBODY)?;
        self.signature_of(owner, claim)
    }

    fn operator_signed(&self, claim: &Claim) -> Option<SignedSoftBlock> {
        self.signature_of(NOBODY, claim)
    }

    fn committed(&self, claim: &Claim) -> bool {
        let history = warn("journal", self.journal.history(claim.block.number, claim.parent_link)).unwrap_or_default();
        history
            .iter()
            .any(|intent| intent.block_hash == claim.block.hash && self.blocks.canonical(&intent.anchor) == Some(true))
    }
}
