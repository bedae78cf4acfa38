// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {DeployedState, Party} from "../chain/Deployed.sol";
import {IGateways} from "baton/registry/IGateways.sol";

/// @notice Rules [G3] and [T6].
contract SetSequencerKeyTest is DeployedState {
    Party private a;
    address private k1 = makeAddr("k1");
    address private k2 = makeAddr("k2");
    address private k3 = makeAddr("k3");
    uint256 private constant HORIZON_EPOCHS = (HORIZON + EPOCH - 1) / EPOCH;

    function setUp() public override {
        super.setUp();
        a = register("A", PENALTY, REFUND);
        mineAt((FIRST_EPOCH + 5) * EPOCH + 3);
    }

    function set(address key) private {
        vm.prank(a.owner);
        registry.setSequencerKey(a.id, key);
    }

    function test_CountsTwoEpochsLater() public {
        vm.expectEmit(address(registry));
        emit IGateways.SequencerKeySet(a.id, k1, FIRST_EPOCH + 7);
        set(k1);
        assertEq(registry.sequencerKeyAt(a.id, FIRST_EPOCH + 6), a.key);
        assertEq(registry.sequencerKeyAt(a.id, FIRST_EPOCH + 7), k1);
        assertEq(registry.gateway(a.id).sequencerKey, k1);
        assertEq(registry.gateway(a.id).previousKey, a.key);
    }

    function test_BeforeTheFirstKeyThereIsNone() public view {
        assertEq(registry.sequencerKeyAt(a.id, FIRST_EPOCH + 1), address(0));
        assertEq(registry.sequencerKeyAt(a.id, FIRST_EPOCH + 2), a.key);
    }

    /// The key that is forgotten can have signed nothing that still counts: its last block is stale by then.
    function test_AtMostOncePerHorizon() public {
        set(k1);
        uint256 changeable = FIRST_EPOCH + 7 + HORIZON_EPOCHS;
        mineAt(changeable * EPOCH - 1);
        vm.expectRevert(abi.encodeWithSelector(IGateways.KeyChangeTooSoon.selector, changeable));
        set(k2);
        mineAt(changeable * EPOCH);
        // The last slot in which the oldest key counted is more than the horizon back.
        assertGt(slot, (FIRST_EPOCH + 7) * EPOCH - 1 + HORIZON);
        set(k2);
        assertEq(registry.sequencerKeyAt(a.id, changeable + 1), k1);
        assertEq(registry.sequencerKeyAt(a.id, changeable + 2), k2);
        vm.expectRevert(abi.encodeWithSelector(IGateways.KeyChangeTooSoon.selector, changeable + 2 + HORIZON_EPOCHS));
        set(k3);
    }

    /// [G1] The fallback key changes under the same rules.
    function test_TheFallbackKeyChanges() public {
        vm.startPrank(operator);
        registry.setSequencerKey(0, k1);
        assertEq(registry.sequencerKeyAt(0, FIRST_EPOCH + 6), fallbackKey);
        assertEq(registry.sequencerKeyAt(0, FIRST_EPOCH + 7), k1);
        vm.expectRevert(abi.encodeWithSelector(IGateways.KeyChangeTooSoon.selector, FIRST_EPOCH + 7 + HORIZON_EPOCHS));
        registry.setSequencerKey(0, k2);
        vm.stopPrank();
    }
}
