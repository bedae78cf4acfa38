// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {IInbox, Record} from "./IInbox.sol";

/// @title Records
/// @notice Rules [I12] and [I13]: one hash per slot, in a ring. A word is the upper 240 bits of the record's hash, the lap of the ring (14
/// bits), by which a slot without a record is told from one whose place still holds an older record, whether another than the slot's
/// holder settled (1 bit), and whether the bounties were collected (1 bit). A collected record stays provable.
abstract contract Records is IInbox {
    /// @notice Slots that the ring holds: twice the longest horizon and more.
    uint256 internal constant RECORD_RING = 16_384;

    uint256 private constant _HASH_MASK = ~uint256(type(uint16).max);
    uint256 private constant _LAP_SHIFT = 2;
    uint256 private constant _LAP_MASK = type(uint16).max >> _LAP_SHIFT;
    uint256 private constant _TAKEN = 2;
    uint256 private constant _COLLECTED = 1;

    uint256[RECORD_RING] private _records;

    /// @inheritdoc IInbox
    function recordHash(uint64 slot) external view returns (bytes32) {
        uint256 word = _records[slot % RECORD_RING];
        return _isOfLap(word, slot) ? bytes32(word & _HASH_MASK) : bytes32(0);
    }

    /// @inheritdoc IInbox
    function isCollected(uint64 slot) external view returns (bool) {
        uint256 word = _records[slot % RECORD_RING];
        return _isOfLap(word, slot) && word & _COLLECTED != 0;
    }

    /// @inheritdoc IInbox
    function hashRecord(Record calldata record) external pure returns (bytes32) {
        return bytes32(uint256(keccak256(abi.encode(record))) & _HASH_MASK);
    }

    /// @dev Stores a record and tells of it.
    /// @param taken Whether another than the slot's holder settled.
    function _store(Record memory record, bool taken) internal {
        bytes32 topic = Settled.selector;
        uint256 hash;
        // In assembly, because the record's encoding and the event's data are the same bytes but for one word, and needn't be made
        // twice. `abi.encode(record)` is: offset of the record (0x20), its eight fixed fields, the offset of the outcomes within it
        // (0x120), their count and they themselves. The event's data begins with the third field, so there the offset is 0xe0.
        assembly ("memory-safe") {
            let outcomes := mload(add(record, 0x100))
            let size := shl(5, add(mload(outcomes), 1))
            let encoded := mload(0x40)
            mstore(encoded, 0x20)
            mcopy(add(encoded, 0x20), record, 0x100)
            mstore(add(encoded, 0x120), 0x120)
            mcopy(add(encoded, 0x140), outcomes, size)
            hash := keccak256(encoded, add(0x140, size))
            mstore(add(encoded, 0x120), 0xe0)
            log3(add(encoded, 0x60), add(0xe0, size), topic, mload(record), mload(add(record, 0x20)))
        }
        _records[record.slot % RECORD_RING] =
            (hash & _HASH_MASK) | (_lap(record.slot) << _LAP_SHIFT) | (taken ? _TAKEN : 0);
    }

    /// @dev Whether another than the slot's holder settled in a slot.
    function _wasTaken(uint256 slot) internal view returns (bool) {
        uint256 word = _records[slot % RECORD_RING];
        return _isOfLap(word, slot) && word & _TAKEN != 0;
    }

    /// @dev Marks a record as collected.
    /// @return marked Whether it wasn't before.
    function _markCollected(Record calldata record) internal returns (bool marked) {
        uint256 position = record.slot % RECORD_RING;
        uint256 word = _records[position];
        require(
            _isOfLap(word, record.slot) && word & _HASH_MASK == uint256(keccak256(abi.encode(record))) & _HASH_MASK,
            UnknownRecord(record.slot)
        );
        marked = word & _COLLECTED == 0;
        _records[position] = word | _COLLECTED;
    }

    /// @dev How often the ring had gone round before a slot, as far as a word tells.
    function _lap(uint256 slot) private pure returns (uint256) {
        return (slot / RECORD_RING) & _LAP_MASK;
    }

    /// @dev Whether a word was stored for a slot, rather than for one some laps earlier. An empty word was for none.
    function _isOfLap(uint256 word, uint256 slot) private pure returns (bool) {
        return word != 0 && (word >> _LAP_SHIFT) & _LAP_MASK == _lap(slot);
    }
}
