//! What a settlement would hold: the unsettled chain cut into runs, rules `[I5]` to `[I9]`.

use crate::{
    links::{Claim, SettledHead},
    settling::Situation,
};
use baton_bindings::RunKind;
use baton_protocol::{GatewayId, NOBODY, SignedSoftBlock, Window};

/// What is known for and against a block on its base. Signatures count only if their anchor is canonical and not above the view.
pub trait Evidence {
    /// The owner's signature over this very block on this base.
    fn owner_signed(&self, claim: &Claim) -> Option<SignedSoftBlock>;
    /// The rollup operator's.
    fn operator_signed(&self, claim: &Claim) -> Option<SignedSoftBlock>;
    /// Whether the keeper's own journal is committed to this very block on this base, so that settling it can't contradict a signature.
    fn committed(&self, claim: &Claim) -> bool;
}

/// Consecutive blocks of one kind.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PlannedRun {
    /// What they are to be declared as.
    pub kind: RunKind,
    /// Whose they are; for stale runs, which may span windows, the first block's owner.
    pub owner: GatewayId,
    /// How many.
    pub blocks: usize,
    /// The signature over the last one.
    pub proof: Option<SignedSoftBlock>,
}

/// What to settle.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plan {
    /// The head that it builds on.
    pub head: SettledHead,
    /// The runs in order; empty if nothing can be settled.
    pub runs: Vec<PlannedRun>,
}

impl Plan {
    /// How many blocks the runs cover.
    pub fn blocks(&self) -> usize {
        self.runs.iter().map(|run| run.blocks).sum()
    }

    /// Blocks of the gateway's own.
    pub fn own_blocks(&self) -> usize {
        self.runs.iter().filter(|run| run.kind == RunKind::Own).map(|run| run.blocks).sum()
    }
}

/// Cuts the claims into runs, from the first on, as far as they may be settled in the slot where a
/// transaction lands and no further than `limit` blocks.
///
/// Stops before the first block that isn't allowed yet `[T4]`, that the keeper's journal isn't committed to although it is its own, or
/// that another owns and nobody proves. Blocks that the owner signed are never declared vacant, also where `limit` cuts a run short:
/// that would be a false record.
pub fn plan(situation: &Situation<'_>, limit: usize, evidence: &impl Evidence) -> Plan {
    let Situation { me, clock, schedule, head, claims, .. } = *situation;
    let slot = situation.landing.slot;
    // `[I9]`: no charge, no bounty, no signature, and none of the other kinds.
    let stale =
        |claim: &Claim| clock.owner_slot(claim.block.number).saturating_add(situation.rules.evidence_horizon) < slot;
    let mut runs: Vec<PlannedRun> = Vec::new();
    let mut rest = claims;
    let mut room = limit;
    while room > 0 {
        let Some(first) = rest.first() else { break };
        let owner_slot = clock.owner_slot(first.block.number);
        if owner_slot > slot {
            break;
        }
        let Ok(window) = schedule.window_at(owner_slot) else {
            // Forgotten epochs lie beyond the horizon; their blocks need no owner.
            let old = leading(rest, stale).min(room);
            if old == 0 {
                break;
            }
            runs.push(PlannedRun { kind: RunKind::Stale, owner: NOBODY, blocks: old, proof: None });
            (rest, room) = (&rest[old..], room - old);
            continue;
        };
        let group = leading(rest, |claim| {
            let owner_slot = clock.owner_slot(claim.block.number);
            owner_slot <= slot && window.contains(owner_slot)
        });
        let (mut cut, whole) = if window.gateway == me {
            cut_own(&rest[..group], me, room, evidence)
        } else {
            cut_others(&rest[..group], &window, room, stale, evidence)
        };
        let taken: usize = cut.iter().map(|run| run.blocks).sum();
        runs.append(&mut cut);
        (rest, room) = (&rest[taken..], room - taken);
        if !whole {
            break;
        }
    }
    Plan { head, runs }
}

fn leading(claims: &[Claim], belongs: impl Fn(&Claim) -> bool) -> usize {
    claims.iter().take_while(|claim| belongs(claim)).count()
}

/// `[I6]`: the keeper's own blocks, however late. The second value says whether the group was taken whole.
fn cut_own(group: &[Claim], me: GatewayId, room: usize, evidence: &impl Evidence) -> (Vec<PlannedRun>, bool) {
    let blocks = leading(&group[..group.len().min(room)], |claim| evidence.committed(claim));
    let run = (blocks > 0).then_some(PlannedRun { kind: RunKind::Own, owner: me, blocks, proof: None });
    (run.into_iter().collect(), blocks == group.len())
}

/// Blocks of one window of somebody else: stale, then re-created up to the owner's last signature, then vacant up to the operator's, then
/// vacant without a signature as long as they hold deposits only.
fn cut_others(
    group: &[Claim],
    window: &Window,
    room: usize,
    stale: impl Fn(&Claim) -> bool,
    evidence: &impl Evidence,
) -> (Vec<PlannedRun>, bool) {
    let owner = window.gateway;
    let mut runs = Vec::new();
    let mut rest = group;
    let mut room = room;
    let mut take = |rest: &mut &[Claim], room: &mut usize, kind, blocks: usize, proof| {
        if blocks > 0 {
            runs.push(PlannedRun { kind, owner, blocks, proof });
            *rest = &rest[blocks..];
            *room -= blocks;
        }
    };

    let old = leading(rest, stale).min(room);
    take(&mut rest, &mut room, RunKind::Stale, old, None);

    let last_signed = |claims: &[Claim], by: &dyn Fn(&Claim) -> Option<SignedSoftBlock>| {
        claims.iter().enumerate().rev().find_map(|(index, claim)| by(claim).map(|proof| (index + 1, proof)))
    };
    let owner_signed = |claim: &Claim| evidence.owner_signed(claim);
    let operator_signed = |claim: &Claim| evidence.operator_signed(claim);

    // Nobody's blocks can't be re-created.
    let bound = if owner == NOBODY { 0 } else { last_signed(rest, &owner_signed).map_or(0, |(blocks, _)| blocks) };
    if bound > 0 {
        let Some((blocks, proof)) = last_signed(&rest[..bound.min(room)], &owner_signed) else { return (runs, false) };
        take(&mut rest, &mut room, RunKind::Recreated, blocks, Some(proof));
        if blocks < bound {
            return (runs, false);
        }
    }
    if let Some((blocks, proof)) = last_signed(&rest[..rest.len().min(room)], &operator_signed) {
        take(&mut rest, &mut room, RunKind::Vacant, blocks, Some(proof));
    }
    let deposits = leading(&rest[..rest.len().min(room)], |claim| claim.block.deposits_only);
    take(&mut rest, &mut room, RunKind::Vacant, deposits, None);
    let whole = rest.is_empty();
    (runs, whole)
}
