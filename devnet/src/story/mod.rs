//! The dropped baton: A and B take turns, A's keeper is killed with soft blocks out, B re-creates them and is paid. Meanwhile the epochs go by: the
//! first one's lookahead is proven, the second one's is published by nobody because the beacon node is down, the third one's again is.
//!
//! The story acts on what it sees on the chain and never on a stopwatch. `make demo` shows it, the end-to-end test runs it.

mod summary;
mod watch;

pub use summary::Summary;
pub use watch::{EpochOrigin, Event, Observation};

use crate::stack::Stack;
use alloy::primitives::{Address, U256};
use alloy::signers::local::PrivateKeySigner;
use baton_bindings::{IRegistry, Outcome, RunKind};
use baton_protocol::SlotClock;
use eyre::{Result, WrapErr, bail, ensure, eyre};
use std::{collections::BTreeSet, ops::RangeInclusive, time::Duration};
use watch::Watcher;

/// How often the L1 is looked at.
const POLL: Duration = Duration::from_millis(100);
/// L1 slots after which a chapter that hasn't ended never will.
const PATIENCE: u64 = 80;
/// The keeper that dies.
const VICTIM: &str = "keeper-a";

/// What an audience is told.
pub enum Scene<'a> {
    /// A chapter begins, or something of note is done.
    Headline(&'a str),
    /// A slot went by.
    Slot(&'a Observation),
}

/// Tells the story on a fresh devnet and audits what it leaves.
pub async fn tell(stack: &mut Stack, mut tell: impl FnMut(Scene<'_>)) -> Result<Summary> {
    let first_epoch =
        SlotClock::epoch_of(stack.clock.slot_at(stack.clock.l2_genesis_time) + stack.clock.settlement_delay);
    let watcher = Watcher::new(stack).await?;
    let mut teller =
        Teller { watcher, dead: Vec::new(), outage: Some(first_epoch), published: Vec::new(), tell: &mut tell };
    stack.beacon.set_down(true);
    (teller.tell)(Scene::Headline(&format!(
        "the beacon node is down: nobody can prove the lookahead of epoch {}",
        first_epoch + 1
    )));
    teller.take_turns(stack).await?;
    let unsettled = teller.drop_the_baton(stack).await?;
    let recreated = teller.pick_it_up(stack, unsettled).await?;
    let share = recreated.iter().map(|outcome| U256::from(outcome.bounty)).sum();
    let payee = teller.get_paid(stack, share).await?;
    teller.see_published(stack, first_epoch + 2).await?;
    let epochs = teller.origins(stack, first_epoch..=first_epoch + 2).await?;
    (teller.tell)(Scene::Headline("every wei, every block, every blob: the audit"));
    summary::audit(stack, recreated, payee, epochs).await
}

struct Teller<'a> {
    watcher: Watcher,
    dead: Vec<&'static str>,
    /// The epoch in which the beacon node is down until the next one's lookahead can't be published any more.
    outage: Option<u64>,
    /// The epochs whose publication was seen.
    published: Vec<u64>,
    tell: &'a mut dyn FnMut(Scene<'_>),
}

impl Teller<'_> {
    /// Watches until `done` says something, slot by slot.
    async fn watch<T>(
        &mut self,
        stack: &mut Stack,
        what: &str,
        mut done: impl AsyncFnMut(&mut Stack, &Observation) -> Result<Option<T>>,
    ) -> Result<T> {
        let mut slots = 0;
        loop {
            stack.check(&self.dead).await?;
            let Some(observation) = self.watcher.next(stack).await? else {
                tokio::time::sleep(POLL).await;
                continue;
            };
            (self.tell)(Scene::Slot(&observation));
            self.published.extend(observation.events.iter().filter_map(|event| match event {
                Event::Published { epoch, .. } => Some(*epoch),
                _ => None,
            }));
            self.end_outage(stack, observation.slot);
            if let Some(result) = done(stack, &observation).await? {
                return Ok(result);
            }
            slots += 1;
            if slots > PATIENCE {
                bail!("{what} hasn't happened in {PATIENCE} slots\n{}", logs(stack));
            }
        }
    }

    /// The beacon node is back as soon as that doesn't help the next epoch any more.
    fn end_outage(&mut self, stack: &Stack, slot: u64) {
        let Some(epoch) = self.outage else { return };
        let parameters = &stack.parameters;
        if slot + parameters.settlement_delay + parameters.margin < SlotClock::epoch_start(epoch + 1) {
            return;
        }
        self.outage = None;
        stack.beacon.set_down(false);
        (self.tell)(Scene::Headline(&format!(
            "the beacon node is back, too late for epoch {}: who owns its first blocks must be known before they are built",
            epoch + 1
        )));
    }

    /// A keeper publishes an epoch's lookahead.
    async fn see_published(&mut self, stack: &mut Stack, epoch: u64) -> Result<()> {
        if self.published.contains(&epoch) {
            return Ok(());
        }
        self.watch(stack, "the publication of a lookahead", async |_, observation| {
            let found = |event: &Event| matches!(event, Event::Published { epoch: found, .. } if *found == epoch);
            Ok(observation.events.iter().any(found).then_some(()))
        })
        .await
    }

    /// How epochs' schedules came about; the second must have fallen back, the others be proven.
    async fn origins(&self, stack: &Stack, epochs: RangeInclusive<u64>) -> Result<Vec<EpochOrigin>> {
        let registry = IRegistry::new(stack.deployment.registry, stack.l1.provider());
        let mut origins = Vec::new();
        for (place, epoch) in epochs.enumerate() {
            let origin = EpochOrigin::read(&registry, epoch).await?;
            ensure!(
                (origin.proven == 0) == (place == 1),
                "the schedule of epoch {epoch} came about otherwise: {origin:?}"
            );
            origins.push(origin);
        }
        Ok(origins)
    }

    /// Both gateways settle their own blocks, in their own windows.
    async fn take_turns(&mut self, stack: &mut Stack) -> Result<()> {
        (self.tell)(Scene::Headline("A and B take turns: each settles its own blocks in its own slots"));
        let mut settled = BTreeSet::new();
        self.watch(stack, "a settlement of each gateway", async |_, observation| {
            for event in &observation.events {
                match event {
                    Event::Settled { gateway, outcomes, .. } => {
                        let own = outcomes.iter().all(|outcome| outcome.kind == RunKind::Own);
                        ensure!(own, "a settlement of {gateway} holds other than own blocks: {outcomes:?}");
                        settled.insert(*gateway);
                    }
                    Event::Charged { gateway, paid } => bail!("gateway {gateway} was charged {paid} wei for nothing"),
                    _ => {}
                }
            }
            Ok((settled.len() == 2).then_some(()))
        })
        .await
    }

    /// A's keeper dies in the middle of its window, with soft blocks out that aren't settled. Returns their numbers.
    async fn drop_the_baton(&mut self, stack: &mut Stack) -> Result<Vec<u64>> {
        let (victim, feed) = (stack.gateways[0].id, stack.gateways[0].feed_url.clone());
        let unsettled = self
            .watch(stack, "a moment with unsettled soft blocks of A", async |_, observation| {
                let window = observation.window;
                // Far enough in for A to have signed, and early enough for the blocks to be liable: not the last slots.
                let liable = window.gateway == victim
                    && observation.slot >= window.first + 3
                    && observation.slot + 4 <= window.end;
                if !liable {
                    return Ok(None);
                }
                let signed = soft_blocks(&feed, observation.settled + 1).await?;
                Ok((signed.len() >= 2).then_some(signed))
            })
            .await?;
        stack.gateways[0].keeper.kill().await?;
        self.dead.push(VICTIM);
        let (first, last) = (unsettled.first().copied().unwrap_or(0), unsettled.last().copied().unwrap_or(0));
        (self.tell)(Scene::Headline(&format!(
            "kill -9 of A's keeper: its soft blocks {first} to {last} are out, signed and unsettled"
        )));
        Ok(unsettled)
    }

    /// B re-creates A's run from A's own signature, and A is charged.
    async fn pick_it_up(&mut self, stack: &mut Stack, unsettled: Vec<u64>) -> Result<Vec<Outcome>> {
        let [a, b] = [stack.gateways[0].id, stack.gateways[1].id];
        let mut last_signed = unsettled.last().copied().ok_or_else(|| eyre!("nothing was unsettled"))?;
        let mut outcomes = Vec::new();
        let mut ineligible = false;
        self.watch(stack, "the re-creation of A's run", async |_, observation| {
            for event in &observation.events {
                match event {
                    // A's last settlement may have been on its way when it died.
                    Event::Settled { gateway, last, .. } if *gateway == a => last_signed = last_signed.max(*last),
                    Event::Settled { gateway, outcomes: found, .. } if *gateway == b => {
                        outcomes.extend_from_slice(found)
                    }
                    Event::Ineligible { gateway, .. } => ineligible |= *gateway == a,
                    _ => {}
                }
            }
            let paid = outcomes.iter().any(|outcome| {
                outcome.kind == RunKind::Recreated && outcome.owner == a && outcome.signed && outcome.bounty > 0
            });
            Ok((paid && ineligible && observation.settled >= last_signed).then_some(()))
        })
        .await?;
        let charged: u32 = outcomes.iter().map(|outcome| outcome.charged).sum();
        (self.tell)(Scene::Headline(&format!(
            "B picked up the baton: {charged} blocks of A charged, A has lost its eligibility; \
             B's share is due after the evidence horizon"
        )));
        Ok(outcomes)
    }

    /// After the evidence horizon B's keeper collects, and B's owner pulls its credit. Returns where to and how much.
    async fn get_paid(&mut self, stack: &mut Stack, share: U256) -> Result<(Address, U256)> {
        let owner = stack.gateways[1].owner.clone();
        let mut paid = U256::ZERO;
        self.watch(stack, "the payment of B's share", async |_, observation| {
            for event in &observation.events {
                match event {
                    Event::BountyPaid { to, amount, .. } if *to == owner.address() => paid += *amount,
                    _ => {}
                }
            }
            Ok((paid >= share).then_some(()))
        })
        .await?;
        let registry = IRegistry::new(stack.deployment.registry, stack.wallet(&owner));
        let credit = registry.creditOf(owner.address()).call().await?;
        let payee = PrivateKeySigner::random().address();
        let pending = registry.withdrawCredit(payee).send().await.wrap_err("B's owner can't pull its credit")?;
        let hash = *pending.tx_hash();
        self.watch(stack, "the withdrawal of B's credit", async |_, observation| {
            let pulled = |event: &Event| matches!(event, Event::CreditWithdrawn { to, .. } if *to == payee);
            Ok(observation.events.iter().any(pulled).then_some(()))
        })
        .await
        .wrap_err_with(|| format!("transaction {hash}"))?;
        (self.tell)(Scene::Headline("B's owner has pulled its credit"));
        Ok((payee, credit))
    }
}

/// The numbers of the signed soft blocks that a feed has from `from` on.
async fn soft_blocks(feed_url: &str, from: u64) -> Result<Vec<u64>> {
    let call = serde_json::json!({ "jsonrpc": "2.0", "id": 1, "method": "baton_softBlocks", "params": [from, 128] });
    let answer: serde_json::Value = reqwest::Client::new().post(feed_url).json(&call).send().await?.json().await?;
    let items = answer["result"].as_array().ok_or_else(|| eyre!("the feed answered {answer}"))?;
    let number = |item: &serde_json::Value| item["softBlock"]["number"].as_u64();
    items.iter().map(|item| number(item).ok_or_else(|| eyre!("the feed's item {item} has no number"))).collect()
}

fn logs(stack: &Stack) -> String {
    let processes = [&stack.portal, &stack.operator, &stack.gateways[0].keeper, &stack.gateways[1].keeper];
    let tails = processes.into_iter().chain(stack.sequencer.process());
    tails.map(|process| format!("--- {}\n{}", process.name(), process.tail(25))).collect::<Vec<_>>().join("\n")
}
