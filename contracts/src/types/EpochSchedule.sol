// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

/// @dev Places of the ring of schedules: more epochs than evidence reaches back, and the one ahead.
uint256 constant SCHEDULE_RING = 256;

// Of 17 places of 15 bits each, a palette's and more. Literals, because assembly takes no others.

/// @dev A one in each place: times a gateway, the gateway in each.
uint256 constant EACH_ID = 0x0001000200040008001000200040008001000200040008001000200040008001;
/// @dev All but the highest bit of each place.
uint256 constant ID_LOW = 0x3fff7ffefffdfffbfff7ffefffdfffbfff7ffefffdfffbfff7ffefffdfffbfff;
/// @dev The highest bit of each place.
uint256 constant ID_HIGH = 0x4000800100020004000800100020004000800100020004000800100020004000;

/// @notice A proven epoch's schedule, rule [S2], in one word, or in two if more than eight gateways share the epoch. From the lowest bit up: published
/// (1 bit), wide (1), how many of the epoch's slots are proven (6), epoch / 256 (23); then, in 225 bits,
///
/// - narrow: which of the palette's gateways a slot has, for 32 slots (3 bits each), and the palette, eight gateways (15 bits each);
/// - wide: the gateways of slots 0 to 14 (15 bits each); those of slots 15 to 31 are in the second word.
///
/// Proven slots are the first ones; the rest is the rotation's.
type EpochSchedule is uint256;

using EpochScheduleLibrary for EpochSchedule global;

/// @title Epoch schedule
/// @notice Packs and reads an {EpochSchedule}. Its place in a ring of 256 tells the epoch's lower bits.
library EpochScheduleLibrary {
    uint256 private constant _PUBLISHED = 1;
    uint256 private constant _WIDE = 2;
    uint256 private constant _LENGTH_SHIFT = 2;
    uint256 private constant _LENGTH_MASK = 63;
    uint256 private constant _LAP_SHIFT = 8;
    uint256 private constant _LAP_MASK = (1 << 23) - 1;
    uint256 private constant _LANES_SHIFT = 31;
    uint256 private constant _LANE_BITS = 3;
    uint256 private constant _LANE_MASK = 7;
    uint256 private constant _LANES_MASK = (1 << 96) - 1;
    uint256 private constant _PALETTE_SHIFT = 127;
    uint256 private constant _ID_BITS = 15;
    uint256 private constant _ID_MASK = (1 << 15) - 1;
    uint256 private constant _PALETTE_BITS = 120;
    uint256 private constant _SLOTS = 32;
    uint256 private constant _SLOTS_IN_FIRST = 15;
    /// @dev A one in every lane: times a value, the value in every lane.
    uint256 private constant _EACH_LANE = _LANES_MASK / _LANE_MASK;

    /// @notice Whether a palette's gateways are few enough for one word.
    /// @param palette Gateways of 15 bits each, from the lowest place up.
    function fits(uint256 palette) internal pure returns (bool) {
        return palette >> _PALETTE_BITS == 0;
    }

    /// @notice Packs a schedule of at most eight gateways.
    /// @param epoch The epoch; below 2^31.
    /// @param length How many slots, from the first on, are proven.
    /// @param lanes Which of the palette's gateways each of them has, 3 bits a slot, slot 0 lowest. What is above 96 bits is left away.
    /// @param palette The gateways that have slots, from the lowest place up; must {fits}.
    function pack(uint256 epoch, uint256 length, uint256 lanes, uint256 palette) internal pure returns (EpochSchedule) {
        return EpochSchedule.wrap(
            _header(epoch, length) | ((lanes & _LANES_MASK) << _LANES_SHIFT) | (palette << _PALETTE_SHIFT)
        );
    }

    /// @notice Packs a schedule of any gateways.
    /// @param epoch The epoch; below 2^31.
    /// @param length How many slots, from the first on, are proven.
    /// @param ids The gateways by slot; zero from `length` on.
    /// @return schedule The first word.
    /// @return second The second word.
    function packWide(uint256 epoch, uint256 length, uint256[32] memory ids)
        internal
        pure
        returns (EpochSchedule schedule, uint256 second)
    {
        uint256 word = _header(epoch, length) | _WIDE;
        // Places have five bits, so nothing overflows.
        unchecked {
            for (uint256 i = 0; i < _SLOTS_IN_FIRST; ++i) {
                word |= ids[i] << (_LANES_SHIFT + i * _ID_BITS);
            }
            for (uint256 i = _SLOTS_IN_FIRST; i < _SLOTS; ++i) {
                second |= ids[i] << ((i - _SLOTS_IN_FIRST) * _ID_BITS);
            }
        }
        return (EpochSchedule.wrap(word), second);
    }

    /// @notice Whether the word is an epoch's, rather than one of an earlier lap of the ring, or empty.
    /// @param epoch An epoch with this place in the ring.
    function isOf(EpochSchedule self, uint256 epoch) internal pure returns (bool) {
        uint256 word = EpochSchedule.unwrap(self);
        return word & _PUBLISHED != 0 && (word >> _LAP_SHIFT) & _LAP_MASK == epoch / SCHEDULE_RING;
    }

    /// @notice Whether there is a second word.
    function isWide(EpochSchedule self) internal pure returns (bool) {
        return EpochSchedule.unwrap(self) & _WIDE != 0;
    }

    /// @notice How many of the epoch's slots, from the first on, are proven.
    function provenSlots(EpochSchedule self) internal pure returns (uint256) {
        return (EpochSchedule.unwrap(self) >> _LENGTH_SHIFT) & _LENGTH_MASK;
    }

    /// @notice The run of proven slots of one gateway that a slot lies in, rule [T5].
    /// @param second The second word of a wide schedule.
    /// @param index The slot's place in the epoch; below {provenSlots}.
    /// @return gateway The gateway.
    /// @return first The place of the run's first slot.
    /// @return end One past its last.
    function runAt(EpochSchedule self, uint256 second, uint256 index)
        internal
        pure
        returns (uint256 gateway, uint256 first, uint256 end)
    {
        uint256 length = self.provenSlots();
        // Places have five bits, so nothing overflows.
        unchecked {
            if (self.isWide()) {
                gateway = _wideAt(self, second, index);
                for (first = index; first != 0 && _wideAt(self, second, first - 1) == gateway;) {
                    --first;
                }
                for (end = index + 1; end < length && _wideAt(self, second, end) == gateway;) {
                    ++end;
                }
                return (gateway, first, end);
            }
            uint256 lanes = (EpochSchedule.unwrap(self) >> _LANES_SHIFT) & _LANES_MASK;
            uint256 shift = index * _LANE_BITS;
            uint256 colour = (lanes >> shift) & _LANE_MASK;
            gateway = (EpochSchedule.unwrap(self) >> (_PALETTE_SHIFT + colour * _ID_BITS)) & _ID_MASK;
            // Lanes of the same gateway become zero; the nearest others on both sides bound the run.
            uint256 others = lanes ^ (colour * _EACH_LANE);
            // forge-lint: disable-next-line(incorrect-shift)
            uint256 below = others & ((1 << shift) - 1);
            uint256 above = others >> shift;
            assembly ("memory-safe") {
                // The highest set bit of those below, and the lowest of those above; none give 0 and at least 32.
                first := div(add(sub(255, clz(below)), _LANE_BITS), _LANE_BITS)
                if iszero(below) { first := 0 }
                end := add(index, div(sub(255, clz(and(above, sub(0, above)))), _LANE_BITS))
                if iszero(above) { end := _SLOTS }
            }
            if (end > length) end = length;
        }
    }

    function _header(uint256 epoch, uint256 length) private pure returns (uint256) {
        return _PUBLISHED | (length << _LENGTH_SHIFT) | ((epoch / SCHEDULE_RING) << _LAP_SHIFT);
    }

    /// @dev A slot's gateway in a wide schedule.
    function _wideAt(EpochSchedule self, uint256 second, uint256 index) private pure returns (uint256 gateway) {
        unchecked {
            if (index < _SLOTS_IN_FIRST) {
                return (EpochSchedule.unwrap(self) >> (_LANES_SHIFT + index * _ID_BITS)) & _ID_MASK;
            }
            return (second >> ((index - _SLOTS_IN_FIRST) * _ID_BITS)) & _ID_MASK;
        }
    }
}
