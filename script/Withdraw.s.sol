// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {Broadcaster} from "./Broadcaster.sol";
import {IRegistry} from "baton/registry/IRegistry.sol";
import {console} from "forge-std/console.sol";

/// @title Withdraw
/// @notice Pays out what an owner has: an exited gateway's collateral, once it is free, and all credit. Sent by the owner.
contract Withdraw is Broadcaster {
    /// @notice Withdraws.
    function run() external {
        IRegistry registry = _registry();
        uint16 id = _gateway();
        address payable to = payable(_address("BATON_TO", "where the ether goes"));
        address sender = _startBroadcast();
        if (registry.gateway(id).withdrawableSlot != 0) registry.withdrawCollateral(id);
        uint256 credit = registry.creditOf(sender);
        registry.withdrawCredit(to);
        vm.stopBroadcast();
        console.log("%s wei sent to %s", credit, to);
    }
}
