//! How far gateways are trusted with blocks: for all of them, and for single ones.

use baton_protocol::GatewayId;
use serde::{Deserialize, Serialize};
use std::{collections::BTreeMap, fmt, str::FromStr};

/// What gateways are let do. Each includes less than the one before it. Names as in rollup-boost.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Mode {
    /// Gateways build, and op-node gets what they built.
    #[default]
    Enabled,
    /// Gateways build and their payloads are checked and recorded; op-node gets the fallback's, without waiting for them.
    DryRun,
    /// Gateways get nothing at all.
    Disabled,
}

impl fmt::Display for Mode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Enabled => "enabled",
            Self::DryRun => "dry_run",
            Self::Disabled => "disabled",
        })
    }
}

/// What isn't a mode.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("\"{0}\" is no execution mode; there are enabled, dry_run and disabled")]
pub struct UnknownMode(String);

impl FromStr for Mode {
    type Err = UnknownMode;

    fn from_str(text: &str) -> Result<Self, UnknownMode> {
        match text {
            "enabled" => Ok(Self::Enabled),
            // rollup-boost's flag has the hyphen, its RPC the underscore.
            "dry_run" | "dry-run" => Ok(Self::DryRun),
            "disabled" => Ok(Self::Disabled),
            other => Err(UnknownMode(other.to_owned())),
        }
    }
}

/// The modes in force.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Modes {
    /// For all gateways.
    pub global: Mode,
    /// For single ones; what is missing is enabled.
    pub single: BTreeMap<GatewayId, Mode>,
}

impl Modes {
    /// A gateway's: the more restrictive of its own and everybody's.
    pub fn of(&self, gateway: GatewayId) -> Mode {
        self.global.max(self.single.get(&gateway).copied().unwrap_or_default())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_more_restrictive_counts() {
        let modes = |global, single| Modes { global, single: BTreeMap::from([(1, single)]) };
        for (global, single, of_one, of_two) in [
            (Mode::Enabled, Mode::DryRun, Mode::DryRun, Mode::Enabled),
            (Mode::DryRun, Mode::Enabled, Mode::DryRun, Mode::DryRun),
            (Mode::DryRun, Mode::Disabled, Mode::Disabled, Mode::DryRun),
            (Mode::Disabled, Mode::Enabled, Mode::Disabled, Mode::Disabled),
        ] {
            assert_eq!(modes(global, single).of(1), of_one);
            assert_eq!(modes(global, single).of(2), of_two);
        }
    }

    #[test]
    fn names_are_read_as_they_are_written() {
        for mode in [Mode::Enabled, Mode::DryRun, Mode::Disabled] {
            assert_eq!(mode.to_string().parse(), Ok(mode));
            assert_eq!(serde_json::to_string(&mode).expect("JSON"), format!("\"{mode}\""));
        }
        assert_eq!("dry-run".parse(), Ok(Mode::DryRun));
        assert!("off".parse::<Mode>().is_err());
    }
}
