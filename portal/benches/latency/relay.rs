//! The yardstick: a program that writes to one connection what it reads from another, and nothing else. It knows neither calls nor their ends.

use eyre::{OptionExt, Result};
use std::net::SocketAddr;
use tokio::{
    io::copy_bidirectional_with_sizes,
    net::{TcpListener, TcpStream},
};

/// What has this program be one: followed by its addresses.
pub(crate) const FLAG: &str = "--relay=";
/// How much is read at once, in bytes: as much as there is.
const ROOM: usize = 4 << 20;

/// Two addresses on a command line: where it listens, and where it leads to.
pub(crate) fn addresses(listens: SocketAddr, leads_to: SocketAddr) -> String {
    format!("{listens},{leads_to}")
}

/// Relays between such addresses, on one thread, for ever.
pub(crate) fn run(addresses: &str) -> Result<()> {
    let (listens, leads_to) = addresses.split_once(',').ok_or_eyre("two addresses belong here")?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let listener = TcpListener::bind(listens).await?;
        loop {
            let (mut caller, _) = listener.accept().await?;
            let mut node = TcpStream::connect(leads_to).await?;
            caller.set_nodelay(true)?;
            node.set_nodelay(true)?;
            tokio::spawn(async move { copy_bidirectional_with_sizes(&mut caller, &mut node, ROOM, ROOM).await });
        }
    })
}
