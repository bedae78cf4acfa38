//! The `portal` binary.

use baton_portal::cli::{Cli, Command, LogFormat};
use clap::Parser;
use eyre::WrapErr;
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;
use tracing_subscriber::EnvFilter;

#[tokio::main]
async fn main() -> eyre::Result<()> {
    match Cli::parse().command {
        Command::Run { settings, log_format } => {
            log(log_format);
            let config = settings.load()?;
            let shutdown = CancellationToken::new();
            let running = baton_portal::run(&config, shutdown.clone()).await?;
            interrupted().await?;
            tracing::info!("shutting down");
            shutdown.cancel();
            running.stopped().await;
        }
        Command::CheckConfig { settings } => {
            settings.load()?.check()?;
            log(LogFormat::Text);
            tracing::info!("the configuration is right");
        }
    }
    Ok(())
}

fn log(format: LogFormat) {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("info"));
    let subscriber = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    match format {
        LogFormat::Text => subscriber.init(),
        LogFormat::Json => subscriber.json().init(),
    }
}

/// Waits for SIGINT or SIGTERM.
async fn interrupted() -> eyre::Result<()> {
    let mut terminate = signal(SignalKind::terminate()).wrap_err("can't listen for SIGTERM")?;
    tokio::select! {
        interrupt = tokio::signal::ctrl_c() => interrupt.wrap_err("can't listen for SIGINT"),
        _ = terminate.recv() => Ok(()),
    }
}
