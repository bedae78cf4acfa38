//! The portal between real execution engines.

use crate::stand::{CLOCK, OpNode, Options, config, snapshot};
use alloy::{
    consensus::{SignableTransaction, TxEip1559, TxEnvelope},
    eips::eip2718::Encodable2718,
    primitives::{Address, B256, TxKind, U256, address, hex},
    signers::{SignerSync, local::PrivateKeySigner},
};
use baton_devnet_engine::{Engine, Fork, JwtSecret, ServeConfig, ServerHandle, devnet_genesis, serve};
use baton_portal::run_with_schedule;
use baton_schedule::channel;
use serde_json::{Value, json};
use std::sync::Arc;
use tokio_util::sync::CancellationToken;

const CHAIN_ID: u64 = 901;
const PAYEE: Address = address!("0x00000000000000000000000000000000000000aa");

struct Client {
    engine: Arc<Engine>,
    server: ServerHandle,
}

async fn client(secret: [u8; 32], sender: Address) -> Client {
    let balance = U256::from(10).pow(U256::from(20));
    let genesis = devnet_genesis(CHAIN_ID, Fork::Isthmus, CLOCK.l2_genesis_time, [sender], balance);
    let engine = Arc::new(Engine::new(&genesis).expect("a genesis block"));
    let server = serve(engine.clone(), ServeConfig::ephemeral(JwtSecret::new(secret))).await.expect("free ports");
    Client { engine, server }
}

/// Gives a transfer to one node's pool only, so that its block is told from all others' by content.
async fn send(client: &Client, sender: &PrivateKeySigner, nonce: u64) {
    let transfer = TxEip1559 {
        chain_id: CHAIN_ID,
        nonce,
        gas_limit: 21_000,
        max_fee_per_gas: 10_000_000_000,
        max_priority_fee_per_gas: 1,
        to: TxKind::Call(PAYEE),
        value: U256::from(1),
        ..TxEip1559::default()
    };
    let signature = sender.sign_hash_sync(&transfer.signature_hash()).expect("signed");
    let raw = hex::encode_prefixed(TxEnvelope::from(transfer.into_signed(signature)).encoded_2718());
    let call = json!({"jsonrpc": "2.0", "id": 1, "method": "eth_sendRawTransaction", "params": [raw]});
    let http = reqwest::Client::builder().no_proxy().build().expect("a client");
    let answer = http.post(client.server.rpc_url()).json(&call).send().await.expect("an answer");
    let answer: Value = answer.json().await.expect("JSON");
    assert!(answer["result"].is_string(), "{answer}");
}

fn attributes(number: u64) -> Value {
    json!({
        "timestamp": format!("0x{:x}", CLOCK.block_time(number)),
        "prevRandao": B256::ZERO,
        "suggestedFeeRecipient": Address::ZERO,
        "withdrawals": [],
        "parentBeaconBlockRoot": B256::repeat_byte(7),
        "transactions": [],
        "noTxPool": false,
        "gasLimit": "0x1c9c380",
        // Named and left to the chain by turns.
        "eip1559Params": if number % 2 == 1 { "0x000000fa00000006" } else { "0x0000000000000000" },
    })
}

#[tokio::test]
async fn a_gateways_blocks_are_adopted_until_it_stops_and_then_the_fallbacks() {
    let sender = PrivateKeySigner::from_bytes(&B256::repeat_byte(5)).expect("a key");
    let fallback = client([2; 32], sender.address()).await;
    let owner = client([3; 32], sender.address()).await;
    let other = client([3; 32], sender.address()).await;
    let secrets = tempfile::tempdir().expect("temporary directory");
    let config = config(&secrets, &fallback.server.engine_url(), &Options::default());
    let (_publisher, schedule) = channel(snapshot([owner.server.engine_url(), other.server.engine_url()]));
    let portal = run_with_schedule(&config, schedule, CancellationToken::new()).await.expect("the portal starts");
    let op_node = OpNode::new(&portal);

    let genesis = fallback.engine.head().hash();
    let forkchoice = |head| json!({"headBlockHash": head, "safeBlockHash": genesis, "finalizedBlockHash": genesis});
    let mut owner = Some(owner);
    let mut head = genesis;
    for number in 1..=10 {
        let alive = number <= 5;
        match &owner {
            Some(owner) if alive => send(owner, &sender, number - 1).await,
            _ => {
                if let Some(owner) = owner.take() {
                    owner.server.shutdown().await;
                }
            }
        }
        let order = op_node.call("engine_forkchoiceUpdatedV3", json!([forkchoice(head), attributes(number)])).await;
        let id = order["result"]["payloadId"].as_str().unwrap_or_else(|| panic!("{order}")).to_owned();
        let answer = op_node.payload(&id).await;
        let decision = op_node.decision().await;
        let payload = &answer["result"]["executionPayload"];
        assert_eq!(decision["choice"], if alive { "gateway" } else { "fallback" }, "{decision}");
        assert_eq!(decision["owner"], 1);
        assert_eq!(payload["transactions"].as_array().map(Vec::len), Some(usize::from(alive)), "{decision}");
        let root = &answer["result"]["parentBeaconBlockRoot"];
        let verdict = op_node.call("engine_newPayloadV4", json!([payload, [], root, []])).await;
        assert_eq!(verdict["result"]["status"], "VALID", "{verdict}");
        head = serde_json::from_value(payload["blockHash"].clone()).expect("a hash");
        let updated = op_node.call("engine_forkchoiceUpdatedV3", json!([forkchoice(head), null])).await;
        assert_eq!(updated["result"]["payloadStatus"]["status"], "VALID", "{updated}");
    }
    assert_eq!(fallback.engine.head().hash(), head);
    assert_eq!(fallback.engine.head().number(), 10);
    // The other gateway was told of every block, the dead one's and the fallback's alike.
    let caught_up = async {
        while other.engine.head().hash() != head {
            tokio::time::sleep(std::time::Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(std::time::Duration::from_secs(10), caught_up).await.expect("the other gateway has the head");
}
