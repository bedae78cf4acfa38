// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {Party} from "../chain/Deployed.sol";
import {PublishingState} from "./Publish.t.sol";
import {ILookahead, Kind, Window} from "baton/lookahead/ILookahead.sol";

/// @notice Rules [S1] to [S3], [S8], [T5], [T6]: whose the slots of published and other epochs are.
contract ScheduleTest is PublishingState {
    /// [S2] A vacant slot is the next delegated slot's gateway's; trailing ones are the rotation's.
    function test_VacanciesGoToTheNextAndTrailingOnesToTheRotation() public {
        uint64[32] memory indices = all(9);
        indices[5] = 1;
        indices[6] = 2;
        indices[20] = 1;
        publish(indices);
        checkWindow(0, 0, 6, a.id, Kind.Proven);
        checkWindow(6, 6, 7, b.id, Kind.Proven);
        checkWindow(7, 7, 21, a.id, Kind.Proven);
        checkWindow(20, 7, 21, a.id, Kind.Proven);
        // The rotation's turns, the first clipped to where the proven part ends: [T5].
        (uint16 before, uint16 last) = (rotation_(16), rotation_(24));
        checkWindow(21, 21, 24, before, Kind.Fallback);
        checkWindow(31, 24, 32, last, Kind.Fallback);
    }

    function test_NobodyDelegatedLeavesAllToTheRotation() public {
        publish(all(9));
        assertTrue(registry.isPublished(nextEpoch()));
        for (uint256 i = 0; i < 32; i += 8) {
            checkWindow(i, i, i + 8, rotation_(i), Kind.Fallback);
        }
        // Published all the same.
        publishReverts(all(1), abi.encodeWithSelector(ILookahead.AlreadyPublished.selector, nextEpoch()));
    }

    /// [T5] The same gateway on both sides of where the proven part ends has two windows.
    function test_AChangeOfKindEndsAWindow() public {
        uint64[32] memory indices = all(9);
        // Slots 8 to 15 are a turn; its gateway has the slot before them by proof.
        uint16 turn = rotation_(8);
        indices[9] = turn == a.id ? 1 : turn == b.id ? 2 : 3;
        publish(indices);
        checkWindow(9, 0, 10, turn, Kind.Proven);
        checkWindow(10, 10, 16, turn, Kind.Fallback);
    }

    /// [S1], [S6] Before it is published or the deadline has passed, an epoch's schedule isn't told.
    function test_TheNextEpochIsFixedByPublicationOrDeadline() public {
        uint256 begin = uint256(nextEpoch()) * EPOCH;
        bytes memory refusal =
            abi.encodeWithSelector(ILookahead.EpochNotFixed.selector, nextEpoch(), uint256(nextEpoch()) - 1);
        mineAt(begin - DELAY - MARGIN - 1);
        vm.expectRevert(refusal);
        registry.gatewayAt(begin);
        vm.expectRevert(refusal);
        registry.windowAt(begin + 31);
        vm.expectRevert(refusal);
        registry.scheduleOf(nextEpoch());
        registry.gatewayAt(begin - 1);
        uint256 snapshot = vm.snapshotState();
        publish(all(1));
        checkWindow(0, 0, 32, a.id, Kind.Proven);
        vm.revertToState(snapshot);
        mineAt(slot + 1);
        checkWindow(0, 0, 8, rotation_(0), Kind.Fallback);
        vm.expectRevert(
            abi.encodeWithSelector(ILookahead.EpochNotFixed.selector, uint256(nextEpoch()) + 1, nextEpoch())
        );
        registry.gatewayAt(begin + EPOCH);
    }

    /// [S3] An epoch that nobody published.
    function test_AnUnpublishedEpochFallsBack() public {
        mineAt(uint256(nextEpoch()) * EPOCH - 1);
        for (uint256 i = 0; i < 32; i += 8) {
            checkWindow(i, i, i + 8, rotation_(i), Kind.Fallback);
        }
        assertFalse(registry.isPublished(nextEpoch()));
    }

    /// [T6] A delegation set in the epoch of publication doesn't count; in the epoch before it does.
    function test_DelegationsCountAsOfTheEndOfTheEpochBefore() public {
        uint256 snapshot = vm.snapshotState();
        delegate(1, b);
        publish(all(1));
        checkSlot(0, a.id, Kind.Proven);
        vm.revertToState(snapshot);

        // In the epoch's last slot, and then with a second change in the next epoch, which doesn't count either.
        mineAt(uint256(nextEpoch()) * EPOCH - 1);
        delegate(1, b);
        delegate(1, c);
        mineAt(slot + 2);
        delegate(1, a);
        delegate(1, b);
        publish(all(1));
        checkSlot(0, c.id, Kind.Proven);
        mineAt(uint256(nextEpoch()) * EPOCH + 1);
        publish(all(1));
        checkSlot(0, b.id, Kind.Proven);
    }

    function test_ARevocationCountsAsOfTheEndOfTheEpochBefore() public {
        revoke(1);
        uint64[32] memory indices = all(1);
        indices[31] = 2;
        publish(indices);
        checkSlot(0, a.id, Kind.Proven);
        mineAt(uint256(nextEpoch()) * EPOCH + 1);
        publish(indices);
        checkSlot(0, b.id, Kind.Proven);
    }

    /// [T6] Eligibility likewise: lost in the epoch of publication it still counts, regained there it doesn't yet.
    function test_EligibilityCountsAsOfTheEndOfTheEpochBefore() public {
        uint64[32] memory indices = all(1);
        indices[31] = 2;
        vm.prank(address(inbox));
        registry.charge(a.id, 1);
        assertFalse(registry.isEligible(a.id));
        publish(indices);
        checkSlot(0, a.id, Kind.Proven);
        mineAt(uint256(nextEpoch()) * EPOCH + 1);
        deposit(a.id, 1, 0);
        assertTrue(registry.isEligible(a.id));
        publish(indices);
        checkSlot(0, b.id, Kind.Proven);
        mineAt(uint256(nextEpoch()) * EPOCH + 1);
        publish(indices);
        checkSlot(0, a.id, Kind.Proven);
    }

    /// [T6] Lost and regained in one epoch, twice: what counts is how it stood before and after.
    function test_EligibilityThatComesAndGoesInAnEpoch() public {
        vm.prank(address(inbox));
        registry.charge(a.id, 1);
        deposit(a.id, 1, 0);
        vm.prank(address(inbox));
        registry.charge(a.id, 1);
        publish(all(1));
        checkSlot(0, a.id, Kind.Proven);
        mineAt(uint256(nextEpoch()) * EPOCH + 1);
        publish(all(1));
        assertNotEq(uint8(registry.windowAt(uint256(nextEpoch()) * EPOCH).kind), uint8(Kind.Proven));
    }

    /// [T6] The same with more gateways than a word has room for: delegations and eligibility of the end of the epoch before.
    function test_AWideScheduleCountsAsOfTheEndOfTheEpochBefore() public {
        Party[] memory more = new Party[](10);
        for (uint256 i = 0; i < 10; ++i) {
            more[i] = register(vm.toString(i), PENALTY, REFUND);
            delegate(uint64(100 + i), more[i]);
        }
        mineAt(uint256(nextEpoch()) * EPOCH + 1);
        vm.prank(more[3].owner);
        registry.requestExit(more[3].id);
        delegate(104, a);
        uint64[32] memory indices;
        for (uint256 i = 0; i < 32; ++i) {
            indices[i] = uint64(100 + i % 10);
        }
        publish(indices);
        for (uint256 i = 0; i < 32; ++i) {
            checkSlot(i, more[i % 10].id, Kind.Proven);
        }
        mineAt(uint256(nextEpoch()) * EPOCH + 1);
        publish(indices);
        for (uint256 i = 0; i < 32; ++i) {
            // The exited one's slots are the next one's, and that one's are A's by now.
            checkSlot(i, i % 10 == 3 || i % 10 == 4 ? a.id : more[i % 10].id, Kind.Proven);
        }
    }

    /// [T6] One word holds 112 gateways: a change of one leaves the others as they are, those of other words too.
    function test_EligibilityOfGatewaysBeyondAWord() public {
        uint16 last;
        for (uint256 i = 0; i < 112; ++i) {
            last = register(vm.toString(i), PENALTY, REFUND).id;
        }
        assertEq(last, 115);
        Party memory far;
        (far.id, far.owner) = (last, registry.ownerOf(last));
        delegate(4, far);
        mineAt(uint256(nextEpoch()) * EPOCH + 1);
        // Id 3 = 115 - 112 has the same bit in the other word.
        vm.prank(c.owner);
        registry.requestExit(c.id);
        mineAt(uint256(nextEpoch()) * EPOCH + 1);
        uint64[32] memory indices = all(4);
        indices[7] = 3;
        indices[30] = 1;
        publish(indices);
        checkSlot(6, last, Kind.Proven);
        // C's slot is vacant; 115's follows.
        checkSlot(7, last, Kind.Proven);
        checkSlot(30, a.id, Kind.Proven);
        checkSlot(31, last, Kind.Proven);
    }

    /// Gateways whose ids differ by 32, and vacancies among them: those that a publication could take for one another.
    /// forge-config: default.fuzz.runs = 32
    function testFuzz_IdsThatShareTheirLowestBits(uint256 seed) public {
        Party memory p;
        for (uint256 i = 4; i <= 65; ++i) {
            p = register(vm.toString(i), PENALTY, REFUND);
            if (i == 32 || i == 33 || i == 64 || i == 65) delegate(uint64(100 + i), p);
        }
        mineAt(uint256(nextEpoch()) * EPOCH + 1);
        uint64[32] memory indices;
        uint64[6] memory choice = [uint64(1), 132, 133, 164, 165, 9];
        uint16[6] memory ids = [uint16(1), 32, 33, 64, 65, 0];
        for (uint256 i = 0; i < 32; ++i) {
            indices[i] = choice[uint256(keccak256(abi.encode(seed, i))) % 6];
        }
        indices[31] = 132;
        publish(indices);
        uint16 next = 0;
        uint256 end = 32;
        for (uint256 i = 32; i != 0; --i) {
            uint16 id = 0;
            for (uint256 j = 0; j < 6; ++j) {
                if (indices[i - 1] == choice[j]) id = ids[j];
            }
            if (id != 0 && id != next) (next, end) = (id, i);
            checkSlot(i - 1, next, Kind.Proven);
            assertEq(registry.windowAt(uint256(nextEpoch()) * EPOCH + i - 1).end, uint256(nextEpoch()) * EPOCH + end);
        }
    }

    /// [S8] The ring holds an epoch for 255 epochs and forgets it then, before another is written over it.
    function test_SchedulesAreForgotten() public {
        uint64 epoch = nextEpoch();
        publish(all(2));
        mineAt((uint256(epoch) + 254) * EPOCH + 31);
        assertEq(registry.gatewayAt(uint256(epoch) * EPOCH), b.id);
        mineAt(slot + 1);
        vm.expectRevert(abi.encodeWithSelector(ILookahead.EpochForgotten.selector, epoch, epoch + 1));
        registry.gatewayAt(uint256(epoch) * EPOCH);
        // The epoch after wasn't published; the ring's old word isn't taken for the one a lap later either.
        assertEq(uint8(registry.windowAt(uint256(epoch + 1) * EPOCH).kind), uint8(Kind.Fallback));
        assertFalse(registry.isPublished(epoch + 256));
        mineAt(slot + 1);
        assertEq(nextEpoch(), epoch + 256);
        publish(all(3));
        assertEq(registry.gatewayAt(uint256(epoch + 256) * EPOCH), c.id);
        assertFalse(registry.isPublished(epoch));
    }

    /// Windows of a random epoch, against the plain reading of [S2] and [T5].
    /// forge-config: default.fuzz.runs = 64
    function testFuzz_AgreesWithReference(uint256 seed, uint8 gateways) public {
        // From one gateway up to more than a word's palette has room for; the last is one that isn't eligible.
        uint256 count = bound(gateways, 1, 14);
        uint16[] memory ids = new uint16[](count + 1);
        for (uint256 i = 0; i < count; ++i) {
            Party memory p = register(vm.toString(i), i + 1 == count ? PENALTY - 1 : PENALTY, REFUND);
            ids[i] = p.id;
            delegate(uint64(100 + i), p);
        }
        mineAt(uint256(nextEpoch()) * EPOCH + 1);
        uint64[32] memory indices;
        uint16[32] memory expected;
        for (uint256 i = 0; i < 32; ++i) {
            // Validators from 100 to 100 + count: the last delegates to nobody.
            indices[i] = uint64(100 + uint256(keccak256(abi.encode(seed, i))) % (count + 1));
        }
        uint16 next = 0;
        for (uint256 i = 32; i != 0; --i) {
            uint16 id = ids[indices[i - 1] - 100];
            if (id != 0 && registry.isEligible(id)) next = id;
            expected[i - 1] = next;
        }
        publish(indices);
        for (uint256 i = 0; i < 32; ++i) {
            if (expected[i] == 0) {
                checkSlot(i, rotation_(i), Kind.Fallback);
                continue;
            }
            uint256 first = i;
            uint256 end = i + 1;
            while (first != 0 && expected[first - 1] == expected[i]) --first;
            while (end < 32 && expected[end] == expected[i]) ++end;
            checkWindow(i, first, end, expected[i], Kind.Proven);
        }
    }

    /// The gateway whose turn a slot of the next epoch is.
    function rotation_(uint256 index) private view returns (uint16) {
        uint16[] memory list = registry.eligibleGateways();
        return list[(uint256(nextEpoch()) * EPOCH + index) / TURN % list.length];
    }

    function checkWindow(uint256 index, uint256 first, uint256 end, uint16 gateway, Kind kind) private view {
        uint256 begin = uint256(nextEpoch()) * EPOCH;
        checkSlot(index, gateway, kind);
        Window memory window = registry.windowAt(begin + index);
        assertEq(window.first, begin + first, "first");
        assertEq(window.end, begin + end, "end");
        assertEq(uint8(window.kind), uint8(kind), "window's kind");
    }
}
