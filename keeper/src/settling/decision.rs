//! Whether to settle now.

use crate::settling::{Evidence, Plan, Situation, Turn, plan, turn};
use baton_protocol::{ScheduleError, Window};

/// How eager a keeper is. The limits keep it honest: see [`SettlingPolicy::validate`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SettlingPolicy {
    /// Own blocks that are worth a settlement.
    pub min_blocks: usize,
    /// Live slots that an own block may let pass before it must be sent. Whatever slots are missed later, a block that is settled within its
    /// first `min_chances` live slots can't be charged, `[V2]`, `[V3]`; what remains after the patience is for retries.
    pub patience: u64,
    /// Blocks of one settlement at most.
    pub max_blocks: usize,
}

/// A policy that could cost an honest gateway its collateral, or that settles nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PolicyError {
    /// Too few chances would remain.
    #[error(
        "`settling.patience` is {patience}, but blocks must be settled within {min_chances} live slots and a retry must fit in; set it to at \
         most {}", min_chances.saturating_sub(2)
    )]
    Patience {
        /// As configured.
        patience: u64,
        /// The deployment's.
        min_chances: u64,
    },
    /// Nothing could ever be settled.
    #[error("`settling.max_blocks` is 0; set it to at least the blocks of a few slots, or leave it out")]
    NoBlocks,
}

impl SettlingPolicy {
    /// Checks that at least two chances are left once the patience is used up.
    pub const fn validate(&self, min_chances: u64) -> Result<(), PolicyError> {
        if self.patience.saturating_add(2) > min_chances {
            return Err(PolicyError::Patience { patience: self.patience, min_chances });
        }
        if self.max_blocks == 0 {
            return Err(PolicyError::NoBlocks);
        }
        Ok(())
    }
}

/// Why to settle now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reason {
    /// Blocks from before the window are unsettled.
    Backlog,
    /// The oldest own block has let enough live slots pass.
    Patience,
    /// The window ends soon: each slot's blocks are settled in that slot.
    WindowEnds,
    /// Enough own blocks have gathered.
    Enough,
    /// The slot is open, or nobody settled for too long.
    OpenToAll,
}

/// What to do about settling.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Decision {
    /// Nothing now.
    Wait,
    /// Settle this.
    Settle {
        /// What.
        plan: Plan,
        /// Why.
        reason: Reason,
    },
}

/// Decides whether to settle in the slot where a transaction sent now lands, and what.
///
/// # Errors
/// The slot's epoch isn't known.
pub fn decide(
    situation: &Situation<'_>,
    policy: &SettlingPolicy,
    evidence: &impl Evidence,
) -> Result<Decision, ScheduleError> {
    let slot = situation.landing.slot;
    // One settlement a slot, `[I4]`.
    if situation.head.slot >= slot && situation.head.slot != 0 {
        return Ok(Decision::Wait);
    }
    let by = turn(situation, slot)?;
    if by == Turn::NotMine {
        return Ok(Decision::Wait);
    }
    // A transaction that misses an overdue block lands a slot later: that must be the keeper's, too.
    if situation.landing.overdue && turn(situation, slot + 1)? == Turn::NotMine {
        return Ok(Decision::Wait);
    }
    let plan = plan(situation, policy.max_blocks, evidence);
    if plan.runs.is_empty() {
        return Ok(Decision::Wait);
    }
    let reason = match by {
        Turn::Holder(window) => urgency(situation, policy, &window, &plan),
        Turn::Open | Turn::Silent => Some(Reason::OpenToAll),
        Turn::NotMine => None,
    };
    Ok(reason.map_or(Decision::Wait, |reason| Decision::Settle { plan, reason }))
}

fn urgency(situation: &Situation<'_>, policy: &SettlingPolicy, window: &Window, plan: &Plan) -> Option<Reason> {
    let slot = situation.landing.slot;
    let oldest = situation.clock.owner_slot(situation.head.number + 1);
    if oldest < window.first {
        return Some(Reason::Backlog);
    }
    if window.end - slot <= situation.rules.min_chances + 1 {
        return Some(Reason::WindowEnds);
    }
    if situation.live_slots.range(oldest..slot).count() as u64 >= policy.patience {
        return Some(Reason::Patience);
    }
    (plan.blocks() >= policy.min_blocks).then_some(Reason::Enough)
}
