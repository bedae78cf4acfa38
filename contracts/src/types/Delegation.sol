// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

/// @notice What a validator's key signs to delegate its slots, rule [D2].
struct Delegation {
    /// The validator's index.
    uint64 validatorIndex;
    /// To whom; 0 revokes.
    uint16 gateway;
    /// How often the validator's delegation was set before.
    uint64 nonce;
    /// The last second, Unix time, in which it can be submitted.
    uint64 deadline;
}

using DelegationLibrary for Delegation global;

/// @title Delegation
/// @notice Hashes a {Delegation}, EIP-712.
library DelegationLibrary {
    bytes32 private constant _TYPE_HASH =
        keccak256("Delegation(uint64 validatorIndex,uint16 gateway,uint64 nonce,uint64 deadline)");

    /// @notice The struct hash of EIP-712.
    function structHash(Delegation memory self) internal pure returns (bytes32) {
        // Plainly, as EIP-712 has it; it is hashed once per signature.
        // forge-lint: disable-next-line(asm-keccak256)
        return keccak256(abi.encode(_TYPE_HASH, self));
    }
}
