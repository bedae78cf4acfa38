// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

/// @title Beacon roots
/// @notice Reads EIP-4788's contract: by the timestamp of an L1 block, the root of its parent beacon block.
library BeaconRoots {
    /// @notice EIP-4788's contract.
    address internal constant CONTRACT = 0x000F3df6D732807Ef1319fB7B8bB8522d0Beac02;
    /// @notice The contract's ring has as many places, told apart by timestamp; a prime, so that it holds as many slots.
    uint256 internal constant RING = 8191;

    /// @notice The root that the contract holds for a timestamp; zero if none.
    function rootAt(uint256 slotTimestamp) internal view returns (bytes32 root) {
        // In assembly, because a high-level call to an address without code would revert. No code, a failed call and a zero root all
        // mean that there is none.
        assembly ("memory-safe") {
            mstore(0x00, slotTimestamp)
            let answered := staticcall(gas(), CONTRACT, 0x00, 0x20, 0x00, 0x20)
            root := mul(mload(0x00), and(answered, eq(returndatasize(), 0x20)))
        }
    }
}
