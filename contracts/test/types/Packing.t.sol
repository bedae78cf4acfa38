// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {HeadState, HeadStateLibrary} from "baton/types/HeadState.sol";
import {Outcome, OutcomeLibrary, RunKind} from "baton/types/Outcome.sol";
import {Test} from "forge-std/Test.sol";

contract PackingTest is Test {
    function pack(uint256 number, uint256 slot) external pure returns (HeadState) {
        return HeadStateLibrary.pack(number, slot, 0, 0, 0, address(0));
    }

    function testFuzz_HeadStateReadsWhatWasPacked(
        uint40 number,
        uint32 slot,
        uint256 baton,
        uint8 flags,
        uint256 windowLast,
        address batcher
    ) public pure {
        HeadState state = HeadStateLibrary.pack(number, slot, baton, flags, windowLast, batcher);
        assertEq(state.number(), number);
        assertEq(state.slot(), slot);
        assertEq(state.baton(), uint16(baton));
        assertEq(state.flags(), flags % 8);
        assertEq(state.windowLast(), windowLast % 32);
        assertEq(state.batcher(), batcher);
        assertEq(state.holder(), flags & HeadStateLibrary.BATON_FRESH == 0 ? uint16(baton) : 0);
        HeadState forgotten = state.withoutHolder();
        assertEq(forgotten.holder(), 0);
        assertEq(forgotten.number(), number);
        assertEq(forgotten.slot(), slot);
        assertEq(forgotten.flags(), flags % 8);
        assertEq(forgotten.windowLast(), windowLast % 32);
        assertEq(forgotten.batcher(), batcher);
    }

    function test_HeadStateRefusesWhatDoesntFit() public {
        vm.expectRevert(abi.encodeWithSelector(HeadStateLibrary.HeadOutOfRange.selector, uint256(1) << 40, 0));
        this.pack(uint256(1) << 40, 0);
        vm.expectRevert(abi.encodeWithSelector(HeadStateLibrary.HeadOutOfRange.selector, 0, uint256(1) << 32));
        this.pack(0, uint256(1) << 32);
    }

    function testFuzz_OutcomeReadsWhatWasPacked(
        uint8 kind,
        bool signed,
        uint16 owner,
        uint24 blocks,
        uint24 charged,
        uint80 paid,
        uint80 bounty
    ) public pure {
        RunKind runKind = RunKind(kind % 4);
        Outcome outcome = OutcomeLibrary.uncharged(runKind, signed, owner, blocks).withCharge(charged, paid, bounty);
        assertEq(uint8(outcome.kind()), uint8(runKind));
        assertEq(outcome.signed(), signed);
        assertEq(outcome.owner(), owner);
        assertEq(outcome.blocks(), blocks);
        assertEq(outcome.chargedBlocks(), charged);
        assertEq(outcome.paid(), paid);
        assertEq(outcome.bounty(), bounty);
    }
}
