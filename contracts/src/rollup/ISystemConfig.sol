// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

/// @title The part of OP Stack's SystemConfig that Baton uses
interface ISystemConfig {
    /// @notice What kind of value changed; `BATCHER` is the first.
    enum UpdateType {
        BATCHER
    }

    /// @notice A value that derivation follows changed. `data` of a batcher update is the hash, ABI-encoded.
    event ConfigUpdate(uint256 indexed version, UpdateType indexed updateType, bytes data);

    /// @notice Sets the batcher: its address in the lower 20 bytes, zeros above.
    function setBatcherHash(bytes32 batcherHash) external;

    /// @notice The batcher's hash.
    function batcherHash() external view returns (bytes32);

    /// @notice Hands the contract to another owner.
    function transferOwnership(address newOwner) external;
}
