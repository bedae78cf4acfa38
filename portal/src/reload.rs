//! What differs between two configurations, and which differences a running portal can take over.

use crate::{
    config::{Config, Secrets},
    mode::{Mode, Modes},
};
use baton_schedule::NodeUrl;
use std::{collections::BTreeMap, fmt};
use toml::{Table, Value};

/// One key that differs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// The key, such as `gateways.payload_budget_ms`.
    pub key: String,
    /// What it was, as TOML, URLs without what may be a key in them; `None` if it wasn't there.
    pub before: Option<String>,
    /// What it becomes; `None` if it goes.
    pub after: Option<String>,
    /// Whether it takes effect only when the portal is started again.
    pub needs_restart: bool,
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let side = |value: &Option<String>| value.clone().unwrap_or_else(|| "(none)".to_owned());
        write!(f, "{}: {} -> {}", self.key, side(&self.before), side(&self.after))?;
        if self.needs_restart { f.write_str(" (takes a restart)") } else { Ok(()) }
    }
}

/// Compares two configurations key by key. Of secrets they hold names of files only, but URLs may have keys in them, which are compared and not told.
pub fn diff(before: &Config, after: &Config) -> Vec<Change> {
    let (before, after) = (keys(before), keys(after));
    let mut names: Vec<_> = before.keys().chain(after.keys()).collect();
    names.sort_unstable();
    names.dedup();
    let changed = names.into_iter().filter(|name| before.get(*name) != after.get(*name));
    changed
        .map(|name| Change {
            key: name.clone(),
            before: before.get(name).map(shown),
            after: after.get(name).map(shown),
            needs_restart: !name.starts_with("gateways."),
        })
        .collect()
}

/// Compares the secrets themselves, of keys that are in both: their files may be the same and hold others. Nothing of them is told.
pub(crate) fn secrets(before: &Secrets, after: &Secrets) -> Vec<Change> {
    let changed = after.iter().filter(|(key, secret)| before.get(*key).is_some_and(|before| before != *secret));
    changed
        .map(|(key, _)| Change {
            key: format!("{key} (content)"),
            before: Some("a secret".to_owned()),
            after: Some("another".to_owned()),
            needs_restart: !key.starts_with("gateways."),
        })
        .collect()
}

/// What becomes of modes that `debug_setExecutionMode` has set: the configuration's count again, and that is said even where the configuration is the same.
pub(crate) fn set_back(written: &Modes, running: &Modes, after: &Modes) -> Vec<Change> {
    let change = |key: String, (written, running, after): (Mode, Mode, Mode)| {
        (running != written && running != after).then(|| Change {
            key,
            before: Some(format!("\"{running}\" by debug_setExecutionMode")),
            after: Some(format!("\"{after}\"")),
            needs_restart: false,
        })
    };
    let global = change("gateways.mode".to_owned(), (written.global, running.global, after.global));
    let of = |modes: &Modes, id| modes.single.get(id).copied().unwrap_or_default();
    let single = running.single.keys().filter_map(|id| {
        change(format!("gateways.overrides(id {id}).mode"), (of(written, id), of(running, id), of(after, id)))
    });
    global.into_iter().chain(single).collect()
}

/// The keys of a file for which something else was laid over it.
pub(crate) fn hidden(file: &Table, laid: &Table) -> Vec<String> {
    let keys = |table: &Table| {
        let mut keys = BTreeMap::new();
        flatten("", &Value::Table(table.clone()), &mut keys);
        keys
    };
    let laid = keys(laid);
    keys(file).into_iter().filter(|(key, value)| laid.get(key) != Some(value)).map(|(key, _)| key).collect()
}

/// All keys with their values, tables and lists taken apart.
fn keys(config: &Config) -> BTreeMap<String, Value> {
    let mut keys = BTreeMap::new();
    // A configuration came from TOML, so it goes back.
    if let Ok(value) = Value::try_from(config) {
        flatten("", &value, &mut keys);
    }
    keys
}

fn flatten(name: &str, value: &Value, keys: &mut BTreeMap<String, Value>) {
    match value {
        Value::Table(table) => {
            let dot = if name.is_empty() { "" } else { "." };
            table.iter().for_each(|(key, value)| flatten(&format!("{name}{dot}{key}"), value, keys));
        }
        // Entries are told by their ids: their order means nothing.
        Value::Array(items) if items.iter().all(|item| item.get("id").is_some()) => {
            for item in items {
                let Some((id, mut rest)) = item.get("id").zip(item.as_table().cloned()) else { continue };
                rest.remove("id");
                flatten(&format!("{name}(id {id})"), &Value::Table(rest), keys);
            }
        }
        other => {
            keys.insert(name.to_owned(), other.clone());
        }
    }
}

/// A value as TOML, in which URLs are what may be shown of them.
fn shown(value: &Value) -> String {
    fn hidden(value: &Value) -> Value {
        match value {
            Value::String(text) if text.contains("://") => Value::String(NodeUrl::from(text.as_str()).to_string()),
            Value::Array(items) => Value::Array(items.iter().map(hidden).collect()),
            other => other.clone(),
        }
    }
    hidden(value).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn example(change: impl Fn(String) -> String) -> Config {
        Config::from_toml(&change(include_str!("../portal.example.toml").to_owned())).expect("a configuration")
    }

    #[test]
    fn nothing_differs_from_itself() {
        assert_eq!(diff(&example(|text| text), &example(|text| text)), []);
    }

    #[test]
    fn each_key_is_named_with_both_values() {
        let before = example(|text| text);
        let after = example(|text| {
            text.replace("payload_budget_ms = 500", "payload_budget_ms = 400")
                .replace("mode = \"dry_run\"", "mode = \"enabled\"")
                .replace("# gas_ratio", "gas_ratio")
                .replace("listen = \"127.0.0.1:8551\"", "listen = \"127.0.0.1:8552\"")
        });
        let said: Vec<_> = diff(&before, &after).iter().map(ToString::to_string).collect();
        assert_eq!(
            said,
            [
                "engine.listen: \"127.0.0.1:8551\" -> \"127.0.0.1:8552\" (takes a restart)",
                "gateways.overrides(id 3).mode: \"dry_run\" -> \"enabled\"",
                "gateways.payload_budget_ms: 500 -> 400",
                "gateways.policy.gas_ratio: (none) -> 10",
            ]
        );
    }

    #[test]
    fn entries_are_told_by_their_ids_and_not_by_their_places() {
        let with = |entries: &str| {
            let mut table: toml::Table = include_str!("../portal.example.toml").parse().expect("TOML");
            let entries: toml::Table = entries.parse().expect("TOML");
            table["gateways"].as_table_mut().expect("a section").extend(entries);
            Config::from_table(table).expect("a configuration")
        };
        let before = with("overrides = [{ id = 3, url = \"http://three\" }, { id = 5, url = \"http://five\" }]");
        let turned = with("overrides = [{ id = 5, url = \"http://five\" }, { id = 3, url = \"http://three\" }]");
        assert_eq!(diff(&before, &turned), []);
        let after = with("overrides = [{ id = 1 }, { id = 5, url = \"http://cinq\" }]");
        let said: Vec<_> = diff(&before, &after).iter().map(ToString::to_string).collect();
        assert_eq!(
            said,
            [
                "gateways.overrides(id 1).mode: (none) -> \"enabled\"",
                "gateways.overrides(id 3).mode: \"enabled\" -> (none)",
                "gateways.overrides(id 3).url: \"http://three\" -> (none)",
                "gateways.overrides(id 5).url: \"http://five\" -> \"http://cinq\"",
            ]
        );
    }

    #[test]
    fn a_secret_that_changes_in_its_file_is_said_to_and_is_not_told() {
        let secret = |byte: u8| crate::Secret::new([byte; 32]);
        let of = |own, gateways, more: Option<u8>| {
            let keys =
                [("fallback.jwt_secret_file", Some(own)), ("gateways.jwt_secret_file", Some(gateways)), ("x", more)];
            keys.into_iter().filter_map(|(key, byte)| Some((key.to_owned(), secret(byte?)))).collect::<Secrets>()
        };
        assert_eq!(secrets(&of(1, 2, None), &of(1, 2, Some(3))), []);
        let said: Vec<_> = secrets(&of(1, 2, None), &of(3, 4, None)).iter().map(ToString::to_string).collect();
        assert_eq!(
            said,
            [
                "fallback.jwt_secret_file (content): a secret -> another (takes a restart)",
                "gateways.jwt_secret_file (content): a secret -> another",
            ]
        );
    }

    #[test]
    fn modes_set_by_hand_are_said_to_end() {
        let modes = |global, single: &[(u16, Mode)]| Modes { global, single: single.iter().copied().collect() };
        let written = modes(Mode::Enabled, &[(3, Mode::DryRun)]);
        assert_eq!(set_back(&written, &written, &modes(Mode::Disabled, &[])), []);
        let running = modes(Mode::Disabled, &[(1, Mode::Disabled), (3, Mode::Enabled), (4, Mode::DryRun)]);
        let after = modes(Mode::Enabled, &[(3, Mode::DryRun), (4, Mode::DryRun)]);
        let said: Vec<_> = set_back(&written, &running, &after).iter().map(ToString::to_string).collect();
        assert_eq!(
            said,
            [
                "gateways.mode: \"disabled\" by debug_setExecutionMode -> \"enabled\"",
                "gateways.overrides(id 1).mode: \"disabled\" by debug_setExecutionMode -> \"enabled\"",
                "gateways.overrides(id 3).mode: \"enabled\" by debug_setExecutionMode -> \"dry_run\"",
            ]
        );
    }

    #[test]
    fn a_url_that_changes_in_its_key_is_said_to_change_and_the_key_is_not() {
        let with = |url: &str| example(|text| text.replace("ws://127.0.0.1:8546", url));
        let changes = diff(&with("wss://node/one-s3cret"), &with("wss://node/two-s3cret"));
        assert_eq!(
            changes.iter().map(ToString::to_string).collect::<Vec<_>>(),
            [
                "schedule.l1_urls: [\"wss://node/…\", \"http://127.0.0.1:8545\"] -> [\"wss://node/…\", \"http://127.0.0.1:8545\"] (takes a restart)"
            ]
        );
        assert!(!format!("{changes:?}").contains("s3cret"), "{changes:?}");
        let config = with("wss://node/one-s3cret");
        assert!(!format!("{config:?}").contains("s3cret"));
    }
}
