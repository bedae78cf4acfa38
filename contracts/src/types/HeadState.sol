// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

/// @notice The settled head and the baton, in one word: number (40 bits), slot of the last settlement (32), L1 block in which the baton
/// was taken, modulo 2^16 (16), flags (8), batcher (160), from the lowest bit up.
type HeadState is uint256;

using HeadStateLibrary for HeadState global;

/// @title Head state
/// @notice Packs and reads a {HeadState}. At one L2 block and one L1 slot a second, 40 and 32 bits last for centuries.
library HeadStateLibrary {
    /// @notice The holder of the last settlement's window has settled in that window.
    uint256 internal constant HOLDER_SETTLED = 1;
    /// @notice It faced blocks from before the window when it did so first, rule [V4].
    uint256 internal constant BACKLOGGED = 2;
    /// @notice The batcher was set by `takeBaton` and hasn't settled since, rule [R2].
    uint256 internal constant BATON_FRESH = 4;

    uint256 private constant _NUMBER_MASK = type(uint40).max;
    uint256 private constant _SLOT_SHIFT = 40;
    uint256 private constant _BATON_BLOCK_SHIFT = 72;
    uint256 private constant _FLAGS_SHIFT = 88;
    uint256 private constant _BATCHER_SHIFT = 96;

    /// @notice A field is beyond its bits.
    error HeadOutOfRange(uint256 number, uint256 slot);

    /// @notice Packs a state.
    /// @param number_ The last settled block.
    /// @param slot_ The slot of the last settlement.
    /// @param batonBlock_ The L1 block in which the baton was taken; only its lower 16 bits are kept.
    /// @param flags_ The flags.
    /// @param batcher_ The batcher.
    function pack(uint256 number_, uint256 slot_, uint256 batonBlock_, uint256 flags_, address batcher_)
        internal
        pure
        returns (HeadState)
    {
        require(number_ <= type(uint40).max && slot_ <= type(uint32).max, HeadOutOfRange(number_, slot_));
        return HeadState.wrap(
            number_ | (slot_ << _SLOT_SHIFT) | (uint256(uint16(batonBlock_)) << _BATON_BLOCK_SHIFT)
                | (flags_ << _FLAGS_SHIFT) | (uint256(uint160(batcher_)) << _BATCHER_SHIFT)
        );
    }

    /// @notice The last settled block.
    function number(HeadState self) internal pure returns (uint256) {
        return HeadState.unwrap(self) & _NUMBER_MASK;
    }

    /// @notice The slot of the last settlement; zero before the first.
    function slot(HeadState self) internal pure returns (uint256) {
        return uint32(HeadState.unwrap(self) >> _SLOT_SHIFT);
    }

    /// @notice The L1 block in which the baton was taken, modulo 2^16.
    function batonBlock(HeadState self) internal pure returns (uint16) {
        return uint16(HeadState.unwrap(self) >> _BATON_BLOCK_SHIFT);
    }

    /// @notice The flags.
    function flags(HeadState self) internal pure returns (uint256) {
        return uint8(HeadState.unwrap(self) >> _FLAGS_SHIFT);
    }

    /// @notice The settler that the rollup's configuration names.
    function batcher(HeadState self) internal pure returns (address) {
        return address(uint160(HeadState.unwrap(self) >> _BATCHER_SHIFT));
    }
}
