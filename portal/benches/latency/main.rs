//! What the portal adds to a call, beside no proxy, a bare HTTP reverse proxy (nginx) and rollup-boost, in one run: same upstreams, same bodies,
//! one keep-alive connection each, taken in turns so that a busy machine is busy for all of them.
//!
//! `make bench` installs the peers first; one that is missing is left out and said to be. `--quick` is for seeing that it works, `--only=forkchoiceUpdated` for one
//! kind of call (or `gateways`, `memory`).

#![allow(clippy::print_stdout)] // The report is what it is for.

mod bodies;
mod client;
mod peers;
mod report;
mod upstream;

use bodies::Bodies;
use client::Connection;
use eyre::Result;
use peers::{Peer, Rig};
use report::{Report, Samples};
use std::time::{Duration, Instant};

const KIB: usize = 1 << 10;
/// Between two calls, for everybody: a consensus client never sends back to back, and what goes on behind its back is not to be what the next call
/// waits for.
const PAUSE: Duration = Duration::from_millis(2);
/// Between two blocks where there are many gateways: their copies have two processors to share with everything else, and no chain has hundreds of blocks
/// a second.
const BLOCK_PAUSE: Duration = Duration::from_millis(15);

struct Plan {
    rounds: usize,
    /// Calls of each kind in a round, by body size.
    calls: fn(usize) -> usize,
    memory_calls: usize,
}

const FULL: Plan = Plan {
    rounds: 6,
    calls: |size| match size {
        0..=10_000 => 400,
        10_001..=200_000 => 200,
        200_001..=700_000 => 100,
        700_001..=1_500_000 => 70,
        _ => 50,
    },
    memory_calls: 100_000,
};
const QUICK: Plan = Plan { rounds: 2, calls: |_| 10, memory_calls: 1000 };

fn main() -> Result<()> {
    let plan = if std::env::args().any(|argument| argument == "--quick") { QUICK } else { FULL };
    let only = std::env::args().find_map(|argument| argument.strip_prefix("--only=").map(str::to_owned));
    let wanted = |name: &str| only.as_ref().is_none_or(|only| name.contains(only.as_str()));
    let rig = Rig::start()?;
    let mut report = Report::default();
    let peers = rig.peers(&mut report)?;
    let bodies = Bodies::read()?;
    for size in [100 * KIB, 500 * KIB, 1000 * KIB, 2000 * KIB] {
        let body = bodies.new_payload(size)?;
        let name = format!("newPayload {} KB", size / KIB);
        if wanted(&name) {
            measure(&plan, &peers, &name, &mut report, |connection| connection.call(&body).map(|_| ()))?;
        }
    }
    if wanted("forkchoiceUpdated") {
        let head = bodies.head();
        measure(&plan, &peers, "forkchoiceUpdated", &mut report, |connection| connection.call(&head).map(|_| ()))?;
    }
    if wanted("getPayload") {
        let (order, get) = (bodies.order(), bodies.get_payload());
        // Ordered and got, as op-node does; only the getting is counted, after a pause in which the order has reached everybody.
        measure_after(&plan, &peers, "getPayload", &mut report, PAUSE, |connection| {
            connection.call(&order)?;
            std::thread::sleep(Duration::from_millis(3));
            let started = Instant::now();
            let answer = connection.call(&get)?;
            eyre::ensure!(answer > 1000, "a payload of {answer} bytes");
            Ok(started.elapsed())
        })?;
    }
    if wanted("gateways") {
        gateways(&plan, &rig, &bodies, &mut report)?;
    }
    if wanted("memory") {
        memory(&plan, &rig, &bodies, &mut report)?;
    }
    println!("{report}");
    Ok(())
}

/// Times whole calls.
fn measure(
    plan: &Plan,
    peers: &[Peer],
    name: &str,
    report: &mut Report,
    call: impl Fn(&mut Connection) -> Result<()>,
) -> Result<()> {
    measure_after(plan, peers, name, report, PAUSE, |connection| {
        let started = Instant::now();
        call(connection)?;
        Ok(started.elapsed())
    })
}

/// Times what `call` says.
fn measure_after(
    plan: &Plan,
    peers: &[Peer],
    name: &str,
    report: &mut Report,
    pause: Duration,
    call: impl Fn(&mut Connection) -> Result<Duration>,
) -> Result<()> {
    let size = name.split(' ').nth(1).and_then(|text| text.parse::<usize>().ok()).unwrap_or(0) * KIB;
    let calls = (plan.calls)(size);
    let mut all: Vec<Samples> = peers.iter().map(|_| Samples::default()).collect();
    for _ in 0..plan.rounds {
        for (peer, samples) in peers.iter().zip(&mut all) {
            let mut connection = peer.connect()?;
            for _ in 0..calls / 10 + 1 {
                call(&mut connection)?;
            }
            let before = peer.cpu()?;
            for _ in 0..calls {
                samples.times.push(call(&mut connection)?);
                std::thread::sleep(pause);
            }
            samples.cpu += peer.cpu()?.saturating_sub(before);
        }
    }
    for (peer, samples) in peers.iter().zip(all) {
        report.add(name, peer.name, samples);
    }
    Ok(())
}

/// What the number of gateways, and their slowness, does to op-node's calls.
fn gateways(plan: &Plan, rig: &Rig, bodies: &Bodies, report: &mut Report) -> Result<()> {
    let peers =
        [rig.portal("1 gateway", 1, 0)?, rig.portal("8 gateways", 8, 0)?, rig.portal("8, 7 of them hanging", 1, 7)?];
    let body = bodies.new_payload(100 * KIB)?;
    let head = bodies.head();
    measure_after(plan, &peers, "a block (100 KB) and its head", report, BLOCK_PAUSE, |connection| {
        let started = Instant::now();
        connection.call(&body)?;
        connection.call(&head)?;
        Ok(started.elapsed())
    })
}

/// Resident memory over many calls.
fn memory(plan: &Plan, rig: &Rig, bodies: &Bodies, report: &mut Report) -> Result<()> {
    let portal = rig.portal("portal", 1, 0)?;
    let mut connection = portal.connect()?;
    let (head, body) = (bodies.head(), bodies.new_payload(20 * KIB)?);
    let mut at = |calls: usize, share: usize| -> Result<u64> {
        for index in 0..calls {
            connection.call(if index % share == 0 { &body } else { &head })?;
        }
        portal.resident()
    };
    let (tenth, all) = (plan.memory_calls / 10, plan.memory_calls);
    let early = at(tenth, 10)?;
    let late = at(all - tenth, 10)?;
    report.note(format!(
        "Memory: {} KiB resident after {tenth} calls, {} KiB after {all} (a tenth of them payloads of 20 KB).",
        early / 1024,
        late / 1024
    ));
    Ok(())
}
