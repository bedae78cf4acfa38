// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {IRegistry, RegistryParameters} from "../registry/IRegistry.sol";
import {IBatcherRotation} from "../rollup/IBatcherRotation.sol";
import {BlockClock} from "../time/BlockClock.sol";
import {SlotClock} from "../time/SlotClock.sol";
import {HeadState, HeadStateLibrary} from "../types/HeadState.sol";
import {Holding} from "../types/Holding.sol";
import {Links} from "../types/Link.sol";
import {Outcome, OutcomeLibrary, RunKind} from "../types/Outcome.sol";
import {SoftBlock} from "../types/SoftBlock.sol";
import {Commitments} from "./Commitments.sol";
import {Harbour} from "./Harbour.sol";
import {IHolderMemory} from "./IHolderMemory.sol";
import {Batch, IInbox, InboxConfiguration, InboxParameters, Record, Run} from "./IInbox.sol";
import {Records} from "./Records.sol";
import {Math} from "@openzeppelin/contracts/utils/math/Math.sol";
import {SafeCast} from "@openzeppelin/contracts/utils/math/SafeCast.sol";

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

    constructor(InboxConfiguration memory configuration)
        SlotClock(configuration.registry.parameters().l1GenesisTime, configuration.registry.parameters().slotLength)
        BlockClock(
            configuration.l2GenesisTime,
            configuration.registry.parameters().l2BlockTime,
            configuration.registry.parameters().settlementDelay
        )
        Harbour(configuration.registry.parameters().minChances)
    {
        RegistryParameters memory shared = configuration.registry.parameters();
        require(shared.inbox == address(this), WrongInbox(shared.inbox));
        address rotated = configuration.rotation.inbox();
        require(rotated == address(this), WrongInbox(rotated));
        require(configuration.silence >= SLOTS_PER_EPOCH, SilenceTooShort(configuration.silence, SLOTS_PER_EPOCH));
        require(configuration.shareBps <= BASIS_POINTS / 2, ShareAboveHalf(configuration.shareBps));
        _REGISTRY = configuration.registry;
        _ROTATION = configuration.rotation;
        _GENESIS_LINK = configuration.genesisLink;
        _SILENCE = configuration.silence;
        _EVIDENCE_HORIZON = shared.evidenceHorizon;
        _BLOCK_PRICE = shared.blockPrice;
        _SHARE_BPS = configuration.shareBps;
        _GENESIS_BATCHER = configuration.batcher;
        _head = HeadStateLibrary.pack(0, 0, 0, 0, 0, configuration.batcher);
        _link = configuration.genesisLink;
    }

    /// @inheritdoc IInbox
    function settle(Batch calldata batch) external {
        HeadState state = _head;
        Record memory record = _begin(batch, state);
        (Holding window, bool holds) = _authorise(record, state);
        uint256 lastSlot = _ownerSlot(record.lastNumber);
        require(lastSlot <= record.slot, TooEarly(record.lastNumber, lastSlot));
        _judgeRuns(record, window, batch.hashes, batch.runs);
        _link = record.link;
        _advance(record, state, window, holds, batch.viewNumber);
        _store(record, !holds);
    }

    /// @inheritdoc IInbox
    function takeBaton() external {
        uint256 slot = _currentSlot();
        HeadState state = _head;
        require(state.slot() != slot, SlotTaken(slot));
        uint16 gateway = _REGISTRY.gatewayAt(slot);
        (Holding window, address settler) = _REGISTRY.settlementContext(slot, gateway);
        require(!window.isOpenIn(slot), NoHolder(slot));
        require(settler != state.batcher(), AlreadyBatcher(settler));
        uint256 flags = state.flags() | HeadStateLibrary.BATON_FRESH;
        _head = HeadStateLibrary.pack(state.number(), state.slot(), block.number, flags, state.windowLast(), settler);
        emit BatonTaken(gateway, settler);
        _ROTATION.rotate(settler);
    }

    /// @inheritdoc IHolderMemory
    function forgetHolder(uint16 gateway) external {
        require(msg.sender == address(_REGISTRY), NotRegistry(msg.sender));
        HeadState state = _head;
        if (gateway != 0 && state.holder() == gateway) _head = state.withoutHolder();
    }

    /// @inheritdoc IInbox
    function collect(Record calldata record) external {
        uint256 from = uint256(record.slot) + _EVIDENCE_HORIZON + 1;
        // Marked before anything is paid: a record pays once.
        require(_markCollected(record), NothingToCollect(record.slot));
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
        require(amount != 0, NothingToCollect(record.slot));
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
        (Holding window,) = _REGISTRY.runContext(slot, RunKind.Own);
        require(window.end() <= _currentSlot(), WindowNotOver(window.end()));
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
    function _advance(Record memory record, HeadState state, Holding window, bool holds, uint256 viewNumber) private {
        bool rotates = state.batcher() != msg.sender;
        uint256 flags = state.flags();
        if (rotates || flags & HeadStateLibrary.BATON_FRESH != 0) _checkView(rotates, viewNumber, state.baton());
        // What is noted about an earlier window is past.
        flags = state.slot() >= window.first() ? flags & ~HeadStateLibrary.BATON_FRESH : 0;
        uint256 holder = 0;
        if (holds) {
            holder = record.gateway;
            bool begins = flags & HeadStateLibrary.HOLDER_SETTLED == 0;
            if (begins) {
                flags |= HeadStateLibrary.HOLDER_SETTLED;
                if (_ownerSlot(record.firstNumber) < window.first()) flags |= HeadStateLibrary.BACKLOGGED;
            }
            if (flags & HeadStateLibrary.BACKLOGGED != 0) {
                bool counts = _noteBacklog(window, begins, _work(record, window));
                if (!counts) flags &= ~HeadStateLibrary.BACKLOGGED;
            }
        }
        _head = HeadStateLibrary.pack(record.lastNumber, record.slot, holder, flags, window.end() - 1, msg.sender);
        if (rotates) {
            emit BatonTaken(record.gateway, msg.sender);
            _ROTATION.rotate(msg.sender);
        }
    }

    /// @dev Until the block of the rotation the predecessor's data counts; the view must have seen it all, rule [R2].
    /// @param rotates Whether this settlement rotates; else `takeBaton` did and this is the first settlement since.
    /// @param viewNumber The view.
    /// @param batonBlock The lower 16 bits of the number of the block in which it did.
    function _checkView(bool rotates, uint256 viewNumber, uint256 batonBlock) private view {
        uint256 age = 0;
        unchecked {
            if (!rotates) age = (block.number - batonBlock) & type(uint16).max;
        }
        uint256 parent = block.number - age - 1;
        // A view is a block's number that was found canonical, so it fits.
        // forge-lint: disable-next-line(unsafe-typecast)
        require(viewNumber >= parent, ViewNotParent(uint64(viewNumber), parent));
    }

    /// @dev Judges the runs in order and follows the links over them, rules [I5] to [I11]. Fills in the record's link and outcomes.
    function _judgeRuns(Record memory record, Holding window, bytes32[] calldata hashes, Run[] calldata runs) private {
        bytes32 link = record.parentLink;
        uint256 from = 0;
        for (uint256 i = 0; i < runs.length;) {
            Run calldata run = runs[i];
            RunKind kind = run.kind;
            // A run's count has 24 bits and the list's length was found in calldata.
            unchecked {
                uint256 to = from + run.blocks;
                require(to != from, EmptyRun(i));
                require(to <= hashes.length, RunsMismatch(to, hashes.length));
                bytes32 parentLink;
                (parentLink, link) = Links.extend(link, hashes, from, to);
                uint256 first = record.firstNumber + from;
                if (kind == RunKind.Own) record.outcomes[i] = _judgeOwn(record, window, run, i, first);
                else if (kind == RunKind.Stale) record.outcomes[i] = _judgeStale(record, run, i, first);
                else record.outcomes[i] = _judgeOthers(record, run, i, first, parentLink, hashes[to - 1]);
                from = to;
                ++i;
            }
        }
        require(from == hashes.length, RunsMismatch(from, hashes.length));
        record.link = link;
    }

    /// @dev Judges a run of the caller's own blocks, rule [I6].
    function _judgeOwn(Record memory record, Holding window, Run calldata run, uint256 index, uint256 first)
        private
        view
        returns (Outcome)
    {
        uint24 blocks = run.blocks;
        uint256 firstSlot = _ownerSlot(first);
        // The current window is the usual case: all is known about it, and no accepted block lies beyond it.
        if (firstSlot < window.first()) {
            (window,) = _REGISTRY.runContext(firstSlot, RunKind.Own);
            require(_ownerSlot(first + blocks - 1) < window.end(), RunCrossesWindow(index));
        }
        // Ids have 16 bits.
        // forge-lint: disable-next-line(unsafe-typecast)
        uint16 owner = uint16(window.gateway());
        require(owner == record.gateway, WrongKind(index, owner));
        _checkUnsigned(run, index);
        return OutcomeLibrary.uncharged(RunKind.Own, false, owner, blocks);
    }

    /// @dev Judges a run of blocks too old to matter, rule [I9]. Whose they are isn't asked.
    function _judgeStale(Record memory record, Run calldata run, uint256 index, uint256 first)
        private
        view
        returns (Outcome)
    {
        require(_isStale(record, first + run.blocks - 1), NotStale(index));
        _checkUnsigned(run, index);
        return OutcomeLibrary.uncharged(RunKind.Stale, false, 0, run.blocks);
    }

    /// @dev Judges a run of another's or nobody's blocks and charges the owner, rules [I7], [I8], [I10], [I11].
    /// @param record The record in the making.
    /// @param run The run.
    /// @param index Its index, for errors.
    /// @param first Its first block.
    /// @param parentLink The link before its last block.
    /// @param blockHash Its last block's hash.
    function _judgeOthers(
        Record memory record,
        Run calldata run,
        uint256 index,
        uint256 first,
        bytes32 parentLink,
        bytes32 blockHash
    ) private returns (Outcome outcome) {
        RunKind kind = run.kind;
        uint256 last = first + run.blocks - 1;
        (Holding window, address key) = _REGISTRY.runContext(_ownerSlot(first), kind);
        // Ids have 16 bits.
        // forge-lint: disable-next-line(unsafe-typecast)
        uint16 owner = uint16(window.gateway());
        require(_ownerSlot(last) < window.end(), RunCrossesWindow(index));
        require(owner != record.gateway, WrongKind(index, owner));
        require(!_isStale(record, last), RunStale(index));
        bool signed = kind == RunKind.Recreated || run.v != 0;
        if (signed) {
            require(kind != RunKind.Recreated || owner != 0, NothingToRecreate(index));
            _checkSignature(run, index, last, parentLink, blockHash, key);
        } else {
            _checkUnsigned(run, index);
        }
        outcome = OutcomeLibrary.uncharged(kind, signed, owner, run.blocks);
        if (owner == 0 || window.end() > record.slot) return outcome;
        uint256 firstFree = Math.min(_firstFree(window), last + 1);
        uint256 firstLiable = _firstFresh(record, first);
        if (firstFree <= firstLiable) return outcome;
        uint256 liable = firstFree - firstLiable;
        uint256 paid = _REGISTRY.charge(owner, liable * _BLOCK_PRICE);
        uint256 bounty = kind == RunKind.Recreated ? paid * _SHARE_BPS / BASIS_POINTS : 0;
        return outcome.withCharge(liable.toUint24(), paid.toUint80(), bounty.toUint80());
    }

    /// @dev The first block from `first` on that isn't stale, rule [I9]: however a poster cuts its runs, stale blocks cost nothing.
    function _firstFresh(Record memory record, uint256 first) private view returns (uint256) {
        if (record.slot <= _EVIDENCE_HORIZON) return first;
        return Math.max(first, _firstNumberOf(record.slot - _EVIDENCE_HORIZON));
    }

    /// @dev The blocks of a settlement that count as work on a backlog, rule [V4]: all but the settler's own of earlier windows, or else
    /// being late would excuse being late.
    function _work(Record memory record, Holding window) private view returns (uint256 work) {
        uint256 first = record.firstNumber;
        for (uint256 i = 0; i < record.outcomes.length; ++i) {
            Outcome outcome = record.outcomes[i];
            bool late = outcome.kind() == RunKind.Own && _ownerSlot(first) < window.first();
            uint256 blocks = outcome.blocks();
            if (!late) work += blocks;
            first += blocks;
        }
    }

    /// @dev The first block of a window that is over for which its owner isn't liable: by the verdict, or by its end, rule [I11].
    function _firstFree(Holding window) private view returns (uint256) {
        uint256 bound = _liableBefore(window);
        uint256 ended = window.endedSlot();
        return _firstNumberOf(ended != 0 && ended < bound ? ended : bound);
    }

    /// @inheritdoc Harbour
    function _isTaken(uint256 slot) internal view override returns (bool) {
        return _wasTaken(slot);
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
            _isCanonical(run.anchorNumber, run.anchorHash), AnchorNotCanonical(index, run.anchorNumber, run.anchorHash)
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

    /// @dev Checks what the batch builds on, rules [I1], [I3], [I4], and begins its record.
    function _begin(Batch calldata batch, HeadState state) private view returns (Record memory record) {
        // Stock derivation sees direct transactions of the settler alone, so no other call may settle.
        require(msg.sender == tx.origin && msg.sender.code.length == 0, NotPlainAccount(msg.sender));
        uint256 slot = _currentSlot();
        require(state.slot() != slot, SlotTaken(slot));
        // A head's number has 40 bits; slots fit 64 for as long as timestamps do.
        // forge-lint: disable-start(unsafe-typecast)
        uint64 number = uint64(state.number());
        bytes32 parentLink = _link;
        require(batch.headNumber == number && batch.headLink == parentLink, HeadMoved(number, parentLink));
        bytes32 viewHash = batch.viewHash;
        require(viewHash != 0 && blockhash(batch.viewNumber) == viewHash, ViewNotCanonical(batch.viewNumber, viewHash));
        uint256 blocks = batch.hashes.length;
        require(blocks != 0, EmptyBatch());
        unchecked {
            record = Record({
                slot: uint64(slot),
                gateway: batch.gateway,
                settler: msg.sender,
                firstNumber: number + 1,
                lastNumber: number + uint64(blocks),
                parentLink: parentLink,
                link: 0,
                dataCommitment: _dataCommitment(),
                outcomes: new Outcome[](batch.runs.length)
            });
        }
        // forge-lint: disable-end(unsafe-typecast)
    }

    /// @dev Decides whether the caller may settle now, rule [I2].
    /// @return window The window of the current slot; for a holder that is remembered, from its last settlement on.
    /// @return holds Whether the caller's gateway holds the slot.
    function _authorise(Record memory record, HeadState state) private view returns (Holding window, bool holds) {
        uint16 gateway = record.gateway;
        uint256 slot = record.slot;
        address settler;
        (holds, window) = state.holdingIn(slot, gateway, msg.sender);
        if (holds) return (window, true);
        (window, settler) = _REGISTRY.settlementContext(slot, gateway);
        require(msg.sender == settler, NotSettler(gateway, msg.sender));
        bool open = window.isOpenIn(slot);
        if (!open && window.gateway() == gateway) return (window, true);
        // Before the first settlement, silence is counted from when there could have been one.
        uint256 silentSince = state.slot() == 0 ? _ownerSlot(1) : state.slot();
        // forge-lint: disable-next-line(unsafe-typecast)
        require(open || slot > silentSince + _SILENCE, NotHolder(gateway, uint16(window.gateway())));
        require(_REGISTRY.isEligible(gateway), NotEligible(gateway));
    }

    /// @dev Whether a block is older than evidence reaches.
    function _isStale(Record memory record, uint256 number) private view returns (bool) {
        return _ownerSlot(number) + _EVIDENCE_HORIZON < record.slot;
    }

    /// @dev Refuses a run that carries a signature or an anchor.
    function _checkUnsigned(Run calldata run, uint256 index) private pure {
        uint256 used;
        // In assembly, to take the five fields of a run behind kind and count as words: nothing of them may be set.
        assembly ("memory-safe") {
            used := or(calldataload(add(run, 0x40)), calldataload(add(run, 0x60)))
            used := or(used, or(calldataload(add(run, 0x80)), calldataload(add(run, 0xa0))))
            used := or(used, calldataload(add(run, 0xc0)))
        }
        require(used == 0, UnexpectedSignature(index));
    }

    /// @dev The hash over the transaction's blob hashes, rules [I1] and [I12].
    function _dataCommitment() private view returns (bytes32 commitment) {
        require(blobhash(0) != 0, NoBlobs());
        // In assembly, because the hashes are wanted nowhere but in this hash: they are laid beyond the memory in use.
        assembly ("memory-safe") {
            let begin := mload(0x40)
            let end := begin
            let i := 0
            for { let hash := blobhash(0) } hash { hash := blobhash(i) } {
                mstore(end, hash)
                end := add(end, 0x20)
                i := add(i, 1)
            }
            commitment := keccak256(begin, sub(end, begin))
        }
    }
}
