// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {SlotClock} from "./SlotClock.sol";
import {Math} from "@openzeppelin/contracts/utils/math/Math.sol";

/// @title The clock of L2 blocks
/// @notice Rules [T2] and [T3]: which slot an L2 block's owner holds, and back.
abstract contract BlockClock is SlotClock {
    /// @notice Timestamp of the L2 genesis block, seconds.
    uint256 internal immutable L2_GENESIS_TIME;
    /// @notice Seconds between L2 blocks.
    uint256 internal immutable L2_BLOCK_TIME;
    /// @notice Slots from a block's own slot to its owner's.
    uint256 internal immutable SETTLEMENT_DELAY;

    /// @notice The L2 chain must not begin before L1's slot 0.
    error L2GenesisBeforeL1(uint256 l2GenesisTime, uint256 l1GenesisTime);

    /// @dev The L2 block time is the registry's, which saw to it that it divides a slot.
    constructor(uint64 l2GenesisTime, uint64 l2BlockTime, uint64 settlementDelay) {
        require(l2GenesisTime >= L1_GENESIS_TIME, L2GenesisBeforeL1(l2GenesisTime, L1_GENESIS_TIME));
        L2_GENESIS_TIME = l2GenesisTime;
        L2_BLOCK_TIME = l2BlockTime;
        SETTLEMENT_DELAY = settlementDelay;
    }

    /// @dev The slot that the owner of a block holds, rule [T3]. The number must fit 64 bits, and so must the parameters, so that nothing overflows.
    function _ownerSlot(uint256 number) internal view returns (uint256 slot) {
        unchecked {
            return (L2_GENESIS_TIME - L1_GENESIS_TIME + number * L2_BLOCK_TIME) / SLOT_LENGTH + SETTLEMENT_DELAY;
        }
    }

    /// @dev The lowest block number whose owner slot is at or after a slot: {_ownerSlot} turned round.
    function _firstNumberOf(uint256 slot) internal view returns (uint256 number) {
        uint256 begin = _slotTimestamp(slot);
        uint256 shiftedGenesis = L2_GENESIS_TIME + SETTLEMENT_DELAY * SLOT_LENGTH;
        return begin <= shiftedGenesis ? 0 : Math.ceilDiv(begin - shiftedGenesis, L2_BLOCK_TIME);
    }

    /// @dev L2 blocks of a slot.
    function _blocksPerSlot() internal view returns (uint256) {
        return SLOT_LENGTH / L2_BLOCK_TIME;
    }
}
