//! What the program's log says of what fails, and of what is well again.

use crate::{
    node::{Fault, GENESIS, Node},
    observability::Measured,
    program::{line, portal, signal},
    stand::{GATEWAYS, OpNode, Options, secret_file, write_config},
};
use baton_portal::Secret;
use serde_json::{Value, json};
use std::{path::PathBuf, time::Duration};
use tempfile::TempDir;
use tokio::{
    io::{AsyncBufReadExt, BufReader, Lines},
    process::{Child, ChildStderr},
    time::timeout,
};

fn message(line: &Value) -> &str {
    line["fields"]["message"].as_str().unwrap_or_default()
}

impl Measured {
    /// Reads the log until a message contains a text.
    async fn says(&mut self, text: &str) -> Value {
        line(&mut self.log, |line| message(line).contains(text)).await
    }

    async fn built(&self, number: u64) -> Value {
        self.op_node.block(GENESIS, number).await;
        self.op_node.decision_about(number).await
    }
}

#[tokio::test]
async fn a_gateways_pauses_and_trials_are_said() {
    let mut portal = Measured::start(1).await;
    portal.gateway.fail("engine_getPayload", Fault::WrongTimestamp);
    portal.built(1).await;
    let line = portal.says("failed too often").await;
    assert_eq!((&line["level"], &line["fields"]["pause_ms"]), (&json!("WARN"), &json!(1)), "{line}");
    assert_eq!(line["fields"]["fault"], "mismatch");
    let trial = async |portal: &mut Measured, number, text| {
        // Its pause is a few milliseconds long.
        while portal.built(number).await["purpose"] != "trial" {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
        portal.says(text).await
    };
    let line = trial(&mut portal, 2, "trial failed").await;
    assert_eq!((&line["level"], &line["fields"]["pause_ms"]), (&json!("WARN"), &json!(2)), "{line}");
    portal.gateway.recover();
    portal.fallback.fail("engine_newPayload", Fault::Status("SYNCING"));
    let line = trial(&mut portal, 3, "says nothing").await;
    assert_eq!((&line["fields"]["gateway"], &line["fields"]["outcome"]), (&json!(1), &json!("undecided")), "{line}");
    portal.fallback.recover();
    let line = trial(&mut portal, 4, "trial was good").await;
    assert_eq!((&line["level"], &line["fields"]["pause_ms"]), (&json!("INFO"), &json!(2)), "{line}");
    assert_eq!(portal.built(5).await["outcome"], "valid");
}

#[tokio::test]
async fn a_block_that_nobody_has_a_payload_for_is_an_error() {
    let mut portal = Measured::start(60_000).await;
    portal.gateway.fail("engine_getPayload", Fault::Garbage);
    portal.fallback.fail("engine_getPayload", Fault::Error);
    portal.op_node.block(GENESIS, 1).await;
    let line = portal.says("no payload for a block: neither").await;
    assert_eq!((&line["level"], &line["fields"]["owner"]), (&json!("ERROR"), &json!(1)), "{line}");
    portal.op_node.payload("0x0000000000000007").await;
    let line = portal.says("none under this id").await;
    assert_eq!((&line["level"], &line["fields"]["payload_id"]), (&json!("ERROR"), &json!("0x0000000000000007")));
}

#[tokio::test]
async fn what_is_wrong_from_the_start_is_said_at_the_start() {
    let fallback = Node::start("fallback", 3, Secret::new([9; 32])).await;
    let mut validator = Node::start("validator", 4, Secret::new(GATEWAYS)).await;
    validator.stop().await;
    let secrets = tempfile::tempdir().expect("temporary directory");
    let text = write_config(&secrets, &fallback.url(), &Options::DEFAULT);
    let (text, _) = text.split_once("[schedule]").expect("a schedule");
    let theirs = secret_file(&secrets, "validator", [4; 32]);
    let (url, more) = (validator.url(), "[[gateways.overrides]]\nid = 1\nurl = \"http://127.0.0.1:1\"\n");
    let more =
        format!("{more}[schedule]\nfixed_gateway = 1\n[validator]\nurl = \"{url}\"\njwt_secret_file = {theirs:?}\n");
    let file = secrets.path().join("portal.toml");
    std::fs::write(&file, format!("{text}\n{more}")).expect("written");
    let mut command = portal();
    let mut running = command.args(["run", "--log-format", "json", "--config"]).arg(&file).spawn().expect("it runs");
    let mut log = BufReader::new(running.stderr.take().expect("piped")).lines();
    let (mut admin, mut refused, mut unreachable) = (None, None, None);
    while admin.is_none() || refused.is_none() || unreachable.is_none() {
        let line = line(&mut log, |_| true).await;
        let fields = &line["fields"];
        match message(&line) {
            "the portal is up" => admin = fields["admin"].as_str().and_then(|text| text.parse().ok()),
            "the fallback can't be relied on" => refused = fields["trouble"].as_str().map(str::to_owned),
            "a peer can't be reached" => unreachable = fields["peer"].as_str().map(str::to_owned),
            _ => {}
        }
    }
    assert!(refused.is_some_and(|reason| reason.contains("JWT secret differs")));
    assert_eq!(unreachable.as_deref(), Some("validator"));
    let admin = admin.expect("an address");
    let (_, metrics) = OpNode::at(admin, admin).admin("/metrics").await;
    assert!(metrics.contains("baton_portal_validator_up 0\n"), "{metrics}");
    drop(running);
}

/// A portal whose gateways nobody knows, with something more in its file.
struct Started {
    op_node: OpNode,
    log: Lines<BufReader<ChildStderr>>,
    /// What it said until it was up.
    before: Vec<Value>,
    secrets: TempDir,
    running: Child,
    _fallback: Node,
}

impl Started {
    async fn with(more: impl Fn(&TempDir) -> String) -> Self {
        let fallback = Node::start("fallback", 3, Secret::new([2; 32])).await;
        let secrets = tempfile::tempdir().expect("temporary directory");
        let file = secrets.path().join("portal.toml");
        let text = write_config(&secrets, &fallback.url(), &Options::DEFAULT);
        std::fs::write(&file, format!("{text}\n{}", more(&secrets))).expect("written");
        let mut command = portal();
        let mut running =
            command.args(["run", "--log-format", "json", "--config"]).arg(&file).spawn().expect("it runs");
        let mut log = BufReader::new(running.stderr.take().expect("piped")).lines();
        let mut before = Vec::new();
        let op_node = loop {
            let line = line(&mut log, |_| true).await;
            let address = |field: &str| line["fields"][field].as_str().and_then(|text| text.parse().ok());
            if let (Some(engine), Some(admin)) = (address("engine"), address("admin")) {
                break OpNode::at(engine, admin);
            }
            before.push(line);
        };
        Self { op_node, log, before, secrets, running, _fallback: fallback }
    }
}

#[tokio::test]
async fn a_collector_that_takes_no_traces_is_said_with_the_reason() {
    let mut portal = Started::with(|_| "[tracing]\notlp_url = \"http://127.0.0.1:1\"".to_owned()).await;
    portal.op_node.block(GENESIS, 1).await;
    let line = line(&mut portal.log, |line| message(line).contains("tracing.otlp_url")).await;
    assert!(line["fields"]["error"].as_str().is_some_and(|error| error.contains("refused")), "{line}");
}

#[tokio::test]
async fn evidence_that_could_not_be_kept_is_said_before_there_is_any() {
    let rule = |archive: PathBuf| {
        let inbox = "0x00000000000000000000000000000000000000b2";
        format!("[gateways.soft_blocks]\nwithin_ms = 2000\nchain_id = 1\ninbox = \"{inbox}\"\narchive = {archive:?}\n")
    };
    let is = |line: &Value| line["fields"]["key"] == "gateways.soft_blocks.archive";
    // A file is in the way.
    let mut portal = Started::with(|secrets| rule(secrets.path().join("gateways/evidence"))).await;
    if !portal.before.iter().any(is) {
        line(&mut portal.log, is).await;
    }
    signal(&portal.running, "-HUP").await;
    let line = line(&mut portal.log, is).await;
    assert_eq!(line["level"], "WARN");
    let mut portal = Started::with(|secrets| rule(secrets.path().join("new/evidence"))).await;
    let made = async {
        while !portal.secrets.path().join("new/evidence").is_dir() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    assert!(timeout(Duration::from_secs(30), made).await.is_ok(), "no directory");
    signal(&portal.running, "-TERM").await;
    let mut said = portal.before;
    while let Some(line) = portal.log.next_line().await.expect("text") {
        said.push(serde_json::from_str(&line).expect("JSON"));
    }
    assert!(!said.iter().any(is), "{said:?}");
}
