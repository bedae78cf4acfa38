// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {Broadcaster} from "./Broadcaster.sol";
import {Registration} from "baton/registry/IGateways.sol";
import {IRegistry} from "baton/registry/IRegistry.sol";
import {console} from "forge-std/console.sol";

/// @title Register
/// @notice Registers a gateway with its collateral, rule [G1].
contract Register is Broadcaster {
    /// @notice Registers.
    /// @return id The gateway's id.
    function run() external returns (uint16 id) {
        IRegistry registry = _registry();
        Registration memory registration = Registration({
            owner: _address("BATON_OWNER", "who decides about keys, money and exit"),
            settler: _address("BATON_SETTLER", "the account that sends settlements"),
            sequencerKey: _address("BATON_SEQUENCER_KEY", "the address of the key that signs soft blocks"),
            penalty: _uint("BATON_PENALTY", "the penalty tranche in wei"),
            endpoint: _string("BATON_ENDPOINT", "the URL of the Engine API, for portals"),
            feed: _string("BATON_FEED", "the URL of the soft block feed, for other keepers")
        });
        uint256 refund = _uint("BATON_REFUND", "the refund tranche in wei");
        uint256 value = registry.parameters().registrationFee + registration.penalty + refund;
        _startBroadcast();
        id = registry.register{value: value}(registration);
        vm.stopBroadcast();
        console.log("gateway", id, "registered; eligible:", registry.isEligible(id));
    }
}
