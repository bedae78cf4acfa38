// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {BlsSignature} from "./BlsSignature.sol";
import {CommitBoost} from "./CommitBoost.sol";
import {IDelegationSignatures} from "./IDelegationSignatures.sol";

/// @title Delegation signatures
/// @notice Rule [D2].
contract DelegationSignatures is IDelegationSignatures {
    bytes32 private immutable _DOMAIN;

    /// @param genesisForkVersion The beacon chain's.
    constructor(bytes4 genesisForkVersion) {
        _DOMAIN = CommitBoost.domain(genesisForkVersion);
    }

    /// @inheritdoc IDelegationSignatures
    function check(
        bytes32 digest,
        uint64 nonce,
        bytes32 provenRoot,
        bytes32[4] calldata key,
        bytes32[8] calldata signature
    ) external view {
        bytes32 pubkeyRoot = BlsSignature.pubkeyRoot(key);
        require(pubkeyRoot == provenRoot, WrongPublicKey(pubkeyRoot, provenRoot));
        require(!BlsSignature.isInfinity(key) && !BlsSignature.isInfinity(signature), PointAtInfinity());
        bytes32 root = CommitBoost.signingRoot(digest, nonce, _DOMAIN);
        require(BlsSignature.verify(abi.encodePacked(root), key, signature), WrongSignature(root));
    }

    /// @inheritdoc IDelegationSignatures
    function signingRoot(bytes32 digest, uint64 nonce) external view returns (bytes32) {
        return CommitBoost.signingRoot(digest, nonce, _DOMAIN);
    }
}
