//! `make demo`: the dropped baton, on a real chain, for people to watch.

use baton_devnet::{
    stack::{Stack, StackConfig},
    story,
    timeline::Timeline,
};
use clap::Parser;
use eyre::Result;
use std::{io::IsTerminal, process::ExitCode, time::Duration};
use tokio::signal::unix::{Signal, SignalKind, signal};

/// The dropped baton, on a real chain.
///
/// Starts an L1 (anvil) with short slots, deploys Baton, and runs an L2 with three execution engines, a portal and two
/// gateways that take turns. Then one gateway's keeper is killed with soft blocks out; the other re-creates them, settles
/// them, and is paid from the collateral of the first. At the end everything is audited: ether to the wei, every L2 block that
/// was ever head, every blob. Exits with 0 only if all of it adds up. Ctrl-C ends it, and every process with it.
#[derive(Parser)]
#[command(name = "demo")]
struct Arguments {
    /// Leave everything up at the end, with addresses and URLs printed, until Ctrl-C.
    #[arg(long)]
    keep_running: bool,
    /// Seconds in an L1 slot.
    #[arg(long, default_value_t = 2, value_parser = clap::value_parser!(u64).range(1..=3))]
    slot_length: u64,
    /// Have an unmodified kona-node order the L2's blocks, instead of the devnet's own driver. `make test-kona` installs it.
    #[arg(long)]
    kona: bool,
}

#[tokio::main]
async fn main() -> ExitCode {
    let arguments = Arguments::parse();
    // The programs' own logs go to files; what this process logs is for debugging the devnet: RUST_LOG=debug.
    tracing_subscriber::fmt()
        .with_env_filter(tracing_subscriber::EnvFilter::from_default_env())
        .with_writer(std::io::stderr)
        .init();
    let timeline = Timeline::new(std::io::stdout().is_terminal());
    let outcome = tokio::select! {
        outcome = run(&arguments, &timeline) => outcome,
        interrupted = interruption() => interrupted.and_then(|()| Err(eyre::eyre!("interrupted"))),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            timeline.failure(&error);
            ExitCode::FAILURE
        }
    }
}

async fn run(arguments: &Arguments, timeline: &Timeline) -> Result<()> {
    let config = StackConfig { slot_length: arguments.slot_length, kona: arguments.kona, ..StackConfig::default() };
    let mut stack = Stack::start(config, |what| timeline.progress(what)).await?;
    timeline.begin(&stack);
    let summary = story::tell(&mut stack, |scene| timeline.scene(&scene)).await?;
    timeline.summary(&stack, &summary);
    if arguments.keep_running {
        timeline.addresses(&stack);
        tokio::select! {
            () = watch_over(&mut stack) => {}
            interrupted = interruption() => interrupted?,
        }
    }
    stack.stop().await
}

/// Runs for as long as nothing breaks.
async fn watch_over(stack: &mut Stack) {
    while stack.check(&["keeper-a"]).await.is_ok() {
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
}

/// Resolves on Ctrl-C, termination, or the terminal's end.
async fn interruption() -> Result<()> {
    let mut signals: Vec<Signal> = Vec::new();
    for kind in [SignalKind::interrupt(), SignalKind::terminate(), SignalKind::hangup()] {
        signals.push(signal(kind)?);
    }
    let any = futures::future::select_all(signals.iter_mut().map(|signal| Box::pin(signal.recv())));
    any.await;
    Ok(())
}
