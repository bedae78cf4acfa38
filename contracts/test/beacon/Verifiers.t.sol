// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {BeaconVectors} from "./Vectors.sol";
import {BeaconProof} from "baton/beacon/BeaconProof.sol";
import {IBeaconProofs, LookaheadProof, ValidatorProof} from "baton/beacon/IBeaconProofs.sol";
import {IBeaconStateVerifier} from "baton/beacon/IBeaconStateVerifier.sol";
import {SszTree} from "baton/beacon/SszTree.sol";

/// @notice What the registry does with a fork's lookaheads, see {BeaconForks}.
contract Lookaheads {
    uint256 private immutable _INDEX;

    constructor(IBeaconStateVerifier verifier) {
        _INDEX = verifier.nextEpochIndex();
    }

    function verifyLookahead(bytes32 blockRoot, LookaheadProof calldata proof) external view {
        BeaconProof.checkHeader(proof.header, blockRoot);
        BeaconProof.checkBranch(proof.header, SszTree.root(proof.chunks), _INDEX, proof.branch);
    }
}

/// @notice Rule [F1], against Lodestar's states: what both verifiers must do.
abstract contract VerifierTest is BeaconVectors {
    IBeaconStateVerifier internal verifier;
    IBeaconStateVerifier internal other;
    Lookaheads internal lookaheads;
    Lookaheads internal otherLookaheads;

    function setUp() public {
        load(fork());
        IBeaconStateVerifier fulu = IBeaconStateVerifier(vm.deployCode("FuluVerifier.sol"));
        IBeaconStateVerifier gloas = IBeaconStateVerifier(vm.deployCode("GloasVerifier.sol"));
        bool isFulu = keccak256(bytes(fork())) == keccak256("fulu");
        (verifier, other) = isFulu ? (fulu, gloas) : (gloas, fulu);
        lookaheads = new Lookaheads(verifier);
        otherLookaheads = new Lookaheads(other);
    }

    function fork() internal pure virtual returns (string memory);

    function test_Lookaheads() public view {
        uint256 states = countOf(".states");
        assertGt(states, 8);
        for (uint256 i = 0; i < states; ++i) {
            string memory place = entry("states", i);
            LookaheadProof memory proof = lookahead(place);
            lookaheads.verifyLookahead(blockRoot(place), proof);
        }
    }

    /// The first half has a branch as long, and other indices.
    function test_TheCurrentEpochsHalfIsRefused() public {
        string memory place = entry("states", 5);
        LookaheadProof memory proof = lookahead(place);
        bytes32 root = blockRoot(place);
        bytes32[] memory chunks = vm.parseJsonBytes32Array(json(), string.concat(place, ".currentChunks"));
        for (uint256 i = 0; i < 8; ++i) {
            proof.chunks[i] = chunks[i];
        }
        proof.branch = vm.parseJsonBytes32Array(json(), string.concat(place, ".currentBranch"));
        vm.expectPartialRevert(IBeaconProofs.WrongStateRoot.selector);
        lookaheads.verifyLookahead(root, proof);
    }

    /// All sizes of the list, indices at the edges of its trees, credentials of every kind.
    function test_Validators() public {
        uint256 validators = 0;
        for (uint256 i = 0; i < countOf(".states"); ++i) {
            validators += this.validatorsOf(i);
        }
        assertGt(validators, 50);
    }

    /// A call of its own, because each reading of the file takes memory anew.
    function validatorsOf(uint256 state) external view returns (uint256 count) {
        string memory place = entry("states", state);
        count = countOf(string.concat(place, ".validators"));
        for (uint256 j = 0; j < count; ++j) {
            this.verifyEntry(state, j);
        }
    }

    function verifyEntry(uint256 state, uint256 index) external view {
        string memory place = entry("states", state);
        string memory part = string.concat(place, ".validators[", vm.toString(index), "]");
        verifier.verifyValidator(blockRoot(place), validator(place, part));
    }

    /// Indices beyond 2^32, in trees that are empty but for them.
    function test_HugeIndices() public view {
        uint256 count = countOf(".virtual");
        assertGt(count, 6);
        for (uint256 i = 0; i < count; ++i) {
            string memory place = entry("virtual", i);
            verifier.verifyValidator(blockRoot(place), validator(place, place));
        }
    }

    /// A proof for one index isn't one for another.
    function test_AnotherIndexIsRefused() public {
        string memory place = entry("states", 7);
        bytes32 root = blockRoot(place);
        ValidatorProof memory proof = validator(place, string.concat(place, ".validators[8]"));
        uint64 index = proof.index;
        assertEq(index, 32);
        for (uint256 bit = 0; bit < 64; ++bit) {
            proof.index = index ^ uint64(1 << bit);
            vm.expectRevert();
            verifier.verifyValidator(root, proof);
        }
    }

    function test_EveryByteOfAProofCounts() public {
        string memory place = entry("states", 7);
        bytes32 root = blockRoot(place);
        flipAll(address(lookaheads), abi.encodeCall(Lookaheads.verifyLookahead, (root, lookahead(place))));
        ValidatorProof memory proof = validator(place, string.concat(place, ".validators[8]"));
        flipAll(address(verifier), abi.encodeCall(IBeaconStateVerifier.verifyValidator, (root, proof)));
    }

    function test_BranchesOneLongerOrShorterAreRefused() public {
        string memory place = entry("states", 7);
        bytes32 root = blockRoot(place);
        LookaheadProof memory proof = lookahead(place);
        bytes32[] memory branch = proof.branch;
        for (uint256 length = branch.length - 1; length <= branch.length + 1; length += 2) {
            proof.branch = cut(branch, length);
            vm.expectRevert(abi.encodeWithSelector(IBeaconProofs.WrongBranchLength.selector, length, branch.length));
            lookaheads.verifyLookahead(root, proof);
        }
        ValidatorProof memory key = validator(place, string.concat(place, ".validators[8]"));
        branch = key.branch;
        for (uint256 length = branch.length - 1; length <= branch.length + 1; length += 2) {
            key.branch = cut(branch, length);
            vm.expectRevert(abi.encodeWithSelector(IBeaconProofs.WrongBranchLength.selector, length, branch.length));
            verifier.verifyValidator(root, key);
        }
    }

    /// Another fork's proofs don't hold.
    function test_TheOtherForkRefuses() public {
        string memory place = entry("states", 7);
        bytes32 root = blockRoot(place);
        LookaheadProof memory proof = lookahead(place);
        vm.expectPartialRevert(IBeaconProofs.WrongBranchLength.selector);
        otherLookaheads.verifyLookahead(root, proof);
        ValidatorProof memory key = validator(place, string.concat(place, ".validators[8]"));
        vm.expectPartialRevert(IBeaconProofs.WrongBranchLength.selector);
        other.verifyValidator(root, key);
    }

    function test_AnotherBlockIsRefused() public {
        string memory place = entry("states", 3);
        LookaheadProof memory proof = lookahead(place);
        vm.expectRevert(abi.encodeWithSelector(IBeaconProofs.WrongBlockRoot.selector, blockRoot(place), bytes32(0)));
        lookaheads.verifyLookahead(0, proof);
    }

    /// Flips a bit in each byte behind the block root and the proof's offset.
    function flipAll(address target, bytes memory good) private {
        (bool ok,) = target.call(good);
        assertTrue(ok, "good");
        for (uint256 i = 4 + 2 * 32; i < good.length; ++i) {
            bytes memory bad = bytes.concat(good);
            bad[i] = bytes1(uint8(bad[i]) ^ uint8(1 << (i % 8)));
            (ok,) = target.call(bad);
            assertFalse(ok, vm.toString(i));
        }
    }

    function cut(bytes32[] memory branch, uint256 length) private pure returns (bytes32[] memory result) {
        result = new bytes32[](length);
        for (uint256 i = 0; i < length && i < branch.length; ++i) {
            result[i] = branch[i];
        }
    }
}

contract FuluVerifierTest is VerifierTest {
    function fork() internal pure override returns (string memory) {
        return "fulu";
    }

    /// The list's limit is 2^40: an index beyond it would name a node of another field.
    function test_IndicesBeyondTheListAreRefused() public {
        string memory place = entry("virtual", 6);
        ValidatorProof memory proof = validator(place, place);
        assertEq(proof.index, 2 ** 40 - 1);
        bytes32 root = blockRoot(place);
        proof.index = 2 ** 40;
        vm.expectRevert(abi.encodeWithSelector(IBeaconStateVerifier.ValidatorIndexTooLarge.selector, 2 ** 40));
        verifier.verifyValidator(root, proof);
    }
}

contract GloasVerifierTest is VerifierTest {
    function fork() internal pure override returns (string memory) {
        return "gloas";
    }

    /// The largest index: no such list could be, yet it must neither overflow nor loop for long.
    function test_TheLargestIndexHasAPlace() public {
        string memory place = entry("virtual", 6);
        ValidatorProof memory proof = validator(place, place);
        proof.index = type(uint64).max;
        bytes32 root = blockRoot(place);
        vm.expectRevert(abi.encodeWithSelector(IBeaconProofs.WrongBranchLength.selector, proof.branch.length, 108));
        verifier.verifyValidator(root, proof);
    }
}
