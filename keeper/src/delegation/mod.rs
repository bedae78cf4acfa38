//! Delegations.
