// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {BeaconState} from "../chain/Beacon.sol";
import {Party} from "../chain/Deployed.sol";
import {Signing} from "../chain/Signing.sol";
import {IBeaconForks} from "baton/beacon/IBeaconForks.sol";
import {IBeaconProofs, ValidatorProof} from "baton/beacon/IBeaconProofs.sol";
import {IDelegationSignatures} from "baton/delegation/IDelegationSignatures.sol";
import {DelegationStatus, IDelegations} from "baton/delegation/IDelegations.sol";
import {IGateways} from "baton/registry/IGateways.sol";
import {Delegation} from "baton/types/Delegation.sol";

/// @notice State: gateways A and B; a validator whose key is known.
abstract contract DelegatingState is BeaconState, Signing {
    uint64 internal constant INDEX = 70_000_000_123;
    uint256 internal constant SECRET = 0x1234567890abcdef1234567890abcdef1234567890abcdef1234567890abcdef;

    Party internal a;
    Party internal b;
    uint64 internal deadline;

    function setUp() public virtual override {
        super.setUp();
        a = register("A", PENALTY, REFUND);
        b = register("B", PENALTY, REFUND);
        deadline = uint64(block.timestamp + 1 hours);
    }

    /// The validator with its key, proven in a state whose root the newest L1 block tells.
    function provenKey(uint256 secret) internal returns (ValidatorProof memory proof) {
        proof = validatorProof(slot - 1, INDEX, pubkeyRootOf(publicKey(secret)), bytes32(0));
        feedRoot(rootOf(proof.header));
    }

    function message(uint16 gateway) internal view returns (Delegation memory) {
        return Delegation({
            validatorIndex: INDEX, gateway: gateway, nonce: registry.delegationOf(INDEX).nonce, deadline: deadline
        });
    }

    function signed(uint256 secret, Delegation memory delegation) internal view returns (bytes32[8] memory) {
        return sign(secret, registry.signingRootOf(delegation));
    }

    /// Submits a signature of the validator's key, from an account.
    function submit(address sender, uint16 gateway, bytes32[8] memory signature, bytes memory refusal) internal {
        ValidatorProof memory proof = provenKey(SECRET);
        bytes32[4] memory key = publicKey(SECRET);
        if (refusal.length != 0) vm.expectRevert(refusal);
        vm.prank(sender);
        registry.delegate{gas: 3_000_000}(proof, uint64(block.timestamp), key, signature, gateway, deadline);
    }
}

/// @notice Rules [D2], [D4], [D5]: by the validator's key.
contract DelegateTest is DelegatingState {
    function test_AKeyDelegates() public {
        bytes32[8] memory signature = signed(SECRET, message(a.id));
        ValidatorProof memory proof = provenKey(SECRET);
        bytes32[4] memory key = publicKey(SECRET);
        vm.expectEmit(address(registry));
        emit IDelegations.DelegationSet(INDEX, a.id, 0, currentEpoch() + 2);
        vm.prank(a.owner);
        registry.delegate(proof, uint64(block.timestamp), key, signature, a.id, deadline);
        DelegationStatus memory status = registry.delegationOf(INDEX);
        assertEq(status.gateway, a.id);
        assertEq(status.before, 0);
        assertEq(status.changedIn, currentEpoch());
        assertEq(status.nonce, 1);
    }

    /// Without acceptance a stranger could burden a gateway.
    function test_OnlyTheGatewaysOwnerSubmits() public {
        bytes32[8] memory signature = signed(SECRET, message(a.id));
        submit(b.owner, a.id, signature, abi.encodeWithSelector(IGateways.NotOwner.selector, a.id, b.owner));
        submit(a.settler, a.id, signature, abi.encodeWithSelector(IGateways.NotOwner.selector, a.id, a.settler));
    }

    function test_AnUnknownGatewayIsRefused() public {
        bytes32[8] memory signature = signed(SECRET, message(3));
        submit(a.owner, 3, signature, abi.encodeWithSelector(IGateways.UnknownGateway.selector, 3));
    }

    function test_AnotherKeysSignatureIsRefused() public {
        Delegation memory delegation = message(a.id);
        refused(delegation, signed(SECRET + 1, delegation));
    }

    /// A key that isn't the validator's, with its own signature.
    function test_AnotherKeyIsRefused() public {
        ValidatorProof memory proof = provenKey(SECRET);
        bytes32[4] memory key = publicKey(SECRET + 1);
        bytes32[8] memory signature = signed(SECRET + 1, message(a.id));
        vm.expectRevert(
            abi.encodeWithSelector(
                IDelegationSignatures.WrongPublicKey.selector, pubkeyRootOf(key), pubkeyRootOf(publicKey(SECRET))
            )
        );
        vm.prank(a.owner);
        registry.delegate(proof, uint64(block.timestamp), key, signature, a.id, deadline);
    }

    /// What the message binds: gateway, index, nonce, deadline.
    function test_AnotherMessageIsRefused() public {
        Delegation memory delegation = message(b.id);
        refused(message(a.id), signed(SECRET, delegation));
        delegation = message(a.id);
        delegation.validatorIndex ^= 1;
        refused(message(a.id), signed(SECRET, delegation));
        delegation = message(a.id);
        delegation.nonce = 1;
        refused(message(a.id), signed(SECRET, delegation));
        delegation = message(a.id);
        delegation.deadline += 1;
        refused(message(a.id), signed(SECRET, delegation));
    }

    /// And the chain, in digest and wrapping.
    function test_AnotherChainsSignatureIsRefused() public {
        vm.chainId(1);
        bytes32[8] memory signature = signed(SECRET, message(a.id));
        vm.chainId(31_337);
        refused(message(a.id), signature);
    }

    function test_TheWrongTagIsRefused() public {
        bytes32 root = registry.signingRootOf(message(a.id));
        refused(message(a.id), sign(SECRET, root, "BLS_SIG_BLS12381G2_XMD:SHA-256_SSWU_RO_NUL_"));
    }

    /// The bare digest, which another module of the signer could be made to sign, isn't enough.
    function test_ASignatureOutsideTheWrappingIsRefused() public {
        refused(message(a.id), sign(SECRET, registry.hashDelegation(message(a.id))));
    }

    function test_InfinityIsRefused() public {
        bytes32[8] memory infinity;
        submit(a.owner, a.id, infinity, abi.encodeWithSelector(IDelegationSignatures.PointAtInfinity.selector));
        // A key at infinity, as no deposit contract would have it.
        bytes32[4] memory noKey;
        ValidatorProof memory proof = validatorProof(slot - 1, INDEX, pubkeyRootOf(noKey), bytes32(0));
        feedRoot(rootOf(proof.header));
        bytes32[8] memory signature = signed(SECRET, message(a.id));
        vm.expectRevert(IDelegationSignatures.PointAtInfinity.selector);
        vm.prank(a.owner);
        registry.delegate{gas: 3_000_000}(proof, uint64(block.timestamp), noKey, signature, a.id, deadline);
    }

    function test_TheDeadlineIsTheLastSecond() public {
        bytes32[8] memory signature = signed(SECRET, message(a.id));
        mineAt(slot + 300);
        assertEq(block.timestamp, deadline);
        uint256 snapshot = vm.snapshotState();
        submit(a.owner, a.id, signature, "");
        vm.revertToState(snapshot);
        deadline -= 1;
        signature = signed(SECRET, message(a.id));
        submit(
            a.owner,
            a.id,
            signature,
            abi.encodeWithSelector(IDelegations.DelegationExpired.selector, deadline, block.timestamp)
        );
    }

    /// [D4] A signature is used once.
    function test_ASignatureIsNotReplayed() public {
        bytes32[8] memory signature = signed(SECRET, message(a.id));
        submit(a.owner, a.id, signature, "");
        vm.prank(a.owner);
        registry.renounceDelegation(INDEX);
        assertEq(registry.delegationOf(INDEX).nonce, 2);
        refused(message(a.id), signature);
    }

    /// [D5] A signed revocation needs nobody's acceptance.
    function test_AnyoneSubmitsARevocation() public {
        submit(a.owner, a.id, signed(SECRET, message(a.id)), "");
        submit(makeAddr("a stranger"), 0, signed(SECRET, message(0)), "");
        DelegationStatus memory status = registry.delegationOf(INDEX);
        assertEq(status.gateway, 0);
        assertEq(status.nonce, 2);
    }

    function test_AKeyMovesItsDelegation() public {
        submit(a.owner, a.id, signed(SECRET, message(a.id)), "");
        mineAt(slot + EPOCH);
        submit(b.owner, b.id, signed(SECRET, message(b.id)), "");
        DelegationStatus memory status = registry.delegationOf(INDEX);
        assertEq(status.gateway, b.id);
        assertEq(status.before, a.id);
    }

    /// Every byte of key and signature counts.
    function test_EveryByteOfKeyAndSignatureCounts() public {
        ValidatorProof memory proof = provenKey(SECRET);
        bytes memory good = abi.encodeCall(
            IDelegations.delegate,
            (proof, uint64(block.timestamp), publicKey(SECRET), signed(SECRET, message(a.id)), a.id, deadline)
        );
        // Behind the selector: the proof's offset, the timestamp; then key and signature, gateway and deadline.
        for (uint256 i = 4 + 2 * 32; i < 4 + 16 * 32; ++i) {
            bytes memory bad = bytes.concat(good);
            bad[i] = bytes1(uint8(bad[i]) ^ uint8(1 << (i % 8)));
            vm.prank(a.owner);
            (bool accepted,) = address(registry).call{gas: 600_000}(bad);
            assertFalse(accepted, vm.toString(i));
        }
        vm.prank(a.owner);
        (bool ok,) = address(registry).call{gas: 600_000}(good);
        assertTrue(ok);
    }

    function test_RootsThatAreNotThere() public {
        ValidatorProof memory proof = provenKey(SECRET);
        bytes32[4] memory key = publicKey(SECRET);
        bytes32[8] memory signature = signed(SECRET, message(a.id));
        uint64 told = uint64(block.timestamp);
        mineAt(slot + 8191);
        deadline = type(uint64).max;
        vm.expectRevert(abi.encodeWithSelector(IBeaconForks.BeaconRootExpired.selector, told, told + SLOT_LENGTH));
        vm.prank(a.owner);
        registry.delegate(proof, told, key, signature, a.id, deadline);
    }

    function test_AnUnprovenValidatorIsRefused() public {
        ValidatorProof memory proof = provenKey(SECRET);
        proof.index += 1;
        bytes32[4] memory key = publicKey(SECRET);
        bytes32[8] memory signature = signed(SECRET, message(a.id));
        vm.expectPartialRevert(IBeaconProofs.WrongStateRoot.selector);
        vm.prank(a.owner);
        registry.delegate(proof, uint64(block.timestamp), key, signature, a.id, deadline);
    }

    /// Refused for its signature, over the root that is expected.
    function refused(Delegation memory expected, bytes32[8] memory signature) private {
        bytes32 root = registry.signingRootOf(expected);
        submit(
            a.owner,
            expected.gateway,
            signature,
            abi.encodeWithSelector(IDelegationSignatures.WrongSignature.selector, root)
        );
    }
}
