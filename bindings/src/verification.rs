//! What the contracts behind the registry say against proofs and signatures.

// Generated: prose lives in the Solidity interfaces.
#[allow(missing_docs)]
mod state {
    alloy_sol_types::sol! {
        #[sol(rpc, all_derives)]
        IBeaconStateVerifier,
        "abi/IBeaconStateVerifier.json"
    }
}
#[allow(missing_docs)]
mod signatures {
    alloy_sol_types::sol! {
        #[sol(rpc, all_derives)]
        IDelegationSignatures,
        "abi/IDelegationSignatures.json"
    }
}
pub use signatures::IDelegationSignatures;
pub use state::IBeaconStateVerifier;
