// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {ILookahead, Kind, Window} from "../lookahead/ILookahead.sol";
import {Holding, HoldingLibrary} from "../types/Holding.sol";
import {EligibleSet} from "./EligibleSet.sol";

/// @title Lookahead
/// @notice Rules [S1] to [S4]. Only the fallback rotation so far, rule [S3]; a proven epoch will answer before it.
abstract contract Lookahead is ILookahead, EligibleSet {
    /// @notice Slots of a turn, rule [S4].
    uint256 internal immutable TURN;
    /// @notice Live slots at a window's end that owe nothing, rule [V2].
    uint256 internal immutable MIN_CHANCES;

    /// @notice A turn must divide the epoch, rule [S4].
    error TurnNotDividingEpoch(uint256 turn);
    /// @notice A turn must have more slots than the chances it owes its owner, rule [S4].
    error TurnTooShort(uint256 turn, uint256 minChances);

    constructor(uint256 turn, uint256 minChances) {
        require(turn != 0, ZeroParameter("turn"));
        require(minChances != 0, ZeroParameter("minChances"));
        require(SLOTS_PER_EPOCH % turn == 0, TurnNotDividingEpoch(turn));
        require(turn > minChances, TurnTooShort(turn, minChances));
        TURN = turn;
        MIN_CHANCES = minChances;
    }

    /// @inheritdoc ILookahead
    function gatewayAt(uint256 slot) external view returns (uint16 gateway) {
        // forge-lint: disable-next-line(unsafe-typecast)
        return uint16(_holdingAt(slot).gateway());
    }

    /// @inheritdoc ILookahead
    function windowAt(uint256 slot) external view returns (Window memory window) {
        return _holdingAt(slot).window();
    }

    /// @inheritdoc ILookahead
    function scheduleOf(uint256 epoch) external view returns (uint16[32] memory gateways, Kind[32] memory kinds) {
        uint256 begin = epoch * SLOTS_PER_EPOCH;
        for (uint256 i = 0; i < SLOTS_PER_EPOCH;) {
            Window memory window = _holdingAt(begin + i).window();
            for (; begin + i < window.end; ++i) {
                gateways[i] = window.gateway;
                kinds[i] = window.kind;
            }
        }
    }

    /// @dev Who holds a slot's window, without its end. Turns of two or more gateways never meet their like within an epoch, so each
    /// is a window; a single gateway, or nobody, has the whole epoch.
    function _holdingAt(uint256 slot) internal view returns (Holding) {
        // The slot is at most one epoch ahead of a timestamp, so nothing overflows, and 40 bits last.
        unchecked {
            uint256 epoch = slot / SLOTS_PER_EPOCH;
            uint256 lastFixed = _currentEpoch() + EPOCHS_TO_FORCE - 1;
            require(epoch <= lastFixed, EpochNotFixed(epoch, lastFixed));
            uint256 count = _count.valueAt(epoch);
            uint256 length = count < 2 ? SLOTS_PER_EPOCH : TURN;
            uint256 first = slot - slot % length;
            if (count == 0) return HoldingLibrary.pack(0, Kind.Open, first, first + length);
            uint256 gateway = _members[slot / TURN % count].valueAt(epoch);
            return HoldingLibrary.pack(gateway, Kind.Fallback, first, first + length);
        }
    }
}
