// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {PublishingState} from "../lookahead/Publish.t.sol";
import {BeaconFork, IBeaconForks} from "baton/beacon/IBeaconForks.sol";
import {IBeaconProofs, LookaheadProof} from "baton/beacon/IBeaconProofs.sol";
import {IBeaconStateVerifier} from "baton/beacon/IBeaconStateVerifier.sol";
import {Kind} from "baton/lookahead/ILookahead.sol";
import {IRegistry, RegistryParameters} from "baton/registry/IRegistry.sol";

/// @notice Rules [F1] to [F3]: the pivot between forks.
contract ForksTest is PublishingState {
    uint256 private constant GLOAS_NEXT_EPOCH = 5921;

    IBeaconStateVerifier private gloas;
    uint64 private gloasSlot;

    function setUp() public override {
        super.setUp();
        gloas = IBeaconStateVerifier(vm.deployCode("GloasVerifier.sol"));
        gloasSlot = uint64((currentEpoch() + 2) * EPOCH);
    }

    function test_ADeploymentBeginsWithOneFork() public view {
        BeaconFork[] memory forks = registry.forks();
        assertEq(forks.length, 1);
        assertEq(forks[0].fromSlot, 0);
        assertEq(address(forks[0].verifier), verifier);
        assertEq(address(registry.verifierAt(uint64(slot))), verifier);
    }

    function test_TheTimelockAppends() public {
        vm.expectEmit(address(registry));
        emit IBeaconForks.ForkAppended(gloasSlot, gloas);
        appendGloas();
        BeaconFork[] memory forks = registry.forks();
        assertEq(forks.length, 2);
        assertEq(address(forks[0].verifier), verifier);
        assertEq(forks[1].fromSlot, gloasSlot);
        assertEq(address(forks[1].verifier), address(gloas));
    }

    function test_NobodyElseAppends() public {
        address[4] memory others = [address(this), operator, a.owner, address(inbox)];
        for (uint256 i = 0; i < others.length; ++i) {
            vm.expectRevert(abi.encodeWithSelector(IBeaconForks.NotTimelock.selector, others[i]));
            vm.prank(others[i]);
            registry.appendFork(gloasSlot, gloas);
        }
    }

    /// [F2] Two epochs ahead, at an epoch's start, above the last, with code.
    function test_WhatCantBeAppended() public {
        appendReverts(
            gloasSlot - 32, gloas, abi.encodeWithSelector(IBeaconForks.ForkTooEarly.selector, gloasSlot - 32, gloasSlot)
        );
        appendReverts(gloasSlot + 1, gloas, abi.encodeWithSelector(IBeaconForks.ForkNotAtEpoch.selector, gloasSlot + 1));
        appendReverts(
            gloasSlot,
            IBeaconStateVerifier(address(99)),
            abi.encodeWithSelector(IBeaconForks.NoVerifierCode.selector, address(99))
        );
        uint64 most = gloasSlot + (1 << 21);
        appendReverts(most + 32, gloas, abi.encodeWithSelector(IBeaconForks.ForkTooLate.selector, most + 32, most));
        appendGloas();
        appendReverts(
            gloasSlot, gloas, abi.encodeWithSelector(IBeaconForks.ForkTooEarly.selector, gloasSlot, gloasSlot + 32)
        );
    }

    /// [F2] The latest slot that is still near enough.
    function test_TheLatestFork() public {
        gloasSlot += 1 << 21;
        appendGloas();
        assertEq(registry.forks()[1].fromSlot, gloasSlot);
    }

    /// [F1] Each slot has the verifier of the last fork at or before it, however many there are.
    function test_TheVerifierOfASlot() public {
        appendGloas();
        IBeaconStateVerifier third = IBeaconStateVerifier(vm.deployCode("GloasVerifier.sol"));
        vm.prank(timelock);
        registry.appendFork(gloasSlot + 320, third);
        assertEq(address(registry.verifierAt(0)), verifier);
        assertEq(address(registry.verifierAt(gloasSlot - 1)), verifier);
        assertEq(address(registry.verifierAt(gloasSlot)), address(gloas));
        assertEq(address(registry.verifierAt(gloasSlot + 319)), address(gloas));
        assertEq(address(registry.verifierAt(gloasSlot + 320)), address(third));
        assertEq(address(registry.verifierAt(type(uint64).max)), address(third));
    }

    /// [F1] Up to the pivot Fulu's states are proven, from it on Gloas', each by its own layout alone.
    function test_ProofsFollowTheFork() public {
        appendGloas();
        mineAt(gloasSlot - EPOCH + 2);
        publishGloas(false);
        publish(all(1));
        checkSlot(0, a.id, Kind.Proven);

        // The first epoch of the fork.
        mineAt(gloasSlot + 1);
        LookaheadProof memory proof = lookaheadProof(slot - 1, all(2));
        feedRoot(rootOf(proof.header));
        vm.expectRevert(abi.encodeWithSelector(IBeaconProofs.WrongBranchLength.selector, 7, 12));
        registry.publish(nextEpoch(), uint64(block.timestamp), proof);
        publishGloas(true);
        checkSlot(0, b.id, Kind.Proven);
    }

    /// Delegations too: an old block's proof is still judged by its own fork.
    function test_AnOldBlocksProofIsJudgedByItsFork() public {
        appendGloas();
        mineAt(gloasSlot + 5);
        uint256 before = slot;
        slot = gloasSlot - 1;
        revoke(1);
        slot = before;
        assertEq(registry.delegationOf(1).gateway, 0);
        vm.expectRevert(abi.encodeWithSelector(IBeaconProofs.WrongBranchLength.selector, 49, 12));
        this.revokeOutside(0);
    }

    function revokeOutside(uint64 index) external {
        revoke(index);
    }

    /// [F1] Blocks before the first fork can't be proven at all.
    function test_BeforeTheFirstForkThereIsNoVerifier() public {
        RegistryParameters memory p = registryParameters();
        p.inbox = address(1);
        p.firstForkSlot = gloasSlot;
        IRegistry later = IRegistry(vm.deployCode("Registry.sol", abi.encode(p)));
        assertEq(address(later.verifierAt(gloasSlot)), verifier);
        vm.expectRevert(abi.encodeWithSelector(IBeaconForks.NoVerifier.selector, gloasSlot - 1));
        later.verifierAt(gloasSlot - 1);
        LookaheadProof memory proof = lookaheadProof(slot - 1, all(1));
        feedRoot(rootOf(proof.header));
        vm.expectRevert(abi.encodeWithSelector(IBeaconForks.NoVerifier.selector, slot - 1));
        later.publish(nextEpoch(), uint64(block.timestamp), proof);
    }

    /// [F3] A chain without proposers to prove: nothing is published, the next epoch is always fixed, nothing is forgotten, nor can that change.
    function test_AChainWithoutProposers() public {
        RegistryParameters memory p = registryParameters();
        p.inbox = address(1);
        p.firstVerifier = address(0);
        IRegistry bare = IRegistry(vm.deployCode("Registry.sol", abi.encode(p)));
        assertEq(bare.forks().length, 0);
        vm.expectRevert(IBeaconForks.NothingToProve.selector);
        vm.prank(timelock);
        bare.appendFork(gloasSlot, gloas);
        vm.expectRevert(abi.encodeWithSelector(IBeaconForks.NoVerifier.selector, slot));
        bare.verifierAt(uint64(slot));
        LookaheadProof memory proof = lookaheadProof(slot - 1, all(1));
        feedRoot(rootOf(proof.header));
        vm.expectRevert(abi.encodeWithSelector(IBeaconForks.NoVerifier.selector, slot - 1));
        bare.publish(nextEpoch(), uint64(block.timestamp), proof);
        uint256 begin = uint256(nextEpoch()) * EPOCH;
        assertEq(uint8(bare.windowAt(begin).kind), uint8(Kind.Open));
        mineAt(slot + 1000 * EPOCH);
        assertEq(uint8(bare.windowAt(begin).kind), uint8(Kind.Open));
    }

    function appendGloas() private {
        vm.prank(timelock);
        registry.appendFork(gloasSlot, gloas);
    }

    function appendReverts(uint64 fromSlot, IBeaconStateVerifier next, bytes memory refusal) private {
        vm.expectRevert(refusal);
        vm.prank(timelock);
        registry.appendFork(fromSlot, next);
    }

    function publishGloas(bool accepted) private {
        LookaheadProof memory proof = lookaheadProof(slot - 1, all(2), GLOAS_NEXT_EPOCH);
        feedRoot(rootOf(proof.header));
        if (!accepted) {
            vm.expectRevert(abi.encodeWithSelector(IBeaconProofs.WrongBranchLength.selector, 12, 7));
        }
        registry.publish(nextEpoch(), uint64(block.timestamp), proof);
    }
}
