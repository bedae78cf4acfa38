// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

/// @notice To whom a validator delegates its slots, in one word, because a publication reads 32 of them. From the lowest bit up: gateway set last (16
/// bits), gateway before (16), nonce (64); in the highest 32 bits the epoch in which that changed.
type StandingDelegation is uint256;

using StandingDelegationLibrary for StandingDelegation global;

/// @title Standing delegation
/// @notice Packs and reads a {StandingDelegation}. Only publications ask, always for the next epoch, so the last change and what was before it
/// suffice: what was set in the current epoch doesn't count yet, what was set before does, rule [T6].
library StandingDelegationLibrary {
    uint256 private constant _GATEWAY_MASK = type(uint16).max;
    uint256 private constant _BEFORE_SHIFT = 16;
    uint256 private constant _NONCE_SHIFT = 32;
    uint256 private constant _EPOCH_SHIFT = 224;

    /// @notice The gateway set last; zero if none.
    function latest(StandingDelegation self) internal pure returns (uint16) {
        // The lowest bits are it.
        // forge-lint: disable-next-line(unsafe-typecast)
        return uint16(StandingDelegation.unwrap(self));
    }

    /// @notice The gateway that counts for the epoch after the current one; zero if none.
    function inForceAfter(StandingDelegation self, uint256 currentEpoch) internal pure returns (uint256) {
        uint256 word = StandingDelegation.unwrap(self);
        bool pending = word >> _EPOCH_SHIFT == currentEpoch;
        return (pending ? word >> _BEFORE_SHIFT : word) & _GATEWAY_MASK;
    }

    /// @notice The epoch in which the gateway was set last.
    function changedIn(StandingDelegation self) internal pure returns (uint256) {
        return StandingDelegation.unwrap(self) >> _EPOCH_SHIFT;
    }

    /// @notice How often it was set, by whichever way.
    function nonce(StandingDelegation self) internal pure returns (uint64) {
        // What is above is cut off.
        // forge-lint: disable-next-line(unsafe-typecast)
        return uint64(StandingDelegation.unwrap(self) >> _NONCE_SHIFT);
    }

    /// @notice The delegation with another gateway, set in the current epoch; the nonce is used up.
    function withGateway(StandingDelegation self, uint16 gateway, uint256 currentEpoch)
        internal
        pure
        returns (StandingDelegation)
    {
        uint256 before = self.inForceAfter(currentEpoch);
        return StandingDelegation.wrap(
            gateway | (before << _BEFORE_SHIFT) | (currentEpoch << _EPOCH_SHIFT)
                | ((uint256(self.nonce()) + 1) << _NONCE_SHIFT)
        );
    }
}
