// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {BeaconHeader, IBeaconStateVerifier, LookaheadProof, ValidatorProof} from "./IBeaconStateVerifier.sol";
import {SszTree} from "./SszTree.sol";
import {Math} from "@openzeppelin/contracts/utils/math/Math.sol";

/// @title State verifier
/// @notice What the verifiers of all forks share: everything but the places of the two things in the state.
abstract contract StateVerifier is IBeaconStateVerifier {
    /// @dev `pubkey` and `withdrawal_credentials` are the first two of a validator's eight fields: their pair is two levels below its root.
    uint256 private constant _KEY_PAIR_DEPTH = 2;

    /// @inheritdoc IBeaconStateVerifier
    function verifyLookahead(bytes32 blockRoot, LookaheadProof calldata proof) external view {
        _checkHeader(blockRoot, proof.header);
        _checkBranch(proof.header, SszTree.root(proof.chunks), _nextEpochIndex(), proof.branch);
    }

    /// @inheritdoc IBeaconStateVerifier
    function verifyValidator(bytes32 blockRoot, ValidatorProof calldata proof) external view {
        _checkHeader(blockRoot, proof.header);
        bytes32 pair = SszTree.pair(proof.pubkeyRoot, proof.withdrawalCredentials);
        _checkBranch(proof.header, pair, _validatorIndex(proof.index) << _KEY_PAIR_DEPTH, proof.branch);
    }

    /// @dev The generalized index, from the state's root, of the next epoch's half of `proposer_lookahead`.
    function _nextEpochIndex() internal pure virtual returns (uint256 generalizedIndex);

    /// @dev The generalized index, from the state's root, of a validator.
    function _validatorIndex(uint64 index) internal pure virtual returns (uint256 generalizedIndex);

    function _checkHeader(bytes32 blockRoot, BeaconHeader calldata header) private view {
        bytes32 computed = SszTree.root(header);
        require(computed == blockRoot, WrongBlockRoot(computed, blockRoot));
    }

    function _checkBranch(
        BeaconHeader calldata header,
        bytes32 node,
        uint256 generalizedIndex,
        bytes32[] calldata branch
    ) private view {
        // Exactly: a shorter branch would prove an inner node, a longer one a node below a leaf.
        uint256 depth = Math.log2(generalizedIndex);
        require(branch.length == depth, WrongBranchLength(branch.length, depth));
        bytes32 computed = SszTree.root(node, generalizedIndex, branch);
        require(computed == header.stateRoot, WrongStateRoot(computed, header.stateRoot));
    }
}
