//! Who is who on the devnet, and what it is deployed with.

use crate::{
    deployment::{DeploymentParameters, ether},
    l1::L1Node,
    stack::StackConfig,
};
use alloy::{
    primitives::{Address, FixedBytes, U256},
    signers::local::PrivateKeySigner,
};
use baton_protocol::{Link, SLOTS_PER_EPOCH, SlotClock};
use eyre::Result;

/// Who is who on the devnet: anvil's funded accounts for those who send to L1, fresh keys for those who only sign.
pub(crate) struct Accounts {
    /// Deploys, and is the rollup operator.
    pub(crate) deployer: PrivateKeySigner,
    /// A's and B's owners.
    pub(crate) owners: [PrivateKeySigner; 2],
    /// Send settlements.
    pub(crate) settlers: [PrivateKeySigner; 2],
    /// Send lookaheads.
    pub(crate) publishers: [PrivateKeySigner; 2],
    /// Sign soft blocks.
    pub(crate) sequencers: [PrivateKeySigner; 2],
    /// Signs what owners don't.
    pub(crate) fallback: PrivateKeySigner,
    /// Has ether on L2 and spends it.
    pub(crate) user: PrivateKeySigner,
    /// Has ether on L2, for people to play with.
    pub(crate) playground: PrivateKeySigner,
}

impl Accounts {
    pub(crate) fn new(l1: &L1Node) -> Result<Self> {
        let mut funded = l1.keys();
        let mut next = || funded.next().ok_or_else(|| eyre::eyre!("anvil has too few accounts"));
        Ok(Self {
            deployer: next()?,
            owners: [next()?, next()?],
            settlers: [next()?, next()?],
            publishers: [next()?, next()?],
            sequencers: [PrivateKeySigner::random(), PrivateKeySigner::random()],
            fallback: PrivateKeySigner::random(),
            user: PrivateKeySigner::random(),
            playground: PrivateKeySigner::random(),
        })
    }
}

/// What the contracts are deployed with.
pub(crate) fn parameters(
    config: &StackConfig,
    clock: &SlotClock,
    genesis_link: Link,
    accounts: &Accounts,
) -> DeploymentParameters {
    let (block_price, large_fault) = (ether("0.01"), ether("1"));
    // Rule [C3]: three epochs of blocks and one large fault.
    let exposure = U256::from(3 * SLOTS_PER_EPOCH * clock.blocks_per_slot()) * block_price;
    DeploymentParameters {
        l1_genesis_time: clock.l1_genesis_time,
        slot_length: clock.slot_length,
        l2_genesis_time: clock.l2_genesis_time,
        l2_block_time: clock.l2_block_time,
        genesis_link: genesis_link.0,
        settlement_delay: clock.settlement_delay,
        margin: 16,
        turn: config.turn,
        min_chances: 3,
        silence: 64,
        evidence_horizon: config.evidence_horizon,
        exit_delay: config.evidence_horizon + 1,
        registration_fee: ether("0.1"),
        penalty_threshold: exposure + large_fault,
        refund_threshold: ether("0.5"),
        large_fault,
        block_price,
        share_bps: U256::from(5_000),
        operator: accounts.deployer.address(),
        fallback_key: accounts.fallback.address(),
        batcher: accounts.settlers[0].address(),
        system_config: Address::ZERO,
        unsafe_block_signer: accounts.deployer.address(),
        timelock: accounts.deployer.address(),
        genesis_fork_version: FixedBytes::ZERO,
        first_fork: "fulu",
        first_fork_slot: 0,
    }
}
