// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {SlotClock} from "../time/SlotClock.sol";
import {BeaconRoots} from "./BeaconRoots.sol";
import {BeaconFork, IBeaconForks} from "./IBeaconForks.sol";
import {IBeaconStateVerifier} from "./IBeaconStateVerifier.sol";

/// @title Beacon forks
/// @notice Rules [F1] to [F3].
abstract contract BeaconForks is IBeaconForks, SlotClock {
    /// @notice May append forks, rule [F2].
    address internal immutable TIMELOCK;
    /// @notice Whether the chain has proposers to prove.
    bool internal immutable PROVABLE;
    /// @notice As deployed.
    uint64 internal immutable FIRST_FORK_SLOT;
    /// @notice As deployed.
    IBeaconStateVerifier internal immutable FIRST_VERIFIER;

    /// @dev The newest fork, in one word: usually that is all that is asked for.
    BeaconFork private _newest;
    /// @dev The forks before it, the oldest first.
    BeaconFork[] private _older;

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
        uint256 after_ = uint256(_newest.fromSlot) + SLOTS_PER_EPOCH;
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
            all[i] = _older[i];
        }
        if (PROVABLE) all[older] = _newest;
    }

    /// @inheritdoc IBeaconForks
    function verifierAt(uint64 slot) external view returns (IBeaconStateVerifier) {
        return _verifierAt(slot);
    }

    /// @dev The verifier in force in a slot, rule [F1].
    function _verifierAt(uint64 slot) internal view returns (IBeaconStateVerifier) {
        BeaconFork memory fork = _newest;
        // The usual case, in one storage read.
        if (slot >= fork.fromSlot && PROVABLE) return fork.verifier;
        for (uint256 left = _older.length; slot < fork.fromSlot && left != 0; --left) {
            fork = _older[left - 1];
        }
        require(slot >= fork.fromSlot && PROVABLE, NoVerifier(slot));
        return fork.verifier;
    }

    /// @dev Has a proof checked by the verifier in force, against the parent of an L1 block. Reverts unless it holds.
    /// @param selector Which of the verifier's functions; it takes a block root and a proof.
    /// @param slot The slot of the proof's header: the first word of the proof.
    /// @param timestamp The L1 block's.
    /// @param proof Where the proof begins in this call's data. It is handed on as it is, with all that follows: decoding and encoding it would
    /// cost more than checking it. What is read of it here is, by its offset, what the verifier reads.
    function _verify(bytes4 selector, uint64 slot, uint64 timestamp, uint256 proof) internal view {
        IBeaconStateVerifier verifier = _verifierAt(slot);
        bytes32 root = _blockRootAt(timestamp);
        // That the verifier has code was checked when it was appended.
        assembly ("memory-safe") {
            let begin := mload(0x40)
            mstore(begin, selector)
            mstore(add(begin, 0x04), root)
            mstore(add(begin, 0x24), 0x40)
            let length := sub(calldatasize(), proof)
            calldatacopy(add(begin, 0x44), proof, length)
            if iszero(staticcall(gas(), verifier, begin, add(length, 0x44), 0x00, 0x00)) {
                returndatacopy(begin, 0, returndatasize())
                revert(begin, returndatasize())
            }
        }
    }

    /// @dev The parent beacon block's root of the L1 block with this timestamp.
    function _blockRootAt(uint64 timestamp) internal view returns (bytes32 root) {
        root = BeaconRoots.rootAt(timestamp);
        if (root == 0) {
            // A slot's place in the ring is taken again exactly a ring of slots later.
            uint256 reach = (BeaconRoots.RING - 1) * SLOT_LENGTH;
            uint256 oldest = block.timestamp < reach ? 0 : block.timestamp - reach;
            require(timestamp >= oldest, BeaconRootExpired(timestamp, oldest));
            revert NoBeaconRoot(timestamp);
        }
    }

    function _append(uint64 fromSlot, IBeaconStateVerifier verifier) private {
        require(fromSlot % SLOTS_PER_EPOCH == 0, ForkNotAtEpoch(fromSlot));
        require(address(verifier).code.length != 0, NoVerifierCode(address(verifier)));
        _newest = BeaconFork({fromSlot: fromSlot, verifier: verifier});
        emit ForkAppended(fromSlot, verifier);
    }
}
