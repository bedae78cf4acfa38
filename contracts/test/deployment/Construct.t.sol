// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {DeployedState} from "../chain/Deployed.sol";
import {IBeaconForks} from "baton/beacon/IBeaconForks.sol";
import {IInbox, InboxConfiguration, InboxParameters} from "baton/inbox/IInbox.sol";
import {IGateways} from "baton/registry/IGateways.sol";
import {IRegistry, RegistryParameters} from "baton/registry/IRegistry.sol";
import {Lookahead} from "baton/registry/Lookahead.sol";
import {IBatcherRotation} from "baton/rollup/IBatcherRotation.sol";
import {BlockClock} from "baton/time/BlockClock.sol";
import {SlotClock} from "baton/time/SlotClock.sol";

/// @notice A verifier that would take a state's root for the next epoch's proposers.
contract NoLayout {
    function nextEpochIndex() external pure returns (uint32) {
        return 1;
    }
}

/// @notice The constructors refuse parameters that break a rule.
contract ConstructTest is DeployedState {
    RegistryParameters private p;
    InboxConfiguration private c;

    function setUp() public override {
        super.setUp();
        p = registryParameters();
        p.inbox = makeAddr("inbox");
        c = inboxConfiguration();
    }

    function deploys(string memory contractName, bytes memory arguments)
        private
        returns (bool ok, bytes memory answer)
    {
        bytes memory code = bytes.concat(vm.getCode(contractName), arguments);
        assembly ("memory-safe") {
            ok := iszero(iszero(create(0, add(code, 0x20), mload(code))))
            answer := mload(0x40)
            mstore(answer, returndatasize())
            returndatacopy(add(answer, 0x20), 0, returndatasize())
            mstore(0x40, add(answer, add(0x20, returndatasize())))
        }
    }

    function refuses(bytes memory refusal) private {
        (bool ok, bytes memory answer) = deploys("Registry.sol", abi.encode(p));
        assertFalse(ok);
        assertEq(answer, refusal);
        p = registryParameters();
        p.inbox = makeAddr("inbox");
    }

    function inboxRefuses(bytes memory refusal) private {
        (bool ok, bytes memory answer) = deploys("Inbox.sol", abi.encode(c));
        assertFalse(ok);
        assertEq(answer, refusal);
        c = inboxConfiguration();
    }

    function test_GoodParametersAreTaken() public {
        (bool ok,) = deploys("Registry.sol", abi.encode(p));
        assertTrue(ok);
    }

    function test_RegistryTellsItsParameters() public view {
        RegistryParameters memory expected = registryParameters();
        expected.inbox = address(inbox);
        assertEq(abi.encode(registry.parameters()), abi.encode(expected));
    }

    function test_InboxTellsItsParameters() public view {
        InboxParameters memory got = inbox.parameters();
        assertEq(got.l2GenesisTime, c.l2GenesisTime);
        assertEq(got.l2BlockTime, p.l2BlockTime);
        assertEq(got.genesisLink, GENESIS_LINK);
        assertEq(got.settlementDelay, DELAY);
        assertEq(got.minChances, p.minChances);
        assertEq(got.silence, SILENCE);
        assertEq(got.evidenceHorizon, HORIZON);
        assertEq(got.blockPrice, BLOCK_PRICE);
        assertEq(got.shareBps, c.shareBps);
        assertEq(got.batcher, address(0));
        (uint64 number, bytes32 link, uint64 last) = inbox.head();
        assertEq(number, 0);
        assertEq(link, GENESIS_LINK);
        assertEq(last, 0);
    }

    function test_RegistryRefusesZeroes() public {
        p.slotLength = 0;
        refuses(abi.encodeWithSelector(SlotClock.ZeroParameter.selector, "slotLength"));
        p.l2BlockTime = 0;
        refuses(abi.encodeWithSelector(SlotClock.ZeroParameter.selector, "l2BlockTime"));
        p.turn = 0;
        refuses(abi.encodeWithSelector(SlotClock.ZeroParameter.selector, "turn"));
        p.minChances = 0;
        refuses(abi.encodeWithSelector(SlotClock.ZeroParameter.selector, "minChances"));
        p.evidenceHorizon = 0;
        refuses(abi.encodeWithSelector(SlotClock.ZeroParameter.selector, "evidenceHorizon"));
        p.largeFault = 0;
        refuses(abi.encodeWithSelector(SlotClock.ZeroParameter.selector, "largeFault"));
        p.blockPrice = 0;
        refuses(abi.encodeWithSelector(SlotClock.ZeroParameter.selector, "blockPrice"));
        p.operator = address(0);
        refuses(abi.encodeWithSelector(IGateways.ZeroAddress.selector, "operator"));
        p.fallbackKey = address(0);
        refuses(abi.encodeWithSelector(IGateways.ZeroAddress.selector, "fallbackKey"));
        p.inbox = address(0);
        refuses(abi.encodeWithSelector(IGateways.ZeroAddress.selector, "inbox"));
    }

    /// [S6] The margin is what L1 reorgs are allowed for, and some slots remain to publish in.
    function test_RegistryRefusesDeadlines() public {
        p.margin = 15;
        refuses(abi.encodeWithSelector(Lookahead.MarginTooShort.selector, 15, 16));
        p.settlementDelay = 13;
        refuses(abi.encodeWithSelector(Lookahead.NoTimeToPublish.selector, 13, 16));
        p.settlementDelay = 12;
        (bool ok,) = deploys("Registry.sol", abi.encode(p));
        assertTrue(ok);
    }

    /// [F1], [F2] The first fork begins with an epoch, has a verifier that is one, and somebody who appends the next.
    function test_RegistryRefusesForks() public {
        p.timelock = address(0);
        refuses(abi.encodeWithSelector(SlotClock.ZeroParameter.selector, "timelock"));
        p.firstForkSlot = 33;
        refuses(abi.encodeWithSelector(IBeaconForks.ForkNotAtEpoch.selector, 33));
        p.firstVerifier = address(99);
        refuses(abi.encodeWithSelector(IBeaconForks.NoVerifierCode.selector, address(99)));
        p.firstVerifier = address(new NoLayout());
        refuses(abi.encodeWithSelector(IBeaconForks.NoVerifierCode.selector, p.firstVerifier));
        // A chain without proposers to prove needs none of that.
        p.firstVerifier = address(0);
        p.timelock = address(0);
        (bool ok,) = deploys("Registry.sol", abi.encode(p));
        assertTrue(ok);
    }

    /// [T1] Slot 0 mustn't lie ahead.
    function test_RegistryRefusesAGenesisAhead() public {
        p.l1GenesisTime = uint64(block.timestamp + 1);
        refuses(abi.encodeWithSelector(SlotClock.GenesisAhead.selector, block.timestamp + 1, block.timestamp));
    }

    /// [T2]
    function test_RegistryRefusesSlotsOfBrokenBlocks() public {
        p.l2BlockTime = 5;
        refuses(abi.encodeWithSelector(IRegistry.SlotNotMultipleOfBlock.selector, 12, 5));
    }

    /// [S4]
    function test_RegistryRefusesBadTurns() public {
        p.turn = 12;
        refuses(abi.encodeWithSelector(Lookahead.TurnNotDividingEpoch.selector, 12));
        p.minChances = 8;
        refuses(abi.encodeWithSelector(Lookahead.TurnTooShort.selector, 8, 8));
    }

    function test_RegistryRefusesHorizonsBeyondTheRings() public {
        p.evidenceHorizon = 7_801;
        p.exitDelay = 9_000;
        refuses(abi.encodeWithSelector(IRegistry.HorizonTooLong.selector, 7_801, 7_800));
    }

    /// [C7]
    function test_RegistryRefusesShortExits() public {
        p.exitDelay = p.evidenceHorizon;
        refuses(abi.encodeWithSelector(IRegistry.ExitDelayTooShort.selector, HORIZON, HORIZON));
    }

    /// [C3]
    function test_RegistryRefusesThinCollateral() public {
        p.penaltyThreshold = PENALTY - 1;
        refuses(abi.encodeWithSelector(IRegistry.PenaltyThresholdTooLow.selector, PENALTY - 1, PENALTY));
    }

    function test_InboxRefusesAnothersRegistryAndRotation() public {
        inboxRefuses(abi.encodeWithSelector(IInbox.WrongInbox.selector, address(inbox)));
        // The registry is for the address that comes next, the rotation for another.
        p.inbox = vm.computeCreateAddress(address(this), vm.getNonce(address(this)) + 1);
        (bool ok,) = deploys("Registry.sol", abi.encode(p));
        assertTrue(ok);
        c.registry = IRegistry(vm.computeCreateAddress(address(this), vm.getNonce(address(this)) - 1));
        inboxRefuses(abi.encodeWithSelector(IInbox.WrongInbox.selector, address(inbox)));
    }

    /// Puts registry and rotation for the next contract but two.
    function prepareInbox() private {
        address next = vm.computeCreateAddress(address(this), vm.getNonce(address(this)) + 2);
        p.inbox = next;
        c.registry = IRegistry(vm.deployCode("Registry.sol", abi.encode(p)));
        c.rotation = IBatcherRotation(vm.deployCode("BatcherRotation.sol", abi.encode(systemConfig, next, timelock)));
    }

    function test_InboxRefusesBadParameters() public {
        prepareInbox();
        c.silence = 31;
        inboxRefuses(abi.encodeWithSelector(IInbox.SilenceTooShort.selector, 31, 32));
        prepareInbox();
        c.shareBps = 5_001;
        inboxRefuses(abi.encodeWithSelector(IInbox.ShareAboveHalf.selector, 5_001));
        prepareInbox();
        c.l2GenesisTime = uint64(L1_GENESIS - 1);
        inboxRefuses(abi.encodeWithSelector(BlockClock.L2GenesisBeforeL1.selector, L1_GENESIS - 1, L1_GENESIS));
        prepareInbox();
        (bool ok,) = deploys("Inbox.sol", abi.encode(c));
        assertTrue(ok);
    }
}
