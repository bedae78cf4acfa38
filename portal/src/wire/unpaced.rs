//! Connections within the machine, without pacing.
//!
//! BBR, a usual choice for nodes, has a connection send no faster than it takes the way to be. Between two sockets of one kernel that is a guess, and where it
//! is a low one, a block of 500 KB takes 0.2 ms longer to the fallback and back, for half as much processor time again. There is nothing on the way to be careful
//! with.
//!
//! A connection that has ever had BBR goes on being paced, whatever it has later: the choice comes before it is one.

use futures::stream::{FuturesUnordered, StreamExt};
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

/// How long an address has before the next is tried beside it: within the machine, who takes a connection takes it at once.
const HEAD_START: Duration = Duration::from_millis(50);

/// Connects to the first of some addresses that takes the connection, within a time for all of them. They are this machine's.
pub(crate) async fn connect_within(addresses: &[SocketAddr], limit: Duration) -> io::Result<TcpStream> {
    let mut untried = addresses.iter();
    let mut tried = FuturesUnordered::new();
    let first = async {
        let mut failed = io::ErrorKind::AddrNotAvailable.into();
        loop {
            tried.extend(untried.next().map(|address| connect_to(*address)));
            let ended = if untried.len() == 0 {
                tried.next().await
            } else {
                let Ok(ended) = timeout(HEAD_START, tried.next()).await else { continue };
                ended
            };
            match ended {
                Some(Ok(stream)) => return Ok(stream),
                Some(Err(error)) => failed = error,
                None => return Err(failed),
            }
        }
    };
    timeout(limit, first).await.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
}

async fn connect_to(address: SocketAddr) -> io::Result<TcpStream> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
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

    /// An address that refuses, and what keeps it from being anybody's.
    fn closed() -> io::Result<(SocketAddr, TcpSocket)> {
        let socket = TcpSocket::new_v4()?;
        socket.bind("127.0.0.1:0".parse().expect("an address"))?;
        Ok((socket.local_addr()?, socket))
    }

    #[tokio::test]
    async fn the_first_address_that_answers_is_taken() -> io::Result<()> {
        let (closed, _kept) = closed()?;
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let limit = Duration::from_secs(10);
        let connected = connect_within(&[closed, listener.local_addr()?], limit).await?;
        assert_eq!(connected.peer_addr()?, listener.local_addr()?);
        let refused = connect_within(&[closed], limit).await;
        assert!(refused.is_err_and(|error| error.kind() == io::ErrorKind::ConnectionRefused));
        assert!(connect_within(&[], limit).await.is_err());
        Ok(())
    }

    #[cfg(target_os = "linux")]
    #[tokio::test]
    async fn an_address_that_hangs_does_not_keep_the_next_from_its_turn() -> io::Result<()> {
        let socket = TcpSocket::new_v4()?;
        socket.bind("127.0.0.1:0".parse().expect("an address"))?;
        let full = socket.listen(1)?;
        let hangs = full.local_addr()?;
        // Nobody accepts these: there is no place for all of them.
        let mut waiting: Vec<_> = (0..8).map(|_| Box::pin(TcpStream::connect(hangs))).collect();
        for connecting in &mut waiting {
            let _ = futures::poll!(connecting);
        }
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let limit = Duration::from_secs(10);
        let both = [hangs, listener.local_addr()?];
        // A node's time limit is around all of it.
        let connected = timeout(limit, connect_within(&both, limit)).await??;
        assert_eq!(connected.peer_addr()?, listener.local_addr()?);
        let late = connect_within(&[hangs], Duration::from_millis(10)).await;
        assert!(late.is_err_and(|error| error.kind() == io::ErrorKind::TimedOut));
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
