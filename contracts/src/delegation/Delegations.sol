// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {BeaconForks} from "../beacon/BeaconForks.sol";
import {IBeaconForks} from "../beacon/IBeaconForks.sol";
import {ValidatorProof} from "../beacon/IBeaconProofs.sol";
import {SszTree} from "../beacon/SszTree.sol";
import {Gateways} from "../registry/Gateways.sol";
import {IGateways} from "../registry/IGateways.sol";
import {Delegation} from "../types/Delegation.sol";
import {StandingDelegation} from "../types/StandingDelegation.sol";
import {DelegationSignatures} from "./DelegationSignatures.sol";
import {IDelegationSignatures} from "./IDelegationSignatures.sol";
import {DelegationOffer, DelegationStatus, IDelegations} from "./IDelegations.sol";
import {EIP712} from "@openzeppelin/contracts/utils/cryptography/EIP712.sol";

/// @title Delegations
/// @notice Rules [D1] to [D6].
abstract contract Delegations is IDelegations, IBeaconForks, IGateways, Gateways, BeaconForks, EIP712 {
    /// @notice The beacon chain's, part of what validators sign.
    bytes4 internal immutable GENESIS_FORK_VERSION;
    IDelegationSignatures private immutable _SIGNATURES;

    /// @dev The first byte of withdrawal credentials that name an address, and of those that compound as well.
    uint256 private constant _ADDRESS_CREDENTIALS = 1;
    uint256 private constant _COMPOUNDING_CREDENTIALS = 2;

    /// @dev By validator index, its bytes turned round: as a publication finds it in the proof. An array, because a mapping would hash each index. The
    /// highest index has no place in it: no list of validators is that long, and what stands behind is a mapping's empty word.
    StandingDelegation[(1 << 64) - 1] internal _delegations;
    mapping(uint64 validatorIndex => DelegationOffer) private _offers;

    constructor(bytes4 genesisForkVersion) EIP712("Baton", "1") {
        GENESIS_FORK_VERSION = genesisForkVersion;
        _SIGNATURES = new DelegationSignatures(genesisForkVersion);
    }

    /// @inheritdoc IDelegations
    function delegate(
        ValidatorProof calldata proof,
        uint64 timestamp,
        bytes32[4] calldata key,
        bytes32[8] calldata signature,
        uint16 gateway,
        uint64 deadline
    ) external {
        _checkDeadline(deadline);
        // Without acceptance a stranger could delegate to a victim who then has to settle; giving up needs nobody's.
        if (gateway != NOBODY) _checkOwner(gateway);
        _checkValidator(proof, timestamp);
        Delegation memory delegation = Delegation({
            validatorIndex: proof.index, gateway: gateway, nonce: _delegation(proof.index).nonce(), deadline: deadline
        });
        bytes32 digest = _hashTypedDataV4(delegation.structHash());
        _SIGNATURES.check(digest, delegation.nonce, proof.pubkeyRoot, key, signature);
        _setDelegation(proof.index, gateway);
    }

    /// @inheritdoc IDelegations
    function offerDelegation(ValidatorProof calldata proof, uint64 timestamp, uint16 gateway, uint64 deadline)
        external
    {
        _checkDeadline(deadline);
        _checkExists(gateway);
        _checkWithdrawalAddress(proof.withdrawalCredentials);
        _checkValidator(proof, timestamp);
        uint64 nonce = _delegation(proof.index).nonce();
        _offers[proof.index] = DelegationOffer({gateway: gateway, deadline: deadline, nonce: nonce});
        emit DelegationOffered(proof.index, gateway, nonce, deadline);
    }

    /// @inheritdoc IDelegations
    function acceptDelegation(uint64 validatorIndex, uint16 gateway) external onlyOwner(gateway) {
        require(gateway != NOBODY, NobodyIsNoGateway());
        DelegationOffer memory offer = _offers[validatorIndex];
        require(
            offer.gateway == gateway && offer.nonce == _delegation(validatorIndex).nonce(),
            NoOffer(validatorIndex, gateway)
        );
        _checkDeadline(offer.deadline);
        // The offer needn't be deleted: the nonce that is used up now voids it.
        _setDelegation(validatorIndex, gateway);
    }

    /// @inheritdoc IDelegations
    function revokeDelegation(ValidatorProof calldata proof, uint64 timestamp) external {
        _checkWithdrawalAddress(proof.withdrawalCredentials);
        _checkValidator(proof, timestamp);
        // Even if there is none to revoke: the nonce voids what was signed or offered.
        _setDelegation(proof.index, NOBODY);
    }

    /// @inheritdoc IDelegations
    function renounceDelegation(uint64 validatorIndex) external {
        uint16 gateway = _delegation(validatorIndex).latest();
        require(gateway != NOBODY, NotDelegated(validatorIndex));
        _checkOwner(gateway);
        _setDelegation(validatorIndex, NOBODY);
    }

    /// @inheritdoc IDelegations
    function delegationOf(uint64 validatorIndex) external view returns (DelegationStatus memory) {
        StandingDelegation delegation = _delegation(validatorIndex);
        // Fields of as many bits.
        // forge-lint: disable-start(unsafe-typecast)
        return DelegationStatus({
            gateway: delegation.latest(),
            before: uint16(delegation.inForceAfter(delegation.changedIn())),
            changedIn: uint32(delegation.changedIn()),
            nonce: delegation.nonce()
        });
        // forge-lint: disable-end(unsafe-typecast)
    }

    /// @inheritdoc IDelegations
    function offerOf(uint64 validatorIndex) external view returns (DelegationOffer memory) {
        return _offers[validatorIndex];
    }

    /// @inheritdoc IDelegations
    function hashDelegation(Delegation calldata delegation) external view returns (bytes32) {
        return _hashTypedDataV4(delegation.structHash());
    }

    /// @inheritdoc IDelegations
    function signingRootOf(Delegation calldata delegation) external view returns (bytes32) {
        return _SIGNATURES.signingRoot(_hashTypedDataV4(delegation.structHash()), delegation.nonce);
    }

    /// @inheritdoc IDelegations
    function delegationSignatures() external view returns (IDelegationSignatures) {
        return _SIGNATURES;
    }

    /// @dev Sets a delegation and uses the nonce up, rules [D4] and [T6].
    function _setDelegation(uint64 validatorIndex, uint16 gateway) private {
        StandingDelegation delegation = _delegation(validatorIndex);
        uint256 epoch = _currentEpoch();
        _delegations[_placeOf(validatorIndex)] = delegation.withGateway(gateway, epoch);
        emit DelegationSet(validatorIndex, gateway, delegation.nonce(), epoch + EPOCHS_TO_FORCE);
    }

    function _delegation(uint64 validatorIndex) private view returns (StandingDelegation) {
        return _delegations[_placeOf(validatorIndex)];
    }

    function _placeOf(uint64 validatorIndex) private pure returns (uint256) {
        return SszTree.swapLanes(validatorIndex);
    }

    /// @dev Refuses all but the address in the credentials, rule [D3]: type, 11 zero bytes, address.
    function _checkWithdrawalAddress(bytes32 credentials) private view {
        uint256 kind = uint256(credentials) >> 160;
        require(
            (kind == _ADDRESS_CREDENTIALS << 88 || kind == _COMPOUNDING_CREDENTIALS << 88)
                && address(uint160(uint256(credentials))) == msg.sender,
            NotWithdrawalAddress(credentials, msg.sender)
        );
    }

    function _checkDeadline(uint64 deadline) private view {
        // forge-lint: disable-next-line(block-timestamp)
        require(block.timestamp <= deadline, DelegationExpired(deadline, block.timestamp));
    }
}
