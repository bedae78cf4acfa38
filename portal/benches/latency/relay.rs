//! The floor: a program that only reads what comes over a connection and writes it to another. What it adds to a call, any program does that isn't in the kernel and sleeps while it has nothing to do.

use eyre::{OptionExt, Result};
use std::{
    io::{Read, Write},
    net::{Shutdown, SocketAddr, TcpListener, TcpStream},
};

/// What has this program be one: followed by its addresses.
pub(crate) const FLAG: &str = "--relay=";
/// How much is read at once, in bytes: as much as there is.
const ROOM: usize = 4 << 20;

/// Two addresses on a command line: where it listens, and where it leads to.
pub(crate) fn addresses(listens: SocketAddr, leads_to: SocketAddr) -> String {
    format!("{listens},{leads_to}")
}

/// Relays between such addresses, for ever.
pub(crate) fn run(addresses: &str) -> Result<()> {
    let (listens, leads_to) = addresses.split_once(',').ok_or_eyre("two addresses belong here")?;
    let leads_to: SocketAddr = leads_to.parse()?;
    for caller in TcpListener::bind(listens)?.incoming() {
        let (caller, node) = (caller?, TcpStream::connect(leads_to)?);
        caller.set_nodelay(true)?;
        node.set_nodelay(true)?;
        let (back_to, back_from) = (caller.try_clone()?, node.try_clone()?);
        std::thread::spawn(move || pass(caller, node));
        std::thread::spawn(move || pass(back_from, back_to));
    }
    Ok(())
}

/// Until either side ends.
fn pass(mut from: TcpStream, mut to: TcpStream) {
    let mut room = vec![0; ROOM];
    while let Ok(read @ 1..) = from.read(&mut room) {
        if to.write_all(&room[..read]).is_err() {
            break;
        }
    }
    let _ = to.shutdown(Shutdown::Both);
}
