//! Where the registry's ether is, and how it came there: two counts that must agree to the wei.

use alloy::{
    primitives::{Address, U256},
    providers::{DynProvider, Provider},
    rpc::types::{Filter, Log},
    sol_types::SolEvent,
};
use baton_bindings::{IInbox, IRegistry, Outcome, RunKind};
use baton_protocol::GatewayId;
use eyre::{Result, ensure, eyre};
use std::collections::{BTreeMap, BTreeSet};

/// One gateway's money, in wei.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct GatewayBalance {
    /// Who is credited.
    pub owner: Address,
    /// Whether it is in the eligible set.
    pub eligible: bool,
    /// What it paid in: both tranches.
    pub deposited: U256,
    /// Its penalty tranche.
    pub penalty: U256,
    /// Its refund tranche.
    pub refund: U256,
    /// All it was charged.
    pub charged: U256,
    /// How many of its blocks were charged.
    pub charged_blocks: u64,
    /// Bounties that it earned, collected or not.
    pub earned: U256,
}

/// All the registry's ether, in wei.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct EtherBalance {
    /// What the registry holds.
    pub held: U256,
    /// Registration fees, burned.
    pub fees: U256,
    /// Charges that went to nobody.
    pub burned: U256,
    /// Bounties that can't be collected yet, or weren't.
    pub outstanding: U256,
    /// Credits that weren't pulled yet.
    pub credits: U256,
    /// Credits that were pulled.
    pub withdrawn: U256,
    /// By gateway.
    pub gateways: BTreeMap<GatewayId, GatewayBalance>,
}

/// Adds everything up from state on one side and events on the other, and fails where they differ.
pub async fn balance(l1: &DynProvider, registry: Address, inbox: Address) -> Result<EtherBalance> {
    let contract = IRegistry::new(registry, l1);
    let parameters = contract.parameters().call().await?;
    let share = IInbox::new(inbox, l1).parameters().call().await?.shareBps;
    let logs = l1.get_logs(&Filter::new().address(vec![registry, inbox]).from_block(0)).await?;
    let mut sum = EtherBalance { held: l1.get_balance(registry).await?, ..Default::default() };
    let mut credited = BTreeSet::new();
    let mut promised = U256::ZERO;
    let mut collected = U256::ZERO;
    let mut charges: BTreeMap<GatewayId, U256> = BTreeMap::new();

    for log in &logs {
        if let Some(event) = decode::<IRegistry::Deposited>(log) {
            sum.gateways.entry(event.id).or_default().deposited += event.penalty + event.refund;
        } else if let Some(event) = decode::<IRegistry::Charged>(log) {
            *charges.entry(event.id).or_default() += event.paid;
        } else if let Some(event) = decode::<IRegistry::BountyPaid>(log) {
            collected += event.amount;
            credited.insert(event.to);
        } else if let Some(event) = decode::<IRegistry::CollateralWithdrawn>(log) {
            credited.insert(event.owner);
        } else if let Some(event) = decode::<IRegistry::CreditWithdrawn>(log) {
            sum.withdrawn += event.amount;
        } else if let Some(event) = decode::<IInbox::Settled>(log) {
            for word in event.outcomes {
                let outcome = Outcome::unpack(word).ok_or_else(|| eyre!("outcome {word} of an unknown kind"))?;
                let (paid, bounty) = (U256::from(outcome.paid), U256::from(outcome.bounty));
                let due = U256::from(outcome.charged) * parameters.blockPrice;
                ensure!(paid <= due, "slot {}: a run paid {paid}, more than its {due} due", event.slot);
                let expected = match outcome.kind {
                    RunKind::Recreated => paid * share / U256::from(10_000),
                    _ => U256::ZERO,
                };
                ensure!(bounty == expected, "slot {}: a bounty of {bounty} instead of {expected}", event.slot);
                let owner = sum.gateways.entry(outcome.owner).or_default();
                owner.charged += paid;
                owner.charged_blocks += u64::from(outcome.charged);
                promised += bounty;
                sum.gateways.entry(event.gateway).or_default().earned += bounty;
            }
        }
    }

    let next = contract.nextId().call().await?;
    let mut tranches = U256::ZERO;
    for id in 1..next {
        let state = contract.gateway(id).call().await?;
        let money = contract.tranches(id).call().await?;
        let gateway = sum.gateways.entry(id).or_default();
        gateway.owner = state.owner;
        gateway.eligible = state.eligible;
        gateway.penalty = money.penalty.to();
        gateway.refund = money.refund.to();
        tranches += gateway.penalty + gateway.refund;
        let charged: U256 = money.charged.to();
        let by_events = charges.get(&id).copied().unwrap_or_default();
        ensure!(gateway.charged == charged, "gateway {id}: outcomes say {} charged, state {charged}", gateway.charged);
        ensure!(by_events == charged, "gateway {id}: events say {by_events} charged, state {charged}");
    }
    sum.gateways.retain(|id, _| (1..next).contains(id));
    for account in credited {
        sum.credits += contract.creditOf(account).call().await?;
    }
    sum.fees = parameters.registrationFee * U256::from(next - 1);
    let charged: U256 = charges.values().sum();
    sum.outstanding = promised - collected;
    sum.burned = charged - promised;

    let deposited: U256 = sum.gateways.values().map(|gateway| gateway.deposited).sum();
    let came_and_went = deposited + sum.fees - sum.withdrawn;
    ensure!(sum.held == came_and_went, "the registry holds {}, came and went {came_and_went}", sum.held);
    let claimed = tranches + sum.credits + sum.outstanding + sum.burned + sum.fees;
    ensure!(sum.held == claimed, "the registry holds {}, its parts add up to {claimed}", sum.held);
    Ok(sum)
}

fn decode<E: SolEvent>(log: &Log) -> Option<E> {
    E::decode_log(&log.inner).ok().map(|decoded| decoded.data)
}
