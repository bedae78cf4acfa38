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
