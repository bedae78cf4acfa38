//! The binary: its configuration, and its end.

use crate::{
    node::Node,
    stand::{Options, write_config},
};
use baton_portal::Secret;
use serde_json::Value;
use std::{process::Stdio, time::Duration};
use tokio::{
    io::{AsyncBufReadExt, BufReader},
    process::Command,
};

fn portal() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_portal"));
    command.env_clear().kill_on_drop(true).stderr(Stdio::piped());
    command
}

#[tokio::test]
async fn a_wrong_configuration_is_refused_and_the_key_named() {
    let secrets = tempfile::tempdir().expect("temporary directory");
    let file = secrets.path().join("portal.toml");
    let good = write_config(&secrets, "http://127.0.0.1:1", &Options::default());
    for (text, named) in [(good.clone(), None), (good.replace("queue =", "queues ="), Some("queues"))] {
        std::fs::write(&file, text).expect("written");
        let output = portal().arg("check-config").arg("--config").arg(&file).output().await.expect("it runs");
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.success(), named.is_none(), "{said}");
        assert!(said.contains(named.unwrap_or_default()), "{said}");
    }
    // The environment lies over the file.
    std::fs::write(&file, good).expect("written");
    let command =
        portal().env("BATON_PORTAL_FALLBACK_URL", "ws://x").arg("check-config").arg("--config").arg(&file).output();
    let said = String::from_utf8_lossy(&command.await.expect("it runs").stderr).into_owned();
    assert!(said.contains("fallback.url"), "{said}");
}

#[tokio::test]
async fn sigterm_ends_it_well() {
    let fallback = Node::start("fallback", 3, Secret::new([2; 32])).await;
    let secrets = tempfile::tempdir().expect("temporary directory");
    let file = secrets.path().join("portal.toml");
    std::fs::write(&file, write_config(&secrets, &fallback.url(), &Options::default())).expect("written");
    let mut command = portal();
    command.args(["run", "--log-format", "json", "--config"]).arg(&file);
    let mut running = command.spawn().expect("it runs");
    let mut log = BufReader::new(running.stderr.take().expect("piped")).lines();
    let admin = loop {
        let line = log.next_line().await.expect("readable").expect("it says where it listens");
        let line: Value = serde_json::from_str(&line).expect("JSON");
        if let Some(admin) = line["fields"]["admin"].as_str() {
            break admin.to_owned();
        }
    };
    let client = reqwest::Client::builder().no_proxy().build().expect("a client");
    let health = client.get(format!("http://{admin}/healthz")).send().await.expect("an answer");
    assert_eq!(health.status(), 200);
    let id = running.id().expect("running").to_string();
    assert!(Command::new("kill").args(["-TERM", &id]).status().await.expect("sent").success());
    let ended =
        tokio::time::timeout(Duration::from_secs(10), running.wait()).await.expect("it ends").expect("a status");
    assert!(ended.success(), "{ended}");
}
