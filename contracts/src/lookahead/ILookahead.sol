// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {LookaheadProof} from "../beacon/IBeaconProofs.sol";

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
/// @notice The schedule of L1 slots, rules [S1] to [S8]. Every slot has exactly one answer, which never changes from the moment that the
/// slot's epoch is *fixed*: when its lookahead is published, or when it can't be any more, `settlementDelay + margin` slots before the
/// epoch begins; on a chain without proposers to prove, as soon as it is the next.
interface ILookahead {
    /// @notice An epoch's lookahead was published; `scheduleOf` spells it out.
    /// @param epoch The epoch.
    /// @param schedule The schedule as stored, see `EpochSchedule`; of one with more than eight gateways the first word.
    event LookaheadPublished(uint64 indexed epoch, uint256 schedule);

    /// @notice The slot lies too far ahead: its epoch's schedule can still change.
    /// @param epoch The epoch asked for.
    /// @param last The last epoch with a fixed schedule: the current one or the next.
    error EpochNotFixed(uint256 epoch, uint256 last);
    /// @notice The slot lies too far back: its epoch's schedule isn't kept any more, rule [S8].
    /// @param epoch The epoch asked for.
    /// @param oldest The oldest epoch that is kept.
    error EpochForgotten(uint256 epoch, uint256 oldest);
    /// @notice The epoch's lookahead can be published from slot `from` on and before slot `end`, rule [S6].
    error PublicationClosed(uint64 epoch, uint256 from, uint256 end);
    /// @notice The epoch's lookahead was published before.
    error AlreadyPublished(uint64 epoch);
    /// @notice The proof is of a state of another epoch than the one before the published: its halves are other epochs'.
    /// @param slot The slot of its header.
    error WrongEpoch(uint64 slot);

    /// @notice Publishes an epoch's lookahead: rules [S2], [S6], [S7]. Anyone may, in the epoch before.
    /// @param epoch The epoch, the one after the current.
    /// @param timestamp The timestamp of the L1 block after the one whose state the proof is of, rule [F4].
    /// @param proof The epoch's proposers, proven.
    function publish(uint64 epoch, uint64 timestamp, LookaheadProof calldata proof) external;

    /// @notice Whether an epoch's lookahead was published, as long as its place in the ring isn't another's.
    function isPublished(uint256 epoch) external view returns (bool);

    /// @notice The gateway that owns a slot.
    /// @param slot L1 slot of an epoch that is fixed and kept.
    /// @return gateway Its id; 0 for an open slot.
    function gatewayAt(uint256 slot) external view returns (uint16 gateway);

    /// @notice The window that a slot lies in.
    /// @param slot L1 slot of an epoch that is fixed and kept.
    function windowAt(uint256 slot) external view returns (Window memory window);

    /// @notice The whole schedule of an epoch, for those who follow it off chain.
    /// @param epoch One that is fixed and kept.
    /// @return gateways The ids, slot by slot.
    /// @return kinds The kind of each slot.
    function scheduleOf(uint256 epoch) external view returns (uint16[32] memory gateways, Kind[32] memory kinds);
}
