//! Ctrl-C leaves no process behind.

use eyre::{Result, eyre};
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use std::{
    collections::HashMap,
    process::Stdio,
    time::{Duration, Instant},
};
use tokio::{
    io::{AsyncBufReadExt, BufReader},
    process::Command,
};

/// Every process by id, with its parent's.
fn processes() -> Result<HashMap<i32, i32>> {
    let mut parents = HashMap::new();
    for entry in std::fs::read_dir("/proc")? {
        let entry = entry?;
        let Some(id) = entry.file_name().to_str().and_then(|name| name.parse::<i32>().ok()) else { continue };
        // The process may have ended since; the fields are after the command's closing parenthesis.
        let Ok(stat) = std::fs::read_to_string(entry.path().join("stat")) else { continue };
        let Some((_, fields)) = stat.rsplit_once(')') else { continue };
        let mut fields = fields.split_whitespace();
        if fields.next() == Some("Z") {
            continue;
        }
        if let Some(parent) = fields.next().and_then(|field| field.parse().ok()) {
            parents.insert(id, parent);
        }
    }
    Ok(parents)
}

fn descendants(of: i32) -> Result<Vec<i32>> {
    let parents = processes()?;
    let mut found = vec![of];
    let mut at = 0;
    while let Some(parent) = found.get(at).copied() {
        found.extend(parents.iter().filter(|(_, p)| **p == parent).map(|(id, _)| *id));
        at += 1;
    }
    found.remove(0);
    Ok(found)
}

#[tokio::test]
async fn ctrl_c_leaves_no_process_behind() -> Result<()> {
    let root = baton_devnet::toolchain::Toolchain::find()?.root().to_owned();
    let mut demo = Command::new(env!("CARGO_BIN_EXE_demo"))
        .current_dir(root)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .kill_on_drop(true)
        .spawn()?;
    let id = i32::try_from(demo.id().ok_or_else(|| eyre!("it has ended"))?)?;
    let mut lines = BufReader::new(demo.stdout.take().ok_or_else(|| eyre!("no output"))?).lines();
    // By the table's header everything runs: anvil, the portal and three keepers.
    while let Some(line) = lines.next_line().await? {
        if line.contains("holder") {
            break;
        }
    }
    let children = descendants(id)?;
    assert!(children.len() >= 5, "only {} processes are below the demo", children.len());

    kill(Pid::from_raw(id), Signal::SIGINT)?;
    let drain = async { while let Ok(Some(_)) = lines.next_line().await {} };
    let (status, ()) = tokio::join!(demo.wait(), drain);
    assert!(!status?.success(), "an interrupted demo proves nothing, so it must not exit with 0");
    let deadline = Instant::now() + Duration::from_secs(15);
    loop {
        let alive = processes()?;
        let left: Vec<_> = children.iter().filter(|child| alive.contains_key(child)).collect();
        if left.is_empty() {
            return Ok(());
        }
        assert!(Instant::now() < deadline, "processes {left:?} outlived the demo");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}
