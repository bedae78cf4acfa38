//! What wallets ask before they send.

use alloy::{primitives::U256, rpc::types::FeeHistory};
use serde_json::{Value, json};

use crate::harness::{GWEI, Node, transfer, wallet};

#[tokio::test]
async fn fee_history_shows_base_fees_and_tips() {
    let node = Node::start().await;
    node.advance_by_one().await;
    node.send(transfer(0, 0, wallet(1).address(), U256::from(5))).await;
    node.advance_by_one().await;
    let history: FeeHistory =
        serde_json::from_value(node.call("eth_feeHistory", json!(["0x5", "latest", [0.0, 50.0, 100.0]])).await)
            .unwrap();
    assert_eq!(history.oldest_block, 0);
    assert_eq!(history.base_fee_per_gas.len(), 4, "three blocks and the next");
    assert_eq!(history.base_fee_per_gas[0], GWEI);
    assert!(history.base_fee_per_gas.windows(2).all(|pair| pair[1] < pair[0]), "almost empty blocks");
    assert_eq!(history.reward.unwrap(), [vec![0; 3], vec![0; 3], vec![GWEI / 1000; 3]]);
    let next = node.call("eth_gasPrice", json!([])).await;
    let tip = node.call("eth_maxPriorityFeePerGas", json!([])).await;
    let value = |value: Value| serde_json::from_value::<U256>(value).unwrap().to::<u128>();
    assert_eq!(value(next) - value(tip), history.base_fee_per_gas[3]);
    assert_eq!(node.error("eth_feeHistory", json!(["0x5", "latest", [50.0, 10.0]])).await.0, -32602);
}

#[tokio::test]
async fn simple_reads() {
    let node = Node::start().await;
    node.advance_by_one().await;
    assert_eq!(node.call("eth_blockNumber", json!([])).await, "0x1");
    assert_eq!(node.call("net_version", json!([])).await, "901");
    assert_eq!(node.call("eth_syncing", json!([])).await, json!(false));
    assert_eq!(node.call("web3_clientVersion", json!([])).await.as_str().unwrap().split('/').count(), 2);
    assert_eq!(node.call("eth_getBlockByNumber", json!(["earliest", false])).await["number"], "0x0");
    assert_eq!(node.call("eth_getBlockByNumber", json!(["pending", false])).await["number"], "0x1");
    assert_eq!(node.call("eth_getCode", json!([wallet(0).address(), "latest"])).await, "0x");
    assert_eq!(node.error("eth_getBalance", json!([wallet(0).address(), "0x99"])).await.0, -32000);
    assert_eq!(node.error("eth_getBalance", json!(["0x12", "latest"])).await.0, -32602);
}
