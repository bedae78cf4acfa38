// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {FuluVerifier} from "baton/beacon/FuluVerifier.sol";
import {GloasVerifier} from "baton/beacon/GloasVerifier.sol";
import {DevnetSystemConfig} from "baton/devnet/DevnetSystemConfig.sol";
import {InboxConfiguration} from "baton/inbox/IInbox.sol";
import {Inbox} from "baton/inbox/Inbox.sol";
import {IRegistry, RegistryParameters} from "baton/registry/IRegistry.sol";
import {Registry} from "baton/registry/Registry.sol";
import {BatcherRotation} from "baton/rollup/BatcherRotation.sol";
import {IBatcherRotation} from "baton/rollup/IBatcherRotation.sol";
import {ISystemConfig} from "baton/rollup/ISystemConfig.sol";
import {CommonBase} from "forge-std/Base.sol";

/// @notice The fork of the beacon chain that a deployment begins with.
enum FirstFork {
    /// A chain without proposers to prove.
    None,
    Fulu,
    Gloas
}

/// @notice What a deployment is made of. `registry.inbox`, `registry.firstVerifier`, `inbox.registry` and `inbox.rotation` are filled in.
struct DeploymentConfiguration {
    /// Parameters of the registry.
    RegistryParameters registry;
    /// Parameters of the inbox.
    InboxConfiguration inbox;
    /// The rollup's SystemConfig; zero deploys one for devnets.
    address systemConfig;
    /// Who signs gossiped blocks, for a SystemConfig deployed here.
    address unsafeBlockSigner;
    /// Whose states are verified from `registry.firstForkSlot` on.
    FirstFork firstFork;
}

/// @notice The contracts of a deployment.
struct Deployed {
    Registry registry;
    Inbox inbox;
    BatcherRotation rotation;
    ISystemConfig systemConfig;
    /// The verifier of the first fork; zero if there is none.
    address verifier;
}

/// @title Deployment
/// @notice Deploys the contracts. They know one another's addresses from the start, which the deployer's nonces tell beforehand.
abstract contract Deployment is CommonBase {
    /// @notice The inbox came to stand at another address than the registry was told.
    error InboxMisplaced(address actual, address expected);

    /// @dev Deploys everything from `deployer`, whose transactions these must be.
    function _deploy(DeploymentConfiguration memory configuration, address deployer)
        internal
        returns (Deployed memory deployed)
    {
        // First, because the nonces of what follows are counted.
        if (configuration.firstFork == FirstFork.Fulu) deployed.verifier = address(new FuluVerifier());
        else if (configuration.firstFork == FirstFork.Gloas) deployed.verifier = address(new GloasVerifier());
        configuration.registry.firstVerifier = deployed.verifier;
        bool ownSystemConfig = configuration.systemConfig == address(0);
        uint256 nonce = vm.getNonce(deployer) + (ownSystemConfig ? 1 : 0);
        address inbox = vm.computeCreateAddress(deployer, nonce + 2);
        deployed.systemConfig = ISystemConfig(configuration.systemConfig);
        if (ownSystemConfig) {
            deployed.systemConfig = new DevnetSystemConfig(configuration.inbox.batcher, configuration.unsafeBlockSigner);
        }
        configuration.registry.inbox = inbox;
        deployed.registry = new Registry(configuration.registry);
        deployed.rotation = new BatcherRotation(deployed.systemConfig, inbox, configuration.registry.timelock);
        configuration.inbox.registry = IRegistry(deployed.registry);
        configuration.inbox.rotation = IBatcherRotation(deployed.rotation);
        deployed.inbox = new Inbox(configuration.inbox);
        require(address(deployed.inbox) == inbox, InboxMisplaced(address(deployed.inbox), inbox));
        // A SystemConfig that stood before is handed over by its owner.
        if (ownSystemConfig) deployed.systemConfig.transferOwnership(address(deployed.rotation));
    }
}
