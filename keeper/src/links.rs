//! The unsettled chain with its links, rule `[L1]`.

use crate::anchor::Anchor;
use alloy::primitives::B256;
use baton_batch::L2Block;
use baton_protocol::Link;
use std::collections::BTreeMap;

/// An L2 block as far as duties look at it; the body stays in the archive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BlockSummary {
    /// Number.
    pub number: u64,
    /// Hash.
    pub hash: B256,
    /// Parent's hash.
    pub parent_hash: B256,
    /// The L1 block that it takes deposits from.
    pub origin: Anchor,
    /// Whether it holds nothing but deposits, rule `[I8]`.
    pub deposits_only: bool,
}

impl From<&L2Block> for BlockSummary {
    fn from(block: &L2Block) -> Self {
        Self {
            number: block.id().number,
            hash: block.id().hash,
            parent_hash: block.id().parent_hash,
            origin: Anchor { number: block.origin().number, hash: block.origin().hash },
            deposits_only: block.posted_transactions().is_empty(),
        }
    }
}

/// The inbox's head.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SettledHead {
    /// The last settled block.
    pub number: u64,
    /// Its link.
    pub link: Link,
    /// The slot of the last settlement; 0 before the first.
    pub slot: u64,
}

/// An unsettled block at its place in the chain of links.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Claim {
    /// The block.
    pub block: BlockSummary,
    /// The link before it.
    pub parent_link: Link,
    /// Its own.
    pub link: Link,
}

/// What the journal says about a number on a base.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Commitment {
    /// No commitment of ours binds on the current L1 chain.
    Free,
    /// This block was committed to, and its anchor is canonical.
    Bound(BlockSummary),
    /// A commitment binds, but its block isn't in the archive.
    Lost(B256),
}

/// Follows the links from the settled head over the adopted blocks, as far as they hang together.
///
/// Where a commitment of ours binds to another block than the adopted one, it goes before: settling anything else would be equivocation. The
/// chain then ends with it, because the adopted blocks after it build on something else.
pub fn claims(
    head: &SettledHead,
    adopted: &BTreeMap<u64, BlockSummary>,
    commitment: impl Fn(u64, Link) -> Commitment,
) -> Vec<Claim> {
    let mut claims: Vec<Claim> = Vec::new();
    // The settled hash may be garbage [I14]: what counts as parent is what was adopted.
    let mut parent = adopted.get(&head.number).map(|block| block.hash);
    let mut parent_link = head.link;
    for number in head.number + 1.. {
        let block = match (commitment(number, parent_link), adopted.get(&number)) {
            (Commitment::Bound(bound), _) => bound,
            (Commitment::Lost(hash), Some(block)) if block.hash == hash => *block,
            (Commitment::Free, Some(block)) => *block,
            _ => break,
        };
        if parent.is_some_and(|parent| parent != block.parent_hash) {
            break;
        }
        let link = parent_link.then(block.hash);
        claims.push(Claim { block, parent_link, link });
        (parent, parent_link) = (Some(block.hash), link);
    }
    claims
}

#[cfg(test)]
mod tests {
    use super::*;

    fn block(number: u64, branch: u8, parent_branch: u8) -> BlockSummary {
        let hash = |number: u64, branch: u8| B256::with_last_byte(u8::try_from(number).expect("small") + branch * 100);
        BlockSummary {
            number,
            hash: hash(number, branch),
            parent_hash: hash(number - 1, parent_branch),
            origin: Anchor { number: 1, hash: B256::ZERO },
            deposits_only: true,
        }
    }

    fn adopted(blocks: impl IntoIterator<Item = BlockSummary>) -> BTreeMap<u64, BlockSummary> {
        blocks.into_iter().map(|block| (block.number, block)).collect()
    }

    const HEAD: SettledHead = SettledHead { number: 3, link: Link(B256::repeat_byte(9)), slot: 1 };

    #[test]
    fn links_follow_the_adopted_hashes() {
        let chain = adopted((2..8).map(|number| block(number, 0, 0)));
        let claims = claims(&HEAD, &chain, |_, _| Commitment::Free);
        assert_eq!(claims.iter().map(|claim| claim.block.number).collect::<Vec<_>>(), [4, 5, 6, 7]);
        assert_eq!(claims[0].parent_link, HEAD.link);
        assert_eq!(claims[3].link, HEAD.link.extend((4..8).map(|number| chain[&number].hash)));
    }

    #[test]
    fn a_gap_ends_the_chain() {
        let chain = adopted([4, 5, 7, 8].map(|number| block(number, 0, 0)));
        assert_eq!(claims(&HEAD, &chain, |_, _| Commitment::Free).len(), 2);
    }

    #[test]
    fn a_block_on_another_parent_ends_the_chain() {
        let chain = adopted([block(4, 0, 0), block(5, 1, 1), block(6, 1, 1)]);
        assert_eq!(claims(&HEAD, &chain, |_, _| Commitment::Free).len(), 1);
    }

    #[test]
    fn a_commitment_goes_before_the_adopted_block_and_ends_the_chain() {
        let chain = adopted([block(4, 0, 0), block(5, 1, 0), block(6, 1, 1)]);
        let mine = block(5, 2, 0);
        let claims = claims(&HEAD, &chain, |number, _| match number {
            5 => Commitment::Bound(mine),
            _ => Commitment::Free,
        });
        assert_eq!(claims.iter().map(|claim| claim.block.hash).collect::<Vec<_>>(), [chain[&4].hash, mine.hash]);
    }

    #[test]
    fn a_lost_block_is_as_good_as_the_adopted_one_if_they_are_the_same() {
        let chain = adopted([block(4, 0, 0), block(5, 0, 0)]);
        let lost =
            |hash: B256| move |number, _: Link| if number == 5 { Commitment::Lost(hash) } else { Commitment::Free };
        assert_eq!(claims(&HEAD, &chain, lost(chain[&5].hash)).len(), 2);
        assert_eq!(claims(&HEAD, &chain, lost(B256::ZERO)).len(), 1);
    }
}
