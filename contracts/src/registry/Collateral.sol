// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {IHolderMemory} from "../inbox/IHolderMemory.sol";
import {Account, AccountLibrary} from "../types/Account.sol";
import {EligibleSet} from "./EligibleSet.sol";
import {Gateways, Standing} from "./Gateways.sol";
import {ICollateral, Tranches} from "./ICollateral.sol";
import {IGateways} from "./IGateways.sol";
import {Math} from "@openzeppelin/contracts/utils/math/Math.sol";
import {SafeCast} from "@openzeppelin/contracts/utils/math/SafeCast.sol";

/// @title Collateral
/// @notice Rules [C1] to [C8].
abstract contract Collateral is IGateways, ICollateral, Gateways, EligibleSet {
    using SafeCast for uint256;

    /// @notice The contract that charges, rule [C4].
    address internal immutable INBOX;
    /// @notice What the penalty tranche must hold for eligibility, in wei.
    uint256 internal immutable PENALTY_THRESHOLD;
    /// @notice What the refund tranche must hold for eligibility, in wei.
    uint256 internal immutable REFUND_THRESHOLD;
    /// @notice The price of a large fault, in wei.
    uint256 internal immutable LARGE_FAULT;
    /// @notice Slots from the end of an exiting gateway's last epoch until its collateral is free.
    uint256 internal immutable EXIT_DELAY;

    mapping(uint16 id => Account) private _accounts;
    /// @dev Wei of a gateway's charges that went to posters; what it was charged beyond is burned or yet to be collected.
    mapping(uint16 id => uint256) private _bountiesPaid;
    mapping(address account => uint256) private _credits;

    modifier onlyInbox() {
        require(msg.sender == INBOX, NotProtocol(msg.sender));
        _;
    }

    constructor(
        address inbox,
        uint256 penaltyThreshold,
        uint256 refundThreshold,
        uint256 largeFault,
        uint256 exitDelay
    ) {
        require(inbox != address(0), ZeroAddress("inbox"));
        require(largeFault != 0, ZeroParameter("largeFault"));
        INBOX = inbox;
        PENALTY_THRESHOLD = penaltyThreshold;
        REFUND_THRESHOLD = refundThreshold;
        LARGE_FAULT = largeFault;
        EXIT_DELAY = exitDelay;
    }

    /// @inheritdoc ICollateral
    function deposit(uint16 id, uint256 penalty) external payable {
        _checkExists(id);
        require(penalty <= msg.value, PenaltyExceedsValue(penalty, msg.value));
        _fund(id, penalty, msg.value - penalty, msg.sender == _identities[id].owner);
    }

    /// @inheritdoc ICollateral
    function requestExit(uint16 id) external onlyOwner(id) {
        require(id != NOBODY, NobodyIsNoGateway());
        Standing storage standing = _identities[id].standing;
        require(standing.withdrawableSlot == 0, AlreadyExiting(id));
        uint256 unscheduledEpoch = _currentEpoch() + EPOCHS_TO_FORCE;
        uint256 withdrawableSlot = unscheduledEpoch * SLOTS_PER_EPOCH + EXIT_DELAY;
        standing.withdrawableSlot = withdrawableSlot.toUint40();
        emit ExitRequested(id, withdrawableSlot);
        _updateEligibility(id, false);
    }

    /// @inheritdoc ICollateral
    function withdrawCollateral(uint16 id) external {
        _checkExists(id);
        uint256 withdrawableSlot = _identities[id].standing.withdrawableSlot;
        require(withdrawableSlot != 0, NotExiting(id));
        require(_currentSlot() >= withdrawableSlot, NotWithdrawableBefore(withdrawableSlot));
        Account account = _accounts[id];
        (uint256 penalty, uint256 refund) = (account.penalty(), account.refund());
        _accounts[id] = AccountLibrary.pack(0, 0, account.charged(), account.placePlusOne());
        // May come again: what is deposited after an exit isn't lost.
        address owner = _identities[id].owner;
        _credits[owner] += penalty + refund;
        emit CollateralWithdrawn(id, owner, penalty, refund);
    }

    /// @inheritdoc ICollateral
    function withdrawCredit(address payable to) external {
        require(to != address(0), ZeroAddress("to"));
        uint256 amount = _credits[msg.sender];
        require(amount != 0, NoCredit(msg.sender));
        _credits[msg.sender] = 0;
        emit CreditWithdrawn(msg.sender, to, amount);
        (bool sent,) = to.call{value: amount}("");
        require(sent, PaymentRefused(to));
    }

    /// @inheritdoc ICollateral
    function charge(uint16 id, uint256 due) external onlyInbox returns (uint256 paid) {
        Account account = _accounts[id];
        paid = Math.min(due, account.penalty());
        uint256 left = account.penalty() - paid;
        uint16 placePlusOne = account.placePlusOne();
        _accounts[id] = AccountLibrary.pack(left, account.refund(), account.charged() + paid, placePlusOne);
        emit Charged(id, due, paid);
        if (left < LARGE_FAULT) _end(id);
        if (placePlusOne != 0 && left < PENALTY_THRESHOLD) _updateEligibility(id, false);
    }

    /// @inheritdoc ICollateral
    function payBounty(uint16 from, address to, uint256 amount) external onlyInbox {
        uint256 bountiesPaid = _bountiesPaid[from] + amount;
        require(bountiesPaid <= _accounts[from].charged() / 2, BountyExceedsCharges(from));
        _bountiesPaid[from] = bountiesPaid;
        _credits[to] += amount;
        emit BountyPaid(from, to, amount);
    }

    /// @inheritdoc ICollateral
    function tranches(uint16 id) external view returns (Tranches memory) {
        Account account = _accounts[id];
        // Each has 80 bits.
        // forge-lint: disable-start(unsafe-typecast)
        return Tranches({
            penalty: uint80(account.penalty()), refund: uint80(account.refund()), charged: uint80(account.charged())
        });
        // forge-lint: disable-end(unsafe-typecast)
    }

    /// @inheritdoc ICollateral
    function creditOf(address account) external view returns (uint256) {
        return _credits[account];
    }

    /// @inheritdoc ICollateral
    function isEligible(uint16 id) external view returns (bool) {
        return _isEligible(id);
    }

    /// @inheritdoc ICollateral
    function eligibleGateways() external view returns (uint16[] memory ids) {
        ids = new uint16[](_count.latest());
        for (uint256 place = 0; place < ids.length; ++place) {
            ids[place] = _members[place].latest();
        }
    }

    /// @inheritdoc Gateways
    function _fund(uint16 id, uint256 penalty, uint256 refund, bool mayJoin) internal override {
        Account account = _accounts[id];
        _accounts[id] = AccountLibrary.pack(
            account.penalty() + penalty, account.refund() + refund, account.charged(), account.placePlusOne()
        );
        emit Deposited(id, penalty, refund);
        _updateEligibility(id, mayJoin);
    }

    /// @inheritdoc Gateways
    function _isEligible(uint16 id) internal view override returns (bool) {
        return _accounts[id].placePlusOne() != 0;
    }

    /// @inheritdoc EligibleSet
    function _movedTo(uint16 id, uint16 place) internal override {
        _accounts[id] = _accounts[id].withPlace(place + 1);
    }

    /// @dev Puts a gateway into the eligible set or takes it out, as rule [C2] says.
    /// @param mayJoin Whether the owner itself acts: nobody else puts a gateway on the schedule.
    function _updateEligibility(uint16 id, bool mayJoin) private {
        Account account = _accounts[id];
        Standing memory standing = _identities[id].standing;
        bool eligible = account.penalty() >= PENALTY_THRESHOLD && account.refund() >= REFUND_THRESHOLD
            && standing.endedSlot == 0 && standing.withdrawableSlot == 0;
        uint16 placePlusOne = account.placePlusOne();
        if (eligible && mayJoin && placePlusOne == 0) {
            _accounts[id] = account.withPlace(_join(id) + 1);
            emit BecameEligible(id, _currentEpoch() + EPOCHS_TO_FORCE);
        } else if (!eligible && placePlusOne != 0) {
            _accounts[id] = account.withPlace(0);
            _leave(id, placePlusOne - 1);
            emit BecameIneligible(id, _currentEpoch() + EPOCHS_TO_FORCE);
        }
    }

    /// @inheritdoc Gateways
    function _forgetHolder(uint16 id) internal override {
        IHolderMemory(INBOX).forgetHolder(id);
    }
}
