// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {DeployedState, Party} from "../chain/Deployed.sol";
import {ICollateral} from "baton/registry/ICollateral.sol";
import {Gateway, IGateways, Registration} from "baton/registry/IGateways.sol";

contract RegisterTest is DeployedState {
    function test_Registers() public {
        Party memory p = party("A");
        Registration memory r = registration(p, PENALTY);
        vm.expectEmit(address(registry));
        emit IGateways.GatewayRegistered(1, p.owner, p.settler, p.key);
        vm.expectEmit(address(registry));
        emit IGateways.UrlsSet(1, r.endpoint, r.feed);
        vm.expectEmit(address(registry));
        emit ICollateral.Deposited(1, PENALTY, REFUND);
        vm.expectEmit(address(registry));
        emit ICollateral.BecameEligible(1, FIRST_EPOCH + 2);
        deal(address(this), 100 ether);
        assertEq(registry.register{value: FEE + PENALTY + REFUND}(r), 1);

        Gateway memory g = registry.gateway(1);
        assertEq(g.owner, p.owner);
        assertEq(g.pendingOwner, address(0));
        assertEq(g.settler, p.settler);
        assertEq(g.sequencerKey, p.key);
        assertEq(g.previousKey, address(0));
        assertEq(g.keyEpoch, FIRST_EPOCH + 2);
        assertEq(g.endedSlot, 0);
        assertEq(g.withdrawableSlot, 0);
        assertTrue(g.eligible);
        assertEq(registry.tranches(1).penalty, PENALTY);
        assertEq(registry.tranches(1).refund, REFUND);
        assertEq(registry.ownerOf(1), p.owner);
        assertEq(address(registry).balance, FEE + PENALTY + REFUND);
    }

    /// [G1] Ids rise from 1.
    function test_IdsRise() public {
        assertEq(registry.nextId(), 1);
        assertEq(register("A", 0, 0).id, 1);
        assertEq(register("B", PENALTY, REFUND).id, 2);
        assertEq(registry.nextId(), 3);
        assertFalse(registry.isEligible(1));
        assertTrue(registry.isEligible(2));
    }

    /// [G1] Ids fit 15 bits; when they are used up nobody can register.
    function test_IdsEnd() public {
        bytes32 nextIdSlot = slotOf(abi.encodeCall(IGateways.nextId, ()));
        vm.store(address(registry), nextIdSlot, bytes32(uint256(32_767)));
        assertEq(register("last", 0, 0).id, 32_767);
        Party memory p = party("late");
        deal(address(this), FEE);
        vm.expectRevert(IGateways.IdsExhausted.selector);
        registry.register{value: FEE}(registration(p, 0));
    }

    /// [G1] Id 0 is nobody, with the fallback key from the first epoch on.
    function test_NobodyIsTheOperator() public view {
        Gateway memory nobody = registry.gateway(0);
        assertEq(nobody.owner, operator);
        assertEq(nobody.sequencerKey, fallbackKey);
        assertEq(nobody.settler, address(0));
        assertEq(registry.sequencerKeyAt(0, 0), fallbackKey);
        assertFalse(nobody.eligible);
    }

    function test_TheValueMustCoverFeeAndPenalty() public {
        Party memory p = party("A");
        deal(address(this), 1 ether);
        vm.expectRevert(abi.encodeWithSelector(IGateways.ValueTooLow.selector, FEE + 5 - 1, FEE + 5));
        registry.register{value: FEE + 4}(registration(p, 5));
    }

    function test_NoFieldMayBeZero() public {
        deal(address(this), 1 ether);
        Registration memory r = registration(party("A"), 0);
        r.owner = address(0);
        vm.expectRevert(abi.encodeWithSelector(IGateways.ZeroAddress.selector, "owner"));
        registry.register{value: FEE}(r);
        r = registration(party("A"), 0);
        r.settler = address(0);
        vm.expectRevert(abi.encodeWithSelector(IGateways.ZeroAddress.selector, "settler"));
        registry.register{value: FEE}(r);
        r = registration(party("A"), 0);
        r.sequencerKey = address(0);
        vm.expectRevert(abi.encodeWithSelector(IGateways.ZeroAddress.selector, "sequencerKey"));
        registry.register{value: FEE}(r);
    }

    function test_UnknownGatewaysAreRefused() public {
        vm.expectRevert(abi.encodeWithSelector(IGateways.UnknownGateway.selector, 1));
        registry.gateway(1);
        assertEq(registry.ownerOf(1), address(0));
    }

    /// The storage slot that a view reads.
    function slotOf(bytes memory call) private returns (bytes32) {
        vm.record();
        (bool ok,) = address(registry).staticcall(call);
        assertTrue(ok);
        (bytes32[] memory reads,) = vm.accesses(address(registry));
        return reads[0];
    }
}
