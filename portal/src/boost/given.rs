//! Which flags and variables are given, rather than left at their defaults, and those of rollup-boost's that are known only to be refused.

use clap::{Arg, ArgMatches, Args, Command, Error, FromArgMatches, parser::ValueSource};
use std::collections::BTreeMap;

/// What the portal has nothing for.
const UNSUPPORTED: [&str; 13] = [
    "external-state-root",
    "flashblocks",
    "flashblocks-p2p",
    "flashblocks-authorizer-sk",
    "flashblocks-builder-vk",
    "flashblocks-builder-url",
    "flashblocks-host",
    "flashblocks-port",
    "flashblock-builder-ws-initial-reconnect-ms",
    "flashblock-builder-ws-max-reconnect-ms",
    "flashblock-builder-ws-connect-timeout-ms",
    "flashblock-builder-ws-ping-interval-ms",
    "flashblock-builder-ws-pong-timeout-ms",
];
pub(super) const LOG_FILE: &str = "log-file";

/// What a command line and an environment give. It must stand before the fields that take the values away.
#[derive(Debug, Default)]
pub(super) struct Given(BTreeMap<String, ValueSource>);

impl Given {
    /// What gives a field: its flag or its variable, where rollup-boost has named both after it.
    pub(super) fn name(&self, field: &str) -> Option<String> {
        match self.0.get(field)? {
            ValueSource::EnvVariable => Some(field.to_uppercase()),
            _ => Some(format!("--{}", field.replace('_', "-"))),
        }
    }

    /// A flag that asks for what the portal doesn't do.
    pub(super) fn unsupported(&self) -> Option<&'static str> {
        UNSUPPORTED.into_iter().find(|flag| self.0.contains_key(*flag))
    }

    /// Whether a file for logs is named.
    pub(super) fn has_log_file(&self) -> bool {
        self.0.contains_key(LOG_FILE)
    }
}

impl FromArgMatches for Given {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, Error> {
        let mut given = Self::default();
        given.update_from_arg_matches(matches)?;
        Ok(given)
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), Error> {
        let sources = matches.ids().filter_map(|id| Some((id.to_string(), matches.value_source(id.as_str())?)));
        self.0.extend(sources.filter(|(_, source)| *source != ValueSource::DefaultValue));
        Ok(())
    }
}

impl Args for Given {
    fn augment_args(command: Command) -> Command {
        let refused = UNSUPPORTED.into_iter().chain([LOG_FILE]);
        command.args(refused.map(|name| Arg::new(name).long(name).num_args(0..=1).hide(true)))
    }

    fn augment_args_for_update(command: Command) -> Command {
        Self::augment_args(command)
    }
}
