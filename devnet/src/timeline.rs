//! The story as text: a line a slot, a headline a chapter, a table at the end.

use crate::{
    sequencer::Sequencer,
    stack::Stack,
    story::{EpochOrigin, Event, Observation, Scene, Summary},
};
use alloy::primitives::{U256, utils::format_ether};
use baton_bindings::{Outcome, RunKind};
use baton_protocol::{GatewayId, Kind, NOBODY};
use std::io::Write;

const BOLD: &str = "\x1b[1m";
const GREEN: &str = "\x1b[32m";
const YELLOW: &str = "\x1b[33m";
const RED: &str = "\x1b[31m";
const DIM: &str = "\x1b[2m";
const PLAIN: &str = "\x1b[0m";

/// Writes to standard output; a closed pipe at the other end is no reason to fail.
pub struct Timeline {
    colour: bool,
}

impl Timeline {
    /// With colours for a terminal, without for anything else.
    pub const fn new(colour: bool) -> Self {
        Self { colour }
    }

    fn paint(&self, style: &str, text: &str) -> String {
        if self.colour { format!("{style}{text}{PLAIN}") } else { text.to_owned() }
    }

    fn line(&self, text: &str) {
        let mut out = std::io::stdout().lock();
        let _ = writeln!(out, "{text}");
        let _ = out.flush();
    }

    /// Something is being prepared.
    pub fn progress(&self, what: &str) {
        self.line(&self.paint(DIM, &format!("… {what}")));
    }

    /// The run failed.
    pub fn failure(&self, error: &eyre::Report) {
        self.line(&self.paint(RED, &format!("✗ {error:#}")));
    }

    /// What is about to be seen.
    pub fn begin(&self, stack: &Stack) {
        let p = &stack.parameters;
        self.line("");
        self.line(&format!(
            "L1 slots of {} s in epochs of 32, turns of {} slots; L2 blocks of {} s; a block belongs to the slot {} later",
            p.slot_length, p.turn, p.l2_block_time, p.settlement_delay
        ));
        self.line(&format!(
            "A dropped block costs {} ETH, half of it to who re-creates it, collectable {} slots later",
            format_short(p.block_price),
            p.evidence_horizon
        ));
        self.line(&self.paint(DIM, &format!("logs: {}", stack.folder.path().join("logs").display())));
        self.line("");
        let header = " epoch  slot  holder        L2 head  settled  open  penalty A  penalty B  what happened";
        self.line(&self.paint(BOLD, header));
    }

    /// A scene of the story.
    pub fn scene(&self, scene: &Scene<'_>) {
        match scene {
            Scene::Headline(text) => self.line(&self.paint(YELLOW, &format!("▶ {text}"))),
            Scene::Slot(observation) => self.slot(observation),
        }
    }

    fn slot(&self, seen: &Observation) {
        if let Some(origin) = &seen.origin {
            self.line(&self.paint(YELLOW, &format!("▶ epoch {}: {}", origin.epoch, how(origin))));
        }
        let window = seen.window;
        let place = format!("{}/{}", seen.slot - window.first + 1, window.end - window.first);
        let holder = match window.kind {
            Kind::Open => format!("open {place}"),
            Kind::Fallback => format!("{} turn {place}", name(window.gateway)),
            Kind::Proven => format!("{} proven {place}", name(window.gateway)),
        };
        let events: Vec<String> = seen.events.iter().map(|event| self.event(event)).collect();
        self.line(&format!(
            "{:>6} {:>5}  {holder:<13} {:>7} {:>8} {:>5} {:>10} {:>10}  {}",
            seen.epoch(),
            seen.slot,
            seen.l2_head,
            seen.settled,
            seen.l2_head.saturating_sub(seen.settled),
            format_short(seen.penalty[0]),
            format_short(seen.penalty[1]),
            events.join("; ")
        ));
    }

    fn event(&self, event: &Event) -> String {
        match event {
            Event::Settled { gateway, first, last, outcomes } => {
                let runs: Vec<String> = outcomes.iter().map(run).collect();
                let text = format!("{} settled {first}-{last}: {}", name(*gateway), runs.join(" + "));
                self.paint(GREEN, &text)
            }
            Event::Published { epoch, by } => {
                self.paint(GREEN, &format!("{by} published the lookahead of epoch {epoch}"))
            }
            Event::BatonTaken(gateway) => format!("{} took the baton", name(*gateway)),
            Event::Charged { gateway, paid } => {
                self.paint(RED, &format!("{} charged {} ETH", name(*gateway), format_short(*paid)))
            }
            Event::Ineligible { gateway, from_epoch } => {
                self.paint(RED, &format!("{} is ineligible, unscheduled from epoch {from_epoch}", name(*gateway)))
            }
            Event::BountyPaid { amount, .. } => {
                self.paint(GREEN, &format!("B's share is paid: {} ETH", format_short(*amount)))
            }
            Event::CreditWithdrawn { amount, .. } => format!("{} ETH of credit pulled", format_short(*amount)),
        }
    }

    /// The table at the end.
    pub fn summary(&self, stack: &Stack, summary: &Summary) {
        let ether = &summary.ether;
        self.line("");
        self.line(&self.paint(BOLD, "                     gateway A          gateway B"));
        let [a, b] =
            [stack.gateways[0].id, stack.gateways[1].id].map(|id| ether.gateways.get(&id).copied().unwrap_or_default());
        let row = |what: &str, a: String, b: String| self.line(&format!("{what:<18} {a:>11}        {b:>11}"));
        row("paid in, ETH", format_short(a.deposited), format_short(b.deposited));
        row("blocks dropped", a.charged_blocks.to_string(), b.charged_blocks.to_string());
        row("charged, ETH", format_short(a.charged), format_short(b.charged));
        row("share earned, ETH", format_short(a.earned), format_short(b.earned));
        row("penalty, ETH", format_short(a.penalty), format_short(b.penalty));
        row("refund, ETH", format_short(a.refund), format_short(b.refund));
        row("eligible", yes(a.eligible), yes(b.eligible));
        self.line("");
        self.line(&format!(
            "registry holds {} ETH = tranches {} + credits {} + shares not yet due {} + burned {} + fees {}",
            format_short(ether.held),
            format_short(a.penalty + a.refund + b.penalty + b.refund),
            format_short(ether.credits),
            format_short(ether.outstanding),
            format_short(ether.burned),
            format_short(ether.fees),
        ));
        let good = |text: &str| self.line(&self.paint(GREEN, &format!("✓ {text}")));
        good("the accounting adds up to the wei");
        good(&format!("{} L2 blocks were head, none is lost; {} are settled", summary.adopted, summary.settled));
        good(&format!("{} blocks read back from the blobs by kona are the fallback engine's blocks", summary.derived));
        good(&format!("{} transactions were accepted, all are included", summary.transactions));
        good(&format!("B's owner pulled {} ETH", format_short(summary.pulled)));
        for origin in &summary.epochs {
            good(&format!("epoch {}: {}", origin.epoch, how(origin)));
        }
    }

    /// Where everything is, for who wants to play with it.
    pub fn addresses(&self, stack: &Stack) {
        self.line("");
        self.line(&self.paint(BOLD, "Everything is left running; Ctrl-C ends it."));
        let row = |what: &str, value: &dyn std::fmt::Display| self.line(&format!("  {what:<22} {value}"));
        row("L1 RPC and Beacon API", &stack.l1.url());
        row("registry", &stack.deployment.registry);
        row("inbox", &stack.deployment.inbox);
        row("SystemConfig", &stack.deployment.system_config);
        row("L2 RPC", &stack.wallet_url);
        row("funded L2 account", &stack.playground.address());
        row("its key, for play only", &stack.playground.to_bytes());
        row("fallback engine's RPC", &stack.fallback.rpc_url());
        if let Sequencer::Kona(node) = &stack.sequencer {
            row("kona-node's RPC", &node.rpc_url());
        }
        row("portal, Engine API", &stack.portal_url);
        row("portal, admin", &stack.portal_admin_url);
        for gateway in &stack.gateways {
            row(&format!("{}'s feed", gateway.name), &gateway.feed_url);
            row(&format!("{}'s admin", gateway.name), &gateway.admin_url);
        }
        row("counter on L2", &stack.traffic.counter());
        row("logs", &stack.folder.path().join("logs").display());
        self.line("");
        self.line("Send a transfer, read the schedule, look at a keeper and at the portal's choices:");
        let [registry, l1, l2] = [&stack.deployment.registry.to_string(), &stack.l1.url(), &stack.wallet_url];
        let key = stack.playground.to_bytes();
        for command in [
            format!(
                "node_modules/.bin/cast send --rpc-url {l2} --private-key {key} {} --value 1",
                stack.traffic.counter()
            ),
            format!("node_modules/.bin/cast call --rpc-url {l1} {registry} 'eligibleGateways()(uint16[])'"),
            format!("curl -s {}/status", stack.gateways[1].admin_url),
            format!("curl -s {}/decisions", stack.portal_admin_url),
        ] {
            self.line(&format!("  {command}"));
        }
    }
}

/// How an epoch's schedule came about.
fn how(origin: &EpochOrigin) -> String {
    match origin {
        EpochOrigin { proven: 0, open: 0, .. } => "nobody published its lookahead, the rotation applies".to_owned(),
        EpochOrigin { proven: 0, .. } => "nobody published its lookahead, and nobody is eligible".to_owned(),
        EpochOrigin { proven, fallback: 0, open: 0, .. } => {
            format!(
                "lookahead published, all {proven} slots proven from the beacon state and the proposers' delegations"
            )
        }
        EpochOrigin { proven, .. } => {
            format!(
                "lookahead published, {proven} slots proven from the beacon state, the last {} left to the rotation",
                32 - proven
            )
        }
    }
}

fn name(gateway: GatewayId) -> String {
    match gateway {
        NOBODY => "nobody".to_owned(),
        1 => "A".to_owned(),
        2 => "B".to_owned(),
        other => other.to_string(),
    }
}

fn run(outcome: &Outcome) -> String {
    let owner = name(outcome.owner);
    let charged = if outcome.charged > 0 { format!(", {} charged", outcome.charged) } else { String::new() };
    match outcome.kind {
        RunKind::Own => format!("{} own", outcome.blocks),
        RunKind::Recreated => format!("{} of {owner} re-created{charged}", outcome.blocks),
        RunKind::Vacant => format!("{} of {owner} vacant{charged}", outcome.blocks),
        RunKind::Stale => format!("{} stale", outcome.blocks),
    }
}

fn yes(value: bool) -> String {
    if value { "yes" } else { "no" }.to_owned()
}

/// Ether without trailing zeros: exact, as every amount here is.
fn format_short(wei: U256) -> String {
    let text = format_ether(wei);
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}
