//! A small stream of real L2 transactions: transfers, and calls of a contract that counts.

use crate::driver::{EngineClient, EngineClientError};
use alloy::{
    consensus::{SignableTransaction, TxEip1559, TxEnvelope},
    eips::eip2718::Encodable2718,
    primitives::{Address, B256, Bytes, TxKind, U256, hex},
    signers::{SignerSync, local::PrivateKeySigner},
};
use eyre::Result;
use serde_json::json;
use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};
use tokio::{task::JoinHandle, time::sleep};
use tokio_util::sync::CancellationToken;

/// Init code of a contract that adds one to its storage slot 0 at each call.
///
/// Runtime: `PUSH0 SLOAD PUSH1 1 ADD PUSH0 SSTORE STOP`.
const COUNTER: [u8; 16] = hex!("675f546001015f55005f5260086018f3");

/// A running stream.
pub struct Traffic {
    sent: Arc<Mutex<Vec<B256>>>,
    counter: Address,
    task: JoinHandle<Result<()>>,
}

impl Traffic {
    /// Sends transactions of `user` to `engine` (as a wallet's RPC would, through the portal) until `shutdown`, one every `pause`.
    pub fn start(
        engine: EngineClient,
        user: PrivateKeySigner,
        chain_id: u64,
        pause: Duration,
        shutdown: CancellationToken,
    ) -> Self {
        let sent = Arc::new(Mutex::new(Vec::new()));
        let counter = user.address().create(0);
        let stream = Stream { engine, user, chain_id, counter, sent: sent.clone() };
        let task = tokio::spawn(async move {
            tokio::select! {
                ended = stream.run(pause) => ended,
                () = shutdown.cancelled() => Ok(()),
            }
        });
        Self { sent, counter, task }
    }

    /// Hashes of all transactions that were accepted so far.
    pub fn sent(&self) -> Vec<B256> {
        self.sent.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The counting contract.
    pub const fn counter(&self) -> Address {
        self.counter
    }

    /// Ends the stream and says how it went.
    pub async fn stop(self) -> Result<Vec<B256>> {
        if self.task.is_finished() {
            self.task.await??;
        } else {
            self.task.abort();
        }
        Ok(self.sent.lock().unwrap_or_else(PoisonError::into_inner).clone())
    }
}

struct Stream {
    engine: EngineClient,
    user: PrivateKeySigner,
    chain_id: u64,
    counter: Address,
    sent: Arc<Mutex<Vec<B256>>>,
}

impl Stream {
    async fn run(self, pause: Duration) -> Result<()> {
        for nonce in 0u64.. {
            let (to, value, input, gas_limit) = match nonce {
                0 => (TxKind::Create, U256::ZERO, Bytes::from(COUNTER), 200_000),
                n if n % 3 == 0 => (TxKind::Call(self.counter), U256::ZERO, Bytes::new(), 60_000),
                n => (
                    TxKind::Call(Address::with_last_byte(u8::try_from(n % 200)? + 16)),
                    U256::from(n),
                    Bytes::new(),
                    21_000,
                ),
            };
            let transaction = self.sign(TxEip1559 {
                chain_id: self.chain_id,
                nonce,
                gas_limit,
                max_fee_per_gas: 20_000_000_000,
                max_priority_fee_per_gas: 1_000_000,
                to,
                value,
                input,
                ..Default::default()
            })?;
            let raw = Bytes::from(transaction.encoded_2718());
            self.engine.call("eth_sendRawTransaction", json!([raw])).await.map_err(|error: EngineClientError| {
                eyre::eyre!("the user's transaction with nonce {nonce} was refused: {error}")
            })?;
            self.sent.lock().unwrap_or_else(PoisonError::into_inner).push(*transaction.tx_hash());
            sleep(pause).await;
        }
        Ok(())
    }

    fn sign(&self, transaction: TxEip1559) -> Result<TxEnvelope> {
        let signature = self.user.sign_hash_sync(&transaction.signature_hash())?;
        Ok(transaction.into_signed(signature).into())
    }
}
