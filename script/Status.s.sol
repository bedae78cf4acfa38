// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {Broadcaster} from "./Broadcaster.sol";
import {IInbox} from "baton/inbox/IInbox.sol";
import {Window} from "baton/lookahead/ILookahead.sol";
import {Tranches} from "baton/registry/ICollateral.sol";
import {Gateway} from "baton/registry/IGateways.sol";
import {IRegistry, RegistryParameters} from "baton/registry/IRegistry.sol";
import {console} from "forge-std/console.sol";

/// @title Status
/// @notice Prints how things stand; sends nothing.
contract Status is Broadcaster {
    /// @notice Prints.
    function run() external view {
        IRegistry registry = _registry();
        RegistryParameters memory p = registry.parameters();
        uint256 slot = (block.timestamp - p.l1GenesisTime) / p.slotLength;
        Window memory window = registry.windowAt(slot);
        console.log("slot %s, held by gateway %s until slot %s", slot, window.gateway, window.end);
        (uint64 number,, uint64 settledIn) = IInbox(p.inbox).head();
        console.log("settled up to block %s, in slot %s, batcher %s", number, settledIn, IInbox(p.inbox).batcher());
        for (uint16 id = 1; id < registry.nextId(); ++id) {
            _print(registry, id);
        }
    }

    function _print(IRegistry registry, uint16 id) private view {
        Gateway memory gateway = registry.gateway(id);
        Tranches memory tranches = registry.tranches(id);
        console.log("gateway %s, owner %s, settler %s", id, gateway.owner, gateway.settler);
        console.log(
            "  eligible %s, ended in %s, free from %s", gateway.eligible, gateway.endedSlot, gateway.withdrawableSlot
        );
        console.log("  penalty %s, refund %s, charged %s", tranches.penalty, tranches.refund, tranches.charged);
        console.log("  owner's credit %s", registry.creditOf(gateway.owner));
    }
}
