//! What the story leaves behind, audited.

use crate::{
    audit::{self, EtherBalance},
    stack::Stack,
    story::EpochOrigin,
};
use alloy::{
    eips::eip2718::Encodable2718,
    primitives::{Address, U256},
    providers::Provider,
};
use baton_batch::L2Block;
use baton_bindings::{IInbox, Outcome, RunKind};
use baton_protocol::Link;
use eyre::{Result, ensure, eyre};
use std::{
    collections::{BTreeSet, HashSet},
    time::Duration,
};

/// The audited end of the story.
#[derive(Clone, Debug)]
pub struct Summary {
    /// Where the registry's ether is.
    pub ether: EtherBalance,
    /// What became of the runs that B settled after A's death.
    pub recreated: Vec<Outcome>,
    /// What B's owner pulled, wei.
    pub pulled: U256,
    /// L2 blocks that were head.
    pub adopted: usize,
    /// The settled head.
    pub settled: u64,
    /// Blocks that kona's reader found in the posted blobs.
    pub derived: usize,
    /// Transactions that the user sent, all of them included.
    pub transactions: usize,
    /// How each epoch's schedule came about.
    pub epochs: Vec<EpochOrigin>,
}

/// Checks everything that can be checked from outside; an error says what doesn't add up.
pub(super) async fn audit(
    stack: &mut Stack,
    recreated: Vec<Outcome>,
    (payee, credit): (Address, U256),
    epochs: Vec<EpochOrigin>,
) -> Result<Summary> {
    let l1 = stack.l1.provider().clone();
    let (registry, inbox) = (stack.deployment.registry, stack.deployment.inbox);

    // To the wei.
    let ether = audit::balance(&l1, registry, inbox).await?;
    let bounty: u128 = recreated.iter().map(|outcome| outcome.bounty).sum();
    let pulled = l1.get_balance(payee).await?;
    ensure!(pulled == credit, "B's owner pulled {pulled} wei of a credit of {credit}");
    ensure!(
        pulled > U256::ZERO && pulled == U256::from(bounty),
        "B's owner pulled {pulled} wei, its share is {bounty}"
    );
    let charged = recreated.iter().filter(|outcome| outcome.kind == RunKind::Recreated);
    for outcome in charged {
        let due = U256::from(outcome.charged) * stack.parameters.block_price;
        ensure!(U256::from(outcome.paid) == due, "A paid {} for {} blocks", outcome.paid, outcome.charged);
    }
    let [a, b] = [stack.gateways[0].id, stack.gateways[1].id].map(|id| ether.gateways[&id]);
    ensure!(!a.eligible && b.eligible, "A must have lost its eligibility and B kept it");
    ensure!(b.charged.is_zero(), "B was charged {} wei, and had done nothing wrong", b.charged);
    ensure!(a.penalty + a.charged + a.refund == a.deposited, "A's tranches and charges aren't what it paid in");

    // Every transaction that was accepted is in the chain.
    let sent = stack.traffic.sent();
    wait_for_inclusion(stack, &sent).await?;

    // Every block that was head still is in the chain, and what is settled is that chain.
    let adopted = stack.sequencer.adopted();
    let engine = stack.fallback.engine.clone();
    let lost = audit::check_chain(&engine, &adopted);
    ensure!(lost.is_empty(), "blocks that were head are lost: {lost:?}");
    let head = IInbox::new(inbox, &l1).head().call().await?;
    let link = audit::link_of(&engine, Link(stack.parameters.genesis_link), head.number)?;
    ensure!(link.0 == head.link, "the settled link isn't the chain's: {} and {link}", head.link);

    // The posted blobs hold exactly these blocks.
    let derived = audit::derive(&l1, &stack.l1.url(), inbox).await?;
    let mut posted = BTreeSet::new();
    for batch in &derived {
        let number = stack.clock.block_at(batch.timestamp);
        let number = number.ok_or_else(|| eyre!("no block has the timestamp {} of a batch", batch.timestamp))?;
        let block = engine.block_at(number).ok_or_else(|| eyre!("blobs hold a block {number} that isn't there"))?;
        let consensus = block.consensus_block();
        let deposits = |transaction: &&op_alloy::consensus::OpTxEnvelope| !transaction.is_deposit();
        let transactions = consensus.body.transactions.iter().filter(deposits).map(|t| t.encoded_2718());
        ensure!(batch.parent_hash == block.parent_hash(), "block {number} in blobs has another parent");
        let origin = *L2Block::from_rlp(&block.rlp())?.origin();
        let same = (batch.origin, batch.origin_hash) == (origin.number, origin.hash);
        ensure!(same, "block {number} in blobs has another L1 origin");
        let same = batch.transactions.iter().map(|bytes| bytes.to_vec()).eq(transactions);
        ensure!(same, "block {number} in blobs has other transactions");
        posted.insert(number);
    }
    ensure!(posted.iter().copied().eq(1..=head.number), "blobs hold {posted:?}, settled is up to {}", head.number);

    Ok(Summary {
        ether,
        recreated,
        pulled,
        adopted: adopted.len() - 1,
        settled: head.number,
        derived: posted.len(),
        transactions: sent.len(),
        epochs,
    })
}

async fn wait_for_inclusion(stack: &mut Stack, sent: &[alloy::primitives::B256]) -> Result<()> {
    // The user goes on sending; only what was sent by now is waited for, for a few blocks at most.
    let last = stack.sequencer.head().number + 8;
    loop {
        let mut missing: HashSet<_> = sent.iter().copied().collect();
        let head = stack.sequencer.head().number;
        for number in 1..=head {
            if let Some(block) = stack.fallback.engine.block_at(number) {
                for transaction in &block.consensus_block().body.transactions {
                    missing.remove(&transaction.tx_hash());
                }
            }
        }
        if missing.is_empty() {
            return Ok(());
        }
        ensure!(head < last, "transactions that were accepted aren't in the chain: {missing:?}");
        stack.sequencer.check().await?;
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}
