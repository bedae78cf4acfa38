//! A Fulu BeaconState as SSZ bytes.

use super::Validators;
use alloy::primitives::B256;
use baton_protocol::beacon::{BeaconHeader, Validator};

/// Slots whose block roots and state roots a state keeps (`SLOTS_PER_HISTORICAL_ROOT`).
const HISTORICAL_ROOTS: usize = 8_192;
/// `EPOCHS_PER_HISTORICAL_VECTOR`.
const RANDAO_MIXES: usize = 65_536;
/// `EPOCHS_PER_SLASHINGS_VECTOR`.
const SLASHINGS: usize = 8_192;
/// A sync committee: 512 keys and their aggregate, 48 bytes each.
const SYNC_COMMITTEE: usize = 513 * 48;
/// An ExecutionPayloadHeader without extra data: 16 fields and the offset of the one that varies.
const PAYLOAD_HEADER: u32 = 584;
/// Where the offset stands in it.
const EXTRA_DATA_OFFSET: usize = 436;
/// 32 ether in Gwei.
const EFFECTIVE_BALANCE: u64 = 32_000_000_000;
/// An epoch that never comes (`FAR_FUTURE_EPOCH`).
const FAR_FUTURE: u64 = u64::MAX;
/// Epochs in which it was all that it is now.
const GENESIS_EPOCH: u64 = 0;

/// What differs from state to state. The rest are a young chain's values: mostly zeros, which weigh as much as others in a proof.
#[derive(Clone, Debug)]
pub struct FuluState<'a> {
    /// Seconds since 1970.
    pub genesis_time: u64,
    /// The state's slot.
    pub slot: u64,
    /// The header of the block before, as a state after its own block has it: without a state root.
    pub latest_block_header: BeaconHeader,
    /// Roots of blocks by slot.
    pub block_roots: &'a [(u64, B256)],
    /// The validators.
    pub validators: &'a Validators,
    /// Proposers of this epoch and the next.
    pub proposer_lookahead: [u64; 64],
}

/// The state's fixed part, with room for offsets, and what they point to.
#[derive(Default)]
struct Writer {
    fixed: Vec<u8>,
    variable: Vec<(usize, Vec<u8>)>,
}

impl Writer {
    fn bytes(&mut self, bytes: &[u8]) {
        self.fixed.extend_from_slice(bytes);
    }

    fn number(&mut self, number: u64) {
        self.bytes(&number.to_le_bytes());
    }

    fn zeros(&mut self, count: usize) {
        self.fixed.resize(self.fixed.len() + count, 0);
    }

    /// A field of variable size: its offset here, its bytes at the end.
    fn list(&mut self, bytes: Vec<u8>) {
        self.variable.push((self.fixed.len(), bytes));
        self.zeros(4);
    }

    fn finish(mut self) -> Vec<u8> {
        let mut offset = self.fixed.len();
        for (place, bytes) in &self.variable {
            // States of a devnet have some megabytes.
            let short = u32::try_from(offset).unwrap_or(u32::MAX);
            self.fixed[*place..*place + 4].copy_from_slice(&short.to_le_bytes());
            offset += bytes.len();
        }
        self.fixed.extend(self.variable.into_iter().flat_map(|(_, bytes)| bytes));
        self.fixed
    }
}

impl FuluState<'_> {
    /// The state in SSZ (consensus-specs, `specs/fulu/beacon-chain.md`, and the containers of the forks before).
    pub fn to_ssz(&self) -> Vec<u8> {
        let mut out = Writer::default();
        out.number(self.genesis_time);
        out.zeros(32); // genesis_validators_root
        out.number(self.slot);
        out.bytes(&[6, 0, 0, 0, 6, 0, 0, 0]); // fork: versions
        out.number(GENESIS_EPOCH);
        out.bytes(&self.latest_block_header.to_ssz());
        let mut block_roots = vec![0; HISTORICAL_ROOTS * 32];
        for (slot, root) in self.block_roots {
            let place = usize::try_from(*slot).unwrap_or_default() % HISTORICAL_ROOTS * 32;
            block_roots[place..place + 32].copy_from_slice(root.as_slice());
        }
        out.bytes(&block_roots);
        out.zeros(HISTORICAL_ROOTS * 32); // state_roots
        out.list(Vec::new()); // historical_roots
        out.zeros(72); // eth1_data
        out.list(Vec::new()); // eth1_data_votes
        out.number(0); // eth1_deposit_index
        let count = self.validators.all().len();
        out.list(self.validators.all().iter().flat_map(|validator| container(validator).to_ssz()).collect());
        out.list((0..count).flat_map(|_| EFFECTIVE_BALANCE.to_le_bytes()).collect());
        out.zeros(RANDAO_MIXES * 32);
        out.zeros(SLASHINGS * 8);
        out.list(vec![7; count]); // previous_epoch_participation
        out.list(vec![7; count]); // current_epoch_participation
        out.bytes(&[0x0f]); // justification_bits
        out.zeros(3 * 40); // checkpoints
        out.list(vec![0; count * 8]); // inactivity_scores
        out.zeros(2 * SYNC_COMMITTEE);
        let mut payload_header = vec![0; PAYLOAD_HEADER as usize];
        payload_header[EXTRA_DATA_OFFSET..EXTRA_DATA_OFFSET + 4].copy_from_slice(&PAYLOAD_HEADER.to_le_bytes());
        out.list(payload_header);
        out.number(0); // next_withdrawal_index
        out.number(0); // next_withdrawal_validator_index
        out.list(Vec::new()); // historical_summaries
        out.zeros(6 * 8); // deposit_requests_start_index to earliest_consolidation_epoch
        out.list(Vec::new()); // pending_deposits
        out.list(Vec::new()); // pending_partial_withdrawals
        out.list(Vec::new()); // pending_consolidations
        for index in self.proposer_lookahead {
            out.number(index);
        }
        out.finish()
    }
}

/// A validator as the state has it.
fn container(validator: &super::Validator) -> Validator {
    Validator {
        pubkey: validator.pubkey(),
        withdrawal_credentials: validator.withdrawal_credentials(),
        effective_balance: EFFECTIVE_BALANCE,
        slashed: false,
        activation_eligibility_epoch: GENESIS_EPOCH,
        activation_epoch: GENESIS_EPOCH,
        exit_epoch: FAR_FUTURE,
        withdrawable_epoch: FAR_FUTURE,
    }
}
