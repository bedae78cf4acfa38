//! Blob sidecars, the form in which rollup nodes ask a beacon node for blobs. anvil has the blobs alone; the rest is computed here.

use super::BeaconChain;
use alloy::{
    consensus::{BlockHeader, Transaction},
    eips::eip4844::kzg_to_versioned_hash,
    primitives::{B256, Bytes},
    providers::{DynProvider, Provider},
};
use eyre::{Result, ensure, eyre};
use serde::Deserialize;
use serde_json::{Value, json};

/// How deep a commitment is below its block body's root (Deneb, `KZG_COMMITMENT_INCLUSION_PROOF_DEPTH`).
const INCLUSION_PROOF_DEPTH: usize = 17;

/// The L1's execution side, which has the blobs.
#[derive(Clone, Debug)]
pub struct BlobSource {
    provider: DynProvider,
    url: String,
}

#[derive(Deserialize)]
struct BlobsAnswer {
    // Not blobs by type: an unoptimised deserialiser moves each of those through several stack frames, 128 KiB apiece.
    data: Vec<Bytes>,
}

impl BlobSource {
    /// The node of `provider`, which also answers `/eth/v1/beacon/blobs` at `url`.
    pub const fn new(provider: DynProvider, url: String) -> Self {
        Self { provider, url }
    }

    /// The sidecars of a slot, in the order of the block's blobs; `None` if the slot has no block.
    pub(super) async fn of_slot(&self, chain: &BeaconChain, slot: u64) -> Result<Option<Value>> {
        // Both sides have one block for each slot that wasn't missed.
        let Some((number, (header, _))) = chain.position(slot).zip(chain.at_slot(slot)) else { return Ok(None) };
        let block = self.provider.get_block_by_number(number.into()).full().await?;
        let block = block.ok_or_else(|| eyre!("the execution side has no block {number}"))?;
        let start = chain.config().genesis_time + slot * chain.config().slot_length;
        ensure!(block.header.timestamp() == start, "block {number} isn't slot {slot}'s");
        let transactions = block.transactions.txns();
        let versioned: Vec<B256> = transactions
            .flat_map(|transaction| transaction.blob_versioned_hashes().unwrap_or_default())
            .copied()
            .collect();
        let blobs = self.blobs(number, &versioned).await?;
        // A commitment takes a tenth of a second.
        let committed =
            tokio::task::spawn_blocking(move || blobs.iter().map(commit).collect::<Result<Vec<_>>>()).await??;
        let message = json!({
            "slot": header.slot.to_string(), "proposer_index": header.proposer_index.to_string(),
            "parent_root": header.parent_root, "state_root": header.state_root, "body_root": header.body_root,
        });
        let signed_header = json!({"message": message, "signature": Bytes::from([0; 96])});
        let sidecars = versioned.iter().zip(0u64..).map(|(hash, index)| {
            let found = committed.iter().find(|committed| committed.versioned_hash == *hash);
            let committed = found.ok_or_else(|| eyre!("the blob {hash} is missing"))?;
            Ok(json!({
                "index": index.to_string(),
                "blob": committed.blob,
                "kzg_commitment": committed.commitment,
                "kzg_proof": committed.proof,
                "signed_block_header": signed_header,
                // There are no bodies to be included in.
                "kzg_commitment_inclusion_proof": vec![B256::ZERO; INCLUSION_PROOF_DEPTH],
            }))
        });
        Ok(Some(sidecars.collect::<Result<_>>()?))
    }

    async fn blobs(&self, number: u64, versioned: &[B256]) -> Result<Vec<Bytes>> {
        if versioned.is_empty() {
            return Ok(Vec::new());
        }
        let url = format!("{}/eth/v1/beacon/blobs/{number}", self.url);
        let answer: BlobsAnswer = reqwest::get(url).await?.error_for_status()?.json().await?;
        Ok(answer.data)
    }
}

struct Committed {
    blob: Bytes,
    commitment: Bytes,
    proof: Bytes,
    versioned_hash: B256,
}

fn commit(blob: &Bytes) -> Result<Committed> {
    let settings = c_kzg::ethereum_kzg_settings(0);
    let parsed = Box::new(c_kzg::Blob::from_bytes(blob)?);
    let commitment = settings.blob_to_kzg_commitment(&parsed)?.to_bytes();
    let proof = settings.compute_blob_kzg_proof(&parsed, &commitment)?.to_bytes();
    let bytes = commitment.into_inner();
    Ok(Committed {
        blob: blob.clone(),
        versioned_hash: kzg_to_versioned_hash(&bytes),
        commitment: bytes.into(),
        proof: proof.into_inner().into(),
    })
}
