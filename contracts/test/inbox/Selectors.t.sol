// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {Test} from "forge-std/Test.sol";

/// @notice Rule [R1]: stock derivation reads calldata that begins with 0x00 as raw frames, and 0x01 is kept for what may follow, so no
/// function of the batch inbox may have such a selector.
contract SelectorsTest is Test {
    function test_NoSelectorLooksLikeFrames() public view {
        string memory artifact = vm.readFile("out/Inbox.sol/Inbox.json");
        string[] memory functions = vm.parseJsonKeys(artifact, ".methodIdentifiers");
        assertGt(functions.length, 10);
        for (uint256 i = 0; i < functions.length; ++i) {
            bytes4 selector = bytes4(keccak256(bytes(functions[i])));
            assertGt(uint8(selector[0]), 1, functions[i]);
        }
    }
}
