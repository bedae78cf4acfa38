//! Building payloads: from attributes and the pool to a block that is handed out once.

use std::{
    collections::{HashMap, VecDeque},
    sync::Arc,
};

use alloy::{
    consensus::{Header, transaction::Recovered},
    rpc::types::engine::PayloadId,
};
use op_alloy::{consensus::OpTxEnvelope, rpc_types_engine::OpPayloadAttributes};

use crate::{
    block::ExecutedBlock,
    engine::Engine,
    error::EngineError,
    execution::{NoCandidates, execute_block},
};

/// First byte of payload ids.
const PAYLOAD_ID_VERSION: u8 = 3;

/// Payload jobs kept; the oldest go first.
const KEPT_JOBS: usize = 64;

/// The payloads that were asked for lately.
#[derive(Debug, Default)]
pub(crate) struct PayloadJobs {
    jobs: HashMap<PayloadId, Arc<PayloadJob>>,
    order: VecDeque<PayloadId>,
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
    pub(crate) fn start_payload(
        &self,
        parent: Arc<ExecutedBlock>,
        attributes: &OpPayloadAttributes,
    ) -> Result<PayloadId, EngineError> {
        let id = attributes.payload_id(&parent.hash(), PAYLOAD_ID_VERSION);
        if self.read().jobs.jobs.contains_key(&id) {
            return Ok(id);
        }
        let template = self.template(&parent, attributes)?;
        let forced = self
            .decode(attributes.transactions.as_deref().unwrap_or_default())
            .map_err(|error| EngineError::InvalidAttributes(error.to_string()))?;
        let use_pool = !attributes.no_tx_pool.unwrap_or_default();
        let (built, generation) = self.build(&parent, &template, &forced, use_pool)?;
        let job = PayloadJob { parent, template, forced, use_pool, built, generation, served: false };
        self.write().jobs.keep(id, job);
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
            .rules()
            .extra_data(attributes.eip_1559_params, attributes.min_base_fee)
            .map_err(|error| EngineError::InvalidAttributes(error.to_string()))?;
        let base_fee = self.rules().next_base_fee(&parent.header).map_err(EngineError::internal)?;
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
            Some(candidates) => execute_block(self.rules(), &view, template, forced, candidates),
            None => execute_block(self.rules(), &view, template, forced, NoCandidates),
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
            let job = inner.jobs.jobs.get(&id).cloned().ok_or(EngineError::UnknownPayload)?;
            (job, inner.pool.generation())
        };
        if job.served || !job.use_pool || job.generation == pool_generation {
            return Ok(self.write().jobs.serve(id, job.built.clone()));
        }
        let (built, _) = self.build(&job.parent, &job.template, &job.forced, true)?;
        Ok(self.write().jobs.serve(id, built))
    }
}

impl PayloadJobs {
    fn keep(&mut self, id: PayloadId, job: PayloadJob) {
        // Of two equal requests at once the first one's job stays: it may have been served already.
        if self.jobs.contains_key(&id) {
            return;
        }
        self.jobs.insert(id, Arc::new(job));
        self.order.push_back(id);
        if self.order.len() > KEPT_JOBS
            && let Some(oldest) = self.order.pop_front()
        {
            self.jobs.remove(&oldest);
        }
    }

    /// Fixes what the job answers from now on. Of two concurrent callers the first one's block wins for both.
    fn serve(&mut self, id: PayloadId, built: Arc<ExecutedBlock>) -> Arc<ExecutedBlock> {
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
