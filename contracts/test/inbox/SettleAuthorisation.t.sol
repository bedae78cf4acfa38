// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {Party} from "../chain/Deployed.sol";
import {RunningState} from "../chain/Running.sol";
import {IHolderMemory} from "baton/inbox/IHolderMemory.sol";
import {Batch, IInbox} from "baton/inbox/IInbox.sol";
import {RunKind} from "baton/types/Outcome.sol";

/// @notice Who may settle, when, on what: rules [I1] to [I4].
contract SettleAuthorisationTest is RunningState {
    Party private c;

    function setUp() public override {
        super.setUp();
        mineTo(start + 1);
        c = party("stranger");
    }

    function own() private view returns (Batch memory) {
        return add(batchOf(a), RunKind.Own, 6);
    }

    /// [I1] A contract in between would hide the transaction from derivation.
    function test_NestedCallsAreRefused() public {
        Batch memory batch = own();
        useBlobs(1);
        vm.expectRevert(abi.encodeWithSelector(IInbox.NotPlainAccount.selector, a.settler));
        vm.prank(a.settler, c.settler);
        inbox.settle(batch);
    }

    /// [I1] A settler with EIP-7702 code could settle in a call to itself.
    function test_DelegatedAccountsAreRefused() public {
        Batch memory batch = own();
        vm.etch(a.settler, bytes.concat(hex"ef0100", bytes20(address(this))));
        settleReverts(a, batch, abi.encodeWithSelector(IInbox.NotPlainAccount.selector, a.settler));
    }

    /// [I1]
    function test_WithoutBlobsNothingSettles() public {
        Batch memory batch = own();
        vm.blobhashes(new bytes32[](0));
        vm.expectRevert(IInbox.NoBlobs.selector);
        vm.prank(a.settler, a.settler);
        inbox.settle(batch);
    }

    /// [I12] All blobs of the transaction are in the record.
    function test_TheRecordBindsAllBlobs() public {
        Batch memory batch = own();
        bytes32[] memory blobs = new bytes32[](3);
        for (uint256 i = 0; i < 3; ++i) {
            blobs[i] = keccak256(abi.encode("blob", i));
        }
        vm.blobhashes(blobs);
        vm.prank(a.settler, a.settler);
        vm.expectEmit(true, true, true, false, address(inbox));
        emit IInbox.Settled(uint64(slot), a.id, a.settler, 0, 0, 0, 0, 0, lastRecord.outcomes);
        vm.recordLogs();
        inbox.settle(batch);
        bytes32 commitment = abi.decode(word(vm.getRecordedLogs()[0].data, 5), (bytes32));
        assertEq(commitment, keccak256(abi.encodePacked(blobs)));
    }

    function word(bytes memory data, uint256 index) private pure returns (bytes memory) {
        bytes32 value;
        assembly ("memory-safe") {
            value := mload(add(add(data, 0x20), mul(index, 0x20)))
        }
        return abi.encode(value);
    }

    function test_OnlyTheGatewaysSettlerSettlesForIt() public {
        Batch memory batch = own();
        settleReverts(b, batch, abi.encodeWithSelector(IInbox.NotSettler.selector, a.id, b.settler));
        batch.gateway = 9;
        settleReverts(a, batch, abi.encodeWithSelector(IInbox.NotSettler.selector, 9, a.settler));
        batch.gateway = 0;
        settleReverts(a, batch, abi.encodeWithSelector(IInbox.NotSettler.selector, 0, a.settler));
    }

    /// [I2]
    function test_OnlyTheHolderSettles() public {
        Batch memory batch = add(batchOf(b), RunKind.Vacant, 6);
        settleReverts(b, batch, abi.encodeWithSelector(IInbox.NotHolder.selector, b.id, a.id));
    }

    /// [I2] After silence any eligible gateway may, not before, and not one that isn't eligible.
    function test_SilenceOpensTheSlot() public {
        (,, uint64 last) = inbox.head();
        uint256 open = last + SILENCE + 1;
        // Slot start + 40 is A's again: the first one after silence that isn't B's.
        mineAt(start + 33);
        assertEq(registry.gatewayAt(start + 32), a.id);
        assertLt(slot, open);
        settleReverts(b, vacantFor(b), abi.encodeWithSelector(IInbox.NotHolder.selector, b.id, a.id));
        mineTo(open - 1);
        assertEq(registry.gatewayAt(slot), a.id);
        settleReverts(b, vacantFor(b), abi.encodeWithSelector(IInbox.NotHolder.selector, b.id, a.id));
        mineAt(open);
        if (registry.gatewayAt(slot) == b.id) mineAt(slot + TURN);
        assertEq(registry.gatewayAt(slot), a.id);
        Party memory poor = register("poor", 0, 0);
        settleReverts(poor, vacantFor(poor), abi.encodeWithSelector(IInbox.NotEligible.selector, poor.id));
        settle(b, vacantFor(b));
        // The silence is over: now B can't any more.
        mineAt(slot + 1);
        settleReverts(b, vacantFor(b), abi.encodeWithSelector(IInbox.NotHolder.selector, b.id, a.id));
    }

    function vacantFor(Party memory p) private view returns (Batch memory) {
        return add(batchOf(p), RunKind.Vacant, 6);
    }

    /// [I3]
    function test_TheHeadMustBeTheNamedOne() public {
        (uint64 number, bytes32 link,) = inbox.head();
        bytes memory refusal = abi.encodeWithSelector(IInbox.HeadMoved.selector, number, link);
        Batch memory batch = own();
        batch.headNumber += 1;
        settleReverts(a, batch, refusal);
        batch = own();
        batch.headLink = keccak256("another");
        settleReverts(a, batch, refusal);
    }

    /// [I3]
    function test_TheViewMustBeCanonicalAndRecent() public {
        Batch memory batch = own();
        batch.viewHash = keccak256("another branch");
        settleReverts(a, batch, viewRefused(batch));
        // The present block's hash isn't known, nor is a future one's.
        batch.viewNumber = uint64(block.number);
        settleReverts(a, batch, viewRefused(batch));
        batch.viewHash = 0;
        settleReverts(a, batch, viewRefused(batch));
        // 256 blocks back is the last; A is the batcher already, so that any view will do.
        batch.viewNumber = uint64(block.number - 257);
        batch.viewHash = 0;
        settleReverts(a, batch, viewRefused(batch));
        batch.viewNumber = uint64(block.number - 256);
        batch.viewHash = blockhash(block.number - 256);
        settle(a, batch);
    }

    function viewRefused(Batch memory batch) private pure returns (bytes memory) {
        return abi.encodeWithSelector(IInbox.ViewNotCanonical.selector, batch.viewNumber, batch.viewHash);
    }

    /// [I3] A view that a reorg took away.
    function test_AReorgedViewSettlesNothing() public {
        Batch memory batch = own();
        vm.setBlockhash(batch.viewNumber, keccak256("the other branch"));
        settleReverts(a, batch, viewRefused(batch));
    }

    /// [I4]
    function test_OneSettlementASlot() public {
        settle(a, own());
        settleReverts(a, own(), abi.encodeWithSelector(IInbox.SlotTaken.selector, slot));
        mineAt(slot + 1);
        settle(a, own());
    }

    /// [G4] The inbox remembers the holder within its window; a replaced settler is out at once all the same.
    function test_AReplacedSettlerIsOutAtOnce() public {
        settle(a, own());
        mineAt(slot + 1);
        Party memory thief = a;
        vm.prank(a.owner);
        registry.setSettler(a.id, c.settler);
        settleReverts(thief, own(), abi.encodeWithSelector(IInbox.NotSettler.selector, a.id, thief.settler));
        Party memory next = a;
        next.settler = c.settler;
        settle(next, own());
        assertEq(inbox.batcher(), c.settler);
    }

    /// [C6] So is an ended gateway.
    function test_AnEndedHolderIsOutAtOnce() public {
        settle(a, own());
        mineAt(slot + 1);
        vm.prank(address(inbox));
        registry.charge(a.id, AMPLE);
        settleReverts(a, own(), abi.encodeWithSelector(IInbox.NotEligible.selector, a.id));
    }

    /// [I2] What is remembered ends with the window, and with the epoch where the window is an epoch long.
    function test_WhatIsRememberedEndsWithTheWindow() public {
        settle(a, own());
        mineAt(start + TURN);
        settleReverts(a, own(), abi.encodeWithSelector(IInbox.NotHolder.selector, a.id, b.id));
        mineAt(start + EPOCH + 1);
        settleReverts(b, vacantFor(b), abi.encodeWithSelector(IInbox.NotHolder.selector, b.id, a.id));
    }

    /// [I2] The same place in the next epoch is another's, where three take turns.
    function test_WhatIsRememberedEndsWithTheEpoch() public {
        register("third", AMPLE, REFUND);
        mineTo(start + 2 * EPOCH);
        while (registry.gatewayAt(slot) != a.id) {
            mineTo(slot + TURN);
        }
        // All that is due, so that no backlog is left to be counted, with which a holder isn't remembered.
        Batch memory batch = batchOf(a);
        while (inbox.ownerSlot(tipOf(batch) + 1) <= slot) {
            uint256 s = inbox.ownerSlot(tipOf(batch) + 1);
            uint256 end = registry.windowAt(s).end;
            uint256 blocks = blocksBefore(batch, end < slot + 1 ? end : slot + 1);
            if (registry.gatewayAt(s) == a.id) add(batch, RunKind.Own, blocks);
            else addSigned(batch, RunKind.Vacant, blocks, fallbackSecret);
        }
        settle(a, batch);
        mineAt(slot + EPOCH);
        uint16 next = registry.gatewayAt(slot);
        assertNotEq(next, a.id);
        settleReverts(a, own(), abi.encodeWithSelector(IInbox.NotHolder.selector, a.id, next));
    }

    /// The holder settled; then nobody may use its memory for another gateway with the same settler.
    function test_TheMemoryIsOneGateways() public {
        Party memory twin = register("twin", AMPLE, REFUND);
        vm.prank(twin.owner);
        registry.setSettler(twin.id, a.settler);
        twin.settler = a.settler;
        settle(a, own());
        mineAt(slot + 1);
        settleReverts(twin, vacantFor(twin), abi.encodeWithSelector(IInbox.NotHolder.selector, twin.id, a.id));
        settle(a, own());
    }

    function test_OnlyTheRegistryMakesItForget() public {
        vm.expectRevert(abi.encodeWithSelector(IHolderMemory.NotRegistry.selector, address(this)));
        inbox.forgetHolder(a.id);
    }
}
