// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

// Imported so that forge compiles them with the tests; they are run from their artefacts.
import "../../../script/Deploy.s.sol";
import "../../../script/Deposit.s.sol";
import "../../../script/Exit.s.sol";
import "../../../script/Register.s.sol";
import "../../../script/Status.s.sol";
import "../../../script/Withdraw.s.sol";
import {IInbox} from "baton/inbox/IInbox.sol";
import {IRegistry, RegistryParameters} from "baton/registry/IRegistry.sol";
import {Test} from "forge-std/Test.sol";
import {Vm} from "forge-std/Vm.sol";

/// @notice What {Deploy} answers, with addresses for contracts.
struct Contracts {
    address registry;
    address inbox;
    address rotation;
    address systemConfig;
    address verifier;
}

interface IDeploy {
    function run() external returns (Contracts memory);
}

interface IConfigurationReader {
    function readConfiguration(string memory path) external view;
}

interface IScript {
    function run() external;
}

interface IOwned {
    function owner() external view returns (address);
}

/// @notice The scripts, run as forge runs them: deployments with the configurations that are kept, then an operator's life with a gateway.
contract ScriptsTest is Test {
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
        assertEq(vm.parseJsonAddress(json, ".verifier"), deployed.verifier);
        assertEq(
            vm.parseJsonAddress(json, ".delegationSignatures"),
            address(IRegistry(deployed.registry).delegationSignatures())
        );
        assertEq(vm.parseJsonUint(json, ".chainId"), block.chainid);
        vm.removeFile(OUT);
    }

    /// One test, because the environment is the process's: tests run at the same time.
    function test_ConfigurationsDeployAndScriptsOperate() public {
        Contracts memory deployed = deploy("script/config/mainnet.example.json");
        RegistryParameters memory p = IRegistry(deployed.registry).parameters();
        assertEq(p.slotLength, 12);
        assertEq(p.evidenceHorizon, 7800);
        assertEq(deployed.systemConfig, address(0xA4), "the rollup's own");
        assertEq(IInbox(deployed.inbox).batcher(), address(0xA3));
        assertEq(p.firstVerifier, deployed.verifier);
        assertEq(p.firstForkSlot, 411_392 * 32, "Fusaka's epoch");
        assertEq(address(IRegistry(deployed.registry).verifierAt(p.firstForkSlot)), deployed.verifier);
        assertEq(p.timelock, address(0xA6));

        deployed = deploy("script/config/devnet.json");
        p = IRegistry(deployed.registry).parameters();
        assertEq(p.inbox, deployed.inbox);
        assertEq(p.slotLength, 2);
        assertEq(deployed.verifier, address(0), "no proposers to prove");
        assertEq(IRegistry(deployed.registry).forks().length, 0);
        assertEq(p.penaltyThreshold, 1.192 ether);
        assertEq(IInbox(deployed.inbox).parameters().silence, 64);
        assertEq(IOwned(deployed.systemConfig).owner(), deployed.rotation);
        operate(IRegistry(deployed.registry));
    }

    function run(string memory script) private {
        IScript(vm.deployCode(string.concat(script, ".s.sol:", script))).run();
    }

    /// A configuration that lacks a field, or has a number that doesn't fit, is refused with the field's name.
    function refusesConfigurations() private {
        string memory path = "deployments/refused.json";
        IConfigurationReader reader = IConfigurationReader(vm.deployCode("Deploy.s.sol:Deploy"));
        vm.writeFile(path, '{"l1GenesisTime": 1}');
        vm.expectRevert(abi.encodeWithSignature("MissingField(string,string)", path, "slotLength"));
        reader.readConfiguration(path);
        vm.writeFile(path, '{"l1GenesisTime": "18446744073709551616"}');
        vm.expectRevert(
            abi.encodeWithSignature("NumberTooLarge(string,uint256)", "l1GenesisTime", uint256(type(uint64).max) + 1)
        );
        reader.readConfiguration(path);
        string memory good = vm.readFile("script/config/devnet.json");
        vm.writeFile(path, vm.replace(good, '"none"', '"electra"'));
        vm.expectRevert(abi.encodeWithSignature("UnknownFork(string)", "electra"));
        reader.readConfiguration(path);
        vm.writeFile(path, vm.replace(good, '"0x00000000"', '"0x0000000000"'));
        vm.expectRevert(abi.encodeWithSignature("NotFourBytes(string,uint256)", "genesisForkVersion", 5));
        reader.readConfiguration(path);
        vm.removeFile(path);
    }

    function operate(IRegistry registry) private {
        Vm.Wallet memory owner = vm.createWallet("owner");
        deal(owner.addr, 10 ether);
        vm.setEnv("PRIVATE_KEY", vm.toString(bytes32(owner.privateKey)));
        // What is missing is named.
        refusesConfigurations();
        IScript deposit = IScript(vm.deployCode("Deposit.s.sol:Deposit"));
        vm.expectRevert(
            abi.encodeWithSignature("MissingEnvironment(string,string)", "BATON_REGISTRY", "the registry's address")
        );
        deposit.run();
        vm.setEnv("BATON_REGISTRY", vm.toString(address(registry)));
        vm.setEnv("BATON_OWNER", vm.toString(owner.addr));
        vm.setEnv("BATON_SETTLER", vm.toString(makeAddr("settler")));
        vm.setEnv("BATON_SEQUENCER_KEY", vm.toString(makeAddr("key")));
        vm.setEnv("BATON_ENDPOINT", "http://127.0.0.1:1");
        vm.setEnv("BATON_FEED", "ws://127.0.0.1:2");
        vm.setEnv("BATON_PENALTY", "1192000000000000000");
        vm.setEnv("BATON_REFUND", "0");
        run("Register");
        assertEq(registry.ownerOf(1), owner.addr);
        assertFalse(registry.isEligible(1));
        vm.setEnv("BATON_GATEWAY", "1");
        vm.setEnv("BATON_PENALTY", "5");
        vm.setEnv("BATON_REFUND", "100000000000000000");
        run("Deposit");
        assertTrue(registry.isEligible(1));
        assertEq(registry.tranches(1).penalty, 1.192 ether + 5);
        run("Status");
        vm.setEnv("BATON_GATEWAY", "65536");
        IScript exit = IScript(vm.deployCode("Exit.s.sol:Exit"));
        vm.expectRevert(abi.encodeWithSignature("NoSuchId(uint256)", 65536));
        exit.run();
        vm.setEnv("BATON_GATEWAY", "1");
        run("Exit");
        uint256 free = registry.gateway(1).withdrawableSlot;
        assertGt(free, 0);
        vm.warp(registry.parameters().l1GenesisTime + free * 2);
        address to = makeAddr("cold wallet");
        vm.setEnv("BATON_TO", vm.toString(to));
        run("Withdraw");
        assertEq(to.balance, 1.292 ether + 5);
        vm.setEnv("PRIVATE_KEY", "0");
    }
}
