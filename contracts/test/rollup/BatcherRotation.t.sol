// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {DeployedState} from "../chain/Deployed.sol";
import {IBatcherRotation} from "baton/rollup/IBatcherRotation.sol";
import {ISystemConfig} from "baton/rollup/ISystemConfig.sol";

/// @notice The rest of a SystemConfig that a timelock governs, in one call.
interface IGasLimit {
    function setGasLimit(uint64 gasLimit) external returns (uint64);
}

contract SystemConfigWithGasLimit {
    uint64 public gasLimit;
    address private immutable _OWNER;

    error TooHigh(uint64 gasLimit);

    constructor(address owner) {
        _OWNER = owner;
    }

    function setGasLimit(uint64 to) external returns (uint64) {
        require(msg.sender == _OWNER);
        require(to < 1e9, TooHigh(to));
        return gasLimit = to;
    }
}

/// @notice Rule [R3].
contract BatcherRotationTest is DeployedState {
    function test_TheInboxSetsTheBatcherAndItsHashIsAnAddress() public {
        address settler = address(type(uint160).max);
        vm.expectEmit(address(systemConfig));
        emit ISystemConfig.ConfigUpdate(0, ISystemConfig.UpdateType.BATCHER, abi.encode(uint256(uint160(settler))));
        vm.prank(address(inbox));
        rotation.rotate(settler);
        assertEq(uint256(systemConfig.batcherHash()), uint160(settler));
    }

    function test_NobodyElseRotates() public {
        address[3] memory others = [timelock, operator, address(this)];
        for (uint256 i = 0; i < others.length; ++i) {
            vm.expectRevert(abi.encodeWithSelector(IBatcherRotation.NotInbox.selector, others[i]));
            vm.prank(others[i]);
            rotation.rotate(others[i]);
        }
    }

    function test_TheTimelockGovernsTheRest() public {
        address own = vm.computeCreateAddress(address(this), vm.getNonce(address(this)) + 1);
        SystemConfigWithGasLimit config = new SystemConfigWithGasLimit(own);
        rotation = IBatcherRotation(vm.deployCode("BatcherRotation.sol", abi.encode(config, inbox, timelock)));
        assertEq(address(rotation), own);
        vm.expectEmit(own);
        emit IBatcherRotation.Forwarded(IGasLimit.setGasLimit.selector);
        vm.prank(timelock);
        assertEq(rotation.forward(abi.encodeCall(IGasLimit.setGasLimit, 7)), abi.encode(7));
        assertEq(config.gasLimit(), 7);
        vm.expectRevert(abi.encodeWithSelector(SystemConfigWithGasLimit.TooHigh.selector, 1e9));
        vm.prank(timelock);
        rotation.forward(abi.encodeCall(IGasLimit.setGasLimit, 1e9));
        vm.expectRevert(abi.encodeWithSelector(IBatcherRotation.NotTimelock.selector, address(this)));
        rotation.forward(abi.encodeCall(IGasLimit.setGasLimit, 8));
    }

    function test_BatcherAndOwnerAreNotTheTimelocks() public {
        bytes[4] memory calls = [
            abi.encodeCall(ISystemConfig.setBatcherHash, (bytes32(uint256(1)))),
            abi.encodeWithSignature("setBatcherHash(address)", address(1)),
            abi.encodeCall(ISystemConfig.transferOwnership, (timelock)),
            abi.encodeWithSignature("renounceOwnership()")
        ];
        for (uint256 i = 0; i < calls.length; ++i) {
            vm.expectRevert(IBatcherRotation.ReservedForInbox.selector);
            vm.prank(timelock);
            rotation.forward(calls[i]);
        }
    }

    function test_NoPartMayBeZero() public {
        string[3] memory fields = ["systemConfig", "inbox", "timelock"];
        for (uint256 i = 0; i < 3; ++i) {
            address[3] memory parts = [address(systemConfig), address(inbox), timelock];
            parts[i] = address(0);
            bytes memory code = bytes.concat(vm.getCode("BatcherRotation.sol"), abi.encode(parts));
            vm.expectRevert(abi.encodeWithSelector(IBatcherRotation.ZeroAddress.selector, fields[i]));
            assembly ("memory-safe") {
                pop(create(0, add(code, 0x20), mload(code)))
            }
        }
    }
}
