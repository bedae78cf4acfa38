//! What is refused, what is warned of, and that errors name the field.

use super::*;
use std::{fs::Permissions, os::unix::fs::PermissionsExt, path::Path};

const L1_URLS: &str = "l1_urls = [\"ws://127.0.0.1:8546\", \"http://127.0.0.1:8545\"]";

/// The example, with secrets that are there.
fn example(dir: &Path) -> String {
    for (byte, name) in (1..).zip(["op-node", "fallback", "validator", "gateways", "gateway-3"]) {
        let secret = format!("{byte:02}").repeat(32);
        std::fs::write(dir.join(format!("{name}.hex")), secret).expect("written");
        permit(dir, name, 0o600);
    }
    include_str!("../../portal.example.toml").replace("/etc/baton", &dir.display().to_string())
}

fn permit(dir: &Path, name: &str, mode: u32) {
    let path = dir.join(format!("{name}.hex"));
    std::fs::set_permissions(path, Permissions::from_mode(mode)).expect("set");
}

fn error(text: &str) -> String {
    match Config::from_toml(text).and_then(|config| config.check()) {
        Ok(_) => panic!("accepted: {text}"),
        Err(error) => error.to_string(),
    }
}

/// The example's lines under a section's head, and the heads of the sections in it.
fn section(name: &str) -> String {
    let example = include_str!("../../portal.example.toml");
    let mut inside = name.is_empty();
    let mut lines = Vec::new();
    for line in example.lines() {
        if let Some(head) = line.strip_prefix('[') {
            let head = head.trim_matches(['[', ']']);
            inside = head == name;
            lines.extend(head.strip_prefix(name).map(|rest| format!("{} = []", rest.trim_start_matches('.'))));
        } else if inside {
            lines.push(line.to_owned());
        }
    }
    lines.join("\n")
}

#[test]
fn the_example_has_every_key() {
    let example: toml::Table = include_str!("../../portal.example.toml").parse().expect("TOML");
    for name in [
        "",
        "engine",
        "admin",
        "fallback",
        "validator",
        "gateways",
        "gateways.breaker",
        "gateways.policy",
        "gateways.soft_blocks",
        "gateways.overrides",
        "schedule",
        "schedule.clock",
        "tracing",
    ] {
        let mut file = example.clone();
        let inside =
            name.split('.').filter(|name| !name.is_empty()).fold(&mut file, |table, name| match &mut table[name] {
                toml::Value::Array(entries) => entries[0].as_table_mut().expect("a table"),
                other => other.as_table_mut().expect("a table"),
            });
        inside.insert("bogus".to_owned(), 1.into());
        // An error that names all keys that there are.
        let error = Config::from_table(file).expect_err("there is no such key").to_string();
        let (_, keys) = error.split_once("`bogus`, expected ").unwrap_or_else(|| panic!("{error}"));
        let keys = keys.lines().next().unwrap_or_default();
        let keys: Vec<_> = keys.split('`').skip(1).step_by(2).collect();
        assert!(!keys.is_empty(), "{name}: {error}");
        let section = section(name);
        for key in keys {
            assert!(section.contains(&format!("{key} = ")), "{name}.{key}");
        }
    }
}

#[test]
fn the_example_is_right() {
    let dir = tempfile::tempdir().expect("temporary directory");
    let config = Config::from_toml(&example(dir.path())).expect("parses");
    assert_eq!(config.check().expect("checks"), []);
    assert_eq!(config.gateways.overrides.len(), 1);
}

#[test]
fn errors_name_the_field() {
    let dir = tempfile::tempdir().expect("temporary directory");
    let good = example(dir.path());
    let replaced = |from: &str, to: &str| {
        assert!(good.contains(from), "{from}");
        good.replace(from, to)
    };
    for (from, to, named) in [
        ("payload_budget_ms = 500", "payload_budget_ms = 0", "gateways.payload_budget_ms"),
        ("payload_budget_ms = 500", "payload_budget = 500", "payload_budget"),
        ("url = \"http://127.0.0.1:9551\"", "url = \"ws://127.0.0.1:9551\"", "fallback.url"),
        ("url = \"http://127.0.0.1:9551\"", "url = \"https://me:s3cret@node/s3cret\"", "https://node/"),
        ("url = \"http://127.0.0.1:9651\"", "url = \"nowhere\"", "gateways.overrides[0].url"),
        ("id = 3", "id = 0", "gateways.overrides"),
        (L1_URLS, "l1_urls = []", "`schedule.l1_urls`"),
        (L1_URLS, "l1_urls = [\"http://a\", \"ipc://node/s3cret\"]", "`schedule.l1_urls[1]`"),
        (L1_URLS, "l1_urls = \"http://a/s3cret\"", "[brackets]"),
        (L1_URLS, "l1_urls = [\"http://a/s3cret]", "configuration: line "),
        ("slot_length = 12", "slot_length = 0", "`schedule.clock`: `slot_length`"),
        ("[schedule.clock]", "[schedule.clocks]", "clock"),
        ("00000000b1\"", "00000000b\"", "40 hexadecimal digits\nin `schedule.registry`"),
        ("00000000b2\"", "00000000b\"", "40 hexadecimal digits\nin `gateways.soft_blocks.inbox`"),
        ("registry = ", "fixed_gateway = 3\nregistry = ", "`schedule.fixed_gateway` and `schedule.registry`"),
        ("registry = \"0x00000000000000000000000000000000000000b1\"", "", "schedule.registry"),
        (
            "registry = \"0x00000000000000000000000000000000000000b1\"",
            "fixed_gateway = 3",
            "`schedule.fixed_gateway` and `schedule.l1_urls`",
        ),
        ("log_span = 2000", "log_span = 0", "`schedule.log_span`"),
        ("# poll_interval_ms = 2000", "poll_interval_ms = 0", "`schedule.poll_interval_ms`"),
        ("settlement_delay = 2", "settlement_delay = 9999999999", "schedule.clock.settlement_delay"),
        ("# poll_interval_ms = 2000", "poll_interval_ms = 96001", "schedule.poll_interval_ms"),
        ("url = \"http://127.0.0.1:9651\"", "url = \"http://localhost:8551\"", "`engine.listen`"),
        ("url = \"http://127.0.0.1:9651\"", "url = \"http://[::1]:9551/\"", "`fallback.url`"),
        ("url = \"http://127.0.0.1:9651\"", "url = \"http://0.0.0.0:9552\"", "`validator.url`"),
        ("# feed = \"ws://127.0.0.1:9652\"", "feed = \"ws://localhost:7300\"", "`admin.listen`"),
        ("url = \"http://127.0.0.1:9651\"", "url = \"http://127.0.0.1:0\"", "gateways.overrides[0].url"),
        ("timeout_ms = 2000\nqueue = 256\n\n[gateways]", "timeout_ms = 0\n\n[gateways]", "validator.timeout_ms"),
        ("pause_ms = 12000", "pause_ms = 0", "gateways.breaker.pause_ms"),
        ("# include_after = 6", "include_after = 0", "`gateways.policy.include_after` is 0"),
        ("within_ms = 2000", "within_ms = 99", "gateways.soft_blocks.within_ms"),
        ("# feed = \"ws://127.0.0.1:9652\"", "feed = \"wss://127.0.0.1:9652\"", "gateways.overrides[0].feed"),
        ("mode = \"enabled\"", "mode = \"on\"", "mode"),
        ("listen = \"127.0.0.1:8551\"", "listen = \"localhost:8551\"", "such as \"127.0.0.1:8551\""),
        ("listen = \"127.0.0.1:7300\"", "listen = \"127.0.0.1\"", "`admin.listen`"),
        ("debug_listen = \"127.0.0.1:5555\"", "debug_listen = \":5555\"", "`admin.debug_listen`"),
        ("otlp_url = \"http://127.0.0.1:4318\"", "otlp_url = \"grpc\"", "tracing.otlp_url"),
    ] {
        let error = error(&replaced(from, to));
        assert!(error.contains(named), "{error}");
        assert!(!error.contains("s3cret"), "{error}");
    }
    std::fs::remove_file(dir.path().join("gateways.hex")).expect("removed");
    assert!(error(&good).contains("gateways.jwt_secret_file"));
}

#[test]
fn execution_clients_are_at_neither_the_portals_ports_nor_the_same_place() {
    let dir = tempfile::tempdir().expect("temporary directory");
    let good = example(dir.path());
    let with = |engine: &str, fallback: &str, validator: &str| {
        let text = good.replace("\"127.0.0.1:8551\"", &format!("\"{engine}\""));
        text.replace("http://127.0.0.1:9551", fallback).replace("http://127.0.0.1:9552", validator)
    };
    let elsewhere = "http://10.0.0.1:8551";
    for engine in ["127.0.0.1:8551", "0.0.0.0:8551", "[::]:8551"] {
        for here in ["127.0.0.1", "localhost", "0.0.0.0"] {
            for (port, key) in [(8551, "`engine.listen`"), (7300, "`admin.listen`"), (5555, "`admin.debug_listen`")] {
                let here = format!("http://{here}:{port}");
                let said = error(&with(engine, &here, elsewhere));
                assert!(said.contains("`fallback.url`") && said.contains(key), "{said}");
                let said = error(&with(engine, elsewhere, &here));
                assert!(said.contains("`validator.url`") && said.contains(key), "{said}");
            }
        }
        // The same port elsewhere is another.
        let right = with(engine, elsewhere, "http://op-geth:8551");
        assert!(Config::from_toml(&right).expect("parses").check().is_ok());
    }
    // A second opinion that is the first.
    for validator in [elsewhere, "http://[::ffff:10.0.0.1]:8551/"] {
        let said = error(&with("127.0.0.1:8551", elsewhere, validator));
        assert!(said.contains("`validator.url`") && said.contains("`fallback.url`"), "{said}");
    }
    for unusable in ["http://10.0.0.1:0", "http://10.0.0.1:99999", "http://10.0.0.1:"] {
        let said = error(&with("127.0.0.1:8551", unusable, elsewhere));
        assert!(said.contains("`fallback.url`") && said.contains("1 to 65535"), "{said}");
    }
}

#[test]
fn each_listener_has_an_address_of_its_own() {
    let dir = tempfile::tempdir().expect("temporary directory");
    let good = example(dir.path());
    for (from, to, field, other) in [
        ("127.0.0.1:7300", "127.0.0.1:8551", "`admin.listen`", "`engine.listen`"),
        ("127.0.0.1:5555", "0.0.0.0:7300", "`admin.debug_listen`", "`admin.listen`"),
        ("127.0.0.1:5555", "[::]:8551", "`admin.debug_listen`", "`engine.listen`"),
    ] {
        let said = error(&good.replace(from, to));
        assert!(said.contains(field) && said.contains(other), "{said}");
    }
    let free = good.replace("127.0.0.1:7300", "127.0.0.1:0").replace("127.0.0.1:5555", "127.0.0.1:0");
    assert!(Config::from_toml(&free).expect("parses").check().is_ok());
}

#[test]
fn values_that_cannot_be_meant_are_refused() {
    let dir = tempfile::tempdir().expect("temporary directory");
    let good: toml::Table = example(dir.path()).parse().expect("TOML");
    let with = |key: &str, value: u64| {
        let mut file = good.clone();
        let (sections, key) = key.rsplit_once('.').expect("a section");
        let section = sections.split('.').fold(&mut file, |table, name| table[name].as_table_mut().expect("a table"));
        section.insert(key.to_owned(), i64::try_from(value).expect("a number of TOML").into());
        file.to_string()
    };
    for (key, most) in [
        ("engine.max_body_mb", 1024),
        ("fallback.timeout_ms", 600_000),
        ("validator.timeout_ms", 600_000),
        ("validator.queue", 65_536),
        ("gateways.payload_budget_ms", 30_000),
        ("gateways.timeout_ms", 600_000),
        ("gateways.queue", 65_536),
        ("gateways.read_timeout_ms", 30_000),
        ("gateways.breaker.pause_ms", 604_800_000),
        ("gateways.breaker.longest_pause_ms", 604_800_000),
        ("gateways.policy.gas_ratio", 100),
        ("gateways.policy.value_ratio", 1000),
        ("gateways.soft_blocks.within_ms", 30_000),
        ("schedule.clock.settlement_delay", 31),
        ("schedule.poll_interval_ms", 96_000),
    ] {
        let right = Config::from_toml(&with(key, most)).and_then(|config| config.check());
        assert!(right.is_ok(), "{key} {right:?}");
        let said = error(&with(key, most + 1));
        assert!(said.contains(&format!("`{key}`")) && said.contains(&most.to_string()), "{said}");
    }
    for key in ["gateways.queue", "validator.queue"] {
        let right = Config::from_toml(&with(key, 2)).and_then(|config| config.check());
        assert!(right.is_ok(), "{key} {right:?}");
        let said = error(&with(key, 1));
        assert!(said.contains(&format!("`{key}` is 1; set it to at least 2")), "{said}");
    }
    let said = error(&with("gateways.breaker.longest_pause_ms", 11_999));
    assert!(said.contains("longest_pause_ms` (11999)") && said.contains("pause_ms` (12000)"), "{said}");
}

#[test]
fn no_age_and_an_age_of_0_are_any() {
    let dir = tempfile::tempdir().expect("temporary directory");
    let good = example(dir.path());
    for (line, age) in [("", None), ("max_head_age_s = 0", None), ("max_head_age_s = 7", Some(7))] {
        let config = Config::from_toml(&good.replace("max_head_age_s = 60", line)).expect("parses");
        assert_eq!(config.checked().expect("right").max_head_age.map(|age| age.as_secs()), age, "{line}");
    }
}

#[test]
fn secrets_that_others_can_read_or_write_are_warned_of() {
    let dir = tempfile::tempdir().expect("temporary directory");
    let good = example(dir.path());
    for (name, key) in [
        ("op-node", "engine.jwt_secret_file"),
        ("fallback", "fallback.jwt_secret_file"),
        ("validator", "validator.jwt_secret_file"),
        ("gateways", "gateways.jwt_secret_file"),
        ("gateway-3", "gateways.overrides(id 3).jwt_secret_file"),
    ] {
        let warned = |mode| {
            permit(dir.path(), name, mode);
            Config::from_toml(&good).expect("parses").check().expect("right")
        };
        for mode in [0o644, 0o660, 0o620, 0o604, 0o602, 0o777] {
            let path = dir.path().join(format!("{name}.hex"));
            assert_eq!(warned(mode), [Warning::OpenFile { key: key.to_owned(), path, mode }]);
        }
        let said = warned(0o644)[0].to_string();
        assert!(said.contains(key) && said.contains(&format!("{name}.hex")) && said.contains("644"), "{said}");
        for mode in [0o400, 0o700, 0o711, 0o600] {
            assert_eq!(warned(mode), []);
        }
    }
    std::fs::write(dir.path().join("validator.hex"), "00".repeat(32)).expect("written");
    let said = error(&good);
    assert!(said.contains("`validator.jwt_secret_file`") && said.contains("zeroes"), "{said}");
}

/// The example without a registry: one gateway of the operator's own, which has no turns to lose.
fn without_registry(example: &str) -> String {
    let mut table: toml::Table = example.parse().expect("TOML");
    table.insert("schedule".to_owned(), toml::toml! { fixed_gateway = 3 }.into());
    table["gateways"].as_table_mut().expect("a section").remove("soft_blocks");
    table.to_string()
}

#[test]
fn gateways_on_a_registry_have_no_secret_of_the_operators() {
    let dir = tempfile::tempdir().expect("temporary directory");
    let good = example(dir.path());
    for (theirs, field) in
        [("gateways", "gateways.jwt_secret_file"), ("gateway-3", "gateways.overrides(id 3).jwt_secret_file")]
    {
        for (own, own_field) in
            [("op-node", "engine.jwt"), ("fallback", "fallback.jwt"), ("validator", "validator.jwt")]
        {
            let text = good.replace(&format!("/{theirs}.hex"), &format!("/{own}.hex"));
            let said = error(&text);
            assert!(said.contains(field) && said.contains(own_field), "{said}");
            // The one builder of a rollup without a registry may be the operator's, too.
            let warnings = Config::from_toml(&without_registry(&text)).expect("parses").check().expect("right");
            let [Warning::SharedSecret(shared)] = &warnings[..] else { panic!("{warnings:?}") };
            assert!(shared.gateways == field && shared.own.starts_with(own_field), "{shared:?}");
        }
    }
}

#[test]
fn a_fixed_gateway_has_a_url() {
    let dir = tempfile::tempdir().expect("temporary directory");
    let text = without_registry(&example(dir.path()));
    assert!(Config::from_toml(&text).expect("parses").check().is_ok());
    for (key, value) in [("deployment_block", 1), ("log_span", 2000), ("poll_interval_ms", 100)] {
        let said = error(&text.replace("fixed_gateway = 3", &format!("fixed_gateway = 3\n{key} = {value}")));
        assert!(said.contains(&format!("`schedule.fixed_gateway` and `schedule.{key}`")), "{said}");
    }
    let said = error(&text.replace("fixed_gateway = 3", "fixed_gateway = 4"));
    assert!(said.contains("`schedule.fixed_gateway` is 4"), "{said}");
    let mut table: toml::Table = example(dir.path()).parse().expect("TOML");
    table.insert("schedule".to_owned(), toml::toml! { fixed_gateway = 3 }.into());
    assert!(error(&table.to_string()).contains("gateways.soft_blocks"));
}
