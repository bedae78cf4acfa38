// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {DelegatingState} from "./Delegate.t.sol";
import {IBeaconProofs, ValidatorProof} from "baton/beacon/IBeaconProofs.sol";
import {IDelegationSignatures} from "baton/delegation/IDelegationSignatures.sol";
import {DelegationOffer, DelegationStatus, IDelegations} from "baton/delegation/IDelegations.sol";
import {IGateways} from "baton/registry/IGateways.sol";
import {Delegation} from "baton/types/Delegation.sol";

/// @notice Rules [D3] to [D6]: by the withdrawal address, and what revokes.
contract OfferTest is DelegatingState {
    function test_AWithdrawalAddressDelegates() public {
        ValidatorProof memory proof = proven(INDEX);
        vm.expectEmit(address(registry));
        emit IDelegations.DelegationOffered(INDEX, a.id, 0, deadline);
        vm.prank(withdrawalAddress(INDEX));
        registry.offerDelegation(proof, uint64(block.timestamp), a.id, deadline);
        DelegationOffer memory made = registry.offerOf(INDEX);
        assertEq(made.gateway, a.id);
        assertEq(made.deadline, deadline);
        assertEq(made.nonce, 0);
        assertEq(registry.delegationOf(INDEX).gateway, 0, "not before it is accepted");
        vm.expectEmit(address(registry));
        emit IDelegations.DelegationSet(INDEX, a.id, 0, currentEpoch() + 2);
        vm.prank(a.owner);
        registry.acceptDelegation(INDEX, a.id);
        assertEq(registry.delegationOf(INDEX).gateway, a.id);
        assertEq(registry.delegationOf(INDEX).nonce, 1);
    }

    /// Types 0x01 and 0x02, then eleven zero bytes, then the address: nothing else.
    function test_OnlyCredentialsOfAnAddress() public {
        address w = withdrawalAddress(INDEX);
        bytes32 plain = bytes32(uint256(uint160(w)));
        offerWith(plain | bytes32(uint256(1) << 248), true);
        offerWith(plain | bytes32(uint256(2) << 248), true);
        offerWith(plain, false);
        offerWith(plain | bytes32(uint256(3) << 248), false);
        offerWith(plain | bytes32(uint256(0x81) << 248), false);
        for (uint256 i = 20; i < 31; ++i) {
            offerWith(plain | bytes32(uint256(1) << 248) | bytes32(uint256(1) << (8 * i)), false);
        }
    }

    function test_OnlyTheWithdrawalAddressOffers() public {
        ValidatorProof memory proof = proven(INDEX);
        vm.expectRevert(
            abi.encodeWithSelector(IDelegations.NotWithdrawalAddress.selector, proof.withdrawalCredentials, a.owner)
        );
        vm.prank(a.owner);
        registry.offerDelegation(proof, uint64(block.timestamp), a.id, deadline);
        vm.expectRevert(
            abi.encodeWithSelector(IDelegations.NotWithdrawalAddress.selector, proof.withdrawalCredentials, a.owner)
        );
        vm.prank(a.owner);
        registry.revokeDelegation(proof, uint64(block.timestamp));
    }

    /// Credentials that aren't the validator's don't hold in its proof.
    function test_UnprovenCredentialsAreRefused() public {
        ValidatorProof memory proof = proven(INDEX);
        proof.withdrawalCredentials = bytes32((uint256(1) << 248) | uint160(b.owner));
        vm.expectPartialRevert(IBeaconProofs.WrongStateRoot.selector);
        vm.prank(b.owner);
        registry.offerDelegation(proof, uint64(block.timestamp), a.id, deadline);
        vm.expectPartialRevert(IBeaconProofs.WrongStateRoot.selector);
        vm.prank(b.owner);
        registry.revokeDelegation(proof, uint64(block.timestamp));
    }

    function test_EveryByteOfAProofCounts() public {
        ValidatorProof memory proof = proven(INDEX);
        bytes memory good =
            abi.encodeCall(IDelegations.offerDelegation, (proof, uint64(block.timestamp), a.id, deadline));
        // Behind the selector: the proof's offset, the timestamp, gateway and deadline.
        for (uint256 i = 4 + 4 * 32; i < good.length; ++i) {
            bytes memory bad = bytes.concat(good);
            bad[i] = bytes1(uint8(bad[i]) ^ uint8(1 << (i % 8)));
            vm.prank(withdrawalAddress(INDEX));
            (bool accepted,) = address(registry).call(bad);
            assertFalse(accepted, vm.toString(i));
        }
        vm.prank(withdrawalAddress(INDEX));
        (bool ok,) = address(registry).call(good);
        assertTrue(ok);
    }

    function test_OnlyTheGatewaysOwnerAccepts() public {
        offer(a.id);
        vm.expectRevert(abi.encodeWithSelector(IGateways.NotOwner.selector, a.id, b.owner));
        vm.prank(b.owner);
        registry.acceptDelegation(INDEX, a.id);
        vm.expectRevert(abi.encodeWithSelector(IDelegations.NoOffer.selector, INDEX, b.id));
        vm.prank(b.owner);
        registry.acceptDelegation(INDEX, b.id);
        // Of a validator without an offer, neither by a gateway nor for nobody.
        vm.expectRevert(abi.encodeWithSelector(IDelegations.NoOffer.selector, INDEX + 1, a.id));
        vm.prank(a.owner);
        registry.acceptDelegation(INDEX + 1, a.id);
        vm.expectRevert(IGateways.NobodyIsNoGateway.selector);
        vm.prank(operator);
        registry.acceptDelegation(INDEX + 1, 0);
    }

    function test_OffersAreToGateways() public {
        ValidatorProof memory proof = proven(INDEX);
        vm.startPrank(withdrawalAddress(INDEX));
        vm.expectRevert(IGateways.NobodyIsNoGateway.selector);
        registry.offerDelegation(proof, uint64(block.timestamp), 0, deadline);
        vm.expectRevert(abi.encodeWithSelector(IGateways.UnknownGateway.selector, 3));
        registry.offerDelegation(proof, uint64(block.timestamp), 3, deadline);
    }

    function test_ALaterOfferReplacesAnEarlierOne() public {
        offer(a.id);
        offer(b.id);
        vm.expectRevert(abi.encodeWithSelector(IDelegations.NoOffer.selector, INDEX, a.id));
        vm.prank(a.owner);
        registry.acceptDelegation(INDEX, a.id);
    }

    function test_TheDeadlineIsTheLastSecond() public {
        offer(a.id);
        mineAt(slot + 300);
        assertEq(block.timestamp, deadline);
        uint256 snapshot = vm.snapshotState();
        vm.prank(a.owner);
        registry.acceptDelegation(INDEX, a.id);
        vm.revertToState(snapshot);
        mineAt(slot + 1);
        vm.expectRevert(abi.encodeWithSelector(IDelegations.DelegationExpired.selector, deadline, block.timestamp));
        vm.prank(a.owner);
        registry.acceptDelegation(INDEX, a.id);
        ValidatorProof memory proof = proven(INDEX);
        vm.expectRevert(abi.encodeWithSelector(IDelegations.DelegationExpired.selector, deadline, block.timestamp));
        vm.prank(withdrawalAddress(INDEX));
        registry.offerDelegation(proof, uint64(block.timestamp), a.id, deadline);
    }

    /// [D4] An offer is for the nonce at which it was made: accepted once, and not after any other change.
    function test_AnyChangeVoidsAnOffer() public {
        offer(a.id);
        vm.prank(a.owner);
        registry.acceptDelegation(INDEX, a.id);
        acceptReverts();
        offer(a.id);
        vm.prank(a.owner);
        registry.renounceDelegation(INDEX);
        acceptReverts();
        offer(a.id);
        revoke(INDEX);
        acceptReverts();
        offer(a.id);
        submit(a.owner, 0, signed(SECRET, message(0)), "");
        acceptReverts();
        assertEq(registry.delegationOf(INDEX).nonce, 4);
    }

    /// [D4] The other way round: what the withdrawal address does voids signatures.
    function test_AnyChangeVoidsASignature() public {
        bytes32[8] memory signature = signed(SECRET, message(a.id));
        revoke(INDEX);
        submit(
            a.owner,
            a.id,
            signature,
            abi.encodeWithSelector(IDelegationSignatures.WrongSignature.selector, registry.signingRootOf(message(a.id)))
        );
    }

    /// [D5] Neither the withdrawal address nor the gateway needs the other to end it.
    function test_EitherSideRevokes() public {
        offer(a.id);
        vm.prank(a.owner);
        registry.acceptDelegation(INDEX, a.id);
        revoke(INDEX);
        DelegationStatus memory status = registry.delegationOf(INDEX);
        assertEq(status.gateway, 0);
        assertEq(status.nonce, 2);

        offer(a.id);
        vm.prank(a.owner);
        registry.acceptDelegation(INDEX, a.id);
        vm.expectRevert(abi.encodeWithSelector(IGateways.NotOwner.selector, a.id, b.owner));
        vm.prank(b.owner);
        registry.renounceDelegation(INDEX);
        vm.prank(a.owner);
        registry.renounceDelegation(INDEX);
        assertEq(registry.delegationOf(INDEX).gateway, 0);
        vm.expectRevert(abi.encodeWithSelector(IDelegations.NotDelegated.selector, INDEX));
        vm.prank(operator);
        registry.renounceDelegation(INDEX);
    }

    /// What counts in the epoch after is remembered over any number of changes in one epoch.
    function testFuzz_WhatWasBefore(uint256 seed) public {
        uint16 before = 0;
        uint16 latest = 0;
        for (uint256 epoch = 0; epoch < 4; ++epoch) {
            uint256 random = uint256(keccak256(abi.encode(seed, epoch)));
            if (random % 4 != 0) before = latest;
            for (uint256 i = 0; i < random % 4; ++i) {
                uint16 to = uint16((random >> (8 + i)) % 3);
                if (to == 0) revoke(INDEX);
                else delegate(INDEX, to == 1 ? a : b);
                latest = to;
            }
            DelegationStatus memory status = registry.delegationOf(INDEX);
            assertEq(status.gateway, latest);
            if (random % 4 != 0) assertEq(status.before, before);
            mineAt(slot + EPOCH);
        }
    }

    function offer(uint16 gateway) private {
        ValidatorProof memory proof = proven(INDEX);
        vm.prank(withdrawalAddress(INDEX));
        registry.offerDelegation(proof, uint64(block.timestamp), gateway, deadline);
    }

    function offerWith(bytes32 credentials, bool accepted) private {
        ValidatorProof memory proof = proven(INDEX, credentials);
        address w = withdrawalAddress(INDEX);
        if (!accepted) {
            vm.expectRevert(abi.encodeWithSelector(IDelegations.NotWithdrawalAddress.selector, credentials, w));
        }
        vm.prank(w);
        registry.offerDelegation(proof, uint64(block.timestamp), a.id, deadline);
    }

    function acceptReverts() private {
        vm.expectRevert(abi.encodeWithSelector(IDelegations.NoOffer.selector, INDEX, a.id));
        vm.prank(a.owner);
        registry.acceptDelegation(INDEX, a.id);
    }
}
