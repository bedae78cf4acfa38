//! Layouts of beacon states as data: consensus-specs, `specs/fulu/beacon-chain.md` and `specs/gloas/beacon-chain.md`, with the
//! mainnet preset. What SSZ calls `Bitvector[N]` is `Bytes(N / 8)` here: both serialize and merkleize the same.

use super::{hash::NODE, merkleizer::Shape};

/// An SSZ type.
#[derive(Debug)]
pub(crate) enum Type {
    /// An integer or boolean of so many bytes: several of them share a chunk.
    Uint(u64),
    /// So many bytes.
    Bytes(u64),
    /// So many elements.
    Vector(&'static Type, u64),
    /// At most so many elements.
    List(&'static Type, u64),
    /// Any number of elements, merkleized progressively (EIP-7916).
    ProgressiveList(&'static Type),
    /// Named fields.
    Container(&'static Container),
}

/// An SSZ container.
#[derive(Debug)]
pub(crate) struct Container {
    /// Fields in order.
    pub(crate) fields: &'static [Field],
    /// Whether it merkleizes progressively with its active fields mixed in (EIP-7495); all fields are active.
    pub(crate) progressive: bool,
}

/// A field of a container.
#[derive(Debug)]
pub(crate) struct Field {
    /// The specification's name.
    pub(crate) name: &'static str,
    /// Its type.
    pub(crate) ty: Type,
}

impl Type {
    /// Serialized length; nothing if it varies.
    pub(crate) fn fixed_length(&self) -> Option<u64> {
        match self {
            Self::Uint(bytes) | Self::Bytes(bytes) => Some(*bytes),
            Self::Vector(element, length) => Some(element.fixed_length()? * length),
            Self::List(..) | Self::ProgressiveList(_) => None,
            Self::Container(container) => container.fields.iter().map(|field| field.ty.fixed_length()).sum(),
        }
    }

    /// Whether several values of the type share a chunk.
    pub(crate) fn is_packed(&self) -> bool {
        matches!(self, Self::Uint(_))
    }

    /// The tree of so many elements of this type.
    pub(crate) fn shape_of(&self, count: u64) -> Shape {
        match self {
            Self::Uint(bytes) => Shape::for_chunks(count.saturating_mul(*bytes).div_ceil(NODE as u64)),
            _ => Shape::for_chunks(count),
        }
    }
}

impl Container {
    /// The tree of the fields' roots.
    pub(crate) const fn shape(&self) -> Shape {
        if self.progressive { Shape::Progressive } else { Shape::for_chunks(self.fields.len() as u64) }
    }

    /// Where a field stands.
    pub(crate) fn position(&self, name: &str) -> Option<usize> {
        self.fields.iter().position(|field| field.name == name)
    }

    /// Serialized length of the fixed part: fields of fixed length, and offsets of the others.
    pub(crate) fn fixed_part(&self) -> u64 {
        self.fields.iter().map(|field| field.ty.fixed_length().unwrap_or(4)).sum()
    }
}

const UINT8: Type = Type::Uint(1);
const UINT64: Type = Type::Uint(8);
const UINT256: Type = Type::Uint(32);
const BYTES4: Type = Type::Bytes(4);
const BYTES32: Type = Type::Bytes(32);
const ADDRESS: Type = Type::Bytes(20);
const PUBKEY: Type = Type::Bytes(48);
const SIGNATURE: Type = Type::Bytes(96);

/// `VALIDATOR_REGISTRY_LIMIT`
const REGISTRY_LIMIT: u64 = 1 << 40;
/// `HISTORICAL_ROOTS_LIMIT`
const HISTORICAL_LIMIT: u64 = 1 << 24;
/// `PENDING_DEPOSITS_LIMIT` and `PENDING_PARTIAL_WITHDRAWALS_LIMIT`
const PENDING_LIMIT: u64 = 1 << 27;
/// `PENDING_CONSOLIDATIONS_LIMIT`
const CONSOLIDATIONS_LIMIT: u64 = 1 << 18;

const fn field(name: &'static str, ty: Type) -> Field {
    Field { name, ty }
}

const fn container(fields: &'static [Field]) -> Container {
    Container { fields, progressive: false }
}

/// A container without fields.
pub(crate) const EMPTY: Container = container(&[]);

const FORK: Type = Type::Container(&container(&[
    field("previous_version", BYTES4),
    field("current_version", BYTES4),
    field("epoch", UINT64),
]));

const HEADER: Type = Type::Container(&container(&[
    field("slot", UINT64),
    field("proposer_index", UINT64),
    field("parent_root", BYTES32),
    field("state_root", BYTES32),
    field("body_root", BYTES32),
]));

const ETH1_DATA: Type = Type::Container(&container(&[
    field("deposit_root", BYTES32),
    field("deposit_count", UINT64),
    field("block_hash", BYTES32),
]));

/// A validator of the registry.
pub(crate) const VALIDATOR: Type = Type::Container(&container(&[
    field("pubkey", PUBKEY),
    field("withdrawal_credentials", BYTES32),
    field("effective_balance", UINT64),
    field("slashed", UINT8),
    field("activation_eligibility_epoch", UINT64),
    field("activation_epoch", UINT64),
    field("exit_epoch", UINT64),
    field("withdrawable_epoch", UINT64),
]));

const CHECKPOINT: Type = Type::Container(&container(&[field("epoch", UINT64), field("root", BYTES32)]));

const SYNC_COMMITTEE: Type =
    Type::Container(&container(&[field("pubkeys", Type::Vector(&PUBKEY, 512)), field("aggregate_pubkey", PUBKEY)]));

const EXECUTION_PAYLOAD_HEADER: Type = Type::Container(&container(&[
    field("parent_hash", BYTES32),
    field("fee_recipient", ADDRESS),
    field("state_root", BYTES32),
    field("receipts_root", BYTES32),
    field("logs_bloom", Type::Bytes(256)),
    field("prev_randao", BYTES32),
    field("block_number", UINT64),
    field("gas_limit", UINT64),
    field("gas_used", UINT64),
    field("timestamp", UINT64),
    field("extra_data", Type::List(&UINT8, 32)),
    field("base_fee_per_gas", UINT256),
    field("block_hash", BYTES32),
    field("transactions_root", BYTES32),
    field("withdrawals_root", BYTES32),
    field("blob_gas_used", UINT64),
    field("excess_blob_gas", UINT64),
]));

const HISTORICAL_SUMMARY: Type =
    Type::Container(&container(&[field("block_summary_root", BYTES32), field("state_summary_root", BYTES32)]));

const PENDING_DEPOSIT: Type = Type::Container(&container(&[
    field("pubkey", PUBKEY),
    field("withdrawal_credentials", BYTES32),
    field("amount", UINT64),
    field("signature", SIGNATURE),
    field("slot", UINT64),
]));

const PENDING_PARTIAL_WITHDRAWAL: Type = Type::Container(&container(&[
    field("validator_index", UINT64),
    field("amount", UINT64),
    field("withdrawable_epoch", UINT64),
]));

const PENDING_CONSOLIDATION: Type =
    Type::Container(&container(&[field("source_index", UINT64), field("target_index", UINT64)]));

const BUILDER: Type = Type::Container(&container(&[
    field("pubkey", PUBKEY),
    field("version", UINT8),
    field("execution_address", ADDRESS),
    field("balance", UINT64),
    field("deposit_epoch", UINT64),
    field("withdrawable_epoch", UINT64),
]));

const BUILDER_PENDING_WITHDRAWAL: Type = Type::Container(&container(&[
    field("fee_recipient", ADDRESS),
    field("amount", UINT64),
    field("builder_index", UINT64),
]));

const BUILDER_PENDING_PAYMENT: Type = Type::Container(&container(&[
    field("weight", UINT64),
    field("withdrawal", BUILDER_PENDING_WITHDRAWAL),
    field("proposer_index", UINT64),
]));

const EXECUTION_PAYLOAD_BID: Type = Type::Container(&Container {
    fields: &[
        field("parent_block_hash", BYTES32),
        field("parent_block_root", BYTES32),
        field("block_hash", BYTES32),
        field("prev_randao", BYTES32),
        field("fee_recipient", ADDRESS),
        field("gas_limit", UINT64),
        field("builder_index", UINT64),
        field("slot", UINT64),
        field("value", UINT64),
        field("execution_payment", UINT64),
        field("blob_kzg_commitments", Type::ProgressiveList(&PUBKEY)),
        field("execution_requests_root", BYTES32),
    ],
    progressive: true,
});

const WITHDRAWAL: Type = Type::Container(&container(&[
    field("index", UINT64),
    field("validator_index", UINT64),
    field("address", ADDRESS),
    field("amount", UINT64),
]));

const ROOTS: Type = Type::Vector(&BYTES32, 8192);
const RANDAO_MIXES: Type = Type::Vector(&BYTES32, 65536);
const SLASHINGS: Type = Type::Vector(&UINT64, 8192);
const HISTORICAL_ROOTS: Type = Type::List(&BYTES32, HISTORICAL_LIMIT);
const ETH1_DATA_VOTES: Type = Type::List(&ETH1_DATA, 2048);
const HISTORICAL_SUMMARIES: Type = Type::List(&HISTORICAL_SUMMARY, HISTORICAL_LIMIT);

/// Name of the field whose second half holds the next epoch's proposers (EIP-7917).
pub(crate) const LOOKAHEAD: &str = "proposer_lookahead";
/// Name of the registry.
pub(crate) const VALIDATORS: &str = "validators";
const PROPOSER_LOOKAHEAD: Type = Type::Vector(&UINT64, 64);

/// The `BeaconState` of Fulu.
pub(crate) const FULU: Container = container(&[
    field("genesis_time", UINT64),
    field("genesis_validators_root", BYTES32),
    field("slot", UINT64),
    field("fork", FORK),
    field("latest_block_header", HEADER),
    field("block_roots", ROOTS),
    field("state_roots", ROOTS),
    field("historical_roots", HISTORICAL_ROOTS),
    field("eth1_data", ETH1_DATA),
    field("eth1_data_votes", ETH1_DATA_VOTES),
    field("eth1_deposit_index", UINT64),
    field(VALIDATORS, Type::List(&VALIDATOR, REGISTRY_LIMIT)),
    field("balances", Type::List(&UINT64, REGISTRY_LIMIT)),
    field("randao_mixes", RANDAO_MIXES),
    field("slashings", SLASHINGS),
    field("previous_epoch_participation", Type::List(&UINT8, REGISTRY_LIMIT)),
    field("current_epoch_participation", Type::List(&UINT8, REGISTRY_LIMIT)),
    field("justification_bits", Type::Bytes(1)),
    field("previous_justified_checkpoint", CHECKPOINT),
    field("current_justified_checkpoint", CHECKPOINT),
    field("finalized_checkpoint", CHECKPOINT),
    field("inactivity_scores", Type::List(&UINT64, REGISTRY_LIMIT)),
    field("current_sync_committee", SYNC_COMMITTEE),
    field("next_sync_committee", SYNC_COMMITTEE),
    field("latest_execution_payload_header", EXECUTION_PAYLOAD_HEADER),
    field("next_withdrawal_index", UINT64),
    field("next_withdrawal_validator_index", UINT64),
    field("historical_summaries", HISTORICAL_SUMMARIES),
    field("deposit_requests_start_index", UINT64),
    field("deposit_balance_to_consume", UINT64),
    field("exit_balance_to_consume", UINT64),
    field("earliest_exit_epoch", UINT64),
    field("consolidation_balance_to_consume", UINT64),
    field("earliest_consolidation_epoch", UINT64),
    field("pending_deposits", Type::List(&PENDING_DEPOSIT, PENDING_LIMIT)),
    field("pending_partial_withdrawals", Type::List(&PENDING_PARTIAL_WITHDRAWAL, PENDING_LIMIT)),
    field("pending_consolidations", Type::List(&PENDING_CONSOLIDATION, CONSOLIDATIONS_LIMIT)),
    field(LOOKAHEAD, PROPOSER_LOOKAHEAD),
]);

/// The `BeaconState` of Gloas.
pub(crate) const GLOAS: Container = Container {
    fields: &[
        field("genesis_time", UINT64),
        field("genesis_validators_root", BYTES32),
        field("slot", UINT64),
        field("fork", FORK),
        field("latest_block_header", HEADER),
        field("block_roots", ROOTS),
        field("state_roots", ROOTS),
        field("historical_roots", HISTORICAL_ROOTS),
        field("eth1_data", ETH1_DATA),
        field("eth1_data_votes", ETH1_DATA_VOTES),
        field("eth1_deposit_index", UINT64),
        field(VALIDATORS, Type::ProgressiveList(&VALIDATOR)),
        field("balances", Type::ProgressiveList(&UINT64)),
        field("randao_mixes", RANDAO_MIXES),
        field("slashings", SLASHINGS),
        field("previous_epoch_participation", Type::ProgressiveList(&UINT8)),
        field("current_epoch_participation", Type::ProgressiveList(&UINT8)),
        field("justification_bits", Type::Bytes(1)),
        field("previous_justified_checkpoint", CHECKPOINT),
        field("current_justified_checkpoint", CHECKPOINT),
        field("finalized_checkpoint", CHECKPOINT),
        field("inactivity_scores", Type::ProgressiveList(&UINT64)),
        field("current_sync_committee", SYNC_COMMITTEE),
        field("next_sync_committee", SYNC_COMMITTEE),
        field("latest_block_hash", BYTES32),
        field("next_withdrawal_index", UINT64),
        field("next_withdrawal_validator_index", UINT64),
        field("historical_summaries", HISTORICAL_SUMMARIES),
        field("deposit_requests_start_index", UINT64),
        field("deposit_balance_to_consume", UINT64),
        field("exit_balance_to_consume", UINT64),
        field("earliest_exit_epoch", UINT64),
        field("consolidation_balance_to_consume", UINT64),
        field("earliest_consolidation_epoch", UINT64),
        field("pending_deposits", Type::ProgressiveList(&PENDING_DEPOSIT)),
        field("pending_partial_withdrawals", Type::ProgressiveList(&PENDING_PARTIAL_WITHDRAWAL)),
        field("pending_consolidations", Type::ProgressiveList(&PENDING_CONSOLIDATION)),
        field(LOOKAHEAD, PROPOSER_LOOKAHEAD),
        field("builders", Type::ProgressiveList(&BUILDER)),
        field("next_withdrawal_builder_index", UINT64),
        field("execution_payload_availability", Type::Bytes(1024)),
        field("builder_pending_payments", Type::Vector(&BUILDER_PENDING_PAYMENT, 64)),
        field("builder_pending_withdrawals", Type::ProgressiveList(&BUILDER_PENDING_WITHDRAWAL)),
        field("latest_execution_payload_bid", EXECUTION_PAYLOAD_BID),
        field("payload_expected_withdrawals", Type::ProgressiveList(&WITHDRAWAL)),
        field("ptc_window", Type::Vector(&Type::Vector(&UINT64, 512), 96)),
    ],
    progressive: true,
};
