// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {IBeaconProofs} from "./IBeaconProofs.sol";
import {IBeaconStateVerifier} from "./IBeaconStateVerifier.sol";

/// @notice A layout of the beacon state and from when on it holds.
struct BeaconFork {
    /// The first slot whose blocks have such states; the first of its epoch.
    uint64 fromSlot;
    /// Who verifies proofs against them.
    IBeaconStateVerifier verifier;
    /// Where in them the next epoch's proposers are, as the verifier said.
    uint32 nextEpochIndex;
}

/// @title Forks of the beacon chain
/// @notice Which verifier counts for a block, rules [F1] to [F3].
interface IBeaconForks is IBeaconProofs {
    /// @notice States from a slot on are verified by this verifier.
    event ForkAppended(uint64 indexed fromSlot, IBeaconStateVerifier indexed verifier);

    /// @notice Only the timelock may append forks, rule [F2].
    error NotTimelock(address caller);
    /// @notice The deployment was made for a chain without proposers to prove; it stays so, rule [F3].
    error NothingToProve();
    /// @notice The verifier has no code, or doesn't say where the next epoch's proposers are.
    error NoVerifierCode(address verifier);
    /// @notice A fork begins with an epoch.
    error ForkNotAtEpoch(uint64 fromSlot);
    /// @notice A fork must lie at least two epochs ahead and after all forks before, rule [F2].
    error ForkTooEarly(uint64 fromSlot, uint256 least);
    /// @notice A fork can be appended at most some months before it comes, rule [F2]: is it a slot?
    error ForkTooLate(uint64 fromSlot, uint256 most);
    /// @notice No verifier is in force in this slot.
    error NoVerifier(uint64 slot);
    /// @notice EIP-4788's contract has forgotten roots of timestamps before `oldest`: take a newer block.
    error BeaconRootExpired(uint64 timestamp, uint256 oldest);
    /// @notice EIP-4788's contract has no root for this timestamp: it isn't an L1 block's.
    error NoBeaconRoot(uint64 timestamp);

    /// @notice Puts another verifier in force, for blocks from a slot on, rule [F2]. Timelock only.
    /// @param fromSlot The first slot of the fork's first epoch, at least two epochs ahead.
    /// @param verifier Who verifies from there on.
    function appendFork(uint64 fromSlot, IBeaconStateVerifier verifier) external;

    /// @notice All forks, the oldest first; none for a chain without proposers to prove.
    function forks() external view returns (BeaconFork[] memory);

    /// @notice The verifier in force in a slot.
    function verifierAt(uint64 slot) external view returns (IBeaconStateVerifier);
}
