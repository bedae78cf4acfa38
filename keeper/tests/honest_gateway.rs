//! The invariant `[H0]` over random schedules, missed slots, late inclusions and peers: a keeper that follows its decisions is never charged.
//!
//! The inbox is simulated by its rules alone: `[T4]`, `[I2]` to `[I11]`, `[V1]` to `[V4]`, with `baton_protocol`'s verdict. Every slot each honest
//! keeper decides; what it sends is included in the next live slot, or, now and then, a live slot later.

use alloy::primitives::{B256, Signature, keccak256};
use baton_bindings::RunKind;
use baton_keeper::{
    anchor::Anchor,
    links::{BlockSummary, Claim, SettledHead},
    settling::{
        Decision, Evidence, Landing, Plan, SettlementRules, SettlingPolicy, Situation, Turn, decide, may_replace, turn,
    },
};
use baton_protocol::{
    EpochSchedule, GatewayId, Kind, Link, NOBODY, Schedule, SignedSoftBlock, SlotClock, SoftBlock, Window,
    WindowRecord, liable_before,
};
use proptest::prelude::*;
use std::collections::{BTreeMap, BTreeSet};

const EPOCHS: u64 = 4;
const MIN_CHANCES: u64 = 3;
/// Late inclusions are at least so many live slots apart: a keeper that is late twice within its three chances has failed.
const BETWEEN_SLIPS: usize = 3;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Behaviour {
    Honest,
    Dead,
    /// Settles what others left, its own blocks too, now and then.
    Erratic,
}

#[derive(Clone, Debug)]
struct Script {
    blocks_per_slot: u64,
    silence: u64,
    cap_in_slots: u64,
    policy_min_blocks: usize,
    behaviours: [Behaviour; 3],
    /// For each epoch lengths and gateways of windows; empty for the rotation.
    proven: Vec<Vec<(u64, GatewayId)>>,
    missed: Vec<bool>,
    slips: Vec<bool>,
    whims: Vec<u8>,
    /// Which of every five blocks its owner signed; the operator signs the others.
    signed_of_five: u64,
}

fn scripts() -> impl Strategy<Value = Script> {
    let slots = usize::try_from(EPOCHS * 32).expect("small");
    let behaviour =
        prop_oneof![3 => Just(Behaviour::Honest), 1 => Just(Behaviour::Dead), 1 => Just(Behaviour::Erratic)];
    let window = (1u64..9, 1u16..4);
    let proven = prop_oneof![
        2 => Just(vec![]),
        1 => prop::collection::vec(window, 4..32),
    ];
    (
        prop::sample::select(vec![1u64, 2, 6]),
        prop::sample::select(vec![10u64, 40, 1000]),
        prop::sample::select(vec![2u64, 5, 1000]),
        1usize..30,
        prop::array::uniform3(behaviour),
        prop::collection::vec(proven, usize::try_from(EPOCHS).expect("small")),
        prop::collection::vec(prop::bool::weighted(0.2), slots),
        prop::collection::vec(prop::bool::weighted(0.2), slots),
        prop::collection::vec(any::<u8>(), slots),
        0u64..6,
    )
        .prop_map(
            |(
                blocks_per_slot,
                silence,
                cap_in_slots,
                policy_min_blocks,
                behaviours,
                proven,
                missed,
                slips,
                whims,
                signed_of_five,
            )| {
                let mut script = Script {
                    blocks_per_slot,
                    silence,
                    cap_in_slots,
                    policy_min_blocks,
                    behaviours,
                    proven,
                    missed,
                    slips,
                    whims,
                    signed_of_five,
                };
                // Where a settlement holds less than a window, being late costs capacity that nothing gives back; and the last slot of a proven
                // window may have to take all of it.
                if cap_in_slots < 32 {
                    script.slips.fill(false);
                    script.proven.fill(Vec::new());
                }
                script
            },
        )
}

fn schedule(script: &Script) -> Schedule {
    let mut schedule = Schedule::default();
    for epoch in 0..EPOCHS {
        let mut slots: [(GatewayId, Kind); 32] =
            std::array::from_fn(|slot| (u16::try_from(slot / 8 % 3 + 1).expect("small"), Kind::Fallback));
        let mut at = 0;
        for (length, gateway) in &script.proven[usize::try_from(epoch).expect("small")] {
            for slot in slots.iter_mut().skip(at).take(usize::try_from(*length).expect("small")) {
                *slot = (*gateway, Kind::Proven);
            }
            at += usize::try_from(*length).expect("small");
        }
        schedule.insert(EpochSchedule { epoch, slots });
    }
    schedule
}

struct Sent {
    gateway: GatewayId,
    plan: Plan,
    last: u64,
    slot: u64,
}

struct World {
    script: Script,
    clock: SlotClock,
    schedule: Schedule,
    rules: SettlementRules,
    chain: Vec<Claim>,
    head: SettledHead,
    live: BTreeSet<u64>,
    pending: BTreeMap<GatewayId, Sent>,
    records: BTreeMap<u64, WindowRecord>,
    charged: Vec<(GatewayId, u64, u64)>,
    since_slip: usize,
}

struct Known<'a>(&'a World);

fn signature(claim: &Claim) -> SignedSoftBlock {
    SignedSoftBlock {
        soft_block: SoftBlock {
            number: claim.block.number,
            parentLink: claim.parent_link.0,
            blockHash: claim.block.hash,
            anchorNumber: 1,
            anchorHash: B256::ZERO,
        },
        signature: Signature::test_signature(),
    }
}

impl Evidence for Known<'_> {
    fn owner_signed(&self, claim: &Claim) -> Option<SignedSoftBlock> {
        (claim.block.number % 5 < self.0.script.signed_of_five).then(|| signature(claim))
    }
    fn operator_signed(&self, claim: &Claim) -> Option<SignedSoftBlock> {
        self.owner_signed(claim).is_none().then(|| signature(claim))
    }
    fn committed(&self, _: &Claim) -> bool {
        true
    }
}

impl World {
    fn new(script: Script) -> Self {
        let clock = SlotClock {
            l1_genesis_time: 0,
            slot_length: script.blocks_per_slot,
            l2_genesis_time: 0,
            l2_block_time: 1,
            settlement_delay: 2,
        };
        let schedule = schedule(&script);
        let genesis = SettledHead { number: 0, link: Link::default(), slot: 0 };
        let mut link = genesis.link;
        let chain = (1..EPOCHS * 32 * script.blocks_per_slot)
            .map(|number| {
                let hash = keccak256(number.to_be_bytes());
                let block = BlockSummary {
                    number,
                    hash,
                    parent_hash: keccak256((number - 1).to_be_bytes()),
                    origin: Anchor { number: 1, hash: B256::ZERO },
                    deposits_only: number % 7 == 0,
                };
                let parent_link = link;
                link = parent_link.then(hash);
                Claim { block, parent_link, link }
            })
            .collect();
        let rules = SettlementRules { min_chances: MIN_CHANCES, silence: script.silence, evidence_horizon: 1000 };
        Self {
            script,
            clock,
            schedule,
            rules,
            chain,
            head: genesis,
            live: BTreeSet::new(),
            pending: BTreeMap::new(),
            records: BTreeMap::new(),
            charged: Vec::new(),
            since_slip: BETWEEN_SLIPS,
        }
    }

    fn behaviour(&self, gateway: GatewayId) -> Behaviour {
        self.script.behaviours[usize::from(gateway) - 1]
    }

    fn with_situation<T>(&self, me: GatewayId, slot: u64, ask: impl FnOnce(&Situation<'_>) -> T) -> T {
        // What is adopted when a transaction for this slot is sent: all blocks that it may hold, and those of one more slot.
        let adopted = usize::try_from((slot.saturating_sub(1)) * self.script.blocks_per_slot).expect("small");
        let from = usize::try_from(self.head.number).expect("small");
        ask(&Situation {
            me,
            clock: &self.clock,
            schedule: &self.schedule,
            rules: self.rules,
            head: self.head,
            landing: Landing { slot, due: false, overdue: false },
            ended: &BTreeMap::new(),
            eligible: &[1, 2, 3],
            live_slots: &self.live,
            claims: &self.chain[from.min(self.chain.len())..adopted.clamp(from, self.chain.len())],
        })
    }

    fn think(&mut self, gateway: GatewayId, slot: u64) {
        let policy = SettlingPolicy {
            min_blocks: self.script.policy_min_blocks,
            patience: 1,
            resubmit_slots: 1,
            max_blocks: usize::try_from(self.script.cap_in_slots * self.script.blocks_per_slot).expect("small"),
        };
        let decision = self.with_situation(gateway, slot, |situation| {
            let busy = self
                .pending
                .get(&gateway)
                .is_some_and(|sent| !may_replace(situation, sent.slot, policy.resubmit_slots));
            if busy { Ok(Decision::Wait) } else { decide(situation, &policy, &Known(self)) }
        });
        let Ok(Decision::Settle { plan, .. }) = decision else { return };
        if self.behaviour(gateway) == Behaviour::Erratic
            && !self.script.whims[usize::try_from(slot).expect("small")].is_multiple_of(3)
        {
            return;
        }
        let last = plan.head.number + plan.blocks() as u64;
        self.pending.insert(gateway, Sent { gateway, plan, last, slot });
    }

    fn include(&mut self, slot: u64) {
        // The holder's transaction first; of several the first that holds, the others revert.
        let senders: Vec<GatewayId> = self.pending.keys().copied().collect();
        let mut late = false;
        for gateway in senders {
            let window = self.schedule.window_at(slot).expect("known");
            let own_proposer = window.kind == Kind::Proven && slot + 1 == window.end;
            if !late
                && !own_proposer
                && self.since_slip >= BETWEEN_SLIPS
                && self.script.slips[usize::try_from(slot).expect("small")]
            {
                late = true;
                continue;
            }
            let Some(sent) = self.pending.remove(&gateway) else { continue };
            self.apply(&sent, slot);
        }
        self.since_slip = if late { 0 } else { self.since_slip + 1 };
    }

    fn apply(&mut self, sent: &Sent, slot: u64) {
        let by = self.with_situation(sent.gateway, slot, |situation| turn(situation, slot)).expect("known");
        // The contract knows no taking of turns in open slots; whoever comes first settles.
        let silent =
            slot > if self.head.slot == 0 { self.clock.owner_slot(1) } else { self.head.slot } + self.rules.silence;
        let taken = self.head.slot == slot;
        let moved = self.head != sent.plan.head;
        if taken || moved || (by == Turn::NotMine && !silent) || self.clock.owner_slot(sent.last) > slot {
            return;
        }
        let current = self.schedule.window_at(slot).expect("known");
        if current.gateway == sent.gateway {
            let backlog = self.clock.owner_slot(self.head.number + 1) < current.first;
            let record = self
                .records
                .entry(current.first)
                .or_insert(WindowRecord { faced_backlog: backlog, ..WindowRecord::default() });
            record.settled += sent.plan.blocks() as u64;
        }
        let mut number = self.head.number;
        for run in &sent.plan.runs {
            let first = number + 1;
            number += run.blocks as u64;
            let window = self.schedule.window_at(self.clock.owner_slot(first)).expect("known");
            assert_eq!(
                self.schedule.window_at(self.clock.owner_slot(number)).expect("known"),
                window,
                "a run crosses its window"
            );
            assert_eq!(run.kind == RunKind::Own, window.gateway == sent.gateway, "wrong kind");
            if run.kind != RunKind::Own && window.end <= slot {
                self.charge(&window, first, number, slot);
            }
        }
        self.head = SettledHead { number, link: self.chain[usize::try_from(number - 1).expect("small")].link, slot };
    }

    fn charge(&mut self, window: &Window, first: u64, last: u64, slot: u64) {
        let record = self.records.get(&window.first).copied().unwrap_or_default();
        let bound = liable_before(&self.clock, window, MIN_CHANCES, record, |slot| self.live.contains(&slot));
        let liable = (first..=last).filter(|number| self.clock.owner_slot(*number) < bound).count() as u64;
        if liable > 0 && window.gateway != NOBODY {
            self.charged.push((window.gateway, slot, liable));
        }
    }

    fn play(&mut self) {
        for slot in 3..EPOCHS * 32 {
            for gateway in 1..=3 {
                if self.behaviour(gateway) != Behaviour::Dead {
                    self.think(gateway, slot);
                }
            }
            if !self.script.missed[usize::try_from(slot).expect("small")] {
                self.live.insert(slot);
                self.include(slot);
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 600, ..ProptestConfig::default() })]
    #[test]
    fn an_honest_keeper_is_never_charged(script in scripts()) {
        let mut world = World::new(script);
        world.play();
        for (gateway, slot, blocks) in &world.charged {
            prop_assert!(
                world.behaviour(*gateway) != Behaviour::Honest,
                "gateway {} charged for {} blocks in slot {}", gateway, blocks, slot
            );
        }
    }
}

fn quiet(behaviours: [Behaviour; 3]) -> Script {
    Script {
        blocks_per_slot: 2,
        silence: 1000,
        cap_in_slots: 1000,
        policy_min_blocks: 12,
        behaviours,
        proven: vec![vec![]; 4],
        missed: vec![false; 128],
        slips: vec![false; 128],
        whims: vec![0; 128],
        signed_of_five: 5,
    }
}

#[test]
fn honest_keepers_settle_everything() {
    let mut world = World::new(quiet([Behaviour::Honest; 3]));
    world.play();
    assert!(world.head.number >= 2 * (127 - 4), "{}", world.head.number);
    assert_eq!(world.charged, []);
}

#[test]
fn a_dead_gateway_is_charged_and_the_chain_goes_on() {
    // That the simulation can charge at all.
    let mut world = World::new(quiet([Behaviour::Honest, Behaviour::Dead, Behaviour::Honest]));
    world.play();
    assert!(
        !world.charged.is_empty() && world.charged.iter().all(|(gateway, ..)| *gateway == 2),
        "{:?}",
        world.charged
    );
    assert!(world.head.number >= 2 * (127 - 4), "{}", world.head.number);
}
