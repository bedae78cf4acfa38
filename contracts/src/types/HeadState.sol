// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {Kind} from "../lookahead/ILookahead.sol";
import {Holding, HoldingLibrary} from "./Holding.sol";

/// @notice The settled head, the baton and its holder, in one word, from the lowest bit up: number (40 bits), slot of the last settlement
/// (32), what the baton needs (16), flags (3), last slot of the window within its epoch (5), batcher (160).
///
/// What the baton needs is, while `BATON_FRESH` is set, the L1 block in which it was taken, modulo 2^16; else the gateway that settled last
/// if it held the slot, or zero. That gateway is the holder until its window ends, so its further settlements needn't ask the
/// registry, which is told to say when that ceases to be so.
type HeadState is uint256;

using HeadStateLibrary for HeadState global;

/// @title Head state
/// @notice Packs and reads a {HeadState}. At one L2 block and one L1 slot a second, 40 and 32 bits last for centuries.
library HeadStateLibrary {
    /// @notice The holder of the last settlement's window has settled in that window.
    uint256 internal constant HOLDER_SETTLED = 1;
    /// @notice It faced blocks from before the window when it did so first, and what it settles is still counted, rule [V4].
    uint256 internal constant BACKLOGGED = 2;
    /// @notice The batcher was set by `takeBaton` and hasn't settled since, rule [R2].
    uint256 internal constant BATON_FRESH = 4;

    uint256 private constant _SLOTS_PER_EPOCH = 32;
    uint256 private constant _NUMBER_MASK = type(uint40).max;
    uint256 private constant _SLOT_SHIFT = 40;
    uint256 private constant _SLOT_MASK = type(uint32).max;
    uint256 private constant _BATON_SHIFT = 72;
    uint256 private constant _BATON_MASK = type(uint16).max;
    uint256 private constant _FLAGS_SHIFT = 88;
    uint256 private constant _FLAGS_MASK = 7;
    uint256 private constant _WINDOW_LAST_SHIFT = 91;
    uint256 private constant _BATCHER_SHIFT = 96;

    /// @notice A field is beyond its bits.
    error HeadOutOfRange(uint256 number, uint256 slot);

    /// @notice Packs a state.
    /// @param number_ The last settled block.
    /// @param slot_ The slot of the last settlement.
    /// @param baton_ What the baton needs; only its lower 16 bits are kept.
    /// @param flags_ The flags.
    /// @param windowLast_ The last slot of the window of the last settlement; only its place in the epoch is kept.
    /// @param batcher_ The batcher.
    function pack(uint256 number_, uint256 slot_, uint256 baton_, uint256 flags_, uint256 windowLast_, address batcher_)
        internal
        pure
        returns (HeadState)
    {
        require(number_ <= _NUMBER_MASK && slot_ <= _SLOT_MASK, HeadOutOfRange(number_, slot_));
        return HeadState.wrap(
            number_ | (slot_ << _SLOT_SHIFT) | ((baton_ & _BATON_MASK) << _BATON_SHIFT)
                | ((flags_ & _FLAGS_MASK) << _FLAGS_SHIFT) | ((windowLast_ % _SLOTS_PER_EPOCH) << _WINDOW_LAST_SHIFT)
                | (uint256(uint160(batcher_)) << _BATCHER_SHIFT)
        );
    }

    /// @notice The last settled block.
    function number(HeadState self) internal pure returns (uint256) {
        return HeadState.unwrap(self) & _NUMBER_MASK;
    }

    /// @notice The slot of the last settlement; zero before the first.
    function slot(HeadState self) internal pure returns (uint256) {
        return (HeadState.unwrap(self) >> _SLOT_SHIFT) & _SLOT_MASK;
    }

    /// @notice What the baton needs: see {HeadState}.
    function baton(HeadState self) internal pure returns (uint256) {
        return (HeadState.unwrap(self) >> _BATON_SHIFT) & _BATON_MASK;
    }

    /// @notice The flags.
    function flags(HeadState self) internal pure returns (uint256) {
        return (HeadState.unwrap(self) >> _FLAGS_SHIFT) & _FLAGS_MASK;
    }

    /// @notice The place in its epoch of the last slot of the last settlement's window.
    function windowLast(HeadState self) internal pure returns (uint256) {
        return (HeadState.unwrap(self) >> _WINDOW_LAST_SHIFT) % _SLOTS_PER_EPOCH;
    }

    /// @notice The settler that the rollup's configuration names.
    function batcher(HeadState self) internal pure returns (address) {
        // What is left are 160 bits.
        // forge-lint: disable-next-line(unsafe-typecast)
        return address(uint160(HeadState.unwrap(self) >> _BATCHER_SHIFT));
    }

    /// @notice The gateway that settled last, as the holder of its slot; zero if the last settlement wasn't the holder's, if the baton was taken
    /// since, or if it was forgotten.
    function holder(HeadState self) internal pure returns (uint256) {
        return self.flags() & BATON_FRESH == 0 ? self.baton() : 0;
    }

    /// @notice The state without its holder.
    function withoutHolder(HeadState self) internal pure returns (HeadState) {
        return HeadState.wrap(HeadState.unwrap(self) & ~(_BATON_MASK << _BATON_SHIFT));
    }

    /// @notice Whether a slot is known to be held by a gateway that settles from this account, and the part of its window from the last
    /// settlement on. A window whose work is still counted is asked for again, because the count is kept by its first slot. Nor is its
    /// kind kept, and Fallback may be wrong: only the verdict needs it, on windows that are over, for which the registry is asked.
    function holdingIn(HeadState self, uint256 slot_, uint256 gateway, address settler)
        internal
        pure
        returns (bool known, Holding holding)
    {
        uint256 last = self.slot();
        uint256 epochBegin = slot_ - slot_ % _SLOTS_PER_EPOCH;
        uint256 end = epochBegin + self.windowLast() + 1;
        known = self.holder() == gateway && gateway != 0 && self.batcher() == settler && last >= epochBegin
            && slot_ < end && self.flags() & BACKLOGGED == 0;
        if (known) holding = HoldingLibrary.pack(gateway, Kind.Fallback, last, end);
    }
}
