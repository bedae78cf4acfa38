// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {IInbox} from "baton/inbox/IInbox.sol";
import {IRegistry, RegistryParameters} from "baton/registry/IRegistry.sol";
import {Test} from "forge-std/Test.sol";

/// @notice What {Deploy} answers, with addresses for contracts.
struct Contracts {
    address registry;
    address inbox;
    address rotation;
    address systemConfig;
}

interface IDeploy {
    function run() external returns (Contracts memory);
}

interface IOwned {
    function owner() external view returns (address);
}

/// @notice The deployment script, run as forge runs it, with the configurations that are kept.
contract DeployTest is Test {
    string private constant OUT = "deployments/test.json";

    function deploy(string memory path) private returns (Contracts memory deployed) {
        vm.setEnv("BATON_CONFIG", path);
        vm.setEnv("BATON_DEPLOYMENT", OUT);
        vm.warp(1);
        deployed = IDeploy(vm.deployCode("Deploy.s.sol:Deploy")).run();
        string memory json = vm.readFile(OUT);
        assertEq(vm.parseJsonAddress(json, ".registry"), deployed.registry);
        assertEq(vm.parseJsonAddress(json, ".inbox"), deployed.inbox);
        assertEq(vm.parseJsonAddress(json, ".rotation"), deployed.rotation);
        assertEq(vm.parseJsonAddress(json, ".systemConfig"), deployed.systemConfig);
        assertEq(vm.parseJsonUint(json, ".chainId"), block.chainid);
        vm.removeFile(OUT);
    }

    /// One test, because the environment is the process's: tests run at the same time.
    function test_ConfigurationsDeploy() public {
        Contracts memory deployed = deploy("script/config/devnet.json");
        RegistryParameters memory p = IRegistry(deployed.registry).parameters();
        assertEq(p.inbox, deployed.inbox);
        assertEq(p.slotLength, 2);
        assertEq(p.penaltyThreshold, 1.192 ether);
        assertEq(IInbox(deployed.inbox).parameters().silence, 64);
        assertEq(IOwned(deployed.systemConfig).owner(), deployed.rotation);

        deployed = deploy("script/config/mainnet.example.json");
        p = IRegistry(deployed.registry).parameters();
        assertEq(p.slotLength, 12);
        assertEq(p.evidenceHorizon, 7800);
        assertEq(deployed.systemConfig, address(0xA4), "the rollup's own");
        assertEq(IInbox(deployed.inbox).batcher(), address(0xA3));
    }
}
