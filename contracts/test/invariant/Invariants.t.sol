// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {Handler} from "./Handler.sol";
import {IInbox} from "baton/inbox/IInbox.sol";
import {Tranches} from "baton/registry/ICollateral.sol";
import {Gateway} from "baton/registry/IGateways.sol";
import {IRegistry} from "baton/registry/IRegistry.sol";
import {Test} from "forge-std/Test.sol";

/// @notice What holds after whatever happened.
contract InvariantsTest is Test {
    Handler private handler;
    IRegistry private registry;
    IInbox private inbox;

    uint256 private constant PENALTY = 9.76 ether;
    uint256 private constant REFUND = 2 ether;

    function setUp() public {
        handler = new Handler();
        (address registryAddress, address inboxAddress) = handler.contracts();
        (registry, inbox) = (IRegistry(registryAddress), IInbox(inboxAddress));
        bytes4[] memory selectors = new bytes4[](17);
        selectors[0] = Handler.mine.selector;
        selectors[1] = Handler.mineOn.selector;
        selectors[2] = bytes4(keccak256("settle(uint256)"));
        selectors[3] = Handler.takeBaton.selector;
        selectors[4] = Handler.registerGateway.selector;
        selectors[5] = Handler.depositFor.selector;
        selectors[6] = Handler.requestExit.selector;
        selectors[7] = Handler.withdrawCollateral.selector;
        selectors[8] = Handler.withdrawCredit.selector;
        selectors[9] = Handler.changeKey.selector;
        selectors[10] = Handler.collect.selector;
        // Time and settlements make up most of a chain's life.
        selectors[11] = Handler.mineOn.selector;
        selectors[12] = bytes4(keccak256("settle(uint256)"));
        selectors[13] = Handler.delegateTo.selector;
        selectors[14] = Handler.publishNext.selector;
        selectors[15] = Handler.publishNext.selector;
        selectors[16] = Handler.publishNext.selector;
        targetSelector(FuzzSelector({addr: address(handler), selectors: selectors}));
        targetContract(address(handler));
    }

    /// One campaign for all, because the play costs more than the looking.
    function invariant_TheBooksAgree() public view {
        checkEther();
        checkHead();
        checkTheHonest();
        checkEligibility();
    }

    /// [S1] A schedule that was once fixed is what it was. At the end of a run, for all epochs of it.
    function afterInvariant() public view {
        uint256 seen = handler.epochCount();
        for (uint256 i = 0; i < seen; ++i) {
            uint256 epoch = handler.epochsSeen(i);
            if (!handler.isKept(epoch)) continue;
            assertEq(handler.scheduleNow(epoch), handler.scheduleSeen(epoch));
        }
    }

    /// To the wei: what came in and didn't go out is in a tranche, a credit, a bounty to be collected, or burned.
    function checkEther() private view {
        uint256 tranches = 0;
        uint256 charged = 0;
        for (uint16 id = 1; id <= handler.count(); ++id) {
            Tranches memory t = registry.tranches(id);
            tranches += uint256(t.penalty) + t.refund;
            charged += t.charged;
        }
        uint256 credits = 0;
        for (uint256 i = 0; i < handler.creditorCount(); ++i) {
            credits += registry.creditOf(handler.creditors(i));
        }
        assertEq(charged, handler.chargedTotal(), "records and registry agree on what was charged");
        uint256 uncollected = handler.bountiesPromised() - handler.bountiesPaid();
        uint256 burned = handler.chargedTotal() - handler.bountiesPromised();
        assertEq(address(registry).balance, tranches + credits + uncollected + burned + handler.fees());
        assertEq(address(registry).balance, handler.received() - handler.paidOut());
        assertLe(handler.bountiesPromised() * 2, handler.chargedTotal());
        assertEq(address(inbox).balance, 0);
    }

    /// [L1], [I3]
    function checkHead() private view {
        (uint256 number, bytes32 link,) = handler.headOf();
        assertEq(number, handler.headNumberExpected());
        assertEq(link, handler.headLinkExpected());
    }

    /// [H0]
    function checkTheHonest() private view {
        assertEq(registry.tranches(1).charged, 0);
        assertTrue(registry.isEligible(1));
    }

    /// [C2], [C6]
    function checkEligibility() private view {
        uint256 eligible = 0;
        for (uint16 id = 1; id <= handler.count(); ++id) {
            Tranches memory t = registry.tranches(id);
            Gateway memory g = registry.gateway(id);
            bool expected = t.penalty >= PENALTY && t.refund >= REFUND && g.endedSlot == 0 && g.withdrawableSlot == 0;
            assertEq(g.eligible, expected);
            assertEq(registry.isEligible(id), expected);
            if (expected) ++eligible;
        }
        uint16[] memory ids = registry.eligibleGateways();
        assertEq(ids.length, eligible);
        for (uint256 i = 0; i < ids.length; ++i) {
            assertTrue(registry.isEligible(ids[i]));
            for (uint256 j = 0; j < i; ++j) {
                assertNotEq(ids[i], ids[j]);
            }
        }
    }

    /// The play reaches what it is for. Deterministic, so that it can't fail by chance.
    function test_ThePlayReachesEverything() public {
        for (uint256 i = 0; i < 900; ++i) {
            uint256 seed = uint256(keccak256(abi.encode("play", i)));
            uint256 what = seed % 19;
            seed >>= 8;
            if (what < 4) handler.mineOn(seed);
            else if (what < 6) handler.mine(seed, seed >> 128);
            else if (what < 10) handler.settle(seed);
            else if (what == 10) handler.takeBaton();
            else if (what == 11) handler.depositFor(seed, seed >> 16, seed >> 32);
            else if (what == 12) handler.collect(seed);
            else if (what == 13) handler.changeKey(seed);
            else if (what == 14) handler.withdrawCredit(seed);
            else if (what == 15) handler.delegateTo(seed);
            else if (what > 16) handler.publishNext(seed);
            else if (seed % 5 == 0) handler.requestExit(seed >> 8);
            else if (seed % 5 == 1) handler.withdrawCollateral(seed >> 8);
            else handler.registerGateway(seed, seed >> 100);
        }
        invariant_TheBooksAgree();
        afterInvariant();
        string[14] memory things = [
            "settle",
            "charge",
            "stale",
            "collect",
            "takeBaton",
            "register",
            "exit",
            "withdraw",
            "credit",
            "key",
            "settle not as holder",
            "delegate",
            "publish",
            "proven"
        ];
        for (uint256 i = 0; i < things.length; ++i) {
            emit log_named_uint(things[i], handler.times(bytes32(bytes(things[i]))));
            assertGt(handler.times(bytes32(bytes(things[i]))), 0, things[i]);
        }
    }
}
