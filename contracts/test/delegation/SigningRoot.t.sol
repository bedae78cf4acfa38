// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {DeployedState} from "../chain/Deployed.sol";
import {IDelegationSignatures} from "baton/delegation/IDelegationSignatures.sol";
import {IRegistry, RegistryParameters} from "baton/registry/IRegistry.sol";
import {Delegation} from "baton/types/Delegation.sol";

/// @notice Rule [D2] against vectors from other libraries: digest, wrapping and signature, see contracts/vectors/bls.mjs.
contract SigningRootTest is DeployedState {
    function test_AgreesWithTheVectors() public {
        string memory json = vm.readFile("contracts/vectors/delegations.json");
        uint256 i = 0;
        for (; vm.keyExistsJson(json, place(i, "")); ++i) {
            vm.chainId(vm.parseJsonUint(json, place(i, ".chainId")));
            RegistryParameters memory p = registryParameters();
            p.inbox = address(1);
            p.genesisForkVersion = bytes4(vm.parseJsonBytes(json, place(i, ".genesisForkVersion")));
            // A registry at the vector's address, with its constructor's work done there.
            address at_ = vm.parseJsonAddress(json, place(i, ".registry"));
            deployCodeTo("Registry.sol", abi.encode(p), at_);
            Delegation memory delegation = Delegation({
                validatorIndex: uint64(vm.parseJsonUint(json, place(i, ".validatorIndex"))),
                gateway: uint16(vm.parseJsonUint(json, place(i, ".gateway"))),
                nonce: uint64(vm.parseJsonUint(json, place(i, ".nonce"))),
                deadline: uint64(vm.parseJsonUint(json, place(i, ".deadline")))
            });
            bytes32 digest = IRegistry(at_).hashDelegation(delegation);
            assertEq(digest, vm.parseJsonBytes32(json, place(i, ".digest")));
            bytes32 root = IRegistry(at_).signingRootOf(delegation);
            assertEq(root, vm.parseJsonBytes32(json, place(i, ".signingRoot")));

            IDelegationSignatures signatures = IRegistry(at_).delegationSignatures();
            assertEq(signatures.signingRoot(digest, delegation.nonce), root);
            bytes32[4] memory key = abi.decode(vm.parseJsonBytes(json, place(i, ".pubkeyPoint")), (bytes32[4]));
            bytes32[8] memory signature = abi.decode(vm.parseJsonBytes(json, place(i, ".signaturePoint")), (bytes32[8]));
            bytes32 pubkeyRoot = vm.parseJsonBytes32(json, place(i, ".pubkeyRoot"));
            signatures.check(digest, delegation.nonce, pubkeyRoot, key, signature);
            // And not under another nonce.
            vm.expectPartialRevert(IDelegationSignatures.WrongSignature.selector);
            signatures.check{gas: 1_000_000}(digest, delegation.nonce ^ 1, pubkeyRoot, key, signature);
        }
        assertEq(i, 5);
    }

    function place(uint256 index, string memory field) private pure returns (string memory) {
        return string.concat(".delegations[", vm.toString(index), "]", field);
    }
}
