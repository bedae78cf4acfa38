//! The driver against one real engine, with a ticking L1.

use alloy::{
    primitives::{Address, U256},
    providers::Provider,
};
use baton_devnet::{
    beacon::{BeaconChain, BeaconConfig, Validators},
    driver::{Driver, DriverConfig},
    l1::{L1Node, L1Slots},
    toolchain::Toolchain,
};
use baton_devnet_engine::{Engine, Fork, JwtSecret, ServeConfig, devnet_genesis, serve};
use baton_protocol::SlotClock;
use eyre::Result;
use std::{
    sync::Arc,
    time::{Duration, SystemTime, UNIX_EPOCH},
};
use tokio_util::sync::CancellationToken;

/// Waits until a condition holds, with a deadline that only a hanging test reaches.
async fn until(what: &str, mut holds: impl AsyncFnMut() -> Result<bool>) -> Result<()> {
    tokio::time::timeout(Duration::from_secs(60), async {
        while !holds().await? {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        Ok(())
    })
    .await
    .unwrap_or_else(|_| panic!("waited too long: {what}"))
}

#[tokio::test]
async fn builds_real_blocks_on_a_ticking_l1() -> Result<()> {
    let toolchain = Toolchain::find()?;
    let now = SystemTime::now().duration_since(UNIX_EPOCH)?.as_secs();
    let times = BeaconConfig { genesis_time: now - 100, slot_length: 1 };
    let l1 = L1Node::start(&toolchain, times.genesis_time).await?;
    let shutdown = CancellationToken::new();
    let beacon = Arc::new(BeaconChain::new(times, Validators::new().expect("keys"))?);
    let slots = L1Slots::new(l1.provider().clone(), beacon.clone()).start(shutdown.clone());

    let genesis = devnet_genesis(901, Fork::Isthmus, now, [Address::repeat_byte(1)], U256::from(1));
    let engine = Arc::new(Engine::new(&genesis)?);
    let jwt = JwtSecret::new([7; 32]);
    let server = serve(engine.clone(), ServeConfig::ephemeral(jwt.clone())).await?;
    let clock = SlotClock {
        l1_genesis_time: times.genesis_time,
        slot_length: 1,
        l2_genesis_time: now,
        l2_block_time: 1,
        settlement_delay: 2,
    };
    let config = DriverConfig {
        engine_url: server.engine_url(),
        jwt,
        clock,
        l1_start: 0,
        batcher: Address::repeat_byte(2),
        gas_limit: 30_000_000,
    };
    let mut driver = Driver::start(config, l1.provider().clone(), shutdown.clone()).await?;
    until("five L2 blocks", async || {
        driver.check().await?;
        Ok(driver.head().number >= 5)
    })
    .await?;

    for block in driver.adopted() {
        assert_eq!(engine.block_at(block.number).map(|found| found.hash()), Some(block.hash));
    }
    // The L1 ticks on its grid, and a slot can be missed on request.
    let head = l1.provider().get_block_number().await?;
    let block = l1.provider().get_block_by_number(head.into()).await?.expect("the head exists");
    assert!(block.header.timestamp >= now);
    let slot = clock.slot_at(block.header.timestamp) + 3;
    slots.miss(slot);
    until("the slot after the missed one", async || {
        let head = l1.provider().get_block_by_number(alloy::eips::BlockNumberOrTag::Latest).await?;
        Ok(head.is_some_and(|block| clock.slot_at(block.header.timestamp) > slot))
    })
    .await?;
    let head = l1.provider().get_block_number().await?;
    for number in head.saturating_sub(5)..=head {
        let block = l1.provider().get_block_by_number(number.into()).await?.expect("below the head");
        assert_ne!(block.header.timestamp, clock.slot_start(slot), "the slot was to be missed");
    }
    shutdown.cancel();
    server.shutdown().await;
    Ok(())
}
