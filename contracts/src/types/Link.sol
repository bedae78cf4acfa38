// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

/// @title Links
/// @notice Rule [L1]: `link(n) = keccak256(link(n-1) ‖ blockHash(n))`.
library Links {
    /// @notice Follows the links over a part of a list of block hashes.
    /// @param link The link before the first of them.
    /// @param hashes The list.
    /// @param from Index of the first hash that counts.
    /// @param to One past the last; above `from`, at most the list's length.
    /// @return parent The link before the last.
    /// @return tip The link of the last.
    function extend(bytes32 link, bytes32[] calldata hashes, uint256 from, uint256 to)
        internal
        pure
        returns (bytes32 parent, bytes32 tip)
    {
        // In assembly, because this loop is what each further block of a batch costs: the link stays at 0x00 and only the hash
        // beside it is loaded.
        assembly ("memory-safe") {
            let position := add(hashes.offset, shl(5, from))
            let last := add(hashes.offset, shl(5, sub(to, 1)))
            mstore(0x00, link)
            for {} lt(position, last) { position := add(position, 0x20) } {
                mstore(0x20, calldataload(position))
                mstore(0x00, keccak256(0x00, 0x40))
            }
            parent := mload(0x00)
            mstore(0x20, calldataload(last))
            tip := keccak256(0x00, 0x40)
        }
    }
}
