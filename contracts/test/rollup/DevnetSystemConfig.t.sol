// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {DevnetSystemConfig} from "baton/devnet/DevnetSystemConfig.sol";
import {ISystemConfig} from "baton/rollup/ISystemConfig.sol";
import {Test} from "forge-std/Test.sol";

/// @notice What stock derivation reads of a SystemConfig.
contract DevnetSystemConfigTest is Test {
    DevnetSystemConfig private config;
    address private batcher = makeAddr("batcher");
    address private signer = makeAddr("signer");
    address private stranger = makeAddr("stranger");

    function setUp() public {
        config = new DevnetSystemConfig(batcher, signer);
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
        vm.expectRevert(abi.encodeWithSelector(DevnetSystemConfig.MalformedBatcherHash.selector, malformed));
        config.setBatcherHash(malformed);
    }

    function test_TheOwnerAloneChangesThings() public {
        bytes memory refusal = abi.encodeWithSelector(DevnetSystemConfig.NotOwner.selector, stranger);
        vm.startPrank(stranger);
        vm.expectRevert(refusal);
        config.setBatcherHash(0);
        vm.expectRevert(refusal);
        config.transferOwnership(stranger);
        vm.stopPrank();
        config.transferOwnership(stranger);
        assertEq(config.owner(), stranger);
        vm.expectRevert(abi.encodeWithSelector(DevnetSystemConfig.NotOwner.selector, address(this)));
        config.setBatcherHash(0);
    }
}
