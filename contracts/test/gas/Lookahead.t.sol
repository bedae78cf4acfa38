// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {BeaconState} from "../chain/Beacon.sol";
import {Party} from "../chain/Deployed.sol";
import {Signing} from "../chain/Signing.sol";
import {LookaheadProof, ValidatorProof} from "baton/beacon/IBeaconProofs.sol";
import {IDelegationSignatures} from "baton/delegation/IDelegationSignatures.sol";
import {Delegation} from "baton/types/Delegation.sol";

/// @notice Gas of publication, lookups and delegation, each in a fresh transaction as in Gas.t.sol. State: 40 validators delegate to 4 gateways, 12
/// more to 12 gateways.
abstract contract LookaheadGasState is BeaconState, Signing {
    Party[] internal parties;
    address internal signatures;

    function setUp() public virtual override {
        super.setUp();
        signatures = address(registry.delegationSignatures());
        for (uint256 i = 0; i < 12; ++i) {
            parties.push(register(vm.toString(i), PENALTY, REFUND));
        }
        for (uint64 i = 0; i < 40; ++i) {
            delegate(1_000_000 + i, parties[i % 4]);
        }
        for (uint64 i = 0; i < 12; ++i) {
            delegate(2_000_000 + i, parties[i]);
        }
        mineAt((FIRST_EPOCH + 1) * EPOCH);
        mineAt(slot + 1);
    }

    /// 32 different validators, of the four gateways in no order.
    function distinct() internal pure returns (uint64[32] memory indices) {
        for (uint64 i = 0; i < 32; ++i) {
            // 13 and 40 have no common divisor.
            indices[i] = 1_000_000 + (i * i * i + 13 * i) % 40;
            while (isIn(indices, i)) indices[i] = 1_000_000 + (indices[i] + 13) % 40;
        }
    }

    function isIn(uint64[32] memory indices, uint256 place) private pure returns (bool) {
        for (uint256 i = 0; i < place; ++i) {
            if (indices[i] == indices[place]) return true;
        }
        return false;
    }

    function coolAll() internal {
        vm.cool(address(registry));
        vm.cool(verifier);
        vm.cool(signatures);
        vm.cool(BEACON_ROOTS);
    }
}

/// @notice A publication. Its root is told in `setUp`, so that EIP-4788's contract is cold: forge makes storage cold again, not accounts.
abstract contract PublishGasState is LookaheadGasState {
    function setUp() public virtual override {
        super.setUp();
        feedRoot(rootOf(lookaheadProof(slot - 1, proposers()).header));
    }

    function proposers() internal pure virtual returns (uint64[32] memory) {
        return distinct();
    }

    function measure(string memory name) internal {
        LookaheadProof memory proof = lookaheadProof(slot - 1, proposers());
        coolAll();
        registry.publish(nextEpoch(), uint64(block.timestamp), proof);
        vm.snapshotGasLastCall("lookahead", name);
    }
}

contract PublishGasTest is PublishGasState {
    function test_Fresh() public {
        measure("publish, fresh");
    }
}

contract RepublishGasTest is PublishGasState {
    function setUp() public override {
        super.setUp();
        publish(distinct());
        mineAt(slot + 256 * EPOCH);
        feedRoot(rootOf(lookaheadProof(slot - 1, proposers()).header));
    }

    function test_RingReuse() public {
        measure("publish, ring reuse");
    }
}

contract VacantGasTest is PublishGasState {
    function proposers() internal pure override returns (uint64[32] memory indices) {
        for (uint64 i = 0; i < 32; ++i) {
            indices[i] = 3_000_000 + i;
        }
    }

    function test_NobodyDelegated() public {
        measure("publish, nobody delegated, fresh");
    }
}

contract WideGasTest is PublishGasState {
    function proposers() internal pure override returns (uint64[32] memory indices) {
        for (uint64 i = 0; i < 32; ++i) {
            indices[i] = i < 12 ? 2_000_000 + i : 1_000_000 + i;
        }
    }

    function test_TwelveGateways() public {
        measure("publish, twelve gateways, fresh");
    }
}

contract LookupGasTest is LookaheadGasState {
    function setUp() public override {
        super.setUp();
        publish(distinct());
    }

    function test_GatewayAtProven() public {
        coolAll();
        registry.gatewayAt(uint256(nextEpoch()) * EPOCH + 17);
        vm.snapshotGasLastCall("lookahead", "gatewayAt, proven");
    }

    function test_GatewayAtFallback() public {
        coolAll();
        registry.gatewayAt(slot);
        vm.snapshotGasLastCall("lookahead", "gatewayAt, fallback");
    }
}

abstract contract DelegationGasState is LookaheadGasState {
    uint256 internal constant SECRET = 0x1234567890abcdef1234567890abcdef1234567890abcdef1234567890abcdef;
    uint64 internal constant INDEX = 1_234_567;

    function byKey() internal view returns (ValidatorProof memory) {
        return validatorProof(slot - 1, INDEX, pubkeyRootOf(publicKey(SECRET)), 0);
    }
}

contract DelegateGasTest is DelegationGasState {
    function setUp() public override {
        super.setUp();
        feedRoot(rootOf(byKey().header));
    }

    function test_ByKey() public {
        ValidatorProof memory proof = byKey();
        Delegation memory delegation =
            Delegation({validatorIndex: INDEX, gateway: parties[0].id, nonce: 0, deadline: type(uint64).max});
        bytes32[8] memory signature = sign(SECRET, registry.signingRootOf(delegation));
        bytes32[4] memory key = publicKey(SECRET);
        bytes32 digest = registry.hashDelegation(delegation);
        coolAll();
        IDelegationSignatures(signatures).check(digest, 0, proof.pubkeyRoot, key, signature);
        vm.snapshotGasLastCall("delegation", "check of a BLS signature");
        coolAll();
        vm.prank(parties[0].owner);
        registry.delegate(proof, uint64(block.timestamp), key, signature, parties[0].id, type(uint64).max);
        vm.snapshotGasLastCall("delegation", "delegate by BLS signature, fresh");
    }
}

contract OfferGasTest is DelegationGasState {
    ValidatorProof private proof;

    function setUp() public override {
        super.setUp();
        proof = proven(INDEX);
    }

    function test_ByWithdrawalAddress() public {
        coolAll();
        vm.prank(withdrawalAddress(INDEX));
        registry.offerDelegation(proof, uint64(block.timestamp), parties[0].id, type(uint64).max);
        vm.snapshotGasLastCall("delegation", "offer by withdrawal address, fresh");
    }
}

contract AcceptGasTest is LookaheadGasState {
    uint64 private constant INDEX = 1_234_567;

    function setUp() public override {
        super.setUp();
        ValidatorProof memory proof = proven(INDEX);
        vm.prank(withdrawalAddress(INDEX));
        registry.offerDelegation(proof, uint64(block.timestamp), parties[0].id, type(uint64).max);
    }

    function test_Accept() public {
        coolAll();
        vm.prank(parties[0].owner);
        registry.acceptDelegation(INDEX, parties[0].id);
        vm.snapshotGasLastCall("delegation", "accept, fresh");
    }

    function test_Renounce() public {
        uint64 index = 1_000_000;
        coolAll();
        vm.prank(parties[0].owner);
        registry.renounceDelegation(index);
        vm.snapshotGasLastCall("delegation", "renounce");
    }
}
