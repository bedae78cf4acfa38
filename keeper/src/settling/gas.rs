//! How much a settlement can hold by gas.

/// What a transaction's gas limit may be at most (EIP-7825).
pub const MAX_TRANSACTION_GAS: u64 = 1 << 24;

const BASE: u64 = 400_000;
/// Per block: a hash of calldata (EIP-7623's floor) and its link.
const BLOCK: u64 = 3_000;
/// Per run: a signature, the verdict over a window's slots, and a charge.
const RUN: u64 = 500_000;

/// The gas limit of a settlement: more than it can use, since only what is used is paid.
pub const fn settle_gas_limit(blocks: usize, runs: usize) -> u64 {
    BASE + BLOCK * blocks as u64 + RUN * runs as u64
}

/// What still fits into one settlement: by the number of blocks that are allowed and by [`MAX_TRANSACTION_GAS`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Room {
    blocks: usize,
    gas: u64,
}

impl Room {
    /// An empty settlement's.
    pub(super) const fn new(blocks: usize) -> Self {
        Self { blocks, gas: MAX_TRANSACTION_GAS - BASE }
    }

    /// Blocks that fit as one more run.
    pub(super) fn for_run(self) -> usize {
        let by_gas = self.gas.saturating_sub(RUN) / BLOCK;
        self.blocks.min(usize::try_from(by_gas).unwrap_or(usize::MAX))
    }

    /// Takes a run's room.
    pub(super) const fn take_run(&mut self, blocks: usize) {
        self.blocks = self.blocks.saturating_sub(blocks);
        self.gas = self.gas.saturating_sub(RUN + BLOCK * blocks as u64);
    }
}
