// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {BeaconFork} from "../beacon/IBeaconForks.sol";
import {IBeaconStateVerifier} from "../beacon/IBeaconStateVerifier.sol";

/// @notice A fork of the beacon chain in one word, from the lowest bit up: first slot (64 bits), verifier (160), generalized index of the next epoch's
/// proposers (32).
type PackedFork is uint256;

using PackedForkLibrary for PackedFork global;

/// @title Packed fork
/// @notice Packs and reads a {PackedFork}.
library PackedForkLibrary {
    uint256 private constant _VERIFIER_SHIFT = 64;
    uint256 private constant _INDEX_SHIFT = 224;

    /// @notice Packs a fork.
    function pack(BeaconFork memory fork) internal pure returns (PackedFork) {
        return PackedFork.wrap(
            fork.fromSlot | (uint256(uint160(address(fork.verifier))) << _VERIFIER_SHIFT)
                | (uint256(fork.nextEpochIndex) << _INDEX_SHIFT)
        );
    }

    // The casts below cut out the fields.
    // forge-lint: disable-start(unsafe-typecast)

    /// @notice The first slot.
    function fromSlot(PackedFork self) internal pure returns (uint64) {
        return uint64(PackedFork.unwrap(self));
    }

    /// @notice The verifier.
    function verifier(PackedFork self) internal pure returns (IBeaconStateVerifier) {
        return IBeaconStateVerifier(address(uint160(PackedFork.unwrap(self) >> _VERIFIER_SHIFT)));
    }

    /// @notice Where the next epoch's proposers are.
    function nextEpochIndex(PackedFork self) internal pure returns (uint256) {
        return PackedFork.unwrap(self) >> _INDEX_SHIFT;
    }

    // forge-lint: disable-end(unsafe-typecast)

    /// @notice The fork as others are told.
    function unpack(PackedFork self) internal pure returns (BeaconFork memory) {
        // What is left are 32 bits.
        // forge-lint: disable-next-line(unsafe-typecast)
        uint32 index = uint32(self.nextEpochIndex());
        return BeaconFork({fromSlot: self.fromSlot(), verifier: self.verifier(), nextEpochIndex: index});
    }
}
