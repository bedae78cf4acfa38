//! What a stock reader gets out of the blobs that settlements posted, fetched from the L1's Beacon API.

use alloy::{
    consensus::Transaction,
    eips::eip4844::Blob,
    primitives::{Address, B256, Bytes},
    providers::{DynProvider, Provider},
    rpc::types::Filter,
    sol_types::SolEvent,
};
use baton_batch::unpack_blob;
use baton_bindings::IInbox;
use eyre::{Context, Result, bail, ensure, eyre};
use kona_genesis::{HardForkConfig, RollupConfig};
use kona_protocol::{Batch, BatchReader, BlockInfo, Channel, Frame};
use serde::Deserialize;

/// A block as batch data tells it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DerivedBlock {
    /// The parent's hash.
    pub parent_hash: B256,
    /// Unix seconds.
    pub timestamp: u64,
    /// The L1 origin's number.
    pub origin: u64,
    /// The L1 origin's hash.
    pub origin_hash: B256,
    /// All transactions but the deposits, EIP-2718 encoded.
    pub transactions: Vec<Bytes>,
}

#[derive(Deserialize)]
struct BlobsAnswer {
    // Not blobs by type: an unoptimised deserialiser moves each of those through several stack frames, 128 KiB apiece.
    data: Vec<Bytes>,
}

/// Reads every settlement's blobs back, in order, with kona's frame, channel and batch readers.
pub async fn derive(l1: &DynProvider, beacon_url: &str, inbox: Address) -> Result<Vec<DerivedBlock>> {
    let filter = Filter::new().address(inbox).event_signature(IInbox::Settled::SIGNATURE_HASH).from_block(0);
    let mut blocks = Vec::new();
    for log in l1.get_logs(&filter).await? {
        let hash = log.transaction_hash.ok_or_else(|| eyre!("a settlement without a transaction"))?;
        let number = log.block_number.ok_or_else(|| eyre!("a settlement without a block"))?;
        let transaction = l1.get_transaction_by_hash(hash).await?.ok_or_else(|| eyre!("transaction {hash} is gone"))?;
        let versioned = transaction.blob_versioned_hashes().unwrap_or_default().to_vec();
        let blobs = fetch(beacon_url, number, &versioned).await?;
        let derived = read(&blobs).wrap_err_with(|| format!("the blobs of settlement {hash}"))?;
        blocks.extend(derived);
    }
    Ok(blocks)
}

/// `GET /eth/v1/beacon/blobs/{block}` (Beacon API), only the named blobs.
async fn fetch(beacon_url: &str, block: u64, versioned: &[B256]) -> Result<Vec<Bytes>> {
    let names: Vec<String> = versioned.iter().map(B256::to_string).collect();
    let url = format!("{beacon_url}/eth/v1/beacon/blobs/{block}?versioned_hashes={}", names.join(","));
    let answer: BlobsAnswer = reqwest::get(url).await?.error_for_status()?.json().await?;
    ensure!(answer.data.len() == versioned.len(), "asked for {} blobs, got {}", versioned.len(), answer.data.len());
    Ok(answer.data)
}

/// One settlement's channel.
fn read(blobs: &[Bytes]) -> Result<Vec<DerivedBlock>> {
    let mut channel: Option<Channel> = None;
    for blob in blobs {
        let data = unpack_blob(<&Blob>::try_from(blob.as_ref()).wrap_err("a blob of another size")?)?;
        for frame in Frame::parse_frames(&data).map_err(|error| eyre!("{error}"))? {
            let channel = channel.get_or_insert_with(|| Channel::new(frame.id, BlockInfo::default()));
            channel.add_frame(frame, BlockInfo::default()).map_err(|error| eyre!("{error}"))?;
        }
    }
    let channel = channel.filter(Channel::is_ready).ok_or_else(|| eyre!("no whole channel"))?;
    let data = channel.frame_data().ok_or_else(|| eyre!("the channel has no data"))?;
    let config =
        RollupConfig { hardforks: HardForkConfig { fjord_time: Some(0), ..Default::default() }, ..Default::default() };
    let mut reader = BatchReader::new(Vec::from(data), 100_000_000);
    let mut blocks = Vec::new();
    while let Some(batch) = reader.next_batch(&config) {
        let Batch::Single(batch) = batch else { bail!("a span batch, where singular ones are posted") };
        blocks.push(DerivedBlock {
            parent_hash: batch.parent_hash,
            timestamp: batch.timestamp,
            origin: batch.epoch_num,
            origin_hash: batch.epoch_hash,
            transactions: batch.transactions,
        });
    }
    Ok(blocks)
}
