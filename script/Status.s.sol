// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {Broadcaster} from "./Broadcaster.sol";
import {BeaconFork} from "baton/beacon/IBeaconForks.sol";
import {IInbox} from "baton/inbox/IInbox.sol";
import {Kind, Window} from "baton/lookahead/ILookahead.sol";
import {Tranches} from "baton/registry/ICollateral.sol";
import {Gateway} from "baton/registry/IGateways.sol";
import {IRegistry, RegistryParameters} from "baton/registry/IRegistry.sol";
import {console} from "forge-std/console.sol";

/// @title Status
/// @notice Prints how things stand; sends nothing.
contract Status is Broadcaster {
    uint256 private constant _SLOTS_PER_EPOCH = 32;

    /// @notice Prints.
    function run() external view {
        IRegistry registry = _registry();
        RegistryParameters memory p = registry.parameters();
        uint256 slot = (block.timestamp - p.l1GenesisTime) / p.slotLength;
        Window memory window = registry.windowAt(slot);
        console.log("slot %s, held by gateway %s until slot %s", slot, window.gateway, window.end);
        (uint64 number,, uint64 settledIn) = IInbox(p.inbox).head();
        console.log("settled up to block %s, in slot %s, batcher %s", number, settledIn, IInbox(p.inbox).batcher());
        _printLookahead(registry, slot);
        for (uint16 id = 1; id < registry.nextId(); ++id) {
            _print(registry, id);
        }
    }

    /// The schedules of this epoch and, once it is fixed, of the next: a line a window.
    function _printLookahead(IRegistry registry, uint256 slot) private view {
        BeaconFork[] memory forks = registry.forks();
        for (uint256 i = 0; i < forks.length; ++i) {
            console.log(
                "from slot %s on beacon states are verified by %s", forks[i].fromSlot, address(forks[i].verifier)
            );
        }
        uint256 epoch = slot / _SLOTS_PER_EPOCH;
        for (uint256 shown = epoch; shown <= epoch + 1; ++shown) {
            console.log("epoch %s, published: %s", shown, registry.isPublished(shown));
            for (uint256 at_ = shown * _SLOTS_PER_EPOCH; at_ < (shown + 1) * _SLOTS_PER_EPOCH;) {
                try registry.windowAt(at_) returns (Window memory window) {
                    string memory kind =
                        window.kind == Kind.Proven ? "proven" : window.kind == Kind.Fallback ? "fallback" : "open";
                    console.log("  from slot %s gateway %s, %s", window.first, window.gateway, kind);
                    at_ = window.end;
                } catch {
                    console.log("  not fixed yet");
                    break;
                }
            }
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
