// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {Checkpoints} from "@openzeppelin/contracts/utils/structs/Checkpoints.sol";
import {EpochHistory, EpochHistoryLibrary} from "baton/types/EpochHistory.sol";
import {Test} from "forge-std/Test.sol";

/// @notice {EpochHistory} against OpenZeppelin's checkpoints, which do the same with a word for each.
contract EpochHistoryTest is Test {
    using Checkpoints for Checkpoints.Trace224;

    EpochHistory private history;
    Checkpoints.Trace224 private oracle;

    function set(uint256 epoch, uint16 value) external {
        history.set(epoch, value);
    }

    function test_EmptyIsZero() public view {
        assertEq(history.valueAt(0), 0);
        assertEq(history.valueAt(type(uint256).max), 0);
        assertEq(history.latest(), 0);
    }

    /// Every epoch around every checkpoint answers like the oracle, however many words there are.
    function testFuzz_AgreesWithOracle(uint256 seed, uint256 length) public {
        length = bound(length, 0, 40);
        uint32 epoch = uint32(bound(seed, 1, 1000));
        uint32 first = epoch;
        for (uint256 i = 0; i < length; ++i) {
            uint256 random = uint256(keccak256(abi.encode(seed, i)));
            // One in four sets the same epoch again.
            epoch += uint32(random % 4);
            uint16 value = uint16(random >> 32);
            history.set(epoch, value);
            oracle.push(epoch, value);
            assertEq(history.latest(), oracle.latest());
        }
        for (uint32 asked = first - 1; asked <= epoch + 1; ++asked) {
            assertEq(history.valueAt(asked), oracle.upperLookupRecent(asked), "value");
        }
        assertEq(history.valueAt(type(uint32).max), oracle.latest());
    }

    function test_EpochsMustNotFall() public {
        history.set(5, 1);
        vm.expectRevert(abi.encodeWithSelector(EpochHistoryLibrary.EpochOutOfOrder.selector, 4, 5));
        this.set(4, 2);
        history.set(5, 3);
        assertEq(history.valueAt(5), 3);
        assertEq(history.valueAt(4), 0);
    }

    function test_EpochZeroAndBeyond32BitsAreRefused() public {
        vm.expectRevert(abi.encodeWithSelector(EpochHistoryLibrary.EpochOutOfOrder.selector, 0, 0));
        this.set(0, 2);
        uint256 beyond = uint256(type(uint32).max) + 1;
        vm.expectRevert(abi.encodeWithSelector(EpochHistoryLibrary.EpochOutOfOrder.selector, beyond, 0));
        this.set(beyond, 2);
    }
}
