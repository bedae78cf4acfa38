//! What there is to see on L1, slot by slot.

use crate::stack::Stack;
use alloy::{
    network::TransactionResponse,
    primitives::{Address, B256, U256},
    providers::Provider,
    rpc::types::{Filter, Log},
    sol_types::SolEvent,
};
use baton_bindings::{IInbox, IRegistry, Outcome};
use baton_protocol::{GatewayId, Kind, SlotClock, Window};
use eyre::{Result, eyre};

/// Something that happened on L1.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// A batch was settled.
    Settled {
        /// Who settled.
        gateway: GatewayId,
        /// The first block.
        first: u64,
        /// The last block.
        last: u64,
        /// What became of its runs.
        outcomes: Vec<Outcome>,
    },
    /// An epoch's lookahead was published.
    Published {
        /// The epoch.
        epoch: u64,
        /// Whose account sent it.
        by: String,
    },
    /// A gateway's settler became the rollup's batcher.
    BatonTaken(GatewayId),
    /// A gateway paid.
    Charged {
        /// Who.
        gateway: GatewayId,
        /// Wei.
        paid: U256,
    },
    /// A gateway left the eligible set.
    Ineligible {
        /// Who.
        gateway: GatewayId,
        /// The first epoch without it.
        from_epoch: u64,
    },
    /// A poster's share became its owner's credit.
    BountyPaid {
        /// Who had dropped the blocks.
        from: GatewayId,
        /// The poster's owner.
        to: Address,
        /// Wei.
        amount: U256,
    },
    /// A credit was pulled.
    CreditWithdrawn {
        /// Where to.
        to: Address,
        /// Wei.
        amount: U256,
    },
}

/// How an epoch's schedule came about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EpochOrigin {
    /// The epoch.
    pub epoch: u64,
    /// How many of its slots have a gateway by a proposer's delegation, proven from the beacon state.
    pub proven: usize,
    /// How many have one by the rotation.
    pub fallback: usize,
    /// How many are open.
    pub open: usize,
}

impl EpochOrigin {
    /// Reads it from the registry.
    pub(super) async fn read(registry: &IRegistry::IRegistryInstance<impl Provider>, epoch: u64) -> Result<Self> {
        let schedule = registry.scheduleOf(U256::from(epoch)).call().await?.schedule(epoch)?;
        let count = |kind| schedule.slots.iter().filter(|(_, other)| *other == kind).count();
        Ok(Self { epoch, proven: count(Kind::Proven), fallback: count(Kind::Fallback), open: count(Kind::Open) })
    }
}

/// The state after one L1 block, and what happened in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Observation {
    /// The L1 block.
    pub block: u64,
    /// Its slot.
    pub slot: u64,
    /// The slot's window.
    pub window: Window,
    /// How the epoch's schedule came about, in the first block of it that is seen.
    pub origin: Option<EpochOrigin>,
    /// The L2 head that op-node adopted.
    pub l2_head: u64,
    /// The settled L2 head.
    pub settled: u64,
    /// Penalty tranches of A and B, wei.
    pub penalty: [U256; 2],
    /// What happened.
    pub events: Vec<Event>,
}

impl Observation {
    /// The epoch.
    pub const fn epoch(&self) -> u64 {
        SlotClock::epoch_of(self.slot)
    }
}

/// Looks at L1 block after L1 block.
pub(super) struct Watcher {
    seen: u64,
    epoch: Option<u64>,
}

impl Watcher {
    /// Begins after the current L1 block.
    pub(super) async fn new(stack: &Stack) -> Result<Self> {
        Ok(Self { seen: stack.l1.provider().get_block_number().await?, epoch: None })
    }

    /// The next L1 block's observation, if there is a new block.
    pub(super) async fn next(&mut self, stack: &Stack) -> Result<Option<Observation>> {
        let l1 = stack.l1.provider();
        if l1.get_block_number().await? <= self.seen {
            return Ok(None);
        }
        let number = self.seen + 1;
        self.seen = number;
        let block = l1.get_block_by_number(number.into()).await?.ok_or_else(|| eyre!("L1 block {number} is gone"))?;
        let at = block.header.hash;
        let slot = stack.clock.slot_at(block.header.timestamp);
        let registry = IRegistry::new(stack.deployment.registry, l1);
        let inbox = IInbox::new(stack.deployment.inbox, l1);
        let window = registry.windowAt(U256::from(slot)).block(at.into()).call().await?;
        let head = inbox.head().block(at.into()).call().await?;
        let mut penalty = [U256::ZERO; 2];
        for (gateway, penalty) in stack.gateways.iter().zip(&mut penalty) {
            *penalty = registry.tranches(gateway.id).block(at.into()).call().await?.penalty.to();
        }
        let epoch = SlotClock::epoch_of(slot);
        let origin = match self.epoch.replace(epoch) {
            Some(before) if before == epoch => None,
            _ => Some(EpochOrigin::read(&registry, epoch).await?),
        };
        Ok(Some(Observation {
            block: number,
            slot,
            window: window.try_into()?,
            origin,
            l2_head: stack.sequencer.head().number,
            settled: head.number,
            penalty,
            events: events(stack, at).await?,
        }))
    }
}

async fn events(stack: &Stack, block: B256) -> Result<Vec<Event>> {
    let addresses = vec![stack.deployment.registry, stack.deployment.inbox];
    let logs = stack.l1.provider().get_logs(&Filter::new().address(addresses).at_block_hash(block)).await?;
    let mut events = Vec::new();
    for log in &logs {
        if let Ok(published) = IRegistry::LookaheadPublished::decode_log(&log.inner) {
            let hash = log.transaction_hash.ok_or_else(|| eyre!("an event without a transaction"))?;
            let transaction = stack.l1.provider().get_transaction_by_hash(hash).await?;
            let sender = transaction.ok_or_else(|| eyre!("transaction {hash} is gone"))?.from();
            events.push(Event::Published { epoch: published.epoch, by: stack.publisher_name(sender) });
        }
        events.extend(event(log)?);
    }
    Ok(events)
}

fn event(log: &Log) -> Result<Option<Event>> {
    fn decode<E: SolEvent>(log: &Log) -> Option<E> {
        E::decode_log(&log.inner).ok().map(|decoded| decoded.data)
    }
    if let Some(event) = decode::<IInbox::Settled>(log) {
        let outcomes = event.outcomes.into_iter().map(|word| {
            Outcome::unpack(word).ok_or_else(|| eyre!("outcome {word} is of a kind that the bindings don't know"))
        });
        return Ok(Some(Event::Settled {
            gateway: event.gateway,
            first: event.firstNumber,
            last: event.lastNumber,
            outcomes: outcomes.collect::<Result<_>>()?,
        }));
    }
    Ok(if let Some(event) = decode::<IInbox::BatonTaken>(log) {
        Some(Event::BatonTaken(event.gateway))
    } else if let Some(event) = decode::<IRegistry::Charged>(log) {
        Some(Event::Charged { gateway: event.id, paid: event.paid })
    } else if let Some(event) = decode::<IRegistry::BecameIneligible>(log) {
        Some(Event::Ineligible { gateway: event.id, from_epoch: event.epoch.saturating_to() })
    } else if let Some(event) = decode::<IRegistry::BountyPaid>(log) {
        Some(Event::BountyPaid { from: event.id, to: event.to, amount: event.amount })
    } else {
        decode::<IRegistry::CreditWithdrawn>(log)
            .map(|event| Event::CreditWithdrawn { to: event.to, amount: event.amount })
    })
}
