// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {BeaconState} from "../chain/Beacon.sol";
import {DeployedState, Party} from "../chain/Deployed.sol";
import {RunningState} from "../chain/Running.sol";
import {Batch, Record} from "baton/inbox/IInbox.sol";
import {Kind, Window} from "baton/lookahead/ILookahead.sol";
import {Outcome, RunKind} from "baton/types/Outcome.sol";

/// @notice Plays a chain on which anything may happen, and keeps the books that the contracts' are compared with. The first gateway follows
/// the rules: in each of its slots that has a block it settles all that is due, up to what fits. The others do as the fuzzer says.
contract Handler is RunningState, BeaconState {
    uint256 private constant MAX_GATEWAYS = 12;
    /// What fits a batch here; more than a slot's blocks, so that backlogs are worked off.
    uint256 private constant MAX_BLOCKS = 150;
    uint256 private constant RING = 16_384;
    /// Validators that may delegate; some more propose.
    uint64 private constant VALIDATORS = 12;
    /// How many epochs back schedules are kept.
    uint256 private constant KEPT = 254;

    Party[] public parties;
    mapping(address key => uint256) private secrets;
    mapping(address account => bool) private isCreditor;
    address[] public creditors;

    Record[] private records;
    mapping(uint256 index => bool) public collected;
    /// Of block numbers, whether somebody was charged for them.
    mapping(uint256 number => bool) public charged;

    uint256 public received;
    uint256 public paidOut;
    uint256 public fees;
    uint256 public chargedTotal;
    uint256 public bountiesPromised;
    uint256 public bountiesPaid;
    uint256 public headNumberExpected;
    bytes32 public headLinkExpected;
    mapping(uint256 epoch => bytes32) public scheduleSeen;
    uint256[] public epochsSeen;
    /// How often each thing happened, to see that the runs reach everything.
    mapping(bytes32 what => uint256) public times;

    function setUp() public override(DeployedState, RunningState) {
        RunningState.setUp();
    }

    constructor() {
        setUp();
        adopt(a);
        adopt(b);
        secrets[fallbackKey] = fallbackSecret;
        fees = 2 * FEE;
        received = 2 * (FEE + AMPLE + REFUND);
        (headNumberExpected, headLinkExpected,) = headOf();
        records.push(lastRecord);
        seeSchedule();
    }

    // What the fuzzer may do.

    /// The next block comes after some missed slots, rarely after many.
    function mine(uint256 seed, uint256 skipped) external {
        seed = uint256(keccak256(abi.encode(seed)));
        if (seed % 14 == 0) skipped = _bound(skipped, 33, 2 * HORIZON);
        else if (seed % 300 == 1) skipped = _bound(skipped, RING - 600, RING + 10);
        else skipped = seed % 4 == 0 ? bound(skipped, 0, 5) : 0;
        mineAt(slot + 1 + skipped);
        seeSchedule();
        // In silence another may come before the honest holder.
        if (isOpen() && seed % 3 != 0) settleAs(anyEligible(seed >> 8), seed);
        else if (holder() == parties[0].id) settleAs(parties[0], seed);
    }

    /// A run of live slots, so that windows are lived through.
    function mineOn(uint256 seed) external {
        for (uint256 i = 0; i < 1 + seed % 12; ++i) {
            mineAt(slot + 1);
            seeSchedule();
            if (holder() == parties[0].id) settleAs(parties[0], uint256(keccak256(abi.encode(seed, i))));
        }
    }

    /// The holder settles, or in an open slot anyone eligible.
    function settle(uint256 seed) external {
        uint16 id = holder();
        if (!isOpen() && id != 0) settleAs(parties[id - 1], seed);
        else settleAs(anyEligible(seed >> 8), seed);
    }

    function takeBaton() external {
        (,, uint64 last) = inbox.head();
        uint16 id = holder();
        if (id == 0 || last == slot || inbox.batcher() == registry.gateway(id).settler) return;
        inbox.takeBaton();
        assertEq(inbox.batcher(), registry.gateway(id).settler);
        ++times["takeBaton"];
    }

    function registerGateway(uint256 penalty, uint256 refund) external {
        if (parties.length == MAX_GATEWAYS) return;
        uint16 next = registry.nextId();
        penalty = _bound(penalty, PENALTY / 2, 3 * PENALTY);
        refund = _bound(refund, REFUND / 2, 3 * REFUND);
        Party memory p = register(vm.toString(parties.length), penalty, refund);
        assertEq(p.id, next, "ids rise by one");
        assertEq(p.id, parties.length + 1, "and are never reused");
        adopt(p);
        fees += FEE;
        received += FEE + penalty + refund;
        ++times["register"];
    }

    function depositFor(uint256 seed, uint256 penalty, uint256 refund) external {
        penalty = _bound(penalty, 0, 1 ether);
        refund = _bound(refund, 0, 1 ether);
        deposit(any(seed).id, penalty, refund);
        received += penalty + refund;
    }

    function requestExit(uint256 seed) external {
        Party memory p = any(seed);
        // The honest one stays.
        if (p.id == parties[0].id || registry.gateway(p.id).withdrawableSlot != 0) return;
        vm.prank(p.owner);
        registry.requestExit(p.id);
        ++times["exit"];
    }

    function withdrawCollateral(uint256 seed) external {
        Party memory p = any(seed);
        uint256 from = registry.gateway(p.id).withdrawableSlot;
        if (from == 0 || slot < from) return;
        registry.withdrawCollateral(p.id);
        ++times["withdraw"];
    }

    function withdrawCredit(uint256 seed) external {
        address owner = creditors[seed % creditors.length];
        uint256 credit = registry.creditOf(owner);
        if (credit == 0) return;
        vm.prank(owner);
        registry.withdrawCredit(payable(owner));
        paidOut += credit;
        ++times["credit"];
    }

    function changeKey(uint256 seed) external {
        Party memory p = any(seed);
        (uint256 epoch, address previous) = (registry.gateway(p.id).keyEpoch, registry.gateway(p.id).previousKey);
        if (previous != address(0) && currentEpoch() < epoch + (HORIZON + EPOCH - 1) / EPOCH) return;
        (address key, uint256 secret) = makeAddrAndKey(vm.toString(seed));
        secrets[key] = secret;
        vm.prank(p.owner);
        registry.setSequencerKey(p.id, key);
        ++times["key"];
    }

    function collect(uint256 seed) external {
        uint256 index = seed % records.length;
        Record memory record = records[index];
        uint256 bounty = bountyOf(record);
        if (
            collected[index] || bounty == 0 || slot <= record.slot + HORIZON
                || inbox.recordHash(record.slot) != inbox.hashRecord(record)
        ) return;
        inbox.collect(record);
        collected[index] = true;
        bountiesPaid += bounty;
        ++times["collect"];
    }

    /// A validator of a few delegates, or revokes.
    function delegateTo(uint256 seed) external {
        uint64 index = uint64(seed % VALIDATORS);
        if (seed % 7 == 0) revoke(index);
        else delegate(index, any(seed >> 8));
        ++times["delegate"];
    }

    /// Somebody publishes the next epoch, if nobody has and it isn't too late.
    function publishNext(uint256 seed) external {
        uint256 begin = uint256(nextEpoch()) * EPOCH;
        if (slot + DELAY + MARGIN >= begin || slot - 1 < begin - EPOCH || registry.isPublished(nextEpoch())) return;
        uint64[32] memory indices;
        for (uint256 i = 0; i < 32; ++i) {
            // Proposers at random, now and then one for some slots on end.
            uint256 random = uint256(keccak256(abi.encode(seed, seed % 3 == 0 ? i / 5 : i)));
            indices[i] = uint64(random % (VALIDATORS + 3));
        }
        publish(indices);
        ++times["publish"];
        seeSchedule();
        (, Kind[32] memory kinds) = registry.scheduleOf(nextEpoch());
        if (kinds[0] == Kind.Proven) ++times["proven"];
    }

    // What the invariants look at.

    function count() external view returns (uint256) {
        return parties.length;
    }

    function creditorCount() external view returns (uint256) {
        return creditors.length;
    }

    function epochCount() external view returns (uint256) {
        return epochsSeen.length;
    }

    function headOf() public view returns (uint256 number, bytes32 link, uint256 last) {
        return inbox.head();
    }

    function contracts() external view returns (address, address) {
        return (address(registry), address(inbox));
    }

    function scheduleNow(uint256 epoch) public view returns (bytes32) {
        (uint16[32] memory ids, Kind[32] memory kinds) = registry.scheduleOf(epoch);
        return keccak256(abi.encode(ids, kinds));
    }

    // How it is done.

    function adopt(Party memory p) private {
        parties.push(p);
        secrets[p.key] = p.secret;
        if (!isCreditor[p.owner]) creditors.push(p.owner);
        isCreditor[p.owner] = true;
    }

    function any(uint256 seed) private view returns (Party memory) {
        return parties[seed % parties.length];
    }

    /// The honest one at least always is.
    function anyEligible(uint256 seed) private view returns (Party memory) {
        uint16[] memory ids = registry.eligibleGateways();
        return parties[ids[seed % ids.length] - 1];
    }

    /// The gateway that holds the slot; zero if it is open.
    function holder() private view returns (uint16) {
        uint16 id = registry.gatewayAt(slot);
        if (id == 0) return 0;
        uint256 ended = registry.gateway(id).endedSlot;
        return ended != 0 && slot >= ended ? 0 : id;
    }

    /// Whether anyone eligible may settle.
    function isOpen() private view returns (bool) {
        (,, uint64 last) = inbox.head();
        return holder() == 0 || slot > last + SILENCE;
    }

    function seeSchedule() private {
        for (uint256 epoch = currentEpoch(); epoch <= currentEpoch() + 1; ++epoch) {
            // The next one may not be fixed yet; once it has been seen it is.
            if (scheduleSeen[epoch] != 0 || (epoch > currentEpoch() && !isNextFixed())) continue;
            scheduleSeen[epoch] = scheduleNow(epoch);
            epochsSeen.push(epoch);
        }
    }

    function isNextFixed() private view returns (bool) {
        return registry.isPublished(nextEpoch()) || slot + DELAY + MARGIN >= uint256(nextEpoch()) * EPOCH;
    }

    /// Whether an epoch's schedule is still kept.
    function isKept(uint256 epoch) external view returns (bool) {
        return epoch + KEPT >= currentEpoch();
    }

    function bountyOf(Record memory record) private pure returns (uint256 bounty) {
        for (uint256 i = 0; i < record.outcomes.length; ++i) {
            bounty += record.outcomes[i].bounty();
        }
    }

    function settleAs(Party memory p, uint256 seed) private {
        (,, uint64 last) = inbox.head();
        if (last == slot || (holder() != p.id && !registry.isEligible(p.id))) return;
        if (holder() != p.id && !isOpen()) return;
        Batch memory batch = allDue(p, seed);
        if (batch.hashes.length == 0) return;
        if (holder() != p.id) ++times["settle not as holder"];
        settle(p, batch);
        bookSettlement(batch);
        ++times["settle"];
    }

    /// The last block with an owner slot below a slot.
    function lastBefore(uint256 ownerSlot) private pure returns (uint256) {
        uint256 origin = FIRST_EPOCH * EPOCH + DELAY;
        return ownerSlot <= origin ? 0 : (ownerSlot - origin) * BLOCKS_PER_SLOT - 1;
    }

    /// All that is due, as far as it fits; others' blocks by what the seed says.
    function allDue(Party memory p, uint256 seed) private view returns (Batch memory batch) {
        batch = batchOf(p);
        // The honest settle as much as they can, others maybe less.
        uint256 room = p.id == parties[0].id ? MAX_BLOCKS : 1 + seed % MAX_BLOCKS;
        uint256 due = lastBefore(slot + 1);
        while (room != 0 && tipOf(batch) < due) {
            seed = uint256(keccak256(abi.encode(seed)));
            uint256 blocks = addRun(batch, p, seed, room, due);
            room -= blocks;
        }
    }

    function addRun(Batch memory batch, Party memory p, uint256 seed, uint256 room, uint256 due)
        private
        view
        returns (uint256 blocks)
    {
        uint256 tip = tipOf(batch);
        if (tip < lastBefore(slot - HORIZON)) {
            // A long time at once.
            blocks = least(lastBefore(slot - HORIZON) - tip, 2_000);
            add(batch, RunKind.Stale, blocks);
            return room;
        }
        uint256 s = inbox.ownerSlot(uint64(tip + 1));
        Window memory window = registry.windowAt(s);
        blocks = least(least(lastBefore(window.end), due) - tip, room);
        if (seed % 5 == 0) blocks = 1 + (seed >> 8) % blocks;
        if (window.gateway == p.id) add(batch, RunKind.Own, blocks);
        else if (seed % 4 == 0) add(batch, RunKind.Vacant, blocks);
        else if (seed % 4 == 1 || window.gateway == 0) addSigned(batch, RunKind.Vacant, blocks, secretAt(0, s));
        else addSigned(batch, RunKind.Recreated, blocks, secretAt(window.gateway, s));
    }

    function secretAt(uint16 id, uint256 s) private view returns (uint256 secret) {
        secret = secrets[registry.sequencerKeyAt(id, s / EPOCH)];
        require(secret != 0, "unknown key");
    }

    function least(uint256 x, uint256 y) private pure returns (uint256) {
        return x < y ? x : y;
    }

    function bookSettlement(Batch memory batch) private {
        Record memory record = lastRecord;
        assertEq(record.firstNumber, headNumberExpected + 1, "contiguous");
        assertEq(record.parentLink, headLinkExpected);
        headNumberExpected = tipOf(batch);
        headLinkExpected = linkOf(batch);
        assertEq(record.lastNumber, headNumberExpected);
        uint256 first = record.firstNumber;
        for (uint256 i = 0; i < record.outcomes.length; ++i) {
            Outcome outcome = record.outcomes[i];
            for (uint256 n = first; n < first + outcome.chargedBlocks(); ++n) {
                assertFalse(charged[n], "charged twice");
                charged[n] = true;
            }
            if (outcome.chargedBlocks() != 0) {
                assertNotEq(outcome.owner(), parties[0].id, "an honest gateway was charged");
                assertNotEq(outcome.owner(), record.gateway, "one's own blocks");
                ++times["charge"];
            }
            if (outcome.kind() == RunKind.Stale) ++times["stale"];
            first += outcome.blocks();
            chargedTotal += outcome.paid();
            bountiesPromised += outcome.bounty();
        }
        records.push(record);
    }
}
