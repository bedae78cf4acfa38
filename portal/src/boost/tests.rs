//! Which command lines and environments are taken, and what is said of them.

use super::*;
use crate::cli::{Cli, Command};
use clap::{CommandFactory, Parser};
use std::{fs::Permissions, os::unix::fs::PermissionsExt};

fn parsed(args: &[&str]) -> Result<Cli, clap::Error> {
    Cli::try_parse_from(["portal", "boost"].iter().chain(args))
}

fn boost(args: &[&str]) -> BoostArgs {
    match parsed(args).expect("flags").command {
        Command::Boost(args) => *args,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_usual_rollup_boost_command_line_is_taken() {
    let args = boost(&[
        "--l2-url=http://op-geth:8551",
        "--l2-jwt-path=/secrets/jwt",
        "--l2-timeout=2000",
        "--builder-url=op-rbuilder:8551",
        "--builder-jwt-path=/secrets/builder",
        "--builder-timeout=700",
        "--rpc-host=0.0.0.0",
        "--rpc-port=8551",
        "--debug-host=0.0.0.0",
        "--debug-server-port=5556",
        "--metrics",
        "--metrics-host=0.0.0.0",
        "--metrics-port=9091",
        "--execution-mode=dry-run",
        "--block-selection-policy=gas-used",
        "--tracing",
        "--log-level=debug",
        "--log-format=json",
        "--health-check-interval=5",
        "--max-unsafe-interval=20",
        "--ignore-unhealthy-builders",
    ]);
    let config = args.load().expect("a configuration");
    assert_eq!(config.engine.listen.to_string(), "0.0.0.0:8551");
    assert_eq!(config.admin.listen.to_string(), "0.0.0.0:9091");
    assert_eq!(config.admin.debug_listen.map(|at| at.to_string()), Some("0.0.0.0:5556".to_owned()));
    assert_eq!((config.fallback.url.as_str(), config.fallback.timeout_ms), ("http://op-geth:8551", 2000));
    assert_eq!(config.fallback.max_head_age_s, Some(20));
    assert_eq!(config.gateways.payload_budget_ms, 700);
    assert_eq!(config.gateways.mode, crate::mode::Mode::DryRun);
    assert_eq!(config.gateways.policy.gas_ratio, Some(10));
    assert_eq!(config.gateways.overrides[0].url.as_deref(), Some("http://op-rbuilder:8551"));
    assert_eq!(config.schedule.fixed_gateway, Some(1));
    assert_eq!(config.tracing.otlp_url.as_deref(), Some("http://localhost:4318"));
    assert_eq!(args.logging(), (LevelFilter::DEBUG, LogFormat::Json));
    // op-node keeps the secret that it shared with the execution client.
    assert_eq!(config.engine.jwt_secret_file, config.fallback.jwt_secret_file);
}

#[test]
fn the_portals_own_flags_come_first() {
    let args =
        boost(&["--l2-jwt-path=/a", "--builder-jwt-path=/b", "--engine-jwt-secret-file=/c", "--payload-budget-ms=9"]);
    let config = args.load().expect("a configuration");
    assert_eq!(config.engine.jwt_secret_file, PathBuf::from("/c"));
    assert_eq!(config.gateways.payload_budget_ms, 9);
}

#[test]
fn secrets_on_the_command_line_are_refused() {
    let error = boost(&["--l2-jwt-token=00"]).load().expect_err("refused").to_string();
    assert!(error.contains("--l2-jwt-path") && error.contains("L2_JWT_TOKEN") && !error.contains("00"), "{error}");
}

#[test]
fn secrets_in_the_environment_come_before_files() {
    let variables = Variables::of([("L2_JWT_TOKEN", "01"), ("BUILDER_JWT_TOKEN", "02")]);
    let config = boost(&["--l2-jwt-path=/a"]).load_with(&variables).expect("a configuration");
    assert_eq!(config.engine.jwt_secret_file, PathBuf::from("env:L2_JWT_TOKEN"));
    assert_eq!(config.fallback.jwt_secret_file, PathBuf::from("env:L2_JWT_TOKEN"));
    assert_eq!(config.gateways.jwt_secret_file, PathBuf::from("env:BUILDER_JWT_TOKEN"));
    // An empty one is none.
    let variables = Variables::of([("L2_JWT_TOKEN", ""), ("BUILDER_JWT_TOKEN", "02")]);
    let config = boost(&["--l2-jwt-path=/a"]).load_with(&variables).expect("a configuration");
    assert_eq!(config.fallback.jwt_secret_file, PathBuf::from("/a"));
}

#[test]
fn what_has_no_effect_is_named_and_what_is_missed_is_refused() {
    let none = Variables::default();
    assert_eq!(boost(&[]).unused_with(&none), []);
    let given = boost(&["--health-check-interval=5", "--ignore-unhealthy-builders"]);
    let variables = Variables::of([("LOG_FILE", "/x"), ("FLASHBLOCKS_PORT", "1112"), ("flashblocks_ws", "false")]);
    let named: Vec<_> = given.unused_with(&variables).into_iter().map(|unused| unused.setting).collect();
    assert_eq!(named, ["--health-check-interval", "--ignore-unhealthy-builders", "FLASHBLOCKS_PORT", "LOG_FILE"]);
    let paths = ["--l2-jwt-path=/a", "--builder-jwt-path=/b"];
    assert!(boost(&paths).load_with(&variables).is_ok());
    for name in ["EXTERNAL_STATE_ROOT", "flashblocks_ws", "flashblocks_p2p"] {
        let error = boost(&paths).load_with(&Variables::of([(name, "true")])).expect_err("refused").to_string();
        assert!(error.contains(name), "{error}");
        assert!(boost(&paths).load_with(&Variables::of([(name, "0")])).is_ok());
    }
}

#[test]
fn flags_that_ask_for_what_is_not_here_are_refused_with_the_reason() {
    for (flag, reason) in [
        ("--log-file=/tmp/x", "standard error"),
        ("--external-state-root", "stay with rollup-boost"),
        ("--flashblocks", "stay with rollup-boost"),
        ("--flashblocks-builder-url=ws://x:1", "stay with rollup-boost"),
        ("--flashblocks-authorizer-sk=5ec3e7", "stay with rollup-boost"),
        ("--flashblock-builder-ws-ping-interval-ms=5", "stay with rollup-boost"),
    ] {
        let error = boost(&[flag]).load_with(&Variables::default()).expect_err("refused").to_string();
        let name = flag.split('=').next().expect("a name");
        assert!(error.starts_with(&format!("{name} ")) && error.contains(reason), "{error}");
        assert!(!error.contains("5ec3e7"), "{error}");
    }
}

#[test]
fn the_version_is_said() {
    let said = parsed(&["--version"]).expect_err("nothing else");
    assert_eq!(said.kind(), clap::error::ErrorKind::DisplayVersion);
    assert_eq!(said.to_string().trim(), concat!("portal ", env!("CARGO_PKG_VERSION")));
}

#[test]
fn what_is_missing_is_named_by_flags_and_variables() {
    let error = boost(&[]).load_with(&Variables::default()).expect_err("no secrets").to_string();
    assert_eq!(
        error,
        "missing: --l2-jwt-path, L2_JWT_PATH or L2_JWT_TOKEN; --builder-jwt-path, BUILDER_JWT_PATH or BUILDER_JWT_TOKEN"
    );
}

#[test]
fn what_is_wrong_is_explained_by_the_flag_behind_it() {
    for (given, key, flags) in [
        (&[][..], "fallback.url", "--l2-url, L2_URL"),
        (&["--fallback-url=http://x"], "fallback.url", "--fallback-url, BATON_PORTAL_FALLBACK_URL"),
        (&[REGISTRY], "schedule.registry", "--registry, BATON_PORTAL_REGISTRY"),
        (&[], "gateways.overrides[0].url", "--builder-url, BUILDER_URL"),
        (&[], "admin.listen", "--debug-host, DEBUG_HOST, --debug-server-port, DEBUG_SERVER_PORT"),
        (&["--metrics"], "admin.listen", "--metrics-host, METRICS_HOST, --metrics-port, METRICS_PORT"),
    ] {
        let said = boost(given).explain(&format!("in `{key}`"));
        assert_eq!(said, format!("in `{key}` ({flags})"));
    }
    for (given, key) in [(&[][..], "tracing"), (&[REGISTRY], "gateways.overrides")] {
        let said = format!("in `{key}`");
        assert_eq!(boost(given).explain(&said), said);
    }
}

#[test]
fn settings_that_contradict_each_other_are_named() {
    let file = tempfile::NamedTempFile::new().expect("a file");
    std::fs::write(file.path(), "[gateways]\nmode = \"dry_run\"\noverrides = [{ id = 1, url = \"http://x\" }]")
        .expect("written");
    let file = format!("--config={}", file.path().display());
    let (timeout, budget) = ("--builder-timeout=700", "--payload-budget-ms=100");
    for (given, named) in [
        (&["--l2-url=a", "--fallback-url=http://b"][..], &[("--l2-url", "--fallback-url")][..]),
        (&[timeout, budget], &[("--builder-timeout", "`gateways.payload_budget_ms` is set by --payload-budget-ms")]),
        (&["--builder-timeout=100", budget], &[]),
        (&["--l2-jwt-path=/a", "--engine-jwt-secret-file=/b"], &[]),
        (&["--otlp-endpoint=http://x"], &[("--otlp-endpoint", "--tracing")]),
        (&["--otlp-endpoint=http://x", "--tracing"], &[]),
        (&["--metrics-port=1"], &[("--metrics-port", "--metrics")]),
        (&["--builder-url=http://x", REGISTRY], &[("--builder-url", "schedule")]),
        (
            &["--builder-url=http://y", "--execution-mode=enabled", &file],
            &[("--execution-mode", "`gateways.mode`"), ("--builder-url", "the file of --config")],
        ),
        // What isn't given says nothing that could be contradicted.
        (&["--fallback-url=http://b", budget, &file], &[]),
    ] {
        let unused = boost(given).unused_with(&Variables::default());
        assert_eq!(unused.len(), named.len(), "{given:?}: {unused:?}");
        for (unused, (setting, reason)) in unused.iter().zip(named) {
            assert!(unused.setting == *setting && unused.reason.contains(reason), "{unused:?}");
        }
    }
    let variables = Variables::of([("BUILDER_JWT_TOKEN", "02"), ("RUST_LOG", "warn")]);
    let unused = boost(&["--builder-jwt-path=/a", "--log-level=info"]).unused_with(&variables);
    let reasons: Vec<_> = unused.iter().map(|unused| unused.reason.as_str()).collect();
    assert_eq!(reasons, ["the variable BUILDER_JWT_TOKEN comes first", "the variable RUST_LOG comes first"]);
}

#[test]
fn the_metrics_port_is_bound_only_where_metrics_are_asked_for() {
    let paths = ["--l2-jwt-path=/a", "--builder-jwt-path=/b"];
    let ports = |more: &str| {
        let config = boost(&[&paths[..], &[more]].concat()).load_with(&Variables::default()).expect("a configuration");
        (config.admin.listen.port(), config.admin.debug_listen.map(|address| address.port()))
    };
    assert_eq!(ports("--metrics=false"), (5555, None));
    assert_eq!(ports("--metrics"), (9090, Some(5555)));
    assert_eq!(ports("--admin-listen=127.0.0.1:7300"), (7300, Some(5555)));
}

#[test]
fn a_level_that_is_none_is_refused() {
    assert!(parsed(&["--log-level=verbose"]).is_err());
    assert_eq!(boost(&["--log-level=WARN"]).log_level, LevelFilter::WARN);
    // As of a variable that is there and empty.
    assert_eq!(boost(&["--log-level="]).log_level, LevelFilter::INFO);
}

const REGISTRY: &str = "--registry=0x00000000000000000000000000000000000000b1";
const CLOCK: [&str; 5] = [
    "--l1-genesis-time=1000",
    "--slot-length=12",
    "--l2-genesis-time=2000",
    "--l2-block-time=2",
    "--settlement-delay=2",
];

#[test]
fn gateways_come_from_a_registry_that_flags_name() {
    let secrets = tempfile::tempdir().expect("temporary directory");
    let flag = |name: &str, bytes: &str| {
        let path = secrets.path().join(name);
        std::fs::write(&path, bytes.repeat(32)).expect("written");
        std::fs::set_permissions(&path, Permissions::from_mode(0o600)).expect("set");
        format!("--{name}-jwt-path={}", path.display())
    };
    let (l2, builder) = (flag("l2", "01"), flag("builder", "02"));
    let config = |more: &[&str]| {
        let given = ["--l2-url=http://op-geth:8551", "--builder-url=http://builder", &l2, &builder];
        boost(&[&given[..], more].concat()).load_with(&Variables::default()).expect("a configuration")
    };
    let more = [&[REGISTRY, "--l1-urls=http://l1", "--deployment-block=77"][..], &CLOCK].concat();
    let whole = config(&more);
    assert_eq!(whole.check().expect("right"), []);
    // The portal's own port is no fallback.
    let said = config(&[&more[..], &["--fallback-url=http://localhost:8081"]].concat()).check().expect_err("itself");
    assert!(said.to_string().contains("`fallback.url`") && said.to_string().contains("`engine.listen`"), "{said}");
    assert_eq!((whole.schedule.fixed_gateway, whole.gateways.overrides.len()), (None, 0));
    let clock = whole.schedule.clock.expect("a clock");
    assert_eq!((clock.l1_genesis_time, clock.slot_length, clock.l2_genesis_time), (1000, 12, 2000));
    assert_eq!((clock.l2_block_time, clock.settlement_delay, whole.schedule.deployment_block), (2, 2, 77));
    // One without the other says what is missing, instead of going on with the builder.
    let clock = CLOCK.map(|flag| flag.split_once('=').expect("a value").0).join("; ");
    for (given, missing) in [
        (&["--l1-urls=http://l1"][..], format!("--registry; {clock}")),
        (&["--deployment-block=7", "--l1-urls=http://l1", REGISTRY], clock.clone()),
        (&[REGISTRY], format!("--l1-urls; {clock}")),
        (&[CLOCK[1], REGISTRY], format!("--l1-urls; {}", clock.replace("--slot-length; ", ""))),
    ] {
        let given = [&[l2.as_str(), builder.as_str()], given].concat();
        let error = boost(&given).load_with(&Variables::default()).expect_err("incomplete").to_string();
        assert_eq!(error, format!("missing: {missing}"));
    }
}

/// The flags in the first column of the manual's table, a star for all that begin so.
fn of_the_manual() -> Vec<&'static str> {
    let manual = include_str!("../../../docs/portal.md");
    let (_, table) = manual.split_once("| rollup-boost | here | note |").expect("a table");
    let rows = table.lines().skip(1).take_while(|line| line.starts_with('|'));
    let first = rows.filter_map(|row| row.split('|').nth(1));
    let names = first.flat_map(|cell| cell.split('`').skip(1).step_by(2)).filter_map(|name| name.split(' ').next());
    names.filter(|name| name.starts_with("--")).collect()
}

#[test]
fn the_manual_has_every_flag_of_rollup_boosts() {
    let command = Cli::command();
    let flags = |name: &str| {
        let command = command.find_subcommand(name).expect("a subcommand");
        let flags = command.get_arguments().filter_map(|argument| Some(format!("--{}", argument.get_long()?)));
        flags.collect::<std::collections::BTreeSet<_>>()
    };
    let own = flags("run");
    let theirs: Vec<_> =
        flags("boost").into_iter().filter(|flag| !own.contains(flag) && flag != "--check-config").collect();
    let named = of_the_manual();
    let is = |named: &str, flag: &str| named.strip_suffix('*').map_or(named == flag, |begins| flag.starts_with(begins));
    for flag in &theirs {
        assert!(named.iter().any(|named| is(named, flag)), "{flag}");
    }
    // And none that there isn't, but for those that clap has by itself and log format, which `run` has as well.
    for named in named.iter().filter(|named| !["--version", "--log-format"].contains(named)) {
        assert!(theirs.iter().any(|flag| is(named, flag)), "{named}");
    }
}
