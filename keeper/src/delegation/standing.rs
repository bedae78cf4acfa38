//! A validator's delegation as the registry has it.

use crate::l1::{L1, L1Error};
use baton_protocol::{GatewayId, NOBODY};
use serde::Serialize;
use std::fmt;

/// A validator's delegation and the offer made last.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Standing {
    /// The validator.
    pub validator_index: u64,
    /// To whom it was set last; 0 for nobody.
    pub gateway: GatewayId,
    /// The first epoch for which that counts.
    pub from_epoch: u64,
    /// Who had its slots before.
    pub before: GatewayId,
    /// How often it was set: what the next signature must name.
    pub nonce: u64,
    /// An offer that nobody has accepted and no change has voided; it may have expired.
    pub offer: Option<Offer>,
}

/// A withdrawal address's offer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Offer {
    /// To whom.
    pub gateway: GatewayId,
    /// The last second, Unix time, in which it can be accepted.
    pub deadline: u64,
}

/// Epochs from the one of a change to the first that it counts for, `[T6]`.
const EPOCHS_TO_FORCE: u64 = 2;

/// Reads it as of the newest L1 block.
///
/// # Errors
/// The L1's.
pub async fn standing(l1: &L1, validator_index: u64) -> Result<Standing, L1Error> {
    let registry = l1.registry();
    let status = registry.delegationOf(validator_index).call().await?;
    let offer = registry.offerOf(validator_index).call().await?;
    let standing = offer.gateway != NOBODY && offer.nonce == status.nonce;
    Ok(Standing {
        validator_index,
        gateway: status.gateway,
        from_epoch: u64::from(status.changedIn) + EPOCHS_TO_FORCE,
        before: status.before,
        nonce: status.nonce,
        offer: standing.then_some(Offer { gateway: offer.gateway, deadline: offer.deadline }),
    })
}

impl fmt::Display for Standing {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = |gateway| match gateway {
            NOBODY => "nobody".to_owned(),
            gateway => format!("gateway {gateway}"),
        };
        write!(formatter, "validator {}: ", self.validator_index)?;
        if self.nonce == 0 {
            write!(formatter, "never delegated")?;
        } else {
            let (gateway, before) = (name(self.gateway), name(self.before));
            write!(formatter, "delegated to {gateway} from epoch {} on, to {before} before", self.from_epoch)?;
        }
        write!(formatter, "; next nonce {}", self.nonce)?;
        if let Some(offer) = self.offer {
            write!(formatter, "; offered to gateway {} until {} (Unix time)", offer.gateway, offer.deadline)?;
        }
        Ok(())
    }
}
