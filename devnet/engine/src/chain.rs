//! The tree of executed blocks and the branch that is canonical.

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    sync::Arc,
};

use alloy::{consensus::transaction::TxHashRef, primitives::B256};

use crate::{block::ExecutedBlock, state::RecentHashes};

/// Blocks this far below the head keep neither siblings nor the ability to be built upon.
const KEPT_BRANCHES: u64 = 4096;

/// How many ancestors BLOCKHASH reaches.
const BLOCKHASH_DEPTH: usize = 256;

/// Blocks that left the canonical branch and blocks that joined it, each oldest first.
#[derive(Debug, Default)]
pub struct HeadChange {
    /// Blocks that are no longer canonical.
    pub removed: Vec<Arc<ExecutedBlock>>,
    /// Blocks that became canonical.
    pub added: Vec<Arc<ExecutedBlock>>,
}

/// All blocks that an engine knows to be valid.
#[derive(Debug)]
pub struct Chain {
    blocks: HashMap<B256, Arc<ExecutedBlock>>,
    canonical: BTreeMap<u64, B256>,
    transactions: HashMap<B256, (B256, usize)>,
    head: Arc<ExecutedBlock>,
    safe: Option<B256>,
    finalized: Option<B256>,
    /// Invalid blocks and the last valid ancestor of each.
    invalid: HashMap<B256, B256>,
    /// How far below the head branches and states are kept.
    kept: u64,
    pruned_below: u64,
}

impl Chain {
    /// A chain that consists of its genesis block.
    pub fn new(genesis: ExecutedBlock) -> Self {
        let genesis = Arc::new(genesis);
        Self {
            blocks: HashMap::from([(genesis.hash(), genesis.clone())]),
            canonical: BTreeMap::from([(genesis.number(), genesis.hash())]),
            transactions: HashMap::new(),
            head: genesis,
            safe: None,
            finalized: None,
            invalid: HashMap::new(),
            kept: KEPT_BRANCHES,
            pruned_below: 0,
        }
    }

    /// The canonical head.
    pub fn head(&self) -> &Arc<ExecutedBlock> {
        &self.head
    }

    /// The newest safe block, if the consensus layer has named one.
    pub fn safe(&self) -> Option<&Arc<ExecutedBlock>> {
        self.blocks.get(&self.safe?)
    }

    /// The newest finalized block, if the consensus layer has named one.
    pub fn finalized(&self) -> Option<&Arc<ExecutedBlock>> {
        self.blocks.get(&self.finalized?)
    }

    /// A known block, canonical or not.
    pub fn block(&self, hash: B256) -> Option<&Arc<ExecutedBlock>> {
        self.blocks.get(&hash)
    }

    /// A canonical block.
    pub fn block_at(&self, number: u64) -> Option<&Arc<ExecutedBlock>> {
        self.blocks.get(self.canonical.get(&number)?)
    }

    /// Whether the block is on the canonical branch.
    pub fn is_canonical(&self, block: &ExecutedBlock) -> bool {
        self.canonical.get(&block.number()) == Some(&block.hash())
    }

    /// The canonical block that holds a transaction, and its index there.
    pub fn transaction(&self, hash: B256) -> Option<(&Arc<ExecutedBlock>, usize)> {
        let (block, index) = self.transactions.get(&hash)?;
        Some((self.blocks.get(block)?, *index))
    }

    /// Whether the state after `block` is still there to build upon or to read.
    pub fn has_state(&self, block: &ExecutedBlock) -> bool {
        block.number() >= self.pruned_below
    }

    /// The last valid ancestor of a block that is known to be invalid.
    pub fn invalid_ancestor(&self, hash: B256) -> Option<B256> {
        self.invalid.get(&hash).copied()
    }

    /// Remembers that a block is invalid.
    pub fn mark_invalid(&mut self, hash: B256, last_valid: B256) {
        // An attacker could fill this; a devnet's peers are its own, and forgetting only costs an execution.
        if self.invalid.len() >= 1024 {
            self.invalid.clear();
        }
        self.invalid.insert(hash, last_valid);
    }

    /// Adds a valid block whose parent is known.
    pub fn insert(&mut self, block: Arc<ExecutedBlock>) {
        self.blocks.insert(block.hash(), block);
    }

    /// Whether `ancestor` is `block` or one of its ancestors.
    pub fn is_ancestor(&self, ancestor: &ExecutedBlock, block: &ExecutedBlock) -> bool {
        let mut cursor = (block.hash(), block.number());
        while cursor.1 > ancestor.number() {
            if self.canonical.get(&cursor.1) == Some(&cursor.0) {
                return self.is_canonical(ancestor);
            }
            let Some(block) = self.blocks.get(&cursor.0) else { return false };
            cursor = (block.parent_hash(), cursor.1 - 1);
        }
        cursor.0 == ancestor.hash()
    }

    /// Makes `head` the canonical head.
    pub fn set_head(&mut self, head: &Arc<ExecutedBlock>) -> HeadChange {
        let mut change = HeadChange::default();
        let mut cursor = Some(head.clone());
        while let Some(block) = cursor.filter(|block| !self.is_canonical(block)) {
            cursor = self.blocks.get(&block.parent_hash()).cloned();
            change.added.push(block);
        }
        change.added.reverse();
        let fork_point = change.added.first().map_or(head.number(), |block| block.number().saturating_sub(1));
        for (_, hash) in self.canonical.split_off(&(fork_point + 1)) {
            change.removed.extend(self.blocks.get(&hash).cloned());
        }
        for block in &change.removed {
            for transaction in &block.transactions {
                self.transactions.remove(transaction.tx_hash());
            }
        }
        for block in &change.added {
            self.canonical.insert(block.number(), block.hash());
            for (index, transaction) in block.transactions.iter().enumerate() {
                self.transactions.insert(*transaction.tx_hash(), (block.hash(), index));
            }
        }
        self.head = head.clone();
        self.prune();
        change
    }

    /// Sets the safe and finalized blocks.
    pub fn set_safe_and_finalized(&mut self, safe: Option<B256>, finalized: Option<B256>) {
        self.safe = safe;
        self.finalized = finalized;
    }

    /// Hashes of the branch that ends in `newest`.
    pub fn recent_hashes(&self, newest: &ExecutedBlock) -> RecentHashes {
        let mut hashes = vec![newest.hash()];
        let mut parent = newest.parent_hash();
        while hashes.len() < BLOCKHASH_DEPTH
            && let Some(block) = self.blocks.get(&parent)
        {
            hashes.push(parent);
            parent = block.parent_hash();
        }
        RecentHashes { newest: newest.number(), hashes }
    }

    /// Drops old branches and old states, half a window at a time so that the walk is rare.
    fn prune(&mut self) {
        let keep_from = self.head.number().saturating_sub(self.kept);
        if keep_from < self.pruned_below + self.kept / 2 {
            return;
        }
        self.pruned_below = keep_from;
        let canonical: HashSet<B256> = self.canonical.values().copied().collect();
        self.blocks.retain(|hash, block| block.number() >= keep_from || canonical.contains(hash));
        for block in self.blocks.values_mut().filter(|block| block.number() < keep_from) {
            let mut stateless = ExecutedBlock::clone(block);
            stateless.state = Default::default();
            *block = Arc::new(stateless);
        }
    }
}

#[cfg(test)]
mod tests {
    use alloy::consensus::Header;

    use super::*;
    use crate::state::{Account, WorldState};

    /// A block without transactions on `parent`; `salt` tells siblings apart.
    fn child(parent: &ExecutedBlock, salt: u64) -> Arc<ExecutedBlock> {
        let mut state = WorldState::default();
        state.set_account(Default::default(), Account { nonce: 1, ..Default::default() });
        let header =
            Header { parent_hash: parent.hash(), number: parent.number() + 1, timestamp: salt, ..Default::default() };
        Arc::new(ExecutedBlock::genesis(header, state))
    }

    fn extend(chain: &mut Chain, parent: &Arc<ExecutedBlock>, salt: u64) -> Arc<ExecutedBlock> {
        let block = child(parent, salt);
        chain.insert(block.clone());
        block
    }

    fn start() -> (Chain, Arc<ExecutedBlock>) {
        let chain = Chain::new(ExecutedBlock::genesis(Header::default(), WorldState::default()));
        let genesis = chain.head().clone();
        (chain, genesis)
    }

    #[test]
    fn head_change_names_what_left_and_what_joined_oldest_first() {
        let (mut chain, genesis) = start();
        let a1 = extend(&mut chain, &genesis, 1);
        let a2 = extend(&mut chain, &a1, 1);
        let b1 = extend(&mut chain, &genesis, 2);
        let b2 = extend(&mut chain, &b1, 2);
        let b3 = extend(&mut chain, &b2, 2);
        let hashes = |blocks: &[Arc<ExecutedBlock>]| blocks.iter().map(|block| block.hash()).collect::<Vec<_>>();

        let change = chain.set_head(&a2);
        assert_eq!((hashes(&change.removed), hashes(&change.added)), (vec![], vec![a1.hash(), a2.hash()]));
        let change = chain.set_head(&b3);
        assert_eq!(hashes(&change.removed), [a1.hash(), a2.hash()]);
        assert_eq!(hashes(&change.added), [b1.hash(), b2.hash(), b3.hash()]);
        let change = chain.set_head(&b1);
        assert_eq!((hashes(&change.removed), change.added.len()), (vec![b2.hash(), b3.hash()], 0));
        assert_eq!(chain.block_at(2).map(|block| block.hash()), None);

        assert!(chain.is_ancestor(&genesis, &b3) && chain.is_ancestor(&b1, &b3) && chain.is_ancestor(&b3, &b3));
        assert!(!chain.is_ancestor(&a1, &b3) && !chain.is_ancestor(&b3, &b1) && !chain.is_ancestor(&b2, &a2));
    }

    #[test]
    fn recent_hashes_follow_the_branch_not_the_canonical_chain() {
        let (mut chain, genesis) = start();
        let a1 = extend(&mut chain, &genesis, 1);
        let b1 = extend(&mut chain, &genesis, 2);
        let b2 = extend(&mut chain, &b1, 2);
        chain.set_head(&a1);
        let recent = chain.recent_hashes(&b2);
        assert_eq!((recent.newest, recent.hashes), (2, vec![b2.hash(), b1.hash(), genesis.hash()]));
    }

    #[test]
    fn memory_is_bounded_by_dropping_old_states_and_old_branches() {
        let (mut chain, genesis) = start();
        chain.kept = 16;
        let sibling = extend(&mut chain, &genesis, 2);
        let mut head = genesis.clone();
        for _ in 0..50 {
            head = extend(&mut chain, &head, 1);
            chain.set_head(&head);
        }
        assert!(chain.block(sibling.hash()).is_none(), "an old branch is gone");
        let old = chain.block_at(1).unwrap();
        assert!(!chain.has_state(old) && old.state.account(Default::default()).is_none());
        let recent = chain.block_at(head.number() - 16).unwrap();
        assert!(chain.has_state(recent) && recent.state.account(Default::default()).is_some());
        let with_state = chain.blocks.values().filter(|block| block.state.account(Default::default()).is_some());
        assert!(with_state.count() <= 16 + 8 + 1);
    }
}
