//! What the portal adds to a call, beside no proxy, a relay of bytes, a bare HTTP reverse proxy (nginx) and rollup-boost, in one run: same upstreams, same
//! bodies, one keep-alive connection each, taken in turns so that a busy machine is busy for all of them.
//!
//! `make bench` installs the peers first; one that is missing is left out and said to be. `--quick` is for seeing that it works, `--only=forkchoiceUpdated` for one
//! kind of call (or `gateways`, `memory`).

#![allow(clippy::print_stdout)] // The report is what it is for.

mod bodies;
mod client;
mod peers;
mod relay;
mod report;
mod upstream;

use bodies::{Block, Bodies, get_payload};
use client::Connection;
use eyre::Result;
use peers::{Peer, Rig};
use report::{Report, Samples};
use std::time::{Duration, Instant};
use upstream::Pace;

const KIB: usize = 1 << 10;
/// Between two calls, for everybody: a consensus client never sends back to back, and what goes on behind its back is not to be what the next call
/// waits for.
const PAUSE: Duration = Duration::from_millis(2);
/// Between two blocks where there are many gateways: their copies have two processors to share with everything else, and no chain has hundreds of blocks
/// a second.
const BLOCK_PAUSE: Duration = Duration::from_millis(15);

/// Between an order and the getting of its payload, in which the order has reached everybody.
const BUILDING: Duration = Duration::from_millis(3);

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
    if let Some(addresses) = std::env::args().find_map(|argument| argument.strip_prefix(relay::FLAG).map(str::to_owned))
    {
        return relay::run(&addresses);
    }
    let plan = if std::env::args().any(|argument| argument == "--quick") { QUICK } else { FULL };
    let only = std::env::args().find_map(|argument| argument.strip_prefix("--only=").map(str::to_owned));
    let wanted = |name: &str| only.as_ref().is_none_or(|only| name.contains(only.as_str()));
    let rig = Rig::start()?;
    let mut report = Report::default();
    let peers = rig.peers(&mut report)?;
    // Others' connections have it; the portal chooses for itself within the machine.
    if let Ok(control) = std::fs::read_to_string("/proc/sys/net/ipv4/tcp_congestion_control") {
        report.note(format!("This machine's congestion control is {}.", control.trim()));
    }
    let bodies = Bodies::read()?;
    for size in [100 * KIB, 500 * KIB, 1000 * KIB, 2000 * KIB] {
        let body = bodies.new_payload(size)?;
        let name = format!("newPayload {} KB", size / KIB);
        if wanted(&name) {
            measure(&plan, &peers, &name, &mut report, size, |connection| connection.call(&body).map(|_| ()))?;
        }
    }
    if wanted("forkchoiceUpdated") {
        let head = bodies.head();
        measure(&plan, &peers, "forkchoiceUpdated", &mut report, 0, |connection| connection.call(&head).map(|_| ()))?;
    }
    for (block, size) in [(Block::Small, 2 * KIB), (Block::Large, 1000 * KIB)] {
        let name = format!("getPayload {} KB", size / KIB);
        if wanted(&name) {
            let (order, get) = (bodies.order(block), get_payload(block));
            // Ordered and got, as op-node does; only the getting is counted, after a pause in which the order has reached everybody.
            measure_after(&plan, &peers, &name, &mut report, Rate { size, pause: PAUSE }, |connection| {
                connection.call(&order)?;
                std::thread::sleep(BUILDING);
                let started = Instant::now();
                let answer = connection.call(&get)?;
                eyre::ensure!(answer > size - size / 10, "a payload of {answer} bytes");
                Ok(started.elapsed())
            })?;
        }
    }
    if wanted("gateways") {
        gateways(&plan, &rig, &bodies, &mut report)?;
    }
    if wanted("memory") {
        drop(peers);
        // Started anew: what large bodies have left behind is another matter.
        memory(&plan, &rig.peers(&mut Report::default())?, &bodies, &mut report)?;
    }
    println!("{report}");
    Ok(())
}

/// How often something is measured: by the size of what is sent, in bytes, and with a pause after each.
#[derive(Clone, Copy)]
struct Rate {
    size: usize,
    pause: Duration,
}

/// Times whole calls.
fn measure(
    plan: &Plan,
    peers: &[Peer],
    name: &str,
    report: &mut Report,
    size: usize,
    call: impl Fn(&mut Connection) -> Result<()>,
) -> Result<()> {
    measure_after(plan, peers, name, report, Rate { size, pause: PAUSE }, |connection| {
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
    Rate { size, pause }: Rate,
    call: impl Fn(&mut Connection) -> Result<Duration>,
) -> Result<()> {
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
    let eight = |others| std::iter::once(Pace::Prompt).chain([others; 7]).collect::<Vec<_>>();
    let peers = [
        rig.portal("1 gateway", &[Pace::Prompt])?,
        rig.portal("8 gateways", &eight(Pace::Prompt))?,
        rig.portal("8, 7 of them slow", &eight(Pace::Slow))?,
        rig.portal("8, 7 of them hanging", &eight(Pace::Hanging))?,
    ];
    for size in [100 * KIB, 1000 * KIB] {
        let (body, head) = (bodies.new_payload(size)?, bodies.head());
        let name = format!("a block of {} KB and its head", size / KIB);
        measure_after(plan, &peers, &name, report, Rate { size, pause: BLOCK_PAUSE }, |connection| {
            let started = Instant::now();
            connection.call(&body)?;
            connection.call(&head)?;
            Ok(started.elapsed())
        })?;
    }
    let (order, get) = (bodies.order(Block::Small), get_payload(Block::Small));
    // As often as a block of 100 KB.
    measure_after(
        plan,
        &peers,
        "an order and its payload",
        report,
        Rate { size: 100 * KIB, pause: BLOCK_PAUSE },
        |connection| {
            let started = Instant::now();
            connection.call(&order)?;
            let ordered = started.elapsed();
            std::thread::sleep(BUILDING);
            let started = Instant::now();
            connection.call(&get)?;
            Ok(ordered + started.elapsed())
        },
    )
}

/// Resident memory over many calls: of ten, six heads, a block, two orders of which one is got, and what is got.
fn memory(plan: &Plan, peers: &[Peer], bodies: &Bodies, report: &mut Report) -> Result<()> {
    let (tenth, all) = (plan.memory_calls / 10, plan.memory_calls);
    let (head, block, order) = (bodies.head(), bodies.new_payload(20 * KIB)?, bodies.order(Block::Small));
    let get = get_payload(Block::Small);
    for peer in peers.iter().filter(|peer| peer.is_process()) {
        let mut connection = peer.connect()?;
        let mut after = |calls: usize| -> Result<u64> {
            for index in 0..calls {
                connection.call(match index % 10 {
                    0 => &block,
                    3 | 6 => &order,
                    7 => &get,
                    _ => &head,
                })?;
            }
            peer.resident()
        };
        let early = after(tenth)?;
        report.add_memory(peer.name, [(tenth, early), (all, after(all - tenth)?)]);
    }
    report.note(
        "Of ten calls for memory, six are heads, one is a block of 20 KB, two are orders and one gets a payload."
            .to_owned(),
    );
    Ok(())
}
