//! World state: accounts with code and storage in persistent tries, and the view of it that the EVM reads.

use alloy::primitives::{Address, B256, U256, keccak256};
use alloy_rlp::Encodable;
use alloy_trie::{KECCAK_EMPTY, TrieAccount};
use revm::{
    bytecode::Bytecode,
    database::BundleState,
    database_interface::{DBErrorMarker, DatabaseRef},
    state::AccountInfo,
};

use crate::trie::{Trie, TrieValue};

/// An account with everything that belongs to it.
#[derive(Clone, Debug)]
pub struct Account {
    /// Number of transactions sent, or of contracts created.
    pub nonce: u64,
    /// Balance in wei.
    pub balance: U256,
    /// Keccak-256 of the code.
    pub code_hash: B256,
    /// The code; empty for an externally owned account.
    pub code: Bytecode,
    /// Storage by hashed slot; zero values aren't stored.
    pub storage: Trie<U256>,
}

impl Default for Account {
    fn default() -> Self {
        Self {
            nonce: 0,
            balance: U256::ZERO,
            code_hash: KECCAK_EMPTY,
            code: Bytecode::default(),
            storage: Trie::default(),
        }
    }
}

impl Account {
    /// The storage value at `slot`, zero where nothing is stored.
    pub fn storage_at(&self, slot: U256) -> U256 {
        self.storage.get(keccak256(B256::from(slot))).copied().unwrap_or_default()
    }

    /// Sets the storage value at `slot`; zero deletes it.
    pub fn set_storage(&mut self, slot: U256, value: U256) {
        let key = keccak256(B256::from(slot));
        if value.is_zero() { self.storage.remove(key) } else { self.storage.insert(key, value) }
    }

    fn info(&self) -> AccountInfo {
        AccountInfo {
            balance: self.balance,
            nonce: self.nonce,
            code_hash: self.code_hash,
            account_id: None,
            code: Some(self.code.clone()),
        }
    }
}

impl TrieValue for Account {
    fn encode_value(&self) -> Vec<u8> {
        alloy_rlp::encode(TrieAccount {
            nonce: self.nonce,
            balance: self.balance,
            storage_root: self.storage.root(),
            code_hash: self.code_hash,
        })
    }
}

impl TrieValue for U256 {
    fn encode_value(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(self.length());
        self.encode(&mut out);
        out
    }
}

/// The whole state after one block; cloning it is cheap.
#[derive(Clone, Debug, Default)]
pub struct WorldState {
    accounts: Trie<Account>,
}

impl WorldState {
    /// The account at `address`, if it exists.
    pub fn account(&self, address: Address) -> Option<&Account> {
        self.accounts.get(keccak256(address))
    }

    /// Puts `account` at `address`.
    pub fn set_account(&mut self, address: Address, account: Account) {
        self.accounts.insert(keccak256(address), account);
    }

    /// Balance in wei, zero where there is no account.
    pub fn balance(&self, address: Address) -> U256 {
        self.account(address).map_or(U256::ZERO, |account| account.balance)
    }

    /// Nonce, zero where there is no account.
    pub fn nonce(&self, address: Address) -> u64 {
        self.account(address).map_or(0, |account| account.nonce)
    }

    /// State root: the root of the secure trie over all accounts.
    pub fn root(&self) -> B256 {
        self.accounts.root()
    }

    /// Storage root of `address`, the empty trie's where there is no account.
    pub fn storage_root(&self, address: Address) -> B256 {
        self.account(address).map_or(alloy_trie::EMPTY_ROOT_HASH, |account| account.storage.root())
    }

    /// The state after the changes that executing a block left in `bundle`.
    #[must_use]
    pub fn apply(&self, bundle: &BundleState) -> Self {
        let mut next = self.clone();
        for (address, change) in &bundle.state {
            let key = keccak256(address);
            let Some(info) = &change.info else {
                next.accounts.remove(key);
                continue;
            };
            // Since Cancun (EIP-6780) only the transaction that creates an account can destroy it, so that what is
            // stored here never belongs to an account that was destroyed and created anew.
            let mut account = self.accounts.get(key).cloned().unwrap_or_default();
            account.nonce = info.nonce;
            account.balance = info.balance;
            if account.code_hash != info.code_hash {
                account.code_hash = info.code_hash;
                account.code =
                    info.code.clone().or_else(|| bundle.contracts.get(&info.code_hash).cloned()).unwrap_or_default();
            }
            for (slot, value) in &change.storage {
                account.set_storage(*slot, value.present_value);
            }
            next.accounts.insert(key, account);
        }
        next
    }
}

/// Hashes of the newest blocks of one branch, for the BLOCKHASH opcode.
#[derive(Clone, Debug, Default)]
pub struct RecentHashes {
    /// Number of the newest block.
    pub newest: u64,
    /// Hashes, newest first.
    pub hashes: Vec<B256>,
}

impl RecentHashes {
    fn get(&self, number: u64) -> Option<B256> {
        let depth = usize::try_from(self.newest.checked_sub(number)?).ok()?;
        self.hashes.get(depth).copied()
    }
}

/// State and recent block hashes as the EVM reads them.
#[derive(Clone, Debug)]
pub struct StateView {
    /// The state to execute on.
    pub state: WorldState,
    /// Hashes of the branch that ends in the parent of the block being executed.
    pub recent: RecentHashes,
}

/// Code that no account holds was asked for: a defect of this crate, since accounts are read together with their code.
#[derive(Debug, thiserror::Error)]
#[error("no account holds code with hash {0}")]
pub struct UnknownCode(B256);

impl DBErrorMarker for UnknownCode {}

impl DatabaseRef for StateView {
    type Error = UnknownCode;

    fn basic_ref(&self, address: Address) -> Result<Option<AccountInfo>, UnknownCode> {
        Ok(self.state.account(address).map(Account::info))
    }

    fn code_by_hash_ref(&self, code_hash: B256) -> Result<Bytecode, UnknownCode> {
        if code_hash == KECCAK_EMPTY { Ok(Bytecode::default()) } else { Err(UnknownCode(code_hash)) }
    }

    fn storage_ref(&self, address: Address, slot: U256) -> Result<U256, UnknownCode> {
        Ok(self.state.account(address).map_or(U256::ZERO, |account| account.storage_at(slot)))
    }

    fn block_hash_ref(&self, number: u64) -> Result<B256, UnknownCode> {
        Ok(self.recent.get(number).unwrap_or_default())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slot_set_to_zero_is_as_if_it_had_never_been_set() {
        let mut account = Account::default();
        account.set_storage(U256::from(1), U256::from(7));
        let root = account.storage.root();
        account.set_storage(U256::from(2), U256::from(7));
        account.set_storage(U256::from(2), U256::ZERO);
        account.set_storage(U256::from(3), U256::ZERO);
        assert_eq!(account.storage.root(), root);
        assert_eq!(account.storage_at(U256::from(2)), U256::ZERO);
        assert_eq!(account.storage_at(U256::from(1)), U256::from(7));
    }
}
