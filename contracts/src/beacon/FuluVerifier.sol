// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {IBeaconStateVerifier} from "./IBeaconStateVerifier.sol";
import {StateVerifier} from "./StateVerifier.sol";

/// @title Verifier of Fulu states
/// @notice A Fulu state is a container of 38 fields, padded to 64: field `f` has generalized index 64 + f. `validators` is field 11, a list
/// of at most 2^40; `proposer_lookahead` is field 37, a vector of 16 chunks.
contract FuluVerifier is StateVerifier {
    /// @dev The right half of `proposer_lookahead`, the next epoch's.
    uint32 private constant _NEXT_EPOCH = 101 * 2 + 1;
    /// @dev The root over the elements of `validators`, beside which is their number.
    uint256 private constant _VALIDATORS = 75 * 2;
    uint256 private constant _VALIDATORS_DEPTH = 40;

    /// @inheritdoc IBeaconStateVerifier
    function nextEpochIndex() external pure returns (uint32) {
        return _NEXT_EPOCH;
    }

    /// @inheritdoc StateVerifier
    function _validatorIndex(uint64 index) internal pure override returns (uint256 generalizedIndex) {
        require(index >> _VALIDATORS_DEPTH == 0, ValidatorIndexTooLarge(index));
        return (_VALIDATORS << _VALIDATORS_DEPTH) | index;
    }
}
