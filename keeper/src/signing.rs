//! Which blocks to sign now: a pure decision.

use crate::{anchor::Anchor, links::Claim};
use alloy::primitives::B256;
use baton_protocol::{GatewayId, NOBODY, SoftBlock};
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// Whose part a keeper plays.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// A gateway: signs its own blocks, settles, re-creates, collects.
    Gateway,
    /// The rollup operator: signs, with the fallback key, what owners haven't signed in time. Sends no transactions.
    Operator,
}

/// What [`due`] looks at. The claims are the unsettled chain that op-node adopted, in order.
pub trait SigningView {
    /// The owner of a block's number; `None` if its epoch isn't known.
    fn owner(&self, number: u64) -> Option<GatewayId>;
    /// Whether the keeper signed this very block on this base under this anchor.
    fn signed(&self, claim: &Claim, anchor: &Anchor) -> bool;
    /// Whether the owner's signature for this very block on this base is known.
    fn owner_signed(&self, claim: &Claim) -> bool;
    /// Whether an L1 block is on the L1 chain as the keeper sees it.
    fn canonical(&self, anchor: &Anchor) -> bool;
    /// The hash that op-node adopted at a height.
    fn adopted(&self, number: u64) -> Option<B256>;
    /// How long ago op-node adopted it.
    fn age(&self, claim: &Claim) -> Duration;
}

/// The soft blocks to sign now, in order.
///
/// A gateway signs its own blocks without a gap: a signature binds to the whole run before it, `[L3]`, so that signing above an unsigned own
/// block would commit to that too, unrecorded. The operator signs what nobody owns at once and others' blocks after `grace`.
pub fn due(role: Role, me: GatewayId, grace: Duration, claims: &[Claim], view: &impl SigningView) -> Vec<SoftBlock> {
    let mut due = Vec::new();
    for claim in claims {
        let number = claim.block.number;
        let Some(owner) = view.owner(number) else { break };
        let wanted = match role {
            Role::Gateway => owner == me,
            Role::Operator if owner == NOBODY => true,
            Role::Operator if view.owner_signed(claim) => false,
            Role::Operator if view.age(claim) < grace => break,
            Role::Operator => true,
        };
        if !wanted {
            continue;
        }
        // The L1 node may lag behind op-node's: an anchor that isn't known yet may still become canonical, or never. A signature above a
        // signed block whose anchor is gone would commit to that block under an anchor that isn't.
        let anchor = claim.block.origin;
        if !view.canonical(&anchor) {
            break;
        }
        if view.signed(claim, &anchor) {
            continue;
        }
        if view.adopted(number) != Some(claim.block.hash) {
            break;
        }
        due.push(SoftBlock {
            number,
            parentLink: claim.parent_link.0,
            blockHash: claim.block.hash,
            anchorNumber: anchor.number,
            anchorHash: anchor.hash,
        });
    }
    due
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::links::{BlockSummary, Commitment, SettledHead, claims};
    use baton_protocol::Link;
    use std::collections::BTreeMap;

    struct View {
        owners: BTreeMap<u64, GatewayId>,
        signed: Vec<u64>,
        owner_signed: Vec<u64>,
        canonical_up_to: u64,
        gone: Option<u64>,
        reverted: Option<u64>,
    }

    impl SigningView for View {
        fn owner(&self, number: u64) -> Option<GatewayId> {
            self.owners.get(&number).copied()
        }
        fn signed(&self, claim: &Claim, _: &Anchor) -> bool {
            self.signed.contains(&claim.block.number)
        }
        fn owner_signed(&self, claim: &Claim) -> bool {
            self.owner_signed.contains(&claim.block.number)
        }
        fn canonical(&self, anchor: &Anchor) -> bool {
            anchor.number <= self.canonical_up_to && self.gone != Some(anchor.number)
        }
        fn adopted(&self, number: u64) -> Option<B256> {
            (self.reverted != Some(number)).then(|| B256::with_last_byte(u8::try_from(number).expect("small")))
        }
        fn age(&self, claim: &Claim) -> Duration {
            Duration::from_secs(20 - claim.block.number)
        }
    }

    /// Blocks 1 to 9, one L1 block each; 1 to 3 are gateway 1's, 4 to 6 gateway 2's, 7 nobody's, 8 and 9 gateway 1's.
    fn view() -> View {
        let owners = [1, 1, 1, 2, 2, 2, NOBODY, 1, 1];
        View {
            owners: (1..).zip(owners).collect(),
            signed: vec![],
            owner_signed: vec![],
            canonical_up_to: 100,
            gone: None,
            reverted: None,
        }
    }

    fn chain() -> Vec<Claim> {
        let hash = |number: u64| B256::with_last_byte(u8::try_from(number).expect("small"));
        let blocks = (0..10).map(|number: u64| BlockSummary {
            number,
            hash: hash(number),
            parent_hash: hash(number.saturating_sub(1)),
            origin: Anchor { number, hash: B256::repeat_byte(7) },
            deposits_only: true,
        });
        let head = SettledHead { number: 0, link: Link(B256::repeat_byte(3)), slot: 0 };
        claims(&head, &blocks.map(|block| (block.number, block)).collect(), |_, _| Commitment::Free)
    }

    fn numbers(role: Role, grace: u64, view: &View) -> Vec<u64> {
        let due = due(role, 1, Duration::from_secs(grace), &chain(), view);
        due.into_iter().map(|soft_block| soft_block.number).collect()
    }

    #[test]
    fn a_gateway_signs_its_own_blocks_only() {
        assert_eq!(numbers(Role::Gateway, 0, &view()), [1, 2, 3, 8, 9]);
    }

    #[test]
    fn what_is_signed_is_not_signed_again() {
        assert_eq!(numbers(Role::Gateway, 0, &View { signed: vec![1, 2, 8], ..view() }), [3, 9]);
    }

    #[test]
    fn nothing_is_signed_above_an_own_block_that_cannot_be() {
        assert_eq!(numbers(Role::Gateway, 0, &View { canonical_up_to: 2, ..view() }), [1, 2]);
        assert_eq!(numbers(Role::Gateway, 0, &View { reverted: Some(2), ..view() }), [1]);
        assert_eq!(numbers(Role::Gateway, 0, &View { gone: Some(2), ..view() }), [1]);
        assert_eq!(numbers(Role::Gateway, 0, &View { signed: vec![1, 2, 3], canonical_up_to: 2, ..view() }), [0; 0]);
    }

    #[test]
    fn nothing_is_signed_where_the_schedule_is_unknown() {
        let mut view = view();
        view.owners.remove(&2);
        assert_eq!(numbers(Role::Gateway, 0, &view), [1]);
    }

    #[test]
    fn the_operator_signs_what_owners_have_not_signed_in_time() {
        assert_eq!(numbers(Role::Operator, 0, &view()), [1, 2, 3, 4, 5, 6, 7, 8, 9]);
        // Ages fall from 19 s at block 1 to 11 s at block 9.
        assert_eq!(numbers(Role::Operator, 16, &view()), [1, 2, 3, 4]);
        assert_eq!(numbers(Role::Operator, 16, &View { owner_signed: vec![2, 4, 5, 6], ..view() }), [1, 3, 7]);
    }

    #[test]
    fn the_anchor_is_the_l1_origin_and_the_base_the_link_before() {
        let claims = chain();
        let due = due(Role::Gateway, 1, Duration::ZERO, &claims, &view());
        assert_eq!(due[1].anchorNumber, 2);
        assert_eq!(due[1].anchorHash, B256::repeat_byte(7));
        assert_eq!(due[1].parentLink, claims[0].link.0);
        assert_eq!(due[1].link(), claims[1].link);
    }
}
