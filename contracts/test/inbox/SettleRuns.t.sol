// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {Party} from "../chain/Deployed.sol";
import {RunningState} from "../chain/Running.sol";
import {Batch, IInbox, Run} from "baton/inbox/IInbox.sol";
import {Outcome, OutcomeLibrary, RunKind} from "baton/types/Outcome.sol";

/// @notice What runs may be: rules [T4], [I5] to [I9], [L3] to [L5].
contract SettleRunsTest is RunningState {
    /// The order of secp256k1.
    uint256 private constant N = 0xfffffffffffffffffffffffffffffffebaaedce6af48a03bbfd25e8cd0364141;

    function assertOutcome(uint256 index, Outcome expected) private view {
        assertEq(Outcome.unwrap(lastRecord.outcomes[index]), Outcome.unwrap(expected), "outcome");
    }

    /// [I6], [I12] The head moves and the record tells all.
    function test_OwnRunMovesTheHead() public {
        mineTo(start + 1);
        (uint64 number, bytes32 link,) = inbox.head();
        Batch memory batch = add(batchOf(a), RunKind.Own, 12);
        settle(a, batch);
        (uint64 newNumber, bytes32 newLink, uint64 last) = inbox.head();
        assertEq(newNumber, number + 12);
        assertEq(newLink, linkOf(batch));
        assertEq(last, slot);
        assertEq(lastRecord.slot, slot);
        assertEq(lastRecord.gateway, a.id);
        assertEq(lastRecord.settler, a.settler);
        assertEq(lastRecord.firstNumber, number + 1);
        assertEq(lastRecord.lastNumber, number + 12);
        assertEq(lastRecord.parentLink, link);
        assertEq(lastRecord.link, newLink);
        assertEq(lastRecord.outcomes.length, 1);
        assertOutcome(0, OutcomeLibrary.uncharged(RunKind.Own, false, a.id, 12));
        assertEq(inbox.recordHash(uint64(slot)), inbox.hashRecord(lastRecord));
        assertNotEq(inbox.recordHash(uint64(slot)), 0);
        assertEq(inbox.recordHash(uint64(slot - 1)), inbox.recordHash(uint64(start - 1)) & 0);
    }

    /// [I6] However late, and over several windows, each a run.
    function test_LateOwnRunsAreFree() public {
        mineTo(start + TURN);
        settle(b, addSigned(batchOf(b), RunKind.Recreated, 6, a.secret));
        mineTo(start + 2 * TURN);
        uint256 before = penaltyOf(a);
        Batch memory batch = batchOf(a);
        add(batch, RunKind.Own, blocksBefore(batch, start + TURN));
        addSigned(batch, RunKind.Recreated, 48, b.secret);
        add(batch, RunKind.Own, 6);
        settle(a, batch);
        assertEq(penaltyOf(a), before, "own blocks are never a fault");
        assertOutcome(0, OutcomeLibrary.uncharged(RunKind.Own, false, a.id, 42));
    }

    /// [T4] Inbox and clock agree to the block.
    function test_NoBlockBeforeItsOwnersSlot() public {
        mineTo(start);
        Batch memory batch = batchOf(a);
        assertEq(inbox.ownerSlot(batch.headNumber + 6), start);
        assertEq(inbox.ownerSlot(batch.headNumber + 7), start + 1);
        settleReverts(
            a,
            add(batch, RunKind.Own, 7),
            abi.encodeWithSelector(IInbox.TooEarly.selector, batch.headNumber + 7, start + 1)
        );
        settle(a, add(batchOf(a), RunKind.Own, 6));
    }

    function test_EmptyBatchesAndRunsAreRefused() public {
        mineTo(start + 1);
        settleReverts(a, batchOf(a), abi.encodeWithSelector(IInbox.EmptyBatch.selector));
        Batch memory batch = add(add(batchOf(a), RunKind.Own, 6), RunKind.Own, 0);
        settleReverts(a, batch, abi.encodeWithSelector(IInbox.EmptyRun.selector, 1));
    }

    function test_RunsCoverTheHashesExactly() public {
        mineTo(start + 1);
        Batch memory batch = add(batchOf(a), RunKind.Own, 6);
        batch.runs[0].blocks = 5;
        settleReverts(a, batch, abi.encodeWithSelector(IInbox.RunsMismatch.selector, 5, 6));
        batch.runs[0].blocks = 7;
        settleReverts(a, batch, abi.encodeWithSelector(IInbox.RunsMismatch.selector, 7, 6));
        batch.runs = new Run[](0);
        settleReverts(a, batch, abi.encodeWithSelector(IInbox.RunsMismatch.selector, 0, 6));
    }

    /// [I5]
    function test_RunsStayWithinAWindow() public {
        dropWindowOfA();
        Batch memory batch = addSigned(batchOf(b), RunKind.Recreated, 49, a.secret);
        settleReverts(b, batch, abi.encodeWithSelector(IInbox.RunCrossesWindow.selector, 0));
        batch = addSigned(batchOf(b), RunKind.Vacant, 49, fallbackSecret);
        settleReverts(b, batch, abi.encodeWithSelector(IInbox.RunCrossesWindow.selector, 0));
        // Own runs as well: A's blocks of its first window and of the next.
        mineTo(start + 2 * TURN);
        batch = add(batchOf(a), RunKind.Own, 49);
        settleReverts(a, batch, abi.encodeWithSelector(IInbox.RunCrossesWindow.selector, 0));
    }

    /// [I6]
    function test_KindAndOwnerMustFit() public {
        dropWindowOfA();
        settleReverts(b, add(batchOf(b), RunKind.Own, 6), abi.encodeWithSelector(IInbox.WrongKind.selector, 0, a.id));
        mineTo(start + 2 * TURN);
        Batch memory batch = addSigned(batchOf(a), RunKind.Recreated, 6, a.secret);
        settleReverts(a, batch, abi.encodeWithSelector(IInbox.WrongKind.selector, 0, a.id));
        batch = addSigned(batchOf(a), RunKind.Vacant, 6, fallbackSecret);
        settleReverts(a, batch, abi.encodeWithSelector(IInbox.WrongKind.selector, 0, a.id));
    }

    /// [I7], [L3] The owner's signature over the last block, and no other's.
    function test_RecreatedNeedsTheOwnersSignature() public {
        dropWindowOfA();
        Batch memory batch = addSigned(batchOf(b), RunKind.Recreated, 6, b.secret);
        settleReverts(b, batch, abi.encodeWithSelector(IInbox.WrongSigner.selector, 0, b.key, a.key));
        batch = add(batchOf(b), RunKind.Recreated, 6);
        settleReverts(b, batch, abi.encodeWithSelector(IInbox.AnchorNotCanonical.selector, 0, 0, 0));
        batch = addSigned(batchOf(b), RunKind.Recreated, 6, a.secret);
        batch.runs[0].v = 0;
        settleReverts(b, batch, abi.encodeWithSelector(IInbox.WrongSigner.selector, 0, address(0), a.key));
        settle(b, addSigned(batchOf(b), RunKind.Recreated, 6, a.secret));
    }

    /// [L3] A hash earlier in the run can't be exchanged: the link before the last block binds it.
    function test_TheSignatureBindsTheWholeRun() public {
        dropWindowOfA();
        Batch memory batch = addSigned(batchOf(b), RunKind.Recreated, 6, a.secret);
        batch.hashes[2] = keccak256("stuffed");
        useBlobs(1);
        vm.expectPartialRevert(IInbox.WrongSigner.selector);
        vm.prank(b.settler, b.settler);
        inbox.settle(batch);
    }

    /// [L5] The other signature of the same key over the same digest.
    function test_HighSIsRefused() public {
        dropWindowOfA();
        Batch memory batch = addSigned(batchOf(b), RunKind.Recreated, 6, a.secret);
        Run memory run = batch.runs[0];
        run.s = bytes32(N - uint256(run.s));
        run.v = run.v == 27 ? 28 : 27;
        settleReverts(b, batch, abi.encodeWithSelector(IInbox.WrongSigner.selector, 0, address(0), a.key));
    }

    /// [L4]
    function test_TheAnchorMustBeCanonical() public {
        dropWindowOfA();
        uint64 number = uint64(block.number - 10);
        bytes32 hash = keccak256("another branch");
        Batch memory batch = addSigned(batchOf(b), RunKind.Recreated, 6, a.secret, number, hash);
        settleReverts(b, batch, abi.encodeWithSelector(IInbox.AnchorNotCanonical.selector, 0, number, hash));
        batch = addSigned(batchOf(b), RunKind.Recreated, 6, a.secret, uint64(block.number + 5), bytes32(0));
        settleReverts(b, batch, abi.encodeWithSelector(IInbox.AnchorNotCanonical.selector, 0, block.number + 5, 0));
    }

    /// [L4] Beyond 256 blocks EIP-2935 answers, as far as it reaches.
    function test_AnchorsReachBackThroughEip2935() public {
        dropWindowOfA();
        uint64 number = uint64(block.number - 60);
        bytes32 hash = blockhash(number);
        // Silence, so that the run isn't stale and the anchor is old: B settles 250 slots on.
        mineTo(start + 249);
        if (registry.gatewayAt(slot) != b.id) mineTo(slot + TURN);
        assertLt(number + 256, block.number);
        Batch memory batch = batchOf(b);
        settle(b, addSigned(batch, RunKind.Recreated, 6, a.secret, number, hash));
        assertEq(lastRecord.outcomes[0].chargedBlocks(), 6);
        batch = addSigned(batchOf(b), RunKind.Recreated, 6, a.secret, number - 300, bytes32(uint256(1)));
        mineTo(slot + 1);
        batch = addSigned(batchOf(b), RunKind.Recreated, 6, a.secret, number - 300, bytes32(uint256(1)));
        settleReverts(b, batch, abi.encodeWithSelector(IInbox.AnchorNotCanonical.selector, 0, number - 300, uint256(1)));
    }

    /// [I8] With the fallback key's signature, or with none at all.
    function test_VacantIsSignedByTheFallbackKeyOrNotAtAll() public {
        dropWindowOfA();
        Batch memory batch = addSigned(batchOf(b), RunKind.Vacant, 6, a.secret);
        settleReverts(b, batch, abi.encodeWithSelector(IInbox.WrongSigner.selector, 0, a.key, fallbackKey));
        settle(b, addSigned(batchOf(b), RunKind.Vacant, 6, fallbackSecret));
        assertTrue(lastRecord.outcomes[0].signed());
        mineTo(slot + 1);
        settle(b, add(batchOf(b), RunKind.Vacant, 6));
        assertFalse(lastRecord.outcomes[0].signed());
        assertEq(lastRecord.outcomes[0].paid(), 6 * BLOCK_PRICE);
        assertEq(lastRecord.outcomes[0].bounty(), 0);
    }

    /// [I6], [I8], [I9] What needs no signature must carry none, in no field.
    function test_NoStraySignatures() public {
        dropWindowOfA();
        for (uint256 field = 0; field < 4; ++field) {
            Batch memory batch = add(batchOf(b), RunKind.Vacant, 6);
            spoil(batch.runs[0], field);
            settleReverts(b, batch, abi.encodeWithSelector(IInbox.UnexpectedSignature.selector, 0));
        }
        mineTo(start + 2 * TURN);
        for (uint256 field = 0; field < 5; ++field) {
            Batch memory batch = add(batchOf(a), RunKind.Own, 6);
            spoil(batch.runs[0], field);
            settleReverts(a, batch, abi.encodeWithSelector(IInbox.UnexpectedSignature.selector, 0));
        }
    }

    function spoil(Run memory run, uint256 field) private pure {
        if (field == 0) run.anchorNumber = 1;
        else if (field == 1) run.anchorHash = bytes32(uint256(1));
        else if (field == 2) run.r = bytes32(uint256(1));
        else if (field == 3) run.s = bytes32(uint256(1));
        else run.v = 27;
    }

    /// [I9] Beyond the horizon blocks are stale, over window borders, and can be nothing else but own.
    function test_StaleRuns() public {
        (uint64 head,,) = inbox.head();
        uint256 firstSlot = inbox.ownerSlot(head + 1);
        mineAt(firstSlot + HORIZON + 2 * TURN);
        assertEq(registry.gatewayAt(slot), a.id);
        // The last block whose owner slot is more than the horizon back, of B's window.
        uint256 stale = 2 * TURN * BLOCKS_PER_SLOT;
        Batch memory batch = add(batchOf(a), RunKind.Stale, stale + 1);
        settleReverts(a, batch, abi.encodeWithSelector(IInbox.NotStale.selector, 0));
        batch = add(batchOf(a), RunKind.Stale, stale);
        spoil(batch.runs[0], 0);
        settleReverts(a, batch, abi.encodeWithSelector(IInbox.UnexpectedSignature.selector, 0));
        // B's window as re-created: too old.
        batch = addSigned(add(batchOf(a), RunKind.Stale, stale / 2), RunKind.Recreated, stale / 2, b.secret);
        settleReverts(a, batch, abi.encodeWithSelector(IInbox.RunStale.selector, 1));
        batch = addSigned(add(batchOf(a), RunKind.Stale, stale / 2), RunKind.Vacant, stale / 2, fallbackSecret);
        settleReverts(a, batch, abi.encodeWithSelector(IInbox.RunStale.selector, 1));
        batch = add(add(batchOf(a), RunKind.Own, stale / 2), RunKind.Stale, stale / 2);
        settle(a, batch);
        assertEq(penaltyOf(b), AMPLE, "stale blocks cost nothing");
        assertOutcome(1, OutcomeLibrary.uncharged(RunKind.Stale, false, 0, uint24(stale / 2)));
        // The next one isn't stale.
        mineTo(slot + TURN);
        batch = addSigned(batchOf(b), RunKind.Recreated, 6, a.secret);
        assertLt(uint256(inbox.ownerSlot(tipOf(batch))) + HORIZON, slot);
        settleReverts(b, batch, abi.encodeWithSelector(IInbox.RunStale.selector, 0));
    }

    /// Nobody's blocks can't be re-created.
    function test_NobodysBlocksAreVacant() public {
        vm.prank(a.owner);
        registry.requestExit(a.id);
        vm.prank(b.owner);
        registry.requestExit(b.id);
        mineTo(start);
        uint256 open = start + EPOCH;
        for (mineTo(open); registry.gatewayAt(open) != 0; mineTo(open)) {
            open += EPOCH;
        }
        Party memory c = register("C", AMPLE, REFUND);
        mineTo(open + 2);
        Batch memory batch = batchOf(c);
        // All of A's and B's is vacant; then nobody's first slot.
        while (inbox.ownerSlot(tipOf(batch) + 1) < open) {
            uint256 end = registry.windowAt(inbox.ownerSlot(tipOf(batch) + 1)).end;
            addSigned(batch, RunKind.Vacant, blocksBefore(batch, end), fallbackSecret);
        }
        uint256 index = batch.runs.length;
        addSigned(batch, RunKind.Recreated, 6, c.secret);
        settleReverts(c, batch, abi.encodeWithSelector(IInbox.NothingToRecreate.selector, index));
        batch.runs[index].kind = RunKind.Own;
        settleReverts(c, batch, abi.encodeWithSelector(IInbox.WrongKind.selector, index, 0));
    }
}
