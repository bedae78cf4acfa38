// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {SlotClock} from "../time/SlotClock.sol";
import {EpochHistory} from "../types/EpochHistory.sol";

/// @title The eligible set
/// @notice Who takes turns in fallback epochs, rules [C2] and [S3]: a dense list whose every place, and whose length, remembers what
/// it was in each epoch. Joining appends, leaving moves the last member into the gap: neither loops. A change made in epoch X
/// counts from X + 2, rule [T6], and until then shows only in the newest values.
abstract contract EligibleSet is SlotClock {
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
    }

    /// @dev Takes a gateway out; the last one takes its place.
    function _leave(uint16 place) internal {
        uint256 epoch = _currentEpoch() + EPOCHS_TO_FORCE;
        uint16 last = _count.latest() - 1;
        if (place != last) {
            uint16 moved = _members[last].latest();
            _members[place].set(epoch, moved);
            _movedTo(moved, place);
        }
        _count.set(epoch, last);
    }

    /// @dev Told when a gateway moves to another place.
    function _movedTo(uint16 id, uint16 place) internal virtual;
}
