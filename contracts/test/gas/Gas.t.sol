// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {Party} from "../chain/Deployed.sol";
import {RunningState} from "../chain/Running.sol";
import {Batch} from "baton/inbox/IInbox.sol";
import {RunKind} from "baton/types/Outcome.sol";

/// @notice Gas of one call in a fresh transaction: the state is made in `setUp`, which forge commits, so that storage costs are those of
/// values from before the transaction; what the test itself reads to build the call is made cold again. Numbers are execution
/// gas, without the transaction's 21,000 and its calldata.
abstract contract GasState is RunningState {
    /// Makes all contracts cold, as a new transaction finds them.
    function coolAll() internal {
        vm.cool(address(inbox));
        vm.cool(address(registry));
        vm.cool(address(rotation));
        vm.cool(address(systemConfig));
        vm.cool(BEACON_ROOTS);
        vm.cool(HISTORY);
    }

    /// Writes into the places of the rings that the slot will use, as 16,384 slots of service would have.
    function fillRings() internal {
        for (uint256 s = slot; s < slot + 4 * TURN; ++s) {
            vm.record();
            inbox.recordHash(uint64(s));
            (bytes32[] memory reads,) = vm.accesses(address(inbox));
            vm.store(address(inbox), reads[0], bytes32(uint256(1)));
        }
    }

    function measure(Party memory p, Batch memory batch, string memory name) internal returns (uint256 gas) {
        useBlobs(1);
        coolAll();
        // A transaction's sender is warm.
        assertEq(p.settler.code.length, 0);
        vm.prank(p.settler, p.settler);
        inbox.settle(batch);
        return vm.snapshotGasLastCall("settle", name);
    }
}

contract OwnGasTest is GasState {
    function setUp() public override {
        super.setUp();
        mineTo(start);
        settleOwn(a);
        mineTo(start + TURN - 1);
        fillRings();
    }

    function test_Own12() public {
        measure(a, add(batchOf(a), RunKind.Own, 12), "12 own blocks");
    }

    function test_Own42() public {
        measure(a, add(batchOf(a), RunKind.Own, 42), "42 own blocks");
    }
}

/// @notice B's second settlement in its window, with blocks of A's to be re-created. In the first it settled as much as the window
/// produces, so that its work is counted no more.
abstract contract BacklogGasState is GasState {
    function setUp() public virtual override {
        super.setUp();
        // A drops its window; B settles some of it in the next, then nobody anything until B's next.
        mineTo(start + TURN);
        settle(b, addSigned(batchOf(b), RunKind.Recreated, 6, a.secret));
        mineTo(start + 3 * TURN);
        Batch memory batch = batchOf(b);
        addSigned(batch, RunKind.Recreated, 42, a.secret);
        // Its own late blocks are no work, rule [V4].
        add(batch, RunKind.Own, 48);
        addSigned(batch, RunKind.Recreated, 6, a.secret);
        settle(b, batch);
        mineTo(start + 3 * TURN + 1);
        fillRings();
    }
}

contract RecreatedGasTest is BacklogGasState {
    function test_Recreated12() public {
        measure(b, addSigned(batchOf(b), RunKind.Recreated, 12, a.secret), "12 re-created blocks");
    }

    function test_Vacant12() public {
        measure(b, addSigned(batchOf(b), RunKind.Vacant, 12, fallbackSecret), "12 vacant blocks");
    }
}

contract EligibilityGasTest is BacklogGasState {
    function setUp() public override {
        super.setUp();
        uint256 spare = penaltyOf(a) - PENALTY;
        vm.prank(address(inbox));
        registry.charge(a.id, spare);
    }

    function test_Recreated12() public {
        measure(b, addSigned(batchOf(b), RunKind.Recreated, 12, a.secret), "12 re-created blocks, eligibility lost");
        assertFalse(registry.isEligible(a.id));
    }
}

/// @notice B's first settlement in its window, after somebody took the baton for it.
contract FirstOfWindowGasTest is GasState {
    function setUp() public override {
        super.setUp();
        mineTo(start);
        settleOwn(a);
        mineTo(start + TURN - 1);
        settleOwn(a);
        mineTo(start + TURN);
        inbox.takeBaton();
        mineTo(start + TURN + 1);
        fillRings();
    }

    function test_Own12() public {
        measure(b, add(batchOf(b), RunKind.Own, 12), "12 own blocks, first settlement of a window");
    }
}

contract RecreatedFirstGasTest is GasState {
    function setUp() public override {
        super.setUp();
        mineTo(start + TURN);
        inbox.takeBaton();
        mineTo(start + TURN + 1);
        fillRings();
    }

    function test_Recreated12() public {
        measure(
            b,
            addSigned(batchOf(b), RunKind.Recreated, 12, a.secret),
            "12 re-created blocks, first of a backlogged window"
        );
    }
}

contract RotationGasTest is GasState {
    function setUp() public override {
        super.setUp();
        mineTo(start + TURN - 1);
        settleOwn(a);
        mineTo(start + TURN + 1);
        fillRings();
    }

    function test_RotatingOwn12() public {
        measure(b, add(batchOf(b), RunKind.Own, 12), "12 own blocks, first settlement with rotation");
    }

    function test_TakeBaton() public {
        coolAll();
        inbox.takeBaton();
        vm.snapshotGasLastCall("inbox", "takeBaton");
    }
}

contract RegistryGasTest is GasState {
    function test_Register() public {
        Party memory p = party("C");
        deal(p.owner, 100 ether);
        coolAll();
        vm.prank(p.owner);
        registry.register{value: FEE + AMPLE + REFUND}(registration(p, AMPLE));
        vm.snapshotGasLastCall("registry", "register");
    }

    function test_Deposit() public {
        coolAll();
        registry.deposit{value: 1 ether}(a.id, 1 ether);
        vm.snapshotGasLastCall("registry", "deposit");
    }

    function test_RequestExit() public {
        coolAll();
        vm.prank(a.owner);
        registry.requestExit(a.id);
        vm.snapshotGasLastCall("registry", "requestExit");
    }

    function test_GatewayAt() public {
        coolAll();
        registry.gatewayAt(slot + 1);
        vm.snapshotGasLastCall("registry", "gatewayAt");
    }
}

contract CollectGasTest is GasState {
    function setUp() public override {
        super.setUp();
        mineTo(start + TURN);
        settle(b, addSigned(batchOf(b), RunKind.Recreated, 12, a.secret));
        mineAt(slot + HORIZON + 1);
    }

    function test_Collect() public {
        coolAll();
        inbox.collect(lastRecord);
        vm.snapshotGasLastCall("inbox", "collect");
    }
}
