use std::collections::{BTreeMap, BTreeSet};

use alloy::primitives::B256;

use super::{
    Fork, StateError,
    container::ContainerHasher,
    field::Wanted,
    hash::Node,
    header::{BeaconHeader, uint},
    layout::{LOOKAHEAD, VALIDATORS},
    merkleizer::{Merkleizer, Shape},
    proof::{LookaheadProof, ValidatorProof},
    validator::Validator,
};

const SLOT: &str = "slot";
const LATEST_BLOCK_HEADER: &str = "latest_block_header";
/// Entries of `proposer_lookahead`, chunks of one half of it.
const ENTRIES: usize = 64;
const HALF_CHUNKS: usize = 8;

/// Merkleizes a serialized `BeaconState` while it comes in, in bounded memory: a few megabytes, and some kilobytes for each
/// validator wanted, whatever the state's size.
#[derive(Debug)]
pub struct StateProver {
    fork: Fork,
    state: ContainerHasher,
    taken: u64,
    length: Option<u64>,
    failed: Option<StateError>,
}

/// A beacon state that was read to its end, reduced to its root and the branches wanted.
#[derive(Clone, Debug)]
pub struct ProvenState {
    fork: Fork,
    /// Root of the whole.
    pub state_root: B256,
    /// Slot that it is the state of.
    pub slot: u64,
    /// Validator indices of the proposers of this epoch and the next, slot by slot.
    pub lookahead: [u64; 64],
    /// Length of the registry.
    pub validator_count: u64,
    /// As it stands in the state: right after its block, without the state's root.
    latest_block_header: BeaconHeader,
    chunks: [B256; 8],
    branch: Vec<B256>,
    validators: BTreeMap<u64, (Validator, Vec<B256>)>,
}

impl StateProver {
    /// A prover that has seen nothing yet.
    ///
    /// `length` is the length of the state in bytes, as far as it is known (a chunked download doesn't tell), and `validators` are
    /// the indices of those that `prove_validator` will be asked for.
    pub fn new(fork: Fork, length: Option<u64>, validators: impl IntoIterator<Item = u64>) -> Self {
        let wanted: BTreeSet<u64> = validators.into_iter().collect();
        let mut state = ContainerHasher::new(fork.layout(), length);
        for field in [SLOT, LATEST_BLOCK_HEADER, LOOKAHEAD] {
            state.want(field, Wanted { bytes: true, ..Wanted::default() });
        }
        state.want(VALIDATORS, Wanted { elements: wanted.clone(), ..Wanted::default() });
        Self { fork, state, taken: 0, length, failed: None }
    }

    /// Takes the next bytes, in portions of any size. After an error every call gives the same error.
    pub fn push(&mut self, bytes: &[u8]) -> Result<(), StateError> {
        if let Some(error) = &self.failed {
            return Err(error.clone());
        }
        self.taken += bytes.len() as u64;
        self.state.push(bytes).inspect_err(|error| self.failed = Some(error.clone()))
    }

    /// Bytes taken, and bytes expected if the length is known: for showing progress.
    pub fn progress(&self) -> (u64, Option<u64>) {
        (self.taken, self.length)
    }

    /// The state's root, and with it the proofs, now that nothing more comes.
    pub fn finish(self) -> Result<ProvenState, StateError> {
        if let Some(error) = self.failed {
            return Err(error);
        }
        let mut state = self.state.finish()?;
        let bytes = |name| state.field(name).map_or(&[][..], |field| field.bytes.as_slice());

        let slot = uint(bytes(SLOT), 0);
        let header = bytes(LATEST_BLOCK_HEADER).first_chunk().map(BeaconHeader::from_ssz).unwrap_or_default();
        let mut lookahead = [0; ENTRIES];
        for (at, entry) in lookahead.iter_mut().enumerate() {
            *entry = uint(bytes(LOOKAHEAD), 8 * at);
        }
        let (now, next) = bytes(LOOKAHEAD).as_chunks().0.split_at(HALF_CHUNKS);
        let now = Merkleizer::of(Shape::for_chunks(HALF_CHUNKS as u64), now, None).root;
        let branch = std::iter::once(now).chain(state.branch(LOOKAHEAD)).map(B256::from).collect();
        let mut chunks = [B256::ZERO; HALF_CHUNKS];
        for (chunk, node) in chunks.iter_mut().zip(next) {
            *chunk = B256::from(*node);
        }

        let above = state.branch(VALIDATORS);
        let registry = state.take_field(VALIDATORS);
        let validators = registry.elements.into_iter().filter_map(|(index, (bytes, branch))| {
            let validator = Validator::from_ssz(bytes.first_chunk()?);
            let nodes: [Vec<Node>; 3] = [validator.branch(), branch, above.clone()];
            Some((index, (validator, nodes.concat().into_iter().map(B256::from).collect())))
        });
        Ok(ProvenState {
            fork: self.fork,
            state_root: state.root.into(),
            slot,
            lookahead,
            validator_count: registry.length,
            latest_block_header: header,
            chunks,
            branch,
            validators: validators.collect(),
        })
    }
}

impl ProvenState {
    /// Fork whose layout it has.
    pub fn fork(&self) -> Fork {
        self.fork
    }

    /// Header of the block that the state is the outcome of: the state holds all of it but its own root. An error if the state was
    /// advanced over empty slots since.
    pub fn header(&self) -> Result<BeaconHeader, StateError> {
        let header = BeaconHeader { state_root: self.state_root, ..self.latest_block_header };
        if header.slot == self.slot && self.latest_block_header.state_root.is_zero() {
            Ok(header)
        } else {
            Err(StateError::Advanced { slot: self.slot, block_slot: header.slot })
        }
    }

    /// Proof of the next epoch's proposers, against the root of the block with this header. An error if that block commits to
    /// another state.
    pub fn prove_lookahead(&self, header: BeaconHeader) -> Result<LookaheadProof, StateError> {
        self.check(&header)?;
        Ok(LookaheadProof { header, chunks: self.chunks, branch: self.branch.clone() })
    }

    /// Proof of a validator's public key and withdrawal credentials, against the root of the block with this header. An error if
    /// that block commits to another state, and if the validator isn't there or wasn't wanted.
    pub fn prove_validator(&self, header: BeaconHeader, index: u64) -> Result<ValidatorProof, StateError> {
        self.check(&header)?;
        let (validator, branch) = self.entry(index)?;
        Ok(ValidatorProof {
            header,
            index,
            pubkey_root: validator.pubkey_root(),
            withdrawal_credentials: validator.withdrawal_credentials,
            branch: branch.clone(),
        })
    }

    /// One of the validators wanted.
    pub fn validator(&self, index: u64) -> Result<&Validator, StateError> {
        Ok(&self.entry(index)?.0)
    }

    fn entry(&self, index: u64) -> Result<&(Validator, Vec<B256>), StateError> {
        let error = if index >= self.validator_count {
            StateError::NoSuchValidator { index, count: self.validator_count }
        } else {
            StateError::NotWanted(index)
        };
        self.validators.get(&index).ok_or(error)
    }

    fn check(&self, header: &BeaconHeader) -> Result<(), StateError> {
        if header.state_root == self.state_root && header.slot == self.slot {
            return Ok(());
        }
        Err(StateError::HeaderMismatch {
            header_slot: header.slot,
            header_state_root: header.state_root,
            slot: self.slot,
            state_root: self.state_root,
        })
    }
}
