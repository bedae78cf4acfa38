// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {Batches} from "./Batches.sol";
import {Party} from "./Deployed.sol";
import {RunKind} from "baton/types/Outcome.sol";

/// @notice State: gateways A and B take turns, A first; all blocks before their first epoch are settled. The newest block is in
/// the last slot before A's window.
abstract contract RunningState is Batches {
    /// More than the threshold, so that one window's charges don't take eligibility.
    uint256 internal constant AMPLE = PENALTY + 2 ether;

    Party internal a;
    Party internal b;
    /// The first slot of A's first window.
    uint256 internal start;

    function setUp() public virtual override {
        super.setUp();
        a = register("A", AMPLE, REFUND);
        b = register("B", AMPLE, REFUND);
        start = (FIRST_EPOCH + 2) * EPOCH;
        mineTo(start - 1);
        settle(a, addVacantBefore(batchOf(a), start));
    }

    /// A settles all its blocks that are due.
    function settleOwn(Party memory p) internal {
        settle(p, add(batchOf(p), RunKind.Own, blocksBefore(batchOf(p), slot + 1)));
    }

    /// A leaves its first window's blocks unsettled; the next block is in B's first slot.
    function dropWindowOfA() internal {
        mineTo(start + TURN);
    }
}
