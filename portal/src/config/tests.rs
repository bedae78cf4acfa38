//! What is refused, what is warned of, and that errors name the field.

use super::*;
use std::path::Path;

const L1_URLS: &str = "l1_urls = [\"ws://127.0.0.1:8546\", \"http://127.0.0.1:8545\"]";

/// The example, with secrets that are there.
fn example(dir: &Path) -> String {
    for (byte, name) in ["op-node", "fallback", "validator", "gateways", "gateway-3"].iter().enumerate() {
        let secret = format!("{byte:02}").repeat(32);
        std::fs::write(dir.join(format!("{name}.hex")), secret).expect("written");
    }
    include_str!("../../portal.example.toml").replace("/etc/baton", &dir.display().to_string())
}

fn error(text: &str) -> String {
    match Config::from_toml(text).and_then(|config| config.check()) {
        Ok(_) => panic!("accepted: {text}"),
        Err(error) => error.to_string(),
    }
}

#[test]
fn the_example_is_complete_and_right() {
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
        (L1_URLS, "l1_urls = []", "l1_urls"),
        (L1_URLS, "l1_urls = [\"http://a\", \"ipc://node/s3cret\"]", "`l1_urls[1]`"),
        (L1_URLS, "l1_urls = \"http://a/s3cret\"", "[brackets]"),
        (L1_URLS, "l1_urls = [\"http://a/s3cret]", "configuration: line "),
        ("slot_length = 12", "slot_length = 0", "slot_length"),
        ("[schedule.clock]", "[schedule.clocks]", "clock"),
        ("registry = ", "fixed_gateway = 3\nregistry = ", "`schedule.fixed_gateway` and `schedule.registry`"),
        ("registry = \"0x00000000000000000000000000000000000000b1\"", "", "schedule.registry"),
        (
            "registry = \"0x00000000000000000000000000000000000000b1\"",
            "fixed_gateway = 3",
            "`schedule.fixed_gateway` and `schedule.l1_urls`",
        ),
        ("log_span = 2000", "log_span = 0", "log_span"),
        ("url = \"http://127.0.0.1:9651\"", "url = \"http://localhost:8551\"", "`engine.listen`"),
        ("url = \"http://127.0.0.1:9651\"", "url = \"http://[::1]:9551/\"", "`fallback.url`"),
        ("url = \"http://127.0.0.1:9651\"", "url = \"http://0.0.0.0:9552\"", "`validator.url`"),
        ("timeout_ms = 2000\nqueue = 256\n\n[gateways]", "timeout_ms = 0\n\n[gateways]", "validator.timeout_ms"),
        ("pause_ms = 12000", "pause_ms = 0", "gateways.breaker.pause_ms"),
        ("within_ms = 2000", "within_ms = 99", "gateways.soft_blocks.within_ms"),
        ("# feed = \"ws://127.0.0.1:9652\"", "feed = \"wss://127.0.0.1:9652\"", "gateways.overrides[0].feed"),
        ("mode = \"enabled\"", "mode = \"on\"", "mode"),
        ("otlp_url = \"http://127.0.0.1:4318\"", "otlp_url = \"grpc\"", "tracing.otlp_url"),
    ] {
        let error = error(&replaced(from, to));
        assert!(error.contains(named), "{error}");
        assert!(!error.contains("s3cret"), "{error}");
    }
    std::fs::remove_file(dir.path().join("gateways.hex")).expect("removed");
    assert!(error(&good).contains("gateways.jwt_secret_file"));
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
            let shared = Config::from_toml(&without_registry(&text)).expect("parses").check().expect("right");
            assert_eq!(shared.len(), 1, "{shared:?}");
            assert!(shared[0].gateways == field && shared[0].own.starts_with(own_field), "{shared:?}");
        }
    }
}

#[test]
fn a_fixed_gateway_has_a_url() {
    let dir = tempfile::tempdir().expect("temporary directory");
    let text = without_registry(&example(dir.path()));
    assert!(Config::from_toml(&text).expect("parses").check().is_ok());
    let said = error(&text.replace("fixed_gateway = 3", "fixed_gateway = 4"));
    assert!(said.contains("`schedule.fixed_gateway` is 4"), "{said}");
    let mut table: toml::Table = example(dir.path()).parse().expect("TOML");
    table.insert("schedule".to_owned(), toml::toml! { fixed_gateway = 3 }.into());
    assert!(error(&table.to_string()).contains("gateways.soft_blocks"));
}
