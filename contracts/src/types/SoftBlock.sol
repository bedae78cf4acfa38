// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

/// @notice A commitment to one L2 block and, through the link, to all before it, rule [L2].
struct SoftBlock {
    /// The L2 block's number.
    uint64 number;
    /// The link of the block before.
    bytes32 parentLink;
    /// The L2 block's hash.
    bytes32 blockHash;
    /// The L1 block that this commitment hangs on, rule [L4].
    uint64 anchorNumber;
    /// Its hash.
    bytes32 anchorHash;
}

using SoftBlockLibrary for SoftBlock global;

/// @title Soft block
/// @notice Hashes a {SoftBlock}, EIP-712.
library SoftBlockLibrary {
    bytes32 private constant _TYPE_HASH = keccak256(
        "SoftBlock(uint64 number,bytes32 parentLink,bytes32 blockHash,uint64 anchorNumber,bytes32 anchorHash)"
    );

    /// @notice The struct hash of EIP-712.
    function structHash(SoftBlock memory self) internal pure returns (bytes32) {
        // Plainly, as EIP-712 has it; it is hashed once per signature.
        // forge-lint: disable-next-line(asm-keccak256)
        return keccak256(abi.encode(_TYPE_HASH, self));
    }
}
