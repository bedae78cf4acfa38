// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {DeployedState, Party} from "../chain/Deployed.sol";
import {ILookahead, Kind, Window} from "baton/lookahead/ILookahead.sol";
import {RegistryParameters} from "baton/registry/IRegistry.sol";

/// @notice Rules [S1], [S3], [S4], [T5], [T6] on a chain without proposers to prove, against a reference that keeps the eligible list of every
/// epoch.
contract LookaheadTest is DeployedState {
    Party[] private parties;
    /// What the eligible list was at the end of an epoch.
    mapping(uint256 epoch => uint16[]) private listAt;

    function registryParameters() internal view override returns (RegistryParameters memory) {
        return bareParameters();
    }

    function test_AnEmptySetLeavesSlotsOpen() public view {
        Window memory window = registry.windowAt(slot + 5);
        assertEq(window.gateway, 0);
        assertEq(uint8(window.kind), uint8(Kind.Open));
        assertEq(window.first, FIRST_EPOCH * EPOCH);
        assertEq(window.end, (FIRST_EPOCH + 1) * EPOCH);
    }

    function test_OneGatewayHasTheWholeEpoch() public {
        register("A", PENALTY, REFUND);
        mineAt((FIRST_EPOCH + 2) * EPOCH);
        Window memory window = registry.windowAt(slot + 9);
        assertEq(window.gateway, 1);
        assertEq(uint8(window.kind), uint8(Kind.Fallback));
        assertEq(window.first, slot);
        assertEq(window.end, slot + EPOCH);
    }

    function test_TwoGatewaysTakeTurns() public {
        register("A", PENALTY, REFUND);
        register("B", PENALTY, REFUND);
        mineAt((FIRST_EPOCH + 2) * EPOCH);
        for (uint256 i = 0; i < EPOCH; ++i) {
            assertEq(registry.gatewayAt(slot + i), i / TURN % 2 == 0 ? 1 : 2);
        }
    }

    function test_ANewGatewayCountsTwoEpochsLater() public {
        mineAt((FIRST_EPOCH + 1) * EPOCH - 1);
        register("A", PENALTY, REFUND);
        assertEq(registry.gatewayAt((FIRST_EPOCH + 1) * EPOCH), 0);
        mineAt((FIRST_EPOCH + 1) * EPOCH);
        assertEq(registry.gatewayAt((FIRST_EPOCH + 2) * EPOCH - 1), 0);
        assertEq(registry.gatewayAt((FIRST_EPOCH + 2) * EPOCH), 1);
    }

    function test_BeyondTheNextEpochNothingIsFixed() public {
        uint256 epoch = FIRST_EPOCH + 2;
        bytes memory refusal = abi.encodeWithSelector(ILookahead.EpochNotFixed.selector, epoch, FIRST_EPOCH + 1);
        registry.gatewayAt(epoch * EPOCH - 1);
        vm.expectRevert(refusal);
        registry.gatewayAt(epoch * EPOCH);
        vm.expectRevert(refusal);
        registry.windowAt(epoch * EPOCH);
        vm.expectRevert(refusal);
        registry.scheduleOf(epoch);
        vm.expectRevert(refusal);
        registry.settlementContext(epoch * EPOCH, 0);
    }

    /// Random joining and leaving over twelve epochs; then each slot of each epoch is asked for, at once and again at the end, and must be
    /// the reference's both times.
    function testFuzz_AgreesWithReference(uint256 seed) public {
        uint256 lastEpoch = FIRST_EPOCH + 12;
        uint16[] storage list = listAt[0];
        for (uint256 epoch = FIRST_EPOCH; epoch <= lastEpoch; ++epoch) {
            uint256 random = uint256(keccak256(abi.encode(seed, epoch)));
            for (uint256 change = 0; change < random % 4; ++change) {
                uint256 choice = uint256(keccak256(abi.encode(random, change)));
                if (list.length == 0 || choice % 3 != 0) {
                    Party memory p = register(vm.toString(parties.length), PENALTY, REFUND);
                    parties.push(p);
                    list.push(p.id);
                } else {
                    uint256 place = (choice >> 8) % list.length;
                    vm.prank(parties[list[place] - 1].owner);
                    registry.requestExit(list[place]);
                    list[place] = list[list.length - 1];
                    list.pop();
                }
            }
            assertEq(abi.encode(registry.eligibleGateways()), abi.encode(list));
            listAt[epoch] = list;
            checkEpoch(epoch + 1);
            if (epoch != lastEpoch) mineAt((epoch + 1) * EPOCH + random % EPOCH);
        }
        for (uint256 epoch = FIRST_EPOCH; epoch <= lastEpoch + 1; ++epoch) {
            checkEpoch(epoch);
        }
    }

    function checkEpoch(uint256 epoch) private view {
        uint16[] memory list = epoch < FIRST_EPOCH + 2 ? new uint16[](0) : listAt[epoch - 2];
        (uint16[32] memory ids, Kind[32] memory kinds) = registry.scheduleOf(epoch);
        for (uint256 i = 0; i < EPOCH; ++i) {
            uint256 s = epoch * EPOCH + i;
            uint16 expected = list.length == 0 ? 0 : list[(s / TURN) % list.length];
            assertEq(registry.gatewayAt(s), expected, "gatewayAt");
            assertEq(ids[i], expected, "scheduleOf");
            assertEq(uint8(kinds[i]), uint8(list.length == 0 ? Kind.Open : Kind.Fallback), "kind");
            Window memory window = registry.windowAt(s);
            assertEq(window.gateway, expected, "windowAt");
            assertLe(window.first, s);
            assertGt(window.end, s);
            // All slots of a window are its gateway's, and its neighbours within the epoch are not.
            assertEq(ids[window.first - epoch * EPOCH], expected);
            assertEq(ids[window.end - 1 - epoch * EPOCH], expected);
            if (window.first % EPOCH != 0) assertNotEq(ids[window.first - 1 - epoch * EPOCH], expected);
            if (window.end % EPOCH != 0) assertNotEq(ids[window.end - epoch * EPOCH], expected);
        }
    }
}
