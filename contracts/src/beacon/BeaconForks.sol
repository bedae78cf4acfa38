// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {SlotClock} from "../time/SlotClock.sol";
import {PackedFork, PackedForkLibrary} from "../types/PackedFork.sol";
import {BeaconProof} from "./BeaconProof.sol";
import {BeaconRoots} from "./BeaconRoots.sol";
import {BeaconFork, IBeaconForks} from "./IBeaconForks.sol";
import {LookaheadProof, ValidatorProof} from "./IBeaconProofs.sol";
import {IBeaconStateVerifier} from "./IBeaconStateVerifier.sol";
import {SszTree} from "./SszTree.sol";

/// @title Beacon forks
/// @notice Rules [F1] to [F3].
abstract contract BeaconForks is IBeaconForks, SlotClock {
    /// @notice How much later a fork may begin than the earliest that can be appended, in slots: 291 days of slots of 12 s, rule [F2].
    uint256 internal constant MAX_FORK_LEAD = 1 << 21;

    /// @notice May append forks, rule [F2].
    address internal immutable TIMELOCK;
    /// @notice Whether the chain has proposers to prove.
    bool internal immutable PROVABLE;
    /// @notice As deployed.
    uint64 internal immutable FIRST_FORK_SLOT;
    /// @notice As deployed.
    IBeaconStateVerifier internal immutable FIRST_VERIFIER;

    /// @dev The newest fork, in one word: usually that is all that is asked for.
    PackedFork private _newest;
    /// @dev The forks before it, the oldest first.
    PackedFork[] private _older;

    constructor(address timelock, uint64 firstForkSlot, address firstVerifier) {
        TIMELOCK = timelock;
        FIRST_FORK_SLOT = firstForkSlot;
        FIRST_VERIFIER = IBeaconStateVerifier(firstVerifier);
        PROVABLE = firstVerifier != address(0);
        if (PROVABLE) {
            require(timelock != address(0), ZeroParameter("timelock"));
            _append(firstForkSlot, IBeaconStateVerifier(firstVerifier));
        }
    }

    /// @inheritdoc IBeaconForks
    function appendFork(uint64 fromSlot, IBeaconStateVerifier verifier) external {
        require(msg.sender == TIMELOCK, NotTimelock(msg.sender));
        require(PROVABLE, NothingToProve());
        // Two epochs, so that a publication's rules don't change under a publisher who has a proof at hand, and the timelock's mistake
        // can be seen before it counts.
        uint256 least = (_currentEpoch() + EPOCHS_TO_FORCE) * SLOTS_PER_EPOCH;
        // A timestamp taken for a slot, say, would shut out all forks to come.
        uint256 most = least + MAX_FORK_LEAD;
        require(fromSlot <= most, ForkTooLate(fromSlot, most));
        uint256 after_ = uint256(_newest.fromSlot()) + SLOTS_PER_EPOCH;
        if (after_ > least) least = after_;
        require(fromSlot >= least, ForkTooEarly(fromSlot, least));
        _older.push(_newest);
        _append(fromSlot, verifier);
    }

    /// @inheritdoc IBeaconForks
    function forks() external view returns (BeaconFork[] memory all) {
        uint256 older = _older.length;
        all = new BeaconFork[](PROVABLE ? older + 1 : 0);
        for (uint256 i = 0; i < older; ++i) {
            all[i] = _older[i].unpack();
        }
        if (PROVABLE) all[older] = _newest.unpack();
    }

    /// @inheritdoc IBeaconForks
    function verifierAt(uint64 slot) external view returns (IBeaconStateVerifier) {
        return _forkAt(slot).verifier();
    }

    /// @dev The fork whose states blocks of a slot have, rule [F1].
    function _forkAt(uint64 slot) internal view returns (PackedFork fork) {
        fork = _newest;
        if (slot < fork.fromSlot()) {
            for (uint256 left = _older.length; slot < fork.fromSlot() && left != 0; --left) {
                fork = _older[left - 1];
            }
            require(slot >= fork.fromSlot(), NoVerifier(slot));
        }
        require(PROVABLE, NoVerifier(slot));
    }

    /// @dev Refuses a proof of the next epoch's proposers that doesn't hold against the parent of an L1 block.
    /// @param slot Its header's.
    function _checkLookahead(LookaheadProof calldata proof, uint64 slot, uint64 timestamp) internal view {
        uint256 generalizedIndex = _forkAt(slot).nextEpochIndex();
        BeaconProof.checkHeader(proof.header, _blockRootAt(timestamp));
        BeaconProof.checkBranch(proof.header, SszTree.root(proof.chunks), generalizedIndex, proof.branch);
    }

    /// @dev Refuses a proof of a validator that doesn't hold against the parent of an L1 block.
    function _checkValidator(ValidatorProof calldata proof, uint64 timestamp) internal view {
        _forkAt(proof.header.slot).verifier().verifyValidator(_blockRootAt(timestamp), proof);
    }

    /// @dev The parent beacon block's root of the L1 block with this timestamp.
    function _blockRootAt(uint64 timestamp) internal view returns (bytes32 root) {
        root = BeaconRoots.rootAt(timestamp);
        if (root == 0) {
            // A slot's place in the ring is taken again exactly a ring of slots later.
            uint256 reach = (BeaconRoots.RING - 1) * SLOT_LENGTH;
            // forge-lint: disable-next-line(block-timestamp)
            uint256 oldest = block.timestamp < reach ? 0 : block.timestamp - reach;
            require(timestamp >= oldest, BeaconRootExpired(timestamp, oldest));
            revert NoBeaconRoot(timestamp);
        }
    }

    function _append(uint64 fromSlot, IBeaconStateVerifier verifier) private {
        require(fromSlot % SLOTS_PER_EPOCH == 0, ForkNotAtEpoch(fromSlot));
        require(address(verifier).code.length != 0, NoVerifierCode(address(verifier)));
        uint32 nextEpochIndex = verifier.nextEpochIndex();
        // An index of zero has no branch, one of one an empty branch: the state's root itself.
        require(nextEpochIndex > 1, NoVerifierCode(address(verifier)));
        _newest = PackedForkLibrary.pack(
            BeaconFork({fromSlot: fromSlot, verifier: verifier, nextEpochIndex: nextEpochIndex})
        );
        emit ForkAppended(fromSlot, verifier);
    }
}
