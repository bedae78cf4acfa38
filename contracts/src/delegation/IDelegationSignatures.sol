// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

/// @title Signatures of delegations
/// @notice What a validator's key signs to delegate, and whether it did, rule [D2]. Without state; a contract of its own because the registry has no
/// room for the code.
interface IDelegationSignatures {
    /// @notice The validator's proven key isn't the one that is said to have signed.
    error WrongPublicKey(bytes32 pubkeyRoot, bytes32 proven);
    /// @notice The key or the signature is the point at infinity.
    error PointAtInfinity();
    /// @notice The signature doesn't hold over this root. Or a point isn't on its curve, not in its subgroup, or not encoded canonically.
    error WrongSignature(bytes32 signingRoot);

    /// @notice Refuses a signature that doesn't hold.
    /// @param digest The delegation's EIP-712 digest.
    /// @param nonce Its nonce.
    /// @param provenRoot The root of the validator's `pubkey` field.
    /// @param key The validator's key, uncompressed as EIP-2537 has points of G1: x and y, 64 bytes each.
    /// @param signature The signature, uncompressed as EIP-2537 has points of G2: x and y, 128 bytes each.
    function check(
        bytes32 digest,
        uint64 nonce,
        bytes32 provenRoot,
        bytes32[4] calldata key,
        bytes32[8] calldata signature
    ) external view;

    /// @notice What the key signs: the digest in Commit-Boost's wrapping.
    function signingRoot(bytes32 digest, uint64 nonce) external view returns (bytes32);
}
