// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {DeployedState, Party} from "./Deployed.sol";
import {Batch, Record, Run} from "baton/inbox/IInbox.sol";
import {Window} from "baton/lookahead/ILookahead.sol";
import {Outcome, RunKind} from "baton/types/Outcome.sol";
import {SoftBlock} from "baton/types/SoftBlock.sol";
import {Vm} from "forge-std/Vm.sol";

/// @notice Builds batches run by run, and sends them.
abstract contract Batches is DeployedState {
    /// The preimage of the newest record.
    Record internal lastRecord;

    /// The L2 block hash that the tests give a block.
    function l2Hash(uint256 number) internal pure returns (bytes32) {
        return keccak256(abi.encode("l2 block", number));
    }

    /// A batch without runs on the present head, with the parent block as its view.
    function batchOf(Party memory p) internal view returns (Batch memory batch) {
        batch.gateway = p.id;
        (batch.headNumber, batch.headLink,) = inbox.head();
        batch.viewNumber = uint64(block.number - 1);
        batch.viewHash = blockhash(block.number - 1);
    }

    /// The number of the batch's last block so far.
    function tipOf(Batch memory batch) internal pure returns (uint64) {
        return batch.headNumber + uint64(batch.hashes.length);
    }

    /// Follows the links of the batch: the link before the last block.
    function parentLinkOf(Batch memory batch) internal pure returns (bytes32 link) {
        link = batch.headLink;
        for (uint256 i = 0; i + 1 < batch.hashes.length; ++i) {
            link = keccak256(abi.encodePacked(link, batch.hashes[i]));
        }
    }

    function linkOf(Batch memory batch) internal pure returns (bytes32 link) {
        link = batch.headLink;
        for (uint256 i = 0; i < batch.hashes.length; ++i) {
            link = keccak256(abi.encodePacked(link, batch.hashes[i]));
        }
    }

    /// Appends a run without signature.
    function add(Batch memory batch, RunKind kind, uint256 blocks) internal pure returns (Batch memory) {
        Run memory run;
        run.kind = kind;
        run.blocks = uint24(blocks);
        bytes32[] memory hashes = new bytes32[](batch.hashes.length + blocks);
        for (uint256 i = 0; i < hashes.length; ++i) {
            hashes[i] = i < batch.hashes.length ? batch.hashes[i] : l2Hash(batch.headNumber + i + 1);
        }
        batch.hashes = hashes;
        Run[] memory runs = new Run[](batch.runs.length + 1);
        for (uint256 i = 0; i < batch.runs.length; ++i) {
            runs[i] = batch.runs[i];
        }
        runs[batch.runs.length] = run;
        batch.runs = runs;
        return batch;
    }

    /// Appends a run with a signature over its last block, anchored at the parent of the present L1 block.
    function addSigned(Batch memory batch, RunKind kind, uint256 blocks, uint256 secret)
        internal
        view
        returns (Batch memory)
    {
        return addSigned(batch, kind, blocks, secret, uint64(block.number - 1), blockhash(block.number - 1));
    }

    function addSigned(
        Batch memory batch,
        RunKind kind,
        uint256 blocks,
        uint256 secret,
        uint64 anchorNumber,
        bytes32 anchorHash
    ) internal view returns (Batch memory) {
        add(batch, kind, blocks);
        Run memory run = batch.runs[batch.runs.length - 1];
        (run.anchorNumber, run.anchorHash) = (anchorNumber, anchorHash);
        (run.v, run.r, run.s) = vm.sign(secret, inbox.hashSoftBlock(softBlockOf(batch, run)));
        return batch;
    }

    /// The soft block over the batch's last block with a run's anchor.
    function softBlockOf(Batch memory batch, Run memory run) internal pure returns (SoftBlock memory softBlock) {
        softBlock.number = tipOf(batch);
        softBlock.parentLink = parentLinkOf(batch);
        softBlock.blockHash = batch.hashes[batch.hashes.length - 1];
        softBlock.anchorNumber = run.anchorNumber;
        softBlock.anchorHash = run.anchorHash;
    }

    /// How many blocks from the batch's tip on belong to owner slots below a slot.
    function blocksBefore(Batch memory batch, uint256 ownerSlot) internal view returns (uint256 blocks) {
        while (inbox.ownerSlot(tipOf(batch) + 1 + uint64(blocks)) < ownerSlot) ++blocks;
    }

    /// Appends vacant runs, signed by the fallback key, one per window, up to owner slots below a slot.
    function addVacantBefore(Batch memory batch, uint256 ownerSlot) internal view returns (Batch memory) {
        while (inbox.ownerSlot(tipOf(batch) + 1) < ownerSlot) {
            Window memory window = registry.windowAt(inbox.ownerSlot(tipOf(batch) + 1));
            uint256 end = window.end < ownerSlot ? window.end : ownerSlot;
            addSigned(batch, RunKind.Vacant, blocksBefore(batch, end), fallbackSecret);
        }
        return batch;
    }

    /// Sends a batch from the settler's account with one blob.
    function settle(Party memory p, Batch memory batch) internal {
        useBlobs(1);
        vm.recordLogs();
        vm.prank(p.settler, p.settler);
        inbox.settle(batch);
        remember(vm.getRecordedLogs());
    }

    /// Sends a batch that is to be refused.
    function settleReverts(Party memory p, Batch memory batch, bytes memory refusal) internal {
        useBlobs(1);
        vm.prank(p.settler, p.settler);
        vm.expectRevert(refusal);
        inbox.settle(batch);
    }

    function useBlobs(uint256 count) internal {
        bytes32[] memory blobs = new bytes32[](count);
        for (uint256 i = 0; i < count; ++i) {
            blobs[i] = bytes32((uint256(1) << 248) | uint248(uint256(keccak256(abi.encode("blob", i, block.number)))));
        }
        vm.blobhashes(blobs);
    }

    /// Keeps the preimage of the record that the newest Settled event tells.
    function remember(Vm.Log[] memory logs) private {
        for (uint256 i = 0; i < logs.length; ++i) {
            if (logs[i].emitter != address(inbox) || logs[i].topics[0] != SETTLED) continue;
            Record memory record = lastRecord;
            (record.slot, record.gateway) = (uint64(uint256(logs[i].topics[1])), uint16(uint256(logs[i].topics[2])));
            decodeInto(record, logs[i].data);
            lastRecord = record;
        }
    }

    function decodeInto(Record memory record, bytes memory data) private pure {
        (
            record.settler,
            record.firstNumber,
            record.lastNumber,
            record.parentLink,
            record.link,
            record.dataCommitment,
            record.outcomes
        ) = abi.decode(data, (address, uint64, uint64, bytes32, bytes32, bytes32, Outcome[]));
    }

    bytes32 private constant SETTLED =
        keccak256("Settled(uint64,uint16,address,uint64,uint64,bytes32,bytes32,bytes32,uint256[])");

    function headNumber() internal view returns (uint64 number) {
        (number,,) = inbox.head();
    }

    function penaltyOf(Party memory p) internal view returns (uint256) {
        return registry.tranches(p.id).penalty;
    }
}
