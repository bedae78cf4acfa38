// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

/// @title Batcher rotation
/// @notice The owner of the rollup's SystemConfig, rule [R3].
interface IBatcherRotation {
    /// @notice The timelock had a call forwarded.
    event Forwarded(bytes4 indexed selector);

    /// @notice Only the inbox may rotate the batcher.
    error NotInbox(address caller);
    /// @notice Only the timelock may forward calls.
    error NotTimelock(address caller);
    /// @notice The batcher is the inbox's to set.
    error ReservedForInbox();

    /// @notice The field must not be the zero address.
    error ZeroAddress(string field);

    /// @notice The inbox that may rotate the batcher.
    function inbox() external view returns (address);

    /// @notice Makes an account the rollup's batcher. Inbox only.
    function rotate(address settler) external;

    /// @notice Forwards a call to the SystemConfig, unless it sets the batcher or the owner. Timelock only.
    /// @param data The call.
    /// @return The answer.
    function forward(bytes calldata data) external returns (bytes memory);
}
