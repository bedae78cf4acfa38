// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {SlotClock} from "../time/SlotClock.sol";
import {Gateway, IGateways, Registration} from "./IGateways.sol";
import {SafeCast} from "@openzeppelin/contracts/utils/math/SafeCast.sol";

/// @notice Who settles for a gateway, and how it stands. One word, because each settlement needs all of it.
struct Standing {
    /// The account that sends settlements.
    address settler;
    /// The slot from which the gateway is ended, or zero.
    uint40 endedSlot;
    /// The slot from which its collateral can be withdrawn, or zero.
    uint40 withdrawableSlot;
}

/// @notice A sequencer key and when it begins to count. One word, and with the gateway's end all that judging a run needs.
struct Key {
    /// The key's address.
    address key;
    /// The first epoch in which it counts.
    uint40 epoch;
    /// The slot from which the gateway is ended, or zero; as in its standing.
    uint40 endedSlot;
}

/// @notice All but the money of a gateway.
struct Identity {
    /// Decides about keys, money and exit.
    address owner;
    /// Settler and standing.
    Standing standing;
    /// The sequencer key set last.
    Key key;
    /// The key before it, or zero.
    address previousKey;
    /// Who may accept ownership, or zero.
    address pendingOwner;
}

/// @title Gateways
/// @notice Rules [G1] to [G5].
abstract contract Gateways is IGateways, SlotClock {
    using SafeCast for uint256;

    /// @notice The rollup operator's entry, rule [G1].
    uint16 internal constant NOBODY = 0;
    /// @notice The highest id: ids fit 15 bits.
    uint16 internal constant MAX_ID = type(uint16).max >> 1;

    /// @notice What a registration costs, in wei.
    uint256 internal immutable REGISTRATION_FEE;
    /// @notice Slots during which evidence counts.
    uint256 internal immutable EVIDENCE_HORIZON;

    uint16 private _nextId = 1;
    mapping(uint16 id => Identity) internal _identities;

    modifier onlyOwner(uint16 id) {
        _checkOwner(id);
        _;
    }

    constructor(uint256 registrationFee, uint256 evidenceHorizon, address operator, address fallbackKey) {
        require(operator != address(0), ZeroAddress("operator"));
        require(fallbackKey != address(0), ZeroAddress("fallbackKey"));
        require(evidenceHorizon != 0, ZeroParameter("evidenceHorizon"));
        REGISTRATION_FEE = registrationFee;
        EVIDENCE_HORIZON = evidenceHorizon;
        // The fallback key counts from the first epoch on: the chain may run before any gateway joins.
        _identities[NOBODY].owner = operator;
        _identities[NOBODY].key.key = fallbackKey;
        emit SequencerKeySet(NOBODY, fallbackKey, 0);
    }

    /// @inheritdoc IGateways
    function register(Registration calldata registration) external payable returns (uint16 id) {
        require(registration.owner != address(0), ZeroAddress("owner"));
        require(registration.settler != address(0), ZeroAddress("settler"));
        require(registration.sequencerKey != address(0), ZeroAddress("sequencerKey"));
        uint256 needed = REGISTRATION_FEE + registration.penalty;
        require(msg.value >= needed, ValueTooLow(msg.value, needed));
        id = _nextId;
        require(id <= MAX_ID, IdsExhausted());
        _nextId = id + 1;

        Identity storage identity = _identities[id];
        identity.owner = registration.owner;
        identity.standing = Standing({settler: registration.settler, endedSlot: 0, withdrawableSlot: 0});
        identity.key =
            Key({key: registration.sequencerKey, epoch: (_currentEpoch() + EPOCHS_TO_FORCE).toUint40(), endedSlot: 0});
        emit GatewayRegistered(id, registration.owner, registration.settler, registration.sequencerKey);
        emit UrlsSet(id, registration.endpoint, registration.feed);
        _fund(id, registration.penalty, msg.value - needed, true);
    }

    /// @inheritdoc IGateways
    function setSettler(uint16 id, address settler) external onlyOwner(id) {
        require(id != NOBODY, NobodyIsNoGateway());
        require(settler != address(0), ZeroAddress("settler"));
        _identities[id].standing.settler = settler;
        emit SettlerSet(id, settler);
        _forgetHolder(id);
    }

    /// @inheritdoc IGateways
    function setSequencerKey(uint16 id, address key) external onlyOwner(id) {
        require(key != address(0), ZeroAddress("key"));
        Identity storage identity = _identities[id];
        uint256 epoch = _currentEpoch();
        // The key before the current one is forgotten now, so nothing that it signed may count any more. Without one there is
        // nothing to forget: the first change is free.
        if (identity.previousKey != address(0)) {
            uint256 changeable = identity.key.epoch + (EVIDENCE_HORIZON + SLOTS_PER_EPOCH - 1) / SLOTS_PER_EPOCH;
            require(epoch >= changeable, KeyChangeTooSoon(changeable));
        }
        identity.previousKey = identity.key.key;
        identity.key.key = key;
        identity.key.epoch = (epoch + EPOCHS_TO_FORCE).toUint40();
        emit SequencerKeySet(id, key, epoch + EPOCHS_TO_FORCE);
    }

    /// @inheritdoc IGateways
    function setUrls(uint16 id, string calldata endpoint, string calldata feed) external onlyOwner(id) {
        require(id != NOBODY, NobodyIsNoGateway());
        emit UrlsSet(id, endpoint, feed);
    }

    /// @inheritdoc IGateways
    function offerOwnership(uint16 id, address to) external onlyOwner(id) {
        _identities[id].pendingOwner = to;
        emit OwnershipOffered(id, to);
    }

    /// @inheritdoc IGateways
    function acceptOwnership(uint16 id) external {
        Identity storage identity = _identities[id];
        // The zero address, which is pending where nobody is, sends no transactions.
        require(msg.sender == identity.pendingOwner, NotPendingOwner(id, msg.sender));
        identity.owner = msg.sender;
        identity.pendingOwner = address(0);
        emit OwnershipAccepted(id, msg.sender);
    }

    /// @inheritdoc IGateways
    function gateway(uint16 id) external view returns (Gateway memory) {
        Identity storage identity = _identities[id];
        require(identity.owner != address(0), UnknownGateway(id));
        Standing memory standing = identity.standing;
        Key memory key = identity.key;
        return Gateway({
            owner: identity.owner,
            pendingOwner: identity.pendingOwner,
            settler: standing.settler,
            sequencerKey: key.key,
            previousKey: identity.previousKey,
            keyEpoch: key.epoch,
            endedSlot: standing.endedSlot,
            withdrawableSlot: standing.withdrawableSlot,
            eligible: _isEligible(id)
        });
    }

    /// @inheritdoc IGateways
    function ownerOf(uint16 id) external view returns (address) {
        return _identities[id].owner;
    }

    /// @inheritdoc IGateways
    function nextId() external view returns (uint16) {
        return _nextId;
    }

    /// @inheritdoc IGateways
    function sequencerKeyAt(uint16 id, uint256 epoch) external view returns (address) {
        return _keyAt(id, epoch);
    }

    /// @dev The sequencer key in force in an epoch, rule [T6].
    function _keyAt(uint16 id, uint256 epoch) internal view returns (address) {
        Key memory key = _identities[id].key;
        return epoch >= key.epoch ? key.key : _identities[id].previousKey;
    }

    /// @dev Ends a gateway for good, rule [C6]. Only the first end counts.
    function _end(uint16 id) internal {
        Identity storage identity = _identities[id];
        if (identity.standing.endedSlot != 0) return;
        uint40 slot = _currentSlot().toUint40();
        identity.standing.endedSlot = slot;
        identity.key.endedSlot = slot;
        emit GatewayEnded(id, slot);
        _forgetHolder(id);
    }

    /// @dev Refuses ids that no gateway has.
    function _checkExists(uint16 id) internal view {
        require(id != NOBODY, NobodyIsNoGateway());
        require(id < _nextId, UnknownGateway(id));
    }

    /// @dev Adds ether that has arrived to a gateway's tranches.
    function _fund(uint16 id, uint256 penalty, uint256 refund, bool mayJoin) internal virtual;

    /// @dev Tells the inbox that what it remembers about a gateway is no longer so.
    function _forgetHolder(uint16 id) internal virtual;

    /// @dev Whether a gateway is in the eligible set now.
    function _isEligible(uint16 id) internal view virtual returns (bool);

    /// @dev Refuses all but the owner. An unknown gateway has no owner.
    function _checkOwner(uint16 id) internal view {
        address owner = _identities[id].owner;
        require(owner != address(0), UnknownGateway(id));
        require(msg.sender == owner, NotOwner(id, msg.sender));
    }
}
