// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

/// @title Hash to G2
/// @notice RFC 9380's suite BLS12381G2_XMD:SHA-256_SSWU_RO_ with EIP-2537's maps. Each map clears the cofactor itself; clearing is linear, so
/// that their sum is what clearing after adding gives.
library HashToG2 {
    /// @dev expand_message's output: two elements of Fp2, each of two numbers of 64 bytes, which are then reduced.
    uint16 private constant _UNIFORM_BYTES = 256;
    uint256 private constant _SHA256 = 0x02;
    uint256 private constant _MODEXP = 0x05;
    uint256 private constant _G2ADD = 0x0d;
    uint256 private constant _MAP_FP2_TO_G2 = 0x11;
    /// @dev The field's modulus: the upper 16 bytes and the lower 32.
    uint256 private constant _P_HIGH = 0x1a0111ea397fe69a4b1ba7b6434bacd7;
    uint256 private constant _P_LOW = 0x64774b84f38512bf6730d2a0f6b0f6241eabfffeb153ffffb9feffffffffaaab;

    /// @notice A precompile failed, for want of gas or because the chain doesn't have EIP-2537.
    error PrecompileFailed();

    /// @notice Hashes a message to a point.
    /// @param message Any bytes.
    /// @param tag The domain separation tag, at most 255 bytes.
    /// @return point The point, uncompressed as EIP-2537 has it.
    function hash(bytes memory message, bytes memory tag) internal view returns (bytes32[8] memory point) {
        bytes32[8] memory uniform = _expand(message, tag);
        bool ok = true;
        assembly ("memory-safe") {
            let scratch := mload(0x40)
            // hash_to_field: each number modulo p. The precompile wants lengths of base, exponent and modulus, and these.
            mstore(scratch, 64)
            mstore(add(scratch, 0x20), 1)
            mstore(add(scratch, 0x40), 64)
            mstore8(add(scratch, 0xa0), 1)
            mstore(add(scratch, 0xa1), _P_HIGH)
            mstore(add(scratch, 0xc1), _P_LOW)
            for { let offset := 0 } lt(offset, _UNIFORM_BYTES) { offset := add(offset, 0x40) } {
                let place := add(uniform, offset)
                mcopy(add(scratch, 0x60), place, 0x40)
                ok := and(ok, staticcall(gas(), _MODEXP, scratch, 0xe1, place, 0x40))
            }
            // map_to_curve of both, side by side, and their sum.
            ok := and(ok, staticcall(gas(), _MAP_FP2_TO_G2, uniform, 0x80, scratch, 0x100))
            ok := and(ok, staticcall(gas(), _MAP_FP2_TO_G2, add(uniform, 0x80), 0x80, add(scratch, 0x100), 0x100))
            ok := and(ok, staticcall(gas(), _G2ADD, scratch, 0x200, point, 0x100))
        }
        require(ok, PrecompileFailed());
    }

    /// @dev expand_message_xmd with SHA-256, RFC 9380 section 5.3.1.
    function _expand(bytes memory message, bytes memory tag) private view returns (bytes32[8] memory uniform) {
        // Z_pad is a block of 64 zero bytes; then the message, the output's length in two bytes, a zero, tag and its length.
        bytes memory suffixed = abi.encodePacked(tag, bytes1(uint8(tag.length)));
        bytes memory preimage = abi.encodePacked(bytes32(0), bytes32(0), message, _UNIFORM_BYTES, bytes1(0), suffixed);
        bytes32 first = sha256(preimage);
        bool ok = true;
        assembly ("memory-safe") {
            // Each block hashes the one before, mixed with the first, its number, and the tag.
            let scratch := mload(0x40)
            let length := mload(suffixed)
            mcopy(add(scratch, 0x21), add(suffixed, 0x20), length)
            length := add(length, 0x21)
            let block_ := 0
            for { let i := 0 } lt(i, 8) { i := add(i, 1) } {
                mstore(scratch, xor(first, block_))
                mstore8(add(scratch, 0x20), add(i, 1))
                let place := add(uniform, shl(5, i))
                ok := and(ok, staticcall(gas(), _SHA256, scratch, length, place, 0x20))
                block_ := mload(place)
            }
        }
        require(ok, PrecompileFailed());
    }
}
