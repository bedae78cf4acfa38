// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {Receipt} from "../types/Receipt.sol";
import {SoftBlock} from "../types/SoftBlock.sol";
import {IInbox} from "./IInbox.sol";
import {Blockhash} from "@openzeppelin/contracts/utils/Blockhash.sol";
import {ECDSA} from "@openzeppelin/contracts/utils/cryptography/ECDSA.sol";
import {EIP712} from "@openzeppelin/contracts/utils/cryptography/EIP712.sol";

/// @title Commitments
/// @notice What gateways sign: rules [L2] to [L6].
abstract contract Commitments is IInbox, EIP712 {
    constructor() EIP712("Baton", "1") {}

    /// @inheritdoc IInbox
    function hashSoftBlock(SoftBlock calldata softBlock) external view returns (bytes32) {
        return _hashTypedDataV4(softBlock.structHash());
    }

    /// @inheritdoc IInbox
    function hashReceipt(Receipt calldata receipt) external view returns (bytes32) {
        return _hashTypedDataV4(receipt.structHash());
    }

    /// @dev Who signed a soft block; zero if nobody did, or if `s` isn't low, rule [L5].
    function _signerOf(SoftBlock memory softBlock, uint8 v, bytes32 r, bytes32 s)
        internal
        view
        returns (address signer)
    {
        (signer,,) = ECDSA.tryRecover(_hashTypedDataV4(softBlock.structHash()), v, r, s);
    }

    /// @dev Whether an L1 block is on this chain, as far back as EIP-2935 reaches, rule [L4].
    function _isCanonical(uint256 number, bytes32 hash) internal view returns (bool) {
        return hash != 0 && Blockhash.blockHash(number) == hash;
    }
}
