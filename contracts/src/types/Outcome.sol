// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

/// @notice What a run of blocks is declared to be, rules [I6] to [I9].
enum RunKind {
    Own,
    Recreated,
    Vacant,
    Stale
}

/// @notice What became of a run, in one word: kind (8 bits), signed (8), owner (16), blocks (24), charged blocks (24), paid (80), bounty (80), from the lowest bit up.
type Outcome is uint256;
