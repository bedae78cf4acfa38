//! No L2 block that was ever head is lost, and what is settled is what is.

use crate::driver::AdoptedBlock;
use baton_devnet_engine::Engine;
use baton_protocol::Link;
use eyre::{Result, ensure, eyre};

/// A block that was the head once and isn't in the chain any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LostBlock(pub AdoptedBlock);

/// The blocks among `adopted` that aren't in the engine's chain any more.
pub fn check_chain(engine: &Engine, adopted: &[AdoptedBlock]) -> Vec<LostBlock> {
    let there = |block: &AdoptedBlock| engine.block_at(block.number).is_some_and(|found| found.hash() == block.hash);
    adopted.iter().filter(|block| !there(block)).copied().map(LostBlock).collect()
}

/// The link of the engine's block `number`, from the genesis link on.
pub fn link_of(engine: &Engine, genesis: Link, number: u64) -> Result<Link> {
    let mut link = genesis;
    for n in 1..=number {
        let block = engine.block_at(n).ok_or_else(|| eyre!("the engine has no block {n}"))?;
        ensure!(block.number() == n, "the engine's block {n} says it is {}", block.number());
        link = link.then(block.hash());
    }
    Ok(link)
}
