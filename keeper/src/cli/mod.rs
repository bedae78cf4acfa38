//! Command line: glue between flags and the library.

mod chain;
mod delegation;
mod evidence;
mod lookahead;
mod source;

use baton_keeper::{config::KeeperConfig, run::run};
use baton_logging::{LevelFilter, Log};
use clap::{Parser, Subcommand};
use eyre::{Context, bail};
use metrics_exporter_prometheus::PrometheusBuilder;
use source::Source;
use std::{fs, io::Write, path::PathBuf, time::Duration};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    signal::unix::{SignalKind, signal},
    time::timeout,
};
use tokio_util::sync::CancellationToken;

/// The keeper's log. A library gives all it says the URL that was asked, which may hold a key.
const LOG: Log = Log { own: "baton_keeper", never: "alloy_transport_http::reqwest_transport=off", unasked: "" };

const ABOUT: &str = "A based-rollup gateway's daemon: signs soft blocks, serves and follows feeds, settles, re-creates what others dropped";
const HELP: &str = "\
A keeper needs a TOML file, and key files that it names; it reads all else from the contracts:

    role = \"gateway\"                      # or \"operator\", which needs neither `gateway` nor `keys.settler`
    gateway = 1                           # the id that `register` gave
    data_dir = \"/var/lib/keeper\"          # signing journal and archive; this keeper's alone
    [l1]
    urls = [\"http://127.0.0.1:8545\"]    # in order of preference; plain HTTP, no websockets
    [l2]
    url = \"http://127.0.0.1:9545\"         # the gateway's own execution client, with eth and debug
    [contracts]
    registry = \"0x…\"
    inbox = \"0x…\"
    deployment_block = 0
    [beacon]                              # with [lookahead], to publish lookaheads
    urls = [\"http://127.0.0.1:5052\"]    # beacon nodes that serve whole states
    [lookahead]
    publisher_key_file = \"publisher.json\"   # an account for publications and nothing else
    publisher_password_file = \"password\"
    [keys]
    sequencer = { file = \"sequencer.json\", password_file = \"password\" }
    settler = { file = \"settler.json\", password_file = \"password\" }
    [feed]
    listen = \"0.0.0.0:9650\"
    operator = \"ws://operator:9650\"

Any key can be set from outside, file < environment < flag: BATON_KEEPER_L2__URL=http://… or --set l2.url=http://…
Keys are only ever read from files. The commands `lookahead` and `delegation` need [l1], contracts.registry and [beacon] only; `evidence check` the first two, without --keep. RUST_LOG sets what is logged.";

#[derive(Parser)]
#[command(name = "keeper", version, about = ABOUT, after_help = HELP)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Run until SIGINT or SIGTERM
    Run {
        #[command(flatten)]
        source: Source,
        /// Log as JSON
        #[arg(long)]
        json: bool,
        /// Write the addresses of feed and admin to this file as JSON once they are served; for ports chosen by the system
        #[arg(long, value_name = "FILE")]
        addresses: Option<PathBuf>,
    },
    /// Check configuration and key files, and say what is wrong
    CheckConfig {
        #[command(flatten)]
        source: Source,
    },
    /// Ask a running keeper for its status, as JSON
    Status {
        #[command(flatten)]
        source: Source,
    },
    /// Show and publish lookaheads
    #[command(subcommand)]
    Lookahead(lookahead::LookaheadCommand),
    /// Show, sign and set delegations of validators' slots to gateways
    #[command(subcommand)]
    Delegation(delegation::DelegationCommand),
    /// Check evidence that a portal has kept
    #[command(subcommand)]
    Evidence(evidence::EvidenceCommand),
}

pub(crate) fn main() -> eyre::Result<()> {
    let cli = Cli::parse();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    match cli.command {
        Command::Run { source, json, addresses } => {
            LOG.begin(LevelFilter::INFO, json)?;
            runtime.block_on(serve(source.keeper()?, addresses))
        }
        Command::CheckConfig { source } => {
            LOG.check()?;
            let config = source.keeper()?;
            config.keys.sequencer.load().wrap_err("keys.sequencer")?;
            if let Some(settler) = &config.keys.settler {
                settler.load().wrap_err("keys.settler")?;
            }
            if let Some(publisher) = config.lookahead.publisher() {
                publisher.load().wrap_err("lookahead.publisher_key_file")?;
            }
            print(&format!("{}: valid", source.file()))
        }
        Command::Status { source } => print(&runtime.block_on(status(&source.keeper()?))?),
        Command::Lookahead(command) => {
            // Commands say what they have to say themselves.
            LOG.begin(LevelFilter::WARN, false)?;
            runtime.block_on(command.run())
        }
        Command::Delegation(command) => {
            // Commands say what they have to say themselves.
            LOG.begin(LevelFilter::WARN, false)?;
            runtime.block_on(command.run())
        }
        Command::Evidence(command) => {
            LOG.begin(LevelFilter::WARN, false)?;
            runtime.block_on(command.run())
        }
    }
}

async fn serve(config: KeeperConfig, addresses: Option<PathBuf>) -> eyre::Result<()> {
    let metrics = PrometheusBuilder::new().install_recorder()?;
    let shutdown = CancellationToken::new();
    let stop = shutdown.clone();
    let (mut interrupt, mut terminate) = (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
    tokio::spawn(async move {
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
        }
        stop.cancel();
    });
    let running = run(config, shutdown, Some(metrics)).await?;
    if let Some(file) = addresses {
        let text = serde_json::json!({ "feed": running.feed, "admin": running.admin }).to_string();
        // Whoever waits for the file must never see half of it.
        let half = file.with_extension("part");
        fs::write(&half, text).and_then(|()| fs::rename(&half, &file)).wrap_err("--addresses")?;
    }
    Ok(running.stopped().await?)
}

async fn status(config: &KeeperConfig) -> eyre::Result<String> {
    let address = config.admin.listen;
    let ask = async {
        let mut stream = TcpStream::connect(address).await?;
        let request = format!("GET /status HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).await?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await?;
        Ok::<_, std::io::Error>(answer)
    };
    let answer = timeout(Duration::from_secs(5), ask)
        .await
        .wrap_err("no answer within 5 s")?
        .wrap_err_with(|| format!("no keeper answers at `admin.listen` {address}"))?;
    match answer.split_once("\r\n\r\n") {
        Some((head, body)) if head.starts_with("HTTP/1.1 200") => Ok(body.to_owned()),
        _ => bail!("the server at `admin.listen` {address} isn't a keeper"),
    }
}

fn print(text: &str) -> eyre::Result<()> {
    Ok(writeln!(std::io::stdout(), "{text}")?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn commands_are_well_formed() {
        Cli::command().debug_assert();
    }

    #[test]
    fn a_signature_comes_from_a_file_or_from_flags_never_from_both_or_half() {
        let submit = |arguments: &[&str]| {
            let line = ["keeper", "delegation", "submit", "--key-file", "owner.json"].iter().chain(arguments);
            Cli::try_parse_from(line).is_ok()
        };
        let signature = format!("0x{}", "ab".repeat(96));
        let flags = ["--validator", "17", "--gateway", "1", "--deadline", "9", "--signature", signature.as_str()];
        assert!(submit(&["--signed", "signed.json"]) && submit(&flags));
        assert!(!submit(&[]) && !submit(&flags[..6]) && !submit(&["--signed", "signed.json", "--gateway", "1"]));
        assert!(!submit(&[&flags[..7], &["0xabcd"]].concat()), "a signature has 96 bytes");
    }

    #[test]
    fn no_command_takes_a_key_as_an_argument() {
        let mut commands = vec![Cli::command()];
        while let Some(command) = commands.pop() {
            for argument in command.get_arguments() {
                let name = argument.get_id().as_str();
                assert!(!name.contains("key") && !name.contains("password") || name.ends_with("_file"), "{name}");
            }
            commands.extend(command.get_subcommands().cloned());
        }
    }
}
