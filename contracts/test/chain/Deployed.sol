// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {L1Chain} from "./L1Chain.sol";
import {IInbox, InboxConfiguration} from "baton/inbox/IInbox.sol";
import {Registration} from "baton/registry/IGateways.sol";
import {IRegistry, RegistryParameters} from "baton/registry/IRegistry.sol";
import {IBatcherRotation} from "baton/rollup/IBatcherRotation.sol";
import {ISystemConfig} from "baton/rollup/ISystemConfig.sol";

/// @notice A gateway as the tests know it.
struct Party {
    uint16 id;
    address owner;
    address settler;
    address key;
    uint256 secret;
}

/// @notice State: the contracts stand, nobody has registered. Slots of 12 s, L2 blocks of 2 s, turns of 8 slots.
abstract contract DeployedState is L1Chain {
    uint256 internal constant FIRST_EPOCH = 100;
    uint256 internal constant EPOCH = 32;
    uint256 internal constant TURN = 8;
    uint256 internal constant BLOCKS_PER_SLOT = 6;
    uint256 internal constant HORIZON = 256;
    uint256 internal constant EXIT_DELAY = 300;
    uint256 internal constant SILENCE = 40;
    uint256 internal constant DELAY = 2;
    uint256 internal constant MARGIN = 16;
    uint256 internal constant FEE = 0.1 ether;
    uint256 internal constant BLOCK_PRICE = 0.01 ether;
    uint256 internal constant LARGE_FAULT = 4 ether;
    uint256 internal constant PENALTY = 3 * 32 * 6 * BLOCK_PRICE + LARGE_FAULT;
    uint256 internal constant REFUND = 2 ether;
    bytes32 internal constant GENESIS_LINK = keccak256("genesis link");

    IRegistry internal registry;
    IInbox internal inbox;
    IBatcherRotation internal rotation;
    ISystemConfig internal systemConfig;
    address internal operator = makeAddr("operator");
    address internal timelock = makeAddr("timelock");
    address internal fallbackKey;
    /// Verifies states of the beacon chain's first fork here, Fulu.
    address internal verifier;
    uint256 internal fallbackSecret;

    function setUp() public virtual {
        startChain(FIRST_EPOCH * EPOCH);
        (fallbackKey, fallbackSecret) = makeAddrAndKey("fallback key");
        // From the artefacts rather than with `new`: tests compile without the contracts, in a fraction of the time.
        systemConfig = ISystemConfig(vm.deployCode("DevnetSystemConfig.sol", abi.encode(address(0), operator)));
        verifier = vm.deployCode("FuluVerifier.sol");
        address inboxToBe = vm.computeCreateAddress(address(this), vm.getNonce(address(this)) + 2);
        RegistryParameters memory shared = registryParameters();
        shared.inbox = inboxToBe;
        registry = IRegistry(vm.deployCode("Registry.sol", abi.encode(shared)));
        rotation = IBatcherRotation(vm.deployCode("BatcherRotation.sol", abi.encode(systemConfig, inboxToBe, timelock)));
        inbox = IInbox(vm.deployCode("Inbox.sol", abi.encode(inboxConfiguration())));
        assertEq(address(inbox), inboxToBe, "nonces");
        systemConfig.transferOwnership(address(rotation));
    }

    function registryParameters() internal view virtual returns (RegistryParameters memory) {
        return RegistryParameters({
            l1GenesisTime: uint64(L1_GENESIS),
            slotLength: uint64(SLOT_LENGTH),
            l2BlockTime: 2,
            settlementDelay: uint64(DELAY),
            margin: uint64(MARGIN),
            turn: uint64(TURN),
            minChances: 3,
            evidenceHorizon: uint64(HORIZON),
            exitDelay: uint64(EXIT_DELAY),
            registrationFee: FEE,
            penaltyThreshold: PENALTY,
            refundThreshold: REFUND,
            largeFault: LARGE_FAULT,
            blockPrice: BLOCK_PRICE,
            operator: operator,
            fallbackKey: fallbackKey,
            inbox: address(0),
            genesisForkVersion: 0x00000000,
            timelock: timelock,
            firstForkSlot: 0,
            firstVerifier: verifier
        });
    }

    /// The parameters of a chain without proposers to prove.
    function bareParameters() internal view returns (RegistryParameters memory p) {
        p = DeployedState.registryParameters();
        (p.firstVerifier, p.timelock) = (address(0), address(0));
    }

    function inboxConfiguration() internal view virtual returns (InboxConfiguration memory) {
        return InboxConfiguration({
            l2GenesisTime: uint64(L1_GENESIS + FIRST_EPOCH * EPOCH * SLOT_LENGTH),
            genesisLink: GENESIS_LINK,
            silence: uint64(SILENCE),
            shareBps: 5_000,
            batcher: address(0),
            registry: registry,
            rotation: rotation
        });
    }

    /// Makes up a party without registering it.
    function party(string memory name) internal returns (Party memory p) {
        p.owner = makeAddr(string.concat(name, " owner"));
        p.settler = makeAddr(string.concat(name, " settler"));
        (p.key, p.secret) = makeAddrAndKey(string.concat(name, " key"));
    }

    function registration(Party memory p, uint256 penalty) internal pure returns (Registration memory) {
        return Registration({
            owner: p.owner,
            settler: p.settler,
            sequencerKey: p.key,
            penalty: penalty,
            endpoint: "https://engine.gateway.example:8551",
            feed: "wss://feed.gateway.example/blocks"
        });
    }

    /// Registers a party with money of its owner's.
    function register(string memory name, uint256 penalty, uint256 refund) internal returns (Party memory p) {
        p = party(name);
        deal(p.owner, p.owner.balance + FEE + penalty + refund);
        vm.prank(p.owner);
        p.id = registry.register{value: FEE + penalty + refund}(registration(p, penalty));
    }

    function deposit(uint16 id, uint256 penalty, uint256 refund) internal {
        address donor = makeAddr("donor");
        deal(donor, penalty + refund);
        vm.prank(donor);
        address owner = registry.ownerOf(id);
        vm.deal(owner, owner.balance + penalty + refund);
        vm.prank(owner);
        registry.deposit{value: penalty + refund}(id, penalty);
    }

    function currentEpoch() internal view returns (uint256) {
        return slot / EPOCH;
    }
}
