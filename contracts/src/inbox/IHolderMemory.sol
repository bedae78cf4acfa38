// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

/// @title The inbox's memory of the holder
/// @notice A holder's further settlements in its window don't ask the registry. What could make that wrong is told at once.
interface IHolderMemory {
    /// @notice Only the registry may call this.
    error NotRegistry(address caller);

    /// @notice Makes the inbox ask the registry again about a gateway: its settler changed, or it was ended. Registry only.
    function forgetHolder(uint16 gateway) external;
}
