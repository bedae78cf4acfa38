//! Blob sidecars from the devnet's Beacon API, checked as a rollup node checks them.

use alloy::{
    eips::eip4844::{Blob, kzg_to_versioned_hash},
    network::{EthereumWallet, TransactionBuilder, TransactionBuilder4844},
    primitives::{Address, B256, Bytes},
    providers::{Provider, ProviderBuilder},
    rpc::types::TransactionRequest,
};
use baton_batch::Kzg;
use baton_devnet::{
    beacon::{self, BeaconChain, BeaconConfig, BlobSource, Validators},
    l1::{L1Node, L1Slots},
    toolchain::Toolchain,
};
use eyre::{Result, eyre};
use serde_json::Value;
use std::sync::Arc;
use tokio_util::sync::CancellationToken;

/// A field of a sidecar, decoded.
fn field(sidecar: &Value, name: &str) -> Result<Bytes> {
    Ok(serde_json::from_value(sidecar[name].clone())?)
}

#[tokio::test]
async fn sidecars_are_those_of_the_slots_blobs_in_their_order() -> Result<()> {
    let times = BeaconConfig { genesis_time: 1_700_000_000, slot_length: 2 };
    let l1 = L1Node::start(&Toolchain::find()?, times.genesis_time).await?;
    let chain = Arc::new(BeaconChain::new(times, Validators::new().map_err(|error| eyre!("{error:?}"))?)?);
    let slots = L1Slots::new(l1.provider().clone(), chain.clone());
    let shutdown = CancellationToken::new();
    let api = beacon::serve(chain, BlobSource::new(l1.provider().clone(), l1.url()), shutdown.clone()).await?;

    let kzg = Kzg::load_without_precompute();
    let mut posted: Vec<B256> = Vec::new();
    // Two transactions: a sidecar's index goes over all blobs of its block.
    for (key, bytes) in l1.keys().zip([vec![1, 2], vec![3]]) {
        let sidecar = kzg.sidecar(bytes.into_iter().map(Blob::repeat_byte).collect())?;
        posted.extend(sidecar.versioned_hashes());
        let wallet = ProviderBuilder::new().wallet(EthereumWallet::from(key)).connect_http(l1.url().parse()?);
        let request = TransactionRequest::default().with_to(Address::repeat_byte(9)).with_max_fee_per_blob_gas(10);
        let _ = wallet.send_transaction(request.with_blob_sidecar(sidecar.into())).await?;
    }
    // The slots before are missed: blocks and slots don't count alike.
    slots.mine(5).await?;

    let get = async |slot: u64| reqwest::get(format!("{}/eth/v1/beacon/blob_sidecars/{slot}", api.url())).await;
    assert_eq!(get(4).await?.status(), 404);
    let genesis: Value = get(0).await?.error_for_status()?.json().await?;
    assert_eq!(genesis["data"], serde_json::json!([]));
    let answer: Value = get(5).await?.error_for_status()?.json().await?;
    let sidecars = answer["data"].as_array().ok_or_else(|| eyre!("no list: {answer}"))?;
    let mut served = Vec::new();
    for (index, sidecar) in sidecars.iter().enumerate() {
        assert_eq!(sidecar["index"], index.to_string());
        let [blob, commitment, proof] =
            [field(sidecar, "blob")?, field(sidecar, "kzg_commitment")?, field(sidecar, "kzg_proof")?];
        let blob = Box::new(c_kzg::Blob::from_bytes(&blob)?);
        let [parsed, proof] = [c_kzg::Bytes48::from_bytes(&commitment)?, c_kzg::Bytes48::from_bytes(&proof)?];
        assert!(c_kzg::ethereum_kzg_settings(0).verify_blob_kzg_proof(&blob, &parsed, &proof)?);
        served.push(kzg_to_versioned_hash(&commitment));
    }
    // The two accounts' transactions may stand in either order.
    let rotated = [&posted[2..], &posted[..2]].concat();
    assert!(served == posted || served == rotated, "{served:?} aren't {posted:?}");
    shutdown.cancel();
    Ok(())
}
