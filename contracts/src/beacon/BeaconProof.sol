// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {BeaconHeader, IBeaconProofs} from "./IBeaconProofs.sol";
import {SszTree} from "./SszTree.sol";

/// @title Beacon proof
/// @notice What proofs against beacon states have in common: a header, and a branch from a node to its state's root.
library BeaconProof {
    /// @notice Refuses a header that isn't the block's.
    function checkHeader(BeaconHeader calldata header, bytes32 blockRoot) internal view {
        bytes32 computed = SszTree.root(header);
        require(computed == blockRoot, IBeaconProofs.WrongBlockRoot(computed, blockRoot));
    }

    /// @notice Refuses a branch that doesn't lead from a node, at its place in the state, to the header's state root.
    function checkBranch(
        BeaconHeader calldata header,
        bytes32 node,
        uint256 generalizedIndex,
        bytes32[] calldata branch
    ) internal view {
        // Exactly: a shorter branch would prove an inner node, a longer one a node below a leaf.
        uint256 depth;
        assembly ("memory-safe") {
            depth := sub(255, clz(generalizedIndex))
        }
        require(branch.length == depth, IBeaconProofs.WrongBranchLength(branch.length, depth));
        bytes32 computed = SszTree.root(node, generalizedIndex, branch);
        require(computed == header.stateRoot, IBeaconProofs.WrongStateRoot(computed, header.stateRoot));
    }
}
