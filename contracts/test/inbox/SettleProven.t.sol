// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {Batches} from "../chain/Batches.sol";
import {BeaconState} from "../chain/Beacon.sol";
import {DeployedState, Party} from "../chain/Deployed.sol";
import {Batch, IInbox} from "baton/inbox/IInbox.sol";
import {ILookahead, Kind, Window} from "baton/lookahead/ILookahead.sol";
import {Outcome, RunKind} from "baton/types/Outcome.sol";

/// @notice State: A has slots 0 to 9 of a proven epoch, B slots 10 to 19, the rotation the rest: its first part, of slots 20 to 23, is A's or
/// B's. All blocks before are settled; the newest block is in the last slot before.
abstract contract ProvenState is Batches, BeaconState {
    uint256 internal constant AMPLE = PENALTY + 4 ether;

    Party internal a;
    Party internal b;
    uint256 internal start;

    function setUp() public virtual override {
        DeployedState.setUp();
        a = register("A", AMPLE, REFUND);
        b = register("B", AMPLE, REFUND);
        delegate(1, a);
        delegate(2, b);
        start = (FIRST_EPOCH + 3) * EPOCH;
        mineTo(start - EPOCH + 1);
        publish(proposers());
        mineTo(start - 1);
        settleAllBefore(start);
    }

    /// The holder settles all that is due before a slot, its own and others'.
    function settleAllBefore(uint256 end) internal {
        Party memory p = holderNow();
        Batch memory batch = batchOf(p);
        while (inbox.ownerSlot(tipOf(batch) + 1) < end) {
            Window memory window = registry.windowAt(inbox.ownerSlot(tipOf(batch) + 1));
            uint256 blocks = blocksBefore(batch, window.end < end ? window.end : end);
            if (window.gateway == p.id) add(batch, RunKind.Own, blocks);
            else addSigned(batch, RunKind.Vacant, blocks, fallbackSecret);
        }
        settle(p, batch);
    }

    function proposers() internal pure virtual returns (uint64[32] memory indices) {
        for (uint256 i = 0; i < 32; ++i) {
            indices[i] = i < 10 ? 1 : i < 20 ? 2 : 9;
        }
    }

    function holderNow() internal view returns (Party memory) {
        return registry.gatewayAt(slot) == a.id ? a : b;
    }

    /// The number of the first block whose owner slot this is.
    function firstOf(uint256 ownerSlot) internal pure returns (uint64) {
        return uint64((ownerSlot - FIRST_EPOCH * EPOCH - DELAY) * BLOCKS_PER_SLOT);
    }

    function settleOwn(Party memory p) internal {
        settle(p, add(batchOf(p), RunKind.Own, blocksBefore(batchOf(p), slot + 1)));
    }
}

/// @notice Rules [V2], [T5], [I5] in settlements over proven windows.
contract SettleProvenTest is ProvenState {
    function test_TheScheduleIsAsProven() public view {
        assertEq(registry.gatewayAt(start + 9), a.id);
        assertEq(registry.gatewayAt(start + 19), b.id);
        assertEq(uint8(registry.windowAt(start + 19).kind), uint8(Kind.Proven));
        assertEq(uint8(registry.windowAt(start + 20).kind), uint8(Kind.Fallback));
        assertEq(registry.windowAt(start + 20).first, start + 20);
    }

    /// [V2] Its own proposer's slot was live: all of the window is owed, to the last block.
    function test_WithItsLastSlotLiveAllIsLiable() public {
        mineTo(start + 10);
        assertEq(inbox.liableBefore(uint64(start)), start + 10);
        assertEq(recreateA(), 60);
    }

    /// [V2] Even if nothing but the last slot was.
    function test_TheLastSlotAloneIsEnough() public {
        mineAt(start + 9);
        mineAt(start + 10);
        assertEq(recreateA(), 60);
    }

    /// [V2] Else what had three chances: up to the third-last live slot.
    function test_WithItsLastSlotMissedTheThirdLastLiveBounds() public {
        mineTo(start + 5);
        mineAt(start + 7);
        mineAt(start + 10);
        // Live: 0 to 5 and 7. The third-last is 4.
        assertEq(inbox.liableBefore(uint64(start)), start + 5);
        assertEq(recreateA(), 30);
    }

    function test_WithTwoLiveSlotsAndTheLastMissedNothingIsLiable() public {
        mineAt(start + 3);
        mineAt(start + 4);
        mineAt(start + 10);
        assertEq(recreateA(), 0);
    }

    /// [V2] A missed last slot is missed also when told later.
    function test_TheVerdictDoesNotChange() public {
        mineTo(start + 8);
        mineAt(start + 10);
        uint64 bound = inbox.liableBefore(uint64(start));
        mineTo(start + 19);
        assertEq(inbox.liableBefore(uint64(start)), bound);
        assertEq(recreateA(), (bound - start) * BLOCKS_PER_SLOT);
    }

    /// [V3], [T5] The rotation's part of the epoch is judged as fallback, and from where the proven part ends.
    function test_TheClippedFallbackWindowHasThreeChances() public {
        settleAB();
        // Slots 20 to 23 are one window of the rotation.
        uint16 owner = registry.gatewayAt(start + 20);
        uint256 end = registry.windowAt(start + 20).end;
        assertEq(end, start + 24);
        mineTo(end);
        assertEq(inbox.liableBefore(uint64(start + 20)), start + 22);
        Party memory other = registry.gatewayAt(slot) == a.id ? a : b;
        assertNotEq(other.id, owner);
        Batch memory batch = batchOf(other);
        settle(other, addSigned(batch, RunKind.Recreated, 24, (owner == a.id ? a : b).secret));
        assertEq(lastRecord.outcomes[0].chargedBlocks(), 12);
    }

    /// [I5] A run ends where the kind changes, if the gateway stays the same or not.
    function test_ARunDoesNotCrossFromProvenToFallback() public {
        mineTo(start + 9);
        settleOwn(a);
        mineTo(start + 24);
        Party memory p = holderNow();
        Batch memory batch = batchOf(p);
        if (p.id == b.id) {
            add(batch, RunKind.Own, 61);
        } else {
            addSigned(batch, RunKind.Recreated, 61, b.secret);
        }
        settleReverts(p, batch, abi.encodeWithSelector(IInbox.RunCrossesWindow.selector, 0));
    }

    /// Settlements over all borders of the epoch in one batch.
    function test_OneBatchOverAllBorders() public {
        mineTo(start + EPOCH);
        Party memory p = holderNow();
        Party memory q = p.id == a.id ? b : a;
        Batch memory batch = batchOf(p);
        while (inbox.ownerSlot(tipOf(batch) + 1) < start + EPOCH) {
            uint256 s = inbox.ownerSlot(tipOf(batch) + 1);
            uint256 blocks = blocksBefore(batch, registry.windowAt(s).end);
            if (registry.gatewayAt(s) == p.id) add(batch, RunKind.Own, blocks);
            else addSigned(batch, RunKind.Recreated, blocks, q.secret);
        }
        settle(p, batch);
        // Two proven windows and two of the rotation; of the other's proven one all is owed.
        assertEq(lastRecord.outcomes.length, 4);
        for (uint256 i = 0; i < 2; ++i) {
            Outcome outcome = lastRecord.outcomes[i];
            assertEq(outcome.blocks(), 60);
            assertEq(outcome.chargedBlocks(), outcome.owner() == p.id ? 0 : 60);
        }
    }

    /// [I4], [V2] Under silence another may take a slot, and the last one of a proven window with it: its holder had no last chance then.
    function test_ALastSlotTakenByAnotherIsNoChance() public {
        // Nobody settles for long; the rotation has the epoch after this one, so a proven one is published again.
        uint256 begin = start + EPOCH;
        mineTo(begin - EPOCH + 1);
        publish(proposers());
        mineTo(begin + 9);
        assertEq(registry.gatewayAt(slot), a.id);
        (,, uint64 last) = inbox.head();
        assertGt(slot, last + SILENCE);
        uint256 snapshot = vm.snapshotState();

        // B takes A's last slot, and leaves A's blocks.
        Batch memory batch = batchOf(b);
        settle(b, addSigned(batch, RunKind.Vacant, 1, fallbackSecret));
        mineTo(begin + 10);
        assertEq(inbox.liableBefore(uint64(begin)), begin + 8, "three chances before");

        // Had it been A itself, whatever it settled, it would owe all.
        vm.revertToState(snapshot);
        batch = batchOf(a);
        settle(a, add(batch, RunKind.Own, 1));
        mineTo(begin + 10);
        assertEq(inbox.liableBefore(uint64(begin)), begin + 10);
    }

    /// [S6], [H0] A publication in the last slot that allows it is reorged out and comes again too late. Whoever followed the schedule, before
    /// and after, pays nothing, because no block of the epoch was signed yet.
    function test_APublicationReorgedAcrossTheDeadlineHurtsNobody() public {
        uint256 begin = start + EPOCH;
        uint256 deadline = begin - DELAY - MARGIN;
        mineTo(deadline - 1);
        settleAllBefore(slot + 1);
        uint256 snapshot = vm.snapshotState();
        publish(proposers());
        assertEq(registry.gatewayAt(begin), a.id);
        // The slot of the newest block that anyone may have built by then, and whose it is: one of the epoch before.
        assertLt(slot + DELAY, begin);
        vm.revertToState(snapshot);
        mineAt(deadline);
        publishReverts(
            proposers(),
            abi.encodeWithSelector(ILookahead.PublicationClosed.selector, nextEpoch(), begin - EPOCH, deadline)
        );
        assertEq(uint8(registry.windowAt(begin).kind), uint8(Kind.Fallback));
        uint256 penalties = penaltyOf(a) + penaltyOf(b);
        while (slot < begin + EPOCH) {
            mineAt(slot + 1);
            settleAllBefore(slot + 1);
        }
        assertEq(penaltyOf(a) + penaltyOf(b), penalties);
    }

    /// [T6] The key that counts is the one in force in the window's epoch, as ever.
    function test_TheKeyIsThatOfTheWindowsEpoch() public {
        (address key,) = makeAddrAndKey("A's next key");
        vm.prank(a.owner);
        registry.setSequencerKey(a.id, key);
        mineTo(start + 10);
        assertEq(recreateA(), 60);
    }

    /// The holder that the inbox remembers stays within its proven window.
    function test_TheRememberedHolderEndsWithItsWindow() public {
        mineTo(start + 8);
        settleOwn(a);
        mineTo(start + 9);
        settleOwn(a);
        mineTo(start + 10);
        settleReverts(a, add(batchOf(a), RunKind.Own, 1), abi.encodeWithSelector(IInbox.NotHolder.selector, a.id, b.id));
        settleOwn(b);
    }

    /// A settles nothing of its window; B re-creates it all.
    function recreateA() private returns (uint256 chargedBlocks) {
        Batch memory batch = batchOf(b);
        settle(b, addSigned(batch, RunKind.Recreated, 60, a.secret));
        return lastRecord.outcomes[0].chargedBlocks();
    }

    function settleAB() private {
        mineTo(start + 9);
        settleOwn(a);
        mineTo(start + 19);
        settleOwn(b);
    }
}

/// @notice The same, with a proven window of one slot: no more chances than that one.
contract ShortProvenTest is ProvenState {
    function proposers() internal pure override returns (uint64[32] memory indices) {
        for (uint256 i = 0; i < 32; ++i) {
            indices[i] = i % 2 == 0 ? 1 : 2;
        }
    }

    function test_AWindowOfOneSlot() public {
        mineAt(start);
        mineAt(start + 1);
        Batch memory batch = batchOf(b);
        settle(b, addSigned(batch, RunKind.Recreated, 6, a.secret));
        assertEq(lastRecord.outcomes[0].chargedBlocks(), 6);
        // And with the slot missed, nothing.
        mineAt(start + 3);
        batch = batchOf(b);
        add(batch, RunKind.Own, 6);
        settle(b, addSigned(batch, RunKind.Recreated, 6, a.secret));
        assertEq(lastRecord.outcomes[1].chargedBlocks(), 0);
    }
}
