//! rollup-boost's environment variables that aren't flags here: its secrets, and what the portal doesn't do.

use std::collections::BTreeMap;

/// The secret shared with the fallback.
pub(super) const L2_TOKEN: &str = "L2_JWT_TOKEN";
/// The secret shared with the builder.
pub(super) const BUILDER_TOKEN: &str = "BUILDER_JWT_TOKEN";
const LOG_FILE: &str = "LOG_FILE";
/// What rollup-boost would do otherwise than the portal does. 0.7.13 reads the last two in small letters only: `rollup-boost --help`.
const UNSUPPORTED: [&str; 3] = ["EXTERNAL_STATE_ROOT", "flashblocks_ws", "flashblocks_p2p"];
/// How the names of flashblocks' other settings begin; some have no s.
const FLASHBLOCK: &str = "FLASHBLOCK";

/// Which of them are set, and to something else than no. What they are set to isn't kept.
#[derive(Debug, Default)]
pub(super) struct Variables(BTreeMap<String, bool>);

impl Variables {
    /// This process's.
    pub(super) fn of_this_process() -> Self {
        Self::of(
            std::env::vars_os()
                .filter_map(|(name, value)| Some((name.into_string().ok()?, value.to_string_lossy().into_owned()))),
        )
    }

    /// Those that are given.
    pub(super) fn of(all: impl IntoIterator<Item = (impl Into<String>, impl AsRef<str>)>) -> Self {
        let named = all.into_iter().map(|(name, value)| (name.into(), value));
        let kept = named.filter(|(name, value)| {
            let known = [L2_TOKEN, BUILDER_TOKEN, LOG_FILE, baton_logging::VARIABLE].contains(&name.as_str())
                || UNSUPPORTED.contains(&name.as_str());
            (known || name.starts_with(FLASHBLOCK)) && !value.as_ref().is_empty()
        });
        Self(kept.map(|(name, value)| (name, is_yes(value.as_ref()))).collect())
    }

    /// Whether one is set.
    pub(super) fn has(&self, name: &str) -> bool {
        self.0.contains_key(name)
    }

    /// One that asks for what the portal doesn't do.
    pub(super) fn unsupported(&self) -> Option<&'static str> {
        UNSUPPORTED.into_iter().find(|name| self.0.get(*name) == Some(&true))
    }

    /// Those that are set and change nothing here, in the order of their names.
    pub(super) fn without_effect(&self) -> impl Iterator<Item = (String, &'static str)> {
        self.0.keys().filter_map(|name| {
            let reason = match name.as_str() {
                LOG_FILE => "logs go to standard error",
                name if UNSUPPORTED.contains(&name) => return None,
                name if name.starts_with(FLASHBLOCK) => "the portal has no flashblocks",
                _ => return None,
            };
            Some((name.clone(), reason))
        })
    }
}

/// Whether a switch is on.
fn is_yes(value: &str) -> bool {
    !["0", "f", "false", "n", "no", "off"].contains(&value.to_ascii_lowercase().as_str())
}
