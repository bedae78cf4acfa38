// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {IBeaconProofs, ValidatorProof} from "./IBeaconProofs.sol";

/// @title Verifier of proofs against beacon states
/// @notice Where things lie in a beacon state changes with consensus forks, so each layout has a verifier of its own, without state, rule [F1].
interface IBeaconStateVerifier is IBeaconProofs {
    /// @notice The state's list of validators has no place for this index.
    error ValidatorIndexTooLarge(uint64 index);

    /// @notice The generalized index, from the state's root, of the next epoch's proposers: the node over the eight chunks that are the second half of
    /// `proposer_lookahead`. Asked for once, when the verifier is appended: a call in each publication would cost more than all its hashes.
    function nextEpochIndex() external pure returns (uint32);

    /// @notice Checks the proof of a validator's key and withdrawal credentials. Reverts unless it holds.
    /// @param blockRoot The root of the block.
    /// @param proof The proof.
    function verifyValidator(bytes32 blockRoot, ValidatorProof calldata proof) external view;
}
