//! EIP-4788's contract, which anvil lacks: its code, and what the system call of each block would have stored.

use alloy::{
    primitives::{Address, B256, Bytes, U256, address, bytes},
    providers::{Provider, ext::AnvilApi},
    transports::TransportResult,
};

/// Where the contract lives (EIP-4788).
const ADDRESS: Address = address!("000F3df6D732807Ef1319fB7B8bB8522d0Beac02");

/// Its code (EIP-4788, "Bytecode").
const CODE: Bytes = bytes!(
    "3373fffffffffffffffffffffffffffffffffffffffe14604d57602036146024575f5ffd5b5f35801560495762001fff810690815414603c575f5ffd5b62001fff01545f5260205ff35b5f5ffd5b62001fff42064281555f359062001fff015500"
);

/// `HISTORY_BUFFER_LENGTH` of EIP-4788.
const RING: u64 = 8191;

/// Puts the contract in place.
pub async fn install(provider: &impl Provider) -> TransportResult<()> {
    provider.anvil_set_code(ADDRESS, CODE).await
}

/// Stores the parent beacon block's root for a block's timestamp, as the system call at the block's start would.
pub async fn store(provider: &impl Provider, timestamp: u64, root: B256) -> TransportResult<()> {
    let index = timestamp % RING;
    provider.anvil_set_storage_at(ADDRESS, U256::from(index), B256::from(U256::from(timestamp))).await?;
    provider.anvil_set_storage_at(ADDRESS, U256::from(index + RING), root).await?;
    Ok(())
}
