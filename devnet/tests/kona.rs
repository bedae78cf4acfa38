//! The portal behind an unmodified rollup node: kona-node sequences through it, on a real L1 with the real contracts, and derives from what the
//! keepers settle. `make test-kona` installs the node and runs this; it takes some minutes.

#![allow(clippy::print_stdout, reason = "long work shows progress")]

use baton_bindings::IInbox;
use baton_devnet::{
    driver::EngineClient,
    kona::{KonaNode, LogLine},
    sequencer::Sequencer,
    stack::{Stack, StackConfig},
    story::{self, Scene},
    traffic::Traffic,
};
use baton_devnet_engine::JwtSecret;
use eyre::{Result, bail, ensure};
use serde::Deserialize;
use std::{
    collections::{BTreeMap, HashSet},
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};
use tokio_util::sync::CancellationToken;

const A: u16 = 1;
/// A block that comes later than this after its time isn't one that users wouldn't notice.
const TOLERANCE_MS: u64 = 4_000;

/// A line of the portal's `/decisions`.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Decision {
    number: u64,
    timestamp: u64,
    owner: Option<u16>,
    choice: String,
    outcome: String,
    reason: String,
    block_hash: Option<alloy::primitives::B256>,
    at_ms: u64,
}

/// A devnet and what its portal has said so far.
struct Run {
    stack: Stack,
    started: Instant,
    decisions: BTreeMap<u64, Decision>,
    /// What has been killed on purpose.
    dead: &'static [&'static str],
}

impl Run {
    async fn start() -> Result<Self> {
        let started = Instant::now();
        let config = StackConfig { kona: true, ..StackConfig::default() };
        let stack = Stack::start(config, |what| say(started, what)).await?;
        Ok(Self { stack, started, decisions: BTreeMap::new(), dead: &[] })
    }

    fn say(&self, what: &str) {
        say(self.started, what);
    }

    fn kona(&self) -> &KonaNode {
        match &self.stack.sequencer {
            Sequencer::Kona(node) => node,
            Sequencer::Driver(_) => unreachable!("configured otherwise"),
        }
    }

    fn head(&self) -> u64 {
        self.stack.sequencer.head().number
    }

    /// Reads the portal's decisions until a condition holds. Nothing that runs may end meanwhile.
    async fn until(&mut self, what: &str, mut holds: impl AsyncFnMut(&Self) -> Result<bool>) -> Result<()> {
        let deadline = Instant::now() + Duration::from_secs(180);
        let mut told = Instant::now();
        loop {
            self.stack.check(self.dead).await?;
            let answer = reqwest::get(format!("{}/decisions?count=64", self.stack.portal_admin_url)).await?;
            let decisions: Vec<Decision> = answer.json().await?;
            self.decisions.extend(decisions.into_iter().map(|decision| (decision.number, decision)));
            if holds(self).await? {
                return Ok(());
            }
            if told.elapsed() > Duration::from_secs(10) {
                told = Instant::now();
                self.say(&format!("  block {}, waiting for {what}", self.head()));
            }
            ensure!(Instant::now() < deadline, "waited too long for {what}; block {}", self.head());
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }

    /// What the node has logged that isn't good, since its first block: before, it resets its engine by itself.
    fn complaints(&self) -> Result<Vec<LogLine>> {
        let lines = self.kona().log()?.into_iter();
        let since = lines.skip_while(|line| line.fields["message"] != "Started sequencing new block");
        let bad = |line: &LogLine| match line.level.as_str() {
            // Not all that a batcher sends to the inbox is a batch: it takes the baton and collects, too, which the node says and skips.
            "ERROR" => line.target != "frame_queue",
            level => level == "WARN" && line.target.contains("engine"),
        };
        Ok(since.filter(bad).collect())
    }

    /// The chain from `from` on is whole, every block is the one that the portal served, and none was late.
    fn check_blocks(&self, from: u64, to: u64) -> Result<u64> {
        let mut latest = 0;
        for number in from..=to {
            let Some(decision) = self.decisions.get(&number) else { bail!("the portal served no block {number}") };
            let Some(block) = self.stack.fallback.engine.block_at(number) else { bail!("there is no block {number}") };
            ensure!(decision.block_hash == Some(block.hash()), "block {number} isn't the one served: {decision:?}");
            ensure!(decision.timestamp == self.stack.clock.block_time(number), "block {number} has another time");
            let late = decision.at_ms.saturating_sub(decision.timestamp * 1000);
            ensure!(late < TOLERANCE_MS, "block {number} came {late} ms late");
            latest = latest.max(late);
        }
        Ok(latest)
    }

    fn last(&self) -> Option<&Decision> {
        self.decisions.values().next_back()
    }

    /// Waits until the node has derived what the keepers have settled by now, and says how far that is.
    async fn derived(&mut self) -> Result<u64> {
        let inbox = IInbox::new(self.stack.deployment.inbox, self.stack.l1.provider().clone());
        let settled = inbox.head().call().await?.number;
        ensure!(settled > 0, "nothing is settled");
        self.until("the node to derive what is settled", async |run| {
            let safe = run.stack.fallback.engine.safe().map_or(0, |block| block.number());
            Ok(safe >= settled)
        })
        .await?;
        Ok(settled)
    }

    /// Shows what there is to see after a failure.
    fn logs(&self) -> String {
        let processes = [self.kona().process(), &self.stack.portal];
        processes.map(|process| format!("--- {}\n{}", process.name(), process.tail(40))).join("\n")
    }
}

fn say(started: Instant, what: &str) {
    println!("[{:>5.1} s] {what}", started.elapsed().as_secs_f64());
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "takes kona-node: make test-kona"]
async fn kona_node_never_misses_a_block_whatever_happens_to_gateway_and_portal() -> Result<()> {
    let mut run = Run::start().await?;
    match chapters(&mut run).await {
        Ok(()) => run.stack.stop().await,
        Err(error) => Err(error.wrap_err(run.logs())),
    }
}

async fn chapters(run: &mut Run) -> Result<()> {
    run.say("kona-node has started: it sequences through the portal");
    // Transactions that only A is told of: whichever block holds one was built by A.
    let client = EngineClient::new(run.stack.gateways[0].engine.rpc_url(), JwtSecret::new([0; 32]));
    let (sender, stop) = (run.stack.playground.clone(), CancellationToken::new());
    let private = Traffic::start(client, sender, 90_210, Duration::from_millis(300), stop.clone());

    let turns = |run: &Run| {
        let owners = run.decisions.values().rev().take(2).map(|decision| decision.owner);
        owners.collect::<Vec<_>>()
    };
    // A's second window begins: it had a whole one before, and B too.
    run.until("both gateways' windows", async |run| {
        let served = |id: u16| run.decisions.values().filter(|d| d.owner == Some(id) && d.choice == "gateway").count();
        Ok(run.head() >= 24 && served(1) >= 8 && served(2) >= 8 && turns(run) == [Some(A), Some(2)])
    })
    .await?;
    let head = run.head();
    let late = run.check_blocks(1, head)?;
    run.say(&format!("{head} blocks in a row, none later than {late} ms"));
    let sent: HashSet<_> = private.sent().into_iter().collect();
    let mut by_gateway = 0;
    let mut private_blocks = 0;
    for number in 1..=head {
        let decision = &run.decisions[&number];
        let block = run.stack.fallback.engine.block_at(number).expect("checked");
        let private =
            block.transactions.iter().filter(|transaction| sent.contains(&transaction.inner().tx_hash())).count();
        if decision.choice == "gateway" {
            ensure!(decision.outcome == "valid", "{decision:?}");
            by_gateway += 1;
        }
        let by_a = decision.owner == Some(A) && decision.choice == "gateway";
        ensure!(by_a || private == 0, "block {number} isn't A's and holds what only A knew: {decision:?}");
        private_blocks += u64::from(private > 0);
    }
    ensure!(by_gateway + 2 >= head, "gateways built {by_gateway} of {head} blocks");
    ensure!(private_blocks >= 8, "only {private_blocks} blocks hold transactions that only A knew");
    run.say(&format!("gateways built {by_gateway} of them; {private_blocks} hold transactions that only A knew"));

    stop.cancel();
    run.stack.gateways[0].engine.kill();
    let killed = run.head();
    run.say(&format!("A's engine is killed after block {killed}, at the beginning of A's window"));
    run.until("six blocks of A's that the fallback built", async |run| {
        let fallback = run.decisions.range(killed + 1..).filter(|(_, d)| d.owner == Some(A) && d.choice == "fallback");
        Ok(fallback.count() >= 6)
    })
    .await?;
    let head = run.head();
    let late = run.check_blocks(killed + 1, head)?;
    for (_, decision) in run.decisions.range(killed + 2..=head) {
        let absent = matches!(decision.outcome.as_str(), "unreachable" | "late" | "not_asked");
        ensure!(decision.owner != Some(A) || absent, "A is dead: {decision:?}");
    }
    let why = run.decisions.range(killed + 2..=head).map(|(_, d)| format!("{}: {}", d.outcome, d.reason));
    let why: HashSet<String> = why.collect();
    run.say(&format!("blocks {} to {head} are the fallback's, none later than {late} ms: {why:?}", killed + 1));

    run.stack.gateways[0].engine.serve_again().await?;
    run.stack.gateways[0].engine.sync_from(&run.stack.fallback.engine).await?;
    run.say("A's engine is back");
    run.until("A to have the head", async |run| {
        let [a, fallback] = [&run.stack.gateways[0].engine, &run.stack.fallback].map(|served| served.engine.head());
        Ok(a.hash() == fallback.hash())
    })
    .await?;
    let back = run.head();
    run.until("a block that A builds", async |run| {
        Ok(run.last().is_some_and(|d| d.number > back && d.owner == Some(A) && d.choice == "gateway"))
    })
    .await?;
    let head = run.last().map_or(0, |decision| decision.number);
    run.say(&format!("A had the head again at block {back} and built block {head}"));
    let late = run.check_blocks(killed + 1, head)?;
    let complaints = run.complaints()?;
    ensure!(complaints.is_empty(), "kona-node complains: {complaints:?}");
    run.say(&format!("no block was later than {late} ms, and kona-node has noticed nothing"));

    // Stopped for a moment, as for a new version; then killed, and away for several blocks.
    for (how, pause) in [("is stopped", Duration::ZERO), ("is killed", Duration::from_secs(4))] {
        let head = run.head();
        if pause > Duration::ZERO {
            run.stack.portal.kill().await?;
        }
        tokio::time::sleep(pause).await;
        run.stack.restart_portal().await?;
        run.say(&format!("the portal {how} at block {head} and started again {} s later", pause.as_secs()));
        run.until("ten more blocks", async |run| Ok(run.head() >= head + 10)).await?;
        let gateways = run.decisions.range(head + 3..).filter(|(_, decision)| decision.choice == "gateway").count();
        ensure!(gateways >= 5, "gateways built {gateways} blocks after the portal's restart");
        run.until("the chain's own time", async |run| {
            let now = SystemTime::now().duration_since(UNIX_EPOCH)?.as_secs();
            Ok(run.stack.clock.block_time(run.head() + 1) >= now)
        })
        .await?;
    }

    let settled = run.derived().await?;
    let lost = baton_devnet::audit::check_chain(&run.stack.fallback.engine, &run.stack.sequencer.adopted());
    ensure!(lost.is_empty(), "blocks that were head are lost: {lost:?}");
    let status = run.kona().sync_status().await?;
    run.say(&format!(
        "block {}, settled {settled}, derived {}: no block that was head is lost",
        status["unsafe_l2"]["number"], status["safe_l2"]["number"]
    ));
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "takes kona-node: make test-kona"]
async fn the_dropped_baton_is_the_same_story_with_kona_node() -> Result<()> {
    let mut run = Run::start().await?;
    let started = run.started;
    let summary = story::tell(&mut run.stack, |scene| {
        if let Scene::Headline(text) = scene {
            say(started, text);
        }
    })
    .await;
    let summary = match summary {
        Ok(summary) => summary,
        Err(error) => return Err(error.wrap_err(run.logs())),
    };
    run.dead = &["keeper-a"];
    run.derived().await?;
    let complaints = run.complaints()?;
    ensure!(complaints.is_empty(), "kona-node complains: {complaints:?}");
    run.say(&format!("{} blocks, {} settled and derived", summary.adopted, summary.settled));
    run.stack.stop().await
}
