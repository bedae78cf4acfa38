// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {IBeaconForks} from "../beacon/IBeaconForks.sol";
import {IDelegations} from "../delegation/IDelegations.sol";
import {ILookahead} from "../lookahead/ILookahead.sol";
import {Holding} from "../types/Holding.sol";
import {RunKind} from "../types/Outcome.sol";
import {ICollateral} from "./ICollateral.sol";
import {IGateways} from "./IGateways.sol";

/// @notice The deployment's parameters, fixed for good. The inbox takes what it shares with the registry from here.
struct RegistryParameters {
    /// Timestamp of L1 slot 0, seconds.
    uint64 l1GenesisTime;
    /// Seconds of an L1 slot.
    uint64 slotLength;
    /// Seconds between L2 blocks; divides `slotLength`.
    uint64 l2BlockTime;
    /// Slots from an L2 block's own slot to its owner's, rule [T3].
    uint64 settlementDelay;
    /// Slots, before the first in which a block of the epoch can be signed, in which its lookahead can't be published any more, rule [S6].
    uint64 margin;
    /// Slots of a turn in the rotation, rule [S4].
    uint64 turn;
    /// Live slots at a window's end that owe nothing, rule [V2].
    uint64 minChances;
    /// Slots during which evidence counts, rule [I9].
    uint64 evidenceHorizon;
    /// Slots from the end of an exiting gateway's last epoch until its collateral is free, rule [C7].
    uint64 exitDelay;
    /// What a registration costs, in wei, rule [G1].
    uint256 registrationFee;
    /// What the penalty tranche must hold for eligibility, in wei, rule [C3].
    uint256 penaltyThreshold;
    /// What the refund tranche must hold for eligibility, in wei.
    uint256 refundThreshold;
    /// The price of a large fault, in wei, rule [C6].
    uint256 largeFault;
    /// What a dropped block costs its owner, in wei, rule [V5].
    uint256 blockPrice;
    /// The rollup operator: owner of id 0, rule [G1].
    address operator;
    /// The key that signs adopted blocks which their owner hasn't signed; id 0's, rule [I8].
    address fallbackKey;
    /// The inbox, rule [C4].
    address inbox;
    /// The beacon chain's `GENESIS_FORK_VERSION`, part of what validators sign, rule [D2].
    bytes4 genesisForkVersion;
    /// May append forks of the beacon chain, rule [F2].
    address timelock;
    /// The first slot whose states `firstVerifier` verifies, the first of its epoch.
    uint64 firstForkSlot;
    /// Verifies states of the beacon chain; zero for a chain without proposers to prove, rule [F3].
    address firstVerifier;
}

/// @title The registry
/// @notice Gateways, their collateral, proposers' delegations and the schedule, in one contract: a settlement needs all three, and each further contract would cost
/// it a cold call.
interface IRegistry is ILookahead, IDelegations, IBeaconForks, IGateways, ICollateral {
    /// @notice A slot must hold a whole number of L2 blocks, rule [T2].
    error SlotNotMultipleOfBlock(uint256 slotLength, uint256 l2BlockTime);
    /// @notice The evidence horizon exceeds what EIP-4788 and EIP-2935 can still prove.
    error HorizonTooLong(uint256 evidenceHorizon, uint256 most);
    /// @notice Collateral must stay beyond the last slot of evidence, rule [C7].
    error ExitDelayTooShort(uint256 exitDelay, uint256 evidenceHorizon);
    /// @notice The penalty threshold must cover the longest exposure, rule [C3].
    error PenaltyThresholdTooLow(uint256 penaltyThreshold, uint256 least);

    /// @notice The deployment's parameters.
    function parameters() external view returns (RegistryParameters memory);

    /// @notice All that a settlement must know of its slot and its caller, in one call.
    /// @param slot The current slot.
    /// @param caller The gateway that the caller claims to settle for.
    /// @return holding The window of the slot, its gateway and that gateway's end.
    /// @return settler The settler of `caller`.
    function settlementContext(uint256 slot, uint16 caller) external view returns (Holding holding, address settler);

    /// @notice All that judging a run must know of its owner, in one call.
    /// @param slot The run's first owner slot.
    /// @param kind What the run is declared to be.
    /// @return holding The window of the slot, its gateway and that gateway's end.
    /// @return key The key whose signature a run of this kind carries, as it counts in the window's epoch: the owner's for a
    /// re-created run, the fallback key for a vacant one, else zero.
    function runContext(uint256 slot, RunKind kind) external view returns (Holding holding, address key);
}
