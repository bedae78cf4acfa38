// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

/// @notice A gateway's money, in wei.
struct Tranches {
    /// Pays charges.
    uint80 penalty;
    /// Pays refunds.
    uint80 refund;
    /// All that was ever charged to the penalty tranche: shares paid on and ether burned.
    uint80 charged;
}

/// @title The gateways' collateral
/// @notice Two tranches a gateway, eligibility, charges, exit, credits: rules [C1] to [C8].
interface ICollateral {
    /// @notice Ether was added.
    event Deposited(uint16 indexed id, uint256 penalty, uint256 refund);
    /// @notice The gateway joined the eligible set; it is scheduled from `epoch` on.
    event BecameEligible(uint16 indexed id, uint256 epoch);
    /// @notice The gateway left the eligible set; it is unscheduled from `epoch` on.
    event BecameIneligible(uint16 indexed id, uint256 epoch);
    /// @notice The penalty tranche was charged, rule [C5].
    event Charged(uint16 indexed id, uint256 due, uint256 paid);
    /// @notice A share of what a gateway was charged went to a poster's credit, rule [I13].
    event BountyPaid(uint16 indexed id, address indexed to, uint256 amount);
    /// @notice Exit was requested, rule [C7].
    event ExitRequested(uint16 indexed id, uint256 withdrawableSlot);
    /// @notice The collateral of an exited gateway became its owner's credit.
    event CollateralWithdrawn(uint16 indexed id, address indexed owner, uint256 penalty, uint256 refund);
    /// @notice A credit was paid out.
    event CreditWithdrawn(address indexed account, address indexed to, uint256 amount);

    /// @notice Only the protocol's own contract may call this, rule [C4].
    error NotProtocol(address caller);
    /// @notice The penalty part exceeds the value sent.
    error PenaltyExceedsValue(uint256 penalty, uint256 value);
    /// @notice The gateway is exiting already.
    error AlreadyExiting(uint16 id);
    /// @notice No exit was requested.
    error NotExiting(uint16 id);
    /// @notice The exit delay runs until this slot.
    error NotWithdrawableBefore(uint256 slot);
    /// @notice The shares of a gateway's charges would exceed half of what it was charged.
    error BountyExceedsCharges(uint16 id);
    /// @notice The account has no credit.
    error NoCredit(address account);
    /// @notice The payee refused the ether.
    error PaymentRefused(address to);

    /// @notice Adds the value sent to a gateway's tranches, rule [C1]. Anyone may, but only the owner's deposit, if of nothing, makes a
    /// gateway eligible, rule [C2].
    /// @param id The gateway.
    /// @param penalty How much of it goes to the penalty tranche, in wei; the rest goes to the refund tranche.
    function deposit(uint16 id, uint256 penalty) external payable;

    /// @notice Starts the exit, rule [C7]. Owner only.
    function requestExit(uint16 id) external;

    /// @notice Turns an exited gateway's collateral into its owner's credit, rule [C7]. Anyone may.
    function withdrawCollateral(uint16 id) external;

    /// @notice Pays the caller's credit out, rule [C8].
    /// @param to Where to.
    function withdrawCredit(address payable to) external;

    /// @notice Takes `min(due, penalty tranche)` from a gateway, rule [C5]; takes eligibility if that leaves too little, rule [C2], ends it
    /// if that leaves less than a large fault, rule [C6]. Inbox only.
    /// @param id The gateway.
    /// @param due What it owes, in wei.
    /// @return paid What was taken, in wei.
    function charge(uint16 id, uint256 due) external returns (uint256 paid);

    /// @notice Credits a poster with its share of what a gateway was charged, rule [I7]. Inbox only.
    function payBounty(uint16 from, address to, uint256 amount) external;

    /// @notice A gateway's tranches.
    function tranches(uint16 id) external view returns (Tranches memory);

    /// @notice What an account can pull, in wei.
    function creditOf(address account) external view returns (uint256);

    /// @notice Whether a gateway is in the eligible set now.
    function isEligible(uint16 id) external view returns (bool);

    /// @notice The ids in the eligible set now, in rotation order.
    function eligibleGateways() external view returns (uint16[] memory);
}
