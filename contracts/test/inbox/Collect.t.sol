// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {RunningState} from "../chain/Running.sol";
import {Batch, IInbox, Record} from "baton/inbox/IInbox.sol";
import {ICollateral} from "baton/registry/ICollateral.sol";
import {Outcome, RunKind} from "baton/types/Outcome.sol";

/// @notice Rules [I12] and [I13].
contract CollectTest is RunningState {
    Record private record;
    uint256 private bounty;
    uint256 private constant RING = 16_384;

    function setUp() public override {
        super.setUp();
        dropWindowOfA();
        Batch memory batch = addSigned(batchOf(b), RunKind.Recreated, 6, a.secret);
        addSigned(batch, RunKind.Recreated, 12, a.secret);
        addSigned(batch, RunKind.Vacant, 6, fallbackSecret);
        settle(b, batch);
        record = lastRecord;
        bounty = 18 * BLOCK_PRICE / 2;
    }

    function test_TheBountyGoesToThePostersOwner() public {
        mineAt(record.slot + HORIZON + 1);
        assertFalse(inbox.isCollected(record.slot));
        vm.expectEmit(address(registry));
        emit ICollateral.BountyPaid(a.id, b.owner, 6 * BLOCK_PRICE / 2);
        vm.expectEmit(address(registry));
        emit ICollateral.BountyPaid(a.id, b.owner, 12 * BLOCK_PRICE / 2);
        vm.expectEmit(address(inbox));
        emit IInbox.BountiesCollected(record.slot, b.owner, bounty);
        vm.prank(makeAddr("anyone"));
        inbox.collect(record);
        assertEq(registry.creditOf(b.owner), bounty);
        assertTrue(inbox.isCollected(record.slot));
        assertEq(inbox.recordHash(record.slot), inbox.hashRecord(record), "a collected record stays provable");
    }

    function test_WhoeverOwnsThePosterThen() public {
        mineAt(record.slot + HORIZON + 1);
        address heir = makeAddr("heir");
        vm.prank(b.owner);
        registry.offerOwnership(b.id, heir);
        vm.prank(heir);
        registry.acceptOwnership(b.id);
        inbox.collect(record);
        assertEq(registry.creditOf(heir), bounty);
    }

    function test_Once() public {
        mineAt(record.slot + HORIZON + 1);
        inbox.collect(record);
        vm.expectRevert(abi.encodeWithSelector(IInbox.NothingToCollect.selector, record.slot));
        inbox.collect(record);
    }

    function test_NotBeforeTheHorizon() public {
        uint256 from = record.slot + HORIZON + 1;
        mineAt(from - 1);
        vm.expectRevert(abi.encodeWithSelector(IInbox.NotCollectableBefore.selector, from));
        inbox.collect(record);
        mineAt(from);
        inbox.collect(record);
    }

    function test_OnlyTheStoredRecord() public {
        mineAt(record.slot + HORIZON + 1);
        bytes memory refusal = abi.encodeWithSelector(IInbox.UnknownRecord.selector, record.slot);
        Record memory forged = record;
        forged.gateway = a.id;
        vm.expectRevert(refusal);
        inbox.collect(forged);
        forged = record;
        forged.outcomes[0] = Outcome.wrap(Outcome.unwrap(forged.outcomes[0]) + (uint256(1) << 160));
        vm.expectRevert(refusal);
        inbox.collect(forged);
        forged = record;
        forged.slot += 1;
        vm.expectRevert(abi.encodeWithSelector(IInbox.UnknownRecord.selector, record.slot + 1));
        inbox.collect(forged);
        // A slot that shares the place in the ring.
        forged.slot = record.slot + uint64(RING);
        vm.expectRevert(abi.encodeWithSelector(IInbox.UnknownRecord.selector, forged.slot));
        inbox.collect(forged);
    }

    function test_RecordsWithoutABountyHaveNone() public {
        mineTo(slot + 1);
        Batch memory batch = batchOf(b);
        addSigned(batch, RunKind.Vacant, blocksBefore(batch, start + TURN), fallbackSecret);
        add(batch, RunKind.Own, 6);
        settle(b, batch);
        mineAt(slot + HORIZON + 1);
        vm.expectRevert(abi.encodeWithSelector(IInbox.NothingToCollect.selector, lastRecord.slot));
        inbox.collect(lastRecord);
    }

    /// [I12] Sixteen thousand slots on, a slot with the same place tells its own record or none.
    function test_TheRingForgets() public {
        mineAt(record.slot + RING);
        assertEq(inbox.recordHash(uint64(slot)), 0, "no record in this slot");
        assertFalse(inbox.isCollected(uint64(slot)));
        assertEq(inbox.recordHash(record.slot), inbox.hashRecord(record), "nobody took its place");
        Batch memory batch = batchOf(registry.gatewayAt(slot) == a.id ? a : b);
        add(batch, RunKind.Stale, 6);
        settle(registry.gatewayAt(slot) == a.id ? a : b, batch);
        assertEq(inbox.recordHash(uint64(slot)), inbox.hashRecord(lastRecord));
        assertEq(inbox.recordHash(record.slot), 0);
        vm.expectRevert(abi.encodeWithSelector(IInbox.UnknownRecord.selector, record.slot));
        inbox.collect(record);
    }
}
