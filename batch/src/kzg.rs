//! KZG commitments and cell proofs (EIP-4844, EIP-7594) of a posting's blobs.

use alloy::eips::{
    eip4844::{Blob, env_settings::KzgSettings},
    eip7594::BlobTransactionSidecarEip7594,
};
use rayon::iter::{IntoParallelIterator, ParallelIterator};

/// Width of the precomputed tables for cell proofs, the value that c-kzg recommends for making them: 96 MiB and a few
/// seconds at start for proofs that take less than half the time.
const PRECOMPUTE: u64 = 8;

/// Mainnet's trusted setup, loaded once per process.
#[derive(Debug, Clone, Copy)]
pub struct Kzg {
    settings: &'static KzgSettings,
}

/// A blob that KZG refuses. Never retryable: a field element of the blob isn't below the BLS modulus.
#[derive(Debug, thiserror::Error)]
#[error("the blobs can't be committed to: {0}")]
pub struct KzgError(#[from] c_kzg::Error);

impl Kzg {
    /// Loads the trusted setup, or takes the one that the process has loaded before.
    ///
    /// The first call takes seconds of processor time: make it at start, away from async tasks.
    pub fn load() -> Self {
        Self::load_with_precompute(PRECOMPUTE)
    }

    /// Like [`Kzg::load`] without the tables for cell proofs: loads in a fraction of the time and memory, and takes
    /// longer for each sidecar. For processes that make only a few.
    pub fn load_without_precompute() -> Self {
        Self::load_with_precompute(0)
    }

    fn load_with_precompute(precompute: u64) -> Self {
        Self { settings: c_kzg::ethereum_kzg_settings(precompute) }
    }

    /// Commitments and cell proofs for a blob transaction, whose versioned hashes are the sidecar's
    /// `versioned_hashes()`. Spread over all processors.
    ///
    /// # Errors
    /// A blob with a field element that is too large; blobs of a [`Posting`](crate::Posting) have none.
    pub fn sidecar(&self, blobs: Vec<Blob>) -> Result<BlobTransactionSidecarEip7594, KzgError> {
        let parts = (0..blobs.len())
            .into_par_iter()
            .map(|index| {
                // A slice, not the blob: 128 KiB by value don't belong on a worker's stack.
                let blob = blobs[index..=index].to_vec();
                BlobTransactionSidecarEip7594::try_from_blobs_with_settings(blob, self.settings)
            })
            .collect::<Result<Vec<_>, _>>()?;
        let (mut commitments, mut cell_proofs) = (Vec::with_capacity(parts.len()), Vec::new());
        for part in parts {
            commitments.extend(part.commitments);
            cell_proofs.extend(part.cell_proofs);
        }
        Ok(BlobTransactionSidecarEip7594::new(blobs, commitments, cell_proofs))
    }
}
