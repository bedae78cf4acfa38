// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {BeaconProof} from "./BeaconProof.sol";
import {ValidatorProof} from "./IBeaconProofs.sol";
import {IBeaconStateVerifier} from "./IBeaconStateVerifier.sol";
import {SszTree} from "./SszTree.sol";

/// @title State verifier
/// @notice What the verifiers of all forks share: everything but the places in the state.
abstract contract StateVerifier is IBeaconStateVerifier {
    /// @dev `pubkey` and `withdrawal_credentials` are the first two of a validator's eight fields: their pair is two levels below its root.
    uint256 private constant _KEY_PAIR_DEPTH = 2;

    /// @inheritdoc IBeaconStateVerifier
    function verifyValidator(bytes32 blockRoot, ValidatorProof calldata proof) external view {
        BeaconProof.checkHeader(proof.header, blockRoot);
        bytes32 pair = SszTree.pair(proof.pubkeyRoot, proof.withdrawalCredentials);
        BeaconProof.checkBranch(proof.header, pair, _validatorIndex(proof.index) << _KEY_PAIR_DEPTH, proof.branch);
    }

    /// @dev The generalized index, from the state's root, of a validator.
    function _validatorIndex(uint64 index) internal pure virtual returns (uint256 generalizedIndex);
}
