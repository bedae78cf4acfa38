// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {Test} from "forge-std/Test.sol";

/// @notice An L1 whose blocks are told one by one, so that missed slots are real: EIP-4788's and EIP-2935's contracts run their deployed
/// code and are fed by the system account as clients feed them.
abstract contract L1Chain is Test {
    uint256 internal constant L1_GENESIS = 1_606_824_023;
    uint256 internal constant SLOT_LENGTH = 12;
    address internal constant BEACON_ROOTS = 0x000F3df6D732807Ef1319fB7B8bB8522d0Beac02;
    address internal constant HISTORY = 0x0000F90827F1C53a10cb7A02335B175320002935;
    address private constant SYSTEM = 0xffffFFFfFFffffffffffffffFfFFFfffFFFfFFfE;

    /// The slot of the newest block.
    uint256 internal slot;

    /// Starts the chain with a block in a slot.
    function startChain(uint256 first) internal {
        vm.etch(
            BEACON_ROOTS,
            hex"3373fffffffffffffffffffffffffffffffffffffffe14604d57602036146024575f5ffd5b5f35801560495762001fff810690815414603c575f5ffd5b62001fff01545f5260205ff35b5f5ffd5b62001fff42064281555f359062001fff015500"
        );
        vm.etch(
            HISTORY,
            hex"3373fffffffffffffffffffffffffffffffffffffffe14604657602036036042575f35600143038111604257611fff81430311604257611fff9006545f5260205ff35b5f5ffd5b5f35611fff60014303065500"
        );
        vm.roll(20_000_000);
        vm.warp(L1_GENESIS + first * SLOT_LENGTH);
        slot = first;
        systemCalls();
    }

    /// Goes to a slot and makes a block there; the slots between are missed.
    function mineAt(uint256 to) internal {
        require(to > slot, "slots only go forward");
        vm.roll(block.number + 1);
        vm.warp(L1_GENESIS + to * SLOT_LENGTH);
        slot = to;
        systemCalls();
    }

    /// Makes a block in every slot up to and including one.
    function mineTo(uint256 to) internal {
        while (slot < to) mineAt(slot + 1);
    }

    /// Makes a root the parent beacon block's of the newest block.
    function feedRoot(bytes32 root) internal {
        vm.prank(SYSTEM);
        (bool ok,) = BEACON_ROOTS.call(abi.encode(root));
        require(ok, "EIP-4788");
    }

    /// What a client writes before a block's first transaction.
    function systemCalls() private {
        feedRoot(keccak256(abi.encode("root", slot)));
        vm.prank(SYSTEM);
        (bool ok,) = HISTORY.call(abi.encode(blockhash(block.number - 1)));
        require(ok, "EIP-2935");
    }
}
