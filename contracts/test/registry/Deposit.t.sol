// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {DeployedState, Party} from "../chain/Deployed.sol";
import {ICollateral} from "baton/registry/ICollateral.sol";
import {IGateways} from "baton/registry/IGateways.sol";
import {AccountLibrary} from "baton/types/Account.sol";

/// @notice Rules [C1] and [C2].
contract DepositTest is DeployedState {
    Party private a;

    function setUp() public override {
        super.setUp();
        a = register("A", PENALTY - 1, REFUND);
        deal(address(this), 100 ether);
        deal(a.owner, 100 ether);
    }

    function test_AnyoneMayAddToEither() public {
        vm.expectEmit(address(registry));
        emit ICollateral.Deposited(a.id, 2, 3);
        registry.deposit{value: 5}(a.id, 2);
        assertEq(registry.tranches(a.id).penalty, PENALTY + 1);
        assertEq(registry.tranches(a.id).refund, REFUND + 3);
        assertEq(registry.tranches(a.id).charged, 0);
    }

    function test_ToppingUpGivesEligibility() public {
        assertFalse(registry.isEligible(a.id));
        vm.expectEmit(address(registry));
        emit ICollateral.BecameEligible(a.id, FIRST_EPOCH + 2);
        vm.prank(a.owner);
        registry.deposit{value: 1}(a.id, 1);
        assertTrue(registry.isEligible(a.id));
        uint16[] memory ids = registry.eligibleGateways();
        assertEq(ids.length, 1);
        assertEq(ids[0], a.id);
    }

    function test_BothTranchesMustReachTheirThresholds() public {
        Party memory b = register("B", PENALTY, REFUND - 1);
        assertFalse(registry.isEligible(b.id));
        deal(b.owner, 2 ether);
        vm.startPrank(b.owner);
        registry.deposit{value: 1 ether}(b.id, 1 ether);
        assertFalse(registry.isEligible(b.id));
        registry.deposit{value: 1}(b.id, 0);
        assertTrue(registry.isEligible(b.id));
    }

    /// [C2] A stranger's wei puts nobody on the schedule: a gateway that isn't ready would miss its slots and pay for them. The money
    /// is in, and the owner joins with it when it likes.
    function test_AStrangersMoneySchedulesNobody() public {
        registry.deposit{value: 1}(a.id, 1);
        assertEq(registry.tranches(a.id).penalty, PENALTY);
        assertFalse(registry.isEligible(a.id));
        vm.prank(a.owner);
        registry.deposit(a.id, 0);
        assertTrue(registry.isEligible(a.id));
    }

    function test_NotToNobodyNorToUnknowns() public {
        vm.expectRevert(IGateways.NobodyIsNoGateway.selector);
        registry.deposit{value: 1}(0, 1);
        vm.expectRevert(abi.encodeWithSelector(IGateways.UnknownGateway.selector, 2));
        registry.deposit{value: 1}(2, 1);
    }

    function test_ThePenaltyPartIsOfTheValue() public {
        vm.expectRevert(abi.encodeWithSelector(ICollateral.PenaltyExceedsValue.selector, 2, 1));
        registry.deposit{value: 1}(a.id, 2);
    }

    /// What doesn't fit a tranche is refused rather than cut off.
    function test_TranchesDontOverflow() public {
        uint256 tooMuch = uint256(type(uint80).max) - PENALTY + 2;
        deal(address(this), tooMuch);
        vm.expectRevert(
            abi.encodeWithSelector(AccountLibrary.AmountOutOfRange.selector, uint256(type(uint80).max) + 1, REFUND, 0)
        );
        registry.deposit{value: tooMuch}(a.id, tooMuch);
    }

    /// An exiting gateway takes money but never becomes eligible again [C7].
    function test_AnExitingGatewayStaysOut() public {
        vm.prank(a.owner);
        registry.requestExit(a.id);
        registry.deposit{value: 1 ether}(a.id, 1 ether);
        assertFalse(registry.isEligible(a.id));
    }

    /// Nor does an ended one [C6].
    function test_AnEndedGatewayStaysOut() public {
        vm.prank(address(inbox));
        registry.charge(a.id, PENALTY);
        registry.deposit{value: 20 ether}(a.id, 20 ether);
        assertFalse(registry.isEligible(a.id));
        assertEq(registry.gateway(a.id).endedSlot, slot);
    }
}
