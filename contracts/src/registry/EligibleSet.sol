// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {SlotClock} from "../time/SlotClock.sol";
import {EpochHistory} from "../types/EpochHistory.sol";

/// @title The eligible set
/// @notice Who takes turns in fallback epochs, rules [C2] and [S3]: a dense list whose every place, and whose length, remembers what
/// it was in each epoch. Joining appends, leaving moves the last member into the gap: neither loops. A change made in epoch X
/// counts from X + 2, rule [T6], and until then shows only in the newest values.
///
/// Beside it, because a publication asks for gateways by id and only for the next epoch, a word for every 112 ids: whether each is
/// eligible now (112 bits), whether it was before the epoch of the last change among them (112), that epoch (32).
abstract contract EligibleSet is SlotClock {
    /// @dev Ids of a word of {_eligibleIds}.
    uint256 internal constant IDS_PER_WORD = 112;
    uint256 private constant _NOW_MASK = type(uint112).max;
    uint256 private constant _CHANGED_SHIFT = 2 * IDS_PER_WORD;

    /// @dev The words, by id / 112: ids have 15 bits.
    uint256[(1 << 15) / IDS_PER_WORD + 1] internal _eligibleIds;
    /// @dev How many gateways take turns, by epoch.
    EpochHistory internal _count;
    /// @dev Who holds a place, by epoch. Places from the count on hold leftovers.
    mapping(uint256 place => EpochHistory) internal _members;

    /// @dev Appends a gateway.
    /// @return place Where it stands.
    function _join(uint16 id) internal returns (uint16 place) {
        uint256 epoch = _currentEpoch() + EPOCHS_TO_FORCE;
        place = _count.latest();
        _members[place].set(epoch, id);
        _count.set(epoch, place + 1);
        _flipEligible(id);
    }

    /// @dev Takes a gateway out; the last one takes its place.
    function _leave(uint16 id, uint16 place) internal {
        uint256 epoch = _currentEpoch() + EPOCHS_TO_FORCE;
        uint16 last = _count.latest() - 1;
        if (place != last) {
            uint16 moved = _members[last].latest();
            _members[place].set(epoch, moved);
            _movedTo(moved, place);
        }
        _count.set(epoch, last);
        _flipEligible(id);
    }

    /// @dev Whether a gateway is eligible in the epoch after the current one.
    function _isEligibleNext(uint256 id, uint256 currentEpoch) internal view returns (bool) {
        uint256 word = _eligibleIds[id / IDS_PER_WORD];
        if (word >> _CHANGED_SHIFT == currentEpoch) word >>= IDS_PER_WORD;
        return (word >> (id % IDS_PER_WORD)) & 1 != 0;
    }

    /// @dev Notes that a gateway joined or left. If nothing of the group changed in this epoch yet, what is so far becomes what was before.
    function _flipEligible(uint256 id) private {
        uint256 group = id / IDS_PER_WORD;
        uint256 current = _currentEpoch();
        uint256 word = _eligibleIds[group];
        if (word >> _CHANGED_SHIFT != current) {
            word = (word & _NOW_MASK) | ((word & _NOW_MASK) << IDS_PER_WORD) | (current << _CHANGED_SHIFT);
        }
        // forge-lint: disable-next-line(incorrect-shift)
        _eligibleIds[group] = word ^ (1 << (id % IDS_PER_WORD));
    }

    /// @dev Told when a gateway moves to another place.
    function _movedTo(uint16 id, uint16 place) internal virtual;
}
