// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {Links} from "baton/types/Link.sol";
import {Test} from "forge-std/Test.sol";

contract LinksTest is Test {
    function extend(bytes32 link, bytes32[] calldata hashes, uint256 from, uint256 to)
        external
        pure
        returns (bytes32 parent, bytes32 tip)
    {
        return Links.extend(link, hashes, from, to);
    }

    /// Rule [L1], spelled out.
    function testFuzz_AgreesWithTheRule(bytes32 link, bytes32[] calldata hashes, uint256 from, uint256 to) public view {
        vm.assume(hashes.length != 0);
        from = bound(from, 0, hashes.length - 1);
        to = bound(to, from + 1, hashes.length);
        bytes32 parent;
        bytes32 tip = link;
        for (uint256 i = from; i < to; ++i) {
            parent = tip;
            tip = keccak256(bytes.concat(tip, hashes[i]));
        }
        (bytes32 gotParent, bytes32 gotTip) = this.extend(link, hashes, from, to);
        assertEq(gotParent, parent);
        assertEq(gotTip, tip);
    }
}
