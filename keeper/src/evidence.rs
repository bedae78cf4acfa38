//! Evidence that a portal has kept: what it proves, without asking anybody.

use crate::{
    anchor::Anchor,
    archive::{Archive, ArchiveError, ArchivedSoftBlock, anchor_of},
    feed::{ItemError, check, check_signature},
};
use alloy::primitives::{Address, B256, Bytes};
use baton_batch::L1Origin;
use baton_protocol::{Delivered, Domain, Evidence, FeedItem, GatewayId, rlp::BlockHeader};
use baton_schedule::Snapshot;
use serde::Deserialize;
use std::fmt;

/// Why a file is no evidence here.
#[derive(Debug, thiserror::Error)]
pub enum EvidenceError {
    /// Not what portals write.
    #[error("it isn't evidence as a portal keeps it: {}", told(.0))]
    Json(serde_json::Error),
    /// Of another rollup, or another L1.
    #[error("it is about the inbox {inbox} on chain {chain_id}, and the registry's is {here} on chain {chain_here}")]
    OtherDomain {
        /// L1's chain id in the file.
        chain_id: u64,
        /// The inbox in the file.
        inbox: Address,
        /// L1's chain id.
        chain_here: u64,
        /// The inbox.
        here: Address,
    },
    /// A signature that isn't the owner's.
    #[error("{0}")]
    Item(#[from] ItemError),
}

/// How much is told of what is wrong with a file, in characters.
const LONGEST: usize = 300;

/// What is wrong with a file, which may be anybody's: not too much of it, and nothing that steers a terminal.
fn told(error: &serde_json::Error) -> String {
    error.to_string().chars().filter(|each| !each.is_control()).take(LONGEST).collect()
}

/// What is read of `getPayload`'s result.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Payload {
    execution_payload: ExecutionPayload,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct ExecutionPayload {
    parent_hash: B256,
    block_hash: B256,
    transactions: Vec<Bytes>,
}

/// Why evidence accuses nobody.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Excuse {
    /// The same block.
    SameBlock,
    /// Another number or base.
    OtherBase,
    /// No L1 chain holds both, and what was delivered hangs on the canonical one, if that is known: rightly signed again after a reorg.
    Reorg,
}

/// What evidence proves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Proof {
    /// Two commitments of one owner to one number on one base: a conflict as long as both anchors are canonical.
    Conflict,
    /// Two commitments of one owner to blocks on one parent, with different links to it, of which one at most is right.
    OneParent,
    /// Two commitments of one owner to one number, with different links to what may be one parent: a block isn't there.
    UnknownParent,
    /// No L1 chain holds both anchors: which is canonical decides, see [`Proof::known`].
    Excluding,
    /// The signature over the delivered block hangs on an L1 block that isn't canonical.
    Unbound {
        /// Whether the other one's anchor is canonical.
        other_binds: bool,
    },
    /// That another block was signed than the delivered one, if the portal's word is believed about who delivered that.
    OtherBlock {
        /// The delivered one's hash.
        delivered: B256,
    },
    /// Nothing.
    Nothing(Excuse),
}

impl Proof {
    /// What it proves once it is known whether the anchors of two signatures are canonical: that of the other block's, and that of the delivered one's. `None`
    /// while the L1 hasn't come to them.
    pub const fn known(&self, other: Option<bool>, delivered: Option<bool>) -> Self {
        match (*self, other, delivered) {
            (Self::Excluding, _, Some(true)) => Self::Nothing(Excuse::Reorg),
            (Self::Excluding, Some(other_binds), Some(false)) => Self::Unbound { other_binds },
            (known, ..) => known,
        }
    }
}

impl fmt::Display for Proof {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Conflict => {
                f.write_str("two signatures for one number on one base: a conflict while both anchors are canonical")
            }
            Self::OneParent => f.write_str(
                "two signatures over blocks on one parent, with different links to it: one of the links is made up, unless what is settled below has changed, and its signature binds nobody",
            ),
            Self::UnknownParent => f.write_str(
                "two signatures for one number with different links, and without both blocks nothing says whether they are on one parent",
            ),
            Self::Excluding => f.write_str(
                "nothing yet: no L1 chain holds both anchors, and the L1 hasn't come to them; check again when it has",
            ),
            Self::Unbound { other_binds } => {
                let other = if *other_binds { "while the one over the other block binds" } else { "and nor is the other one's" };
                write!(
                    f,
                    "the signature over the delivered block binds nobody, for its anchor isn't canonical, {other}: the anchor is made up, unless the L1 reorged after the delivery"
                )
            }
            Self::OtherBlock { delivered } => write!(
                f,
                "a signature over another block than {delivered}, which the portal says the gateway delivered; a conflict only together with a signature over that block on the same base, or with a record of its settlement"
            ),
            Self::Nothing(Excuse::SameBlock) => f.write_str("nothing: it is the same block"),
            Self::Nothing(Excuse::OtherBase) => f.write_str("nothing: number or base differ"),
            Self::Nothing(Excuse::Reorg) => f.write_str(
                "nothing: no L1 chain holds both, and what was delivered may bind, as when a number is rightly signed again after a reorg",
            ),
        }
    }
}

/// A signature that is the owner's.
#[derive(Debug)]
pub struct CheckedItem {
    /// The soft block with its block, which may be missing.
    pub archived: ArchivedSoftBlock,
    /// The block's parent, or why the item can't be kept like one of a feed.
    pub parent: Result<B256, ItemError>,
}

impl CheckedItem {
    /// What it hangs on.
    pub fn anchor(&self) -> Anchor {
        anchor_of(&self.archived.signed.soft_block)
    }

    /// The parent that the header of its block names, if that is the block that was signed. The rest of it, which nobody signed, may be anything.
    fn parent_of_block(&self) -> Option<B256> {
        let hash = self.archived.signed.soft_block.blockHash;
        BlockHeader::of_block(&self.archived.block, hash).map(|header| header.parent)
    }
}

/// Evidence whose signatures are the owner's.
#[derive(Debug)]
pub struct CheckedEvidence {
    /// Who signed.
    pub gateway: GatewayId,
    /// One signature or two, the one over the other block first.
    pub items: Vec<CheckedItem>,
    /// What it proves by itself.
    pub proof: Proof,
}

impl CheckedEvidence {
    /// Reads a portal's file and checks its signatures against schedule and keys.
    ///
    /// # Errors
    /// See [`EvidenceError`].
    pub fn read(text: &[u8], snapshot: &Snapshot, domain: &Domain) -> Result<Self, EvidenceError> {
        let evidence: Evidence<Payload> = serde_json::from_slice(text).map_err(EvidenceError::Json)?;
        if evidence.domain() != *domain {
            let Evidence { chain_id, inbox, .. } = evidence;
            let (chain_here, here) = (domain.chain_id, domain.inbox);
            return Err(EvidenceError::OtherDomain { chain_id, inbox, chain_here, here });
        }
        let gateway = evidence.other.gateway;
        let checked = |item: FeedItem| {
            let archived = check_signature(item.clone(), gateway, snapshot, domain)?;
            let parent = check(item, gateway, snapshot, domain).map(|(_, parent)| parent);
            Ok::<_, ItemError>(CheckedItem { archived, parent })
        };
        let other = checked(evidence.other)?;
        let (items, proof) = match evidence.delivered {
            Delivered::Item(item) => {
                let delivered = checked(item)?;
                let proof = conflict(&other, &delivered);
                (vec![other, delivered], proof)
            }
            Delivered::Payload(payload) => {
                let proof = other_block(&other, &payload.execution_payload);
                (vec![other], proof)
            }
        };
        Ok(Self { gateway, items, proof })
    }

    /// Keeps its items in the archive, like those of a feed, and says how many were new. One whose block isn't there or isn't right isn't kept.
    ///
    /// # Errors
    /// Storage errors.
    pub fn keep(&self, archive: &Archive) -> Result<usize, ArchiveError> {
        let mut new = 0;
        for item in &self.items {
            if let Ok(parent) = item.parent {
                new += usize::from(archive.put_soft_block(&item.archived, parent)?);
            }
        }
        Ok(new)
    }
}

fn conflict(other: &CheckedItem, delivered: &CheckedItem) -> Proof {
    let (other_block, own) = (&other.archived.signed.soft_block, &delivered.archived.signed.soft_block);
    let parents = [other, delivered].map(CheckedItem::parent_of_block);
    if own.contradicts(other_block) {
        Proof::Conflict
    } else if own.blockHash == other_block.blockHash {
        Proof::Nothing(Excuse::SameBlock)
    } else if own.number != other_block.number {
        Proof::Nothing(Excuse::OtherBase)
    } else if own.parentLink != other_block.parentLink && parents.contains(&None) {
        Proof::UnknownParent
    } else if own.parentLink != other_block.parentLink && parents[0] != parents[1] {
        Proof::Nothing(Excuse::OtherBase)
    } else if other.anchor().excludes(&delivered.anchor()) {
        Proof::Excluding
    } else {
        Proof::OneParent
    }
}

fn other_block(other: &CheckedItem, payload: &ExecutionPayload) -> Proof {
    let origin = payload.transactions.first().and_then(|raw| L1Origin::from_deposit(raw).ok());
    let origin = origin.map(|L1Origin { number, hash, .. }| Anchor { number, hash });
    if other.archived.signed.soft_block.blockHash == payload.block_hash {
        Proof::Nothing(Excuse::SameBlock)
    } else if other.parent_of_block().is_some_and(|parent| parent != payload.parent_hash) {
        Proof::Nothing(Excuse::OtherBase)
    } else if origin.is_some_and(|origin| origin.excludes(&other.anchor())) {
        Proof::Nothing(Excuse::Reorg)
    } else {
        Proof::OtherBlock { delivered: payload.block_hash }
    }
}
