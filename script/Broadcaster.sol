// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {IRegistry} from "baton/registry/IRegistry.sol";
import {Script} from "forge-std/Script.sol";

/// @title Broadcaster
/// @notice Signs what a script sends: with the account that forge was given (`--account`, `--ledger`, `--interactive`), or on
/// devnets with the key in the environment variable PRIVATE_KEY. Keys never come as arguments, which other processes can read.
abstract contract Broadcaster is Script {
    /// @notice The environment variable must be set.
    error MissingEnvironment(string name, string meaning);
    /// @notice BATON_GATEWAY: ids fit 15 bits.
    error NoSuchId(uint256 id);

    /// @dev Starts to broadcast.
    /// @return sender Who signs.
    function _startBroadcast() internal returns (address sender) {
        uint256 key = vm.envOr("PRIVATE_KEY", uint256(0));
        if (key == 0) vm.startBroadcast();
        else vm.startBroadcast(key);
        (, sender,) = vm.readCallers();
    }

    /// @dev An address from the environment.
    function _address(string memory name, string memory meaning) internal view returns (address) {
        _require(name, meaning);
        return vm.envAddress(name);
    }

    /// @dev A number from the environment.
    function _uint(string memory name, string memory meaning) internal view returns (uint256) {
        _require(name, meaning);
        return vm.envUint(name);
    }

    /// @dev A text from the environment.
    function _string(string memory name, string memory meaning) internal view returns (string memory) {
        _require(name, meaning);
        return vm.envString(name);
    }

    /// @dev The registry that the environment names.
    function _registry() internal view returns (IRegistry) {
        return IRegistry(_address("BATON_REGISTRY", "the registry's address"));
    }

    /// @dev The gateway that the environment names.
    function _gateway() internal view returns (uint16) {
        uint256 id = _uint("BATON_GATEWAY", "the gateway's id");
        require(id <= type(uint16).max, NoSuchId(id));
        // forge-lint: disable-next-line(unsafe-typecast)
        return uint16(id);
    }

    function _require(string memory name, string memory meaning) private view {
        require(vm.envExists(name), MissingEnvironment(name, meaning));
    }
}
