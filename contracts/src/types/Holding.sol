// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {Kind, Window} from "../lookahead/ILookahead.sol";

/// @notice Who holds a window, in one word, as the registry tells the inbox: gateway (16 bits), kind (8), first slot (40), one past the last
/// (40), the slot from which the gateway is ended or zero (40), from the lowest bit up. A word, because as a struct it would cost a
/// settlement more to encode and decode than to find out.
type Holding is uint256;

using HoldingLibrary for Holding global;

/// @title Holding
/// @notice Packs and reads a {Holding}.
library HoldingLibrary {
    uint256 private constant _KIND_SHIFT = 16;
    uint256 private constant _FIRST_SHIFT = 24;
    uint256 private constant _END_SHIFT = 64;
    uint256 private constant _ENDED_SHIFT = 104;
    uint256 private constant _GATEWAY_MASK = type(uint16).max;
    uint256 private constant _KIND_MASK = type(uint8).max;
    uint256 private constant _SLOT_MASK = type(uint40).max;

    /// @notice Packs a holding whose gateway isn't ended. Slots must fit 40 bits, the gateway 16.
    function pack(uint256 gateway_, Kind kind_, uint256 first_, uint256 end_) internal pure returns (Holding) {
        return
            Holding.wrap(gateway_ | (uint256(kind_) << _KIND_SHIFT) | (first_ << _FIRST_SHIFT) | (end_ << _END_SHIFT));
    }

    /// @notice The holding with the slot of the gateway's end added. Only for one of {pack}.
    function withEnd(Holding self, uint256 endedSlot_) internal pure returns (Holding) {
        return Holding.wrap(Holding.unwrap(self) | (endedSlot_ << _ENDED_SHIFT));
    }

    /// @notice The gateway; zero in open slots.
    function gateway(Holding self) internal pure returns (uint256) {
        return Holding.unwrap(self) & _GATEWAY_MASK;
    }

    /// @notice How the gateway came by the slots.
    function kind(Holding self) internal pure returns (Kind) {
        return Kind((Holding.unwrap(self) >> _KIND_SHIFT) & _KIND_MASK);
    }

    /// @notice The window's first slot.
    function first(Holding self) internal pure returns (uint256) {
        return (Holding.unwrap(self) >> _FIRST_SHIFT) & _SLOT_MASK;
    }

    /// @notice One past the window's last slot.
    function end(Holding self) internal pure returns (uint256) {
        return (Holding.unwrap(self) >> _END_SHIFT) & _SLOT_MASK;
    }

    /// @notice The slot from which the gateway is ended; zero if it isn't.
    function endedSlot(Holding self) internal pure returns (uint256) {
        return (Holding.unwrap(self) >> _ENDED_SHIFT) & _SLOT_MASK;
    }

    /// @notice Whether a slot of the window is open to any eligible gateway, rule [S5].
    function isOpenIn(Holding self, uint256 slot) internal pure returns (bool) {
        uint256 ended = self.endedSlot();
        return self.gateway() == 0 || (ended != 0 && slot >= ended);
    }

    /// @notice The holding's window.
    function window(Holding self) internal pure returns (Window memory) {
        // The fields were masked to these widths.
        // forge-lint: disable-start(unsafe-typecast)
        return Window({
            gateway: uint16(self.gateway()), kind: self.kind(), first: uint40(self.first()), end: uint40(self.end())
        });
        // forge-lint: disable-end(unsafe-typecast)
    }
}
