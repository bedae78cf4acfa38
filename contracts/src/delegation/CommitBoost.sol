// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {SszTree} from "../beacon/SszTree.sol";

/// @title Commit-Boost's wrapping
/// @notice What a Commit-Boost signer makes of an object root before a validator's key signs it: "Requesting Proposer Commitment Signatures
/// with Commit-Boost" in its documentation. An SSZ tree over object root, signing id, nonce and chain id; then, as for all that
/// validators sign, the pair of that and a domain.
library CommitBoost {
    /// @notice Baton's signing id, which an operator names in its signer's configuration.
    bytes32 internal constant SIGNING_ID = keccak256("baton.delegation.v1");
    /// @dev Commit-Boost's domain type: no message of the beacon chain has it.
    bytes4 private constant _DOMAIN_TYPE = 0x6d6d6f43;

    /// @notice The domain: the type, and what `compute_fork_data_root` of the consensus specification makes of the fork version and
    /// no genesis validators root.
    /// @param genesisForkVersion The beacon chain's.
    function domain(bytes4 genesisForkVersion) internal view returns (bytes32) {
        bytes32 forkDataRoot = SszTree.pair(genesisForkVersion, 0);
        return bytes32(_DOMAIN_TYPE) | (forkDataRoot >> 32);
    }

    /// @notice What the key signs.
    /// @param objectRoot What the signer was asked for.
    /// @param nonce The request's nonce.
    /// @param domain_ Of {domain}.
    function signingRoot(bytes32 objectRoot, uint64 nonce, bytes32 domain_) internal view returns (bytes32) {
        bytes32 request = SszTree.pair(objectRoot, SIGNING_ID);
        bytes32 context = SszTree.pair(SszTree.littleEndian(nonce), _littleEndian(block.chainid));
        return SszTree.pair(SszTree.pair(request, context), domain_);
    }

    /// @dev A whole word's bytes turned round.
    function _littleEndian(uint256 value) private pure returns (bytes32) {
        uint256 lanes = SszTree.swapLanes(value);
        return bytes32(
            (lanes << 192) | ((lanes & (type(uint64).max << 64)) << 64) | ((lanes >> 64) & (type(uint64).max << 64))
                | (lanes >> 192)
        );
    }
}
