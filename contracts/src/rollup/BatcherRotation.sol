// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {IBatcherRotation} from "./IBatcherRotation.sol";
import {ISystemConfig} from "./ISystemConfig.sol";
import {Address} from "@openzeppelin/contracts/utils/Address.sol";

/// @title Batcher rotation
/// @notice Owns the rollup's SystemConfig, rule [R3].
contract BatcherRotation is IBatcherRotation {
    /// @notice OP's SystemConfig has had a second setter, which takes an address.
    bytes4 private constant _SET_BATCHER_BY_ADDRESS = bytes4(keccak256("setBatcherHash(address)"));
    bytes4 private constant _RENOUNCE_OWNERSHIP = bytes4(keccak256("renounceOwnership()"));

    ISystemConfig private immutable _SYSTEM_CONFIG;
    address private immutable _INBOX;
    address private immutable _TIMELOCK;

    constructor(ISystemConfig systemConfig, address inbox_, address timelock) {
        require(address(systemConfig) != address(0), ZeroAddress("systemConfig"));
        require(inbox_ != address(0), ZeroAddress("inbox"));
        require(timelock != address(0), ZeroAddress("timelock"));
        _SYSTEM_CONFIG = systemConfig;
        _INBOX = inbox_;
        _TIMELOCK = timelock;
    }

    /// @inheritdoc IBatcherRotation
    function rotate(address settler) external {
        require(msg.sender == _INBOX, NotInbox(msg.sender));
        // Built from an address, so that the upper 12 bytes are zero: other hashes stop derivation for good.
        _SYSTEM_CONFIG.setBatcherHash(bytes32(uint256(uint160(settler))));
    }

    /// @inheritdoc IBatcherRotation
    function forward(bytes calldata data) external returns (bytes memory) {
        require(msg.sender == _TIMELOCK, NotTimelock(msg.sender));
        // Data shorter than a selector is no call that is reserved.
        // forge-lint: disable-next-line(unsafe-typecast)
        bytes4 selector = bytes4(data);
        require(
            selector != ISystemConfig.setBatcherHash.selector && selector != _SET_BATCHER_BY_ADDRESS
                && selector != ISystemConfig.transferOwnership.selector && selector != _RENOUNCE_OWNERSHIP,
            ReservedForInbox()
        );
        emit Forwarded(selector);
        return Address.functionCall(address(_SYSTEM_CONFIG), data);
    }

    /// @inheritdoc IBatcherRotation
    function inbox() external view returns (address) {
        return _INBOX;
    }
}
