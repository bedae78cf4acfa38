//! What differs between two configurations, and which differences a running portal can take over.

use crate::config::Config;
use baton_schedule::NodeUrl;
use std::{collections::BTreeMap, fmt};
use toml::Value;

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
        Value::Array(items) if items.iter().all(Value::is_table) => {
            items.iter().enumerate().for_each(|(index, value)| flatten(&format!("{name}[{index}]"), value, keys));
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
                "gateways.overrides[0].mode: \"dry_run\" -> \"enabled\"",
                "gateways.payload_budget_ms: 500 -> 400",
                "gateways.policy.gas_ratio: (none) -> 10",
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
