// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {Broadcaster} from "./Broadcaster.sol";
import {IRegistry} from "baton/registry/IRegistry.sol";
import {console} from "forge-std/console.sol";

/// @title Exit
/// @notice Starts a gateway's exit, rule [C7]. It is final. Sent by the gateway's owner.
contract Exit is Broadcaster {
    /// @notice Requests the exit.
    function run() external {
        IRegistry registry = _registry();
        uint16 id = _gateway();
        _startBroadcast();
        registry.requestExit(id);
        vm.stopBroadcast();
        console.log("gateway %s exits; its collateral is free from slot %s", id, registry.gateway(id).withdrawableSlot);
    }
}
