use alloy::primitives::{Address, B256, FixedBytes};

use super::{
    hash::{NODE, Node, hash, uint_leaf},
    header::uint,
    merkleizer::{Merkleizer, Shape},
};

/// An entry of the registry (consensus-specs, `Validator`). Balances in gwei, times in epochs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Validator {
    /// Compressed BLS public key.
    pub pubkey: FixedBytes<48>,
    /// Who may withdraw: the first byte is the kind, of the kinds 0x01 and 0x02 the last 20 bytes are an address.
    pub withdrawal_credentials: B256,
    /// Balance that counts.
    pub effective_balance: u64,
    /// Whether it was slashed.
    pub slashed: bool,
    /// When it became eligible for activation.
    pub activation_eligibility_epoch: u64,
    /// When it became active.
    pub activation_epoch: u64,
    /// When it left.
    pub exit_epoch: u64,
    /// When its balance may be withdrawn.
    pub withdrawable_epoch: u64,
}

impl Validator {
    /// Serialized length.
    pub(crate) const LENGTH: usize = 121;

    /// From SSZ's serialization. Any byte but 0 counts as slashed.
    pub fn from_ssz(bytes: &[u8; 121]) -> Self {
        Self {
            pubkey: FixedBytes::from_slice(&bytes[..48]),
            withdrawal_credentials: B256::from_slice(&bytes[48..80]),
            effective_balance: uint(bytes, 80),
            slashed: bytes[88] != 0,
            activation_eligibility_epoch: uint(bytes, 89),
            activation_epoch: uint(bytes, 97),
            exit_epoch: uint(bytes, 105),
            withdrawable_epoch: uint(bytes, 113),
        }
    }

    /// SSZ's serialization.
    pub fn to_ssz(&self) -> [u8; 121] {
        let mut out = [0; Self::LENGTH];
        out[..48].copy_from_slice(self.pubkey.as_slice());
        out[48..80].copy_from_slice(self.withdrawal_credentials.as_slice());
        out[80..88].copy_from_slice(&self.effective_balance.to_le_bytes());
        out[88] = self.slashed.into();
        let epochs =
            [self.activation_eligibility_epoch, self.activation_epoch, self.exit_epoch, self.withdrawable_epoch];
        for (room, epoch) in out[89..].chunks_exact_mut(8).zip(epochs) {
            room.copy_from_slice(&epoch.to_le_bytes());
        }
        out
    }

    /// The address that may withdraw, of execution (0x01) and compounding (0x02) credentials in their proper form.
    pub fn withdrawal_address(&self) -> Option<Address> {
        match self.withdrawal_credentials.0 {
            [0x01 | 0x02, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, address @ ..] => Some(address.into()),
            _ => None,
        }
    }

    /// SSZ's `hash_tree_root`.
    pub fn root(&self) -> B256 {
        self.tree(None).root.into()
    }

    /// Root of the public key: the container's first leaf.
    pub fn pubkey_root(&self) -> B256 {
        pubkey_root(&self.pubkey)
    }

    /// Branch from the parent of public key and withdrawal credentials to the container's root: two nodes.
    pub(crate) fn branch(&self) -> Vec<Node> {
        let branch = self.tree(Some(0)).branches.into_values().next().unwrap_or_default();
        branch.into_iter().skip(1).collect()
    }

    fn tree(&self, watched: Option<u64>) -> super::merkleizer::Tree {
        let leaves = [
            self.pubkey_root().0,
            self.withdrawal_credentials.0,
            uint_leaf(self.effective_balance),
            uint_leaf(self.slashed.into()),
            uint_leaf(self.activation_eligibility_epoch),
            uint_leaf(self.activation_epoch),
            uint_leaf(self.exit_epoch),
            uint_leaf(self.withdrawable_epoch),
        ];
        Merkleizer::of(Shape::for_chunks(8), &leaves, watched)
    }
}

/// SSZ's `hash_tree_root` of a public key: SHA-256 of its 48 bytes and 16 zeros.
pub(crate) fn pubkey_root(pubkey: &FixedBytes<48>) -> B256 {
    let mut chunks = [0; 2 * NODE];
    chunks[..48].copy_from_slice(pubkey.as_slice());
    let [first, second] = chunks.as_chunks::<NODE>().0 else { return B256::ZERO };
    hash(first, second).into()
}
