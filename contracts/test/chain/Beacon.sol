// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {DeployedState, Party} from "./Deployed.sol";
import {BeaconHeader, LookaheadProof, ValidatorProof} from "baton/beacon/IBeaconProofs.sol";

/// @notice Beacon blocks whose states hold what a test wants: a node is folded up a made-up branch, and what comes out is the state's root.
/// Written plainly, apart from the contracts' code; where things lie in real states is tested with vectors.
abstract contract BeaconState is DeployedState {
    /// Depths and generalized indices of the two things in a Fulu state.
    uint256 internal constant FULU_NEXT_EPOCH = 203;
    uint256 internal constant FULU_VALIDATORS = 150;

    /// The proof of the proposers of the epoch after a slot's, in the state of a block in that slot.
    function lookaheadProof(uint256 headerSlot, uint64[32] memory indices)
        internal
        view
        returns (LookaheadProof memory proof)
    {
        return lookaheadProof(headerSlot, indices, FULU_NEXT_EPOCH);
    }

    function lookaheadProof(uint256 headerSlot, uint64[32] memory indices, uint256 generalizedIndex)
        internal
        view
        returns (LookaheadProof memory proof)
    {
        proof.chunks = chunksOf(indices);
        bytes32[] memory level = new bytes32[](8);
        for (uint256 i = 0; i < 8; ++i) {
            level[i] = proof.chunks[i];
        }
        for (uint256 size = 4; size != 0; size /= 2) {
            for (uint256 i = 0; i < size; ++i) {
                level[i] = sha256(abi.encode(level[2 * i], level[2 * i + 1]));
            }
        }
        bytes32 state;
        (proof.branch, state) = grow(level[0], generalizedIndex);
        proof.header = headerOf(headerSlot, state);
    }

    /// The proof of a validator in the state of a block in a slot.
    function validatorProof(uint256 headerSlot, uint64 index, bytes32 pubkeyRoot, bytes32 credentials)
        internal
        view
        returns (ValidatorProof memory proof)
    {
        proof.index = index;
        proof.pubkeyRoot = pubkeyRoot;
        proof.withdrawalCredentials = credentials;
        uint256 generalizedIndex = ((FULU_VALIDATORS << 40) + index) << 2;
        bytes32 state;
        (proof.branch, state) = grow(sha256(abi.encode(pubkeyRoot, credentials)), generalizedIndex);
        proof.header = headerOf(headerSlot, state);
    }

    /// A header that says little but its slot and state.
    function headerOf(uint256 headerSlot, bytes32 state) internal pure returns (BeaconHeader memory) {
        return BeaconHeader({
            slot: uint64(headerSlot),
            proposerIndex: 7,
            parentRoot: keccak256(abi.encode("parent", headerSlot)),
            stateRoot: state,
            bodyRoot: keccak256(abi.encode("body", headerSlot))
        });
    }

    function rootOf(BeaconHeader memory header) internal pure returns (bytes32) {
        bytes32 a = sha256(abi.encode(littleEndian(header.slot), littleEndian(header.proposerIndex)));
        bytes32 b = sha256(abi.encode(header.parentRoot, header.stateRoot));
        bytes32 c = sha256(abi.encode(header.bodyRoot, bytes32(0)));
        bytes32 d = sha256(new bytes(64));
        return sha256(abi.encode(sha256(abi.encode(a, b)), sha256(abi.encode(c, d))));
    }

    function chunksOf(uint64[32] memory indices) internal pure returns (bytes32[8] memory chunks) {
        for (uint256 i = 0; i < 32; ++i) {
            chunks[i / 4] |= littleEndian(indices[i]) >> (64 * (i % 4));
        }
    }

    function littleEndian(uint64 value) internal pure returns (bytes32 chunk) {
        for (uint256 i = 0; i < 8; ++i) {
            chunk |= bytes32(uint256(uint8(value >> (8 * i))) << (248 - 8 * i));
        }
    }

    /// Makes up a branch for a node and follows it.
    function grow(bytes32 node, uint256 generalizedIndex) private pure returns (bytes32[] memory branch, bytes32 top) {
        uint256 depth = 0;
        while (generalizedIndex >> (depth + 1) != 0) ++depth;
        branch = new bytes32[](depth);
        top = node;
        for (uint256 i = 0; i < depth; ++i) {
            branch[i] = keccak256(abi.encode("sibling", i, node));
            bool right = (generalizedIndex >> i) & 1 == 1;
            top = right ? sha256(abi.encode(branch[i], top)) : sha256(abi.encode(top, branch[i]));
        }
    }

    // What a test does with such blocks.

    /// Publishes the next epoch's proposers, as of a block in the slot before the newest.
    function publish(uint64[32] memory indices) internal {
        LookaheadProof memory proof = lookaheadProof(slot - 1, indices);
        feedRoot(rootOf(proof.header));
        registry.publish(nextEpoch(), uint64(block.timestamp), proof);
    }

    function publishReverts(uint64[32] memory indices, bytes memory refusal) internal {
        LookaheadProof memory proof = lookaheadProof(slot - 1, indices);
        feedRoot(rootOf(proof.header));
        vm.expectRevert(refusal);
        registry.publish(nextEpoch(), uint64(block.timestamp), proof);
    }

    /// The address that may withdraw a validator's ether.
    function withdrawalAddress(uint64 index) internal returns (address) {
        return makeAddr(string.concat("withdrawal address ", vm.toString(index)));
    }

    /// A validator, proven in a state whose root the newest L1 block tells.
    function proven(uint64 index) internal returns (ValidatorProof memory) {
        return proven(index, bytes32(uint256(1) << 248 | uint160(withdrawalAddress(index))));
    }

    function proven(uint64 index, bytes32 credentials) internal returns (ValidatorProof memory proof) {
        proof = validatorProof(slot - 1, index, keccak256(abi.encode("key", index)), credentials);
        feedRoot(rootOf(proof.header));
    }

    /// A validator delegates to a party, which accepts.
    function delegate(uint64 index, Party memory p) internal {
        ValidatorProof memory proof = proven(index);
        vm.prank(withdrawalAddress(index));
        registry.offerDelegation(proof, uint64(block.timestamp), p.id, type(uint64).max);
        vm.prank(p.owner);
        registry.acceptDelegation(index, p.id);
    }

    function revoke(uint64 index) internal {
        ValidatorProof memory proof = proven(index);
        vm.prank(withdrawalAddress(index));
        registry.revokeDelegation(proof, uint64(block.timestamp));
    }

    function nextEpoch() internal view returns (uint64) {
        return uint64(currentEpoch() + 1);
    }
}
