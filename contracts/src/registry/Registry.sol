// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {BeaconForks} from "../beacon/BeaconForks.sol";
import {Delegations} from "../delegation/Delegations.sol";
import {SlotClock} from "../time/SlotClock.sol";
import {Holding} from "../types/Holding.sol";
import {RunKind} from "../types/Outcome.sol";
import {Collateral} from "./Collateral.sol";
import {Gateways, Standing} from "./Gateways.sol";
import {IRegistry, RegistryParameters} from "./IRegistry.sol";
import {Lookahead} from "./Lookahead.sol";

/// @title Registry
/// @notice Puts gateways, collateral, delegations and lookahead together and answers the inbox.
contract Registry is IRegistry, Delegations, Collateral, Lookahead {
    /// @notice The longest evidence horizon: some 300 slots inside EIP-4788's and EIP-2935's rings of 8,191, so that the
    /// beginning of a window whose end still counts can still be read.
    uint256 internal constant MAX_EVIDENCE_HORIZON = 7_800;
    /// @notice The longest exposure that can still be scheduled when eligibility goes, in epochs, rule [C3].
    uint256 internal constant EXPOSURE_EPOCHS = 3;

    /// @notice Seconds between L2 blocks.
    uint256 internal immutable L2_BLOCK_TIME;
    /// @notice What a dropped block costs its owner, in wei.
    uint256 internal immutable BLOCK_PRICE;
    address private immutable _OPERATOR;
    address private immutable _FALLBACK_KEY;

    constructor(RegistryParameters memory p)
        SlotClock(p.l1GenesisTime, p.slotLength)
        Gateways(p.registrationFee, p.evidenceHorizon, p.operator, p.fallbackKey)
        Collateral(p.inbox, p.penaltyThreshold, p.refundThreshold, p.largeFault, p.exitDelay)
        BeaconForks(p.timelock, p.firstForkSlot, p.firstVerifier)
        Delegations(p.genesisForkVersion)
        Lookahead(p.turn, p.minChances, p.settlementDelay, p.margin)
    {
        require(p.l2BlockTime != 0, ZeroParameter("l2BlockTime"));
        require(p.blockPrice != 0, ZeroParameter("blockPrice"));
        require(p.slotLength % p.l2BlockTime == 0, SlotNotMultipleOfBlock(p.slotLength, p.l2BlockTime));
        require(p.evidenceHorizon <= MAX_EVIDENCE_HORIZON, HorizonTooLong(p.evidenceHorizon, MAX_EVIDENCE_HORIZON));
        require(p.exitDelay > p.evidenceHorizon, ExitDelayTooShort(p.exitDelay, p.evidenceHorizon));
        uint256 exposedBlocks = EXPOSURE_EPOCHS * SLOTS_PER_EPOCH * (p.slotLength / p.l2BlockTime);
        uint256 least = exposedBlocks * p.blockPrice + p.largeFault;
        require(p.penaltyThreshold >= least, PenaltyThresholdTooLow(p.penaltyThreshold, least));
        L2_BLOCK_TIME = p.l2BlockTime;
        BLOCK_PRICE = p.blockPrice;
        _OPERATOR = p.operator;
        _FALLBACK_KEY = p.fallbackKey;
    }

    /// @inheritdoc IRegistry
    function settlementContext(uint256 slot, uint16 caller) external view returns (Holding holding, address settler) {
        holding = _holdingAt(slot);
        Standing memory standing = _identities[caller].standing;
        settler = standing.settler;
        // forge-lint: disable-next-line(unsafe-typecast)
        uint16 holder = uint16(holding.gateway());
        holding = holding.withEnd(holder == caller ? standing.endedSlot : _identities[holder].standing.endedSlot);
    }

    /// @inheritdoc IRegistry
    function runContext(uint256 slot, RunKind kind) external view returns (Holding holding, address key) {
        holding = _holdingAt(slot);
        // forge-lint: disable-next-line(unsafe-typecast)
        uint16 owner = uint16(holding.gateway());
        holding = holding.withEnd(_identities[owner].key.endedSlot);
        if (kind == RunKind.Recreated) key = _keyAt(owner, slot / SLOTS_PER_EPOCH);
        else if (kind == RunKind.Vacant) key = _keyAt(NOBODY, slot / SLOTS_PER_EPOCH);
    }

    /// @inheritdoc IRegistry
    function parameters() external view returns (RegistryParameters memory) {
        // Immutable fields were set from these widths.
        // forge-lint: disable-start(unsafe-typecast)
        return RegistryParameters({
            l1GenesisTime: uint64(L1_GENESIS_TIME),
            slotLength: uint64(SLOT_LENGTH),
            l2BlockTime: uint64(L2_BLOCK_TIME),
            settlementDelay: uint64(SETTLEMENT_DELAY),
            margin: uint64(MARGIN),
            turn: uint64(TURN),
            minChances: uint64(MIN_CHANCES),
            evidenceHorizon: uint64(EVIDENCE_HORIZON),
            exitDelay: uint64(EXIT_DELAY),
            registrationFee: REGISTRATION_FEE,
            penaltyThreshold: PENALTY_THRESHOLD,
            refundThreshold: REFUND_THRESHOLD,
            largeFault: LARGE_FAULT,
            blockPrice: BLOCK_PRICE,
            operator: _OPERATOR,
            fallbackKey: _FALLBACK_KEY,
            inbox: INBOX,
            genesisForkVersion: GENESIS_FORK_VERSION,
            timelock: TIMELOCK,
            firstForkSlot: FIRST_FORK_SLOT,
            firstVerifier: address(FIRST_VERIFIER)
        });
        // forge-lint: disable-end(unsafe-typecast)
    }
}
