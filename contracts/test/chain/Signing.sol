// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {HashToG2} from "baton/delegation/HashToG2.sol";
import {Test} from "forge-std/Test.sol";

/// @notice Validators' keys and signatures, made with EIP-2537's multiplications. The hash is the contracts' own, which vectors test.
abstract contract Signing is Test {
    address private constant G1MSM = address(0x0c);
    address private constant G2MSM = address(0x0e);
    bytes private constant GENERATOR =
        hex"0000000000000000000000000000000017f1d3a73197d7942695638c4fa9ac0fc3688c4f9774b905a14e3a3f171bac586c55e83ff97a1aeffb3af00adb22c6bb0000000000000000000000000000000008b3f481e3aaa0f1a09e30ed741d8ae4fcf5e095d5d00af600db18cb2c04b3edd03cc744a2888ae40caa232946c5e7e1";
    bytes internal constant TAG = "BLS_SIG_BLS12381G2_XMD:SHA-256_SSWU_RO_POP_";

    function publicKey(uint256 secret) internal view returns (bytes32[4] memory) {
        (bool ok, bytes memory point) = G1MSM.staticcall(bytes.concat(GENERATOR, bytes32(secret)));
        require(ok, "G1MSM");
        return abi.decode(point, (bytes32[4]));
    }

    function sign(uint256 secret, bytes32 root) internal view returns (bytes32[8] memory) {
        return sign(secret, root, TAG);
    }

    function sign(uint256 secret, bytes32 root, bytes memory tag) internal view returns (bytes32[8] memory) {
        bytes32[8] memory hashed = HashToG2.hash(abi.encodePacked(root), tag);
        (bool ok, bytes memory point) = G2MSM.staticcall(bytes.concat(abi.encodePacked(hashed), bytes32(secret)));
        require(ok, "G2MSM");
        return abi.decode(point, (bytes32[8]));
    }

    /// The root of a `pubkey` field, the key compressed by a plain comparison of its roots.
    function pubkeyRootOf(bytes32[4] memory key) internal pure returns (bytes32) {
        bytes memory y = abi.encodePacked(key[2], key[3]);
        bytes memory half = abi.encodePacked(
            uint256(0x0d0088f51cbff34d258dd3db21a5d66b),
            uint256(0xb23ba5c279c2895fb39869507b587b120f55ffff58a9ffffdcff7fffffffd555)
        );
        bool larger = false;
        for (uint256 i = 0; i < 64; ++i) {
            if (y[i] == half[i]) continue;
            larger = y[i] > half[i];
            break;
        }
        bytes memory x = abi.encodePacked(key[0], key[1]);
        bytes memory compressed = new bytes(64);
        for (uint256 i = 0; i < 48; ++i) {
            compressed[i] = x[i + 16];
        }
        compressed[0] |= larger ? bytes1(0xa0) : bytes1(0x80);
        return sha256(compressed);
    }
}
