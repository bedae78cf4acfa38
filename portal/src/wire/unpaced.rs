//! Connections within the machine, without pacing.
//!
//! BBR, a usual choice for nodes, has a connection send no faster than it takes the way to be. Between two sockets of one kernel that is a guess, and where it
//! is a low one, a block of 500 KB takes 0.2 ms longer to the fallback and back, for half as much processor time again. There is nothing on the way to be careful
//! with.
//!
//! A connection that has ever had BBR goes on being paced, whatever it has later: the choice comes before it is one.

use std::{
    io,
    net::{IpAddr, SocketAddr},
    time::Duration,
};
use tokio::{
    net::{TcpListener, TcpSocket, TcpStream},
    time::timeout,
};

/// Whether an address is this machine's for certain.
pub(crate) fn is_within(address: IpAddr) -> bool {
    address.to_canonical().is_loopback()
}

/// Connects to the first of some addresses that takes the connection, within a time for each. They are this machine's.
pub(crate) async fn connect_within(addresses: &[SocketAddr], limit: Duration) -> io::Result<TcpStream> {
    let mut failed = io::ErrorKind::AddrNotAvailable.into();
    for address in addresses {
        match timeout(limit, connect(*address)).await {
            Ok(Ok(stream)) => return Ok(stream),
            Ok(Err(error)) => failed = error,
            Err(_) => failed = io::ErrorKind::TimedOut.into(),
        }
    }
    Err(failed)
}

async fn connect(address: SocketAddr) -> io::Result<TcpStream> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
    socket.set_nodelay(true)?;
    choose(&socket);
    socket.connect(address).await
}

/// Has a listener's connections go without pacing, if nobody can come to it from elsewhere.
pub(crate) fn listen_within(listener: &TcpListener) {
    if listener.local_addr().is_ok_and(|address| is_within(address.ip())) {
        choose(listener);
    }
}

/// Chooses what every kernel has, and lets everybody choose. It waits for nothing but what is lost.
#[cfg(target_os = "linux")]
fn choose(socket: impl std::os::fd::AsFd) {
    if let Err(error) = rustix::net::sockopt::set_tcp_congestion(socket, "reno") {
        tracing::debug!(%error, "can't choose a connection's congestion control");
    }
}

/// There is no such choice.
#[cfg(not(target_os = "linux"))]
fn choose<T>(_: T) {}

#[cfg(test)]
mod tests {
    use super::*;

    #[cfg(target_os = "linux")]
    #[tokio::test]
    async fn connections_within_the_machine_are_not_paced() -> io::Result<()> {
        use rustix::net::sockopt::{set_tcp_congestion, tcp_congestion};
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        // As a machine may have it, if this one lets anybody choose it.
        let _ = set_tcp_congestion(&listener, "bbr").or_else(|_| set_tcp_congestion(&listener, "cubic"));
        listen_within(&listener);
        let connected = connect_within(&[listener.local_addr()?], Duration::from_secs(10)).await?;
        let (accepted, _) = listener.accept().await?;
        assert_eq!(tcp_congestion(&connected)?, "reno");
        assert_eq!(tcp_congestion(&accepted)?, "reno");
        assert!(connected.nodelay()?);
        // To which others may come.
        let open = TcpListener::bind("0.0.0.0:0").await?;
        let before = tcp_congestion(&open)?;
        listen_within(&open);
        assert_eq!(tcp_congestion(&open)?, before);
        Ok(())
    }

    #[tokio::test]
    async fn the_first_address_that_answers_is_taken() -> io::Result<()> {
        let closed = TcpListener::bind("127.0.0.1:0").await?.local_addr()?;
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let limit = Duration::from_secs(10);
        // Nor is anybody at the second; a machine may not even speak its version of IP.
        let nobody = (std::net::Ipv6Addr::LOCALHOST, closed.port()).into();
        let connected = connect_within(&[closed, nobody, listener.local_addr()?], limit).await?;
        assert_eq!(connected.peer_addr()?, listener.local_addr()?);
        let refused = connect_within(&[closed], limit).await;
        assert!(refused.is_err_and(|error| error.kind() == io::ErrorKind::ConnectionRefused));
        assert!(connect_within(&[], limit).await.is_err());
        Ok(())
    }

    #[test]
    fn what_may_be_elsewhere_is_not_within() {
        for (peer, expected) in [
            ("127.0.0.1", true),
            ("127.9.9.9", true),
            ("::1", true),
            ("::ffff:127.0.0.1", true),
            ("0.0.0.0", false),
            ("10.0.0.1", false),
            ("172.17.0.2", false),
            ("::ffff:10.0.0.1", false),
            ("fe80::1", false),
        ] {
            assert_eq!(is_within(peer.parse().expect("an address")), expected, "{peer}");
        }
    }
}
