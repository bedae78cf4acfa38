//! Free ports of the loopback interface, for programs that must know one another's address before they run.

use eyre::Result;
use std::net::{Ipv4Addr, TcpListener};

/// `N` different ports that are free now. Another program could take one before its owner does; on a devnet that's a start-up
/// error to try again after, no more.
pub(crate) fn free_ports<const N: usize>() -> Result<[u16; N]> {
    let mut ports = [0; N];
    // All are held until all are known, so that none is given twice.
    let mut held = Vec::with_capacity(N);
    for port in &mut ports {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        *port = listener.local_addr()?.port();
        held.push(listener);
    }
    Ok(ports)
}
