// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {BeaconState} from "../chain/Beacon.sol";
import {Party} from "../chain/Deployed.sol";
import {IBeaconForks} from "baton/beacon/IBeaconForks.sol";
import {IBeaconProofs, LookaheadProof} from "baton/beacon/IBeaconProofs.sol";
import {ILookahead, Kind, Window} from "baton/lookahead/ILookahead.sol";
import {Vm} from "forge-std/Vm.sol";

/// @notice State: gateways A, B and C are eligible; validators 1, 2 and 3 delegate to them, 9 to nobody. All of that counts in the epoch
/// after the newest block's, which is the second of its own.
abstract contract PublishingState is BeaconState {
    Party internal a;
    Party internal b;
    Party internal c;

    function setUp() public virtual override {
        super.setUp();
        a = register("A", PENALTY, REFUND);
        b = register("B", PENALTY, REFUND);
        c = register("C", PENALTY, REFUND);
        delegate(1, a);
        delegate(2, b);
        delegate(3, c);
        mineAt((FIRST_EPOCH + 1) * EPOCH);
        mineAt(slot + 1);
    }

    /// All slots of a validator.
    function all(uint64 index) internal pure returns (uint64[32] memory indices) {
        for (uint256 i = 0; i < 32; ++i) {
            indices[i] = index;
        }
    }

    /// Proposers chosen at random from 1, 2, 3 and 9.
    function shuffled(uint256 seed) internal pure returns (uint64[32] memory indices) {
        uint64[4] memory choice = [uint64(1), 2, 3, 9];
        for (uint256 i = 0; i < 32; ++i) {
            indices[i] = choice[uint256(keccak256(abi.encode(seed, i))) % 4];
        }
    }

    /// Checks one slot, in all the ways that it can be asked for.
    function checkSlot(uint256 index, uint16 gateway, Kind kind) internal view {
        (uint16[32] memory ids, Kind[32] memory kinds) = registry.scheduleOf(nextEpoch());
        uint256 s = uint256(nextEpoch()) * EPOCH + index;
        assertEq(ids[index], gateway, "scheduleOf");
        assertEq(uint8(kinds[index]), uint8(kind), "kind");
        assertEq(registry.gatewayAt(s), gateway, "gatewayAt");
        assertEq(registry.windowAt(s).gateway, gateway, "windowAt");
    }
}

/// @notice Rules [S2], [S6], [S7]: what can be published, when, and what against.
contract PublishTest is PublishingState {
    function test_APublishedEpochIsProven() public {
        uint64[32] memory indices = all(1);
        indices[31] = 2;
        assertFalse(registry.isPublished(nextEpoch()));
        publish(indices);
        assertTrue(registry.isPublished(nextEpoch()));
        for (uint256 i = 0; i < 31; ++i) {
            checkSlot(i, a.id, Kind.Proven);
        }
        checkSlot(31, b.id, Kind.Proven);
    }

    function test_AnyoneMayPublish() public {
        LookaheadProof memory proof = lookaheadProof(slot - 1, all(1));
        feedRoot(rootOf(proof.header));
        vm.prank(makeAddr("a stranger"));
        registry.publish(nextEpoch(), uint64(block.timestamp), proof);
        assertTrue(registry.isPublished(nextEpoch()));
    }

    function test_TheEventTellsTheWordsOfStorage() public {
        vm.recordLogs();
        publish(all(2));
        Vm.Log[] memory logs = vm.getRecordedLogs();
        Vm.Log memory log = logs[logs.length - 1];
        assertEq(log.topics[0], ILookahead.LookaheadPublished.selector);
        assertEq(uint256(log.topics[1]), nextEpoch());
        uint256 word = abi.decode(log.data, (uint256));
        // Published, 32 proven slots, the epoch's lap; every lane the palette's first, which is B.
        assertEq(word, 1 | (32 << 2) | ((uint256(nextEpoch()) / 256) << 8) | (uint256(b.id) << 127));
    }

    /// [S6] The first slot in which the deadline has passed is `settlementDelay + margin` before the epoch.
    function test_PublicationEndsAtTheDeadline() public {
        uint256 begin = uint256(nextEpoch()) * EPOCH;
        mineAt(begin - DELAY - MARGIN);
        publishReverts(
            all(1),
            abi.encodeWithSelector(
                ILookahead.PublicationClosed.selector, nextEpoch(), begin - EPOCH, begin - DELAY - MARGIN
            )
        );
    }

    function test_TheSlotBeforeTheDeadlineIsOpen() public {
        mineAt(uint256(nextEpoch()) * EPOCH - DELAY - MARGIN - 1);
        publish(all(1));
        checkSlot(0, a.id, Kind.Proven);
    }

    /// [S6] Not for the current epoch, not for one further ahead.
    function test_OnlyTheNextEpochIsPublished() public {
        LookaheadProof memory proof = lookaheadProof(slot - 1, all(1));
        feedRoot(rootOf(proof.header));
        uint64[3] memory others = [nextEpoch() - 1, nextEpoch() + 1, 0];
        for (uint256 i = 0; i < others.length; ++i) {
            vm.expectPartialRevert(ILookahead.PublicationClosed.selector);
            registry.publish(others[i], uint64(block.timestamp), proof);
        }
    }

    function test_PublishedTwiceIsRefused() public {
        publish(all(1));
        publishReverts(all(2), abi.encodeWithSelector(ILookahead.AlreadyPublished.selector, nextEpoch()));
        checkSlot(0, a.id, Kind.Proven);
    }

    /// [S7] With the epoch's first slots missed, the newest root is of the epoch before: its second half is this epoch's.
    function test_AStateOfTheEpochBeforeIsRefused() public {
        mineAt((uint256(nextEpoch())) * EPOCH + 3);
        uint256 lastOfEpochBefore = (uint256(nextEpoch()) - 1) * EPOCH - 1;
        LookaheadProof memory proof = lookaheadProof(lastOfEpochBefore, all(1));
        feedRoot(rootOf(proof.header));
        vm.expectRevert(abi.encodeWithSelector(ILookahead.WrongEpoch.selector, lastOfEpochBefore));
        registry.publish(nextEpoch(), uint64(block.timestamp), proof);
        // The next block's parent is of this epoch.
        mineAt(slot + 1);
        publish(all(1));
    }

    /// A root of a state ahead can't come from EIP-4788; were it there, it would be refused as well.
    function test_AStateOfTheEpochAheadIsRefused() public {
        LookaheadProof memory proof = lookaheadProof(uint256(nextEpoch()) * EPOCH, all(1));
        feedRoot(rootOf(proof.header));
        vm.expectRevert(abi.encodeWithSelector(ILookahead.WrongEpoch.selector, uint256(nextEpoch()) * EPOCH));
        registry.publish(nextEpoch(), uint64(block.timestamp), proof);
    }

    function test_AnyBlockOfTheEpochWillDo() public {
        LookaheadProof memory proof = lookaheadProof((uint256(nextEpoch()) - 1) * EPOCH, all(3));
        feedRoot(rootOf(proof.header));
        uint64 told = uint64(block.timestamp);
        mineAt(slot + 5);
        registry.publish(nextEpoch(), told, proof);
        checkSlot(0, c.id, Kind.Proven);
    }

    /// [F4] A timestamp without a block, and one too old for the ring.
    function test_RootsThatAreNotThere() public {
        LookaheadProof memory proof = lookaheadProof(slot - 1, all(1));
        uint64 missed = uint64(block.timestamp + SLOT_LENGTH);
        mineAt(slot + 2);
        vm.expectRevert(abi.encodeWithSelector(IBeaconForks.NoBeaconRoot.selector, missed));
        registry.publish(nextEpoch(), missed, proof);
        uint256 oldest = block.timestamp - 8190 * SLOT_LENGTH;
        uint64 expired = uint64(oldest - SLOT_LENGTH);
        vm.expectRevert(abi.encodeWithSelector(IBeaconForks.BeaconRootExpired.selector, expired, oldest));
        registry.publish(nextEpoch(), expired, proof);
        vm.expectRevert(abi.encodeWithSelector(IBeaconForks.NoBeaconRoot.selector, uint64(oldest)));
        registry.publish(nextEpoch(), uint64(oldest), proof);
    }

    function test_AProofAgainstAnotherBlockIsRefused() public {
        LookaheadProof memory proof = lookaheadProof(slot - 1, all(1));
        bytes32 other = keccak256("another block");
        feedRoot(other);
        vm.expectRevert(abi.encodeWithSelector(IBeaconProofs.WrongBlockRoot.selector, rootOf(proof.header), other));
        registry.publish(nextEpoch(), uint64(block.timestamp), proof);
    }

    function test_OtherIndicesThanTheProvenAreRefused() public {
        LookaheadProof memory proof = lookaheadProof(slot - 1, all(1));
        feedRoot(rootOf(proof.header));
        proof.chunks = chunksOf(all(2));
        vm.expectPartialRevert(IBeaconProofs.WrongStateRoot.selector);
        registry.publish(nextEpoch(), uint64(block.timestamp), proof);
    }

    /// Every byte counts: of header, chunks and branch.
    function test_EveryByteOfAProofCounts() public {
        LookaheadProof memory proof = lookaheadProof(slot - 1, shuffled(7));
        feedRoot(rootOf(proof.header));
        bytes memory good = abi.encodeCall(ILookahead.publish, (nextEpoch(), uint64(block.timestamp), proof));
        uint256 refused = 0;
        // Behind the selector: epoch, timestamp, offset of the proof; then five words of header, eight chunks, the branch's offset,
        // length and seven siblings.
        assertEq(good.length, 4 + 32 * (3 + 5 + 8 + 2 + 7));
        for (uint256 i = 4 + 3 * 32; i < good.length; ++i) {
            bytes memory bad = bytes.concat(good);
            bad[i] = bytes1(uint8(bad[i]) ^ uint8(1 << (i % 8)));
            (bool accepted,) = address(registry).call(bad);
            assertFalse(accepted, vm.toString(i));
            ++refused;
        }
        assertEq(refused, 32 * 22);
        (bool ok,) = address(registry).call(good);
        assertTrue(ok);
    }

    function test_BranchesOneLongerOrShorterAreRefused() public {
        LookaheadProof memory proof = lookaheadProof(slot - 1, all(1));
        feedRoot(rootOf(proof.header));
        bytes32[] memory branch = proof.branch;
        proof.branch = new bytes32[](branch.length - 1);
        for (uint256 i = 0; i + 1 < branch.length; ++i) {
            proof.branch[i] = branch[i];
        }
        vm.expectRevert(abi.encodeWithSelector(IBeaconProofs.WrongBranchLength.selector, 6, 7));
        registry.publish(nextEpoch(), uint64(block.timestamp), proof);
        proof.branch = new bytes32[](branch.length + 1);
        for (uint256 i = 0; i < branch.length; ++i) {
            proof.branch[i] = branch[i];
        }
        vm.expectRevert(abi.encodeWithSelector(IBeaconProofs.WrongBranchLength.selector, 8, 7));
        registry.publish(nextEpoch(), uint64(block.timestamp), proof);
    }

    /// A shorter branch that holds all the same: the "half" is then another node. Only its length refuses it.
    function test_AShorterBranchToTheRootIsRefused() public {
        LookaheadProof memory proof = lookaheadProof(slot - 1, all(1), 101);
        feedRoot(rootOf(proof.header));
        vm.expectRevert(abi.encodeWithSelector(IBeaconProofs.WrongBranchLength.selector, 6, 7));
        registry.publish(nextEpoch(), uint64(block.timestamp), proof);
    }

    /// The current epoch's half lies beside, with a branch as long.
    function test_TheCurrentEpochsHalfIsRefused() public {
        LookaheadProof memory proof = lookaheadProof(slot - 1, all(1), 202);
        feedRoot(rootOf(proof.header));
        vm.expectPartialRevert(IBeaconProofs.WrongStateRoot.selector);
        registry.publish(nextEpoch(), uint64(block.timestamp), proof);
    }
}
