// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

/// @notice A gateway's money and its place among the eligible, in one word, because a charge needs all of it. From the lowest bit up: penalty
/// tranche (80 bits, wei), refund tranche (80, wei), all that was ever charged (80, wei), place in the eligible set plus one or
/// zero (16).
type Account is uint256;

using AccountLibrary for Account global;

/// @title Account
/// @notice Packs and reads an {Account}. 80 bits hold a million ether.
library AccountLibrary {
    uint256 private constant _AMOUNT_MASK = type(uint80).max;
    uint256 private constant _REFUND_SHIFT = 80;
    uint256 private constant _CHARGED_SHIFT = 160;
    uint256 private constant _PLACE_SHIFT = 240;

    /// @notice An amount is beyond 80 bits.
    error AmountOutOfRange(uint256 penalty, uint256 refund, uint256 charged);

    /// @notice Packs an account.
    function pack(uint256 penalty_, uint256 refund_, uint256 charged_, uint16 placePlusOne_)
        internal
        pure
        returns (Account)
    {
        require(
            penalty_ <= _AMOUNT_MASK && refund_ <= _AMOUNT_MASK && charged_ <= _AMOUNT_MASK,
            AmountOutOfRange(penalty_, refund_, charged_)
        );
        return Account.wrap(
            penalty_ | (refund_ << _REFUND_SHIFT) | (charged_ << _CHARGED_SHIFT)
                | (uint256(placePlusOne_) << _PLACE_SHIFT)
        );
    }

    /// @notice Pays charges, wei.
    function penalty(Account self) internal pure returns (uint256) {
        return Account.unwrap(self) & _AMOUNT_MASK;
    }

    /// @notice Pays refunds, wei.
    function refund(Account self) internal pure returns (uint256) {
        return (Account.unwrap(self) >> _REFUND_SHIFT) & _AMOUNT_MASK;
    }

    /// @notice All that was ever charged to the penalty tranche, wei.
    function charged(Account self) internal pure returns (uint256) {
        return (Account.unwrap(self) >> _CHARGED_SHIFT) & _AMOUNT_MASK;
    }

    /// @notice Its place in the eligible set plus one; zero while it isn't there.
    function placePlusOne(Account self) internal pure returns (uint16) {
        // What is left are 16 bits.
        // forge-lint: disable-next-line(unsafe-typecast)
        return uint16(Account.unwrap(self) >> _PLACE_SHIFT);
    }

    /// @notice The account at another place.
    function withPlace(Account self, uint16 placePlusOne_) internal pure returns (Account) {
        return pack(self.penalty(), self.refund(), self.charged(), placePlusOne_);
    }
}
