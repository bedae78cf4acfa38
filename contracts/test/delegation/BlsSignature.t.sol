// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {BlsSignature} from "baton/delegation/BlsSignature.sol";
import {HashToG2} from "baton/delegation/HashToG2.sol";
import {Test} from "forge-std/Test.sol";

/// @notice The libraries, with arguments in calldata.
contract Bls {
    function hash(bytes memory message, bytes memory tag) external view returns (bytes memory) {
        return abi.encodePacked(HashToG2.hash(message, tag));
    }

    function verify(bytes memory message, bytes32[4] calldata key, bytes32[8] calldata signature)
        external
        view
        returns (bool)
    {
        if (BlsSignature.isInfinity(key) || BlsSignature.isInfinity(signature)) return false;
        return BlsSignature.verify(message, key, signature);
    }

    function pubkeyRoot(bytes32[4] calldata key) external pure returns (bytes32) {
        return BlsSignature.pubkeyRoot(key);
    }
}

/// @notice Rule [D2]: RFC 9380's vectors for the suite, Ethereum's for signatures: see contracts/vectors/bls.mjs.
contract BlsSignatureTest is Test {
    Bls private bls;

    function setUp() public {
        bls = new Bls();
    }

    function test_Rfc9380() public view {
        string memory json = vm.readFile("contracts/vectors/rfc9380.json");
        bytes memory tag = bytes(vm.parseJsonString(json, ".dst"));
        uint256 i = 0;
        for (; vm.keyExistsJson(json, string.concat(".vectors[", vm.toString(i), "]")); ++i) {
            string memory place = string.concat(".vectors[", vm.toString(i), "]");
            bytes memory point = bytes.concat(
                element(json, string.concat(place, ".P.x[0]")),
                element(json, string.concat(place, ".P.x[1]")),
                element(json, string.concat(place, ".P.y[0]")),
                element(json, string.concat(place, ".P.y[1]"))
            );
            bytes memory message = bytes(vm.parseJsonString(json, string.concat(place, ".msg")));
            assertEq(bls.hash(message, tag), point, string(message));
        }
        assertEq(i, 5);
    }

    function test_HashesWithEthereumsTag() public view {
        string memory json = vm.readFile("contracts/vectors/bls.json");
        bytes memory tag = bytes(vm.parseJsonString(json, ".dst"));
        uint256 i = 0;
        for (; vm.keyExistsJson(json, string.concat(".hashToCurve[", vm.toString(i), "]")); ++i) {
            string memory place = string.concat(".hashToCurve[", vm.toString(i), "]");
            bytes memory message = vm.parseJsonBytes(json, string.concat(place, ".message"));
            assertEq(bls.hash(message, tag), vm.parseJsonBytes(json, string.concat(place, ".point")));
        }
        assertEq(i, 3);
    }

    /// Ethereum's verify cases; infinities, points outside the subgroup and the wrong tag among them.
    function test_EthereumsVectors() public view {
        uint256 count = this.countOfCases();
        assertGt(count, 30);
        uint256 valid = 0;
        for (uint256 i = 0; i < count; ++i) {
            if (this.checkCase(i)) ++valid;
        }
        assertEq(valid, 10);
    }

    function countOfCases() external view returns (uint256 count) {
        string memory json = vm.readFile("contracts/vectors/bls.json");
        while (vm.keyExistsJson(json, string.concat(".verify[", vm.toString(count), "]"))) ++count;
    }

    /// A call of its own, because each reading of the file takes memory anew.
    function checkCase(uint256 index) external view returns (bool expected) {
        string memory json = vm.readFile("contracts/vectors/bls.json");
        string memory place = string.concat(".verify[", vm.toString(index), "]");
        bytes memory key = vm.parseJsonBytes(json, string.concat(place, ".pubkeyPoint"));
        bytes memory signature = vm.parseJsonBytes(json, string.concat(place, ".signaturePoint"));
        bytes memory message = vm.parseJsonBytes(json, string.concat(place, ".message"));
        expected = vm.parseJsonBool(json, string.concat(place, ".output"));
        // A precompile that refuses its input takes all the gas that it was given.
        bool verified =
            bls.verify{gas: 1_000_000}(message, abi.decode(key, (bytes32[4])), abi.decode(signature, (bytes32[8])));
        assertEq(verified, expected, vm.parseJsonString(json, string.concat(place, ".name")));
    }

    /// Coordinates not below p, and points off the curve, are refused by the precompile: the compressed form is unique.
    function test_MalformedPointsAreRefused() public view {
        string memory json = vm.readFile("contracts/vectors/bls.json");
        bytes32[4] memory key = abi.decode(vm.parseJsonBytes(json, ".verify[0].pubkeyPoint"), (bytes32[4]));
        bytes32[8] memory signature = abi.decode(vm.parseJsonBytes(json, ".verify[0].signaturePoint"), (bytes32[8]));
        bytes memory message = vm.parseJsonBytes(json, ".verify[0].message");
        assertTrue(bls.verify(message, key, signature));
        uint256[2] memory p = [
            uint256(0x1a0111ea397fe69a4b1ba7b6434bacd7),
            0x64774b84f38512bf6730d2a0f6b0f6241eabfffeb153ffffb9feffffffffaaab
        ];
        bytes32[4] memory bad = key;
        unchecked {
            uint256 low = uint256(key[1]) + p[1];
            bad[1] = bytes32(low);
            bad[0] = bytes32(uint256(key[0]) + p[0] + (low < p[1] ? 1 : 0));
        }
        assertFalse(bls.verify{gas: 1_000_000}(message, bad, signature), "x + p");
        bad = key;
        bad[0] |= bytes32(uint256(1) << 255);
        assertFalse(bls.verify{gas: 1_000_000}(message, bad, signature), "padding");
        bytes32[8] memory off = signature;
        off[7] = bytes32(uint256(off[7]) ^ 1);
        assertFalse(bls.verify{gas: 1_000_000}(message, key, off), "off the curve");
    }

    /// Of keys with either root for y.
    function test_PubkeyRoots() public view {
        string memory json = vm.readFile("contracts/vectors/delegations.json");
        uint256 larger = 0;
        for (uint256 i = 0; i < 5; ++i) {
            string memory place = string.concat(".delegations[", vm.toString(i), "]");
            bytes memory key = vm.parseJsonBytes(json, string.concat(place, ".pubkeyPoint"));
            bytes32 expected = vm.parseJsonBytes32(json, string.concat(place, ".pubkeyRoot"));
            assertEq(bls.pubkeyRoot(abi.decode(key, (bytes32[4]))), expected);
            if (uint8(vm.parseJsonBytes(json, string.concat(place, ".pubkey"))[0]) & 0x20 != 0) ++larger;
        }
        assertTrue(larger != 0 && larger != 5, "both roots");
    }

    /// (p - 1) / 2 itself is the smaller root, the number above it the larger.
    function test_TheSignAtTheMiddle() public view {
        bytes32[4] memory key;
        key[2] = bytes32(uint256(0x0d0088f51cbff34d258dd3db21a5d66b));
        key[3] = bytes32(uint256(0xb23ba5c279c2895fb39869507b587b120f55ffff58a9ffffdcff7fffffffd555));
        assertEq(bls.pubkeyRoot(key), sha256(abi.encodePacked(bytes1(0x80), new bytes(63))));
        key[3] = bytes32(uint256(key[3]) + 1);
        assertEq(bls.pubkeyRoot(key), sha256(abi.encodePacked(bytes1(0xa0), new bytes(63))));
    }

    function element(string memory json, string memory place) private pure returns (bytes memory) {
        return abi.encodePacked(bytes16(0), vm.parseJsonBytes(json, place));
    }
}
