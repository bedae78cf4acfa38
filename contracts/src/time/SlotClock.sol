// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

/// @title The clock of L1 slots
/// @notice Rule [T1]: slots and epochs from timestamps.
abstract contract SlotClock {
    /// @notice Slots of an epoch.
    uint256 internal constant SLOTS_PER_EPOCH = 32;
    /// @notice What a change waits for until it is in force, in epochs, rule [T6].
    uint256 internal constant EPOCHS_TO_FORCE = 2;

    /// @notice Timestamp of L1 slot 0, seconds.
    uint256 internal immutable L1_GENESIS_TIME;
    /// @notice Seconds of a slot.
    uint256 internal immutable SLOT_LENGTH;

    /// @notice The field must not be zero.
    error ZeroParameter(string field);
    /// @notice Slot 0 lies in the future: no slot could be told.
    error GenesisAhead(uint256 genesisTime, uint256 timestamp);

    constructor(uint64 l1GenesisTime, uint64 slotLength) {
        require(slotLength != 0, ZeroParameter("slotLength"));
        // forge-lint: disable-next-line(block-timestamp)
        require(l1GenesisTime <= block.timestamp, GenesisAhead(l1GenesisTime, block.timestamp));
        L1_GENESIS_TIME = l1GenesisTime;
        SLOT_LENGTH = slotLength;
    }

    /// @dev The slot of this block.
    function _currentSlot() internal view returns (uint256 slot) {
        // Slot 0 doesn't lie in the future: the constructor saw to it.
        unchecked {
            return (block.timestamp - L1_GENESIS_TIME) / SLOT_LENGTH;
        }
    }

    /// @dev The epoch of this block.
    function _currentEpoch() internal view returns (uint256 epoch) {
        return _currentSlot() / SLOTS_PER_EPOCH;
    }

    /// @dev When a slot begins, and the timestamp of its block if it has one. The slot must fit 64 bits, so that nothing overflows.
    function _slotTimestamp(uint256 slot) internal view returns (uint256 timestamp) {
        unchecked {
            return L1_GENESIS_TIME + slot * SLOT_LENGTH;
        }
    }
}
