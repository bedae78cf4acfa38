// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {BeaconRoots} from "../beacon/BeaconRoots.sol";
import {Kind} from "../lookahead/ILookahead.sol";
import {BlockClock} from "../time/BlockClock.sol";
import {Holding} from "../types/Holding.sol";

/// @title Harbour
/// @notice The live-slot verdict, rules [V1] to [V4]: for which blocks of a window its owner had chances enough.
abstract contract Harbour is BlockClock {
    /// @notice Windows told apart by the slot they begin with; as many as there are records, more than any horizon needs.
    uint256 internal constant BACKLOG_RING = 16_384;

    /// @notice Live slots at a window's end that owe nothing.
    uint256 internal immutable MIN_CHANCES;

    uint256 private constant _TAG_SHIFT = 64;

    /// @dev Windows whose owner began with a backlog, rule [V4]: first slot (upper bits) and blocks that the owner settled in the window
    /// (lower 64). Written in the rare case only; the usual settlement doesn't come near it.
    uint256[BACKLOG_RING] private _backlogs;

    constructor(uint256 minChances) {
        MIN_CHANCES = minChances;
    }

    /// @dev Notes a settlement by the owner of a window that began with a backlog.
    /// @param window The window.
    /// @param begins Whether it is the owner's first settlement in the window.
    /// @param blocks How many blocks it settled.
    /// @return counts Whether more would make a difference: not once it has settled what the window produces with all slots live.
    function _noteBacklog(Holding window, bool begins, uint256 blocks) internal returns (bool counts) {
        uint256 first = window.first();
        uint256 position = first % BACKLOG_RING;
        uint256 backlog = begins ? (first << _TAG_SHIFT) | blocks : _backlogs[position] + blocks;
        _backlogs[position] = backlog;
        // The lower half is the count.
        // forge-lint: disable-next-line(unsafe-typecast)
        return uint64(backlog) < (window.end() - first) * _blocksPerSlot();
    }

    /// @dev Blocks of the window with an owner slot below the answer are liable. The window must be over.
    function _liableBefore(Holding window) internal view returns (uint256 bound) {
        bound = _chancesUpTo(window);
        if (bound > window.first() && _excusedByBacklog(window)) bound = window.first();
    }

    /// @dev Rules [V2] and [V3].
    function _chancesUpTo(Holding window) private view returns (uint256 bound) {
        if (window.kind() == Kind.Open) return window.first();
        uint256 last = window.end() - 1;
        // There is one settlement a slot: who lost the last to another had no last chance.
        if (window.kind() == Kind.Proven && _isLive(last) && !_isTaken(last)) return window.end();
        uint256 first = window.first();
        uint256 chances = 0;
        // The bound stays above the first slot, and there are no more chances than slots.
        unchecked {
            for (bound = window.end(); bound > first; --bound) {
                if (_isLive(bound - 1) && ++chances == MIN_CHANCES) break;
            }
        }
    }

    /// @dev Whether another than the slot's holder settled in a slot.
    function _isTaken(uint256 slot) internal view virtual returns (bool);

    /// @dev Rule [V4].
    function _excusedByBacklog(Holding window) private view returns (bool) {
        uint256 backlog = _backlogs[window.first() % BACKLOG_RING];
        // The lower half is the count.
        // forge-lint: disable-next-line(unsafe-typecast)
        uint256 settled = uint64(backlog);
        // An entry of an earlier lap of the ring says nothing. An empty one has nothing settled.
        if (settled == 0 || backlog >> _TAG_SHIFT != window.first()) return false;
        uint256 live = 0;
        for (uint256 slot = window.first(); slot < window.end(); ++slot) {
            if (_isLive(slot)) ++live;
        }
        return settled >= live * _blocksPerSlot();
    }

    /// @dev Whether a slot had an L1 block, rule [V1].
    function _isLive(uint256 slot) private view returns (bool live) {
        return BeaconRoots.rootAt(_slotTimestamp(slot)) != 0;
    }
}
