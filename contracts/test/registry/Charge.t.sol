// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {DeployedState, Party} from "../chain/Deployed.sol";
import {ICollateral} from "baton/registry/ICollateral.sol";
import {IGateways} from "baton/registry/IGateways.sol";

/// @notice Rules [C2], [C4], [C5], [C6] and the bound on shares.
contract ChargeTest is DeployedState {
    Party private a;
    Party private b;
    Party private c;
    address private poster = makeAddr("poster");

    function setUp() public override {
        super.setUp();
        a = register("A", PENALTY + 1 ether, REFUND);
        b = register("B", PENALTY + 1 ether, REFUND);
        c = register("C", PENALTY + 1 ether, REFUND);
    }

    function charge(uint16 id, uint256 due) private returns (uint256) {
        vm.prank(address(inbox));
        return registry.charge(id, due);
    }

    /// [C4] No owner, operator or timelock can.
    function test_OnlyTheInboxCharges() public {
        address[4] memory others = [address(this), operator, timelock, a.owner];
        for (uint256 i = 0; i < others.length; ++i) {
            vm.startPrank(others[i]);
            vm.expectRevert(abi.encodeWithSelector(ICollateral.NotProtocol.selector, others[i]));
            registry.charge(a.id, 1);
            vm.expectRevert(abi.encodeWithSelector(ICollateral.NotProtocol.selector, others[i]));
            registry.payBounty(a.id, others[i], 0);
            vm.stopPrank();
        }
    }

    function test_TakesFromThePenaltyTrancheOnly() public {
        vm.expectEmit(address(registry));
        emit ICollateral.Charged(a.id, 1 ether, 1 ether);
        assertEq(charge(a.id, 1 ether), 1 ether);
        assertEq(registry.tranches(a.id).penalty, PENALTY);
        assertEq(registry.tranches(a.id).refund, REFUND);
        assertEq(registry.tranches(a.id).charged, 1 ether);
        assertTrue(registry.isEligible(a.id), "at the threshold it stays");
    }

    /// [C2] In the same transaction.
    function test_BelowTheThresholdEligibilityGoes() public {
        vm.expectEmit(address(registry));
        emit ICollateral.BecameIneligible(a.id, FIRST_EPOCH + 2);
        charge(a.id, 1 ether + 1);
        assertFalse(registry.isEligible(a.id));
        assertEq(registry.gateway(a.id).endedSlot, 0);
        // The last takes the place of the one that left.
        uint16[] memory ids = registry.eligibleGateways();
        assertEq(ids.length, 2);
        assertEq(ids[0], c.id);
        assertEq(ids[1], b.id);
        // And can leave itself from there.
        charge(c.id, 1 ether + 1);
        ids = registry.eligibleGateways();
        assertEq(ids.length, 1);
        assertEq(ids[0], b.id);
        deposit(a.id, 1, 0);
        ids = registry.eligibleGateways();
        assertEq(ids.length, 2);
        assertEq(ids[1], a.id);
    }

    /// [C5]
    function test_TakesNoMoreThanThereIs() public {
        vm.expectEmit(address(registry));
        emit ICollateral.Charged(a.id, 1000 ether, PENALTY + 1 ether);
        assertEq(charge(a.id, 1000 ether), PENALTY + 1 ether);
        assertEq(registry.tranches(a.id).penalty, 0);
        assertEq(registry.tranches(a.id).refund, REFUND);
        assertEq(charge(a.id, 1), 0);
    }

    /// [C6]
    function test_BelowALargeFaultTheGatewayEnds() public {
        uint256 spare = PENALTY + 1 ether - LARGE_FAULT;
        charge(a.id, spare);
        assertEq(registry.gateway(a.id).endedSlot, 0, "it can still pay one");
        vm.expectEmit(address(registry));
        emit IGateways.GatewayEnded(a.id, slot);
        charge(a.id, 1);
        assertEq(registry.gateway(a.id).endedSlot, slot);
    }

    /// [C6] The first end stands.
    function test_EndsOnce() public {
        charge(a.id, PENALTY);
        uint256 ended = slot;
        mineAt(slot + 5);
        charge(a.id, 1);
        assertEq(registry.gateway(a.id).endedSlot, ended);
    }

    function test_SharesAreAtMostHalf() public {
        charge(a.id, 1 ether);
        vm.startPrank(address(inbox));
        vm.expectEmit(address(registry));
        emit ICollateral.BountyPaid(a.id, poster, 0.3 ether);
        registry.payBounty(a.id, poster, 0.3 ether);
        vm.expectRevert(abi.encodeWithSelector(ICollateral.BountyExceedsCharges.selector, a.id));
        registry.payBounty(a.id, poster, 0.2 ether + 1);
        registry.payBounty(a.id, poster, 0.2 ether);
        vm.stopPrank();
        assertEq(registry.creditOf(poster), 0.5 ether);
        vm.prank(poster);
        registry.withdrawCredit(payable(poster));
        assertEq(poster.balance, 0.5 ether);
    }

    /// The bound is each gateway's own.
    function test_OneGatewaysChargesDontPayAnothersShares() public {
        charge(a.id, 1 ether);
        vm.prank(address(inbox));
        vm.expectRevert(abi.encodeWithSelector(ICollateral.BountyExceedsCharges.selector, b.id));
        registry.payBounty(b.id, poster, 1);
    }
}
