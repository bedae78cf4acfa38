// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {DeployedState} from "../chain/Deployed.sol";
import {IERC5267} from "@openzeppelin/contracts/interfaces/IERC5267.sol";
import {ECDSA} from "@openzeppelin/contracts/utils/cryptography/ECDSA.sol";
import {IInbox} from "baton/inbox/IInbox.sol";
import {RegistryParameters} from "baton/registry/IRegistry.sol";
import {IRegistry} from "baton/registry/IRegistry.sol";
import {IBatcherRotation} from "baton/rollup/IBatcherRotation.sol";
import {Receipt as UserReceipt} from "baton/types/Receipt.sol";
import {SoftBlock} from "baton/types/SoftBlock.sol";

/// @notice The golden vectors, made with ethers, hold for an inbox at their address: rules [L1], [L2], [L5], [L6].
contract VectorsTest is DeployedState {
    string private json;
    IInbox private vectorInbox;

    function setUp() public override {
        super.setUp();
        json = vm.readFile("contracts/vectors/eip712.json");
        address place = vm.parseJsonAddress(json, ".domain.verifyingContract");
        vm.chainId(vm.parseJsonUint(json, ".domain.chainId"));
        RegistryParameters memory shared = registryParameters();
        shared.inbox = place;
        registry = IRegistry(vm.deployCode("Registry.sol", abi.encode(shared)));
        rotation = IBatcherRotation(vm.deployCode("BatcherRotation.sol", abi.encode(systemConfig, place, timelock)));
        deployCodeTo("Inbox.sol", abi.encode(inboxConfiguration()), place);
        vectorInbox = IInbox(place);
    }

    function test_Domain() public view {
        (, string memory name, string memory version, uint256 chainId, address verifyingContract,,) =
            IERC5267(address(vectorInbox)).eip712Domain();
        assertEq(
            keccak256(
                abi.encode(
                    vm.parseJsonBytes32(json, ".domain.typeHash"),
                    keccak256(bytes(name)),
                    keccak256(bytes(version)),
                    chainId,
                    verifyingContract
                )
            ),
            vm.parseJsonBytes32(json, ".domain.separator")
        );
    }

    function test_SoftBlocks() public view {
        uint256 count = 0;
        for (; vm.keyExistsJson(json, entryOf("softBlocks", count)); ++count) {
            string memory entry = entryOf("softBlocks", count);
            SoftBlock memory softBlock = SoftBlock({
                number: uint64(number(entry, "number")),
                parentLink: word(entry, "parentLink"),
                blockHash: word(entry, "blockHash"),
                anchorNumber: uint64(number(entry, "anchorNumber")),
                anchorHash: word(entry, "anchorHash")
            });
            assertEq(softBlock.structHash(), word(entry, "structHash"), "struct hash");
            assertEq(vectorInbox.hashSoftBlock(softBlock), word(entry, "digest"), "digest");
            checkSignature(entry);
        }
        assertGe(count, 4);
    }

    function test_Receipts() public view {
        uint256 count = 0;
        for (; vm.keyExistsJson(json, entryOf("receipts", count)); ++count) {
            string memory entry = entryOf("receipts", count);
            UserReceipt memory receipt;
            receipt.number = uint64(number(entry, "number"));
            receipt.parentLink = word(entry, "parentLink");
            receipt.txIndex = uint32(number(entry, "txIndex"));
            receipt.txHash = word(entry, "txHash");
            receipt.payee = vm.parseJsonAddress(json, string.concat(entry, ".payee"));
            receipt.anchorNumber = uint64(number(entry, "anchorNumber"));
            receipt.anchorHash = word(entry, "anchorHash");
            assertEq(receipt.structHash(), word(entry, "structHash"), "struct hash");
            assertEq(vectorInbox.hashReceipt(receipt), word(entry, "digest"), "digest");
            checkSignature(entry);
        }
        assertGe(count, 2);
    }

    function test_Chain() public view {
        bytes32 link = vm.parseJsonBytes32(json, ".chain.genesisLink");
        bytes32[] memory hashes = vm.parseJsonBytes32Array(json, ".chain.blockHashes");
        bytes32[] memory links = vm.parseJsonBytes32Array(json, ".chain.links");
        assertEq(hashes.length, links.length);
        assertEq(hashes.length, 12);
        for (uint256 i = 0; i < hashes.length; ++i) {
            link = keccak256(abi.encodePacked(link, hashes[i]));
            assertEq(link, links[i]);
        }
    }

    /// The low-s signature is the signer's; its high-s twin, which ecrecover would take, is refused.
    function checkSignature(string memory entry) private view {
        bytes32 digest = word(entry, "digest");
        uint8 v = uint8(number(entry, "v"));
        (bytes32 r, bytes32 s) = (word(entry, "r"), word(entry, "s"));
        address signer = vm.parseJsonAddress(json, string.concat(entry, ".signer"));
        (address recovered,,) = ECDSA.tryRecover(digest, v, r, s);
        assertEq(recovered, signer, "signer");
        bytes32 highS = word(entry, "highS");
        assertEq(ecrecover(digest, v == 27 ? 28 : 27, r, highS), signer, "twin");
        (recovered,,) = ECDSA.tryRecover(digest, v == 27 ? 28 : 27, r, highS);
        assertEq(recovered, address(0), "twin refused");
    }

    function entryOf(string memory list, uint256 index) private pure returns (string memory) {
        return string.concat(".", list, "[", vm.toString(index), "]");
    }

    function number(string memory entry, string memory field) private view returns (uint256) {
        return vm.parseJsonUint(json, string.concat(entry, ".", field));
    }

    function word(string memory entry, string memory field) private view returns (bytes32) {
        return vm.parseJsonBytes32(json, string.concat(entry, ".", field));
    }
}
