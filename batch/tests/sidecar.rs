//! Sidecars against c-kzg's own verification.
#![allow(clippy::unwrap_used, reason = "a test fails loudly")]

mod chain;

use alloy::eips::{
    eip4844::{BYTES_PER_BLOB, Blob, kzg_to_versioned_hash},
    eip7594::{BlobTransactionSidecarEip7594, CELLS_PER_EXT_BLOB},
};
use baton_batch::{BatchEncoder, EncoderConfig, Kzg};
use c_kzg::{Bytes48, Cell};
use chain::Chain;

/// Verifies every cell of every blob against the sidecar's commitments and proofs.
fn proves(sidecar: &BlobTransactionSidecarEip7594) -> bool {
    let settings = c_kzg::ethereum_kzg_settings(0);
    let (mut commitments, mut indices, mut cells, mut proofs) = (vec![], vec![], vec![], vec![]);
    for (index, blob) in sidecar.blobs.iter().enumerate() {
        let blob = c_kzg::Blob::from_bytes(blob.as_slice()).unwrap();
        let blob_cells: Box<[Cell; CELLS_PER_EXT_BLOB]> = settings.compute_cells(&blob).unwrap();
        for (cell_index, cell) in (0u64..).zip(blob_cells.iter()) {
            commitments.push(Bytes48::from_bytes(sidecar.commitments[index].as_slice()).unwrap());
            indices.push(cell_index);
            cells.push(*cell);
        }
        let own = &sidecar.cell_proofs[index * CELLS_PER_EXT_BLOB..(index + 1) * CELLS_PER_EXT_BLOB];
        proofs.extend(own.iter().map(|proof| Bytes48::from_bytes(proof.as_slice()).unwrap()));
    }
    settings.verify_cell_kzg_proof_batch(&commitments, &indices, &cells, &proofs).unwrap()
}

#[test]
fn a_sidecar_proves_its_blobs_in_their_order() {
    let blocks = Chain::realistic(1, 200, 8);
    let posting = BatchEncoder::new(EncoderConfig::default()).unwrap().encode(&blocks).unwrap();
    let blobs = posting.blobs().to_vec();
    assert_eq!(blobs.len(), 2);

    let kzg = Kzg::load_without_precompute();
    let mut sidecar = kzg.sidecar(posting.into_blobs()).unwrap();
    assert_eq!(sidecar.blobs, blobs);
    assert_eq!((sidecar.commitments.len(), sidecar.cell_proofs.len()), (2, 2 * CELLS_PER_EXT_BLOB));
    assert!(proves(&sidecar));
    let hashes: Vec<_> = sidecar.versioned_hashes().collect();
    assert_eq!(hashes, sidecar.commitments.iter().map(|c| kzg_to_versioned_hash(c.as_slice())).collect::<Vec<_>>());

    sidecar.cell_proofs.swap(0, CELLS_PER_EXT_BLOB);
    assert!(!proves(&sidecar), "proofs of another blob passed");

    // A field element above the modulus, which the packing never makes.
    let mut bad = vec![Blob::ZERO];
    bad[0][..32].fill(0xff);
    assert_eq!(bad[0].len(), BYTES_PER_BLOB);
    assert!(kzg.sidecar(bad).is_err());
}
