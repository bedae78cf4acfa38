// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {Broadcaster} from "./Broadcaster.sol";
import {IRegistry} from "baton/registry/IRegistry.sol";
import {console} from "forge-std/console.sol";

/// @title Deposit
/// @notice Adds ether to a gateway's tranches, rule [C1].
contract Deposit is Broadcaster {
    /// @notice Deposits.
    function run() external {
        IRegistry registry = _registry();
        uint16 id = _gateway();
        uint256 penalty = _uint("BATON_PENALTY", "wei for the penalty tranche");
        uint256 refund = _uint("BATON_REFUND", "wei for the refund tranche");
        _startBroadcast();
        registry.deposit{value: penalty + refund}(id, penalty);
        vm.stopBroadcast();
        console.log("deposited for gateway %s; eligible: %s", id, registry.isEligible(id));
    }
}
