//! The engine: chain, pool and payload jobs behind the calls of the Engine API.

use std::{
    collections::{HashMap, VecDeque},
    sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard},
};

use alloy::{
    consensus::{Header, transaction::Recovered},
    primitives::B256,
    rpc::types::engine::{
        ExecutionPayloadBodyV1, ForkchoiceState, ForkchoiceUpdated, PayloadId, PayloadStatus, PayloadStatusEnum,
    },
};
use op_alloy::{consensus::OpTxEnvelope, rpc_types_engine::OpPayloadAttributes};

use crate::{
    block::ExecutedBlock,
    chain::Chain,
    error::EngineError,
    execution::{ExecutionError, NoCandidates, execute_block},
    fork::{ChainRules, FeeParameterError},
    genesis::GenesisConfig,
    payload::{NewPayload, decode_transactions},
    pool::Pool,
    state::StateView,
    validation::{check_against_parent, check_outcome},
};

/// First byte of payload ids.
const PAYLOAD_ID_VERSION: u8 = 3;

/// Payload jobs kept; the oldest go first.
const KEPT_JOBS: usize = 64;

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
    jobs: HashMap<PayloadId, Arc<PayloadJob>>,
    job_order: VecDeque<PayloadId>,
}

/// A payload that was asked for.
#[derive(Debug)]
struct PayloadJob {
    parent: Arc<ExecutedBlock>,
    template: Header,
    forced: Vec<Recovered<OpTxEnvelope>>,
    use_pool: bool,
    /// The payload as of `generation` of the pool.
    built: Arc<ExecutedBlock>,
    generation: u64,
    /// Once handed out, a payload never changes, so that asking again gives the same block.
    served: bool,
}

impl Engine {
    /// An engine that stands at genesis.
    ///
    /// # Errors
    /// When the genesis' fee parameters don't fit its fork.
    pub fn new(genesis: &GenesisConfig) -> Result<Self, FeeParameterError> {
        let chain = Chain::new(genesis.block()?);
        let inner = Inner { chain, pool: Pool::default(), jobs: HashMap::new(), job_order: VecDeque::new() };
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

    fn start_payload(
        &self,
        parent: Arc<ExecutedBlock>,
        attributes: &OpPayloadAttributes,
    ) -> Result<PayloadId, EngineError> {
        let id = attributes.payload_id(&parent.hash(), PAYLOAD_ID_VERSION);
        if self.read().jobs.contains_key(&id) {
            return Ok(id);
        }
        let template = self.template(&parent, attributes)?;
        let forced = decode_transactions(attributes.transactions.as_deref().unwrap_or_default())
            .map_err(|error| EngineError::InvalidAttributes(error.to_string()))?;
        let use_pool = !attributes.no_tx_pool.unwrap_or_default();
        let (built, generation) = self.build(&parent, &template, &forced, use_pool)?;
        let job = PayloadJob { parent, template, forced, use_pool, built, generation, served: false };
        self.write().keep_job(id, job);
        Ok(id)
    }

    /// What attributes fix of the block to build.
    fn template(&self, parent: &ExecutedBlock, attributes: &OpPayloadAttributes) -> Result<Header, EngineError> {
        let invalid = |reason: &str| EngineError::InvalidAttributes(reason.into());
        let base = &attributes.payload_attributes;
        if base.timestamp <= parent.header.timestamp {
            return Err(invalid("timestamp isn't after the parent's"));
        }
        match &base.withdrawals {
            None => return Err(invalid("withdrawals is missing: send an empty list")),
            Some(withdrawals) if !withdrawals.is_empty() => return Err(invalid("withdrawals must be empty")),
            Some(_) => {}
        }
        let beacon_root = base.parent_beacon_block_root.ok_or_else(|| invalid("parentBeaconBlockRoot is missing"))?;
        let gas_limit = attributes.gas_limit.ok_or_else(|| invalid("gasLimit is missing"))?;
        let extra_data = self
            .rules
            .extra_data(attributes.eip_1559_params, attributes.min_base_fee)
            .map_err(|error| EngineError::InvalidAttributes(error.to_string()))?;
        let base_fee = self.rules.next_base_fee(&parent.header).map_err(EngineError::internal)?;
        Ok(Header {
            parent_hash: parent.hash(),
            number: parent.number() + 1,
            timestamp: base.timestamp,
            beneficiary: base.suggested_fee_recipient,
            mix_hash: base.prev_randao,
            parent_beacon_block_root: Some(beacon_root),
            gas_limit,
            base_fee_per_gas: Some(base_fee),
            extra_data,
            ..Default::default()
        })
    }

    fn build(
        &self,
        parent: &Arc<ExecutedBlock>,
        template: &Header,
        forced: &[Recovered<OpTxEnvelope>],
        use_pool: bool,
    ) -> Result<(Arc<ExecutedBlock>, u64), EngineError> {
        let (view, candidates, generation) = {
            let inner = self.read();
            let base_fee = template.base_fee_per_gas.unwrap_or_default();
            let candidates = use_pool.then(|| inner.pool.candidates(&parent.state, base_fee));
            (inner.view(parent)?, candidates, inner.pool.generation())
        };
        let (template, forced) = (template.clone(), forced.to_vec());
        let built = match candidates {
            Some(candidates) => execute_block(&self.rules, &view, template, forced, candidates),
            None => execute_block(&self.rules, &view, template, forced, NoCandidates),
        };
        match built {
            Ok(block) => Ok((Arc::new(block), generation)),
            Err(error) if error.is_invalid() => Err(EngineError::InvalidAttributes(error.to_string())),
            Err(error) => Err(EngineError::internal(error)),
        }
    }

    /// `engine_getPayload`: the payload, brought up to date with the pool the first time it is asked for.
    ///
    /// # Errors
    /// When no such payload was asked for.
    pub fn payload(&self, id: PayloadId) -> Result<Arc<ExecutedBlock>, EngineError> {
        let (job, pool_generation) = {
            let inner = self.read();
            let job = inner.jobs.get(&id).cloned().ok_or(EngineError::UnknownPayload)?;
            (job, inner.pool.generation())
        };
        if job.served || !job.use_pool || job.generation == pool_generation {
            return Ok(self.write().serve_job(id, job.built.clone()));
        }
        let (built, _) = self.build(&job.parent, &job.template, &job.forced, true)?;
        Ok(self.write().serve_job(id, built))
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
            if let Some(valid) = inner.chain.invalid_ancestor(hash) {
                return Ok(invalid(Some(valid), "block is known to be invalid"));
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
        let transactions = payload.transactions().map_err(|error| invalid(&error))?;
        let block = execute_block(&self.rules, view, header.clone(), transactions, NoCandidates)
            .map_err(|error| if error.is_invalid() { invalid(&error) } else { Rejection::Internal(error) })?;
        check_outcome(&header, &block.header).map_err(|error| invalid(&error))?;
        Ok(block)
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

    fn keep_job(&mut self, id: PayloadId, job: PayloadJob) {
        if self.jobs.insert(id, Arc::new(job)).is_none() {
            self.job_order.push_back(id);
        }
        if self.job_order.len() > KEPT_JOBS
            && let Some(oldest) = self.job_order.pop_front()
        {
            self.jobs.remove(&oldest);
        }
    }

    /// Fixes what the job answers from now on. Of two concurrent callers the first one's block wins for both.
    fn serve_job(&mut self, id: PayloadId, built: Arc<ExecutedBlock>) -> Arc<ExecutedBlock> {
        match self.jobs.get(&id) {
            Some(job) if job.served => job.built.clone(),
            Some(job) => {
                let job = PayloadJob {
                    parent: job.parent.clone(),
                    template: job.template.clone(),
                    forced: Vec::new(),
                    use_pool: job.use_pool,
                    built: built.clone(),
                    generation: job.generation,
                    served: true,
                };
                self.jobs.insert(id, Arc::new(job));
                built
            }
            None => built,
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
