//! The registry: gateways, collateral, schedule.

use baton_protocol::{
    EpochSchedule, Kind, Window,
    beacon::{BeaconHeader, LookaheadProof, ValidatorProof},
};

// Generated: prose lives in the Solidity interface.
#[allow(missing_docs)]
mod abi {
    alloy_sol_types::sol! {
        #[sol(rpc, all_derives)]
        IRegistry,
        "abi/IRegistry.json"
    }
}
pub use abi::IRegistry;

impl From<BeaconHeader> for IRegistry::BeaconHeader {
    fn from(header: BeaconHeader) -> Self {
        let BeaconHeader { slot, proposer_index, parent_root, state_root, body_root } = header;
        Self {
            slot,
            proposerIndex: proposer_index,
            parentRoot: parent_root,
            stateRoot: state_root,
            bodyRoot: body_root,
        }
    }
}

impl From<LookaheadProof> for IRegistry::LookaheadProof {
    fn from(proof: LookaheadProof) -> Self {
        let LookaheadProof { header, chunks, branch } = proof;
        Self { header: header.into(), chunks, branch }
    }
}

impl From<ValidatorProof> for IRegistry::ValidatorProof {
    fn from(proof: ValidatorProof) -> Self {
        let ValidatorProof { header, index, pubkey_root, withdrawal_credentials, branch } = proof;
        Self {
            header: header.into(),
            index,
            pubkeyRoot: pubkey_root,
            withdrawalCredentials: withdrawal_credentials,
            branch,
        }
    }
}

/// The contract answered with a value that its source doesn't know: the binding is older than the deployment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UnknownKind(pub u8);

impl std::fmt::Display for UnknownKind {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "the registry answered with slot kind {}, which this version doesn't know; update Baton", self.0)
    }
}

impl std::error::Error for UnknownKind {}

fn kind(value: u8) -> Result<Kind, UnknownKind> {
    match value {
        0 => Ok(Kind::Open),
        1 => Ok(Kind::Fallback),
        2 => Ok(Kind::Proven),
        other => Err(UnknownKind(other)),
    }
}

impl TryFrom<IRegistry::Window> for Window {
    type Error = UnknownKind;

    fn try_from(window: IRegistry::Window) -> Result<Self, UnknownKind> {
        Ok(Self { gateway: window.gateway, kind: kind(window.kind)?, first: window.first.to(), end: window.end.to() })
    }
}

impl IRegistry::scheduleOfReturn {
    /// The schedule of the epoch that was asked for.
    pub fn schedule(&self, epoch: u64) -> Result<EpochSchedule, UnknownKind> {
        let mut slots = [(0, Kind::Open); 32];
        for (slot, (gateway, value)) in slots.iter_mut().zip(self.gateways.iter().zip(&self.kinds)) {
            *slot = (*gateway, kind(*value)?);
        }
        Ok(EpochSchedule { epoch, slots })
    }
}
