// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {LookaheadProof} from "../beacon/IBeaconProofs.sol";
import {Delegations} from "../delegation/Delegations.sol";
import {ILookahead, Kind, Window} from "../lookahead/ILookahead.sol";
import {EACH_ID, EpochSchedule, EpochScheduleLibrary, ID_HIGH, ID_LOW, SCHEDULE_RING} from "../types/EpochSchedule.sol";
import {Holding, HoldingLibrary} from "../types/Holding.sol";
import {EligibleSet} from "./EligibleSet.sol";

/// @title Lookahead
/// @notice Rules [S1] to [S8].
abstract contract Lookahead is ILookahead, Delegations, EligibleSet {
    /// @notice The least margin, rule [S6].
    uint256 internal constant MIN_MARGIN = 16;
    /// @notice The fewest slots in which a publication must be possible.
    uint256 internal constant MIN_PUBLICATION_SLOTS = 4;

    /// @notice Slots of a turn, rule [S4].
    uint256 internal immutable TURN;
    /// @notice Live slots at a window's end that owe nothing, rule [V2].
    uint256 internal immutable MIN_CHANCES;
    /// @notice Slots from a block's own slot to its owner's, rule [T3].
    uint256 internal immutable SETTLEMENT_DELAY;
    /// @notice What rule [S6] adds to that.
    uint256 internal immutable MARGIN;

    /// @dev Published schedules, by epoch modulo the ring.
    EpochSchedule[SCHEDULE_RING] private _schedules;
    /// @dev The second words of those that are wide.
    uint256[SCHEDULE_RING] private _seconds;

    /// @notice A turn must divide the epoch, rule [S4].
    error TurnNotDividingEpoch(uint256 turn);
    /// @notice A turn must have more slots than the chances it owes its owner, rule [S4].
    error TurnTooShort(uint256 turn, uint256 minChances);
    /// @notice The margin is less than what L1 reorgs are allowed for, rule [S6].
    error MarginTooShort(uint256 margin, uint256 least);
    /// @notice Delay and margin leave too little of an epoch to publish in.
    error NoTimeToPublish(uint256 settlementDelay, uint256 margin);

    constructor(uint256 turn, uint256 minChances, uint256 settlementDelay, uint256 margin) {
        require(turn != 0, ZeroParameter("turn"));
        require(minChances != 0, ZeroParameter("minChances"));
        require(SLOTS_PER_EPOCH % turn == 0, TurnNotDividingEpoch(turn));
        require(turn > minChances, TurnTooShort(turn, minChances));
        require(margin >= MIN_MARGIN, MarginTooShort(margin, MIN_MARGIN));
        require(
            settlementDelay + margin + MIN_PUBLICATION_SLOTS <= SLOTS_PER_EPOCH,
            NoTimeToPublish(settlementDelay, margin)
        );
        TURN = turn;
        MIN_CHANCES = minChances;
        SETTLEMENT_DELAY = settlementDelay;
        MARGIN = margin;
    }

    /// @inheritdoc ILookahead
    function publish(uint64 epoch, uint64 timestamp, LookaheadProof calldata proof) external {
        uint256 slot = _currentSlot();
        uint256 current = slot / SLOTS_PER_EPOCH;
        // An epoch has 64 bits.
        unchecked {
            uint256 begin = uint256(epoch) * SLOTS_PER_EPOCH;
            require(
                epoch == current + 1 && slot + SETTLEMENT_DELAY + MARGIN < begin,
                PublicationClosed(epoch, begin - SLOTS_PER_EPOCH, begin - SETTLEMENT_DELAY - MARGIN)
            );
        }
        uint256 position = epoch % SCHEDULE_RING;
        require(!_schedules[position].isOf(epoch), AlreadyPublished(epoch));
        uint64 headerSlot = proof.header.slot;
        // With the first slots of the epoch missed, the newest root can be of the epoch before, whose next epoch is this one.
        require(headerSlot / SLOTS_PER_EPOCH == current, WrongEpoch(headerSlot));
        _checkLookahead(proof, headerSlot, timestamp);
        (uint256 lanes, uint256 palette, uint256 length) = _paletteOf(proof.chunks, current);
        EpochSchedule schedule;
        if (EpochScheduleLibrary.fits(palette)) {
            schedule = EpochScheduleLibrary.pack(epoch, length, lanes, palette);
        } else {
            (schedule, _seconds[position]) = EpochScheduleLibrary.packWide(epoch, length, _idsOf(proof.chunks, current));
        }
        _schedules[position] = schedule;
        emit LookaheadPublished(epoch, EpochSchedule.unwrap(schedule));
    }

    /// @inheritdoc ILookahead
    function isPublished(uint256 epoch) external view returns (bool) {
        return _schedules[epoch % SCHEDULE_RING].isOf(epoch);
    }

    /// @inheritdoc ILookahead
    function gatewayAt(uint256 slot) external view returns (uint16 gateway) {
        // forge-lint: disable-next-line(unsafe-typecast)
        return uint16(_holdingAt(slot).gateway());
    }

    /// @inheritdoc ILookahead
    function windowAt(uint256 slot) external view returns (Window memory window) {
        return _holdingAt(slot).window();
    }

    /// @inheritdoc ILookahead
    function scheduleOf(uint256 epoch) external view returns (uint16[32] memory gateways, Kind[32] memory kinds) {
        uint256 begin = epoch * SLOTS_PER_EPOCH;
        for (uint256 i = 0; i < SLOTS_PER_EPOCH;) {
            Window memory window = _holdingAt(begin + i).window();
            for (; begin + i < window.end; ++i) {
                gateways[i] = window.gateway;
                kinds[i] = window.kind;
            }
        }
    }

    /// @dev Who holds a slot's window, without its end.
    function _holdingAt(uint256 slot) internal view returns (Holding) {
        // The slot is at most one epoch ahead of a timestamp, so nothing overflows, and 40 bits last.
        unchecked {
            uint256 epoch = slot / SLOTS_PER_EPOCH;
            uint256 current = _currentEpoch();
            if (epoch > current) _checkFixed(epoch, current);
            if (!PROVABLE) return _rotationAt(slot, 0);
            uint256 oldest = current + 2 - SCHEDULE_RING;
            require(epoch + SCHEDULE_RING >= current + 2, EpochForgotten(epoch, oldest));
            uint256 position = epoch % SCHEDULE_RING;
            EpochSchedule schedule = _schedules[position];
            if (!schedule.isOf(epoch)) return _rotationAt(slot, 0);
            uint256 begin = epoch * SLOTS_PER_EPOCH;
            uint256 proven = schedule.provenSlots();
            if (slot - begin >= proven) return _rotationAt(slot, begin + proven);
            (uint256 gateway, uint256 first, uint256 end) =
                schedule.runAt(schedule.isWide() ? _seconds[position] : 0, slot - begin);
            return HoldingLibrary.pack(gateway, Kind.Proven, begin + first, begin + end);
        }
    }

    /// @dev Rule [S3]. Turns of two or more gateways never meet their like within an epoch, so each is a window; a single gateway, or
    /// nobody, has all of it.
    /// @param slot The slot.
    /// @param from The first slot of its epoch that isn't proven: a window doesn't reach back before it. Or less.
    function _rotationAt(uint256 slot, uint256 from) private view returns (Holding) {
        // As above.
        unchecked {
            uint256 epoch = slot / SLOTS_PER_EPOCH;
            uint256 count = _count.valueAt(epoch);
            uint256 length = count < 2 ? SLOTS_PER_EPOCH : TURN;
            uint256 first = slot - slot % length;
            uint256 end = first + length;
            if (first < from) first = from;
            if (count == 0) return HoldingLibrary.pack(0, Kind.Open, first, end);
            uint256 gateway = _members[slot / TURN % count].valueAt(epoch);
            return HoldingLibrary.pack(gateway, Kind.Fallback, first, end);
        }
    }

    /// @dev Refuses epochs ahead that aren't fixed, rule [S1].
    function _checkFixed(uint256 epoch, uint256 current) private view {
        uint256 next = current + 1;
        bool nextFixed = !PROVABLE || _currentSlot() + SETTLEMENT_DELAY + MARGIN >= next * SLOTS_PER_EPOCH
            || _schedules[next % SCHEDULE_RING].isOf(next);
        uint256 last = nextFixed ? next : current;
        require(epoch <= last, EpochNotFixed(epoch, last));
    }

    /// @dev Maps proposers to gateways: delegations and eligibility as of the end of the epoch before the current, rules [S2] and [T6]. In
    /// assembly, four slots a round: little but the storage reads should cost. What is found out about a gateway is kept in a table of 32 places,
    /// by the lowest bits of its id: its place in the palette (bits 0 to 2, of the first eight), its id (from bit 96), whether it is eligible (bit 255).
    /// @return lanes The places in the palette, see {EpochScheduleLibrary-pack}; more above them.
    /// @return palette The gateways that have slots.
    /// @return length How many slots, from the first on, have one.
    function _paletteOf(bytes32[8] calldata chunks, uint256 current)
        private
        view
        returns (uint256 lanes, uint256 palette, uint256 length)
    {
        assembly ("memory-safe") {
            // Finds out about a gateway, and enters it. The palette is kept behind the table.
            function learn(table, known, index, id, epoch) -> entry {
                entry := shl(96, id)
                // See {EligibleSet}.
                let word := sload(add(_eligibleIds.slot, div(id, IDS_PER_WORD)))
                if eq(shr(224, word), epoch) { word := shr(IDS_PER_WORD, word) }
                if and(shr(mod(id, IDS_PER_WORD), word), 1) {
                    let colours := mload(add(table, 0x400))
                    let place := 0
                    let same := 0
                    if known {
                        // Its place in the table is another's now, so it may have been met before. Looked up in all places of the palette at
                        // once: there alone the difference is zero, and only in a zero does this addition not reach the highest bit.
                        same := xor(colours, mul(id, EACH_ID))
                        same := and(not(or(add(and(same, ID_LOW), ID_LOW), same)), ID_HIGH)
                        place := div(sub(255, clz(same)), 15)
                    }
                    if iszero(same) {
                        switch colours
                        case 0 {
                            // The first met is the last slot's that is proven.
                            mstore(add(table, 0x420), add(index, 8))
                        }
                        default {
                            // The place above the highest taken.
                            place := div(sub(270, clz(colours)), 15)
                        }
                        mstore(add(table, 0x400), or(colours, shl(mul(place, 15), id)))
                    }
                    entry := or(or(entry, and(place, 7)), shl(255, 1))
                }
                // Nobody needs no entry: an empty one is its own, and it must not look as if nobody had been met here.
                if id { mstore(add(table, shl(5, and(id, 31))), entry) }
            }

            let delegations := _delegations.slot
            let known := mload(0x40)
            calldatacopy(known, calldatasize(), 0x420)
            mstore(add(known, 0x420), chunks)
            let mark := 0
            let gateways
            let entry
            // Backwards, because a vacant slot is the next delegated slot's gateway's. An index is eight bytes in calldata. Of the gateways in its
            // delegation, what was before counts if it changed in this epoch: {StandingDelegation-inForceAfter}.
            for { let chunk := add(chunks, 0x100) } gt(chunk, chunks) {} {
                chunk := sub(chunk, 0x20)
                gateways := sload(add(delegations, shr(192, calldataload(add(chunk, 24)))))
                gateways := shr(shl(4, eq(shr(224, gateways), current)), gateways)
                entry := mload(add(known, shl(5, and(gateways, 31))))
                if and(xor(shr(96, entry), gateways), 0xffff) {
                    entry := learn(known, entry, add(chunk, 24), and(gateways, 0xffff), current)
                }
                mark := xor(mark, mul(xor(mark, entry), shr(255, entry)))
                lanes := or(shl(3, lanes), mark)

                gateways := sload(add(delegations, shr(192, calldataload(add(chunk, 16)))))
                gateways := shr(shl(4, eq(shr(224, gateways), current)), gateways)
                entry := mload(add(known, shl(5, and(gateways, 31))))
                if and(xor(shr(96, entry), gateways), 0xffff) {
                    entry := learn(known, entry, add(chunk, 16), and(gateways, 0xffff), current)
                }
                mark := xor(mark, mul(xor(mark, entry), shr(255, entry)))
                lanes := or(shl(3, lanes), mark)

                gateways := sload(add(delegations, shr(192, calldataload(add(chunk, 8)))))
                gateways := shr(shl(4, eq(shr(224, gateways), current)), gateways)
                entry := mload(add(known, shl(5, and(gateways, 31))))
                if and(xor(shr(96, entry), gateways), 0xffff) {
                    entry := learn(known, entry, add(chunk, 8), and(gateways, 0xffff), current)
                }
                mark := xor(mark, mul(xor(mark, entry), shr(255, entry)))
                lanes := or(shl(3, lanes), mark)

                gateways := sload(add(delegations, shr(192, calldataload(chunk))))
                gateways := shr(shl(4, eq(shr(224, gateways), current)), gateways)
                entry := mload(add(known, shl(5, and(gateways, 31))))
                if and(xor(shr(96, entry), gateways), 0xffff) {
                    entry := learn(known, entry, chunk, and(gateways, 0xffff), current)
                }
                mark := xor(mark, mul(xor(mark, entry), shr(255, entry)))
                lanes := or(shl(3, lanes), mark)
            }
            palette := mload(add(known, 0x400))
            length := shr(3, sub(mload(add(known, 0x420)), chunks))
        }
    }

    /// @dev The same again for an epoch of more than eight gateways: rare, so that what the usual one needn't keep is found once more.
    /// @return ids The gateways by slot; zeros at the end, where nobody has them.
    function _idsOf(bytes32[8] calldata chunks, uint256 current) private view returns (uint256[32] memory ids) {
        uint256 next = 0;
        unchecked {
            for (uint256 slot = SLOTS_PER_EPOCH; slot != 0;) {
                --slot;
                uint256 index = (uint256(chunks[slot / 4]) >> (192 - 64 * (slot % 4))) & type(uint64).max;
                uint256 id = _delegations[index].inForceAfter(current);
                if (id != next && _isEligibleNext(id, current)) next = id;
                ids[slot] = next;
            }
        }
    }
}
