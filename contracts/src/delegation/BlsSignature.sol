// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {HashToG2} from "./HashToG2.sol";

/// @title BLS signatures
/// @notice Signatures of Ethereum's validators: BLS12-381 with keys in G1, in the draft standard's proof-of-possession scheme. With EIP-2537's
/// precompiles, whose pairing refuses points that aren't on the curve, aren't in the subgroup or aren't encoded canonically.
library BlsSignature {
    /// @dev The tag of the scheme; NUL in place of POP would be another one.
    bytes private constant _TAG = "BLS_SIG_BLS12381G2_XMD:SHA-256_SSWU_RO_POP_";
    uint256 private constant _PAIRING = 0x0f;
    /// @dev The generator of G1, negated: x and y, each the upper 16 bytes and the lower 32.
    uint256 private constant _NEGATED_X_HIGH = 0x17f1d3a73197d7942695638c4fa9ac0f;
    uint256 private constant _NEGATED_X_LOW = 0xc3688c4f9774b905a14e3a3f171bac586c55e83ff97a1aeffb3af00adb22c6bb;
    uint256 private constant _NEGATED_Y_HIGH = 0x114d1d6855d545a8aa7d76c8cf2e21f2;
    uint256 private constant _NEGATED_Y_LOW = 0x67816aef1db507c96655b9d5caac42364e6f38ba0ecb751bad54dcd6b939c2ca;
    /// @dev (p - 1) / 2: the larger of a point's two roots is above it.
    uint256 private constant _HALF_HIGH = 0x0d0088f51cbff34d258dd3db21a5d66b;
    uint256 private constant _HALF_LOW = 0xb23ba5c279c2895fb39869507b587b120f55ffff58a9ffffdcff7fffffffd555;
    /// @dev The flags of a compressed point: compressed, and the larger root.
    uint256 private constant _COMPRESSED = 1 << 255;
    uint256 private constant _LARGER = 1 << 253;

    /// @notice Whether a point, of whichever curve, is the one at infinity: EIP-2537 writes it as zeros.
    function isInfinity(bytes32[4] calldata point) internal pure returns (bool) {
        return point[0] | point[1] | point[2] | point[3] == 0;
    }

    /// @notice Whether a point, of whichever curve, is the one at infinity: EIP-2537 writes it as zeros.
    function isInfinity(bytes32[8] calldata point) internal pure returns (bool) {
        return point[0] | point[1] | point[2] | point[3] | point[4] | point[5] | point[6] | point[7] == 0;
    }

    /// @notice Whether a key signed a message. Key and signature must not be infinity: its pairing is one with everything.
    /// @param message What was signed.
    /// @param key Uncompressed as EIP-2537 has it.
    /// @param signature Uncompressed as EIP-2537 has it.
    function verify(bytes memory message, bytes32[4] calldata key, bytes32[8] calldata signature)
        internal
        view
        returns (bool valid)
    {
        bytes32[8] memory hashed = HashToG2.hash(message, _TAG);
        // e(key, H(message)) * e(-G, signature) is one if and only if the key's secret signed.
        assembly ("memory-safe") {
            let scratch := mload(0x40)
            calldatacopy(scratch, key, 0x80)
            mcopy(add(scratch, 0x80), hashed, 0x100)
            mstore(add(scratch, 0x180), _NEGATED_X_HIGH)
            mstore(add(scratch, 0x1a0), _NEGATED_X_LOW)
            mstore(add(scratch, 0x1c0), _NEGATED_Y_HIGH)
            mstore(add(scratch, 0x1e0), _NEGATED_Y_LOW)
            calldatacopy(add(scratch, 0x200), signature, 0x100)
            let answered := staticcall(gas(), _PAIRING, scratch, 0x300, 0x00, 0x20)
            valid := and(and(answered, eq(returndatasize(), 0x20)), eq(mload(0x00), 1))
        }
    }

    /// @notice The root of a `BLSPubkey` field that holds a key: SHA-256 of its compressed form, padded to 64 bytes.
    /// @param key Uncompressed as EIP-2537 has it, and canonical: {verify} sees to that.
    function pubkeyRoot(bytes32[4] calldata key) internal pure returns (bytes32 root) {
        uint256 yHigh = uint256(key[2]);
        bool larger = yHigh > _HALF_HIGH || (yHigh == _HALF_HIGH && uint256(key[3]) > _HALF_LOW);
        uint256 upper = (uint256(key[0]) << 128) | (uint256(key[1]) >> 128) | _COMPRESSED | (larger ? _LARGER : 0);
        return sha256(abi.encodePacked(upper, uint256(key[1]) << 128));
    }
}
