//! The binary: its configuration, and its end.

use crate::{
    admin::lying_websocket,
    node::{GENESIS, Node},
    stand::{OpNode, Options, write_config},
};
use baton_portal::Secret;
use serde_json::{Value, json};
use std::{
    fs::Permissions, os::unix::fs::PermissionsExt, path::Path, process::Stdio, sync::atomic::Ordering, time::Duration,
};
use tempfile::TempDir;
use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader, Lines},
    net::TcpStream,
    process::{Child, ChildStderr, Command},
};

pub(crate) fn portal() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_portal"));
    command.env_clear().kill_on_drop(true).stderr(Stdio::piped());
    command
}

#[tokio::test]
async fn a_wrong_configuration_is_refused_and_the_key_named() {
    let secrets = tempfile::tempdir().expect("temporary directory");
    let file = secrets.path().join("portal.toml");
    let good = write_config(&secrets, "http://127.0.0.1:1", &Options::default());
    let nowhere = good.replace("[\"http://127.0.0.1:1\"]", "[\"nowhere\"]");
    assert_ne!(nowhere, good);
    for (text, named) in
        [(good.clone(), None), (good.replace("queue =", "queues ="), Some("queues")), (nowhere, Some("l1_urls[0]"))]
    {
        std::fs::write(&file, text).expect("written");
        let output = portal().arg("check-config").arg("--config").arg(&file).output().await.expect("it runs");
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.success(), named.is_none(), "{said}");
        assert!(said.contains(named.unwrap_or_default()), "{said}");
        // Once, and not where in the program it was found.
        assert!(named.is_none_or(|named| said.matches(named).count() == 1) && !said.contains("main.rs"), "{said}");
    }
    // The environment lies over the file.
    std::fs::write(&file, &good).expect("written");
    let command =
        portal().env("BATON_PORTAL_FALLBACK_URL", "ws://x").arg("check-config").arg("--config").arg(&file).output();
    let said = String::from_utf8_lossy(&command.await.expect("it runs").stderr).into_owned();
    assert!(said.contains("`fallback.url` (--fallback-url, BATON_PORTAL_FALLBACK_URL)"), "{said}");
}

#[tokio::test]
async fn a_start_that_fails_is_said_once_in_the_form_of_the_log() {
    let secrets = tempfile::tempdir().expect("temporary directory");
    let file = secrets.path().join("portal.toml");
    let text = write_config(&secrets, "http://127.0.0.1:1", &Options::default()).replace("queue =", "queues =");
    std::fs::write(&file, text).expect("written");
    let started = async |variables: &[(&str, &str)]| {
        let output = portal().envs(variables.iter().copied()).arg("run").arg("--config").arg(&file).output().await;
        let output = output.expect("it runs");
        assert_eq!(output.status.code(), Some(1));
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!((said.lines().count(), said.matches("queues").count()), (1, 1), "{said}");
        said
    };
    let as_json = ("BATON_PORTAL_LOG_FORMAT", "json");
    let line: Value = serde_json::from_str(&started(&[as_json]).await).expect("JSON");
    let error = line["fields"]["error"].as_str().unwrap_or_else(|| panic!("{line}"));
    assert!(line["level"] == "ERROR" && error.contains("queues"), "{line}");
    let line: Value =
        serde_json::from_str(&started(&[as_json, ("RUST_LOG", "baton_portal=error")]).await).expect("JSON");
    assert_eq!((&line["level"], &line["target"]), (&json!("ERROR"), &json!("baton_portal")), "{line}");
    // Whoever starts it by hand, or logs nothing, is told all the same.
    for variables in [&[][..], &[as_json, ("RUST_LOG", "off")]] {
        assert!(started(variables).await.starts_with("Error: "));
    }
}

#[tokio::test]
async fn secrets_that_others_can_read_are_warned_of() {
    let secrets = tempfile::tempdir().expect("temporary directory");
    let file = secrets.path().join("portal.toml");
    let fallback = Node::start("fallback", 3, Secret::new([2; 32])).await;
    std::fs::write(&file, write_config(&secrets, &fallback.url(), &Options::default())).expect("written");
    let permit = |mode| {
        let path = secrets.path().join("gateways");
        std::fs::set_permissions(&path, Permissions::from_mode(mode)).expect("set");
        path
    };
    let path = permit(0o644);
    let checked = portal().arg("check-config").arg("--config").arg(&file).output().await.expect("it runs");
    let out = String::from_utf8_lossy(&checked.stdout).into_owned();
    assert!(checked.status.success());
    assert!(out.starts_with("warning: `gateways.jwt_secret_file`") && out.contains(&*path.to_string_lossy()), "{out}");
    // At the start and, with a mode of its own each time, on each reload.
    let mut command = portal();
    let mut running = command.args(["run", "--log-format", "json", "--config"]).arg(&file).spawn().expect("it runs");
    let mut log = BufReader::new(running.stderr.take().expect("piped")).lines();
    assert_eq!(said(&mut log, "key").await, "gateways.jwt_secret_file");
    said(&mut log, "admin").await;
    permit(0o604);
    signal(&running, "-HUP").await;
    assert_eq!(said(&mut log, "mode").await, "604");
    signal(&running, "-TERM").await;
    assert!(running.wait().await.expect("a status").success());
}

/// Reads the log until a line is as wanted, and gives it.
pub(crate) async fn line(log: &mut Lines<BufReader<ChildStderr>>, is: impl Fn(&Value) -> bool) -> Value {
    let found = async {
        loop {
            let line = log.next_line().await.expect("readable").expect("it says so");
            let line: Value = serde_json::from_str(&line).expect("JSON");
            if is(&line) {
                return line;
            }
        }
    };
    tokio::time::timeout(Duration::from_secs(20), found).await.expect("in time")
}

/// Reads the log until a line has a field, and gives the field.
pub(crate) async fn said(log: &mut Lines<BufReader<ChildStderr>>, field: &str) -> String {
    let line = line(log, |line| line["fields"].get(field).is_some()).await;
    let value = &line["fields"][field];
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

pub(crate) async fn signal(running: &Child, name: &str) {
    let id = running.id().expect("running").to_string();
    assert!(Command::new("kill").args([name, &id]).status().await.expect("sent").success());
}

#[tokio::test]
async fn two_configurations_are_compared() {
    let secrets = tempfile::tempdir().expect("temporary directory");
    let (old, new) = (secrets.path().join("old.toml"), secrets.path().join("new.toml"));
    let text = write_config(&secrets, "http://127.0.0.1:1", &Options::default());
    std::fs::write(&new, text.replace("queue = 64", "queue = 65")).expect("written");
    std::fs::write(&old, text).expect("written");
    let compared = async |command: &mut Command| {
        let output = command.args(["check-config", "--config"]).arg(&new).arg("--against").arg(&old).output().await;
        let output = output.expect("it runs");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8_lossy(&output.stdout).into_owned()
    };
    let said = "gateways.queue: 64 -> 65\nthe configuration is right\n";
    // Whatever is logged.
    assert_eq!(compared(portal().env("RUST_LOG", "off")).await, said);
    // What the environment says, it says of both; the running one may have it from there alone.
    let without = std::fs::read_to_string(&old).expect("written");
    let without: Vec<_> = without.lines().filter(|line| !line.contains("registry =")).collect();
    std::fs::write(&old, without.join("\n")).expect("written");
    let mut command = portal();
    command.env("BATON_PORTAL_L1_URLS", "http://elsewhere:1");
    command.env("BATON_PORTAL_REGISTRY", "0x00000000000000000000000000000000000000b1");
    assert_eq!(compared(&mut command).await, said);
    // Which of the two is wrong.
    let wrong = std::fs::read_to_string(&new).expect("written").replace("queue =", "queues =");
    std::fs::write(&old, wrong).expect("written");
    let output = portal().args(["check-config", "--config"]).arg(&new).arg("--against").arg(&old).output().await;
    let output = output.expect("it runs");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success() && said.contains("queues"), "{said}");
    assert!(said.contains(&format!("--against {}", old.display())), "{said}");
}

#[tokio::test]
async fn keys_in_l1_urls_are_never_said() {
    const KEY: &str = "s3cret-k3y";
    let fallback = Node::start("fallback", 3, Secret::new([2; 32])).await;
    let secrets = tempfile::tempdir().expect("temporary directory");
    let (file, other) = (secrets.path().join("portal.toml"), secrets.path().join("other.toml"));
    let text = write_config(&secrets, &fallback.url(), &Options::default());
    let (websocket, connections) = lying_websocket().await;
    let text = text.replace("http://127.0.0.1:1\"", &format!("{websocket}/{KEY}\", \"http://127.0.0.1:1/{KEY}\""));
    assert!(text.contains(KEY));
    std::fs::write(&file, &text).expect("written");
    std::fs::write(&other, text.replace(KEY, "another-k3y")).expect("written");

    // Help and comparison.
    let help = portal().env("BATON_PORTAL_L1_URLS", format!("http://node/{KEY}")).args(["run", "--help"]).output();
    let help = help.await.expect("it runs");
    let differs = portal().args(["check-config", "--config"]).arg(&other).arg("--against").arg(&file).output();
    let differs = differs.await.expect("it runs");
    for (output, part) in [(help, "BATON_PORTAL_L1_URLS"), (differs, "schedule.l1_urls")] {
        let said = [output.stdout, output.stderr].concat();
        let said = String::from_utf8_lossy(&said);
        assert!(said.contains(part) && !said.contains(KEY), "{said}");
    }

    // A run that logs all there is, of libraries too.
    let mut command = portal();
    command.env("RUST_LOG", "trace").args(["run", "--log-format", "json", "--config"]).arg(&file);
    let mut running = command.spawn().expect("it runs");
    let mut log = BufReader::new(running.stderr.take().expect("piped")).lines();
    let (mut lines, mut admin) = (Vec::new(), String::new());
    let read = async {
        while admin.is_empty()
            || connections.load(Ordering::Relaxed) == 0
            || !lines.iter().any(|line: &String| line.contains("an L1 node failed"))
        {
            let line = log.next_line().await.expect("readable").expect("it goes on");
            let json: Value = serde_json::from_str(&line).expect("JSON");
            if let Some(address) = json["fields"]["admin"].as_str() {
                admin = address.to_owned();
            }
            lines.push(line);
        }
    };
    tokio::time::timeout(Duration::from_secs(20), read).await.expect("in time");
    // What it says from here on is read, too, or it would wait for that.
    let rest = tokio::spawn(async move {
        let mut rest = Vec::new();
        while let Ok(Some(line)) = log.next_line().await {
            rest.push(line);
        }
        rest
    });
    let client = reqwest::Client::builder().no_proxy().build().expect("a client");
    let status = client.get(format!("http://{admin}/status.json")).send().await.expect("an answer").text().await;
    lines.push(status.expect("text"));
    signal(&running, "-TERM").await;
    assert!(running.wait().await.expect("a status").success());
    lines.extend(rest.await.expect("read"));
    assert!(lines.iter().any(|line| line.contains("tungstenite")), "libraries are heard");
    let telling: Vec<_> = lines.iter().filter(|line| line.contains(KEY)).collect();
    assert!(telling.is_empty(), "{telling:#?}");
}

#[tokio::test]
async fn sighup_reads_the_configuration_anew() {
    let fallback = Node::start("fallback", 3, Secret::new([2; 32])).await;
    let secrets = tempfile::tempdir().expect("temporary directory");
    let file = secrets.path().join("portal.toml");
    let text = write_config(&secrets, &fallback.url(), &Options::default());
    std::fs::write(&file, &text).expect("written");
    let mut command = portal();
    // What the program says is the portal's, whichever of its parts says it.
    command.env("BATON_PORTAL_PAYLOAD_BUDGET_MS", "20000").env("RUST_LOG", "baton_portal=info");
    let mut running = command.args(["run", "--log-format", "json", "--config"]).arg(&file).spawn().expect("it runs");
    let mut log = BufReader::new(running.stderr.take().expect("piped")).lines();
    said(&mut log, "admin").await;
    for (queue, expected) in [
        ("65", "gateways.queue: 64 -> 65"),
        ("0", "`gateways.queue` is 0"),
        ("64\nqueues = 1", "unknown field `queues`"),
        ("64", "gateways.queue: 65 -> 64"),
    ] {
        std::fs::write(&file, text.replace("queue = 64", &format!("queue = {queue}"))).expect("written");
        signal(&running, "-HUP").await;
        let field = if expected.contains("->") { "change" } else { "error" };
        let found = said(&mut log, field).await;
        // Once, in one line.
        assert!(found.matches(expected).count() == 1 && !found.contains('\n'), "{found}");
    }
    // A variable hides this one.
    let budget = "payload_budget_ms = 20000";
    assert!(text.contains(budget));
    std::fs::write(&file, text.replace(budget, "payload_budget_ms = 400")).expect("written");
    signal(&running, "-HUP").await;
    assert_eq!(said(&mut log, "key").await, "gateways.payload_budget_ms");
    assert_eq!(said(&mut log, "changes").await, "0");
    signal(&running, "-TERM").await;
    assert!(running.wait().await.expect("a status").success());
}

/// The program with a fallback, and its log.
struct Started {
    running: Child,
    log: Lines<BufReader<ChildStderr>>,
    _fallback: Node,
    _secrets: TempDir,
}

impl Started {
    async fn new() -> Self {
        let fallback = Node::start("fallback", 3, Secret::new([2; 32])).await;
        let secrets = tempfile::tempdir().expect("temporary directory");
        let file = secrets.path().join("portal.toml");
        std::fs::write(&file, write_config(&secrets, &fallback.url(), &Options::default())).expect("written");
        let mut command = portal();
        command.args(["run", "--log-format", "json", "--config"]).arg(&file);
        let mut running = command.spawn().expect("it runs");
        let log = BufReader::new(running.stderr.take().expect("piped")).lines();
        Self { running, log, _fallback: fallback, _secrets: secrets }
    }
}

#[tokio::test]
async fn an_order_in_an_unknown_form_is_warned_of() {
    let Started { running: _running, mut log, _fallback, _secrets } = Started::new().await;
    let engine = said(&mut log, "engine").await;
    let mut attributes = OpNode::attributes(1);
    attributes["withdrawals"] = json!({"none": true});
    let order = json!({"jsonrpc": "2.0", "id": 1, "method": "engine_forkchoiceUpdatedV3",
        "params": [OpNode::forkchoice(GENESIS), attributes]});
    let client = reqwest::Client::builder().no_proxy().build().expect("a client");
    let request = client.post(format!("http://{engine}")).header("authorization", OpNode::token());
    let answer = request.body(order.to_string()).send().await.expect("an answer");
    assert_eq!(answer.status(), 200);
    let is = |line: &Value| line["fields"]["message"].as_str().is_some_and(|message| message.contains("attributes"));
    let line = line(&mut log, is).await;
    assert_eq!(line["level"], "WARN");
    assert!(line["fields"]["error"].as_str().is_some_and(|error| error.contains("sequence")), "{line}");
}

#[tokio::test]
async fn the_log_has_the_words_of_the_decisions() {
    let Started { running: _running, mut log, _fallback, _secrets } = Started::new().await;
    let mut addresses = (String::new(), String::new());
    let found = async {
        loop {
            let line = log.next_line().await.expect("readable").expect("it goes on");
            let line: Value = serde_json::from_str(&line).expect("JSON");
            let field = |name: &str| line["fields"][name].as_str().map(str::to_owned);
            if let (Some(engine), Some(admin)) = (field("engine"), field("admin")) {
                addresses = (engine, admin);
                let client = reqwest::Client::builder().no_proxy().build().expect("a client");
                let call = async |method: &str, params: Value| -> Value {
                    let call = json!({"jsonrpc": "2.0", "id": 1, "method": method, "params": params});
                    let request =
                        client.post(format!("http://{}", addresses.0)).header("authorization", OpNode::token());
                    request.json(&call).send().await.expect("an answer").json().await.expect("JSON")
                };
                let order = json!([OpNode::forkchoice(GENESIS), OpNode::attributes(1)]);
                let ordered = call("engine_forkchoiceUpdatedV3", order).await;
                call("engine_getPayloadV3", json!([ordered["result"]["payloadId"]])).await;
            }
            if line["fields"]["message"] == "payload" {
                return line["fields"].clone();
            }
        }
    };
    let line = tokio::time::timeout(Duration::from_secs(20), found).await.expect("in time");
    let client = reqwest::Client::builder().no_proxy().build().expect("a client");
    let decisions = client.get(format!("http://{}/decisions?count=1", addresses.1)).send().await.expect("an answer");
    let decision = &decisions.json::<Value>().await.expect("JSON")[0];
    assert_eq!((&line["purpose"], &line["choice"]), (&decision["purpose"], &decision["choice"]), "{decision}");
    assert_eq!(line["purpose"], "serve");
    // Questions that can't be answered aren't taken for others.
    let other = client.get(format!("http://{}/decisions?n=1", addresses.1)).send().await.expect("an answer");
    assert_eq!(other.status(), 400);
    assert!(other.text().await.expect("text").contains("count=n"));
}

#[tokio::test]
async fn a_filter_that_would_silence_the_log_ends_it() {
    let secrets = tempfile::tempdir().expect("temporary directory");
    let file = secrets.path().join("portal.toml");
    std::fs::write(&file, write_config(&secrets, "http://127.0.0.1:1", &Options::default())).expect("written");
    let file = file.display().to_string();
    for command in ["run", "boost", "check-config"] {
        let output = portal().env("RUST_LOG", "bogus").args([command, "--config", &file]).output();
        let output = tokio::time::timeout(Duration::from_secs(20), output).await.expect("it ends").expect("it runs");
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(!output.status.success() && said.contains("RUST_LOG: \"bogus\""), "{command}: {said}");
    }
}

#[tokio::test]
async fn what_goes_into_a_pipe_is_not_coloured_and_a_slip_in_a_variables_name_is_said() {
    let secrets = tempfile::tempdir().expect("temporary directory");
    let file = secrets.path().join("portal.toml");
    std::fs::write(&file, write_config(&secrets, "http://127.0.0.1:1", &Options::default())).expect("written");
    let slip = "BATON_PORTAL_PAYLOAD_BUDGT_MS";
    let with = |command: &str| {
        let mut portal = portal();
        // The second one is Kubernetes'.
        portal.env(slip, "0").env("BATON_PORTAL_SERVICE_HOST", "10.0.0.1").args([command, "--config"]).arg(&file);
        portal
    };
    let output = with("check-config").output().await.expect("it runs");
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && text.contains(&format!("warning: {slip}")), "{text}");
    assert!(!text.contains("SERVICE_HOST"), "{text}");
    let mut running = with("run").spawn().expect("it runs");
    let mut log = BufReader::new(running.stderr.take().expect("piped")).lines();
    let warned = async {
        loop {
            let line = log.next_line().await.expect("readable").expect("it goes on");
            assert!(!line.contains('\u{1b}'), "{line}");
            if line.contains(slip) {
                return line;
            }
        }
    };
    let line = tokio::time::timeout(Duration::from_secs(20), warned).await.expect("in time");
    assert!(line.contains("WARN"), "{line}");
}

#[tokio::test]
async fn rollup_boosts_command_line_can_be_checked() {
    let secrets = tempfile::tempdir().expect("temporary directory");
    let (link, jwt) = (secrets.path().join("rollup-boost"), secrets.path().join("jwt"));
    std::os::unix::fs::symlink(env!("CARGO_BIN_EXE_portal"), &link).expect("linked");
    std::fs::write(&jwt, "01".repeat(32)).expect("written");
    let jwt = jwt.display().to_string();
    let checked = async |more: &[&str]| {
        let mut command = Command::new(&link);
        command.env_clear().args(more).args(["--l2-jwt-path", &jwt, "--builder-url", "http://127.0.0.1:9"]);
        let output = command.output().await.expect("it runs");
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        (output.status.success(), text(&output.stdout), text(&output.stderr))
    };
    let builder = ["--check-config", "--builder-jwt-path", &jwt, "--otlp-endpoint", "http://x:1"];
    let (right, said, _) = checked(&builder).await;
    assert!(right && said.ends_with("the configuration is right\n"), "{said}");
    assert!(said.contains("warning: --otlp-endpoint isn't followed: traces are sent with --tracing only"), "{said}");
    assert!(said.contains("hold the same secret"), "{said}");
    // What is wrong is said in the words of who gave it.
    for (more, named) in [
        (&["--check-config"][..], "--builder-jwt-path"),
        (&[&builder[..], &["--l2-url", "https://x"]].concat(), "`fallback.url` (--l2-url, L2_URL)"),
        (&[&builder[1..], &["--l2-url", "https://x"]].concat(), "`fallback.url` (--l2-url, L2_URL)"),
        (&[&builder[..], &["--debug-host", "here"]].concat(), "`admin.listen` (--debug-host"),
    ] {
        let (right, _, said) = checked(more).await;
        assert!(!right && said.contains(named), "{said}");
    }
    let (right, said, _) = checked(&["--version"]).await;
    assert!(right && said.starts_with("portal "), "{said}");
}

#[tokio::test]
async fn under_the_name_of_rollup_boost_it_takes_its_flags() {
    let fallback = Node::start("fallback", 3, Secret::new([1; 32])).await;
    let secrets = tempfile::tempdir().expect("temporary directory");
    let (link, jwt) = (secrets.path().join("rollup-boost"), secrets.path().join("jwt"));
    std::os::unix::fs::symlink(env!("CARGO_BIN_EXE_portal"), &link).expect("linked");
    std::fs::write(&jwt, "01".repeat(32)).expect("written");
    let mut command = Command::new(link);
    command.env_clear().kill_on_drop(true).stderr(Stdio::piped());
    // rollup-boost's variables, too.
    command.env("L2_URL", fallback.url()).env("BUILDER_URL", "http://127.0.0.1:1");
    command.args(["--rpc-port=0", "--debug-server-port=0", "--log-format=json"]);
    for side in ["l2", "builder"] {
        command.arg(format!("--{side}-jwt-path={}", jwt.display()));
    }
    let mut running = command.spawn().expect("it runs");
    let mut log = BufReader::new(running.stderr.take().expect("piped")).lines();
    let admin = said(&mut log, "admin").await;
    let client = reqwest::Client::builder().no_proxy().build().expect("a client");
    let call = json!({"jsonrpc": "2.0", "id": 1, "method": "debug_getExecutionMode", "params": []});
    let answer = client.post(format!("http://{admin}")).json(&call).send().await.expect("sent");
    let answer: Value = answer.json().await.expect("JSON");
    assert_eq!(answer["result"]["execution_mode"], "enabled");
    signal(&running, "-TERM").await;
    assert!(running.wait().await.expect("a status").success());
}

#[tokio::test]
async fn secrets_come_from_rollup_boosts_variables_and_what_has_no_effect_is_said() {
    let token = "5a".repeat(32);
    let fallback = Node::start("fallback", 3, Secret::new([0x5a; 32])).await;
    let builder = Node::start("builder", 4, Secret::new([0x5a; 32])).await;
    let boost = || {
        let mut command = portal();
        command.env("L2_URL", fallback.url()).env("BUILDER_URL", builder.url());
        command.env("L2_JWT_TOKEN", &token).env("BUILDER_JWT_TOKEN", &token);
        command.args(["boost", "--rpc-port=0", "--debug-server-port=0", "--log-format=json"]);
        command.args(["--max-unsafe-interval=0", "--health-check-interval=5"]);
        command
    };
    let mut running = boost().env("LOG_FILE", "/x").env("FLASHBLOCKS_PORT", "1").spawn().expect("it runs");
    let mut log = BufReader::new(running.stderr.take().expect("piped")).lines();
    for setting in ["--health-check-interval", "FLASHBLOCKS_PORT", "LOG_FILE"] {
        assert_eq!(said(&mut log, "setting").await, setting);
    }
    // One secret for both is usual with rollup-boost, and only worth a warning.
    assert_eq!(said(&mut log, "gateways").await, "gateways.jwt_secret_file");
    let admin = said(&mut log, "admin").await;
    let client = reqwest::Client::builder().no_proxy().build().expect("a client");
    let health = client.get(format!("http://{admin}/healthz")).send().await.expect("an answer");
    assert_eq!(health.status(), 200, "the fallback takes the portal's tokens");
    signal(&running, "-TERM").await;
    assert!(running.wait().await.expect("a status").success());

    // What is asked for and missing, and what isn't a secret.
    for (name, value) in [("EXTERNAL_STATE_ROOT", "true"), ("flashblocks_ws", "true"), ("L2_JWT_TOKEN", "c0ffee")] {
        let output = boost().env(name, value).output().await.expect("it runs");
        let text = String::from_utf8_lossy(&output.stderr);
        assert!(!output.status.success() && text.contains(name), "{text}");
        assert!(!text.contains("c0ffee") && !text.contains(&token), "{text}");
    }
}

#[tokio::test]
async fn sigterm_ends_it_well() {
    let Started { mut running, mut log, _fallback, _secrets } = Started::new().await;
    let admin = said(&mut log, "admin").await;
    let client = reqwest::Client::builder().no_proxy().build().expect("a client");
    let health = client.get(format!("http://{admin}/healthz")).send().await.expect("an answer");
    assert_eq!(health.status(), 200);
    signal(&running, "-TERM").await;
    let ended =
        tokio::time::timeout(Duration::from_secs(10), running.wait()).await.expect("it ends").expect("a status");
    assert!(ended.success(), "{ended}");
}

/// A connection over which nothing has been said yet.
async fn connect(address: &str) -> TcpStream {
    let connected = tokio::time::timeout(Duration::from_secs(10), TcpStream::connect(address)).await;
    connected.expect("in time").expect("connects")
}

/// Makes a call over a connection and gives the beginning of its answer.
async fn call_over(connection: &mut TcpStream) -> String {
    let body = r#"{"jsonrpc":"2.0","id":1,"method":"eth_chainId"}"#;
    let token = OpNode::token();
    let length = body.len();
    let request =
        format!("POST / HTTP/1.1\r\nhost: x\r\nauthorization: {token}\r\ncontent-length: {length}\r\n\r\n{body}");
    connection.write_all(request.as_bytes()).await.expect("it is open");
    let mut answer = vec![0; 4096];
    let read = tokio::time::timeout(Duration::from_secs(10), connection.read(&mut answer)).await;
    answer.truncate(read.expect("in time").expect("readable"));
    String::from_utf8(answer).expect("text")
}

/// The program with a configuration, under limits that a shell sets.
fn limited(limits: &str, file: &Path) -> Command {
    let mut command = Command::new("sh");
    let script = format!(r#"{limits} && exec "$0" run --log-format json --config "$1""#);
    command.args(["-c", &script, env!("CARGO_BIN_EXE_portal")]).arg(file);
    command.env_clear().kill_on_drop(true).stderr(Stdio::piped());
    command
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn the_limit_of_open_files_is_raised_as_far_as_it_may_be() {
    let fallback = Node::start("fallback", 3, Secret::new([2; 32])).await;
    let secrets = tempfile::tempdir().expect("temporary directory");
    let file = secrets.path().join("portal.toml");
    std::fs::write(&file, write_config(&secrets, &fallback.url(), &Options::default())).expect("written");
    let mut running = limited("ulimit -n 300 && ulimit -Sn 200", &file).spawn().expect("it runs");
    let mut log = BufReader::new(running.stderr.take().expect("piped")).lines();
    let raised = line(&mut log, |line| line["fields"].get("from").is_some()).await;
    assert_eq!((&raised["fields"]["from"], &raised["fields"]["to"]), (&json!(200), &json!(300)), "{raised}");
    let limits = std::fs::read_to_string(format!("/proc/{}/limits", running.id().expect("running"))).expect("limits");
    let files = limits.lines().find(|line| line.starts_with("Max open files")).expect("a limit");
    let values: Vec<_> = files.split_whitespace().skip(3).take(2).collect();
    assert_eq!(values, ["300", "300"]);
}

#[tokio::test]
async fn strangers_that_say_nothing_keep_nobody_out() {
    let fallback = Node::start("fallback", 3, Secret::new([2; 32])).await;
    let secrets = tempfile::tempdir().expect("temporary directory");
    let file = secrets.path().join("portal.toml");
    std::fs::write(&file, write_config(&secrets, &fallback.url(), &Options::default())).expect("written");
    let mut running = limited("ulimit -n 256", &file).spawn().expect("it runs");
    let mut log = BufReader::new(running.stderr.take().expect("piped")).lines();
    let mut ports = Vec::new();
    while ports.len() < 2 {
        let line = log.next_line().await.expect("readable").expect("it says so");
        let line: Value = serde_json::from_str(&line).expect("JSON");
        ports
            .extend(["engine", "admin"].iter().filter_map(|port| Some(line["fields"].get(port)?.as_str()?.to_owned())));
    }
    let mut op_node = connect(&ports[0]).await;
    assert!(call_over(&mut op_node).await.starts_with("HTTP/1.1 200"));
    let mut idle = Vec::new();
    for port in &ports {
        for _ in 0..300 {
            idle.push(connect(port).await);
        }
    }
    // Those that came first have made room, and op-node hasn't, however long it has been idle.
    for first in [0, 300] {
        let read = tokio::time::timeout(Duration::from_secs(10), idle[first].read(&mut [0; 1])).await;
        assert!(matches!(read.expect("closed"), Ok(0) | Err(_)));
    }
    assert!(call_over(&mut op_node).await.starts_with("HTTP/1.1 200"));
    // And whoever is new is let in.
    assert!(call_over(&mut connect(&ports[0]).await).await.starts_with("HTTP/1.1 200"));
    let client = reqwest::Client::builder().no_proxy().timeout(Duration::from_secs(10)).build().expect("a client");
    let health = client.get(format!("http://{}/healthz", ports[1])).send().await.expect("an answer");
    assert_eq!(health.status(), 200);
}
