//! What `[gateways]` must agree with in the rest of a configuration: of the one that is read, and of the one that runs, which stays until a restart.

use super::{ConfigError, GatewaysConfig, Places, Secrets, checked::Overrides, error::SharedSecret};
use baton_protocol::GatewayId;
use http::Uri;
use std::collections::BTreeMap;

/// What is beside `[gateways]`.
#[derive(Debug)]
pub(crate) struct Rest<'a> {
    /// The gateway of every block, where there is no registry.
    pub(crate) fixed: Option<GatewayId>,
    /// All secrets, of which the operator's own are looked at.
    pub(crate) secrets: &'a Secrets,
    /// Where no gateway may be.
    pub(crate) places: &'a Places,
}

/// What `[gateways]` says, read.
#[derive(Debug)]
pub(super) struct Gateways<'a> {
    pub(super) written: &'a GatewaysConfig,
    pub(super) overrides: &'a Overrides,
    pub(super) feeds: &'a BTreeMap<GatewayId, Uri>,
    pub(super) secrets: &'a Secrets,
}

impl Rest<'_> {
    /// Checks that gateways can be beside it. Gives their secrets that are the operator's own, which without a registry may be meant so.
    pub(super) fn fits(&self, gateways: &Gateways<'_>) -> Result<Vec<SharedSecret>, ConfigError> {
        for (index, entry) in gateways.written.overrides.iter().enumerate() {
            let uri = gateways.overrides.get(&entry.id).and_then(|(uri, _)| uri.as_ref());
            for (name, written, uri) in [("url", &entry.url, uri), ("feed", &entry.feed, gateways.feeds.get(&entry.id))]
            {
                if let Some(taken_by) = uri.and_then(|uri| self.places.taken_by(uri)) {
                    let value = written.as_deref().unwrap_or_default().into();
                    return Err(ConfigError::Taken {
                        field: format!("gateways.overrides[{index}].{name}"),
                        value,
                        taken_by,
                    });
                }
            }
        }
        if let Some(id) = self.fixed {
            if !gateways.overrides.get(&id).is_some_and(|(uri, _)| uri.is_some()) {
                return Err(ConfigError::FixedGateway(id));
            }
            if gateways.written.soft_blocks.is_some() {
                return Err(ConfigError::NoTurns);
            }
        }
        let shared = self.shared(gateways.secrets);
        match shared.first() {
            Some(first) if self.fixed.is_none() => Err(ConfigError::SharedSecret(first.clone())),
            _ => Ok(shared),
        }
    }

    /// Every pair of the operator's and a gateway's secret that are the same.
    fn shared(&self, gateways: &Secrets) -> Vec<SharedSecret> {
        let own: Vec<_> = self.secrets.iter().filter(|(key, _)| !key.starts_with("gateways.")).collect();
        let pairs = gateways.iter().flat_map(|gateway| own.iter().map(move |own| (gateway, *own)));
        let same = pairs.filter(|((_, theirs), (_, ours))| theirs == ours);
        same.map(|((gateways, _), (own, _))| SharedSecret { gateways: gateways.clone(), own: own.clone() }).collect()
    }
}
