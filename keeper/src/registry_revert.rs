//! What the registry and the contracts behind it say against a call.

use alloy::{primitives::Bytes, sol_types::SolInterface};
use baton_bindings::{
    IBeaconStateVerifier::IBeaconStateVerifierErrors, IDelegationSignatures::IDelegationSignaturesErrors,
    IRegistry::IRegistryErrors,
};
use std::fmt;

/// What the registry says against a call.
#[derive(Clone, Debug)]
pub enum RegistryRevert {
    /// An error of the registry.
    Registry(Box<IRegistryErrors>),
    /// An error of the fork's verifier.
    Verifier(IBeaconStateVerifierErrors),
    /// An error of the check of signatures.
    Signature(IDelegationSignaturesErrors),
    /// Anything else, as it came.
    Other(Bytes),
}

impl RegistryRevert {
    /// From a revert's data.
    pub fn decode(data: Bytes) -> Self {
        if let Ok(error) = IRegistryErrors::abi_decode(&data) {
            return Self::Registry(Box::new(error));
        }
        if let Ok(error) = IBeaconStateVerifierErrors::abi_decode(&data) {
            return Self::Verifier(error);
        }
        IDelegationSignaturesErrors::abi_decode(&data).map_or(Self::Other(data), Self::Signature)
    }

    /// Whether it only says that there is nothing left to publish: somebody was faster, or the deadline has passed.
    pub fn is_settled(&self) -> bool {
        let Self::Registry(error) = self else { return false };
        matches!(**error, IRegistryErrors::AlreadyPublished(_) | IRegistryErrors::PublicationClosed(_))
    }
}

impl fmt::Display for RegistryRevert {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Registry(error) => write!(formatter, "{error:?}"),
            Self::Verifier(error) => write!(formatter, "{error:?}"),
            Self::Signature(error) => write!(formatter, "{error:?}"),
            Self::Other(data) if data.is_empty() => write!(formatter, "without a reason"),
            Self::Other(data) => write!(formatter, "{data}"),
        }
    }
}
