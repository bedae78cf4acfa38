//! A plan as the inbox's calldata.

use crate::{
    anchor::Anchor,
    links::Claim,
    settling::{Plan, PlannedRun},
};
use alloy::primitives::{B256, Uint};
use baton_bindings::IInbox;
use baton_protocol::GatewayId;

/// The argument of `settle`. `view` is an L1 block at or above every origin and anchor in the batch, `[I3]`.
pub fn batch(gateway: GatewayId, plan: &Plan, claims: &[Claim], view: &Anchor) -> IInbox::Batch {
    IInbox::Batch {
        gateway,
        headNumber: plan.head.number,
        headLink: plan.head.link.0,
        viewNumber: view.number,
        viewHash: view.hash,
        runs: plan.runs.iter().map(run).collect(),
        hashes: claims[..plan.blocks().min(claims.len())].iter().map(|claim| claim.block.hash).collect(),
    }
}

fn run(planned: &PlannedRun) -> IInbox::Run {
    let mut run = IInbox::Run {
        kind: planned.kind as u8,
        blocks: Uint::from(planned.blocks),
        anchorNumber: 0,
        anchorHash: B256::ZERO,
        v: 0,
        r: B256::ZERO,
        s: B256::ZERO,
    };
    if let Some(proof) = &planned.proof {
        run.anchorNumber = proof.soft_block.anchorNumber;
        run.anchorHash = proof.soft_block.anchorHash;
        run.v = 27 + u8::from(proof.signature.v());
        run.r = proof.signature.r().into();
        run.s = proof.signature.s().into();
    }
    run
}
