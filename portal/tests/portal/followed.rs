//! The portal's own follower on a real L1: from the registry's contract to who is asked.

use crate::{
    l1::L1,
    node::{GENESIS, Node},
    stand::{GATEWAYS, OpNode, Options, builder, config},
};
use alloy::primitives::B256;
use baton_devnet_l1::until;
use baton_portal::{Running, Secret, run};
use serde_json::{Value, json};
use std::time::Duration;
use tempfile::TempDir;
use tokio_util::sync::CancellationToken;

/// A portal that follows an L1 with two gateways, in the turn of one of them.
struct Following {
    l1: L1,
    fallback: Node,
    gateways: [Node; 2],
    portal: Running,
    op_node: OpNode,
    // Deleted when the rest is.
    _secrets: TempDir,
}

async fn gateway(name: &'static str) -> Node {
    Node::start(name, 4, Secret::new(GATEWAYS)).await
}

impl Following {
    async fn start() -> Self {
        let fallback = Node::start("fallback", 3, Secret::new([2; 32])).await;
        let gateways = [gateway("gateway 1").await, gateway("gateway 2").await];
        let l1 = L1::with_gateways([gateways[0].url(), gateways[1].url()]).await;
        for node in [&fallback, &gateways[0], &gateways[1]] {
            node.set_clock(l1.clock);
        }
        let secrets = tempfile::tempdir().expect("temporary directory");
        let mut config = config(&secrets, &fallback.url(), &Options::DEFAULT);
        config.schedule.l1_urls = vec![l1.url.clone().into()];
        config.schedule.registry = Some(l1.registry());
        config.schedule.clock = Some(l1.clock);
        config.schedule.poll_interval_ms = Some(50);
        let portal = run(&config, CancellationToken::new()).await.expect("the portal starts");
        let op_node = OpNode::new(&portal);
        let mut schedule = portal.schedule.clone();
        let known = tokio::time::timeout(Duration::from_secs(30), schedule.known()).await;
        known.expect("in time").expect("followed");
        op_node.wait_for_admin("/readyz", 200).await;
        Self { l1, fallback, gateways, portal, op_node, _secrets: secrets }
    }

    /// The block that is due, and whose it is as the contract says.
    async fn due(&self) -> (u64, u16) {
        let current = self.op_node.call("registry_currentGateway", json!([])).await;
        let block = current["result"][0].as_u64().unwrap_or_else(|| panic!("{current}"));
        let turn = self.l1.gateway_at(self.l1.clock.owner_slot(block)).await;
        assert!(matches!(turn, 1 | 2), "{turn}");
        assert_eq!(current["result"][1], self.gateways[usize::from(turn - 1)].url());
        (block, turn)
    }

    /// Orders and gets block `number`, as another one than before.
    async fn block(&self, number: u64, another: u8) -> Value {
        let mut attributes = OpNode::attributes(0);
        attributes["timestamp"] = json!(format!("0x{:x}", self.l1.clock.block_time(number)));
        attributes["prevRandao"] = json!(B256::repeat_byte(another));
        let id = self.op_node.order_with(GENESIS, &attributes).await;
        self.op_node.payload(&id).await
    }
}

#[tokio::test]
async fn the_schedule_that_is_followed_from_l1_says_whose_turn_it_is() {
    let mut following = Following::start().await;
    // Whoever the contract says, and where the registry says.
    let (_, turn) = following.due().await;
    let Following { l1, op_node, gateways, .. } = &mut following;
    let next = op_node.call("registry_nextGateway", json!([])).await;
    let slot = next["result"]["ownerSlot"].as_u64().unwrap_or_else(|| panic!("{next}"));
    assert_eq!(next["result"]["gateway"]["id"], l1.gateway_at(slot).await);
    assert_ne!(next["result"]["gateway"]["id"], turn);

    // It is the one that is asked what users read, and whose loss is told.
    let read = async || op_node.call("eth_call", json!([{}, "latest"])).await["result"]["by"].clone();
    assert_eq!(read().await, Value::from(format!("gateway {turn}")));
    op_node.wait_for_admin("/healthz", 200).await;
    gateways[usize::from(turn - 1)].stop().await;
    assert_eq!(read().await, "fallback");
    op_node.call("engine_forkchoiceUpdatedV3", json!([OpNode::forkchoice(GENESIS), null])).await;
    op_node.wait_for_admin("/healthz", 206).await;
}

#[tokio::test]
async fn l1_reorgs() {
    let following = Following::start().await;
    let (number, turn) = following.due().await;
    let Following { l1, op_node, gateways, .. } = &following;
    let (before, name) = (&gateways[usize::from(turn - 1)], format!("gateway {turn}"));
    assert_eq!(builder(&following.block(number, 1).await), name);

    // Where the gateway moves to, it is told the head and asked for blocks.
    let moved = gateway("gateway that moved").await;
    moved.set_clock(l1.clock);
    l1.set_endpoint(turn, moved.url()).await;
    moved.wait_for("engine_forkchoiceUpdated", 1).await;
    assert_eq!(builder(&following.block(number, 2).await), "gateway that moved");

    // A reorg takes the move back.
    let told = before.arrived("engine_forkchoiceUpdated").len();
    l1.anvil("anvil_reorg", json!([1, []])).await;
    before.wait_for("engine_forkchoiceUpdated", told + 1).await;
    let block = following.block(number, 3).await;
    assert_eq!(builder(&block), name);
    op_node.adopt(&block["result"]).await;
}

#[tokio::test]
async fn l1_goes_down() {
    let mut following = Following::start().await;
    let (number, turn) = following.due().await;
    following.l1.stop().await;
    until("staleness", async || following.portal.schedule.snapshot().stale.is_some()).await;
    // The last schedule known still counts.
    let block = following.block(number, 1).await;
    assert_eq!(builder(&block), format!("gateway {turn}"));
    assert_eq!(following.op_node.decision().await["choice"], "gateway");
    following.op_node.adopt(&block["result"]).await;
    assert_eq!(following.fallback.arrived("engine_newPayload").len(), 2);
    following.op_node.wait_for_admin("/readyz", 200).await;
}
