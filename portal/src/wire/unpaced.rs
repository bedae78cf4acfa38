//! Connections within the machine, without pacing.

#[cfg(target_os = "linux")]
use std::net::IpAddr;
use tokio::net::TcpStream;

/// What every kernel has, and lets everybody choose. It waits for nothing but what is lost.
#[cfg(target_os = "linux")]
const RENO: &str = "reno";

/// Has a connection within the machine send what there is at once, whatever the machine's congestion control. BBR, a usual choice for nodes, sends no faster than it takes the way to be. Between two
/// sockets of one kernel that is a guess: where it was a low one, a block of 500 KB took 0.15 ms longer to the fallback and back, for half as much processor time again.
///
/// Connections to elsewhere keep what the operator has chosen. What others send is theirs to choose.
#[cfg(target_os = "linux")]
pub(crate) fn unpaced(stream: &TcpStream) {
    if stream.peer_addr().is_ok_and(|peer| is_within(peer.ip()))
        && let Err(error) = rustix::net::sockopt::set_tcp_congestion(stream, RENO)
    {
        tracing::debug!(%error, "can't choose a connection's congestion control");
    }
}

/// There is no such choice.
#[cfg(not(target_os = "linux"))]
pub(crate) fn unpaced(_: &TcpStream) {}

/// Whether an address is this machine's for certain.
#[cfg(target_os = "linux")]
fn is_within(peer: IpAddr) -> bool {
    peer.to_canonical().is_loopback()
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;
    use crate::wire::Link;
    use rustix::net::sockopt::{set_tcp_congestion, tcp_congestion};
    use std::{io, os::fd::AsFd};
    use tokio::net::TcpListener;

    #[tokio::test]
    async fn connections_within_the_machine_are_not_paced() -> io::Result<()> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let stream = TcpStream::connect(listener.local_addr()?).await?;
        // As a machine may have it, if this one lets anybody choose it.
        let _ = set_tcp_congestion(&stream, "bbr").or_else(|_| set_tcp_congestion(&stream, "cubic"));
        let (same, before) = (stream.as_fd().try_clone_to_owned()?, tcp_congestion(&stream)?);
        let _link = Link::new(stream);
        assert_eq!(tcp_congestion(&same)?, RENO, "{before} before");
        Ok(())
    }

    #[test]
    fn what_may_be_elsewhere_keeps_the_machines_choice() {
        for (peer, expected) in [
            ("127.0.0.1", true),
            ("127.9.9.9", true),
            ("::1", true),
            ("::ffff:127.0.0.1", true),
            ("10.0.0.1", false),
            ("172.17.0.2", false),
            ("::ffff:10.0.0.1", false),
            ("fe80::1", false),
        ] {
            assert_eq!(is_within(peer.parse().expect("an address")), expected, "{peer}");
        }
    }
}
