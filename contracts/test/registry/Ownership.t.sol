// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {DeployedState, Party} from "../chain/Deployed.sol";
import {IGateways} from "baton/registry/IGateways.sol";

/// @notice What owners may do about a gateway: rules [G2] to [G5].
contract OwnershipTest is DeployedState {
    Party private a;
    address private next = makeAddr("next");
    address private stranger = makeAddr("stranger");

    function setUp() public override {
        super.setUp();
        a = register("A", PENALTY, REFUND);
    }

    /// [G4]
    function test_TheSettlerChangesAtOnce() public {
        vm.expectEmit(address(registry));
        emit IGateways.SettlerSet(a.id, next);
        vm.prank(a.owner);
        registry.setSettler(a.id, next);
        assertEq(registry.gateway(a.id).settler, next);
        (, address settler) = registry.settlementContext(slot, a.id);
        assertEq(settler, next);
    }

    function test_SettersAreTheOwners() public {
        bytes memory refusal = abi.encodeWithSelector(IGateways.NotOwner.selector, a.id, stranger);
        vm.startPrank(stranger);
        vm.expectRevert(refusal);
        registry.setSettler(a.id, stranger);
        vm.expectRevert(refusal);
        registry.setSequencerKey(a.id, stranger);
        vm.expectRevert(refusal);
        registry.setUrls(a.id, "", "");
        vm.expectRevert(refusal);
        registry.offerOwnership(a.id, stranger);
        vm.expectRevert(refusal);
        registry.requestExit(a.id);
        vm.expectRevert(abi.encodeWithSelector(IGateways.UnknownGateway.selector, 9));
        registry.setSettler(9, stranger);
        vm.stopPrank();
    }

    function test_NobodyHasNoSettlerAndNoUrls() public {
        vm.startPrank(operator);
        vm.expectRevert(IGateways.NobodyIsNoGateway.selector);
        registry.setSettler(0, next);
        vm.expectRevert(IGateways.NobodyIsNoGateway.selector);
        registry.setUrls(0, "", "");
        vm.expectRevert(IGateways.NobodyIsNoGateway.selector);
        registry.requestExit(0);
        vm.stopPrank();
    }

    function test_ZeroIsRefused() public {
        vm.startPrank(a.owner);
        vm.expectRevert(abi.encodeWithSelector(IGateways.ZeroAddress.selector, "settler"));
        registry.setSettler(a.id, address(0));
        vm.expectRevert(abi.encodeWithSelector(IGateways.ZeroAddress.selector, "key"));
        registry.setSequencerKey(a.id, address(0));
        vm.stopPrank();
    }

    /// [G2]
    function test_UrlsAreToldByEvent() public {
        vm.expectEmit(address(registry));
        emit IGateways.UrlsSet(a.id, "https://x", "wss://y");
        vm.prank(a.owner);
        registry.setUrls(a.id, "https://x", "wss://y");
    }

    /// [G5]
    function test_OwnershipMovesInTwoSteps() public {
        vm.expectEmit(address(registry));
        emit IGateways.OwnershipOffered(a.id, next);
        vm.prank(a.owner);
        registry.offerOwnership(a.id, next);
        assertEq(registry.ownerOf(a.id), a.owner);
        assertEq(registry.gateway(a.id).pendingOwner, next);
        vm.expectRevert(abi.encodeWithSelector(IGateways.NotPendingOwner.selector, a.id, stranger));
        vm.prank(stranger);
        registry.acceptOwnership(a.id);
        vm.expectEmit(address(registry));
        emit IGateways.OwnershipAccepted(a.id, next);
        vm.prank(next);
        registry.acceptOwnership(a.id);
        assertEq(registry.ownerOf(a.id), next);
        assertEq(registry.gateway(a.id).pendingOwner, address(0));
        // Accepted once, not again.
        vm.expectRevert(abi.encodeWithSelector(IGateways.NotPendingOwner.selector, a.id, next));
        vm.prank(next);
        registry.acceptOwnership(a.id);
    }

    /// [G5]
    function test_AnOfferCanBeTakenBack() public {
        vm.startPrank(a.owner);
        registry.offerOwnership(a.id, next);
        registry.offerOwnership(a.id, address(0));
        vm.stopPrank();
        vm.expectRevert(abi.encodeWithSelector(IGateways.NotPendingOwner.selector, a.id, next));
        vm.prank(next);
        registry.acceptOwnership(a.id);
    }
}
