// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {RunningState} from "../chain/Running.sol";
import {Batch, IInbox} from "baton/inbox/IInbox.sol";
import {ISystemConfig} from "baton/rollup/ISystemConfig.sol";
import {RunKind} from "baton/types/Outcome.sol";

/// @notice Rules [R1] and [R2].
contract TakeBatonTest is RunningState {
    function batcherHash() private view returns (address) {
        return address(uint160(uint256(systemConfig.batcherHash())));
    }

    function setUp() public override {
        super.setUp();
        mineTo(start + TURN - 1);
        settleOwn(a);
        assertEq(batcherHash(), a.settler);
        mineTo(start + TURN);
    }

    function ownOfB() private view returns (Batch memory) {
        return add(batchOf(b), RunKind.Own, 6);
    }

    function withView(Batch memory batch, uint256 number) private view returns (Batch memory) {
        batch.viewNumber = uint64(number);
        batch.viewHash = blockhash(number);
        return batch;
    }

    function test_TheFirstSettlementRotates() public {
        vm.expectEmit(address(inbox));
        emit IInbox.BatonTaken(b.id, b.settler);
        vm.expectEmit(address(systemConfig));
        emit ISystemConfig.ConfigUpdate(0, ISystemConfig.UpdateType.BATCHER, abi.encode(uint256(uint160(b.settler))));
        settle(b, ownOfB());
        assertEq(batcherHash(), b.settler);
        assertEq(inbox.batcher(), b.settler);
    }

    function test_TheSecondDoesNot() public {
        settle(b, ownOfB());
        mineTo(slot + 1);
        vm.expectCall(address(rotation), "", 0);
        settle(b, ownOfB());
    }

    /// [R2]
    function test_ARotatingSettlementNeedsTheParentAsView() public {
        Batch memory batch = withView(ownOfB(), block.number - 2);
        settleReverts(
            b, batch, abi.encodeWithSelector(IInbox.ViewNotParent.selector, block.number - 2, block.number - 1)
        );
        settle(b, ownOfB());
        mineTo(slot + 3);
        settle(b, withView(ownOfB(), block.number - 3));
    }

    function test_AnyoneTakesItForTheHolder() public {
        vm.expectEmit(address(inbox));
        emit IInbox.BatonTaken(b.id, b.settler);
        vm.prank(makeAddr("anyone"));
        inbox.takeBaton();
        assertEq(batcherHash(), b.settler);
        assertEq(inbox.batcher(), b.settler);
        vm.expectRevert(abi.encodeWithSelector(IInbox.AlreadyBatcher.selector, b.settler));
        inbox.takeBaton();
        (uint64 number,, uint64 last) = inbox.head();
        assertEq(number, headNumber());
        assertEq(last, start + TURN - 1, "taking the baton settles nothing");
    }

    /// [R2] After takeBaton a view from before its parent would miss what the predecessor posted until then; any later one will do.
    function test_TheFirstSettlementAfterNeedsAViewOfTheRotation() public {
        uint256 rotated = block.number;
        inbox.takeBaton();
        mineTo(slot + 3);
        Batch memory batch = withView(ownOfB(), rotated - 2);
        settleReverts(b, batch, abi.encodeWithSelector(IInbox.ViewNotParent.selector, rotated - 2, rotated - 1));
        settle(b, withView(ownOfB(), rotated - 1));
        mineTo(slot + 1);
        settle(b, withView(ownOfB(), rotated - 2));
    }

    /// Somebody takes the baton just before a settlement that was sent with an older view: without the rule above it would go through.
    function test_AForeignTakeBatonDoesntLoosenTheView() public {
        Batch memory batch = withView(ownOfB(), block.number - 1);
        mineTo(slot + 1);
        // The predecessor's raw transaction would be in this block.
        mineTo(slot + 1);
        inbox.takeBaton();
        settleReverts(
            b, batch, abi.encodeWithSelector(IInbox.ViewNotParent.selector, batch.viewNumber, block.number - 1)
        );
    }

    /// Derivation would lose the data of a settlement in the same block.
    function test_NotInASlotWithASettlement() public {
        settle(b, ownOfB());
        vm.prank(b.owner);
        registry.setSettler(b.id, makeAddr("new settler"));
        vm.expectRevert(abi.encodeWithSelector(IInbox.SlotTaken.selector, slot));
        inbox.takeBaton();
        mineTo(slot + 1);
        inbox.takeBaton();
        assertEq(batcherHash(), makeAddr("new settler"));
    }

    /// [S5] Open slots have no holder.
    function test_NotInOpenSlots() public {
        vm.prank(address(inbox));
        registry.charge(b.id, AMPLE);
        vm.expectRevert(abi.encodeWithSelector(IInbox.NoHolder.selector, slot));
        inbox.takeBaton();
        vm.prank(a.owner);
        registry.requestExit(a.id);
        mineTo(slot + 2 * EPOCH + TURN);
        assertEq(registry.gatewayAt(slot), 0);
        vm.expectRevert(abi.encodeWithSelector(IInbox.NoHolder.selector, slot));
        inbox.takeBaton();
    }
}
