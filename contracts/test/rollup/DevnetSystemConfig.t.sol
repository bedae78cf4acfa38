// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {ISystemConfig} from "baton/rollup/ISystemConfig.sol";
import {Test} from "forge-std/Test.sol";

/// @notice The contract's own functions, as an interface: importing the contract would compile it the tests' way, for others to deploy.
interface IDevnetSystemConfig is ISystemConfig {
    error NotOwner(address caller);
    error MalformedBatcherHash(bytes32 batcherHash);

    function owner() external view returns (address);

    function unsafeBlockSigner() external view returns (address);
}

/// @notice What stock derivation reads of a SystemConfig.
contract DevnetSystemConfigTest is Test {
    IDevnetSystemConfig private config;
    address private batcher = makeAddr("batcher");
    address private signer = makeAddr("signer");
    address private stranger = makeAddr("stranger");

    function setUp() public {
        config = IDevnetSystemConfig(vm.deployCode("DevnetSystemConfig.sol", abi.encode(batcher, signer)));
    }

    function test_NodesFindTheirValues() public view {
        assertEq(config.batcherHash(), bytes32(uint256(uint160(batcher))));
        assertEq(config.unsafeBlockSigner(), signer);
        bytes32 slot = keccak256("systemconfig.unsafeblocksigner");
        assertEq(vm.load(address(config), slot), bytes32(uint256(uint160(signer))));
        assertEq(config.owner(), address(this));
    }

    function test_UpdatesAreToldAsDerivationReadsThem() public {
        bytes32 next = bytes32(uint256(uint160(stranger)));
        vm.expectEmit(address(config));
        emit ISystemConfig.ConfigUpdate(0, ISystemConfig.UpdateType.BATCHER, abi.encode(next));
        config.setBatcherHash(next);
        assertEq(config.batcherHash(), next);
    }

    /// Such a hash would stop every node for good.
    function test_MalformedHashesAreRefused() public {
        bytes32 malformed = bytes32(uint256(1) << 160);
        vm.expectRevert(abi.encodeWithSelector(IDevnetSystemConfig.MalformedBatcherHash.selector, malformed));
        config.setBatcherHash(malformed);
    }

    function test_TheOwnerAloneChangesThings() public {
        bytes memory refusal = abi.encodeWithSelector(IDevnetSystemConfig.NotOwner.selector, stranger);
        vm.startPrank(stranger);
        vm.expectRevert(refusal);
        config.setBatcherHash(0);
        vm.expectRevert(refusal);
        config.transferOwnership(stranger);
        vm.stopPrank();
        config.transferOwnership(stranger);
        assertEq(config.owner(), stranger);
        vm.expectRevert(abi.encodeWithSelector(IDevnetSystemConfig.NotOwner.selector, address(this)));
        config.setBatcherHash(0);
    }
}
