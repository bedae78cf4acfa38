// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {ISystemConfig} from "../rollup/ISystemConfig.sol";

/// @title A SystemConfig for devnets and tests
/// @notice What stock derivation reads of OP Stack's SystemConfig and no more. Not for a rollup that holds value.
contract DevnetSystemConfig is ISystemConfig {
    /// @notice The storage slot in which OP nodes look for the unsafe block signer.
    bytes32 public constant UNSAFE_BLOCK_SIGNER_SLOT = keccak256("systemconfig.unsafeblocksigner");

    /// @inheritdoc ISystemConfig
    bytes32 public batcherHash;
    /// @notice Who may change values.
    address public owner;

    /// @notice Ownership was handed over.
    event OwnershipTransferred(address indexed from, address indexed to);

    /// @notice The caller isn't the owner.
    error NotOwner(address caller);
    /// @notice The upper 12 bytes must be zero: derivation stops at other hashes.
    error MalformedBatcherHash(bytes32 batcherHash);

    modifier onlyOwner() {
        require(msg.sender == owner, NotOwner(msg.sender));
        _;
    }

    constructor(address batcher, address blockSigner) {
        owner = msg.sender;
        emit OwnershipTransferred(address(0), msg.sender);
        _setBatcherHash(bytes32(uint256(uint160(batcher))));
        bytes32 slot = UNSAFE_BLOCK_SIGNER_SLOT;
        assembly ("memory-safe") {
            sstore(slot, blockSigner)
        }
    }

    /// @inheritdoc ISystemConfig
    function setBatcherHash(bytes32 newHash) external onlyOwner {
        _setBatcherHash(newHash);
    }

    /// @inheritdoc ISystemConfig
    function transferOwnership(address newOwner) external onlyOwner {
        emit OwnershipTransferred(owner, newOwner);
        owner = newOwner;
    }

    /// @notice Who signs the blocks that op-node gossips.
    function unsafeBlockSigner() external view returns (address signer) {
        bytes32 slot = UNSAFE_BLOCK_SIGNER_SLOT;
        assembly ("memory-safe") {
            signer := sload(slot)
        }
    }

    function _setBatcherHash(bytes32 newHash) private {
        require(uint256(newHash) >> 160 == 0, MalformedBatcherHash(newHash));
        batcherHash = newHash;
        emit ConfigUpdate(0, UpdateType.BATCHER, abi.encode(newHash));
    }
}
