// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {RunningState} from "../chain/Running.sol";
import {Batch} from "baton/inbox/IInbox.sol";
import {Outcome, RunKind} from "baton/types/Outcome.sol";

contract SettleTest is RunningState {
    function test_OwnRun() public {
        mineTo(start + 1);
        settleOwn(a);
        assertEq(inbox.ownerSlot(headNumber()), start + 1);
        assertEq(lastRecord.outcomes.length, 1);
    }

    function test_Recreated() public {
        dropWindowOfA();
        Batch memory batch = batchOf(b);
        addSigned(batch, RunKind.Recreated, blocksBefore(batch, start + TURN), a.secret);
        add(batch, RunKind.Own, 6);
        settle(b, batch);
        Outcome outcome = lastRecord.outcomes[0];
        // Slots start .. start + 7 are live; the third-last live one is start + 5: six slots of blocks are liable.
        assertEq(outcome.chargedBlocks(), 36);
        assertEq(outcome.paid(), 36 * BLOCK_PRICE);
        assertEq(outcome.bounty(), 18 * BLOCK_PRICE);
        assertEq(penaltyOf(a), AMPLE - 36 * BLOCK_PRICE);
    }
}
