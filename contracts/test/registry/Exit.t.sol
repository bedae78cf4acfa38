// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {DeployedState, Party} from "../chain/Deployed.sol";
import {ICollateral} from "baton/registry/ICollateral.sol";
import {IGateways} from "baton/registry/IGateways.sol";

/// @notice Rules [C7] and [C8]: out in order, and only then.
contract ExitTest is DeployedState {
    Party private a;
    uint256 private withdrawable;

    function setUp() public override {
        super.setUp();
        a = register("A", PENALTY, REFUND);
        mineAt((FIRST_EPOCH + 4) * EPOCH + 7);
        withdrawable = (FIRST_EPOCH + 6) * EPOCH + EXIT_DELAY;
    }

    function requestExit() private {
        vm.prank(a.owner);
        registry.requestExit(a.id);
    }

    function test_RequestUnschedulesFromTwoEpochsLater() public {
        vm.expectEmit(address(registry));
        emit ICollateral.ExitRequested(a.id, withdrawable);
        vm.expectEmit(address(registry));
        emit ICollateral.BecameIneligible(a.id, FIRST_EPOCH + 6);
        requestExit();
        assertFalse(registry.isEligible(a.id));
        mineAt((FIRST_EPOCH + 6) * EPOCH - 1);
        assertEq(registry.gatewayAt((FIRST_EPOCH + 6) * EPOCH - 1), a.id);
        assertEq(registry.gatewayAt((FIRST_EPOCH + 6) * EPOCH), 0);
        assertEq(registry.gateway(a.id).withdrawableSlot, withdrawable);
    }

    function test_AnExitIsFinal() public {
        requestExit();
        vm.expectRevert(abi.encodeWithSelector(ICollateral.AlreadyExiting.selector, a.id));
        requestExit();
    }

    function test_CollateralIsFreeAfterTheDelay() public {
        requestExit();
        mineAt(withdrawable - 1);
        vm.expectRevert(abi.encodeWithSelector(ICollateral.NotWithdrawableBefore.selector, withdrawable));
        registry.withdrawCollateral(a.id);
        mineAt(withdrawable);
        vm.expectEmit(address(registry));
        emit ICollateral.CollateralWithdrawn(a.id, a.owner, PENALTY, REFUND);
        registry.withdrawCollateral(a.id);
        assertEq(registry.creditOf(a.owner), PENALTY + REFUND);
        assertEq(registry.tranches(a.id).penalty, 0);
        assertEq(registry.tranches(a.id).refund, 0);
        // Once more gives nothing more.
        registry.withdrawCollateral(a.id);
        assertEq(registry.creditOf(a.owner), PENALTY + REFUND);
    }

    function test_WithoutARequestNothingIsFree() public {
        mineAt(withdrawable);
        vm.expectRevert(abi.encodeWithSelector(ICollateral.NotExiting.selector, a.id));
        registry.withdrawCollateral(a.id);
        vm.expectRevert(IGateways.NobodyIsNoGateway.selector);
        registry.withdrawCollateral(0);
        vm.expectRevert(abi.encodeWithSelector(IGateways.UnknownGateway.selector, 7));
        registry.withdrawCollateral(7);
    }

    /// Money in exit stays chargeable, and a charge doesn't prolong it.
    function test_ExitingMoneyIsChargeable() public {
        requestExit();
        vm.prank(address(inbox));
        assertEq(registry.charge(a.id, 3 ether), 3 ether);
        mineAt(withdrawable);
        registry.withdrawCollateral(a.id);
        assertEq(registry.creditOf(a.owner), PENALTY + REFUND - 3 ether);
        vm.prank(address(inbox));
        assertEq(registry.charge(a.id, 3 ether), 0, "nothing is left to charge");
    }

    /// A deposit after the withdrawal isn't lost.
    function test_LateDepositsCanBeWithdrawn() public {
        requestExit();
        mineAt(withdrawable);
        registry.withdrawCollateral(a.id);
        deposit(a.id, 5, 7);
        registry.withdrawCollateral(a.id);
        assertEq(registry.creditOf(a.owner), PENALTY + REFUND + 12);
    }

    function test_CreditIsPulled() public {
        requestExit();
        mineAt(withdrawable);
        registry.withdrawCollateral(a.id);
        address payable to = payable(makeAddr("cold wallet"));
        vm.expectEmit(address(registry));
        emit ICollateral.CreditWithdrawn(a.owner, to, PENALTY + REFUND);
        vm.prank(a.owner);
        registry.withdrawCredit(to);
        assertEq(to.balance, PENALTY + REFUND);
        assertEq(registry.creditOf(a.owner), 0);
        assertEq(address(registry).balance, FEE);
        vm.expectRevert(abi.encodeWithSelector(ICollateral.NoCredit.selector, a.owner));
        vm.prank(a.owner);
        registry.withdrawCredit(to);
    }

    function test_CreditIsNotPaidToZeroNorToARefuser() public {
        requestExit();
        mineAt(withdrawable);
        registry.withdrawCollateral(a.id);
        vm.startPrank(a.owner);
        vm.expectRevert(abi.encodeWithSelector(IGateways.ZeroAddress.selector, "to"));
        registry.withdrawCredit(payable(address(0)));
        vm.expectRevert(abi.encodeWithSelector(ICollateral.PaymentRefused.selector, address(inbox)));
        registry.withdrawCredit(payable(address(inbox)));
        vm.stopPrank();
        assertEq(registry.creditOf(a.owner), PENALTY + REFUND, "the credit stays");
    }

    /// A payee that calls back gets nothing twice.
    function test_ReentryIntoCreditGainsNothing() public {
        vm.prank(a.owner);
        registry.offerOwnership(a.id, address(this));
        registry.acceptOwnership(a.id);
        registry.requestExit(a.id);
        deposit(register("B", PENALTY, REFUND).id, 1 ether, 0);
        mineAt(withdrawable);
        registry.withdrawCollateral(a.id);
        uint256 before = address(this).balance;
        registry.withdrawCredit(payable(address(this)));
        assertTrue(reentered);
        assertEq(address(this).balance - before, PENALTY + REFUND);
    }

    bool private reentered;

    receive() external payable {
        reentered = true;
        vm.expectRevert(abi.encodeWithSelector(ICollateral.NoCredit.selector, address(this)));
        registry.withdrawCredit(payable(address(this)));
        registry.withdrawCollateral(a.id);
        assertEq(registry.creditOf(address(this)), 0);
    }
}
