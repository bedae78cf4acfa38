//! `keeper evidence`.

use super::{print, source::Source};
use alloy::eips::{BlockId, BlockNumberOrTag};
use baton_keeper::{
    anchor::Anchor,
    archive::Archive,
    config::ContractsConfig,
    evidence::{CheckedEvidence, CheckedItem},
    l1::{L1, L1Error},
    run::follower_config,
};
use baton_schedule::Follower;
use clap::Subcommand;
use eyre::{Context, Result, ensure};
use std::{
    fs::File,
    io::Read,
    path::{Path, PathBuf},
    time::Duration,
};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

/// How long the L1 may take to be read.
const PATIENCE: Duration = Duration::from_secs(60);
/// The longest file that is read, in bytes: a portal keeps no more of one gateway.
const LONGEST: u64 = 256 << 20;

#[derive(Subcommand)]
pub(super) enum EvidenceCommand {
    /// Check a file of a portal's archive against the L1, and say what it proves
    Check {
        /// The file
        #[arg(value_name = "FILE")]
        file: PathBuf,
        /// Keep the soft blocks in the keeper's archive, like those of a feed; needs a keeper's whole configuration
        #[arg(long)]
        keep: bool,
        #[command(flatten)]
        source: Source,
    },
}

impl EvidenceCommand {
    pub(super) async fn run(self) -> Result<()> {
        let Self::Check { file, keep, source } = self;
        let name = || file.display().to_string();
        let text = read(&file).wrap_err_with(|| format!("{} can't be read", name()))?;
        let (l1_config, contracts, data_dir) = if keep {
            let config = source.keeper()?;
            (config.l1, config.contracts, Some(config.data_dir))
        } else {
            let config = source.command()?;
            (config.l1, config.contracts, None)
        };
        let l1 = L1::new(&l1_config, &contracts)?;
        let mut read = l1.deployment().await;
        for _ in 1..l1_config.urls.len() {
            if !read.as_ref().is_err_and(L1Error::is_retryable) {
                break;
            }
            l1.fail_over();
            read = l1.deployment().await;
        }
        let deployment = read.wrap_err("the contracts can't be read")?;
        let newest = l1.block(BlockNumberOrTag::Latest.into()).await?.number;
        // Events tell gateways' URLs alone, which nobody asks here: they needn't be read from the deployment on.
        let contracts = ContractsConfig { deployment_block: newest, ..contracts };
        let end = CancellationToken::new();
        let mut schedule = Follower::spawn(follower_config(&l1_config, &contracts, &deployment), end.child_token())?;
        let known = timeout(PATIENCE, schedule.known()).await.wrap_err("the schedule can't be read within 60 s")?;
        let _end = end.drop_guard();
        let evidence = CheckedEvidence::read(&text, &*known?, &deployment.domain).wrap_err_with(name)?;
        let mut canonical = Vec::new();
        for item in &evidence.items {
            let is_canonical = is_canonical(&l1, &item.anchor(), newest).await?;
            print(&line(&evidence, item, is_canonical))?;
            canonical.push(is_canonical);
        }
        let proof = match canonical[..] {
            [other, delivered] => evidence.proof.known(other, delivered),
            _ => evidence.proof,
        };
        print(&format!("proves: {proof}"))?;
        if let Some(data_dir) = data_dir {
            let archive = Archive::open(&data_dir.join("archive.sqlite"))?;
            let new = evidence.keep(&archive)?;
            print(&format!("kept: {new} of {} soft blocks were new and had their blocks", evidence.items.len()))?;
        }
        Ok(())
    }
}

fn read(file: &Path) -> Result<Vec<u8>> {
    let file = File::open(file)?;
    let length = file.metadata()?.len();
    ensure!(length <= LONGEST, "it has {length} bytes, and no portal's has more than {LONGEST}");
    let mut text = Vec::new();
    // What isn't a file has no length.
    file.take(LONGEST).read_to_end(&mut text)?;
    Ok(text)
}

fn line(evidence: &CheckedEvidence, item: &CheckedItem, is_canonical: Option<bool>) -> String {
    let soft_block = &item.archived.signed.soft_block;
    let anchor = item.anchor();
    let state = match is_canonical {
        Some(true) => "canonical",
        Some(false) => "not canonical",
        None => "not there yet",
    };
    let block = match &item.parent {
        Ok(_) => "with its block".to_owned(),
        Err(error) => format!("without a block that could be kept: {error}"),
    };
    format!(
        "gateway {} signed block {} {} on {}, anchored at L1 block {} {} ({state}), {block}",
        evidence.gateway, soft_block.number, soft_block.blockHash, soft_block.parentLink, anchor.number, anchor.hash
    )
}

/// Whether it is the L1's block at its height; `None` if the L1 hasn't come to that. Nodes aren't asked for such heights: numbers that no block can have are
/// errors to some.
async fn is_canonical(l1: &L1, anchor: &Anchor, newest: u64) -> Result<Option<bool>, L1Error> {
    if anchor.number > newest {
        return Ok(None);
    }
    match l1.block(BlockId::number(anchor.number)).await {
        Ok(block) => Ok(Some(block.hash == anchor.hash)),
        Err(L1Error::MissingBlock(_)) => Ok(None),
        Err(error) => Err(error),
    }
}
