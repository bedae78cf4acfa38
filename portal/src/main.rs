//! The `portal` binary. It logs as the library does: whoever asks for the portal's target means this as well.

use baton_logging::{in_one_line, told};
use baton_portal::{
    Config, Running,
    boost::BoostArgs,
    cli::{Cli, Command, LogFormat, Settings, Unused, unknown_variables},
    descriptors,
    logging::LOG,
    program::run_to_the_end,
    reload,
};
use clap::Parser;
use eyre::{WrapErr, eyre};
use std::{ffi::OsString, io::Write, path::Path, process::ExitCode};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio_util::sync::CancellationToken;
use tracing::Level;

fn main() -> ExitCode {
    let command = Cli::parse_from(arguments()).command;
    let wanted = command.logging();
    let logs = wanted.map_or(Ok(()), |(level, format)| LOG.begin(level, format == LogFormat::Json));
    let is_json = logs.is_ok() && wanted.is_some_and(|(_, format)| format == LogFormat::Json);
    let Err(error) = logs.map_err(eyre::Report::from).and_then(|()| start(command)) else { return ExitCode::SUCCESS };
    let error = said(&error);
    if is_json && tracing::enabled!(target: LOG.own, Level::ERROR) {
        tracing::error!(target: LOG.own, %error, "the portal can't run");
    } else {
        // Where that can't be written, there is nobody to tell.
        let _ = writeln!(std::io::stderr(), "Error: {error}");
    }
    ExitCode::FAILURE
}

/// An error and its causes, in one line.
fn said(error: &eyre::Report) -> String {
    in_one_line(&told(error.as_ref()))
}

/// Where the configuration comes from.
enum Source {
    Settings(Box<Settings>),
    Boost(Box<BoostArgs>),
}

impl Source {
    fn load(&self) -> eyre::Result<Config> {
        Ok(match self {
            Self::Settings(settings) => settings.load()?,
            Self::Boost(args) => args.load()?,
        })
    }

    /// What is given in vain.
    fn unused(&self, config: &Config) -> Vec<Unused> {
        let (command, unused) = match self {
            Self::Settings(_) => ("run", Vec::new()),
            Self::Boost(args) => ("boost", args.unused()),
        };
        unused.into_iter().chain(unknown_variables(command, config)).collect()
    }

    /// Keys of the file that something else comes before.
    fn hidden(&self) -> Vec<String> {
        match self {
            Self::Settings(settings) => settings.hidden(),
            Self::Boost(args) => args.hidden(),
        }
    }

    /// An error in the words of whoever wrote the configuration.
    fn explain(&self, error: &eyre::Report) -> String {
        match self {
            Self::Settings(settings) => settings.explain(&said(error)),
            Self::Boost(args) => args.explain(&said(error)),
        }
    }
}

fn start(command: Command) -> eyre::Result<()> {
    run_to_the_end(obey(command)).wrap_err("can't have a thread to run on")?
}

async fn obey(command: Command) -> eyre::Result<()> {
    let source = match command {
        Command::Run { settings, .. } => Source::Settings(Box::new(settings)),
        Command::CheckConfig { settings, against } => {
            return check(&Source::Settings(Box::new(settings)), against.as_deref());
        }
        Command::Boost(args) if args.check_config => return check(&Source::Boost(args), None),
        Command::Boost(args) => Source::Boost(args),
    };
    run(&source).await.map_err(|error| eyre!(source.explain(&error)))
}

/// Says what is wrong with a configuration, or what had better be otherwise, and what differs from another file.
fn check(source: &Source, against: Option<&Path>) -> eyre::Result<()> {
    let checked = || {
        LOG.check()?;
        let config = source.load()?;
        let warnings = config.check()?;
        Ok((config, warnings))
    };
    let (config, warnings) = checked().map_err(|error| eyre!(source.explain(&error)))?;
    let mut out = std::io::stdout().lock();
    for unused in source.unused(&config) {
        writeln!(out, "warning: {unused}")?;
    }
    for warning in warnings {
        writeln!(out, "warning: {warning}")?;
    }
    if let (Some(path), Source::Settings(settings)) = (against, source) {
        // What the command line and the environment say, they say to the other one, too.
        let other = settings.load_instead(path).wrap_err_with(|| format!("--against {}", path.display()))?;
        for change in reload::diff(&other, &config) {
            writeln!(out, "{change}")?;
        }
    }
    writeln!(out, "the configuration is right")?;
    Ok(())
}

/// The command line; under the name of rollup-boost, with the subcommand that takes its flags.
fn arguments() -> Vec<OsString> {
    let mut arguments: Vec<_> = std::env::args_os().collect();
    let name = arguments.first().and_then(|first| Path::new(first).file_name());
    if name.is_some_and(|name| name == "rollup-boost") {
        arguments.insert(1, "boost".into());
    }
    arguments
}

/// Runs until SIGINT or SIGTERM; reads the configuration anew on SIGHUP, and says which keys of its file are hidden.
async fn run(source: &Source) -> eyre::Result<()> {
    let config = source.load()?;
    for Unused { setting, reason } in source.unused(&config) {
        tracing::warn!(target: LOG.own, setting, reason, "a setting isn't followed");
    }
    if let Some((from, to)) = descriptors::raise() {
        tracing::info!(target: LOG.own, from, to, "the limit of open files is raised");
    }
    let shutdown = CancellationToken::new();
    // Before anything says that the portal is up: a signal that nobody listens for ends it.
    let listen = |kind, name| signal(kind).wrap_err_with(|| format!("can't listen for {name}"));
    let mut interrupt: Signal = listen(SignalKind::interrupt(), "SIGINT")?;
    let mut terminate: Signal = listen(SignalKind::terminate(), "SIGTERM")?;
    let mut hang_up: Signal = listen(SignalKind::hangup(), "SIGHUP")?;
    let mut running = baton_portal::run(&config, shutdown.clone()).await?;
    loop {
        tokio::select! {
            _ = interrupt.recv() => break,
            _ = terminate.recv() => break,
            _ = hang_up.recv() => reload(&mut running, source),
            () = running.ends() => {
                running.stopped().await;
                return Err(eyre!("the engine port is no longer served"));
            }
        }
    }
    tracing::info!(target: LOG.own, "shutting down");
    shutdown.cancel();
    running.stopped().await;
    Ok(())
}

fn reload(running: &mut Running, source: &Source) {
    let changes = source.load().and_then(|config| Ok(running.reload(&config)?));
    match changes {
        Ok(changes) => {
            for change in &changes {
                tracing::info!(target: LOG.own, %change, "the configuration changes");
            }
            for key in source.hidden() {
                tracing::info!(target: LOG.own, key, "a flag or variable comes before what the file says");
            }
            tracing::info!(target: LOG.own, changes = changes.len(), "the configuration was read anew");
        }
        Err(error) => {
            let error = source.explain(&error);
            tracing::error!(target: LOG.own, error, "the new configuration is wrong; the old one stays");
        }
    }
}
