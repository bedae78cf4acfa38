// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

/// @notice What a run of blocks is declared to be, rules [I6] to [I9].
enum RunKind {
    Own,
    Recreated,
    Vacant,
    Stale
}

/// @notice What became of a run, in one word: kind (8 bits), signed (8), owner (16), blocks (24), charged blocks (24), paid (80), bounty (80), from the lowest bit up.
type Outcome is uint256;

using OutcomeLibrary for Outcome global;

/// @title Outcome
/// @notice Packs and reads an {Outcome}.
library OutcomeLibrary {
    uint256 private constant _SIGNED = 1 << 8;
    uint256 private constant _OWNER_SHIFT = 16;
    uint256 private constant _BLOCKS_SHIFT = 32;
    uint256 private constant _CHARGED_BLOCKS_SHIFT = 56;
    uint256 private constant _PAID_SHIFT = 80;
    uint256 private constant _BOUNTY_SHIFT = 160;

    /// @notice The outcome of a run that charges nobody.
    function uncharged(RunKind kind_, bool signed_, uint16 owner_, uint24 blocks_) internal pure returns (Outcome) {
        return Outcome.wrap(
            uint256(kind_) | (signed_ ? _SIGNED : 0) | (uint256(owner_) << _OWNER_SHIFT)
                | (uint256(blocks_) << _BLOCKS_SHIFT)
        );
    }

    /// @notice The outcome with what was charged added. Only for an outcome of {uncharged}.
    /// @param chargedBlocks_ How many of the blocks the owner was liable for.
    /// @param paid_ What the owner paid for them, in wei.
    /// @param bounty_ The poster's share of that, in wei.
    function withCharge(Outcome self, uint24 chargedBlocks_, uint80 paid_, uint80 bounty_)
        internal
        pure
        returns (Outcome)
    {
        return Outcome.wrap(
            Outcome.unwrap(self) | (uint256(chargedBlocks_) << _CHARGED_BLOCKS_SHIFT) | (uint256(paid_) << _PAID_SHIFT)
                | (uint256(bounty_) << _BOUNTY_SHIFT)
        );
    }

    // The casts below cut out the fields.
    // forge-lint: disable-start(unsafe-typecast)

    /// @notice What the run was.
    function kind(Outcome self) internal pure returns (RunKind) {
        return RunKind(uint8(Outcome.unwrap(self)));
    }

    /// @notice Whether the run carried a signature.
    function signed(Outcome self) internal pure returns (bool) {
        return Outcome.unwrap(self) & _SIGNED != 0;
    }

    /// @notice The gateway that owned the blocks; zero for nobody's and for stale ones.
    function owner(Outcome self) internal pure returns (uint16) {
        return uint16(Outcome.unwrap(self) >> _OWNER_SHIFT);
    }

    /// @notice How many blocks the run had.
    function blocks(Outcome self) internal pure returns (uint24) {
        return uint24(Outcome.unwrap(self) >> _BLOCKS_SHIFT);
    }

    /// @notice For how many of them the owner was charged.
    function chargedBlocks(Outcome self) internal pure returns (uint24) {
        return uint24(Outcome.unwrap(self) >> _CHARGED_BLOCKS_SHIFT);
    }

    /// @notice What the owner paid, in wei.
    function paid(Outcome self) internal pure returns (uint80) {
        return uint80(Outcome.unwrap(self) >> _PAID_SHIFT);
    }

    /// @notice The poster's share of it, in wei.
    function bounty(Outcome self) internal pure returns (uint80) {
        return uint80(Outcome.unwrap(self) >> _BOUNTY_SHIFT);
    }

    // forge-lint: disable-end(unsafe-typecast)
}
