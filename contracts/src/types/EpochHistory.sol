// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

/// @notice A 16-bit value as it was in every epoch, rule [T6]. A checkpoint is an epoch (32 bits) over the value (16 bits) in force
/// from that epoch on. The newest four share a word with the length of the archive, because a lookup almost always asks for
/// the newest or the one before: one storage read. A full word moves to the archive as it is.
struct EpochHistory {
    /// Checkpoints in 48-bit lanes, the newest lowest; the archive's length in the upper 64 bits.
    uint256 recent;
    /// Words of four checkpoints each, the oldest word first.
    mapping(uint256 position => uint256 checkpoints) archive;
}

using EpochHistoryLibrary for EpochHistory global;

/// @title Epoch history
/// @notice Reads and writes of an {EpochHistory}. Neither loops over more than the lanes of a word, except for a binary search over
/// the archive for epochs long past.
library EpochHistoryLibrary {
    uint256 private constant _LANE_BITS = 48;
    uint256 private constant _LANE_MASK = type(uint48).max;
    uint256 private constant _VALUE_BITS = 16;
    uint256 private constant _LANES_BITS = 4 * _LANE_BITS;
    uint256 private constant _LANES_MASK = type(uint192).max;
    uint256 private constant _OLDEST_LANE_SHIFT = 3 * _LANE_BITS;

    /// @notice A checkpoint must not lie before the newest one, and its epoch must be above 0 and fit 32 bits.
    error EpochOutOfOrder(uint256 epoch, uint256 newest);

    /// @notice The value set last, whether in force already or not.
    function latest(EpochHistory storage self) internal view returns (uint16 value) {
        // forge-lint: disable-next-line(unsafe-typecast)
        return uint16(self.recent);
    }

    /// @notice The value in force in an epoch; zero before the first checkpoint.
    function valueAt(EpochHistory storage self, uint256 epoch) internal view returns (uint16 value) {
        uint256 word = self.recent;
        // The usual case: the newest checkpoint is in force. The lane's value is its lowest bits.
        // forge-lint: disable-next-line(unsafe-typecast)
        if ((word & _LANE_MASK) >> _VALUE_BITS <= epoch) return uint16(word);
        uint256 archived = word >> _LANES_BITS;
        (bool found, uint16 inWord) = _inWord(word & _LANES_MASK, epoch);
        if (found || archived == 0) return inWord;
        // The answer is in the last archived word that begins at or before the epoch, if there is one.
        uint256 low = 0;
        uint256 high = archived;
        while (low < high) {
            uint256 middle = (low + high) / 2;
            if (_begin(self.archive[middle]) <= epoch) low = middle + 1;
            else high = middle;
        }
        if (low == 0) return 0;
        (, value) = _inWord(self.archive[low - 1], epoch);
    }

    /// @notice Sets the value in force from an epoch on. Setting it again for the same epoch overwrites.
    function set(EpochHistory storage self, uint256 epoch, uint16 value) internal {
        uint256 word = self.recent;
        uint256 newest = (word & _LANE_MASK) >> _VALUE_BITS;
        require(epoch != 0 && epoch >= newest && epoch <= type(uint32).max, EpochOutOfOrder(epoch, newest));
        uint256 checkpoint = (epoch << _VALUE_BITS) | value;
        uint256 archived = word >> _LANES_BITS;
        uint256 lanes = word & _LANES_MASK;
        if (epoch == newest) {
            lanes = (lanes & ~_LANE_MASK) | checkpoint;
        } else if (lanes >> _OLDEST_LANE_SHIFT != 0) {
            self.archive[archived] = lanes;
            ++archived;
            lanes = checkpoint;
        } else {
            lanes = (lanes << _LANE_BITS) | checkpoint;
        }
        self.recent = (archived << _LANES_BITS) | lanes;
    }

    /// @dev The newest checkpoint of a word at or before the epoch. An empty lane is zero, because epoch 0 is never set.
    function _inWord(uint256 lanes, uint256 epoch) private pure returns (bool found, uint16 value) {
        while (lanes != 0) {
            uint256 lane = lanes & _LANE_MASK;
            // The value's bits are the lane's lowest.
            // forge-lint: disable-next-line(unsafe-typecast)
            if (lane >> _VALUE_BITS <= epoch) return (true, uint16(lane));
            lanes >>= _LANE_BITS;
        }
    }

    /// @dev The epoch of an archived word's oldest checkpoint.
    function _begin(uint256 lanes) private pure returns (uint256 epoch) {
        return lanes >> (_OLDEST_LANE_SHIFT + _VALUE_BITS);
    }
}
