//! Sending a transaction and waiting for it.

use crate::{
    l1::{L1, L1Error},
    posting::{Answer, Conditions, Fees, MarketFees, Revert, TransactionKind},
};
use alloy::{
    eips::{BlockNumberOrTag, Encodable2718, eip7594::BlobTransactionSidecarVariant},
    network::Ethereum,
    network::{
        EthereumWallet, NetworkTransactionBuilder, TransactionBuilder, TransactionBuilder4844, TransactionBuilderError,
    },
    primitives::{Address, B256, Bytes, TxHash, U256},
    providers::Provider,
    rpc::types::{BlockOverrides, TransactionReceipt, TransactionRequest},
    signers::local::PrivateKeySigner,
    transports::TransportError,
};
use futures::future::join_all;
use std::time::Duration;

/// How often an offer is doubled at most before a transaction is given up.
const MAX_RAISES: u32 = 5;
/// How long after an account's nonce has moved the receipts of what moved it are looked for again.
const RECEIPT_LAG: Duration = Duration::from_millis(250);

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
    WouldRevert(Box<Revert>),
    /// The transaction can't be built or signed.
    #[error("the transaction can't be built: {0}")]
    Build(String),
}

impl SendError {
    /// Whether the same transaction at the same L1 block would fail the same way.
    pub const fn is_deterministic(&self) -> bool {
        matches!(self, Self::WouldRevert(_) | Self::Build(_))
    }
}

/// When a slot begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SlotStart {
    /// The slot.
    pub slot: u64,
    /// Unix seconds.
    pub timestamp: u64,
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

/// What a call would take, or come to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Estimate {
    /// It would succeed with so much gas.
    Gas(u64),
    /// It would revert with this data.
    Reverts(Bytes),
}

/// A call and the gas that it may use.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Call {
    /// ABI-encoded, with its selector.
    pub data: Bytes,
    /// Gas limit.
    pub gas_limit: u64,
}

/// An account that calls one contract. Unless told to send several transactions, it sends one at a time: the nonce is the account's own as of the
/// newest block, never guessed ahead.
#[derive(Debug)]
pub struct Sender {
    wallet: EthereumWallet,
    address: Address,
    chain_id: u64,
    contract: Address,
}

impl Sender {
    /// A sender for an account and the contract that it calls.
    pub fn new(key: PrivateKeySigner, chain_id: u64, contract: Address) -> Self {
        let address = key.address();
        Self { wallet: EthereumWallet::from(key), address, chain_id, contract }
    }

    /// The account.
    pub const fn address(&self) -> Address {
        self.address
    }

    /// Asks the inbox what a call would do in a slot, after L1 block `parent`. A node that can't simulate that says nothing against it.
    ///
    /// # Errors
    /// [`SendError::WouldRevert`].
    pub async fn simulate(
        &self,
        l1: &L1,
        data: &Bytes,
        blob_hashes: Vec<B256>,
        parent: u64,
        moment: SlotStart,
    ) -> Result<(), SendError> {
        let blobs = !blob_hashes.is_empty();
        let mut request =
            TransactionRequest::default().with_from(self.address).with_to(self.contract).with_input(data.clone());
        if blobs {
            request.blob_versioned_hashes = Some(blob_hashes);
        }
        let overrides =
            BlockOverrides { number: Some(U256::from(parent + 1)), time: Some(moment.timestamp), ..Default::default() };
        let call = l1.node().call(request).block(BlockNumberOrTag::Latest.into());
        let Err(error) = call.with_block_overrides(overrides.clone()).await else { return Ok(()) };
        let Some(data) = error.as_error_resp().and_then(|payload| payload.as_revert_data()) else {
            tracing::debug!(%error, "transaction can't be simulated by this node");
            return Ok(());
        };
        let revert = Revert::decode(data);
        let conditions = Conditions {
            slot: moment.slot,
            time_obeyed: revert.depends_on_time() && obeys_time(l1, overrides, moment.timestamp).await,
            blobs,
            doubted_is_canonical: match revert.doubted() {
                Some(anchor) => l1.block(anchor.number.into()).await.is_ok_and(|block| block.hash == anchor.hash),
                None => false,
            },
        };
        if revert.counts(&conditions) {
            return Err(SendError::WouldRevert(Box::new(revert)));
        }
        tracing::debug!(%revert, ?conditions, "this node's simulation says nothing about the transaction");
        Ok(())
    }

    /// Asks the newest block's contract what a call would take.
    ///
    /// # Errors
    /// The L1's.
    pub async fn estimate(&self, l1: &L1, data: &Bytes) -> Result<Estimate, SendError> {
        let request =
            TransactionRequest::default().with_from(self.address).with_to(self.contract).with_input(data.clone());
        match l1.node().estimate_gas(request).block(BlockNumberOrTag::Latest.into()).await {
            Ok(gas) => Ok(Estimate::Gas(gas)),
            Err(error) => match error.as_error_resp().and_then(|payload| payload.as_revert_data()) {
                Some(data) => Ok(Estimate::Reverts(data)),
                None => Err(error.into()),
            },
        }
    }

    /// Sends plain calls with one nonce after the other, without waiting for any. Stops at the first that no node takes, which is the answer's last.
    ///
    /// # Errors
    /// The L1's, before anything was sent.
    pub async fn send_all(
        &self,
        l1: &L1,
        calls: Vec<Call>,
        slot: u64,
    ) -> Result<Vec<Result<Pending, SendError>>, SendError> {
        let first = l1.node().get_transaction_count(self.address).latest().await?;
        let fees = self.market(l1).await?.offer(TransactionKind::Plain);
        let mut sent = Vec::new();
        for (nonce, call) in (first..).zip(calls) {
            let request = self.request(call.data, nonce, call.gas_limit);
            let pending = Pending { hash: TxHash::ZERO, nonce, fees, kind: TransactionKind::Plain, slot };
            let answer = self.raise_until_taken(l1, request, pending).await;
            let taken = answer.is_ok();
            sent.push(answer);
            if !taken {
                break;
            }
        }
        Ok(sent)
    }

    /// Signs a call of the contract and hands it to every L1 node. `replaces` is a transaction of ours that wasn't included: if its nonce is still free,
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
        let mut request = self.request(data, nonce, gas_limit);
        if let Some(sidecar) = sidecar {
            request.set_blob_sidecar(sidecar);
        }
        self.raise_until_taken(l1, request, Pending { hash: TxHash::ZERO, nonce, fees, kind, slot }).await
    }

    fn request(&self, data: Bytes, nonce: u64, gas_limit: u64) -> TransactionRequest {
        TransactionRequest::default()
            .with_from(self.address)
            .with_to(self.contract)
            .with_input(data)
            .with_nonce(nonce)
            .with_chain_id(self.chain_id)
            .with_gas_limit(gas_limit)
    }

    async fn raise_until_taken(
        &self,
        l1: &L1,
        request: TransactionRequest,
        mut pending: Pending,
    ) -> Result<Pending, SendError> {
        let mut raises = 0;
        loop {
            match self.broadcast(l1, request.clone(), pending.clone()).await? {
                Ok(pending) => return Ok(pending),
                // One of ours that isn't remembered has this nonce, or nodes ask for more than they say.
                Err(error) if raises < MAX_RAISES && Answer::from_error(&error) == Answer::Underpriced => {
                    tracing::warn!(nonce = pending.nonce, %error, "offer raised");
                    raises += 1;
                    pending.fees = pending.fees.doubled();
                }
                Err(error) => return Err(SendError::Refused(error)),
            }
        }
    }

    /// Signs and hands to every node. What a node may have counts as sent; the inner error is of a node that hasn't.
    async fn broadcast(
        &self,
        l1: &L1,
        mut request: TransactionRequest,
        mut pending: Pending,
    ) -> Result<Result<Pending, TransportError>, SendError> {
        request.set_max_fee_per_gas(pending.fees.max);
        request.set_max_priority_fee_per_gas(pending.fees.tip);
        if pending.kind == TransactionKind::Blob {
            request.set_max_fee_per_blob_gas(pending.fees.max_blob);
        }
        let signed = NetworkTransactionBuilder::<Ethereum>::build(request, &self.wallet)
            .await
            .map_err(|error: TransactionBuilderError<Ethereum>| SendError::Build(error.to_string()))?;
        pending.hash = *signed.tx_hash();
        let raw = signed.encoded_2718();
        let answers = join_all(l1.nodes().iter().map(|node| node.send_raw_transaction(&raw))).await;
        let errors = answers.into_iter().map(|answer| match answer {
            Ok(_) => (Answer::Taken, None),
            Err(error) => (Answer::from_error(&error), Some(error)),
        });
        match errors.min_by_key(|(answer, _)| *answer) {
            Some((Answer::Underpriced | Answer::Refused, Some(error))) => Ok(Err(error)),
            Some((Answer::Unsure, Some(error))) => {
                tracing::warn!(tx = %pending.hash, %error, "no L1 node said that it took the transaction; it may have");
                Ok(Ok(pending))
            }
            // There is at least one node.
            _ => Ok(Ok(pending)),
        }
    }

    /// Looks what became of a transaction.
    ///
    /// # Errors
    /// The L1's.
    pub async fn outcome(&self, l1: &L1, pending: &Pending) -> Result<Outcome, SendError> {
        // The nonce first: the other way round an inclusion in between would look like another transaction's.
        let used = l1.node().get_transaction_count(self.address).latest().await?;
        if let Some(receipt) = l1.node().get_transaction_receipt(pending.hash).await? {
            return Ok(Outcome::Included(Box::new(receipt)));
        }
        if used <= pending.nonce {
            return Ok(Outcome::Waiting);
        }
        // Nodes know a block's state a moment before its receipts, and those behind one URL don't all have the same head.
        tokio::time::sleep(RECEIPT_LAG).await;
        let receipt = l1.node().get_transaction_receipt(pending.hash).await?;
        Ok(receipt.map_or(Outcome::Replaced, |receipt| Outcome::Included(Box::new(receipt))))
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

/// Whether a node runs calls at the time that it is told. One that can't say doesn't.
async fn obeys_time(l1: &L1, overrides: BlockOverrides, timestamp: u64) -> bool {
    // Init code that returns its block's time: TIMESTAMP PUSH0 MSTORE PUSH1 32 PUSH0 RETURN.
    const TIME: &[u8] = &[0x42, 0x5f, 0x52, 0x60, 0x20, 0x5f, 0xf3];
    let probe = TransactionRequest::default().with_deploy_code(TIME.to_vec());
    let call = l1.node().call(probe).block(BlockNumberOrTag::Latest.into()).with_block_overrides(overrides);
    call.await.is_ok_and(|answer| answer.as_ref() == U256::from(timestamp).to_be_bytes::<32>())
}

/// The gas limit of a collection.
pub const fn collect_gas_limit(outcomes: usize) -> u64 {
    200_000 + 60_000 * outcomes as u64
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        l1::scripted::{l1_block, l1_of},
        scripted_node::serve,
    };
    use alloy::{primitives::b256, sol_types::SolError};
    use baton_bindings::IInbox;
    use serde_json::{Value, json};
    use std::sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    };

    const HASH: B256 = b256!("0x00000000000000000000000000000000000000000000000000000000000000aa");
    const MOMENT: SlotStart = SlotStart { slot: 40, timestamp: 480 };

    fn sender() -> Sender {
        Sender::new(PrivateKeySigner::from_bytes(&B256::repeat_byte(1)).expect("a key"), 1, Address::repeat_byte(2))
    }

    fn reverts(data: Vec<u8>) -> Result<Value, Value> {
        Err(json!({"code": 3, "message": "execution reverted", "data": Bytes::from(data)}))
    }

    /// A node that reverts calls of the inbox, runs others at time `now` if not at the one it is told, and has block 9.
    async fn simulate(revert: Vec<u8>, now: Option<u64>) -> Result<(), SendError> {
        let url = serve(move |method, params| match method {
            "eth_call" if params[0]["to"].is_null() => {
                let told = params[3]["time"].as_str().expect("an override").trim_start_matches("0x");
                let told = u64::from_str_radix(told, 16).expect("hex");
                Ok(json!(B256::from(U256::from(now.unwrap_or(told)))))
            }
            "eth_call" => reverts(revert.clone()),
            "eth_getBlockByNumber" => Ok(l1_block(9, HASH, 7)),
            _ => Err(json!({"code": -32601, "message": method})),
        })
        .await;
        sender().simulate(&l1_of(vec![url]), &Bytes::new(), vec![HASH], 9, MOMENT).await
    }

    #[tokio::test]
    async fn a_node_without_the_parents_hash_says_nothing() {
        let view = |hash| IInbox::ViewNotCanonical { viewNumber: 9, viewHash: hash }.abi_encode();
        assert!(simulate(view(HASH), None).await.is_ok());
        assert!(matches!(simulate(view(B256::ZERO), None).await, Err(SendError::WouldRevert(_))));
    }

    #[tokio::test]
    async fn an_inclusion_between_two_questions_is_no_replacement() {
        let asked = AtomicUsize::new(0);
        let url = serve(move |method, _| {
            // Included right after the first question; a receipt that is there is more than this test needs.
            let included = asked.fetch_add(1, Ordering::Relaxed) > 0;
            match method {
                "eth_getTransactionCount" => Ok(json!(if included { "0x6" } else { "0x5" })),
                _ => Ok(Value::Null),
            }
        })
        .await;
        let fees = Fees { max: 1, tip: 1, max_blob: 0 };
        let pending = Pending { hash: HASH, nonce: 5, fees, kind: TransactionKind::Plain, slot: 40 };
        let outcome = sender().outcome(&l1_of(vec![url]), &pending).await.expect("answered");
        assert_eq!(outcome, Outcome::Waiting);
    }

    /// A node whose base fee is 100 and tip 10, and which answers the transactions it gets by their count.
    async fn node_that_answers(
        answer: impl Fn(usize) -> Result<Value, Value> + Send + Sync + 'static,
    ) -> (String, Arc<AtomicUsize>) {
        let sent = Arc::new(AtomicUsize::new(0));
        let count = sent.clone();
        let url = serve(move |method, _| match method {
            "eth_getTransactionCount" => Ok(json!("0x5")),
            "eth_getBlockByNumber" => Ok(l1_block(9, HASH, 100)),
            "eth_maxPriorityFeePerGas" => Ok(json!("0xa")),
            "eth_blobBaseFee" => Ok(json!("0x1")),
            _ => answer(count.fetch_add(1, Ordering::Relaxed)),
        })
        .await;
        (url, sent)
    }

    fn refuses(message: &str) -> Result<Value, Value> {
        Err(json!({"code": -32000, "message": message}))
    }

    async fn send(urls: Vec<String>) -> Result<Pending, SendError> {
        sender().send(&l1_of(urls), Bytes::new(), None, 100_000, 40, None).await
    }

    #[tokio::test]
    async fn what_a_node_may_have_is_pending() {
        for answer in ["already known", "request timed out"] {
            let (url, sent) = node_that_answers(move |_| refuses(answer)).await;
            let pending = send(vec![url]).await.expect("pending");
            assert_eq!((pending.nonce, pending.fees.max, sent.load(Ordering::Relaxed)), (5, 210, 1), "{answer}");
        }
        let (url, _) = node_that_answers(|_| refuses("insufficient funds")).await;
        assert!(matches!(send(vec![url.clone()]).await, Err(SendError::Refused(_))));
        let (other, _) = node_that_answers(|_| Ok(json!(HASH))).await;
        assert!(send(vec![url, other]).await.is_ok(), "one node is enough");
        // Nobody listens there: it can't have it.
        let (alive, _) = node_that_answers(|_| refuses("insufficient funds")).await;
        assert!(matches!(send(vec![alive, "http://127.0.0.1:1".to_owned()]).await, Err(SendError::Refused(_))));
    }

    #[tokio::test]
    async fn an_offer_that_is_too_low_is_doubled_until_it_is_taken() {
        let too_low = |count| if count < 3 { refuses("replacement transaction underpriced") } else { Ok(json!(HASH)) };
        let (url, sent) = node_that_answers(too_low).await;
        let pending = send(vec![url]).await.expect("taken");
        assert_eq!(pending.fees, Fees { max: 8 * 210, tip: 80, max_blob: 0 });
        assert_eq!(sent.load(Ordering::Relaxed), 4);
        let (url, sent) = node_that_answers(|_| refuses("transaction underpriced")).await;
        assert!(matches!(send(vec![url]).await, Err(SendError::Refused(_))));
        assert_eq!(sent.load(Ordering::Relaxed), 6);
    }

    #[tokio::test]
    async fn a_node_that_ignores_overrides_says_nothing_about_slots() {
        let holder = IInbox::NotHolder { gateway: 1, holder: 2 }.abi_encode();
        assert!(simulate(holder.clone(), Some(468)).await.is_ok());
        assert!(matches!(simulate(holder, None).await, Err(SendError::WouldRevert(_))));
        let moved = IInbox::HeadMoved { number: 1, link: HASH }.abi_encode();
        assert!(matches!(simulate(moved, Some(468)).await, Err(SendError::WouldRevert(_))));
    }
}
