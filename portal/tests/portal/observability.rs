//! What is measured, by a portal in a process of its own: one process has one set of metrics, which other tests' portals would count into.

use crate::{
    failures::ordered_at,
    node::{Fault, GENESIS, Node},
    program,
    stand::{GATEWAYS, OpNode, Options, write_config},
};
use baton_portal::{Secret, selection::OwnerOutcome};
use serde_json::{Value, json};
use std::{
    collections::{BTreeMap, BTreeSet},
    net::SocketAddr,
    time::{Duration, SystemTime, UNIX_EPOCH},
};
use tempfile::TempDir;
use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader, Lines},
    process::{Child, ChildStderr},
};

/// A portal whose blocks are all gateway 1's, with a second validator, and an age that the fallback's newest block may have.
pub(crate) struct Measured {
    pub(crate) op_node: OpNode,
    pub(crate) fallback: Node,
    pub(crate) gateway: Node,
    pub(crate) validator: Node,
    pub(crate) admin: SocketAddr,
    engine: SocketAddr,
    pub(crate) log: Lines<BufReader<ChildStderr>>,
    // Killed and deleted when this is dropped.
    _running: Child,
    _secrets: TempDir,
}

/// A line of the metrics: a name, labels, a value.
struct Sample {
    name: String,
    labels: BTreeMap<String, String>,
    value: f64,
}

impl Sample {
    fn read(line: &str) -> Option<Self> {
        let (series, value) = line.rsplit_once(' ').filter(|_| !line.starts_with('#'))?;
        let (name, labels) = series.split_once('{').unwrap_or((series, "}"));
        let labels = labels.strip_suffix('}')?.split("\",").filter(|label| !label.is_empty());
        let labels = labels.map(|label| {
            let (name, value) = label.split_once("=\"").expect("a label");
            (name.to_owned(), value.trim_end_matches('"').to_owned())
        });
        Some(Self { name: name.to_owned(), labels: labels.collect(), value: value.parse().ok()? })
    }

    fn has(&self, labels: &[(&str, &str)]) -> bool {
        labels.iter().all(|(name, value)| self.labels.get(*name).is_some_and(|found| found == value))
    }
}

impl Measured {
    /// Its breaker's pause is `pause_ms` at first.
    pub(crate) async fn start(pause_ms: u32) -> Self {
        Self::start_with(pause_ms, Options::DEFAULT.budget_ms).await
    }

    async fn start_with(pause_ms: u32, budget_ms: u64) -> Self {
        let fallback = Node::start("fallback", 3, Secret::new([2; 32])).await;
        let gateway = Node::start("gateway 1", 4, Secret::new(GATEWAYS)).await;
        let validator = Node::start("validator", 4, Secret::new(GATEWAYS)).await;
        let secrets = tempfile::tempdir().expect("temporary directory");
        let options = Options { budget_ms, gateways: "read_timeout_ms = 1000", ..Options::DEFAULT };
        let text = write_config(&secrets, &fallback.url(), &options);
        let (text, _) = text.split_once("[schedule]").expect("a schedule");
        let text = text.replace("[fallback]", "[fallback]\nmax_head_age_s = 10");
        let theirs = secrets.path().join("gateways");
        let more = format!(
            "[gateways.breaker]\npause_ms = {pause_ms}\n[[gateways.overrides]]\nid = 1\nurl = \"{}\"\n\
             [schedule]\nfixed_gateway = 1\n[validator]\nurl = \"{}\"\njwt_secret_file = {theirs:?}\n",
            gateway.url(),
            validator.url()
        );
        let file = secrets.path().join("portal.toml");
        std::fs::write(&file, format!("{text}\n{more}")).expect("written");
        fallback.set_latest(now());
        let mut command = program::portal();
        let mut running =
            command.args(["run", "--log-format", "json", "--config"]).arg(&file).spawn().expect("it runs");
        let mut log = BufReader::new(running.stderr.take().expect("piped")).lines();
        let [engine, admin] = addresses(&mut log).await;
        let op_node = OpNode::at(engine, admin);
        Self { op_node, fallback, gateway, validator, admin, engine, log, _running: running, _secrets: secrets }
    }

    async fn samples(&self) -> Vec<Sample> {
        let (status, text) = self.op_node.admin("/metrics").await;
        assert_eq!(status, 200);
        text.lines().filter_map(Sample::read).collect()
    }

    /// The only series with a name and labels.
    pub(crate) async fn value(&self, name: &str, labels: &[(&str, &str)]) -> f64 {
        let found: Vec<_> = self.samples().await.into_iter().filter(|it| it.name == name && it.has(labels)).collect();
        assert_eq!(found.len(), 1, "{name} {labels:?}");
        found[0].value
    }

    async fn becomes(&self, name: &str, labels: &[(&str, &str)], value: f64) {
        let reached = async {
            while self.value(name, labels).await.total_cmp(&value).is_ne() {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        let reached = tokio::time::timeout(Duration::from_secs(10), reached).await;
        assert!(reached.is_ok(), "{name} {labels:?} never became {value}");
    }

    /// How many of a peer's calls went a way.
    async fn calls(&self, peer: &str, method: &str, version: &str, outcome: &str) -> f64 {
        let labels = [("peer", peer), ("method", method), ("version", version), ("outcome", outcome)];
        self.value("baton_portal_gateway_request_seconds_count", &labels).await
    }
}

fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970").as_secs()
}

/// Where it says that it listens.
async fn addresses(log: &mut Lines<BufReader<ChildStderr>>) -> [SocketAddr; 2] {
    let found = async {
        loop {
            let line = log.next_line().await.expect("readable").expect("it says so");
            let line: Value = serde_json::from_str(&line).expect("JSON");
            let address = |field: &str| line["fields"][field].as_str().and_then(|text| text.parse().ok());
            if let (Some(engine), Some(admin)) = (address("engine"), address("admin")) {
                return [engine, admin];
            }
        }
    };
    tokio::time::timeout(Duration::from_secs(20), found).await.expect("in time")
}

/// A series that an expression asks for: a name, and labels with the values that they may have.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Asked {
    name: String,
    labels: Vec<(String, Vec<String>)>,
}

/// The portal's series that an expression asks for. Which instance is Prometheus' to know.
fn asked(expression: &str) -> Vec<Asked> {
    let starts = expression.match_indices("baton_portal_").map(|(at, _)| &expression[at..]);
    let read = |text: &str| {
        let end = text.find(|letter: char| !letter.is_ascii_alphanumeric() && letter != '_').unwrap_or(text.len());
        let labels =
            text[end..].strip_prefix('{').and_then(|rest| rest.split_once('}')).map_or("", |(labels, _)| labels);
        let labels = labels.split(',').filter(|label| !label.is_empty()).map(|label| {
            let (name, values) = label.split_once('=').expect("a matcher");
            let values = values.trim_start_matches('~').trim_matches('"').split('|').map(str::to_owned);
            (name.trim().to_owned(), values.collect())
        });
        Asked { name: text[..end].to_owned(), labels: labels.filter(|(name, _)| name != "instance").collect() }
    };
    starts.map(read).collect()
}

/// The labels that an expression groups by, and those in a legend or a sentence, but for what isn't the portal's: the instance and the bucket.
fn labels_used(expression: &str, text: &str) -> BTreeSet<String> {
    let grouped =
        expression.split("by (").skip(1).filter_map(|rest| rest.split_once(')')).flat_map(|(by, _)| by.split(','));
    let shown = text.split("{{").skip(1).filter_map(|rest| rest.split_once("}}")).map(|(label, _)| label);
    let all = grouped.chain(shown).map(|label| label.trim().trim_start_matches("$labels.").to_owned());
    all.filter(|label| !["instance", "le"].contains(&label.as_str())).collect()
}

/// Every expression of the alerts and the dashboard, with the text that is shown with it.
fn expressions() -> Vec<(String, String)> {
    let dashboard: Value = serde_json::from_str(include_str!("../../observability/dashboard.json")).expect("JSON");
    let panels = dashboard["panels"].as_array().expect("panels");
    let targets = panels.iter().flat_map(|panel| panel["targets"].as_array().expect("targets"));
    let text = |value: &Value| value.as_str().expect("text").to_owned();
    let mut all: Vec<_> = targets.map(|target| (text(&target["expr"]), text(&target["legendFormat"]))).collect();
    assert!(all.len() >= 15, "{all:?}");
    let alerts = include_str!("../../observability/alerts.yml");
    let rules: Vec<_> = alerts.split("- alert: ").skip(1).collect();
    assert!(rules.len() >= 10, "{rules:?}");
    all.extend(rules.iter().map(|rule| {
        let (_, rule) = rule.split_once("expr:").expect("an expression");
        let (expression, rest) = rule.split_once("labels:").expect("labels");
        (expression.to_owned(), rest.to_owned())
    }));
    all
}

/// Checks all that is asked for, histograms or the rest.
fn check(samples: &[Sample], histograms: bool) {
    let of_histogram = |name: &str| name.contains("_request_seconds_");
    let mut count = 0;
    for (expression, text) in expressions() {
        let used = labels_used(&expression, &text);
        for Asked { name, labels } in asked(&expression) {
            if of_histogram(&name) != histograms {
                continue;
            }
            let series: Vec<_> = samples.iter().filter(|sample| sample.name == name).collect();
            assert!(!series.is_empty(), "{name} isn't there");
            for label in &used {
                assert!(series.iter().all(|sample| sample.labels.contains_key(label)), "{name} has no {label}");
            }
            for (label, values) in &labels {
                for value in values {
                    assert!(series.iter().any(|sample| sample.has(&[(label, value)])), "{name}: no {label}={value}");
                }
            }
            count += 1;
        }
    }
    assert!(count >= 3, "{count}");
}

#[test]
fn what_an_expression_asks_for_is_read_from_it() {
    let expression =
        r#"sum by (instance, gateway) (increase(baton_portal_x{a="1",b=~"c|d",instance=~"$i"}[5m])) > baton_portal_y"#;
    let label = |name: &str, values: &[&str]| (name.to_owned(), values.iter().map(|it| (*it).to_owned()).collect());
    let x = Asked { name: "baton_portal_x".to_owned(), labels: vec![label("a", &["1"]), label("b", &["c", "d"])] };
    assert_eq!(asked(expression), [x, Asked { name: "baton_portal_y".to_owned(), labels: Vec::new() }]);
    let used = labels_used(expression, "{{ $labels.instance }}: {{ $labels.peer }} {{method}}");
    assert_eq!(used, ["gateway", "method", "peer"].map(str::to_owned).into());
}

/// What stands between backticks in the first column of one of the manual's tables.
fn of_the_manual(head: &str) -> BTreeSet<&'static str> {
    let manual = include_str!("../../../docs/portal.md");
    let (_, table) = manual.split_once(head).unwrap_or_else(|| panic!("{head}"));
    let rows = table.lines().skip(1).take_while(|line| line.starts_with('|'));
    rows.filter_map(|row| row.split('|').nth(1)).flat_map(|cell| cell.split('`').skip(1).step_by(2)).collect()
}

#[test]
fn the_manual_says_what_to_do_about_every_alert_and_what_every_outcome_means() {
    let rules = include_str!("../../observability/alerts.yml").split("- alert: ").skip(1);
    let alerts = rules.map(|rule| rule.lines().next().expect("a name").trim()).collect();
    assert_eq!(of_the_manual("| alert | first look |"), alerts);
    assert_eq!(of_the_manual("| outcome | what happened |"), OwnerOutcome::NAMES.into());
}

#[tokio::test]
async fn alerts_and_dashboard_ask_for_what_is_there_before_anything_happens() {
    let portal = Measured::start(60_000).await;
    let fresh = portal.samples().await;
    check(&fresh, false);
    assert!(fresh.iter().all(|sample| !sample.name.ends_with("_total") || sample.value == 0.0), "something happened");
    // Histograms begin with what they measure.
    portal.op_node.block(GENESIS, 1).await;
    portal.gateway.wait_for("engine_forkchoiceUpdated", 1).await;
    check(&portal.samples().await, true);
}

#[tokio::test]
async fn payloads_are_counted_by_whose_they_were_and_how_it_went() {
    let portal = Measured::start(60_000).await;
    let source = async |source| portal.value("baton_portal_payloads_total", &[("source", source)]).await;
    let outcome = async |gateway, outcome| {
        portal.value("baton_portal_owner_outcomes_total", &[("gateway", gateway), ("outcome", outcome)]).await
    };
    portal.op_node.block(GENESIS, 1).await;
    assert_eq!((source("gateway").await, outcome("1", "valid").await), (1.0, 1.0));
    // Ordered nowhere.
    portal.op_node.payload("0x0000000000000007").await;
    assert_eq!((source("nothing").await, outcome("none", "not_asked").await), (1.0, 1.0));
    // Forced transactions only.
    let mut attributes = OpNode::attributes(2);
    attributes["noTxPool"] = json!(true);
    let id = portal.op_node.order_with(GENESIS, &attributes).await;
    portal.op_node.payload(&id).await;
    assert_eq!((source("fallback").await, outcome("1", "not_asked").await), (1.0, 1.0));
    // Ordered elsewhere.
    let id = ordered_at(&portal.fallback, 3).await;
    portal.op_node.payload(&id).await;
    assert_eq!((source("fallback").await, outcome("1", "not_asked").await), (2.0, 2.0));
    let decision = portal.op_node.decision().await;
    assert_eq!((&decision["number"], &decision["ownerSlot"]), (&json!(3), &Value::Null), "{decision}");
}

#[tokio::test]
async fn gateways_calls_are_measured_by_how_they_went() {
    let mut portal = Measured::start(60_000).await;
    portal.op_node.debug("debug_setExecutionMode", json!([{"execution_mode": "dry_run"}])).await;
    portal.op_node.block(GENESIS, 1).await;
    portal.op_node.decision_about(1).await;
    assert_eq!(portal.calls("1", "engine_getPayload", "4", "ok").await, 1.0);
    // The fallback's check, and the second validator's.
    assert_eq!(portal.calls("fallback", "engine_newPayload", "4", "ok").await, 1.0);
    assert_eq!(portal.calls("validator", "engine_newPayload", "4", "ok").await, 1.0);
    let faults = [
        (Fault::Error, "error"),
        (Fault::HttpError, "status"),
        (Fault::Huge(3 << 20), "too_big"),
        (Fault::Held, "late"),
    ];
    for (fault, outcome) in faults {
        // Another portal, since this one leaves the gateway out.
        let budget_ms = if outcome == "late" { 400 } else { Options::DEFAULT.budget_ms };
        portal = Measured::start_with(60_000, budget_ms).await;
        portal.gateway.fail("engine_getPayload", fault);
        portal.op_node.block(GENESIS, 1).await;
        assert_eq!(portal.calls("1", "engine_getPayload", "4", outcome).await, 1.0, "{outcome}");
    }
}

#[tokio::test]
async fn users_reads_are_measured_by_how_they_went() {
    let portal = Measured::start(60_000).await;
    for (fault, outcome) in [(Fault::Error, "error"), (Fault::HttpError, "status"), (Fault::Held, "late")] {
        portal.gateway.recover();
        portal.gateway.fail("eth_", fault);
        portal.op_node.call("eth_call", json!([{}])).await;
        assert_eq!(portal.calls("1", "eth_", "0", outcome).await, 1.0, "{outcome}");
    }
    assert_eq!(portal.value("baton_portal_reads_total", &[("by", "fallback")]).await, 3.0);
}

#[tokio::test]
async fn a_breaker_is_shown_as_it_is_whether_or_not_its_gateway_has_a_turn() {
    let portal = Measured::start(1500).await;
    let name = "baton_portal_breaker_open";
    let gateway = [("gateway", "1")];
    assert_eq!(portal.value(name, &gateway).await, 0.0);
    portal.gateway.fail("engine_getPayload", Fault::Garbage);
    portal.op_node.block(GENESIS, 1).await;
    assert_eq!(portal.value(name, &gateway).await, 1.0);
    // The pause ends though no block is asked for.
    portal.becomes(name, &gateway, 0.5).await;
    // A trial that fails, and one that doesn't.
    portal.op_node.block(GENESIS, 2).await;
    portal.becomes(name, &gateway, 1.0).await;
    portal.gateway.recover();
    portal.becomes(name, &gateway, 0.5).await;
    portal.op_node.block(GENESIS, 3).await;
    portal.becomes(name, &gateway, 0.0).await;
    // One that has gone isn't left out.
    portal.gateway.fail("engine_getPayload", Fault::Garbage);
    portal.op_node.block(GENESIS, 4).await;
    assert_eq!(portal.value(name, &gateway).await, 1.0);
    portal.op_node.debug("debug_setExecutionMode", json!([{"execution_mode": "disabled"}])).await;
    assert_eq!(portal.value(name, &gateway).await, 0.0);
}

#[tokio::test]
async fn lanes_are_counted_as_modes_change() {
    let portal = Measured::start(60_000).await;
    for (mode, lanes) in [("disabled", 0.0), ("dry_run", 1.0), ("disabled", 0.0), ("enabled", 1.0)] {
        portal.op_node.debug("debug_setExecutionMode", json!([{"execution_mode": mode, "gateway": 1}])).await;
        assert_eq!(portal.value("baton_portal_gateways", &[]).await, lanes, "{mode}");
    }
}

#[tokio::test]
async fn an_old_head_and_a_lost_validator_are_measured() {
    let mut portal = Measured::start(60_000).await;
    assert_eq!(portal.value("baton_portal_fallback_head_old", &[]).await, 0.0);
    portal.fallback.set_latest(now() - 100);
    portal.becomes("baton_portal_fallback_head_old", &[], 1.0).await;
    assert_eq!(portal.value("baton_portal_fallback_up", &[]).await, 1.0);
    portal.fallback.set_latest(now());
    portal.becomes("baton_portal_fallback_head_old", &[], 0.0).await;

    portal.op_node.block(GENESIS, 1).await;
    portal.validator.wait_for("engine_forkchoiceUpdated", 1).await;
    assert_eq!(portal.value("baton_portal_validator_up", &[]).await, 1.0);
    let address = portal.validator.address;
    portal.validator.stop().await;
    portal.op_node.block(GENESIS, 2).await;
    portal.becomes("baton_portal_validator_up", &[], 0.0).await;
    portal.validator = Node::start_at("validator", 4, Secret::new(GATEWAYS), address).await;
    portal.op_node.block(GENESIS, 3).await;
    portal.becomes("baton_portal_validator_up", &[], 1.0).await;
}

#[tokio::test]
async fn refused_calls_are_counted_and_said() {
    let mut portal = Measured::start(60_000).await;
    let wrong = format!("Bearer {}", Secret::new([9; 32]).token(now()));
    for _ in 0..3 {
        assert_eq!(portal.op_node.post("{}", &wrong).await.status(), 401);
    }
    assert_eq!(portal.op_node.post("0".repeat(3 << 20), &OpNode::token()).await.status(), 413);
    let raw = async |request: String| {
        let mut stream = tokio::net::TcpStream::connect(portal.engine).await.expect("it listens");
        stream.write_all(request.as_bytes()).await.expect("open");
        let mut status = [0; 12];
        stream.read_exact(&mut status).await.expect("an answer");
        String::from_utf8_lossy(&status[9..]).into_owned()
    };
    let token = OpNode::token();
    assert_eq!(raw(format!("PUT / HTTP/1.1\r\nauthorization: {token}\r\n\r\n")).await, "405");
    let chunked = format!("POST / HTTP/1.1\r\nauthorization: {token}\r\ntransfer-encoding: chunked\r\n\r\nx\r\n");
    assert_eq!(raw(chunked).await, "400");
    assert_eq!(raw("SSH-2.0-OpenSSH\r\n".to_owned()).await, "400");
    assert_eq!(raw("GET / HTTP/3.0\r\n\r\n".to_owned()).await, "505");
    for (status, count) in [("401", 3.0), ("413", 1.0), ("405", 1.0), ("400", 2.0), ("505", 1.0), ("431", 0.0)] {
        assert_eq!(portal.value("baton_portal_refused_total", &[("status", status)]).await, count, "{status}");
    }
    // The first at once, and why; never the token.
    let reason = program::said(&mut portal.log, "refused").await;
    assert_eq!(reason, "1");
}
