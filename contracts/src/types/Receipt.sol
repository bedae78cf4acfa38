// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

/// @notice A promise to include a transaction at a place of a block, rule [L6].
struct Receipt {
    /// The L2 block's number.
    uint64 number;
    /// The link of the block before.
    bytes32 parentLink;
    /// The transaction's index in the block.
    uint32 txIndex;
    /// The transaction's hash.
    bytes32 txHash;
    /// Who is refunded if the promise is broken.
    address payee;
    /// The L1 block that this promise hangs on, rule [L4].
    uint64 anchorNumber;
    /// Its hash.
    bytes32 anchorHash;
}

using ReceiptLibrary for Receipt global;

/// @title Receipt
/// @notice Hashes a {Receipt}, EIP-712.
library ReceiptLibrary {
    bytes32 private constant _TYPE_HASH = keccak256(
        "Receipt(uint64 number,bytes32 parentLink,uint32 txIndex,bytes32 txHash,address payee,uint64 anchorNumber,bytes32 anchorHash)"
    );

    /// @notice The struct hash of EIP-712.
    function structHash(Receipt memory self) internal pure returns (bytes32) {
        // Plainly, as EIP-712 has it; it is hashed once per signature.
        // forge-lint: disable-next-line(asm-keccak256)
        return keccak256(abi.encode(_TYPE_HASH, self));
    }
}
