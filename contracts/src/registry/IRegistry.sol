// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {ILookahead, Window} from "../lookahead/ILookahead.sol";
import {ICollateral} from "./ICollateral.sol";
import {IGateways} from "./IGateways.sol";

/// @title The registry
/// @notice Gateways, their collateral and the schedule, in one contract: a settlement needs all three, and each further contract would cost
/// it a cold call.
interface IRegistry is IGateways, ICollateral, ILookahead {
    /// @notice All that a settlement must know of its slot and its caller, in one call.
    /// @param slot The current slot.
    /// @param caller The gateway that the caller claims to settle for.
    /// @return window The window of the slot.
    /// @return endedSlot From which slot on the window's gateway is ended; the maximum if it isn't.
    /// @return settler The settler of `caller`.
    function settlementContext(uint256 slot, uint16 caller)
        external
        view
        returns (Window memory window, uint40 endedSlot, address settler);

    /// @notice All that charging a run must know of its owner, in one call.
    /// @param slot The run's first owner slot.
    /// @return window The window of the slot.
    /// @return endedSlot From which slot on the window's gateway is ended; the maximum if it isn't.
    /// @return key The owner's sequencer key that counts in the window's epoch.
    function runContext(uint256 slot) external view returns (Window memory window, uint40 endedSlot, address key);
}
