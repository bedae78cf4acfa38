// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {BeaconHeader} from "./IBeaconProofs.sol";

/// @title SSZ trees
/// @notice Merkle roots as SSZ has them: SHA-256 over pairs. In assembly, because the precompile is called for each node of a proof and a
/// high-level call costs as much again in memory.
///
/// Whether those calls succeed isn't checked: they fail for want of gas alone, and take all but a sixty-fourth (EIP-150) of what was left: of
/// less than the 86 that they would have needed that is one at most, and nothing can be done with it.
library SszTree {
    /// @dev SHA-256 of 64 zero bytes: the root of two empty leaves.
    bytes32 private constant _ZERO_PAIR = 0xf5a5fd42d16a20302798ef6ed309979b43003d2320d9f0e8ea9831a92759fb4b;

    /// @notice The node over two nodes.
    function pair(bytes32 left, bytes32 right) internal view returns (bytes32 node) {
        assembly ("memory-safe") {
            mstore(0x00, left)
            mstore(0x20, right)
            pop(staticcall(gas(), 2, 0x00, 0x40, 0x00, 0x20))
            node := mload(0x00)
        }
    }

    /// @notice The root that a branch leads to.
    /// @param node The node that the branch begins at.
    /// @param generalizedIndex The node's place in the tree; the branch must have as many siblings as it has bits below the highest.
    /// @param branch The siblings, lowest first.
    function root(bytes32 node, uint256 generalizedIndex, bytes32[] calldata branch)
        internal
        view
        returns (bytes32 top)
    {
        assembly ("memory-safe") {
            let end := add(branch.offset, shl(5, branch.length))
            // The node goes to the right half where its index is odd, its sibling to the other.
            let side := shl(5, and(generalizedIndex, 1))
            mstore(side, node)
            for { let position := branch.offset } lt(position, end) { position := add(position, 0x20) } {
                mstore(xor(side, 0x20), calldataload(position))
                generalizedIndex := shr(1, generalizedIndex)
                side := shl(5, and(generalizedIndex, 1))
                pop(staticcall(gas(), 2, 0x00, 0x40, side, 0x20))
            }
            top := mload(side)
        }
    }

    /// @notice The root over eight chunks.
    function root(bytes32[8] calldata chunks) internal view returns (bytes32 top) {
        assembly ("memory-safe") {
            // Beyond the memory in use; each level is written over the one below.
            let level := mload(0x40)
            calldatacopy(level, chunks, 0x100)
            pop(staticcall(gas(), 2, level, 0x40, level, 0x20))
            pop(staticcall(gas(), 2, add(level, 0x40), 0x40, add(level, 0x20), 0x20))
            pop(staticcall(gas(), 2, add(level, 0x80), 0x40, add(level, 0x40), 0x20))
            pop(staticcall(gas(), 2, add(level, 0xc0), 0x40, add(level, 0x60), 0x20))
            pop(staticcall(gas(), 2, level, 0x40, level, 0x20))
            pop(staticcall(gas(), 2, add(level, 0x40), 0x40, add(level, 0x20), 0x20))
            pop(staticcall(gas(), 2, level, 0x40, 0x00, 0x20))
            top := mload(0x00)
        }
    }

    /// @notice The root of a beacon block's header, which is the block's: five fields, padded to eight.
    function root(BeaconHeader calldata header) internal view returns (bytes32 top) {
        uint256 numbers = swapLanes((uint256(header.slot) << 64) | header.proposerIndex);
        assembly ("memory-safe") {
            // As above. Of the fourth pair of leaves, both empty, the node is known.
            let level := mload(0x40)
            mstore(level, shl(192, shr(64, numbers)))
            mstore(add(level, 0x20), shl(192, numbers))
            calldatacopy(add(level, 0x40), add(header, 0x40), 0x60)
            mstore(add(level, 0xa0), 0)
            pop(staticcall(gas(), 2, level, 0x40, level, 0x20))
            pop(staticcall(gas(), 2, add(level, 0x40), 0x40, add(level, 0x20), 0x20))
            pop(staticcall(gas(), 2, add(level, 0x80), 0x40, add(level, 0x40), 0x20))
            mstore(add(level, 0x60), _ZERO_PAIR)
            pop(staticcall(gas(), 2, level, 0x40, level, 0x20))
            pop(staticcall(gas(), 2, add(level, 0x40), 0x40, add(level, 0x20), 0x20))
            pop(staticcall(gas(), 2, level, 0x40, 0x00, 0x20))
            top := mload(0x00)
        }
    }

    /// @notice A number as SSZ has it in a chunk: its bytes from the lowest on.
    function littleEndian(uint64 value) internal pure returns (bytes32 chunk) {
        return bytes32(swapLanes(value) << 192);
    }

    /// @notice Turns the bytes round within each 64-bit lane of a word: the four numbers of a chunk from or to little endian.
    function swapLanes(uint256 word) internal pure returns (uint256) {
        uint256 bytesMask = 0x00ff00ff00ff00ff00ff00ff00ff00ff00ff00ff00ff00ff00ff00ff00ff00ff;
        uint256 pairsMask = 0x0000ffff0000ffff0000ffff0000ffff0000ffff0000ffff0000ffff0000ffff;
        uint256 halvesMask = 0x00000000ffffffff00000000ffffffff00000000ffffffff00000000ffffffff;
        word = ((word >> 8) & bytesMask) | ((word & bytesMask) << 8);
        word = ((word >> 16) & pairsMask) | ((word & pairsMask) << 16);
        return ((word >> 32) & halvesMask) | ((word & halvesMask) << 32);
    }
}
