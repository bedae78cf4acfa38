// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {IBeaconStateVerifier} from "./IBeaconStateVerifier.sol";
import {StateVerifier} from "./StateVerifier.sol";

/// @title Verifier of Gloas states
/// @notice A Gloas state is a progressive container (EIP-7495) and `validators` a progressive list (EIP-7916): a spine of right children, from
/// whose nodes hang, to the left, complete trees of 1, 4, 16, ... leaves. Beside either's root is what is mixed in: the active
/// fields, the length. `validators` is field 11, the 7th leaf of the third tree; `proposer_lookahead` is field 37, the 17th of the fourth.
contract GloasVerifier is StateVerifier {
    /// @dev The right half of `proposer_lookahead`, the next epoch's.
    uint32 private constant _NEXT_EPOCH = 2960 * 2 + 1;
    /// @dev The root over the elements of `validators`, beside which is their number.
    uint256 private constant _VALIDATORS = 358 * 2;

    /// @inheritdoc IBeaconStateVerifier
    function nextEpochIndex() external pure returns (uint32) {
        return _NEXT_EPOCH;
    }

    /// @inheritdoc StateVerifier
    function _validatorIndex(uint64 index) internal pure override returns (uint256 generalizedIndex) {
        generalizedIndex = _VALIDATORS;
        uint256 leaf = index;
        uint256 depth = 0;
        // At most 32 rounds: the trees before the 33rd hold more than 2^64 leaves.
        for (uint256 leaves = 1; leaf >= leaves; leaves *= 4) {
            leaf -= leaves;
            depth += 2;
            generalizedIndex = 2 * generalizedIndex + 1;
        }
        return ((2 * generalizedIndex) << depth) | leaf;
    }
}
