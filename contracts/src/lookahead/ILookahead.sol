// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

/// @notice How a slot came by its gateway.
enum Kind {
    /// Nobody: any eligible gateway may settle, rule [S5].
    Open,
    /// The rotation over the eligible set, rule [S3].
    Fallback,
    /// A proposer's delegation, proven from the beacon state, rule [S2].
    Proven
}

/// @notice A run of slots of one gateway, rule [T5].
struct Window {
    /// The gateway's id; 0 in open slots.
    uint16 gateway;
    /// How the gateway came by the slots.
    Kind kind;
    /// First slot.
    uint40 first;
    /// One past the last slot.
    uint40 end;
}

/// @title Who owns which L1 slot
/// @notice The schedule of L1 slots, rules [S1] to [S5]. Every slot has exactly one answer, which never changes from the moment
/// that the slot's epoch is one epoch away.
interface ILookahead {
    /// @notice The slot lies too far ahead: its epoch's eligible set can still change. Ask for an epoch up to the current one plus one.
    /// @param epoch The epoch asked for.
    /// @param last The last epoch with a fixed schedule.
    error EpochNotFixed(uint256 epoch, uint256 last);

    /// @notice The gateway that owns a slot.
    /// @param slot L1 slot, at most the last of the next epoch.
    /// @return gateway Its id; 0 for an open slot.
    function gatewayAt(uint256 slot) external view returns (uint16 gateway);

    /// @notice The window that a slot lies in.
    /// @param slot L1 slot, at most the last of the next epoch.
    function windowAt(uint256 slot) external view returns (Window memory window);

    /// @notice The whole schedule of an epoch, for those who follow it off chain.
    /// @param epoch The current epoch plus one, or any before.
    /// @return gateways The ids, slot by slot.
    /// @return kinds The kind of each slot.
    function scheduleOf(uint256 epoch) external view returns (uint16[32] memory gateways, Kind[32] memory kinds);
}
