// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {Party} from "../chain/Deployed.sol";
import {RunningState} from "../chain/Running.sol";
import {Batch, IInbox} from "baton/inbox/IInbox.sol";
import {RegistryParameters} from "baton/registry/IRegistry.sol";
import {Outcome, RunKind} from "baton/types/Outcome.sol";

/// @notice Who pays how much for what was dropped: rules [I7], [I8], [I10], [I11], [V1] to [V5].
contract SettleChargesTest is RunningState {
    /// Re-creates all of A's first window that is left, from B's present slot.
    function recreateAll() private returns (Outcome) {
        Batch memory batch = batchOf(b);
        addSigned(batch, RunKind.Recreated, blocksBefore(batch, start + TURN), a.secret);
        settle(b, batch);
        return lastRecord.outcomes[0];
    }

    function assertCharged(Outcome outcome, uint256 blocks) private view {
        assertEq(outcome.chargedBlocks(), blocks, "charged blocks");
        assertEq(outcome.paid(), blocks * BLOCK_PRICE, "paid");
        assertEq(penaltyOf(a), AMPLE - blocks * BLOCK_PRICE, "tranche");
    }

    /// Mines B's first slot with only the given slots of A's window live.
    function windowWithLive(uint256[] memory live) private {
        for (uint256 i = 0; i < live.length; ++i) {
            mineAt(start + live[i]);
        }
        mineAt(start + TURN);
    }

    function slots(uint256 x, uint256 y, uint256 z) private pure returns (uint256[] memory list) {
        list = new uint256[](3);
        (list[0], list[1], list[2]) = (x, y, z);
    }

    /// [V3] All live: what was settleable at the third-last live slot, start + 5, is liable.
    function test_AllLive() public {
        dropWindowOfA();
        assertEq(inbox.liableBefore(uint64(start + 3)), start + 6);
        assertCharged(recreateAll(), 36);
    }

    /// [V3] The last slots are missed: the third-last live one is earlier.
    function test_LastSlotsMissed() public {
        windowWithLive(slots(0, 1, 2));
        assertEq(inbox.liableBefore(uint64(start)), start + 1);
        assertCharged(recreateAll(), 6);
    }

    function test_SlotsMissedInBetween() public {
        windowWithLive(slots(2, 5, 7));
        assertEq(inbox.liableBefore(uint64(start)), start + 3);
        assertCharged(recreateAll(), 18);
    }

    /// [V3] Two live slots are too few chances.
    function test_TwoLiveSlotsOweNothing() public {
        mineAt(start + 3);
        mineAt(start + 6);
        mineAt(start + TURN);
        assertEq(inbox.liableBefore(uint64(start)), start);
        assertCharged(recreateAll(), 0);
    }

    function test_NoLiveSlotsOweNothing() public {
        mineAt(start + TURN);
        assertCharged(recreateAll(), 0);
    }

    /// [V1] Without EIP-4788 no slot is known to be live.
    function test_WithoutBeaconRootsNobodyPays() public {
        dropWindowOfA();
        vm.etch(BEACON_ROOTS, "");
        assertCharged(recreateAll(), 0);
    }

    /// [V1] A contract that answers zero, or two words, says nothing.
    function test_OtherAnswersAreNoLiveSlots() public {
        dropWindowOfA();
        vm.etch(BEACON_ROOTS, hex"60205ff3");
        assertEq(inbox.liableBefore(uint64(start)), start);
        vm.etch(BEACON_ROOTS, hex"60015f5260405ff3");
        assertEq(inbox.liableBefore(uint64(start)), start);
        vm.etch(BEACON_ROOTS, hex"60015f5260205ff3");
        assertEq(inbox.liableBefore(uint64(start)), start + 6);
    }

    /// [I7] The poster's share is half of what was paid, and nothing moves before it is collected.
    function test_TheShareIsRecordedNotPaid() public {
        dropWindowOfA();
        uint256 balance = address(registry).balance;
        Outcome outcome = recreateAll();
        assertEq(outcome.bounty(), 18 * BLOCK_PRICE);
        assertEq(outcome.owner(), a.id);
        assertTrue(outcome.signed());
        assertEq(registry.creditOf(b.owner), 0);
        assertEq(address(registry).balance, balance);
    }

    /// [V5], [I8] Vacant blocks cost the owner the same and bring the poster nothing.
    function test_VacantCostsTheSame() public {
        dropWindowOfA();
        Batch memory batch = batchOf(b);
        settle(b, addSigned(batch, RunKind.Vacant, 48, fallbackSecret));
        assertCharged(lastRecord.outcomes[0], 36);
        assertEq(lastRecord.outcomes[0].bounty(), 0);
    }

    /// However a run is split, over runs or settlements, each block is charged once.
    function testFuzz_SplittingChangesNothing(uint256 seed) public {
        dropWindowOfA();
        uint256 left = 48;
        uint256 charged = 0;
        uint256 bounty = 0;
        while (left != 0) {
            Batch memory batch = batchOf(b);
            for (uint256 i = 0; i < 3 && left != 0; ++i) {
                seed = uint256(keccak256(abi.encode(seed)));
                uint256 blocks = 1 + seed % (left < 20 ? left : 20);
                addSigned(batch, RunKind.Recreated, blocks, a.secret);
                left -= blocks;
            }
            settle(b, batch);
            for (uint256 i = 0; i < lastRecord.outcomes.length; ++i) {
                charged += lastRecord.outcomes[i].chargedBlocks();
                bounty += lastRecord.outcomes[i].bounty();
            }
            mineAt(slot + 1);
        }
        assertEq(charged, 36);
        assertEq(bounty, 18 * BLOCK_PRICE);
        assertEq(penaltyOf(a), AMPLE - 36 * BLOCK_PRICE);
    }

    /// [I10] In a window that isn't over nothing is charged: silence.
    function test_NothingIsChargedInsideTheWindow() public {
        mineTo(start + EPOCH);
        settle(a, everythingFor(a));
        uint256 before = penaltyOf(a);
        mineAt(slot + 2 * EPOCH);
        assertEq(registry.gatewayAt(slot), a.id);
        mineTo(slot + 4);
        // B settles everything: the last window is A's present one.
        settle(b, everythingFor(b));
        uint256 last = lastRecord.outcomes.length - 1;
        assertEq(lastRecord.outcomes[last].owner(), a.id);
        assertEq(lastRecord.outcomes[last].blocks(), 5 * BLOCKS_PER_SLOT);
        assertEq(lastRecord.outcomes[last].chargedBlocks(), 0);
        assertEq(penaltyOf(a), before - chargedOf(a));
    }

    function chargedOf(Party memory p) private view returns (uint256 paid) {
        for (uint256 i = 0; i < lastRecord.outcomes.length; ++i) {
            if (lastRecord.outcomes[i].owner() == p.id) paid += lastRecord.outcomes[i].paid();
        }
    }

    /// A batch of all that is due: own as own, the rest as vacant.
    function everythingFor(Party memory p) private view returns (Batch memory batch) {
        batch = batchOf(p);
        while (inbox.ownerSlot(tipOf(batch) + 1) <= slot) {
            uint256 s = inbox.ownerSlot(tipOf(batch) + 1);
            uint256 end = registry.windowAt(s).end;
            if (end > slot + 1) end = slot + 1;
            uint256 blocks = blocksBefore(batch, end);
            if (registry.gatewayAt(s) == p.id) add(batch, RunKind.Own, blocks);
            else addSigned(batch, RunKind.Vacant, blocks, fallbackSecret);
        }
    }

    /// [I11], [C6] An ended gateway's blocks from its end on cost nothing, and its slots are open.
    function test_FromItsEndAGatewayOwesNothing() public {
        mineTo(start + 2);
        vm.prank(address(inbox));
        registry.charge(a.id, AMPLE - LARGE_FAULT + 1);
        assertEq(registry.gateway(a.id).endedSlot, start + 2);
        // The slot is open now: A can't, B can, and A's blocks of the open window aren't charged.
        settleReverts(a, add(batchOf(a), RunKind.Own, 6), abi.encodeWithSelector(IInbox.NotEligible.selector, a.id));
        settle(b, addSigned(batchOf(b), RunKind.Recreated, 6, a.secret));
        assertEq(lastRecord.outcomes[0].chargedBlocks(), 0);
        mineTo(start + TURN);
        Batch memory batch = batchOf(b);
        addSigned(batch, RunKind.Recreated, 42, a.secret);
        settle(b, batch);
        // Of slots start + 1 .. start + 7, the first is before the end.
        assertEq(lastRecord.outcomes[0].chargedBlocks(), 6);
        assertEq(registry.tranches(a.id).penalty, LARGE_FAULT - 1 - 6 * BLOCK_PRICE);
    }

    /// [C2] A charge that leaves too little takes eligibility at once.
    function test_AChargeTakesEligibility() public {
        vm.prank(address(inbox));
        registry.charge(a.id, 2 ether);
        assertTrue(registry.isEligible(a.id));
        dropWindowOfA();
        recreateAll();
        assertFalse(registry.isEligible(a.id));
        // It stays scheduled until the epoch after next.
        assertEq(registry.gatewayAt(start + 2 * TURN), a.id);
    }

    /// [C5] What the tranche can't pay isn't owed, and the share follows what was paid.
    function test_ChargesStopAtTheTranche() public {
        vm.prank(address(inbox));
        registry.charge(a.id, AMPLE - LARGE_FAULT);
        vm.prank(address(inbox));
        registry.charge(a.id, 0);
        mineTo(start + TURN);
        // Still able to pay a large fault, so it isn't ended; then its last ether but a bit goes.
        assertEq(registry.gateway(a.id).endedSlot, 0);
        vm.store(
            address(registry),
            accountSlot(),
            bytes32(uint256(7 * BLOCK_PRICE) | (uint256(REFUND) << 80) | (AMPLE << 160))
        );
        Outcome outcome = recreateAll();
        assertEq(outcome.chargedBlocks(), 36);
        assertEq(outcome.paid(), 7 * BLOCK_PRICE);
        assertEq(outcome.bounty(), 7 * BLOCK_PRICE / 2);
        assertEq(penaltyOf(a), 0);
    }

    function accountSlot() private returns (bytes32) {
        vm.record();
        registry.tranches(a.id);
        (bytes32[] memory reads,) = vm.accesses(address(registry));
        return reads[0];
    }

    /// [V4] B takes over a backlog, settles as much as its slots produce, and owes nothing for the rest.
    function test_ABacklogWorkedOffExcuses() public {
        dropWindowOfA();
        settle(b, addSigned(batchOf(b), RunKind.Recreated, 12, a.secret));
        mineTo(start + TURN + 3);
        Batch memory batch = batchOf(b);
        addSigned(batch, RunKind.Recreated, 36, a.secret);
        settle(b, batch);
        assertEq(inbox.ownerSlot(headNumber() + 1), start + TURN);
        // 48 blocks are what eight live slots produce; B's own 48 are left to A.
        mineTo(start + 2 * TURN);
        assertEq(inbox.liableBefore(uint64(start + TURN)), start + TURN);
        uint256 before = penaltyOf(b);
        settle(a, addSigned(batchOf(a), RunKind.Recreated, 48, b.secret));
        assertEq(lastRecord.outcomes[0].chargedBlocks(), 0);
        assertEq(penaltyOf(b), before);
    }

    /// [V4] One block less doesn't.
    function test_ABacklogLeftOverDoesnt() public {
        dropWindowOfA();
        settle(b, addSigned(batchOf(b), RunKind.Recreated, 12, a.secret));
        mineTo(start + TURN + 3);
        settle(b, addSigned(batchOf(b), RunKind.Recreated, 35, a.secret));
        mineTo(start + 2 * TURN);
        assertEq(inbox.liableBefore(uint64(start + TURN)), start + TURN + 6);
    }

    /// [V4] Live slots, not slots, set the measure.
    function test_MissedSlotsLowerTheMeasure() public {
        dropWindowOfA();
        settle(b, addSigned(batchOf(b), RunKind.Recreated, 18, a.secret));
        mineAt(start + TURN + 3);
        mineAt(start + TURN + 7);
        mineAt(start + 2 * TURN);
        // Three live slots, 18 blocks.
        assertEq(inbox.liableBefore(uint64(start + TURN)), start + TURN);
    }

    /// [V4] Only what the owner faced at its first settlement in the window counts: having kept up, it can't fall behind and be excused.
    function test_WithoutABacklogThereIsNoExcuse() public {
        mineTo(start + TURN - 1);
        settleOwn(a);
        mineTo(start + TURN + 7);
        settleOwn(b);
        assertEq(headNumber(), lastRecord.lastNumber);
        mineTo(start + 2 * TURN);
        assertEq(inbox.liableBefore(uint64(start + TURN)), start + TURN + 6);
    }

    /// [V4] What another settles in the window, in an open slot or silence, is no work of the owner's, and doesn't make it forget its own.
    function test_OthersSettlementsDontCount() public {
        mineTo(start + 4 * EPOCH + 8);
        assertEq(registry.gatewayAt(slot), b.id);
        // Silence: A settles first, inside B's window; B faces what A left.
        settle(a, someFor(a, start + EPOCH));
        mineTo(slot + 1);
        settle(b, someFor(b, start + EPOCH + TURN));
        mineTo(start + 4 * EPOCH + 2 * TURN);
        assertEq(inbox.liableBefore(uint64(start + 4 * EPOCH + 8)), start + 4 * EPOCH + 8);
    }

    function someFor(Party memory p, uint256 before) private view returns (Batch memory batch) {
        batch = batchOf(p);
        while (inbox.ownerSlot(tipOf(batch) + 1) < before) {
            uint256 s = inbox.ownerSlot(tipOf(batch) + 1);
            uint256 blocks = blocksBefore(batch, registry.windowAt(s).end);
            if (registry.gatewayAt(s) == p.id) add(batch, RunKind.Own, blocks);
            else addSigned(batch, RunKind.Vacant, blocks, fallbackSecret);
        }
    }

    function test_NoVerdictBeforeTheEnd() public {
        mineTo(start + TURN - 1);
        vm.expectRevert(abi.encodeWithSelector(IInbox.WindowNotOver.selector, start + TURN));
        inbox.liableBefore(uint64(start));
        mineTo(start + TURN);
        inbox.liableBefore(uint64(start));
        assertEq(inbox.liableBefore(uint64(start - 1)), start - EPOCH, "open windows owe nothing");
    }

    /// [V4] Being late is no excuse for being late: two who drop every window and settle only their own, two windows later, owe for each.
    function test_OwnLateBlocksAreNoWork() public {
        for (uint256 i = 2; i < 6; ++i) {
            mineTo(start + i * TURN + TURN - 1);
            Party memory p = registry.gatewayAt(slot) == a.id ? a : b;
            settle(p, add(batchOf(p), RunKind.Own, 48));
        }
        mineTo(start + 6 * TURN);
        for (uint64 i = 2; i < 6; ++i) {
            assertEq(inbox.liableBefore(uint64(start) + i * uint64(TURN)), start + i * TURN + TURN - 2);
        }
    }

    /// [I9] However a poster cuts its runs, stale blocks cost nothing: here all that would be liable are stale.
    function test_StaleBlocksAtTheHeadOfARunAreFree() public {
        mineTo(start + 5 + HORIZON + 1);
        Party memory p = registry.gatewayAt(slot) == b.id ? b : register("C", AMPLE, REFUND);
        settle(p, addSigned(batchOf(p), RunKind.Recreated, 48, a.secret));
        assertEq(lastRecord.outcomes[0].chargedBlocks(), 0);
    }
}

/// @notice A chain without proposers to prove, which remembers all schedules.
contract BareChargesTest is RunningState {
    function registryParameters() internal view override returns (RegistryParameters memory) {
        return bareParameters();
    }

    /// [V1] Beyond EIP-4788's ring, and without a revert.
    function test_BeyondTheRingSlotsCountAsMissed() public {
        dropWindowOfA();
        assertEq(inbox.liableBefore(uint64(start)), start + 6);
        // Places are taken by the blocks that come 8,191 slots later.
        for (uint256 i = 0; i < TURN; ++i) {
            mineAt(start + 8191 + i);
        }
        assertEq(inbox.liableBefore(uint64(start)), start);
    }
}
