// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {BeaconHeader, LookaheadProof, ValidatorProof} from "baton/beacon/IBeaconProofs.sol";
import {Test} from "forge-std/Test.sol";

/// @notice Reads the vectors that Lodestar made: see contracts/vectors/beacon.mjs.
abstract contract BeaconVectors is Test {
    string private path;

    function load(string memory fork) internal {
        path = string.concat("contracts/vectors/beacon/", fork, ".json");
    }

    /// Read anew each time: that takes less gas than keeping the text in storage.
    function json() internal view returns (string memory) {
        return vm.readFile(path);
    }

    function entry(string memory list, uint256 index) internal pure returns (string memory) {
        return string.concat(".", list, "[", vm.toString(index), "]");
    }

    function countOf(string memory list) internal view returns (uint256 count) {
        string memory text = json();
        while (vm.keyExistsJson(text, string.concat(list, "[", vm.toString(count), "]"))) ++count;
    }

    function header(string memory place) internal view returns (BeaconHeader memory) {
        string memory text = json();
        return BeaconHeader({
            slot: uint64(vm.parseJsonUint(text, string.concat(place, ".header.slot"))),
            proposerIndex: uint64(vm.parseJsonUint(text, string.concat(place, ".header.proposerIndex"))),
            parentRoot: vm.parseJsonBytes32(text, string.concat(place, ".header.parentRoot")),
            stateRoot: vm.parseJsonBytes32(text, string.concat(place, ".header.stateRoot")),
            bodyRoot: vm.parseJsonBytes32(text, string.concat(place, ".header.bodyRoot"))
        });
    }

    function blockRoot(string memory place) internal view returns (bytes32) {
        return vm.parseJsonBytes32(json(), string.concat(place, ".blockRoot"));
    }

    function lookahead(string memory place) internal view returns (LookaheadProof memory proof) {
        string memory text = json();
        proof.header = header(place);
        bytes32[] memory chunks = vm.parseJsonBytes32Array(text, string.concat(place, ".chunks"));
        for (uint256 i = 0; i < 8; ++i) {
            proof.chunks[i] = chunks[i];
        }
        proof.branch = vm.parseJsonBytes32Array(text, string.concat(place, ".branch"));
    }

    function validator(string memory place, string memory part) internal view returns (ValidatorProof memory) {
        string memory text = json();
        return ValidatorProof({
            header: header(place),
            index: uint64(vm.parseJsonUint(text, string.concat(part, ".index"))),
            pubkeyRoot: vm.parseJsonBytes32(text, string.concat(part, ".pubkeyRoot")),
            withdrawalCredentials: vm.parseJsonBytes32(text, string.concat(part, ".withdrawalCredentials")),
            branch: vm.parseJsonBytes32Array(text, string.concat(part, ".branch"))
        });
    }
}
