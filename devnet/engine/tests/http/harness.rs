//! Engines behind HTTP, a wallet, and payload attributes as a rollup node makes them.

use std::sync::Arc;

use alloy::{
    consensus::{SignableTransaction, TxEip1559},
    eips::eip2718::Encodable2718,
    primitives::{Address, B256, Bytes, TxKind, U256},
    signers::{SignerSync, local::PrivateKeySigner},
};
use baton_devnet_engine::{
    Engine, Fork, GenesisConfig, JwtSecret, ServeConfig, ServerHandle, devnet_genesis,
    predeploy::{L1_BLOCK, L1_INFO_DEPOSITOR, SEQUENCER_FEE_VAULT},
    rpc::jwt::unix_now,
    serve,
};
use op_alloy::consensus::{OpTxEnvelope, TxDeposit};
use serde_json::{Value, json};

pub(crate) const CHAIN_ID: u64 = 901;
pub(crate) const GENESIS_TIME: u64 = 1_700_000_000;
pub(crate) const GWEI: u128 = 1_000_000_000;

/// One ether in wei.
pub(crate) fn ether() -> U256 {
    U256::from(10).pow(U256::from(18))
}

/// A funded account.
pub(crate) fn wallet(index: u8) -> PrivateKeySigner {
    PrivateKeySigner::from_bytes(&B256::repeat_byte(index + 1)).unwrap()
}

pub(crate) fn genesis(fork: Fork) -> GenesisConfig {
    let funded = (0..4).map(|index| wallet(index).address());
    devnet_genesis(CHAIN_ID, fork, GENESIS_TIME, funded, U256::from(100) * ether())
}

/// One served engine and a client for it.
pub(crate) struct Node {
    pub(crate) engine: Arc<Engine>,
    pub(crate) server: ServerHandle,
    pub(crate) secret: JwtSecret,
    client: reqwest::Client,
}

impl Node {
    pub(crate) async fn start() -> Self {
        Self::with_genesis(&genesis(Fork::Isthmus)).await
    }

    pub(crate) async fn with_genesis(genesis: &GenesisConfig) -> Self {
        let engine = Arc::new(Engine::new(genesis).unwrap());
        let secret = JwtSecret::new([0x42; 32]);
        let server = serve(engine.clone(), ServeConfig::ephemeral(secret.clone())).await.unwrap();
        Self { engine, server, secret, client: reqwest::Client::new() }
    }

    /// POSTs a body as it is.
    pub(crate) async fn post(&self, url: String, token: Option<String>, body: String) -> (u16, String) {
        let mut request = self.client.post(url).header("content-type", "application/json").body(body);
        if let Some(token) = token {
            request = request.header("authorization", format!("Bearer {token}"));
        }
        let response = request.send().await.unwrap();
        (response.status().as_u16(), response.text().await.unwrap())
    }

    /// The whole answer of a call on the port with JWT.
    pub(crate) async fn answer(&self, method: &str, params: Value) -> Value {
        let body = json!({ "jsonrpc": "2.0", "id": 1, "method": method, "params": params }).to_string();
        let (status, text) = self.post(self.server.engine_url(), Some(self.secret.token(unix_now())), body).await;
        assert_eq!(status, 200, "{text}");
        serde_json::from_str(&text).unwrap()
    }

    /// The result of a call that must succeed.
    pub(crate) async fn call(&self, method: &str, params: Value) -> Value {
        let mut answer = self.answer(method, params).await;
        assert_eq!(answer.get("error"), None, "{method}");
        answer["result"].take()
    }

    /// The error of a call that must fail: (code, message).
    pub(crate) async fn error(&self, method: &str, params: Value) -> (i64, String) {
        let answer = self.answer(method, params).await;
        let error = answer.get("error").unwrap_or_else(|| panic!("{method} succeeded: {answer}"));
        (error["code"].as_i64().unwrap(), error["message"].as_str().unwrap().to_owned())
    }

    /// Moves the head, without attributes.
    pub(crate) async fn set_head(&self, head: B256) -> Value {
        let state = json!({ "headBlockHash": head, "safeBlockHash": B256::ZERO, "finalizedBlockHash": B256::ZERO });
        self.call("engine_forkchoiceUpdatedV3", json!([state, null])).await
    }

    /// Moves the head to `parent` and starts building on it; the payload's id.
    pub(crate) async fn start_building(&self, parent: B256, attributes: &Value) -> Value {
        let state = json!({ "headBlockHash": parent, "safeBlockHash": B256::ZERO, "finalizedBlockHash": B256::ZERO });
        let answer = self.call("engine_forkchoiceUpdatedV3", json!([state, attributes])).await;
        assert_eq!(answer["payloadStatus"]["status"], "VALID", "{answer}");
        answer["payloadId"].clone()
    }

    /// The Isthmus payload for `attributes` on `parent`.
    pub(crate) async fn build(&self, parent: B256, attributes: &Value) -> Value {
        let id = self.start_building(parent, attributes).await;
        self.call("engine_getPayloadV4", json!([id])).await
    }

    /// Gives the engine a payload; the status it answers.
    pub(crate) async fn new_payload(&self, envelope: &Value) -> Value {
        self.call("engine_newPayloadV4", new_payload_params(envelope)).await
    }

    /// Builds on the head, adopts the block, and returns its envelope.
    pub(crate) async fn advance(&self, attributes: &Value) -> Value {
        let envelope = self.build(self.engine.head().hash(), attributes).await;
        let status = self.new_payload(&envelope).await;
        assert_eq!(status["status"], "VALID", "{status}");
        self.set_head(block_hash(&envelope)).await;
        envelope
    }

    /// Builds the next block on the head with the pool's transactions.
    pub(crate) async fn advance_by_one(&self) -> Value {
        let attributes = attributes_at(self.engine.head().number() + 1);
        self.advance(&attributes).await
    }

    pub(crate) async fn send(&self, transaction: Bytes) -> Value {
        self.call("eth_sendRawTransaction", json!([transaction])).await
    }

    pub(crate) async fn balance(&self, address: Address) -> U256 {
        serde_json::from_value(self.call("eth_getBalance", json!([address, "latest"])).await).unwrap()
    }
}

pub(crate) fn new_payload_params(envelope: &Value) -> Value {
    json!([envelope["executionPayload"], [], envelope["parentBeaconBlockRoot"], envelope["executionRequests"]])
}

pub(crate) fn block_hash(envelope: &Value) -> B256 {
    serde_json::from_value(envelope["executionPayload"]["blockHash"].clone()).unwrap()
}

pub(crate) fn transactions(envelope: &Value) -> Vec<Bytes> {
    serde_json::from_value(envelope["executionPayload"]["transactions"].clone()).unwrap()
}

/// Attributes of block `number` with its L1-info deposit.
pub(crate) fn attributes_at(number: u64) -> Value {
    attributes_with(number, &[l1_info(number, 0, 0)])
}

/// Attributes of block `number` with the given forced transactions.
pub(crate) fn attributes_with(number: u64, transactions: &[Bytes]) -> Value {
    json!({
        "timestamp": format!("{:#x}", GENESIS_TIME + 2 * number),
        "prevRandao": B256::repeat_byte(number as u8),
        "suggestedFeeRecipient": SEQUENCER_FEE_VAULT,
        "withdrawals": [],
        "parentBeaconBlockRoot": B256::repeat_byte(0xbb),
        "transactions": transactions,
        "gasLimit": "0x1c9c380",
        "eip1559Params": "0x000000fa00000006",
    })
}

/// An L1-info deposit with the Isthmus layout and the given fee scalars.
pub(crate) fn l1_info(number: u64, base_fee_scalar: u32, operator_fee_constant: u64) -> Bytes {
    let mut input = vec![0x09, 0x89, 0x99, 0xbe];
    input.extend_from_slice(&base_fee_scalar.to_be_bytes());
    input.extend_from_slice(&0u32.to_be_bytes()); // blob base fee scalar
    input.extend_from_slice(&0u64.to_be_bytes()); // sequence number
    input.extend_from_slice(&(GENESIS_TIME + 12 * number).to_be_bytes());
    input.extend_from_slice(&number.to_be_bytes());
    input.extend_from_slice(&B256::from(U256::from(7 * GWEI)).0); // base fee
    input.extend_from_slice(&B256::from(U256::from(1)).0); // blob base fee
    input.extend_from_slice(&B256::repeat_byte(number as u8).0);
    input.extend_from_slice(&B256::ZERO.0); // batcher
    input.extend_from_slice(&0u32.to_be_bytes()); // operator fee scalar
    input.extend_from_slice(&operator_fee_constant.to_be_bytes());
    deposit(B256::repeat_byte(number as u8), L1_INFO_DEPOSITOR, L1_BLOCK, 0, U256::ZERO, input.into())
}

pub(crate) fn deposit(source: B256, from: Address, to: Address, mint: u128, value: U256, input: Bytes) -> Bytes {
    let deposit = TxDeposit {
        source_hash: source,
        from,
        to: TxKind::Call(to),
        mint,
        value,
        gas_limit: 1_000_000,
        is_system_transaction: false,
        input,
    };
    OpTxEnvelope::from(deposit).encoded_2718().into()
}

/// A transaction to sign; the defaults make a cheap transfer of nothing.
pub(crate) fn transaction(nonce: u64, to: TxKind, value: U256, input: Bytes) -> TxEip1559 {
    TxEip1559 {
        chain_id: CHAIN_ID,
        nonce,
        gas_limit: 200_000,
        max_fee_per_gas: 2 * GWEI,
        max_priority_fee_per_gas: GWEI / 1000,
        to,
        value,
        access_list: Default::default(),
        input,
    }
}

pub(crate) fn sign(signer: &PrivateKeySigner, transaction: TxEip1559) -> Bytes {
    let signature = signer.sign_hash_sync(&transaction.signature_hash()).unwrap();
    OpTxEnvelope::from(transaction.into_signed(signature)).encoded_2718().into()
}

/// A transfer of `value` wei from the wallet at `from`.
pub(crate) fn transfer(from: u8, nonce: u64, to: Address, value: U256) -> Bytes {
    sign(&wallet(from), transaction(nonce, TxKind::Call(to), value, Bytes::new()))
}
