//! Contracts that a chain has from genesis on.

use alloy::{
    eips::{
        eip2935::{HISTORY_STORAGE_ADDRESS, HISTORY_STORAGE_CODE},
        eip4788::{BEACON_ROOTS_ADDRESS, BEACON_ROOTS_CODE},
    },
    primitives::{Address, Bytes, address},
};

use crate::fork::Fork;

/// `L1Block`: holds what the L1-info deposit of each block brings.
pub const L1_BLOCK: Address = address!("0x4200000000000000000000000000000000000015");
/// `L2ToL1MessagePasser`: its storage root is the header's withdrawals root from Isthmus on.
pub const MESSAGE_PASSER: Address = address!("0x4200000000000000000000000000000000000016");
/// `SequencerFeeVault`: the fee recipient that rollup nodes name in their attributes.
pub const SEQUENCER_FEE_VAULT: Address = address!("0x4200000000000000000000000000000000000011");
/// The account that L1-info deposits come from.
pub const L1_INFO_DEPOSITOR: Address = address!("0xdeaddeaddeaddeaddeaddeaddeaddeaddead0001");

/// The predeploys that execution itself needs on `fork`.
///
/// The message passer and the fee vaults need none: without code they behave as plain accounts, and no withdrawal can
/// be started on a devnet.
pub fn predeploys(fork: Fork) -> Vec<(Address, Bytes)> {
    let mut contracts = vec![(BEACON_ROOTS_ADDRESS, BEACON_ROOTS_CODE.clone()), (L1_BLOCK, l1_block_code())];
    if fork.includes(Fork::Isthmus) {
        contracts.push((HISTORY_STORAGE_ADDRESS, HISTORY_STORAGE_CODE.clone()));
    }
    contracts
}

/// Runtime code of a stand-in for `L1Block`: it stores the packed calldata of `setL1BlockValuesEcotone`, `..Isthmus`
/// and `..Jovian` into the slots that the fee rules read (specs: Ecotone, Isthmus and Jovian L1 attributes), and has
/// no getters. Anyone but the depositor is refused.
///
/// A devnet's L1-info deposits carry zero fee scalars, so that L1 fees and operator fees are zero; with others, fees
/// are charged as on a real chain.
fn l1_block_code() -> Bytes {
    const PUSH1: u8 = 0x60;
    const PUSH20: u8 = 0x73;
    const CALLER: u8 = 0x33;
    const EQ: u8 = 0x14;
    const JUMPI: u8 = 0x57;
    const JUMPDEST: u8 = 0x5b;
    const REVERT: u8 = 0xfd;
    const CALLDATALOAD: u8 = 0x35;
    const SHR: u8 = 0x1c;
    const SHL: u8 = 0x1b;
    const OR: u8 = 0x17;
    const SSTORE: u8 = 0x55;
    const STOP: u8 = 0x00;

    /// Where the code goes on after the check of the caller.
    const ADMITTED: u8 = 31;

    let mut code = vec![CALLER, PUSH20];
    code.extend_from_slice(L1_INFO_DEPOSITOR.as_slice());
    code.extend_from_slice(&[EQ, PUSH1, ADMITTED, JUMPI, PUSH1, 0, PUSH1, 0, REVERT, JUMPDEST]);
    // (calldata offset, unused low bits of the loaded word, slot)
    for (offset, shift, slot) in [
        (4, 128, 3),  // baseFeeScalar, blobBaseFeeScalar, sequenceNumber
        (20, 128, 0), // timestamp, number
        (36, 0, 1),   // basefee
        (68, 0, 7),   // blobBaseFee
        (100, 0, 2),  // hash
        (132, 0, 4),  // batcherHash
    ] {
        code.extend_from_slice(&[PUSH1, offset, CALLDATALOAD, PUSH1, shift, SHR, PUSH1, slot, SSTORE]);
    }
    // Slot 8: DA footprint scalar above operator fee scalar and constant. Calldata past the end reads as zero, so that
    // forks without these fields store zero.
    code.extend_from_slice(&[PUSH1, 176, CALLDATALOAD, PUSH1, 240, SHR, PUSH1, 96, SHL]);
    code.extend_from_slice(&[PUSH1, 164, CALLDATALOAD, PUSH1, 160, SHR, OR, PUSH1, 8, SSTORE, STOP]);
    code.into()
}
