// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {Party} from "./chain/Deployed.sol";
import {RunningState} from "./chain/Running.sol";
import {Batch, IInbox} from "baton/inbox/IInbox.sol";
import {Window} from "baton/lookahead/ILookahead.sol";
import {Outcome, RunKind} from "baton/types/Outcome.sol";

/// @notice Stories that span rules, as far as the contracts tell them.
///
/// | story | test |
/// |---|---|
/// | A's block times out and the fallback's is adopted; A signs on and is at no fault | test_AnAdoptedFallbackBlockIsNoFault |
/// | eligibility changes at the last moment of an epoch; owners of blocks being built don't change | test_LateChangesDontMoveOwners |
/// | publication one slot after the deadline, or reorged across it: owners unchanged, the honest pay nothing | PublishTest.test_PublicationEndsAtTheDeadline, SettleProvenTest.test_APublicationReorgedAcrossTheDeadlineHurtsNobody |
/// | a reverted batch of future blocks reaches derivation; successors adopt and settle them and lose nothing | test_AdoptedFutureBlocksCostNobody |
/// | B never rotates; anyone takes the baton for it | test_AnyoneRotatesForAHolderThatDoesnt |
/// | two settlers in a slot; a delegated account; a moved head or another branch: revert | test_OnlyOneSettlementLands, test_ASettlementOfAnotherBranchReverts |
/// | the window's last slot is missed; the verdict decides, excused blocks cost nothing | test_TheVerdictDecidesAfterAMissedEnd |
/// | slots beyond EIP-4788's ring: excused, no revert | BareChargesTest.test_BeyondTheRingSlotsCountAsMissed, test_StaleBlocksAreSettledUncharged |
/// | B re-creates five of A's ten and stuffs five vacant ones: A pays once, B earns nothing for the tail | test_TruncationGainsNothing |
/// | garbage hashes are settled; the head can move on over them | test_TheHeadMovesOverGarbage |
/// | A and B are one party and fail on purpose: they lose money | test_SelfDealingLosesMoney |
/// | a successor with one slot and a long backlog settles what fits and owes nothing for the rest | test_AShortSuccessorWithALongBacklog |
/// | silence: C settles inside B's window; B's blocks aren't chargeable | test_SilenceDoesntChargeTheHolder |
contract ScenariosTest is RunningState {
    function test_AnAdoptedFallbackBlockIsNoFault() public {
        mineTo(start + 3);
        // Blocks 1-6 are A's, the next the fallback's that A adopted by signing on: all own.
        settle(a, add(batchOf(a), RunKind.Own, 24));
        assertEq(penaltyOf(a), AMPLE);
        // Had A left them, its signature over the last would bind it to the adopted one as well.
        mineTo(start + TURN);
        settle(b, addSigned(batchOf(b), RunKind.Recreated, 24, a.secret));
        assertEq(lastRecord.outcomes[0].chargedBlocks(), 12);
    }

    function test_LateChangesDontMoveOwners() public {
        mineTo(start + EPOCH - 1);
        uint256[] memory owners = new uint256[](2 * EPOCH);
        for (uint256 i = 0; i < 2 * EPOCH; ++i) {
            owners[i] = registry.gatewayAt(start + i);
        }
        // In the last slot of the epoch one leaves, one joins, one is slashed out.
        vm.prank(a.owner);
        registry.requestExit(a.id);
        register("C", AMPLE, REFUND);
        vm.prank(address(inbox));
        registry.charge(b.id, AMPLE);
        for (uint256 i = 0; i < 2 * EPOCH; ++i) {
            assertEq(registry.gatewayAt(start + i), owners[i]);
        }
    }

    /// Derivation took more of A's blocks than were settled; whoever comes next settles them as A's, with A's signature, or as vacant, and
    /// its own among them as own.
    function test_AdoptedFutureBlocksCostNobody() public {
        dropWindowOfA();
        mineTo(start + TURN + 2);
        Batch memory batch = batchOf(b);
        addSigned(batch, RunKind.Vacant, 48, fallbackSecret);
        add(batch, RunKind.Own, 18);
        settle(b, batch);
        assertEq(penaltyOf(b), AMPLE);
        assertEq(inbox.ownerSlot(headNumber()), start + TURN + 2);
    }

    function test_AnyoneRotatesForAHolderThatDoesnt() public {
        dropWindowOfA();
        assertEq(inbox.batcher(), a.settler);
        vm.prank(makeAddr("anyone"));
        inbox.takeBaton();
        assertEq(inbox.batcher(), b.settler);
        assertEq(address(uint160(uint256(systemConfig.batcherHash()))), b.settler);
    }

    function test_OnlyOneSettlementLands() public {
        mineTo(start + 2 * EPOCH);
        // Open to both by silence: A is the holder, B comes first.
        Batch memory ofA = add(batchOf(a), RunKind.Own, 6);
        settle(b, addSigned(batchOf(b), RunKind.Recreated, 6, a.secret));
        settleReverts(a, ofA, abi.encodeWithSelector(IInbox.SlotTaken.selector, slot));
        mineTo(slot + 1);
        (uint64 number, bytes32 link,) = inbox.head();
        settleReverts(a, ofA, abi.encodeWithSelector(IInbox.HeadMoved.selector, number, link));
    }

    function test_ASettlementOfAnotherBranchReverts() public {
        mineTo(start + 2);
        Batch memory batch = add(batchOf(a), RunKind.Own, 6);
        vm.setBlockhash(block.number - 1, keccak256("the other branch"));
        settleReverts(
            a, batch, abi.encodeWithSelector(IInbox.ViewNotCanonical.selector, batch.viewNumber, batch.viewHash)
        );
    }

    function test_TheVerdictDecidesAfterAMissedEnd() public {
        // A's last three slots are missed; it had settled what it could by then.
        mineTo(start + 4);
        settleOwn(a);
        mineAt(start + TURN);
        Batch memory batch = batchOf(b);
        addSigned(batch, RunKind.Recreated, blocksBefore(batch, start + TURN), a.secret);
        settle(b, batch);
        assertEq(lastRecord.outcomes[0].blocks(), 18);
        assertEq(lastRecord.outcomes[0].chargedBlocks(), 0);
        assertEq(penaltyOf(a), AMPLE);
    }

    function test_StaleBlocksAreSettledUncharged() public {
        mineAt(start + 10 * EPOCH);
        Party memory holder = registry.gatewayAt(slot) == a.id ? a : b;
        (uint64 number,,) = inbox.head();
        uint256 blocks = (10 * EPOCH - HORIZON) * BLOCKS_PER_SLOT;
        assertLt(uint256(inbox.ownerSlot(number + uint64(blocks))) + HORIZON, slot);
        settle(holder, add(batchOf(holder), RunKind.Stale, blocks));
        assertEq(penaltyOf(a), AMPLE);
        assertEq(penaltyOf(b), AMPLE);
    }

    function test_TruncationGainsNothing() public {
        dropWindowOfA();
        // A had signed ten. B re-creates five, then stuffs five as vacant.
        Batch memory batch = addSigned(batchOf(b), RunKind.Recreated, 5, a.secret);
        addSigned(batch, RunKind.Vacant, 5, fallbackSecret);
        settle(b, batch);
        assertEq(penaltyOf(a), AMPLE - 10 * BLOCK_PRICE, "one price for both");
        assertEq(lastRecord.outcomes[0].bounty(), 5 * BLOCK_PRICE / 2);
        assertEq(lastRecord.outcomes[1].bounty(), 0);
    }

    function test_TheHeadMovesOverGarbage() public {
        mineTo(start + 1);
        Batch memory batch = add(batchOf(a), RunKind.Own, 6);
        for (uint256 i = 0; i < 6; ++i) {
            batch.hashes[i] = keccak256(abi.encode("garbage", i));
        }
        settle(a, batch);
        bytes32 garbageLink = linkOf(batch);
        mineTo(start + TURN);
        // Whoever comes next names the link as it is and goes on with what derivation says.
        batch = addSigned(batchOf(b), RunKind.Vacant, 42, fallbackSecret);
        assertEq(batch.headLink, garbageLink);
        settle(b, batch);
        assertEq(inbox.ownerSlot(headNumber()), start + TURN - 1);
    }

    /// Whatever A's side drops, re-creates and collects, it has less than before.
    function testFuzz_SelfDealingLosesMoney(uint256 recreated, uint256 vacant) public {
        recreated = bound(recreated, 0, 48);
        vacant = bound(vacant, 0, 48 - recreated);
        vm.assume(recreated + vacant > 0);
        uint256 before = wealth();
        dropWindowOfA();
        Batch memory batch = batchOf(b);
        if (recreated != 0) addSigned(batch, RunKind.Recreated, recreated, a.secret);
        if (vacant != 0) addSigned(batch, RunKind.Vacant, vacant, fallbackSecret);
        settle(b, batch);
        uint256 paid = AMPLE - penaltyOf(a);
        mineAt(slot + HORIZON + 1);
        if (recreated != 0) inbox.collect(lastRecord);
        assertLe(wealth(), before - (paid + 1) / 2);
        assertLt(wealth(), before);
    }

    function wealth() private view returns (uint256) {
        return penaltyOf(a) + penaltyOf(b) + registry.creditOf(a.owner) + registry.creditOf(b.owner);
    }

    function test_AShortSuccessorWithALongBacklog() public {
        // A drops its window; of B's window only the first slot has a block, and there B settles what fits.
        mineTo(start + TURN);
        settle(b, addSigned(batchOf(b), RunKind.Recreated, 6, a.secret));
        uint256 before = penaltyOf(b);
        mineAt(start + 2 * TURN);
        Batch memory batch = batchOf(a);
        add(batch, RunKind.Own, 42);
        addSigned(batch, RunKind.Recreated, 48, b.secret);
        settle(a, batch);
        assertEq(lastRecord.outcomes[1].chargedBlocks(), 0);
        assertEq(penaltyOf(b), before);
    }

    function test_SilenceDoesntChargeTheHolder() public {
        Party memory c = register("C", AMPLE, REFUND);
        mineTo(start + 8 * TURN + 2);
        if (registry.gatewayAt(slot) == c.id) mineTo(slot + TURN);
        Window memory window = registry.windowAt(slot);
        assertNotEq(window.gateway, c.id);
        Party memory holder = window.gateway == a.id ? a : b;
        uint256 before = penaltyOf(holder);
        Batch memory batch = batchOf(c);
        uint256 charged = 0;
        while (inbox.ownerSlot(tipOf(batch) + 1) <= slot) {
            Window memory w = registry.windowAt(inbox.ownerSlot(tipOf(batch) + 1));
            uint256 end = w.end > slot ? slot + 1 : w.end;
            if (w.gateway == c.id) add(batch, RunKind.Own, blocksBefore(batch, end));
            else addSigned(batch, RunKind.Vacant, blocksBefore(batch, end), fallbackSecret);
        }
        settle(c, batch);
        for (uint256 i = 0; i + 1 < lastRecord.outcomes.length; ++i) {
            if (lastRecord.outcomes[i].owner() == holder.id) charged += lastRecord.outcomes[i].paid();
        }
        Outcome inside = lastRecord.outcomes[lastRecord.outcomes.length - 1];
        assertEq(inside.owner(), holder.id);
        assertEq(inside.blocks(), 18);
        assertEq(inside.paid(), 0, "the open window");
        assertEq(penaltyOf(holder), before - charged);
    }
}
