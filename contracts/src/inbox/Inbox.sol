// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {Window} from "../lookahead/ILookahead.sol";
import {IRegistry, RegistryParameters} from "../registry/IRegistry.sol";
import {IBatcherRotation} from "../rollup/IBatcherRotation.sol";
import {BlockClock} from "../time/BlockClock.sol";
import {SlotClock} from "../time/SlotClock.sol";
import {HeadState, HeadStateLibrary} from "../types/HeadState.sol";
import {Links} from "../types/Link.sol";
import {Outcome, OutcomeLibrary, RunKind} from "../types/Outcome.sol";
import {SoftBlock} from "../types/SoftBlock.sol";
import {Commitments} from "./Commitments.sol";
import {Harbour} from "./Harbour.sol";
import {Batch, IInbox, InboxParameters, Record, Run} from "./IInbox.sol";
import {Records} from "./Records.sol";
import {Math} from "@openzeppelin/contracts/utils/math/Math.sol";
import {SafeCast} from "@openzeppelin/contracts/utils/math/SafeCast.sol";

/// @notice What a deployment decides about its inbox; the rest the inbox takes from the registry.
struct InboxConfiguration {
    /// Timestamp of the L2 genesis block, seconds.
    uint64 l2GenesisTime;
    /// Link of the L2 genesis block, rule [L1].
    bytes32 genesisLink;
    /// Slots from a block's own slot to its owner's, rule [T3].
    uint64 settlementDelay;
    /// Slots without a settlement after which any eligible gateway may settle, rule [I2].
    uint64 silence;
    /// The poster's share of a charge, in basis points, at most 5,000.
    uint256 shareBps;
    /// The settler whom the rollup's configuration names at genesis, or zero.
    address batcher;
    /// The gateways, their collateral and the schedule.
    IRegistry registry;
    /// The owner of the rollup's SystemConfig.
    IBatcherRotation rotation;
}

/// @title Inbox
/// @notice Rules [I1] to [I14], [R1] and [R2].
contract Inbox is IInbox, Commitments, Records, Harbour {
    using SafeCast for uint256;

    /// @notice A whole in basis points.
    uint256 internal constant BASIS_POINTS = 10_000;

    IRegistry private immutable _REGISTRY;
    IBatcherRotation private immutable _ROTATION;
    bytes32 private immutable _GENESIS_LINK;
    uint256 private immutable _SILENCE;
    uint256 private immutable _EVIDENCE_HORIZON;
    uint256 private immutable _BLOCK_PRICE;
    uint256 private immutable _SHARE_BPS;
    address private immutable _GENESIS_BATCHER;

    HeadState private _head;
    bytes32 private _link;

    /// @dev What every run of a settlement is judged by.
    struct Settlement {
        /// The current slot.
        uint256 slot;
        /// The gateway that settles.
        uint16 gateway;
        /// The window of the current slot.
        Window window;
    }

    constructor(InboxConfiguration memory configuration)
        SlotClock(
            configuration.registry.parameters().l1GenesisTime, configuration.registry.parameters().slotLength
        )
        BlockClock(
            configuration.l2GenesisTime,
            configuration.registry.parameters().l2BlockTime,
            configuration.settlementDelay
        )
        Harbour(configuration.registry.parameters().minChances)
    {
        RegistryParameters memory shared = configuration.registry.parameters();
        require(shared.inbox == address(this), WrongInbox(shared.inbox));
        address rotated = configuration.rotation.inbox();
        require(rotated == address(this), WrongInbox(rotated));
        require(configuration.silence != 0, ZeroParameter("silence"));
        require(configuration.shareBps <= BASIS_POINTS / 2, ShareAboveHalf(configuration.shareBps));
        _REGISTRY = configuration.registry;
        _ROTATION = configuration.rotation;
        _GENESIS_LINK = configuration.genesisLink;
        _SILENCE = configuration.silence;
        _EVIDENCE_HORIZON = shared.evidenceHorizon;
        _BLOCK_PRICE = shared.blockPrice;
        _SHARE_BPS = configuration.shareBps;
        _GENESIS_BATCHER = configuration.batcher;
        _head = HeadStateLibrary.pack(0, 0, 0, 0, configuration.batcher);
        _link = configuration.genesisLink;
    }

    /// @inheritdoc IInbox
    function settle(Batch calldata batch) external {
        // Stock derivation sees direct transactions of the settler alone, so no other call may settle.
        // forge-lint: disable-next-line(tx-origin)
        require(msg.sender == tx.origin && msg.sender.code.length == 0, NotPlainAccount(msg.sender));
        bytes32 dataCommitment = _dataCommitment();

        Settlement memory settlement;
        settlement.slot = _currentSlot();
        settlement.gateway = batch.gateway;
        HeadState state = _head;
        bytes32 parentLink = _link;
        uint256 headNumber = state.number();
        require(state.slot() != settlement.slot, SlotTaken(settlement.slot));
        require(
            batch.headNumber == headNumber && batch.headLink == parentLink, HeadMoved(headNumber.toUint64(), parentLink)
        );
        require(
            batch.viewHash != 0 && blockhash(batch.viewNumber) == batch.viewHash,
            ViewNotCanonical(batch.viewNumber, batch.viewHash)
        );
        bool holds = _authorise(settlement, state);

        uint256 blocks = batch.hashes.length;
        require(blocks != 0, EmptyBatch());
        uint256 lastNumber = headNumber + blocks;
        uint256 lastSlot = _ownerSlot(lastNumber);
        require(lastSlot <= settlement.slot, TooEarly(lastNumber.toUint64(), lastSlot));
        (bytes32 link, Outcome[] memory outcomes) = _judgeRuns(settlement, batch);

        _link = link;
        _advance(settlement, state, batch.viewNumber, blocks, holds);
        _store(
            Record({
                slot: settlement.slot.toUint64(),
                gateway: batch.gateway,
                settler: msg.sender,
                firstNumber: (headNumber + 1).toUint64(),
                lastNumber: lastNumber.toUint64(),
                parentLink: parentLink,
                link: link,
                dataCommitment: dataCommitment,
                outcomes: outcomes
            })
        );
    }

    /// @inheritdoc IInbox
    function takeBaton() external {
        uint256 slot = _currentSlot();
        HeadState state = _head;
        require(state.slot() != slot, SlotTaken(slot));
        uint16 gateway = _REGISTRY.gatewayAt(slot);
        (, uint256 endedSlot, address settler) = _REGISTRY.settlementContext(slot, gateway);
        require(gateway != 0 && slot < endedSlot, NoHolder(slot));
        require(settler != state.batcher(), AlreadyBatcher(settler));
        uint256 flags = state.flags() | HeadStateLibrary.BATON_FRESH;
        _head = HeadStateLibrary.pack(state.number(), state.slot(), block.number, flags, settler);
        emit BatonTaken(gateway, settler);
        _ROTATION.rotate(settler);
    }

    /// @inheritdoc IInbox
    function collect(Record calldata record) external {
        uint256 from = uint256(record.slot) + _EVIDENCE_HORIZON + 1;
        bool marked = _markCollected(record);
        require(_currentSlot() >= from, NotCollectableBefore(from));
        address to = _REGISTRY.ownerOf(record.gateway);
        uint256 amount = 0;
        for (uint256 i = 0; i < record.outcomes.length; ++i) {
            Outcome outcome = record.outcomes[i];
            uint256 bounty = outcome.bounty();
            if (bounty == 0) continue;
            amount += bounty;
            _REGISTRY.payBounty(outcome.owner(), to, bounty);
        }
        require(marked && amount != 0, NothingToCollect(record.slot));
        emit BountiesCollected(record.slot, to, amount);
    }

    /// @inheritdoc IInbox
    function head() external view returns (uint64 number, bytes32 link, uint64 slot) {
        HeadState state = _head;
        return (state.number().toUint64(), _link, state.slot().toUint64());
    }

    /// @inheritdoc IInbox
    function batcher() external view returns (address) {
        return _head.batcher();
    }

    /// @inheritdoc IInbox
    function ownerSlot(uint64 number) external view returns (uint64) {
        return _ownerSlot(number).toUint64();
    }

    /// @inheritdoc IInbox
    function liableBefore(uint64 slot) external view returns (uint64) {
        Window memory window = _REGISTRY.windowAt(slot);
        require(window.end <= _currentSlot(), WindowNotOver(window.end));
        return _liableBefore(window).toUint64();
    }

    /// @inheritdoc IInbox
    function parameters() external view returns (InboxParameters memory) {
        return InboxParameters({
            l2GenesisTime: L2_GENESIS_TIME.toUint64(),
            l2BlockTime: L2_BLOCK_TIME.toUint64(),
            genesisLink: _GENESIS_LINK,
            settlementDelay: SETTLEMENT_DELAY.toUint64(),
            minChances: MIN_CHANCES.toUint64(),
            silence: _SILENCE.toUint64(),
            evidenceHorizon: _EVIDENCE_HORIZON.toUint64(),
            blockPrice: _BLOCK_PRICE,
            shareBps: _SHARE_BPS,
            batcher: _GENESIS_BATCHER
        });
    }

    /// @dev Moves the head, notes a backlog, rotates the batcher: rules [I4], [V4], [R1], [R2].
    function _advance(
        Settlement memory settlement,
        HeadState state,
        uint64 viewNumber,
        uint256 blocks,
        bool holds
    ) private {
        bool rotates = state.batcher() != msg.sender;
        uint256 flags = state.flags();
        uint256 batonBlock = state.batonBlock();
        if (rotates || flags & HeadStateLibrary.BATON_FRESH != 0) {
            // Until the block of the rotation the predecessor's data counts; the view must have seen it all. The difference of
            // the lower 16 bits tells how long ago that was.
            uint256 age = rotates ? 0 : uint16(uint16(block.number) - uint16(batonBlock));
            uint256 parent = block.number - age - 1;
            require(viewNumber >= parent, ViewNotParent(viewNumber, parent));
            if (rotates) batonBlock = block.number;
        }
        // What is noted about an earlier window is past.
        bool sameWindow = state.slot() >= settlement.window.first && state.slot() != 0;
        flags = sameWindow ? flags & ~HeadStateLibrary.BATON_FRESH : 0;
        if (holds) {
            bool begins = flags & HeadStateLibrary.HOLDER_SETTLED == 0;
            if (begins) {
                flags |= HeadStateLibrary.HOLDER_SETTLED;
                if (_ownerSlot(state.number() + 1) < settlement.window.first) flags |= HeadStateLibrary.BACKLOGGED;
            }
            if (flags & HeadStateLibrary.BACKLOGGED != 0) _noteBacklog(settlement.window, begins, blocks);
        }
        _head = HeadStateLibrary.pack(state.number() + blocks, settlement.slot, batonBlock, flags, msg.sender);
        if (rotates) {
            emit BatonTaken(settlement.gateway, msg.sender);
            _ROTATION.rotate(msg.sender);
        }
    }

    /// @dev Judges the runs in order and follows the links over them, rules [I5] to [I11].
    function _judgeRuns(Settlement memory settlement, Batch calldata batch)
        private
        returns (bytes32 link, Outcome[] memory outcomes)
    {
        bytes32[] calldata hashes = batch.hashes;
        Run[] calldata runs = batch.runs;
        outcomes = new Outcome[](runs.length);
        link = batch.headLink;
        uint256 from = 0;
        for (uint256 i = 0; i < runs.length; ++i) {
            Run calldata run = runs[i];
            uint256 to = from + run.blocks;
            require(to != from, EmptyRun(i));
            require(to <= hashes.length, RunsMismatch(to, hashes.length));
            bytes32 parentLink;
            (parentLink, link) = Links.extend(link, hashes, from, to);
            outcomes[i] = _judge(settlement, run, i, batch.headNumber + from + 1, parentLink, hashes[to - 1]);
            from = to;
        }
        require(from == hashes.length, RunsMismatch(from, hashes.length));
    }

    /// @dev Judges one run and charges its owner.
    /// @param settlement The settlement.
    /// @param run The run.
    /// @param index Its index, for errors.
    /// @param first Its first block.
    /// @param parentLink The link before its last block.
    /// @param blockHash Its last block's hash.
    function _judge(
        Settlement memory settlement,
        Run calldata run,
        uint256 index,
        uint256 first,
        bytes32 parentLink,
        bytes32 blockHash
    ) private returns (Outcome outcome) {
        uint256 end = first + run.blocks;
        uint256 firstSlot = _ownerSlot(first);
        uint256 lastSlot = _ownerSlot(end - 1);
        if (run.kind == RunKind.Stale) {
            require(lastSlot + _EVIDENCE_HORIZON < settlement.slot, NotStale(index));
            _checkUnsigned(run, index);
            return OutcomeLibrary.uncharged(RunKind.Stale, false, 0, run.blocks);
        }
        Window memory window;
        uint256 endedSlot;
        address key;
        // The holder's own blocks of the current window are the usual case, and all is known about it.
        if (run.kind == RunKind.Own && firstSlot >= settlement.window.first) window = settlement.window;
        else (window, endedSlot, key) = _REGISTRY.runContext(firstSlot, run.kind);
        require(lastSlot < window.end, RunCrossesWindow(index));
        require((window.gateway == settlement.gateway) == (run.kind == RunKind.Own), WrongKind(index, window.gateway));
        if (run.kind == RunKind.Own) {
            _checkUnsigned(run, index);
            return OutcomeLibrary.uncharged(RunKind.Own, false, window.gateway, run.blocks);
        }
        require(lastSlot + _EVIDENCE_HORIZON >= settlement.slot, RunStale(index));
        bool signed = run.kind == RunKind.Recreated || run.v != 0;
        if (signed) {
            require(run.kind != RunKind.Recreated || window.gateway != 0, NothingToRecreate(index));
            _checkSignature(run, index, end - 1, parentLink, blockHash, key);
        } else {
            _checkUnsigned(run, index);
        }
        outcome = OutcomeLibrary.uncharged(run.kind, signed, window.gateway, run.blocks);
        if (window.gateway == 0 || window.end > settlement.slot) return outcome;
        uint256 firstFree = _firstNumberOf(Math.min(_liableBefore(window), endedSlot));
        if (firstFree <= first) return outcome;
        uint256 liable = Math.min(firstFree, end) - first;
        uint256 paid = _REGISTRY.charge(window.gateway, liable * _BLOCK_PRICE);
        uint256 bounty = run.kind == RunKind.Recreated ? paid * _SHARE_BPS / BASIS_POINTS : 0;
        return outcome.withCharge(liable.toUint24(), paid.toUint80(), bounty.toUint80());
    }

    /// @dev Refuses a run whose signature or anchor doesn't hold, rules [L3] to [L5].
    function _checkSignature(
        Run calldata run,
        uint256 index,
        uint256 number,
        bytes32 parentLink,
        bytes32 blockHash,
        address key
    ) private view {
        require(
            _isCanonical(run.anchorNumber, run.anchorHash),
            AnchorNotCanonical(index, run.anchorNumber, run.anchorHash)
        );
        SoftBlock memory softBlock = SoftBlock({
            number: number.toUint64(),
            parentLink: parentLink,
            blockHash: blockHash,
            anchorNumber: run.anchorNumber,
            anchorHash: run.anchorHash
        });
        address signer = _signerOf(softBlock, run.v, run.r, run.s);
        require(signer != address(0) && signer == key, WrongSigner(index, signer, key));
    }

    /// @dev Fills in the window of the current slot and decides whether the caller may settle now, rule [I2].
    /// @return holds Whether the caller's gateway holds the slot.
    function _authorise(Settlement memory settlement, HeadState state) private view returns (bool holds) {
        uint256 endedSlot;
        address settler;
        (settlement.window, endedSlot, settler) = _REGISTRY.settlementContext(settlement.slot, settlement.gateway);
        require(msg.sender == settler, NotSettler(settlement.gateway, msg.sender));
        bool open = settlement.window.gateway == 0 || settlement.slot >= endedSlot;
        holds = !open && settlement.window.gateway == settlement.gateway;
        if (holds) return true;
        // Before the first settlement, silence is counted from when there could have been one.
        uint256 silentSince = state.slot() == 0 ? _ownerSlot(1) : state.slot();
        require(
            open || settlement.slot > silentSince + _SILENCE,
            NotHolder(settlement.gateway, settlement.window.gateway)
        );
        require(_REGISTRY.isEligible(settlement.gateway), NotEligible(settlement.gateway));
    }

    /// @dev Refuses a run that carries a signature or an anchor.
    function _checkUnsigned(Run calldata run, uint256 index) private pure {
        require(
            uint256(run.anchorNumber) | uint256(run.anchorHash) | uint256(run.v) | uint256(run.r) | uint256(run.s) == 0,
            UnexpectedSignature(index)
        );
    }

    /// @dev The hash over the transaction's blob hashes, rules [I1] and [I12].
    function _dataCommitment() private view returns (bytes32) {
        require(blobhash(0) != 0, NoBlobs());
        uint256 count = 1;
        while (blobhash(count) != 0) ++count;
        bytes32[] memory blobHashes = new bytes32[](count);
        for (uint256 i = 0; i < count; ++i) {
            blobHashes[i] = blobhash(i);
        }
        return keccak256(abi.encodePacked(blobHashes));
    }
}
