//! Keys: the sequencer's, which signs digests, and the settler's, which signs transactions.

use alloy::{
    primitives::{Address, B256, Signature},
    signers::{Signer, local::PrivateKeySigner},
};
use futures::future::BoxFuture;
use serde::Deserialize;
use std::{
    fs,
    path::{Path, PathBuf},
};

/// Signs the digests of soft blocks and receipts. Implemented for every alloy signer (local keys, keystores, AWS and GCP KMS, Ledger, …).
pub trait DigestSigner: Send + Sync + std::fmt::Debug {
    /// The address of the key.
    fn address(&self) -> Address;
    /// Signs a digest as it is; the signature has its `s` in the lower half.
    fn sign(&self, digest: B256) -> BoxFuture<'_, Result<Signature, SignerError>>;
}

impl<S: Signer + Send + Sync + std::fmt::Debug> DigestSigner for S {
    fn address(&self) -> Address {
        Signer::address(self)
    }

    fn sign(&self, digest: B256) -> BoxFuture<'_, Result<Signature, SignerError>> {
        Box::pin(async move {
            let signature = self.sign_hash(&digest).await.map_err(|error| SignerError::Sign(error.to_string()))?;
            Ok(signature.normalized_s())
        })
    }
}

/// Where a key lies. Keys never come from arguments, the environment or the configuration itself.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KeySource {
    /// An encrypted keystore (Web3 Secret Storage, as `cast wallet` makes), or, without `password_file`, a file with the bare key in hex.
    pub file: PathBuf,
    /// A file with the keystore's password.
    pub password_file: Option<PathBuf>,
}

/// Why there is no key, or no signature. Neither holds anything of the key.
#[derive(Debug, thiserror::Error)]
pub enum SignerError {
    /// A file can't be read.
    #[error("key file {path} can't be read: {source}")]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: std::io::Error,
    },
    /// A file holds no key.
    #[error(
        "key file {path} holds no private key: 32 bytes in hex are expected, or set `password_file` for a keystore"
    )]
    NotAKey {
        /// The file.
        path: PathBuf,
    },
    /// A keystore can't be opened.
    #[error("keystore {path} can't be opened: wrong password, or not a keystore")]
    Keystore {
        /// The file.
        path: PathBuf,
    },
    /// The signer failed.
    #[error("signing failed: {0}")]
    Sign(String),
}

impl SignerError {
    /// Whether it can go away by itself, as a remote signer's failures can.
    pub const fn is_retryable(&self) -> bool {
        matches!(self, Self::Sign(_))
    }
}

impl KeySource {
    /// Loads the key. A keystore takes a second of processor time.
    ///
    /// # Errors
    /// Files that can't be read or hold no key.
    pub fn load(&self) -> Result<PrivateKeySigner, SignerError> {
        let Some(password_file) = &self.password_file else {
            let text = read(&self.file)?;
            let key: B256 = text.trim().parse().map_err(|_| SignerError::NotAKey { path: self.file.clone() })?;
            return PrivateKeySigner::from_bytes(&key).map_err(|_| SignerError::NotAKey { path: self.file.clone() });
        };
        let password = read(password_file)?;
        PrivateKeySigner::decrypt_keystore(&self.file, password.trim_end_matches(['\r', '\n']))
            .map_err(|_| SignerError::Keystore { path: self.file.clone() })
    }
}

fn read(path: &Path) -> Result<String, SignerError> {
    fs::read_to_string(path).map_err(|source| SignerError::Unreadable { path: path.to_owned(), source })
}

/// The retired ethers signers behind the same trait, for operators whose key tooling still speaks them.
#[cfg(feature = "ethers-signers")]
pub mod ethers {
    use super::{Address, B256, BoxFuture, DigestSigner, Signature, SignerError};
    use alloy::primitives::U256;

    /// An ethers wallet.
    #[derive(Debug)]
    pub struct EthersSigner(pub ethers_signers::LocalWallet);

    impl DigestSigner for EthersSigner {
        fn address(&self) -> Address {
            Address::from(ethers_signers::Signer::address(&self.0).0)
        }

        fn sign(&self, digest: B256) -> BoxFuture<'_, Result<Signature, SignerError>> {
            let signed = self.0.sign_hash(digest.0.into()).map_err(|error| SignerError::Sign(error.to_string()));
            Box::pin(async move {
                let signed = signed?;
                let mut words = [[0u8; 32]; 2];
                signed.r.to_big_endian(&mut words[0]);
                signed.s.to_big_endian(&mut words[1]);
                let [r, s] = words.map(|word| U256::from_be_bytes(word));
                Ok(Signature::new(r, s, signed.v == 28).normalized_s())
            })
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use baton_protocol::Domain;

    #[tokio::test]
    async fn a_key_file_signs_for_its_address() {
        let dir = tempfile::tempdir().expect("temporary directory");
        let key = PrivateKeySigner::random();
        let file = dir.path().join("key");
        fs::write(&file, format!("{}\n", key.to_bytes())).expect("written");
        let loaded = KeySource { file, password_file: None }.load().expect("a key");
        let digest = B256::repeat_byte(7);
        let signature = DigestSigner::sign(&loaded, digest).await.expect("signed");
        assert_eq!(Domain::verify(digest, &signature, key.address()), Ok(()));
    }

    #[test]
    fn a_keystore_opens_with_its_password_only() {
        let dir = tempfile::tempdir().expect("temporary directory");
        let key = PrivateKeySigner::random();
        let (signer, _) = PrivateKeySigner::encrypt_keystore(
            dir.path(),
            &mut alloy::signers::k256::elliptic_curve::rand_core::OsRng,
            key.to_bytes(),
            "secret",
            Some("key"),
        )
        .expect("written");
        let password_file = dir.path().join("password");
        fs::write(&password_file, "secret\n").expect("written");
        let source = KeySource { file: dir.path().join("key"), password_file: Some(password_file.clone()) };
        assert_eq!(source.load().expect("opened").address(), signer.address());
        fs::write(&password_file, "wrong").expect("written");
        assert!(matches!(source.load(), Err(SignerError::Keystore { .. })));
    }

    #[cfg(feature = "ethers-signers")]
    #[tokio::test]
    async fn ethers_and_alloy_sign_alike() {
        let key = PrivateKeySigner::random();
        let wallet = ethers_signers::LocalWallet::from_bytes(key.to_bytes().as_slice()).expect("a key");
        let (ethers, digest) = (ethers::EthersSigner(wallet), B256::repeat_byte(9));
        assert_eq!(DigestSigner::address(&ethers), key.address());
        let signature = ethers.sign(digest).await.expect("signed");
        assert_eq!(signature, DigestSigner::sign(&key, digest).await.expect("signed"));
        assert_eq!(Domain::verify(digest, &signature, key.address()), Ok(()));
    }

    #[test]
    fn errors_hold_nothing_of_the_file() {
        let dir = tempfile::tempdir().expect("temporary directory");
        let file = dir.path().join("key");
        fs::write(&file, "0xdeadbeef").expect("written");
        let error = KeySource { file, password_file: None }.load().expect_err("no key").to_string();
        assert!(!error.contains("deadbeef"), "{error}");
    }
}
