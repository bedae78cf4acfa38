// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {Broadcaster} from "./Broadcaster.sol";
import {Deployed, Deployment, DeploymentConfiguration, FirstFork} from "./Deployment.sol";
import {InboxConfiguration} from "baton/inbox/IInbox.sol";
import {IRegistry, RegistryParameters} from "baton/registry/IRegistry.sol";
import {IBatcherRotation} from "baton/rollup/IBatcherRotation.sol";
import {console} from "forge-std/console.sol";

/// @title Deploy
/// @notice Deploys Baton as a configuration file says, and writes down what stands where.
///
///     BATON_CONFIG=script/config/devnet.json BATON_DEPLOYMENT=deployments/devnet.json \
///       forge script script/Deploy.s.sol --rpc-url $RPC --broadcast --account deployer
///
/// Without `--rpc-url` it is a dry run. The constructors refuse parameters that break a rule, and name the field.
contract Deploy is Deployment, Broadcaster {
    /// @notice The configuration lacks a field.
    error MissingField(string path, string field);
    /// @notice The field `firstFork` is `none`, `fulu` or `gloas`.
    error UnknownFork(string name);
    /// @notice The field holds four bytes.
    error NotFourBytes(string field, uint256 length);
    /// @notice The number doesn't fit its field.
    error NumberTooLarge(string field, uint256 value);

    /// @notice Deploys.
    /// @return deployed The contracts.
    function run() external returns (Deployed memory deployed) {
        string memory path = vm.envOr("BATON_CONFIG", string("script/config/devnet.json"));
        string memory out = vm.envOr("BATON_DEPLOYMENT", string("deployments/latest.json"));
        DeploymentConfiguration memory configuration = readConfiguration(path);
        // A dry run without a chain stands at the beginning of time.
        // forge-lint: disable-next-line(block-timestamp)
        if (block.timestamp == 1) vm.warp(configuration.inbox.l2GenesisTime);
        address sender = _startBroadcast();
        deployed = _deploy(configuration, sender);
        vm.stopBroadcast();
        _write(out, configuration, deployed);
        _print(configuration, deployed);
    }

    /// @notice Reads a configuration file.
    /// @param path Where it is, from the project's root.
    function readConfiguration(string memory path) public view returns (DeploymentConfiguration memory configuration) {
        // forge-lint: disable-next-line(unsafe-cheatcode)
        string memory json = vm.readFile(path);
        configuration.registry = RegistryParameters({
            l1GenesisTime: _uint64(path, json, "l1GenesisTime"),
            slotLength: _uint64(path, json, "slotLength"),
            l2BlockTime: _uint64(path, json, "l2BlockTime"),
            settlementDelay: _uint64(path, json, "settlementDelay"),
            margin: _uint64(path, json, "margin"),
            turn: _uint64(path, json, "turn"),
            minChances: _uint64(path, json, "minChances"),
            evidenceHorizon: _uint64(path, json, "evidenceHorizon"),
            exitDelay: _uint64(path, json, "exitDelay"),
            registrationFee: _uint(path, json, "registrationFee"),
            penaltyThreshold: _uint(path, json, "penaltyThreshold"),
            refundThreshold: _uint(path, json, "refundThreshold"),
            largeFault: _uint(path, json, "largeFault"),
            blockPrice: _uint(path, json, "blockPrice"),
            operator: _address(path, json, "operator"),
            fallbackKey: _address(path, json, "fallbackKey"),
            inbox: address(0),
            genesisForkVersion: _bytes4(path, json, "genesisForkVersion"),
            timelock: _address(path, json, "timelock"),
            firstForkSlot: _uint64(path, json, "firstForkSlot"),
            firstVerifier: address(0)
        });
        configuration.inbox = InboxConfiguration({
            l2GenesisTime: _uint64(path, json, "l2GenesisTime"),
            genesisLink: vm.parseJsonBytes32(json, _key(path, json, "genesisLink")),
            silence: _uint64(path, json, "silence"),
            shareBps: _uint(path, json, "shareBps"),
            batcher: _address(path, json, "batcher"),
            registry: IRegistry(address(0)),
            rotation: IBatcherRotation(address(0))
        });
        configuration.systemConfig = _address(path, json, "systemConfig");
        configuration.unsafeBlockSigner = _address(path, json, "unsafeBlockSigner");
        configuration.firstFork = _fork(path, json);
    }

    function _write(string memory out, DeploymentConfiguration memory configuration, Deployed memory deployed) private {
        string memory object = "deployment";
        vm.serializeUint(object, "chainId", block.chainid);
        vm.serializeUint(object, "l1Block", block.number);
        vm.serializeAddress(object, "registry", address(deployed.registry));
        vm.serializeAddress(object, "inbox", address(deployed.inbox));
        vm.serializeAddress(object, "rotation", address(deployed.rotation));
        vm.serializeAddress(object, "timelock", configuration.registry.timelock);
        vm.serializeAddress(object, "verifier", deployed.verifier);
        vm.serializeAddress(object, "delegationSignatures", address(deployed.registry.delegationSignatures()));
        string memory json = vm.serializeAddress(object, "systemConfig", address(deployed.systemConfig));
        vm.writeJson(json, out);
        console.log("written to", out);
    }

    function _print(DeploymentConfiguration memory configuration, Deployed memory deployed) private view {
        RegistryParameters memory p = configuration.registry;
        console.log("registry     ", address(deployed.registry));
        console.log("inbox        ", address(deployed.inbox));
        console.log("rotation     ", address(deployed.rotation));
        console.log("systemConfig ", address(deployed.systemConfig));
        console.log("verifier     ", deployed.verifier);
        console.log("slots of %s s, L2 blocks of %s s, turns of %s slots", p.slotLength, p.l2BlockTime, p.turn);
        console.log("block price        %s wei, poster's share %s bps", p.blockPrice, configuration.inbox.shareBps);
        console.log("penalty threshold  %s wei, of which a large fault takes %s", p.penaltyThreshold, p.largeFault);
        console.log("refund threshold   %s wei", p.refundThreshold);
        console.log("evidence horizon   %s slots, exit delay %s slots", p.evidenceHorizon, p.exitDelay);
        if (configuration.systemConfig != address(0)) {
            console.log("to do: the SystemConfig's owner calls transferOwnership(rotation)");
        }
    }

    function _uint64(string memory path, string memory json, string memory field) private view returns (uint64) {
        uint256 value = _uint(path, json, field);
        require(value <= type(uint64).max, NumberTooLarge(field, value));
        // forge-lint: disable-next-line(unsafe-typecast)
        return uint64(value);
    }

    /// The fork of the beacon chain whose states `firstForkSlot` begins; `none` for a chain without proposers to prove.
    function _fork(string memory path, string memory json) private view returns (FirstFork) {
        string memory name = vm.parseJsonString(json, _key(path, json, "firstFork"));
        bytes32 hash = keccak256(bytes(name));
        if (hash == keccak256("fulu")) return FirstFork.Fulu;
        if (hash == keccak256("gloas")) return FirstFork.Gloas;
        require(hash == keccak256("none"), UnknownFork(name));
        return FirstFork.None;
    }

    function _bytes4(string memory path, string memory json, string memory field) private view returns (bytes4) {
        bytes memory value = vm.parseJsonBytes(json, _key(path, json, field));
        require(value.length == 4, NotFourBytes(field, value.length));
        // The length was checked.
        // forge-lint: disable-next-line(unsafe-typecast)
        return bytes4(value);
    }

    /// Wei amounts are strings in the file, because JSON numbers lose digits.
    function _uint(string memory path, string memory json, string memory field) private view returns (uint256) {
        return vm.parseJsonUint(json, _key(path, json, field));
    }

    function _address(string memory path, string memory json, string memory field) private view returns (address) {
        return vm.parseJsonAddress(json, _key(path, json, field));
    }

    function _key(string memory path, string memory json, string memory field)
        private
        view
        returns (string memory key)
    {
        key = string.concat(".", field);
        require(vm.keyExistsJson(json, key), MissingField(path, field));
    }
}
