//! The chain of headers and states.

use super::{FuluState, Validators, proposers};
use alloy::primitives::{B256, keccak256};
use baton_protocol::{
    SLOTS_PER_EPOCH,
    beacon::{BeaconHeader, Fork, StateError, StateProver},
};
use std::sync::{Mutex, PoisonError};

/// The chain's times.
#[derive(Clone, Copy, Debug)]
pub struct BeaconConfig {
    /// Start of slot 0, Unix seconds.
    pub genesis_time: u64,
    /// Seconds in a slot.
    pub slot_length: u64,
}

/// A beacon chain without consensus. Blocks are made one by one, by whoever ticks the L1's slots.
#[derive(Debug)]
pub struct BeaconChain {
    config: BeaconConfig,
    validators: Validators,
    blocks: Mutex<Vec<Block>>,
}

#[derive(Clone, Copy, Debug)]
struct Block {
    header: BeaconHeader,
    root: B256,
}

impl BeaconChain {
    /// A chain with a block in slot 0.
    ///
    /// # Errors
    /// The state can't be hashed.
    pub fn new(config: BeaconConfig, validators: Validators) -> Result<Self, StateError> {
        let chain = Self { config, validators, blocks: Mutex::default() };
        chain.produce(0)?;
        Ok(chain)
    }

    /// The chain's times.
    pub const fn config(&self) -> BeaconConfig {
        self.config
    }

    /// The validators.
    pub const fn validators(&self) -> &Validators {
        &self.validators
    }

    /// Makes the block of a slot, on the newest one. The answer is the parent's root, which EIP-4788 has the L1 block of the same slot store.
    ///
    /// # Errors
    /// The state can't be hashed.
    pub fn produce(&self, slot: u64) -> Result<B256, StateError> {
        let mut blocks = self.blocks();
        let parent_root = blocks.last().map_or(B256::ZERO, |block| block.root);
        let proposer = usize::try_from(slot % SLOTS_PER_EPOCH).unwrap_or_default();
        let mut header = BeaconHeader {
            slot,
            proposer_index: proposers(&self.validators, slot / SLOTS_PER_EPOCH)[proposer],
            parent_root,
            state_root: B256::ZERO,
            // There are no bodies; each differs from the others, as real ones do.
            body_root: keccak256(slot.to_be_bytes()),
        };
        let state = self.state_after(&header, &blocks);
        let mut prover = StateProver::new(Fork::Fulu, Some(state.len() as u64), []);
        prover.push(&state)?;
        header.state_root = prover.finish()?.state_root;
        blocks.push(Block { header, root: header.root() });
        Ok(parent_root)
    }

    /// The newest header and its root.
    pub fn head(&self) -> Option<(BeaconHeader, B256)> {
        self.find(|blocks| blocks.last().copied())
    }

    /// The header of a slot.
    pub fn at_slot(&self, slot: u64) -> Option<(BeaconHeader, B256)> {
        self.find(|blocks| blocks.iter().rev().find(|block| block.header.slot == slot).copied())
    }

    /// How many blocks come before a slot's.
    pub fn position(&self, slot: u64) -> Option<u64> {
        let blocks = self.blocks();
        let index = blocks.iter().position(|block| block.header.slot == slot)?;
        u64::try_from(index).ok()
    }

    /// The header with a root.
    pub fn by_root(&self, root: B256) -> Option<(BeaconHeader, B256)> {
        self.find(|blocks| blocks.iter().rev().find(|block| block.root == root).copied())
    }

    /// The header whose block has led to a state.
    pub fn by_state_root(&self, root: B256) -> Option<(BeaconHeader, B256)> {
        self.find(|blocks| blocks.iter().rev().find(|block| block.header.state_root == root).copied())
    }

    /// The state after the block with a header of this chain, in SSZ. States aren't kept: they are made again.
    pub fn state(&self, header: &BeaconHeader) -> Vec<u8> {
        self.state_after(header, &self.blocks())
    }

    fn state_after(&self, header: &BeaconHeader, blocks: &[Block]) -> Vec<u8> {
        let before = blocks.iter().take_while(|block| block.header.slot < header.slot);
        let epoch = header.slot / SLOTS_PER_EPOCH;
        let mut proposer_lookahead = [0; 64];
        proposer_lookahead[..32].copy_from_slice(&proposers(&self.validators, epoch));
        proposer_lookahead[32..].copy_from_slice(&proposers(&self.validators, epoch + 1));
        FuluState {
            genesis_time: self.config.genesis_time,
            slot: header.slot,
            latest_block_header: BeaconHeader { state_root: B256::ZERO, ..*header },
            block_roots: &before.map(|block| (block.header.slot, block.root)).collect::<Vec<_>>(),
            validators: &self.validators,
            proposer_lookahead,
        }
        .to_ssz()
    }

    fn find(&self, choose: impl FnOnce(&[Block]) -> Option<Block>) -> Option<(BeaconHeader, B256)> {
        choose(&self.blocks()).map(|block| (block.header, block.root))
    }

    fn blocks(&self) -> std::sync::MutexGuard<'_, Vec<Block>> {
        self.blocks.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chain() -> BeaconChain {
        let validators = Validators::new().expect("keys");
        BeaconChain::new(BeaconConfig { genesis_time: 1_000, slot_length: 2 }, validators).expect("hashed")
    }

    #[test]
    fn headers_follow_one_another_over_missed_slots() {
        let chain = chain();
        let genesis = chain.head().expect("slot 0").1;
        assert_eq!(chain.produce(1).expect("hashed"), genesis);
        let first = chain.at_slot(1).expect("made").1;
        assert_eq!(chain.produce(4).expect("hashed"), first, "slots 2 and 3 are missed");
        let (header, root) = chain.head().expect("made");
        assert_eq!((header.slot, header.parent_root), (4, first));
        assert_eq!(chain.by_root(root).expect("known").0, header);
        assert!(chain.at_slot(3).is_none());
        assert_eq!([0, 1, 3, 4].map(|slot| chain.position(slot)), [Some(0), Some(1), None, Some(2)]);
    }

    #[test]
    fn a_state_proves_its_epochs_proposers_and_its_validators() {
        let chain = chain();
        for slot in [1, 31, 32] {
            chain.produce(slot).expect("hashed");
        }
        for slot in [31, 32] {
            let (header, _) = chain.at_slot(slot).expect("made");
            let state = chain.state(&header);
            let mut prover = StateProver::new(Fork::Fulu, Some(state.len() as u64), [3]);
            prover.push(&state).expect("a state");
            let proven = prover.finish().expect("whole");
            assert_eq!((proven.state_root, proven.slot), (header.state_root, slot));
            let epoch = slot / SLOTS_PER_EPOCH;
            assert_eq!(proven.lookahead[..32], proposers(chain.validators(), epoch));
            assert_eq!(proven.lookahead[32..], proposers(chain.validators(), epoch + 1));
            let validator = proven.prove_validator(header, 3).expect("wanted");
            assert_eq!(validator.withdrawal_credentials, chain.validators().all()[3].withdrawal_credentials());
        }
    }
}
