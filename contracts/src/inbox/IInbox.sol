// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {IRegistry} from "../registry/IRegistry.sol";
import {IBatcherRotation} from "../rollup/IBatcherRotation.sol";
import {Outcome, RunKind} from "../types/Outcome.sol";
import {Receipt} from "../types/Receipt.sol";
import {SoftBlock} from "../types/SoftBlock.sol";
import {IHolderMemory} from "./IHolderMemory.sol";

/// @notice Consecutive blocks of one window, declared to be of one kind, rule [I5].
struct Run {
    /// What the blocks are said to be.
    RunKind kind;
    /// How many blocks.
    uint24 blocks;
    /// The anchor of the signed soft block over the last block; zero where there is no signature.
    uint64 anchorNumber;
    /// The anchor's hash.
    bytes32 anchorHash;
    /// Recovery id of the signature, 27 or 28; zero where there is none.
    uint8 v;
    /// The signature's r.
    bytes32 r;
    /// The signature's s, in the lower half.
    bytes32 s;
}

/// @notice One settlement.
struct Batch {
    /// The gateway that the caller settles for.
    uint16 gateway;
    /// The settled head that the batch builds on, rule [I3].
    uint64 headNumber;
    /// Its link.
    bytes32 headLink;
    /// An L1 block at or above every L1 origin in the batch, rule [I3].
    uint64 viewNumber;
    /// Its hash.
    bytes32 viewHash;
    /// The runs, in order; together they cover all hashes.
    Run[] runs;
    /// Block hashes from `headNumber + 1` on.
    bytes32[] hashes;
}

/// @notice What a settlement leaves behind, rule [I12]. Only its hash is stored.
struct Record {
    /// The L1 slot of the settlement.
    uint64 slot;
    /// The gateway that settled.
    uint16 gateway;
    /// The account that sent it.
    address settler;
    /// The first block settled.
    uint64 firstNumber;
    /// The last block settled.
    uint64 lastNumber;
    /// The link before the first block.
    bytes32 parentLink;
    /// The link of the last block.
    bytes32 link;
    /// `keccak256` over the transaction's blob hashes, in order.
    bytes32 dataCommitment;
    /// What became of the runs.
    Outcome[] outcomes;
}

/// @notice The deployment's parameters, fixed for good.
struct InboxParameters {
    /// Timestamp of the L2 genesis block, seconds.
    uint64 l2GenesisTime;
    /// Seconds between L2 blocks.
    uint64 l2BlockTime;
    /// Link of the L2 genesis block, rule [L1].
    bytes32 genesisLink;
    /// Slots from a block's own slot to its owner's, rule [T3].
    uint64 settlementDelay;
    /// Live slots at a window's end that owe nothing, rule [V2].
    uint64 minChances;
    /// Slots without a settlement after which any eligible gateway may settle, rule [I2].
    uint64 silence;
    /// Slots during which evidence counts, rule [I9].
    uint64 evidenceHorizon;
    /// What a dropped block costs its owner, in wei.
    uint256 blockPrice;
    /// The poster's share of it, in basis points, at most 5,000.
    uint256 shareBps;
    /// The settler whom the rollup's configuration names at genesis, or zero.
    address batcher;
}

/// @notice What a deployment decides about its inbox; the rest the inbox takes from the registry.
struct InboxConfiguration {
    /// Timestamp of the L2 genesis block, seconds.
    uint64 l2GenesisTime;
    /// Link of the L2 genesis block, rule [L1].
    bytes32 genesisLink;
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

/// @title The rollup's inbox
/// @notice Where batches are settled, records kept and dropped batons charged: rules [I1] to [I14], [V1] to [V5], [R1] and [R2].
interface IInbox is IHolderMemory {
    /// @notice A batch was settled. With the indexed fields, the preimage of the record, rule [I12].
    event Settled(
        uint64 indexed slot,
        uint16 indexed gateway,
        address settler,
        uint64 firstNumber,
        uint64 lastNumber,
        bytes32 parentLink,
        bytes32 link,
        bytes32 dataCommitment,
        Outcome[] outcomes
    );
    /// @notice The rollup's batcher is this settler from this L1 block on, rule [R1].
    event BatonTaken(uint16 indexed gateway, address indexed settler);
    /// @notice A record's bounties were credited to the poster's owner, rule [I13].
    event BountiesCollected(uint64 indexed slot, address indexed to, uint256 amount);

    /// @notice The sender must be an externally owned account without code that calls directly, rule [I1].
    error NotPlainAccount(address caller);
    /// @notice The transaction carries no blob, rule [I1].
    error NoBlobs();
    /// @notice The caller isn't the gateway's settler.
    error NotSettler(uint16 gateway, address caller);
    /// @notice The slot is another gateway's, rule [I2].
    error NotHolder(uint16 gateway, uint16 holder);
    /// @notice In a slot that is open to all, only an eligible gateway may settle, rule [I2].
    error NotEligible(uint16 gateway);
    /// @notice A settlement was made in this slot already, rule [I4].
    error SlotTaken(uint256 slot);
    /// @notice The head has moved, rule [I3].
    error HeadMoved(uint64 number, bytes32 link);
    /// @notice The named L1 block isn't on this chain, or older than 256 blocks, rule [I3].
    error ViewNotCanonical(uint64 viewNumber, bytes32 viewHash);
    /// @notice A settlement that rotates the batcher, or is the first since `takeBaton` did, needs a view at or above the parent of
    /// the L1 block of the rotation, rule [R2].
    error ViewNotParent(uint64 viewNumber, uint256 parent);
    /// @notice The batch settles nothing.
    error EmptyBatch();
    /// @notice A run has no blocks.
    error EmptyRun(uint256 run);
    /// @notice The runs don't cover the hashes exactly.
    error RunsMismatch(uint256 blocks, uint256 hashes);
    /// @notice The last block's owner slot hasn't begun, rule [T4].
    error TooEarly(uint64 number, uint256 ownerSlot);
    /// @notice The run reaches beyond its window, rule [I5].
    error RunCrossesWindow(uint256 run);
    /// @notice Only the caller's own blocks can be an own run, and they can be nothing else, rule [I6].
    error WrongKind(uint256 run, uint16 owner);
    /// @notice Nobody's blocks can't be re-created: nobody could have signed them.
    error NothingToRecreate(uint256 run);
    /// @notice The signature isn't by the key that counts, rules [I7], [I8].
    error WrongSigner(uint256 run, address recovered, address expected);
    /// @notice The anchor isn't on this chain, rule [L4].
    error AnchorNotCanonical(uint256 run, uint64 anchorNumber, bytes32 anchorHash);
    /// @notice The run isn't old enough to be stale, rule [I9].
    error NotStale(uint256 run);
    /// @notice The run is too old to be judged and must be declared stale, rule [I9].
    error RunStale(uint256 run);
    /// @notice The run carries a signature that its kind has no use for.
    error UnexpectedSignature(uint256 run);
    /// @notice The record isn't the one stored for its slot.
    error UnknownRecord(uint64 slot);
    /// @notice Bounties are collectable from this slot on, rule [I13].
    error NotCollectableBefore(uint256 slot);
    /// @notice The record holds no bounty, or it was collected already.
    error NothingToCollect(uint64 slot);
    /// @notice The slot is open: nobody can take the baton.
    error NoHolder(uint256 slot);
    /// @notice The holder's settler is the batcher already.
    error AlreadyBatcher(address settler);

    /// @notice The window of this slot isn't over: there is no verdict yet.
    error WindowNotOver(uint256 end);
    /// @notice The field must not be the zero address.
    error ZeroAddress(string field);
    /// @notice The silence must be as long as the longest window, or others could take a holder's chances, rule [I2].
    error SilenceTooShort(uint256 silence, uint256 least);
    /// @notice The poster's share must be at most half, rule [I7].
    error ShareAboveHalf(uint256 shareBps);
    /// @notice The contract at this address was deployed for another inbox.
    error WrongInbox(address deployedFor);

    /// @notice Settles blocks from head + 1 on, rules [I1] to [I12].
    function settle(Batch calldata batch) external;

    /// @notice Makes the current holder's settler the rollup's batcher, rule [R1]. Anyone may, but not in a slot in which a settlement
    /// was made: derivation would lose that settlement's data.
    function takeBaton() external;

    /// @notice Credits the bounties of a record to the owner of the gateway that settled it, rule [I13]. Anyone may.
    /// @param record The record, as the event told it.
    function collect(Record calldata record) external;

    /// @notice The settled head.
    /// @return number The last settled block.
    /// @return link Its link.
    /// @return slot The slot of the last settlement; zero before the first.
    function head() external view returns (uint64 number, bytes32 link, uint64 slot);

    /// @notice The settler that the rollup's configuration names as batcher.
    function batcher() external view returns (address);

    /// @notice The stored hash of a slot's record; zero if none, or if the ring has moved on.
    function recordHash(uint64 slot) external view returns (bytes32);

    /// @notice Whether a slot's record had its bounties collected.
    function isCollected(uint64 slot) external view returns (bool);

    /// @notice The hash that a record is stored under: `keccak256(abi.encode(record))` with the lowest 16 bits cleared, where the ring
    /// keeps its marks.
    function hashRecord(Record calldata record) external pure returns (bytes32);

    /// @notice The EIP-712 digest that signs a soft block, rule [L2].
    function hashSoftBlock(SoftBlock calldata softBlock) external view returns (bytes32);

    /// @notice The EIP-712 digest that signs a receipt, rule [L6].
    function hashReceipt(Receipt calldata receipt) external view returns (bytes32);

    /// @notice The slot that a block's owner holds, rule [T3].
    function ownerSlot(uint64 number) external view returns (uint64);

    /// @notice The deployment's parameters.
    function parameters() external view returns (InboxParameters memory);

    /// @notice The live-slot verdict on a window that is over: blocks with an owner slot below this are liable, rules [V1] to [V4].
    /// @param slot Any slot of the window.
    function liableBefore(uint64 slot) external view returns (uint64);
}
