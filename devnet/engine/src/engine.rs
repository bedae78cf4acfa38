//! The engine: chain, pool and payload jobs behind the calls of the Engine API.

use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use alloy::{
    consensus::{Header, transaction::Recovered},
    primitives::{B256, Bytes},
    rpc::types::engine::{
        ExecutionPayloadBodyV1, ForkchoiceState, ForkchoiceUpdated, PayloadStatus, PayloadStatusEnum,
    },
};
use op_alloy::{consensus::OpTxEnvelope, rpc_types_engine::OpPayloadAttributes};

use crate::{
    block::ExecutedBlock,
    building::PayloadJobs,
    chain::Chain,
    error::EngineError,
    execution::{ExecutionError, NoCandidates, execute_block},
    fork::{ChainRules, FeeParameterError},
    genesis::GenesisConfig,
    payload::{NewPayload, PayloadError, decode_transactions},
    pool::Pool,
    state::StateView,
    validation::{check_against_parent, check_outcome},
};

/// `engine_getPayloadBodies*` answers at most this many bodies.
const MAX_BODIES: u64 = 1024;

/// One execution engine: a chain in memory with its pool. All methods are synchronous and safe to call from any thread.
#[derive(Debug)]
pub struct Engine {
    rules: ChainRules,
    inner: RwLock<Inner>,
}

#[derive(Debug)]
pub(crate) struct Inner {
    pub(crate) chain: Chain,
    pub(crate) pool: Pool,
    pub(crate) jobs: PayloadJobs,
}

impl Engine {
    /// An engine that stands at genesis.
    ///
    /// # Errors
    /// When the genesis' fee parameters don't fit its fork.
    pub fn new(genesis: &GenesisConfig) -> Result<Self, FeeParameterError> {
        let chain = Chain::new(genesis.block()?);
        let inner = Inner { chain, pool: Pool::default(), jobs: PayloadJobs::default() };
        Ok(Self { rules: genesis.rules(), inner: RwLock::new(inner) })
    }

    /// The chain's rules.
    pub fn rules(&self) -> &ChainRules {
        &self.rules
    }

    /// The canonical head.
    pub fn head(&self) -> Arc<ExecutedBlock> {
        self.read().chain.head().clone()
    }

    /// The newest safe block; `None` until the consensus layer names one.
    pub fn safe(&self) -> Option<Arc<ExecutedBlock>> {
        self.read().chain.safe().cloned()
    }

    /// The newest finalized block; `None` until the consensus layer names one.
    pub fn finalized(&self) -> Option<Arc<ExecutedBlock>> {
        self.read().chain.finalized().cloned()
    }

    /// A valid block, canonical or not.
    pub fn block(&self, hash: B256) -> Option<Arc<ExecutedBlock>> {
        self.read().chain.block(hash).cloned()
    }

    /// A canonical block.
    pub fn block_at(&self, number: u64) -> Option<Arc<ExecutedBlock>> {
        self.read().chain.block_at(number).cloned()
    }

    /// `engine_forkchoiceUpdated`: moves the head, and starts building on it where attributes are given.
    ///
    /// # Errors
    /// When safe or finalized aren't ancestors of the head, or the attributes are invalid. The latter leaves the
    /// head moved, as the Engine API wants.
    pub fn forkchoice_updated(
        &self,
        state: ForkchoiceState,
        attributes: Option<OpPayloadAttributes>,
    ) -> Result<ForkchoiceUpdated, EngineError> {
        let head = {
            let mut inner = self.write();
            let Some(head) = inner.chain.block(state.head_block_hash).cloned() else {
                return Ok(ForkchoiceUpdated::new(match inner.chain.invalid_ancestor(state.head_block_hash) {
                    Some(valid) => invalid(Some(valid), "head is an invalid block"),
                    None => PayloadStatus::from_status(PayloadStatusEnum::Syncing),
                }));
            };
            let safe = inner.ancestor_of(&head, state.safe_block_hash, "safeBlockHash")?;
            let finalized = inner.ancestor_of(&head, state.finalized_block_hash, "finalizedBlockHash")?;
            let change = inner.chain.set_head(&head);
            inner.chain.set_safe_and_finalized(safe, finalized);
            if !change.added.is_empty() || !change.removed.is_empty() {
                tracing::debug!(number = head.number(), hash = %head.hash(), removed = change.removed.len(), "new head");
                // What a reorg dropped goes back, except where the new branch has it too, which makes it stale.
                for transaction in change.removed.iter().flat_map(|block| block.pool_transactions()) {
                    let nonce = head.state.nonce(transaction.signer());
                    if let Err(reason) = inner.pool.add(transaction.clone(), nonce) {
                        tracing::debug!(%reason, "transaction of a dropped block not taken back");
                    }
                }
                inner.pool.drop_stale(&head.state);
            }
            head
        };
        let status = PayloadStatus::new(PayloadStatusEnum::Valid, Some(head.hash()));
        let updated = ForkchoiceUpdated::new(status);
        match attributes {
            None => Ok(updated),
            Some(attributes) => Ok(updated.with_payload_id(self.start_payload(head, &attributes)?)),
        }
    }

    /// `engine_newPayload`: checks a block by executing it, and keeps it if it is valid.
    ///
    /// # Errors
    /// Only when the executor itself fails; an invalid block is an answer.
    pub fn new_payload(&self, payload: &NewPayload) -> Result<PayloadStatus, EngineError> {
        let header = match payload.header() {
            Ok(header) => header,
            Err(error) => return Ok(invalid(None, &error.to_string())),
        };
        // Since Isthmus the hash says nothing of this list: judge the payload by it, never the hash.
        if !payload.payload.payload_inner.withdrawals.is_empty() {
            return Ok(invalid(None, "withdrawals must be empty"));
        }
        let hash = header.hash_slow();
        if hash != payload.block_hash() {
            let reason = format!("blockHash is {}, the payload's fields hash to {hash}", payload.block_hash());
            return Ok(invalid(None, &reason));
        }
        let (parent, view) = {
            let inner = self.read();
            if inner.chain.block(hash).is_some() {
                return Ok(PayloadStatus::new(PayloadStatusEnum::Valid, Some(hash)));
            }
            match inner.chain.block(header.parent_hash).cloned() {
                Some(parent) if inner.chain.has_state(&parent) => {
                    let view = inner.view(&parent)?;
                    (parent, view)
                }
                _ => {
                    let ancestor = inner.chain.invalid_ancestor(header.parent_hash);
                    drop(inner);
                    return Ok(match ancestor {
                        Some(valid) => {
                            self.write().chain.mark_invalid(hash, valid);
                            invalid(Some(valid), "an ancestor is invalid")
                        }
                        None => PayloadStatus::from_status(PayloadStatusEnum::Syncing),
                    });
                }
            }
        };
        match self.execute_payload(payload, header, &parent, &view) {
            Ok(block) => {
                self.write().chain.insert(Arc::new(block));
                Ok(PayloadStatus::new(PayloadStatusEnum::Valid, Some(hash)))
            }
            Err(Rejection::Invalid(reason)) => {
                tracing::warn!(%hash, reason, "invalid payload");
                self.write().chain.mark_invalid(hash, parent.hash());
                Ok(invalid(Some(parent.hash()), &reason))
            }
            Err(Rejection::Internal(error)) => Err(EngineError::internal(error)),
        }
    }

    fn execute_payload(
        &self,
        payload: &NewPayload,
        header: Header,
        parent: &ExecutedBlock,
        view: &StateView,
    ) -> Result<ExecutedBlock, Rejection> {
        let invalid = |error: &dyn std::error::Error| Rejection::Invalid(error.to_string());
        check_against_parent(&self.rules, &header, &parent.header).map_err(|error| invalid(&error))?;
        let transactions = self.decode(payload.encoded_transactions()).map_err(|error| invalid(&error))?;
        let block = execute_block(&self.rules, view, header.clone(), transactions, NoCandidates)
            .map_err(|error| if error.is_invalid() { invalid(&error) } else { Rejection::Internal(error) })?;
        check_outcome(&header, &block.header).map_err(|error| invalid(&error))?;
        Ok(block)
    }

    /// Decodes transactions; those that came through the pool bring their sender along.
    pub(crate) fn decode(&self, encoded: &[Bytes]) -> Result<Vec<Recovered<OpTxEnvelope>>, PayloadError> {
        decode_transactions(encoded, |hash| self.read().pool.get(hash).map(Recovered::signer))
    }

    /// `engine_getPayloadBodiesByHashV1`: `None` for each unknown block.
    ///
    /// # Errors
    /// When more than 1024 are asked for.
    pub fn bodies_by_hash(&self, hashes: &[B256]) -> Result<Vec<Option<ExecutionPayloadBodyV1>>, EngineError> {
        check_body_count(hashes.len() as u64)?;
        let inner = self.read();
        Ok(hashes.iter().map(|hash| inner.chain.block(*hash).map(|block| body(block))).collect())
    }

    /// `engine_getPayloadBodiesByRangeV1`: canonical blocks from `start` on, up to the head.
    ///
    /// # Errors
    /// When start or count is zero, or more than 1024 are asked for.
    pub fn bodies_by_range(&self, start: u64, count: u64) -> Result<Vec<Option<ExecutionPayloadBodyV1>>, EngineError> {
        if start == 0 || count == 0 {
            return Err(EngineError::InvalidParams("start and count must be at least 1".into()));
        }
        check_body_count(count)?;
        let inner = self.read();
        let end = start.saturating_add(count - 1).min(inner.chain.head().number());
        Ok((start..=end).map(|number| inner.chain.block_at(number).map(|block| body(block))).collect())
    }

    pub(crate) fn read(&self) -> RwLockReadGuard<'_, Inner> {
        // No code panics while holding the lock half-way through a change, so a poisoned lock still guards sound data.
        self.inner.read().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn write(&self) -> RwLockWriteGuard<'_, Inner> {
        self.inner.write().unwrap_or_else(PoisonError::into_inner)
    }
}

enum Rejection {
    Invalid(String),
    Internal(ExecutionError),
}

impl Inner {
    /// State after `block` and the hashes that execution on top of it can ask for.
    pub(crate) fn view(&self, block: &ExecutedBlock) -> Result<StateView, EngineError> {
        if !self.chain.has_state(block) {
            return Err(EngineError::StatePruned(block.number()));
        }
        Ok(StateView { state: block.state.clone(), recent: self.chain.recent_hashes(block) })
    }

    /// The zero hash stands for "none yet".
    fn ancestor_of(&self, head: &ExecutedBlock, hash: B256, field: &'static str) -> Result<Option<B256>, EngineError> {
        if hash.is_zero() {
            return Ok(None);
        }
        match self.chain.block(hash) {
            Some(block) if self.chain.is_ancestor(block, head) => Ok(Some(hash)),
            _ => Err(EngineError::InvalidForkchoice(field)),
        }
    }
}

fn invalid(latest_valid: Option<B256>, reason: &str) -> PayloadStatus {
    PayloadStatus::new(PayloadStatusEnum::Invalid { validation_error: reason.into() }, latest_valid)
}

fn check_body_count(count: u64) -> Result<(), EngineError> {
    if count > MAX_BODIES { Err(EngineError::TooLargeRequest(MAX_BODIES)) } else { Ok(()) }
}

fn body(block: &ExecutedBlock) -> ExecutionPayloadBodyV1 {
    ExecutionPayloadBodyV1 { transactions: block.encoded_transactions(), withdrawals: Some(Vec::new()) }
}
