// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {Party} from "../chain/Deployed.sol";
import {ProvenState} from "../inbox/SettleProven.t.sol";
import {Batch} from "baton/inbox/IInbox.sol";
import {RunKind} from "baton/types/Outcome.sol";

/// @notice Gas of settlements over proven windows, measured as in Gas.t.sol.
abstract contract ProvenGasState is ProvenState {
    /// Writes into the places of the ring that the slots to come will use, as 16,384 slots of service would have.
    function fillRing() internal {
        for (uint256 s = slot; s < slot + EPOCH; ++s) {
            vm.record();
            inbox.recordHash(uint64(s));
            (bytes32[] memory reads,) = vm.accesses(address(inbox));
            vm.store(address(inbox), reads[0], bytes32(uint256(1)));
        }
    }

    function measure(Party memory p, Batch memory batch, string memory name) internal {
        useBlobs(1);
        vm.cool(address(inbox));
        vm.cool(address(registry));
        vm.cool(BEACON_ROOTS);
        assertEq(p.settler.code.length, 0);
        vm.prank(p.settler, p.settler);
        inbox.settle(batch);
        vm.snapshotGasLastCall("settle", name);
    }
}

/// @notice B settles first in its window, after somebody took the baton for it.
contract ProvenFirstGasTest is ProvenGasState {
    function setUp() public override {
        super.setUp();
        mineTo(start + 8);
        settleOwn(a);
        mineTo(start + 9);
        settleOwn(a);
        mineTo(start + 10);
        inbox.takeBaton();
        mineTo(start + 11);
        fillRing();
    }

    function test_Own12() public {
        measure(b, add(batchOf(b), RunKind.Own, 12), "12 own blocks, first settlement of a proven window");
    }
}

/// @notice B's first settlement in its window; A dropped its own.
contract ProvenRecreatedGasTest is ProvenGasState {
    function setUp() public override {
        super.setUp();
        mineTo(start + 11);
        fillRing();
    }

    function test_Recreated12() public {
        measure(
            b,
            addSigned(batchOf(b), RunKind.Recreated, 12, a.secret),
            "12 re-created blocks of a proven window, first of a backlogged one"
        );
    }
}
