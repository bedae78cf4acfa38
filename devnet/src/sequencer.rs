//! Who has L2 blocks built through the portal: the devnet's own driver, or a real rollup node.

use crate::{
    driver::{AdoptedBlock, Driver},
    kona::KonaNode,
    process::Process,
};
use eyre::Result;

/// A running sequencer.
pub enum Sequencer {
    /// The devnet's own driver.
    Driver(Driver),
    /// An unmodified kona-node.
    Kona(Box<KonaNode>),
}

impl Sequencer {
    /// Every block that was ever the head, in order of adoption.
    pub fn adopted(&self) -> Vec<AdoptedBlock> {
        match self {
            Self::Driver(driver) => driver.adopted(),
            Self::Kona(node) => node.adopted(),
        }
    }

    /// The head.
    pub fn head(&self) -> AdoptedBlock {
        match self {
            Self::Driver(driver) => driver.head(),
            Self::Kona(node) => node.head(),
        }
    }

    /// Fails if it has stopped.
    pub async fn check(&mut self) -> Result<()> {
        match self {
            Self::Driver(driver) => driver.check().await,
            Self::Kona(node) => node.check(),
        }
    }

    /// Its process, if it has one of its own.
    pub const fn process(&self) -> Option<&Process> {
        match self {
            Self::Driver(_) => None,
            Self::Kona(node) => Some(node.process()),
        }
    }

    /// Ends it.
    pub(crate) async fn stop(&mut self) -> Result<()> {
        match self {
            // The driver ends with the devnet's own tasks.
            Self::Driver(_) => Ok(()),
            Self::Kona(node) => node.stop().await,
        }
    }
}
