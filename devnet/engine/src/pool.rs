//! Transactions that wait for a block.

use std::{
    cmp::Reverse,
    collections::{BTreeMap, BinaryHeap, HashMap, VecDeque},
};

use alloy::{
    consensus::{
        Transaction,
        transaction::{Recovered, TxHashRef},
    },
    primitives::{Address, B256},
};
use op_alloy::consensus::OpTxEnvelope;

use crate::{execution::Candidates, state::WorldState};

/// A replacement must pay at least this many percent more, as on geth.
const REPLACEMENT_BUMP_PERCENT: u128 = 10;

/// Transactions held at most.
const CAPACITY: usize = 20_000;

/// Why the pool doesn't take a transaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PoolError {
    /// It is in the pool already.
    #[error("already known")]
    AlreadyKnown,
    /// Its nonce is used up.
    #[error("nonce too low: next nonce {expected}, tx nonce {got}")]
    NonceTooLow {
        /// The sender's nonce.
        expected: u64,
        /// The transaction's.
        got: u64,
    },
    /// Another transaction has this nonce and pays too much to be replaced.
    #[error("replacement transaction underpriced: raise both fees by {REPLACEMENT_BUMP_PERCENT}%")]
    ReplacementUnderpriced,
    /// No room.
    #[error("transaction pool is full")]
    Full,
}

/// The pool of one engine.
#[derive(Debug, Default)]
pub struct Pool {
    senders: HashMap<Address, BTreeMap<u64, Pooled>>,
    hashes: HashMap<B256, (Address, u64)>,
    arrivals: u64,
    generation: u64,
}

#[derive(Debug)]
struct Pooled {
    transaction: Recovered<OpTxEnvelope>,
    arrival: u64,
}

impl Pool {
    /// Adds a transaction of a sender whose account stands at `account_nonce`.
    ///
    /// # Errors
    /// When it is known, stale, underpriced as a replacement, or the pool is full.
    pub fn add(&mut self, transaction: Recovered<OpTxEnvelope>, account_nonce: u64) -> Result<(), PoolError> {
        let (hash, sender, nonce) = (*transaction.tx_hash(), transaction.signer(), transaction.nonce());
        if self.hashes.contains_key(&hash) {
            return Err(PoolError::AlreadyKnown);
        }
        if nonce < account_nonce {
            return Err(PoolError::NonceTooLow { expected: account_nonce, got: nonce });
        }
        let existing = self.senders.get(&sender).and_then(|queue| queue.get(&nonce));
        match existing {
            Some(existing) if !replaces(&existing.transaction, &transaction) => {
                return Err(PoolError::ReplacementUnderpriced);
            }
            None if self.hashes.len() >= CAPACITY => return Err(PoolError::Full),
            _ => {}
        }
        self.arrivals += 1;
        self.generation += 1;
        let pooled = Pooled { transaction, arrival: self.arrivals };
        if let Some(replaced) = self.senders.entry(sender).or_default().insert(nonce, pooled) {
            self.hashes.remove(replaced.transaction.tx_hash());
        }
        self.hashes.insert(hash, (sender, nonce));
        Ok(())
    }

    /// Drops what `state` has made stale.
    pub fn drop_stale(&mut self, state: &WorldState) {
        let hashes = &mut self.hashes;
        let before = hashes.len();
        self.senders.retain(|sender, queue| {
            let fresh = queue.split_off(&state.nonce(*sender));
            for stale in std::mem::replace(queue, fresh).into_values() {
                hashes.remove(stale.transaction.tx_hash());
            }
            !queue.is_empty()
        });
        if hashes.len() != before {
            self.generation += 1;
        }
    }

    /// The transaction with this hash.
    pub fn get(&self, hash: B256) -> Option<&Recovered<OpTxEnvelope>> {
        let (sender, nonce) = self.hashes.get(&hash)?;
        Some(&self.senders.get(sender)?.get(nonce)?.transaction)
    }

    /// The next nonce of `sender`, counting its executable pool transactions.
    pub fn next_nonce(&self, sender: Address, account_nonce: u64) -> u64 {
        let Some(queue) = self.senders.get(&sender) else { return account_nonce };
        (account_nonce..).find(|nonce| !queue.contains_key(nonce)).unwrap_or(account_nonce)
    }

    /// Number of (executable, gapped) transactions on `state`.
    pub fn count(&self, state: &WorldState) -> (usize, usize) {
        let executable: usize = self
            .senders
            .iter()
            .map(|(sender, queue)| {
                (state.nonce(*sender)..).zip(queue.keys()).take_while(|(next, nonce)| next == *nonce).count()
            })
            .sum();
        (executable, self.hashes.len() - executable)
    }

    /// Changes whenever the pool's content does.
    pub fn generation(&self) -> u64 {
        self.generation
    }

    /// Executable transactions on `state`, best paying first, in nonce order for each sender.
    pub(crate) fn candidates(&self, state: &WorldState, base_fee: u64) -> PoolCandidates {
        let mut candidates = PoolCandidates { base_fee, queues: HashMap::new(), best: BinaryHeap::new() };
        for (sender, queue) in &self.senders {
            let executable = (state.nonce(*sender)..)
                .zip(queue)
                .take_while(|(next, (nonce, _))| next == *nonce)
                .map(|(_, (_, pooled))| (pooled.transaction.clone(), pooled.arrival));
            candidates.queues.insert(*sender, executable.collect());
            candidates.offer(*sender);
        }
        candidates
    }
}

fn replaces(existing: &OpTxEnvelope, replacement: &OpTxEnvelope) -> bool {
    let enough = |old: u128, new: u128| new >= old.saturating_add(old.saturating_mul(REPLACEMENT_BUMP_PERCENT) / 100);
    let tip = |transaction: &OpTxEnvelope| {
        transaction.max_priority_fee_per_gas().unwrap_or_else(|| transaction.max_fee_per_gas())
    };
    let (old, new) = (existing.max_fee_per_gas(), replacement.max_fee_per_gas());
    new > old && enough(old, new) && enough(tip(existing), tip(replacement))
}

/// A snapshot of the pool in the order in which a block takes it.
#[derive(Debug)]
pub(crate) struct PoolCandidates {
    base_fee: u64,
    queues: HashMap<Address, VecDeque<(Recovered<OpTxEnvelope>, u64)>>,
    /// First transaction of each sender: tip, then age. The address only makes the order total.
    best: BinaryHeap<(u128, Reverse<u64>, Address)>,
}

impl PoolCandidates {
    /// Puts the sender's next transaction up for choice, unless it can't pay the base fee.
    fn offer(&mut self, sender: Address) {
        let next = self.queues.get(&sender).and_then(|queue| queue.front());
        if let Some((transaction, arrival)) = next
            && let Some(tip) = transaction.effective_tip_per_gas(self.base_fee)
        {
            self.best.push((tip, Reverse(*arrival), sender));
        }
    }
}

impl Candidates for PoolCandidates {
    fn next(&mut self) -> Option<Recovered<OpTxEnvelope>> {
        while let Some((_, _, sender)) = self.best.pop() {
            if let Some((transaction, _)) = self.queues.get_mut(&sender).and_then(VecDeque::pop_front) {
                self.offer(sender);
                return Some(transaction);
            }
        }
        None
    }

    fn skip_sender(&mut self, sender: Address) {
        self.queues.remove(&sender);
    }
}
