//! What a simulated call's revert says about the transaction.
//!
//! Nodes answer `eth_call` on top of their newest block with more or less of the next block's environment. geth applies a block number override
//! but knows no hash at the parent's height then; others drop overrides. Such an answer says nothing against the transaction.

use crate::anchor::Anchor;
use alloy::{primitives::Bytes, sol_types::SolInterface};
use baton_bindings::IInbox::IInboxErrors;
use std::fmt;

/// A revert, decoded as far as it is the inbox's.
#[derive(Clone, Debug)]
pub enum Revert {
    /// An error of the inbox.
    Inbox(IInboxErrors),
    /// Anything else, as it came.
    Other(Bytes),
}

impl Revert {
    /// From a revert's data.
    pub fn decode(data: Bytes) -> Self {
        IInboxErrors::abi_decode(&data).map_or(Self::Other(data), Self::Inbox)
    }

    /// The L1 block that the inbox found not to be canonical, if that is its reason.
    pub const fn doubted(&self) -> Option<Anchor> {
        match self {
            Self::Inbox(IInboxErrors::ViewNotCanonical(error)) => {
                Some(Anchor { number: error.viewNumber, hash: error.viewHash })
            }
            Self::Inbox(IInboxErrors::AnchorNotCanonical(error)) => {
                Some(Anchor { number: error.anchorNumber, hash: error.anchorHash })
            }
            _ => None,
        }
    }

    /// Whether the reason depends on the slot that the node simulated, so that it counts only if that was the slot asked about.
    pub const fn depends_on_time(&self) -> bool {
        matches!(
            self,
            Self::Inbox(
                IInboxErrors::SlotTaken(_)
                    | IInboxErrors::TooEarly(_)
                    | IInboxErrors::NotHolder(_)
                    | IInboxErrors::NotCollectableBefore(_)
                    | IInboxErrors::NotStale(_)
                    | IInboxErrors::RunStale(_)
                    | IInboxErrors::RunCrossesWindow(_)
            )
        )
    }

    /// Whether it tells of a transaction that would fail.
    pub fn counts(&self, conditions: &Conditions) -> bool {
        match self {
            Self::Inbox(IInboxErrors::ViewNotCanonical(_) | IInboxErrors::AnchorNotCanonical(_)) => {
                !conditions.doubted_is_canonical
            }
            Self::Inbox(IInboxErrors::NoBlobs(_)) => !conditions.blobs,
            Self::Inbox(IInboxErrors::SlotTaken(error)) => error.slot.to::<u128>() == u128::from(conditions.slot),
            Self::Inbox(IInboxErrors::TooEarly(error)) => error.ownerSlot.to::<u128>() > u128::from(conditions.slot),
            Self::Inbox(IInboxErrors::NotCollectableBefore(error)) => {
                error.slot.to::<u128>() > u128::from(conditions.slot)
            }
            revert if revert.depends_on_time() => conditions.time_obeyed,
            _ => true,
        }
    }
}

impl fmt::Display for Revert {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Inbox(error) => write!(formatter, "{error:?}"),
            Self::Other(data) => write!(formatter, "{data}"),
        }
    }
}

/// What the keeper knows of the world in which a simulated call reverted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Conditions {
    /// The slot asked about.
    pub slot: u64,
    /// Whether the node ran the call at that slot's time.
    pub time_obeyed: bool,
    /// Whether the call was said to carry blobs.
    pub blobs: bool,
    /// Whether the L1 block of [`Revert::doubted`] is canonical, by the node's own word.
    pub doubted_is_canonical: bool,
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloy::primitives::{B256, U256};
    use baton_bindings::IInbox;

    const OBEYED: Conditions = Conditions { slot: 40, time_obeyed: true, blobs: true, doubted_is_canonical: false };

    #[test]
    fn reverts_count_unless_the_node_simulated_another_world() {
        let (ignored, canonical) =
            (Conditions { time_obeyed: false, ..OBEYED }, Conditions { doubted_is_canonical: true, ..OBEYED });
        let slot = U256::from;
        let view = IInboxErrors::ViewNotCanonical(IInbox::ViewNotCanonical { viewNumber: 9, viewHash: B256::ZERO });
        let anchor = IInboxErrors::AnchorNotCanonical(IInbox::AnchorNotCanonical {
            run: U256::ZERO,
            anchorNumber: 9,
            anchorHash: B256::ZERO,
        });
        let taken = |at: u64| IInboxErrors::SlotTaken(IInbox::SlotTaken { slot: slot(at) });
        let early = |at: u64| IInboxErrors::TooEarly(IInbox::TooEarly { number: 7, ownerSlot: slot(at) });
        let collectable = |at: u64| IInboxErrors::NotCollectableBefore(IInbox::NotCollectableBefore { slot: slot(at) });
        let holder = IInboxErrors::NotHolder(IInbox::NotHolder { gateway: 1, holder: 2 });
        let stale = IInboxErrors::NotStale(IInbox::NotStale { run: U256::ZERO });
        let moved = IInboxErrors::HeadMoved(IInbox::HeadMoved { number: 7, link: B256::ZERO });
        let kind = IInboxErrors::WrongKind(IInbox::WrongKind { run: U256::ZERO, owner: 1 });
        let no_blobs = IInboxErrors::NoBlobs(IInbox::NoBlobs {});
        for (error, conditions, counts) in [
            (view.clone(), OBEYED, true),
            (view, canonical, false),
            (anchor.clone(), OBEYED, true),
            (anchor, canonical, false),
            (taken(40), OBEYED, true),
            (taken(39), OBEYED, false),
            (early(41), ignored, true),
            (early(40), ignored, false),
            (collectable(41), ignored, true),
            (collectable(40), ignored, false),
            (holder.clone(), OBEYED, true),
            (holder, ignored, false),
            (stale.clone(), OBEYED, true),
            (stale, ignored, false),
            (no_blobs.clone(), OBEYED, false),
            (no_blobs, Conditions { blobs: false, ..OBEYED }, true),
            // Whatever the node did about time and hashes, these stand.
            (moved, Conditions { doubted_is_canonical: true, ..ignored }, true),
            (kind, Conditions { doubted_is_canonical: true, ..ignored }, true),
        ] {
            assert_eq!(Revert::Inbox(error.clone()).counts(&conditions), counts, "{error:?} {conditions:?}");
        }
        assert!(Revert::Other(Bytes::from_static(b"????")).counts(&ignored));
    }
}
