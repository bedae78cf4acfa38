//! Transactions on their way through pool, block and receipt.

use alloy::{
    consensus::{SignableTransaction, TxEip1559, TxLegacy},
    eips::eip2718::Encodable2718,
    primitives::{Address, B256, Bytes, TxKind, U256, address, bytes},
    rpc::types::Block,
    signers::SignerSync,
};
use baton_devnet_engine::predeploy::{L1_BLOCK, SEQUENCER_FEE_VAULT};
use op_alloy::{
    consensus::OpTxEnvelope,
    rpc_types::{OpTransactionReceipt, Transaction},
};
use serde_json::{Value, json};

use crate::harness::{
    CHAIN_ID, GWEI, Node, attributes_with, block_hash, deposit, ether, l1_info, sign, transaction, transactions,
    transfer, wallet,
};

/// Init code of a counter: each call adds one to slot 0, logs the new count under topic 0x2a and returns it.
const COUNTER: Bytes = bytes!("60148060095f395ff35f54600101805f555f52602a60205fa160205ff3");

/// Init code of a contract that always reverts with `Error("no")`.
const REVERTING: Bytes = bytes!(
    "60558060095f395ff3"
    "7f08c379a0000000000000000000000000000000000000000000000000000000005f52"
    "602060045260026024527f6e6f00000000000000000000000000000000000000000000000000000000000060445260645ffd"
);

async fn deploy(node: &Node, from: u8, nonce: u64, code: Bytes) -> Address {
    let hash = node.send(sign(&wallet(from), transaction(nonce, TxKind::Create, U256::ZERO, code))).await;
    node.advance_by_one().await;
    let receipt: OpTransactionReceipt =
        serde_json::from_value(node.call("eth_getTransactionReceipt", json!([hash])).await).unwrap();
    assert!(receipt.inner.inner.receipt.as_receipt().status.coerce_status());
    let address = receipt.inner.contract_address.unwrap();
    assert_eq!(address, wallet(from).address().create(nonce));
    address
}

#[tokio::test]
async fn contract_is_deployed_and_called_through_the_pool() {
    let node = Node::start().await;
    let counter = deploy(&node, 0, 0, COUNTER).await;
    assert_eq!(node.call("eth_getCode", json!([counter, "latest"])).await, json!(COUNTER.slice(9..)));

    let count = |nonce| transaction(nonce, TxKind::Call(counter), U256::ZERO, Bytes::new());
    let first = node.send(sign(&wallet(0), count(1))).await;
    let second = node.send(sign(&wallet(1), count(0))).await;
    let envelope = node.advance_by_one().await;
    assert_eq!(node.call("eth_getStorageAt", json!([counter, "0x0", "latest"])).await, json!(B256::with_last_byte(2)));
    let simulated = node.call("eth_call", json!([{ "to": counter }, "latest"])).await;
    assert_eq!(simulated, json!(B256::with_last_byte(3)));
    assert_eq!(node.call("eth_call", json!([{ "to": counter }, "0x1"])).await, json!(B256::with_last_byte(1)));

    let logs = node.call("eth_getLogs", json!([{ "fromBlock": "0x0", "address": counter }])).await;
    assert_eq!(logs.as_array().unwrap().len(), 2);
    for (index, (log, hash)) in logs.as_array().unwrap().iter().zip([first, second]).enumerate() {
        assert_eq!(log["transactionHash"], hash);
        assert_eq!(log["topics"], json!([B256::with_last_byte(0x2a)]));
        assert_eq!(log["data"], json!(B256::with_last_byte(index as u8 + 1)));
        assert_eq!(log["logIndex"], json!(format!("{index:#x}")));
        assert_eq!(log["blockHash"], envelope["executionPayload"]["blockHash"]);
        let receipt = node.call("eth_getTransactionReceipt", json!([hash])).await;
        assert_eq!(receipt["logs"], json!([log]));
    }
    let other = json!([{ "fromBlock": "0x0", "topics": [B256::with_last_byte(0x2b)] }]);
    assert_eq!(node.call("eth_getLogs", other).await, json!([]));
}

#[tokio::test]
async fn estimated_gas_is_the_least_that_suffices() {
    let node = Node::start().await;
    let counter = deploy(&node, 0, 0, COUNTER).await;
    let request = json!({ "from": wallet(0).address(), "to": counter });
    let estimate: U256 = serde_json::from_value(node.call("eth_estimateGas", json!([request])).await).unwrap();
    let with_gas = |gas: U256| json!([{ "from": wallet(0).address(), "to": counter, "gas": gas }]);
    node.call("eth_call", with_gas(estimate)).await;
    assert_eq!(node.error("eth_call", with_gas(estimate - U256::from(1))).await.0, -32000);
    let transfer = json!([{ "from": wallet(0).address(), "to": wallet(1).address(), "value": "0x1" }]);
    assert_eq!(node.call("eth_estimateGas", transfer).await, "0x5208");
    let empty = address!("0x00000000000000000000000000000000000000aa");
    let unfunded = json!([{ "from": empty, "to": wallet(1).address(), "value": "0x1" }]);
    assert_eq!(node.error("eth_estimateGas", unfunded).await.0, -32000);
}

#[tokio::test]
async fn reverts_carry_their_reason_and_data() {
    let node = Node::start().await;
    let contract = deploy(&node, 0, 0, REVERTING).await;
    for method in ["eth_call", "eth_estimateGas"] {
        let answer = node.answer(method, json!([{ "to": contract }])).await;
        assert_eq!(answer["error"]["code"], 3);
        assert_eq!(answer["error"]["message"], "execution reverted: no");
        assert!(answer["error"]["data"].as_str().unwrap().starts_with("0x08c379a0"), "{answer}");
    }
    // In a block a revert costs its sender, and the receipt says so.
    let hash = node.send(sign(&wallet(0), transaction(1, TxKind::Call(contract), U256::ZERO, Bytes::new()))).await;
    node.advance_by_one().await;
    let receipt = node.call("eth_getTransactionReceipt", json!([hash])).await;
    assert_eq!(receipt["status"], "0x0");
    assert_eq!(node.engine.head().state.nonce(wallet(0).address()), 2);
}

#[tokio::test]
async fn deposits_mint_whether_their_call_succeeds_or_not() {
    let node = Node::start().await;
    let stranger = address!("0x00000000000000000000000000000000000000aa");
    let contract = deploy(&node, 0, 0, REVERTING).await;
    let minted = deposit(B256::repeat_byte(1), stranger, wallet(1).address(), 1000, U256::from(300), Bytes::new());
    let reverting = deposit(B256::repeat_byte(2), stranger, contract, 50, U256::from(20), Bytes::new());
    let before = node.balance(wallet(1).address()).await;
    let envelope = node.advance(&attributes_with(2, &[l1_info(2, 0, 0), minted, reverting])).await;

    assert_eq!(node.balance(stranger).await, U256::from(1000 - 300 + 50));
    assert_eq!(node.balance(wallet(1).address()).await, before + U256::from(300));
    assert_eq!(node.balance(contract).await, U256::ZERO);
    assert_eq!(node.engine.head().state.nonce(stranger), 2);
    let receipts: Vec<OpTransactionReceipt> =
        serde_json::from_value(node.call("eth_getBlockReceipts", json!([block_hash(&envelope)])).await).unwrap();
    let status: Vec<bool> =
        receipts.iter().map(|receipt| receipt.inner.inner.receipt.as_receipt().status.coerce_status()).collect();
    assert_eq!(status, [true, true, false]);
    let raw = node.call("eth_getBlockReceipts", json!(["latest"])).await;
    assert_eq!((&raw[2]["depositNonce"], &raw[2]["type"]), (&json!("0x1"), &json!("0x7e")));
}

#[tokio::test]
async fn l1_and_operator_fees_are_charged_to_the_wei() {
    let node = Node::start().await;
    // From the block's own L1-info deposit on, a scalar of one: the fee is L1 base fee times 16 per byte, over 1e6.
    let hash = node.send(transfer(0, 0, wallet(1).address(), U256::from(5))).await;
    let before = node.balance(wallet(0).address()).await;
    node.advance(&attributes_with(1, &[l1_info(1, 1_000_000, 777)])).await;
    let receipt: OpTransactionReceipt =
        serde_json::from_value(node.call("eth_getTransactionReceipt", json!([hash])).await).unwrap();
    let l1_fee = receipt.l1_block_info.l1_fee.unwrap();
    // A small transaction counts as 100 bytes.
    assert_eq!(l1_fee, 100 * 16 * 7 * GWEI);
    assert_eq!(receipt.l1_block_info.operator_fee_constant, Some(777));
    let gas_fee = u128::from(receipt.inner.gas_used) * receipt.inner.effective_gas_price;
    let spent = before - node.balance(wallet(0).address()).await;
    assert_eq!(spent, U256::from(5 + gas_fee + l1_fee + 777));
    let l1_fee_vault = address!("0x420000000000000000000000000000000000001A");
    assert_eq!(node.balance(l1_fee_vault).await, U256::from(l1_fee));
    let tips = U256::from(21_000) * U256::from(GWEI / 1000);
    assert_eq!(node.balance(SEQUENCER_FEE_VAULT).await, tips);

    // And what can't be paid isn't taken into the pool.
    let balance = node.balance(wallet(2).address()).await;
    let all_but_gas = balance - U256::from(200_000u128 * 2 * GWEI);
    let (code, message) =
        node.error("eth_sendRawTransaction", json!([transfer(2, 0, wallet(1).address(), all_but_gas)])).await;
    assert_eq!(code, -32000);
    assert!(message.starts_with("insufficient funds"), "{message}");
}

#[tokio::test]
async fn l1_block_refuses_everybody_but_the_depositor() {
    let node = Node::start().await;
    let call = json!([{ "from": wallet(0).address(), "to": L1_BLOCK }]);
    assert_eq!(node.error("eth_call", call).await.0, 3);
    node.advance_by_one().await;
    let slot = json!([L1_BLOCK, "0x2", "latest"]);
    assert_eq!(node.call("eth_getStorageAt", slot).await, json!(B256::repeat_byte(1)), "hash of the L1 origin");
}

#[tokio::test]
async fn replacement_needs_a_tenth_more() {
    let node = Node::start().await;
    let fees = |max: u128, tip: u128| {
        let base = transaction(0, TxKind::Call(wallet(1).address()), U256::from(1), Bytes::new());
        sign(&wallet(0), TxEip1559 { max_fee_per_gas: max, max_priority_fee_per_gas: tip, ..base })
    };
    node.send(fees(1000 * GWEI, 100)).await;
    for (max, tip) in [(1099 * GWEI, 110), (1100 * GWEI, 109), (900 * GWEI, 200)] {
        let (code, message) = node.error("eth_sendRawTransaction", json!([fees(max, tip)])).await;
        assert_eq!(code, -32000);
        assert!(message.contains("underpriced"), "{message}");
    }
    let winner = fees(1100 * GWEI, 110);
    node.send(winner.clone()).await;
    let (_, message) = node.error("eth_sendRawTransaction", json!([winner])).await;
    assert_eq!(message, "already known");
    let envelope = node.advance_by_one().await;
    assert_eq!(transactions(&envelope)[1..], [winner]);
}

#[tokio::test]
async fn gapped_transactions_wait_for_the_gap_to_close() {
    let node = Node::start().await;
    let to = wallet(1).address();
    node.send(transfer(0, 1, to, U256::from(1))).await;
    node.send(transfer(0, 3, to, U256::from(1))).await;
    let count = |tag: &'static str| json!([wallet(0).address(), tag]);
    assert_eq!(node.call("eth_getTransactionCount", count("pending")).await, "0x0");
    assert_eq!(node.call("txpool_status", json!([])).await, json!({ "pending": "0x0", "queued": "0x2" }));
    assert_eq!(transactions(&node.advance_by_one().await).len(), 1);

    node.send(transfer(0, 0, to, U256::from(1))).await;
    assert_eq!(node.call("eth_getTransactionCount", count("pending")).await, "0x2");
    assert_eq!(node.call("txpool_status", json!([])).await, json!({ "pending": "0x2", "queued": "0x1" }));
    assert_eq!(transactions(&node.advance_by_one().await).len(), 3);
    assert_eq!(node.call("eth_getTransactionCount", count("latest")).await, "0x2");
    assert_eq!(node.call("txpool_status", json!([])).await, json!({ "pending": "0x0", "queued": "0x1" }));
}

#[tokio::test]
async fn invalid_transactions_are_refused_with_the_reason() {
    let node = Node::start().await;
    node.send(transfer(0, 0, wallet(1).address(), U256::from(1))).await;
    node.advance_by_one().await;
    let base = || transaction(1, TxKind::Call(wallet(1).address()), U256::from(1), Bytes::new());
    let signed = |transaction| sign(&wallet(0), transaction);
    let mut malleable = signed(base()).to_vec();
    let length = malleable.len();
    malleable.truncate(length - 1);
    for (transaction, reason) in [
        (transfer(0, 0, wallet(1).address(), U256::from(2)), "nonce too low"),
        (signed(TxEip1559 { chain_id: CHAIN_ID + 1, ..base() }), "invalid chain id"),
        (signed(TxEip1559 { gas_limit: 20_999, ..base() }), "intrinsic gas too low"),
        (signed(TxEip1559 { gas_limit: 30_000_001, ..base() }), "exceeds block gas limit"),
        (signed(TxEip1559 { value: ether() * U256::from(1000), ..base() }), "insufficient funds"),
        (signed(TxEip1559 { max_priority_fee_per_gas: 3 * GWEI, ..base() }), "max priority fee"),
        (
            signed(TxEip1559 { to: TxKind::Create, input: vec![0; 49_153].into(), gas_limit: 5_000_000, ..base() }),
            "initcode",
        ),
        // EIP-7623: data costs at least its floor.
        (signed(TxEip1559 { input: vec![1; 1000].into(), gas_limit: 60_000, ..base() }), "intrinsic gas too low"),
        (l1_info(5, 0, 0), "deposits come from L1"),
        (malleable.into(), "isn't valid"),
    ] {
        let (code, message) = node.error("eth_sendRawTransaction", json!([transaction])).await;
        assert_eq!(code, -32000, "{message}");
        assert!(message.contains(reason), "expected {reason}: {message}");
    }
    assert_eq!(node.call("txpool_status", json!([])).await["pending"], "0x0");
}

#[tokio::test]
async fn legacy_transactions_work_with_and_without_chain_id() {
    let node = Node::start().await;
    for (nonce, chain_id) in [(0, Some(CHAIN_ID)), (1, None)] {
        let transaction = TxLegacy {
            chain_id,
            nonce,
            gas_price: 2 * GWEI,
            gas_limit: 21_000,
            to: TxKind::Call(wallet(1).address()),
            value: U256::from(1),
            input: Bytes::new(),
        };
        let signature = wallet(0).sign_hash_sync(&transaction.signature_hash()).unwrap();
        let encoded: Bytes = OpTxEnvelope::from(transaction.into_signed(signature)).encoded_2718().into();
        node.send(encoded).await;
    }
    assert_eq!(transactions(&node.advance_by_one().await).len(), 3);
}

#[tokio::test]
async fn blocks_and_transactions_decode_as_op_types() {
    let node = Node::start().await;
    let hash = node.send(transfer(0, 0, wallet(1).address(), U256::from(5))).await;
    let pending: Transaction =
        serde_json::from_value(node.call("eth_getTransactionByHash", json!([hash])).await).unwrap();
    assert_eq!(pending.inner.block_hash, None);
    let envelope = node.advance_by_one().await;
    let full: Block<Transaction> =
        serde_json::from_value(node.call("eth_getBlockByHash", json!([block_hash(&envelope), true])).await).unwrap();
    assert_eq!(full.header.hash, full.header.inner.hash_slow());
    assert_eq!(full.header.hash, block_hash(&envelope));
    let encoded: Vec<Bytes> = full
        .transactions
        .as_transactions()
        .unwrap()
        .iter()
        .map(|transaction| transaction.inner.inner.encoded_2718().into())
        .collect();
    assert_eq!(encoded, transactions(&envelope));
    let mined: Transaction =
        serde_json::from_value(node.call("eth_getTransactionByHash", json!([hash])).await).unwrap();
    assert_eq!(mined, full.transactions.as_transactions().unwrap()[1]);
    assert_eq!(mined.inner.block_number, Some(1));

    let raw: Bytes = serde_json::from_value(node.call("debug_getRawBlock", json!(["latest"])).await).unwrap();
    let decoded: alloy::consensus::Block<OpTxEnvelope> = alloy_rlp::Decodable::decode(&mut raw.as_ref()).unwrap();
    assert_eq!(decoded.header.hash_slow(), block_hash(&envelope));
    assert_eq!(decoded.body.transactions.len(), 2);
    for id in [json!("0x1"), envelope["executionPayload"]["blockHash"].clone()] {
        assert_eq!(node.call("debug_getRawBlock", json!([id])).await, json!(raw));
    }
    let hashes = node.call("eth_getBlockByNumber", json!(["0x1", false])).await;
    assert_eq!(hashes["transactions"][1], hash);
    assert_eq!(hashes["withdrawals"], json!([]));
    assert_eq!(node.call("eth_getBlockByNumber", json!(["0x9", false])).await, Value::Null);
}
