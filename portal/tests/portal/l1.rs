//! An L1 on which gateways have turns.

use alloy::primitives::{Address, FixedBytes, U256};
use baton_devnet_l1::RegistryL1;
use baton_protocol::SlotClock;
use std::{
    ops::{Deref, DerefMut},
    time::{SystemTime, UNIX_EPOCH},
};

/// Long, so that a test stays within one turn.
const SLOT: u64 = 120;

pub(crate) struct L1(RegistryL1);

impl Deref for L1 {
    type Target = RegistryL1;

    fn deref(&self) -> &RegistryL1 {
        &self.0
    }
}

impl DerefMut for L1 {
    fn deref_mut(&mut self) -> &mut RegistryL1 {
        &mut self.0
    }
}

impl L1 {
    /// A chain in the middle of its fifth epoch by the clock on the wall, on which gateways with these endpoints were registered early enough to have turns
    /// by now.
    pub(crate) async fn with_gateways(endpoints: [String; 2]) -> Self {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970").as_secs();
        let genesis = now - (SlotClock::epoch_start(4) + 12) * SLOT;
        let clock = SlotClock {
            l1_genesis_time: genesis,
            slot_length: SLOT,
            l2_genesis_time: genesis,
            l2_block_time: SLOT,
            settlement_delay: 2,
        };
        let l1 = RegistryL1::start(clock, clock.slot_start(SlotClock::epoch_start(1)), &[]).await;
        l1.deploy_registry(Address::ZERO, FixedBytes::ZERO).await;
        for (number, endpoint) in (1..).zip(endpoints) {
            l1.register(number, &endpoint, "").await;
        }
        l1.mine_at(now).await;
        Self(l1)
    }

    /// Has a gateway move.
    pub(crate) async fn set_endpoint(&self, gateway: u16, endpoint: String) {
        let call = self.contract().setUrls(gateway, endpoint, String::new()).into_transaction_request();
        self.send(call).await;
    }

    /// Whose slot it is, as the contract says.
    pub(crate) async fn gateway_at(&self, slot: u64) -> u16 {
        self.contract().gatewayAt(U256::from(slot)).call().await.expect("a gateway")
    }
}
