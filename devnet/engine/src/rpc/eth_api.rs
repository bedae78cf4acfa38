//! The `eth_` namespace and the few calls of others that wallets and tools make.

use alloy::{
    eips::{BlockId, BlockNumberOrTag},
    primitives::{Address, B256, Bytes, U64, U256},
    rpc::types::{Filter, TransactionRequest},
};
use serde_json::{Value, json};

use super::jsonrpc::{Params, result};
use crate::{engine::Engine, error::EngineError, query::rpc_block, state::Account};

/// Answers one call outside the `engine_` namespace.
///
/// # Errors
/// When the method doesn't exist, a parameter is wrong, or the call fails.
pub fn dispatch(engine: &Engine, method: &str, mut params: Params) -> Result<Value, EngineError> {
    match method {
        "web3_clientVersion" => Ok(json!(concat!("baton-devnet-engine/", env!("CARGO_PKG_VERSION")))),
        "net_version" => Ok(json!(engine.rules().chain_id.to_string())),
        "eth_chainId" => result(U64::from(engine.rules().chain_id)),
        "eth_syncing" => Ok(json!(false)),
        "eth_accounts" => Ok(json!([])),
        "eth_blockNumber" => result(U64::from(engine.head().number())),
        "eth_gasPrice" => result(U256::from(engine.gas_price()?)),
        "eth_maxPriorityFeePerGas" => result(U256::from(engine.suggested_tip())),
        "eth_feeHistory" => {
            let count: U64 = params.required(0, "blockCount")?;
            let newest: BlockNumberOrTag = params.required(1, "newestBlock")?;
            let percentiles: Vec<f64> = params.optional(2, "rewardPercentiles")?.unwrap_or_default();
            result(engine.fee_history(count.to(), newest, &percentiles)?)
        }
        "eth_getBlockByNumber" => {
            let number: BlockNumberOrTag = params.required(0, "block")?;
            get_block(engine, number.into(), params)
        }
        "eth_getBlockByHash" => {
            let hash: B256 = params.required(0, "blockHash")?;
            get_block(engine, hash.into(), params)
        }
        "eth_getBlockReceipts" => {
            let id: BlockId = params.required(0, "block")?;
            result(engine.block_by_id(id).map(|block| engine.receipts(&block)))
        }
        "eth_getTransactionByHash" => result(engine.transaction(params.required(0, "transactionHash")?)),
        "eth_getTransactionReceipt" => result(engine.receipt(params.required(0, "transactionHash")?)),
        "eth_getLogs" => {
            let filter: Filter = params.required(0, "filter")?;
            result(engine.logs(&filter)?)
        }
        "eth_sendRawTransaction" => {
            let encoded: Bytes = params.required(0, "transaction")?;
            result(engine.send_raw_transaction(&encoded)?)
        }
        "eth_getTransactionCount" => {
            let address: Address = params.required(0, "address")?;
            result(U64::from(engine.transaction_count(address, block_id(&mut params, 1)?)?))
        }
        "eth_getBalance" => with_account(engine, &mut params, 1, |account| json!(account.balance)),
        "eth_getCode" => with_account(engine, &mut params, 1, |account| json!(account.code.original_bytes())),
        "eth_getStorageAt" => {
            let slot: U256 = params.required(1, "slot")?;
            with_account(engine, &mut params, 2, |account| json!(B256::from(account.storage_at(slot))))
        }
        "eth_call" => {
            let (request, id) = call_params(params)?;
            result(engine.call(&request, id)?)
        }
        "eth_estimateGas" => {
            let (request, id) = call_params(params)?;
            result(U64::from(engine.estimate_gas(&request, id)?))
        }
        "debug_getRawBlock" => {
            let id: BlockId = params.required(0, "block")?;
            let block = engine.block_by_id(id).ok_or_else(|| EngineError::UnknownBlock(id.to_string()))?;
            result(block.rlp())
        }
        "txpool_status" => {
            let (pending, queued) = engine.pool_count();
            Ok(json!({ "pending": U64::from(pending), "queued": U64::from(queued) }))
        }
        _ => Err(EngineError::MethodNotFound(method.into())),
    }
}

fn get_block(engine: &Engine, id: BlockId, mut params: Params) -> Result<Value, EngineError> {
    let full = params.optional(1, "full")?.unwrap_or(false);
    result(engine.block_by_id(id).map(|block| rpc_block(&block, full)))
}

fn block_id(params: &mut Params, index: usize) -> Result<BlockId, EngineError> {
    Ok(params.optional(index, "block")?.unwrap_or_default())
}

fn with_account(
    engine: &Engine,
    params: &mut Params,
    block_index: usize,
    read: impl FnOnce(&Account) -> Value,
) -> Result<Value, EngineError> {
    let address: Address = params.required(0, "address")?;
    let (_, view) = engine.view_at(block_id(params, block_index)?)?;
    Ok(read(view.state.account(address).unwrap_or(&Account::default())))
}

fn call_params(mut params: Params) -> Result<(TransactionRequest, BlockId), EngineError> {
    let request = params.required(0, "transaction")?;
    let id = block_id(&mut params, 1)?;
    let overrides: Option<Value> = params.optional(2, "stateOverrides")?;
    if overrides.is_some_and(|overrides| overrides != json!({})) {
        return Err(EngineError::InvalidParams("state overrides aren't supported".into()));
    }
    Ok((request, id))
}
