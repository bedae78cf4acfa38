// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {Script} from "forge-std/Script.sol";

/// @title Broadcaster
/// @notice Signs what a script sends: with the account that forge was given (`--account`, `--ledger`, `--interactive`), or on
/// devnets with the key in the environment variable PRIVATE_KEY. Keys never come as arguments, which other processes can read.
abstract contract Broadcaster is Script {
    /// @notice The environment variable must be set.
    error MissingEnvironment(string name, string meaning);

    /// @dev Starts to broadcast.
    /// @return sender Who signs.
    function _startBroadcast() internal returns (address sender) {
        uint256 key = vm.envOr("PRIVATE_KEY", uint256(0));
        if (key == 0) vm.startBroadcast();
        else vm.startBroadcast(key);
        (, sender,) = vm.readCallers();
    }

    /// @dev Refuses to go on without an environment variable.
    function _require(string memory name, string memory meaning) internal view {
        require(vm.envExists(name), MissingEnvironment(name, meaning));
    }
}
