//! Anvil, and the registry.

use crate::programs;
use alloy::{
    network::TransactionBuilder,
    node_bindings::{Anvil, AnvilInstance},
    primitives::{Address, FixedBytes, U256},
    providers::{Provider, RootProvider},
    rpc::types::TransactionRequest,
    signers::local::PrivateKeySigner,
    sol_types::SolValue,
};
use baton_bindings::IRegistry::{self, IRegistryInstance, Registration, RegistryParameters};
use baton_protocol::SlotClock;
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use serde_json::Value;
use std::{path::PathBuf, sync::OnceLock};
use tempfile::TempDir;

/// In wei.
pub const ETHER: u128 = 1_000_000_000_000_000_000;
/// The registry's `margin`, slots.
const MARGIN: u64 = 16;

/// An L1 with a registry on it. Anvil's first account deploys everything and owns every gateway. Dropped, it is gone.
#[derive(Debug)]
pub struct RegistryL1 {
    anvil: AnvilInstance,
    /// Where anvil listens: HTTP, and websockets at the same port.
    pub url: String,
    /// How time is counted.
    pub clock: SlotClock,
    /// Asks anvil.
    pub provider: RootProvider,
    registry: OnceLock<Address>,
    account: PrivateKeySigner,
    arguments: Vec<String>,
    /// Where anvil leaves its chain when it is stopped.
    _state: TempDir,
}

fn start_anvil(port: u16, arguments: &[String]) -> AnvilInstance {
    let program: PathBuf = programs::installed(&programs::project(), "anvil").expect("anvil; run `npm ci`");
    Anvil::at(program).port(port).args(arguments).timeout(30_000).try_spawn().expect("anvil starts")
}

impl RegistryL1 {
    /// A chain without a registry yet, whose first block has a timestamp (Unix seconds). `arguments` are more of anvil's.
    pub async fn start(clock: SlotClock, first: u64, arguments: &[&str]) -> Self {
        let state = TempDir::new().expect("a folder");
        let path = state.path().join("state.json");
        let fixed = ["--state", path.to_str().expect("UTF-8"), "--timestamp", &first.to_string()].map(str::to_owned);
        let arguments: Vec<String> = fixed.into_iter().chain(arguments.iter().map(|&each| each.to_owned())).collect();
        let given = arguments.clone();
        let anvil = tokio::task::spawn_blocking(move || start_anvil(0, &given)).await.expect("anvil starts");
        let provider: RootProvider = RootProvider::new_http(anvil.endpoint_url());
        let account = anvil.keys()[0].clone().into();
        let registry = OnceLock::new();
        Self { url: anvil.endpoint(), anvil, clock, provider, registry, account, arguments, _state: state }
    }

    /// Where anvil serves websockets.
    pub fn ws_url(&self) -> String {
        self.anvil.ws_endpoint()
    }

    /// The account that deploys, registers and owns; anvil signs for it too.
    pub const fn account(&self) -> &PrivateKeySigner {
        &self.account
    }

    /// Ends the node, which keeps its chain for [`Self::start_again`].
    pub async fn stop(&mut self) {
        let id = i32::try_from(self.anvil.child().id()).expect("an id");
        kill(Pid::from_raw(id), Signal::SIGINT).expect("it takes signals");
        crate::until("anvil ends", async || self.anvil.child_mut().try_wait().expect("a child").is_some()).await;
    }

    /// Starts the node again, at the same port and with the same chain.
    pub async fn start_again(&mut self) {
        let (port, arguments) = (self.anvil.port(), self.arguments.clone());
        let anvil = tokio::task::spawn_blocking(move || start_anvil(port, &arguments));
        self.anvil = anvil.await.expect("anvil starts");
    }

    /// Deploys one of the project's contracts.
    pub async fn deploy(&self, contract: &str, arguments: &[u8]) -> Address {
        let code = [&programs::creation_code(contract)[..], arguments].concat();
        self.send(TransactionRequest::default().with_deploy_code(code)).await.expect("a contract")
    }

    /// Deploys the registry. Without a verifier (address zero) there are no proposers to prove, and the slots are shared out in turns.
    pub async fn deploy_registry(&self, first_verifier: Address, genesis_fork_version: FixedBytes<4>) {
        let operator = self.account.address();
        let parameters = RegistryParameters {
            l1GenesisTime: self.clock.l1_genesis_time,
            slotLength: self.clock.slot_length,
            l2BlockTime: self.clock.l2_block_time,
            settlementDelay: self.clock.settlement_delay,
            margin: MARGIN,
            turn: 8,
            minChances: 3,
            evidenceHorizon: 256,
            exitDelay: 320,
            registrationFee: U256::from(1),
            penaltyThreshold: U256::from(2 * ETHER),
            refundThreshold: U256::from(ETHER),
            largeFault: U256::from(ETHER),
            blockPrice: U256::from(ETHER / 1000),
            operator,
            fallbackKey: Address::repeat_byte(0xfb),
            inbox: Address::repeat_byte(0x1b),
            genesisForkVersion: genesis_fork_version,
            timelock: operator,
            firstForkSlot: 0,
            firstVerifier: first_verifier,
        };
        let address = self.deploy("Registry", &parameters.abi_encode()).await;
        self.registry.set(address).expect("one registry");
    }

    /// Where [`Self::deploy_registry`] put it.
    pub fn registry(&self) -> Address {
        *self.registry.get().expect("a registry")
    }

    /// Asks it, and makes calls to it.
    pub fn contract(&self) -> IRegistryInstance<RootProvider> {
        IRegistry::new(self.registry(), self.provider.clone())
    }

    /// Sends a transaction, waits until it is mined, and gives the address of the contract it made, if any. Where anvil mines only when told, somebody
    /// else has to tell it meanwhile.
    pub async fn send(&self, transaction: TransactionRequest) -> Option<Address> {
        let transaction = transaction.with_from(self.account.address());
        let sent = self.provider.send_transaction(transaction).await.expect("accepted");
        let mut receipt = None;
        crate::until("the transaction is mined", async || {
            receipt = self.provider.get_transaction_receipt(*sent.tx_hash()).await.expect("an answer");
            receipt.is_some()
        })
        .await;
        let receipt = receipt.expect("mined");
        assert!(receipt.status(), "{receipt:?}");
        receipt.contract_address
    }

    /// Registers a gateway. Ids are given in order of registration, from 1.
    pub async fn register(&self, number: u8, endpoint: &str, feed: &str) {
        let registration = Registration {
            owner: self.account.address(),
            settler: Address::repeat_byte(number),
            sequencerKey: Address::repeat_byte(number | 0x80),
            penalty: U256::from(2 * ETHER),
            endpoint: endpoint.to_owned(),
            feed: feed.to_owned(),
        };
        let call = self.contract().register(registration).into_transaction_request();
        self.send(call.with_value(U256::from(3 * ETHER + 1))).await;
    }

    /// One of anvil's own methods.
    pub async fn anvil(&self, method: &'static str, params: Value) -> Value {
        self.provider.raw_request(method.into(), params).await.expect("anvil obeys")
    }

    /// Mines a block with a timestamp, Unix seconds.
    pub async fn mine_at(&self, timestamp: u64) {
        self.anvil("evm_mine", serde_json::json!([timestamp])).await;
    }
}
