//! `keeper lookahead`.

use super::{
    chain::{Chain, progress_line},
    print,
    source::Source,
};
use alloy::eips::BlockNumberOrTag;
use baton_keeper::{
    lookahead::{Published, publish_once, report},
    signer::KeySource,
};
use baton_protocol::SlotClock;
use clap::Subcommand;
use eyre::{Result, eyre};
use std::path::PathBuf;

#[derive(Subcommand)]
pub(super) enum LookaheadCommand {
    /// Show how epochs came by their schedules: the current and the next one, if none is named
    Show {
        /// The epoch
        #[arg(long)]
        epoch: Option<u64>,
        /// Print JSON
        #[arg(long)]
        json: bool,
        #[command(flatten)]
        source: Source,
    },
    /// Publish the next epoch's lookahead, as a running keeper does, unless somebody has
    Publish {
        /// The epoch, which must be the next one
        #[arg(long)]
        epoch: Option<u64>,
        /// Key file of the account that sends, instead of `lookahead.publisher_key_file`
        #[arg(long, env = "BATON_KEY_FILE", value_name = "FILE")]
        key_file: Option<PathBuf>,
        /// File with the keystore's password
        #[arg(long, env = "BATON_PASSWORD_FILE", value_name = "FILE", requires = "key_file")]
        password_file: Option<PathBuf>,
        #[command(flatten)]
        source: Source,
    },
}

impl LookaheadCommand {
    pub(super) async fn run(self) -> Result<()> {
        match self {
            Self::Show { epoch, json, source } => show(epoch, json, &source).await,
            Self::Publish { epoch, key_file, password_file, source } => {
                let key = key_file.map(|file| KeySource { file, password_file });
                publish(epoch, key, &source).await
            }
        }
    }
}

async fn show(epoch: Option<u64>, json: bool, source: &Source) -> Result<()> {
    let chain = Chain::connect(source.command()?).await?;
    let clock = chain.clock();
    let epochs = match epoch {
        Some(epoch) => epoch..=epoch,
        None => {
            let newest = chain.l1.block(BlockNumberOrTag::Latest.into()).await?;
            let current = SlotClock::epoch_of(clock.slot_at(newest.timestamp));
            current..=current + 1
        }
    };
    let mut reports = Vec::new();
    for epoch in epochs {
        reports.push(report(&chain.l1, &clock, chain.rules(), epoch).await?);
    }
    if json {
        return print(&serde_json::to_string_pretty(&reports)?);
    }
    print(&reports.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"))
}

async fn publish(epoch: Option<u64>, key: Option<KeySource>, source: &Source) -> Result<()> {
    let config = source.command()?;
    let key = key
        .or_else(|| config.lookahead.publisher())
        .ok_or_else(|| eyre!("there is no key: give --key-file, or set `lookahead.publisher_key_file`"))?;
    let chain = Chain::connect(config).await?;
    let rules = chain
        .rules()
        .ok_or_else(|| eyre!("this registry is for a chain without proposers to prove: there is nothing to publish"))?;
    let (beacon, sender) = (chain.beacon()?, chain.sender(&key)?);
    let progress = progress_line();
    match publish_once(&chain.l1, &beacon, &sender, &chain.clock(), rules, epoch, &progress).await? {
        Published::Before { epoch } => print(&format!("epoch {epoch} was published before")),
        Published::Now { prepared, receipt } => print(&format!(
            "epoch {} published in L1 block {}, transaction {}, {} gas, proven from the block of slot {}",
            prepared.epoch,
            receipt.block_number.unwrap_or_default(),
            receipt.transaction_hash,
            receipt.gas_used,
            prepared.header_slot
        )),
    }
}
