//! Sending a transaction and waiting for it.

use crate::{
    l1::{L1, L1Error},
    posting::{Fees, MarketFees, TransactionKind},
};
use alloy::{
    eips::{BlockNumberOrTag, Encodable2718, eip7594::BlobTransactionSidecarVariant},
    network::Ethereum,
    network::{
        EthereumWallet, NetworkTransactionBuilder, TransactionBuilder, TransactionBuilder4844, TransactionBuilderError,
    },
    primitives::{Address, B256, Bytes, TxHash},
    providers::Provider,
    rpc::types::{BlockOverrides, TransactionReceipt, TransactionRequest},
    signers::local::PrivateKeySigner,
    sol_types::SolInterface,
    transports::TransportError,
};
use baton_bindings::IInbox;
use futures::future::join_all;

/// Why a transaction wasn't sent.
#[derive(Debug, thiserror::Error)]
pub enum SendError {
    /// The L1 couldn't be read.
    #[error("{0}")]
    L1(#[from] L1Error),
    /// The L1 couldn't be asked.
    #[error("L1 node: {0}")]
    Rpc(#[from] TransportError),
    /// No node took it.
    #[error("no L1 node took the transaction: {0}")]
    Refused(TransportError),
    /// The inbox would revert.
    #[error("the inbox would revert: {0}")]
    WouldRevert(String),
    /// The transaction can't be built or signed.
    #[error("the transaction can't be built: {0}")]
    Build(String),
}

/// A transaction that was sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pending {
    /// Its hash.
    pub hash: TxHash,
    /// Its nonce.
    pub nonce: u64,
    /// What it offers.
    pub fees: Fees,
    /// Plain or blob.
    pub kind: TransactionKind,
    /// The slot that it was sent for.
    pub slot: u64,
}

/// What became of it.
#[derive(Clone, Debug, PartialEq)]
pub enum Outcome {
    /// Not included yet.
    Waiting,
    /// Included.
    Included(Box<TransactionReceipt>),
    /// Its nonce was used by another transaction.
    Replaced,
}

/// The settler's account. Sends one transaction at a time: the nonce is the account's own as of the newest block, never guessed ahead.
#[derive(Debug)]
pub struct Sender {
    wallet: EthereumWallet,
    address: Address,
    chain_id: u64,
}

impl Sender {
    /// A sender for an account.
    pub fn new(key: PrivateKeySigner, chain_id: u64) -> Self {
        let address = key.address();
        Self { wallet: EthereumWallet::from(key), address, chain_id }
    }

    /// The account.
    pub const fn address(&self) -> Address {
        self.address
    }

    /// Asks the inbox what a call would do in a slot that begins at `timestamp`, after block `parent`. A node that can't simulate that says nothing
    /// against it.
    ///
    /// # Errors
    /// [`SendError::WouldRevert`].
    pub async fn simulate(
        &self,
        l1: &L1,
        data: &Bytes,
        blob_hashes: Vec<B256>,
        parent: u64,
        timestamp: u64,
    ) -> Result<(), SendError> {
        let mut request =
            TransactionRequest::default().with_from(self.address).with_to(l1.inbox()).with_input(data.clone());
        if !blob_hashes.is_empty() {
            request.blob_versioned_hashes = Some(blob_hashes);
        }
        let overrides = BlockOverrides {
            number: Some(alloy::primitives::U256::from(parent + 1)),
            time: Some(timestamp),
            ..Default::default()
        };
        let call = l1.node().call(request).block(BlockNumberOrTag::Latest.into()).with_block_overrides(overrides);
        let Err(error) = call.await else { return Ok(()) };
        let revert = error.as_error_resp().and_then(|payload| payload.as_revert_data());
        match revert {
            Some(data) => Err(SendError::WouldRevert(
                IInbox::IInboxErrors::abi_decode(&data).map_or_else(|_| data.to_string(), |error| format!("{error:?}")),
            )),
            None => {
                tracing::debug!(%error, "settlement can't be simulated by this node");
                Ok(())
            }
        }
    }

    /// Signs a call of the inbox and hands it to every L1 node. `replaces` is a transaction of ours that wasn't included: if its nonce is still free,
    /// this one takes its place.
    ///
    /// # Errors
    /// See [`SendError`].
    pub async fn send(
        &self,
        l1: &L1,
        data: Bytes,
        sidecar: Option<BlobTransactionSidecarVariant>,
        gas_limit: u64,
        slot: u64,
        replaces: Option<&Pending>,
    ) -> Result<Pending, SendError> {
        let kind = if sidecar.is_some() { TransactionKind::Blob } else { TransactionKind::Plain };
        let nonce = l1.node().get_transaction_count(self.address).latest().await?;
        let market = self.market(l1).await?;
        let fees = match replaces {
            Some(earlier) if earlier.nonce == nonce => market.replace(kind, &earlier.fees),
            _ => market.offer(kind),
        };
        let mut request = TransactionRequest::default()
            .with_from(self.address)
            .with_to(l1.inbox())
            .with_input(data)
            .with_nonce(nonce)
            .with_chain_id(self.chain_id)
            .with_gas_limit(gas_limit)
            .with_max_fee_per_gas(fees.max)
            .with_max_priority_fee_per_gas(fees.tip);
        if let Some(sidecar) = sidecar {
            request.set_blob_sidecar(sidecar);
            request.set_max_fee_per_blob_gas(fees.max_blob);
        }
        let signed = NetworkTransactionBuilder::<Ethereum>::build(request, &self.wallet)
            .await
            .map_err(|error: TransactionBuilderError<Ethereum>| SendError::Build(error.to_string()))?;
        let pending = Pending { hash: *signed.tx_hash(), nonce, fees, kind, slot };
        let raw = signed.encoded_2718();
        let answers = join_all(l1.nodes().iter().map(|node| node.send_raw_transaction(&raw))).await;
        let mut refusal = None;
        for answer in answers {
            match answer {
                Ok(_) => return Ok(pending),
                Err(error) => refusal = Some(error),
            }
        }
        // There is at least one node.
        refusal.map_or(Ok(pending), |error| Err(SendError::Refused(error)))
    }

    /// Looks what became of a transaction.
    ///
    /// # Errors
    /// The L1's.
    pub async fn outcome(&self, l1: &L1, pending: &Pending) -> Result<Outcome, SendError> {
        if let Some(receipt) = l1.node().get_transaction_receipt(pending.hash).await? {
            return Ok(Outcome::Included(Box::new(receipt)));
        }
        let used = l1.node().get_transaction_count(self.address).latest().await?;
        Ok(if used > pending.nonce { Outcome::Replaced } else { Outcome::Waiting })
    }

    async fn market(&self, l1: &L1) -> Result<MarketFees, SendError> {
        let node = l1.node();
        let (block, tip, blob_base) = tokio::try_join!(
            node.get_block(BlockNumberOrTag::Latest.into()).into_future(),
            node.get_max_priority_fee_per_gas().into_future(),
            node.get_blob_base_fee().into_future(),
        )?;
        let base = block.and_then(|block| block.header.base_fee_per_gas).unwrap_or_default();
        Ok(MarketFees { base: base.into(), tip, blob_base })
    }
}

/// The gas limit of a settlement: more than it can use, since only what is used is paid. Per block a hash of calldata (EIP-7623's floor) and its
/// link; per run a signature, the verdict over a window's slots, and a charge.
pub const fn settle_gas_limit(blocks: usize, runs: usize) -> u64 {
    400_000 + 3_000 * blocks as u64 + 500_000 * runs as u64
}

/// The gas limit of a collection.
pub const fn collect_gas_limit(outcomes: usize) -> u64 {
    200_000 + 60_000 * outcomes as u64
}
