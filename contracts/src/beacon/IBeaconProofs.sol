// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

/// @notice The header of a beacon block, as the consensus specification has it (`BeaconBlockHeader`).
struct BeaconHeader {
    /// The block's slot.
    uint64 slot;
    /// The validator that proposed it.
    uint64 proposerIndex;
    /// The root of the block before.
    bytes32 parentRoot;
    /// The root of the state after the block.
    bytes32 stateRoot;
    /// The root of the block's body.
    bytes32 bodyRoot;
}

/// @notice Proof of the next epoch's proposers: the second half of `proposer_lookahead` (EIP-7917) in a beacon state.
struct LookaheadProof {
    /// The header of the block whose state it is.
    BeaconHeader header;
    /// The half's 32 validator indices as SSZ has them: little-endian, 64 bits each, four to a chunk.
    bytes32[8] chunks;
    /// The siblings from the half's root up to the state's root, lowest first.
    bytes32[] branch;
}

/// @notice Proof of a validator's key and withdrawal credentials in a beacon state.
struct ValidatorProof {
    /// The header of the block whose state it is.
    BeaconHeader header;
    /// The validator's index.
    uint64 index;
    /// The root of its `pubkey` field.
    bytes32 pubkeyRoot;
    /// Its `withdrawal_credentials`.
    bytes32 withdrawalCredentials;
    /// The siblings from the node over both fields up to the state's root, lowest first.
    bytes32[] branch;
}

/// @title Proofs against beacon states
/// @notice How they fail.
interface IBeaconProofs {
    /// @notice The header isn't that of the block with this root.
    error WrongBlockRoot(bytes32 computed, bytes32 expected);
    /// @notice The branch doesn't lead to the header's state root.
    error WrongStateRoot(bytes32 computed, bytes32 expected);
    /// @notice The branch must have exactly as many siblings as the layout says.
    error WrongBranchLength(uint256 length, uint256 expected);
}
