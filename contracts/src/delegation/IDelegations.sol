// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {ValidatorProof} from "../beacon/IBeaconProofs.sol";
import {Delegation} from "../types/Delegation.sol";
import {IDelegationSignatures} from "./IDelegationSignatures.sol";

/// @notice A validator's delegation as of now.
struct DelegationStatus {
    /// To whom it was set last; 0 to nobody.
    uint16 gateway;
    /// To whom it was set before that, as it counts in the epoch after the one of the change.
    uint16 before;
    /// The epoch in which it was set last; it counts from two epochs later.
    uint32 changedIn;
    /// How often it was set: the nonce that the next signature must name.
    uint64 nonce;
}

/// @notice A withdrawal address's offer to a gateway.
struct DelegationOffer {
    /// To whom; 0 if there is none.
    uint16 gateway;
    /// The last second, Unix time, in which it can be accepted.
    uint64 deadline;
    /// The validator's nonce when it was made: another change since then voids it.
    uint64 nonce;
}

/// @title Delegations of proposers
/// @notice Which gateway has a validator's slots, until one of them changes its mind: rules [D1] to [D6]. Whether a validator is active isn't
/// asked: one that isn't proposes nothing, and its delegation is never looked at.
interface IDelegations {
    /// @notice A validator's slots are this gateway's from `epoch` on; 0 for nobody's. `nonce` is the one used up.
    event DelegationSet(uint64 indexed validatorIndex, uint16 indexed gateway, uint64 nonce, uint256 epoch);
    /// @notice A validator's withdrawal address offers its slots.
    event DelegationOffered(uint64 indexed validatorIndex, uint16 indexed gateway, uint64 nonce, uint64 deadline);

    /// @notice The deadline, Unix time, has passed.
    error DelegationExpired(uint64 deadline, uint256 timestamp);
    /// @notice The credentials aren't of an address (0x01 or 0x02), or of another than the caller's.
    error NotWithdrawalAddress(bytes32 withdrawalCredentials, address caller);
    /// @notice There is no offer for the gateway, or the validator's delegation was set since.
    error NoOffer(uint64 validatorIndex, uint16 gateway);
    /// @notice The validator doesn't delegate to anybody.
    error NotDelegated(uint64 validatorIndex);

    /// @notice Sets a delegation that the validator's key signed, rule [D2]. Sent by the gateway's owner, which is its acceptance; a revocation, to
    /// gateway 0, by anyone.
    /// @param proof The validator, proven.
    /// @param timestamp The timestamp of the L1 block after the one that it is proven against, rule [F4].
    /// @param key The validator's key, uncompressed as EIP-2537 has points of G1: x and y, 64 bytes each.
    /// @param signature The signature, uncompressed as EIP-2537 has points of G2: x and y, 128 bytes each.
    /// @param gateway To whom; 0 revokes.
    /// @param deadline The last second, Unix time, in which the signature counts.
    function delegate(
        ValidatorProof calldata proof,
        uint64 timestamp,
        bytes32[4] calldata key,
        bytes32[8] calldata signature,
        uint16 gateway,
        uint64 deadline
    ) external;

    /// @notice Offers a validator's slots to a gateway, rule [D3]. Sent by the validator's withdrawal address. Replaces an earlier offer.
    /// @param proof The validator, proven.
    /// @param timestamp The timestamp of the L1 block after the one that it is proven against, rule [F4].
    /// @param gateway To whom.
    /// @param deadline The last second, Unix time, in which the offer can be accepted.
    function offerDelegation(ValidatorProof calldata proof, uint64 timestamp, uint16 gateway, uint64 deadline) external;

    /// @notice Accepts the offer of a validator's withdrawal address, rule [D3]. Sent by the gateway's owner.
    function acceptDelegation(uint64 validatorIndex, uint16 gateway) external;

    /// @notice Revokes a delegation, and voids offers and signatures not used yet, rule [D5]. Sent by the validator's withdrawal address.
    /// @param proof The validator, proven.
    /// @param timestamp The timestamp of the L1 block after the one that it is proven against, rule [F4].
    function revokeDelegation(ValidatorProof calldata proof, uint64 timestamp) external;

    /// @notice Gives a delegation back, rule [D5]. Sent by the owner of the gateway that it was set to last.
    function renounceDelegation(uint64 validatorIndex) external;

    /// @notice A validator's delegation as of now.
    function delegationOf(uint64 validatorIndex) external view returns (DelegationStatus memory);

    /// @notice The offer made last for a validator.
    function offerOf(uint64 validatorIndex) external view returns (DelegationOffer memory);

    /// @notice The contract that checks signatures, deployed by this one.
    function delegationSignatures() external view returns (IDelegationSignatures);

    /// @notice The EIP-712 digest of a delegation: the object root that a Commit-Boost signer is asked to sign, rule [D2].
    function hashDelegation(Delegation calldata delegation) external view returns (bytes32);

    /// @notice What the validator's key signs in the end: the digest in Commit-Boost's wrapping, rule [D2].
    function signingRootOf(Delegation calldata delegation) external view returns (bytes32);
}
