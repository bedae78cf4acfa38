// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {IInbox, Record} from "./IInbox.sol";

/// @title Records
/// @notice Rules [I12] and [I13]: one hash per slot, in a ring. A word is the upper 240 bits of the record's hash, the lap of the ring (15
/// bits), by which a slot without a record is told from one whose place still holds an older record, and whether the bounties were
/// collected (1 bit). A collected record stays provable.
abstract contract Records is IInbox {
    /// @notice Slots that the ring holds: twice the longest horizon and more.
    uint256 internal constant RECORD_RING = 16_384;

    uint256 private constant _HASH_MASK = ~uint256(type(uint16).max);
    uint256 private constant _LAP_MASK = type(uint16).max >> 1;
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
    function _store(Record memory record) internal {
        bytes memory encoded = abi.encode(record);
        uint256 slot = record.slot;
        _records[slot % RECORD_RING] = (uint256(keccak256(encoded)) & _HASH_MASK) | (_lap(slot) << 1);
        bytes32 topic = Settled.selector;
        // The event's data is the record's encoding from the third field on, with the outcomes two words nearer: in assembly, so that it
        // isn't encoded twice. The fields stand behind the offset of the record (one word): slot at 0x20, settler at 0x60, the
        // offset of the outcomes at 0x120; `encoded` has its length before all that.
        assembly ("memory-safe") {
            let data := add(encoded, 0x80)
            mstore(add(encoded, 0x140), 0xe0)
            log3(data, sub(mload(encoded), 0x60), topic, slot, mload(add(encoded, 0x60)))
        }
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
        return word != 0 && (word >> 1) & _LAP_MASK == _lap(slot);
    }
}
