//! Where a gateway may not be: at the portal's own ports, which would have the portal call itself, and at the operator's execution clients, each of which has a
//! place of its own as well.

use http::Uri;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

/// The port of `http` URLs that name none.
const HTTP: u16 = 80;

/// A host as far as it can be told without asking anybody, and a port.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Place {
    host: Host,
    port: u16,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Host {
    /// This machine: a loopback address, or the unspecified one, which leads to it.
    Here,
    Address(IpAddr),
    /// In lower case.
    Name(String),
}

impl From<IpAddr> for Host {
    fn from(address: IpAddr) -> Self {
        let address = address.to_canonical();
        if address.is_loopback() || address.is_unspecified() { Self::Here } else { Self::Address(address) }
    }
}

/// Whether a host is an IPv4 address in one of its old notations, such as 127.1 or 0x7f000001, which resolvers still take. They are written to hide where
/// they lead, so nothing more is read from them.
fn is_number(name: &str) -> bool {
    let last = name.rsplit('.').next().unwrap_or_default();
    last.starts_with("0x") || (!last.is_empty() && last.bytes().all(|byte| byte.is_ascii_digit()))
}

impl From<SocketAddr> for Place {
    fn from(address: SocketAddr) -> Self {
        Self { host: address.ip().into(), port: address.port() }
    }
}

impl From<&Uri> for Place {
    fn from(uri: &Uri) -> Self {
        let host = uri.host().unwrap_or_default().to_ascii_lowercase();
        let name = host.trim_start_matches('[').trim_end_matches(']').trim_end_matches('.');
        let host = match name.parse::<IpAddr>() {
            Ok(address) => address.into(),
            Err(_) if name == "localhost" || name.ends_with(".localhost") || is_number(name) => Host::Here,
            Err(_) => Host::Name(name.to_owned()),
        };
        Self { host, port: uri.port_u16().unwrap_or(HTTP) }
    }
}

/// Whether a URL that the operator writes leads to an address that is listened on. Other than with what stands on a registry, it means what it says: each loopback
/// address is a place of its own.
pub(super) fn leads_to(uri: &Uri, listened: SocketAddr) -> bool {
    let port = uri.port_u16().unwrap_or(HTTP);
    if listened.port() != port {
        return false;
    }
    let host = uri.host().unwrap_or_default().trim_start_matches('[').trim_end_matches(']');
    if host.eq_ignore_ascii_case("localhost") {
        return [IpAddr::from(Ipv4Addr::LOCALHOST), Ipv6Addr::LOCALHOST.into()]
            .iter()
            .any(|ip| reaches(*ip, listened.ip()));
    }
    host.parse().is_ok_and(|ip| reaches(ip, listened.ip()))
}

/// Whether who connects to the first address gets to who listens on the second, at the same port.
fn reaches(to: IpAddr, listened: IpAddr) -> bool {
    let (to, listened) = (to.to_canonical(), listened.to_canonical());
    // The unspecified address is the loopback's to those who connect to it.
    let to = match to {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        other => other,
    };
    to == listened || to.is_loopback() && listened.is_unspecified() && (listened.is_ipv6() || to.is_ipv4())
}

/// Whether two URLs that the operator writes are the same, as far as can be told without asking anybody: one host may have several clients under several paths.
pub(super) fn same(one: &Uri, other: &Uri) -> bool {
    let host = |uri: &Uri| {
        let host = uri.host().unwrap_or_default().to_ascii_lowercase();
        let address = host.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>();
        address.map_or(host, |address| address.to_canonical().to_string())
    };
    let port = |uri: &Uri| uri.port_u16().unwrap_or(HTTP);
    let path = |uri: &Uri| uri.path().trim_end_matches('/').to_owned();
    host(one) == host(other) && port(one) == port(other) && path(one) == path(other)
}

/// Places that are taken, with the configuration's keys for them.
#[derive(Clone, Debug, Default)]
pub(crate) struct Places(Vec<(&'static str, Place)>);

impl Places {
    /// Adds a port of the portal's own. Port 0 is none yet.
    pub(crate) fn add_port(&mut self, key: &'static str, address: SocketAddr) {
        if address.port() != 0 {
            self.0.push((key, address.into()));
        }
    }

    /// Adds an execution client.
    pub(crate) fn add_client(&mut self, key: &'static str, uri: &Uri) {
        self.0.push((key, uri.into()));
    }

    /// Adds all of another's.
    pub(crate) fn extend(&mut self, others: &Self) {
        self.0.extend_from_slice(&others.0);
    }

    /// The key of what is there already, if a URL leads to it by what it says itself: names aren't looked up.
    pub(crate) fn taken_by(&self, uri: &Uri) -> Option<&'static str> {
        let place = Place::from(uri);
        self.0.iter().find(|(_, taken)| *taken == place).map(|(key, _)| *key)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn taken_by(own: &str, fallback: &str, gateway: &str) -> Option<&'static str> {
        let mut places = Places::default();
        places.add_port("engine.listen", own.parse().expect("an address"));
        places.add_client("fallback.url", &fallback.parse().expect("a URL"));
        places.taken_by(&gateway.parse().expect("a URL"))
    }

    #[test]
    fn every_way_to_write_this_machine_is_the_same_place() {
        for own in ["127.0.0.1:8551", "0.0.0.0:8551", "[::1]:8551", "[::]:8551"] {
            for host in [
                "127.0.0.1",
                "127.9.9.9",
                "0.0.0.0",
                "[::1]",
                "[::]",
                "[::ffff:127.0.0.1]",
                "127.1",
                "0x7f000001",
                "2130706433",
                "LocalHost",
                "a.localhost.",
            ] {
                assert_eq!(
                    taken_by(own, "http://elsewhere", &format!("http://{host}:8551/path")),
                    Some("engine.listen")
                );
                assert_eq!(taken_by(own, "http://elsewhere", &format!("http://{host}:8552")), None);
            }
            assert_eq!(taken_by(own, "http://elsewhere", "http://10.0.0.1:8551"), None);
        }
    }

    #[test]
    fn other_places_are_the_same_by_name_or_address_and_port() {
        for (fallback, gateway, same) in [
            ("http://op-geth:8551", "http://OP-geth.:8551", true),
            ("http://op-geth:8551", "http://op-geth:8552", false),
            ("http://op-geth", "http://op-geth:80/", true),
            ("http://10.0.0.1:8551", "http://[::ffff:10.0.0.1]:8551", true),
            ("http://10.0.0.1:8551", "http://10.0.0.2:8551", false),
        ] {
            assert_eq!(taken_by("127.0.0.1:1", fallback, gateway).is_some(), same, "{fallback} {gateway}");
        }
        assert_eq!(taken_by("10.0.0.1:8551", "http://elsewhere", "http://10.0.0.1:8551"), Some("engine.listen"));
    }

    #[test]
    fn what_the_operator_writes_means_what_it_says() {
        for (url, listened, leads) in [
            ("http://127.0.0.1:8551", "127.0.0.1:8551", true),
            ("http://127.0.0.1:8551/path", "0.0.0.0:8551", true),
            ("http://127.0.0.1:8551", "[::]:8551", true),
            ("http://localhost:8551", "[::1]:8551", true),
            ("http://LOCALHOST:8551", "127.0.0.1:8551", true),
            ("http://0.0.0.0:8551", "127.0.0.1:8551", true),
            ("http://[::]:8551", "[::1]:8551", true),
            ("http://10.0.0.1:8551", "10.0.0.1:8551", true),
            ("http://127.0.0.1", "127.0.0.1:80", true),
            ("http://127.0.0.1:8552", "127.0.0.1:8551", false),
            ("http://127.0.0.2:8551", "127.0.0.1:8551", false),
            ("http://[::1]:8551", "127.0.0.1:8551", false),
            ("http://[::1]:8551", "0.0.0.0:8551", false),
            ("http://10.0.0.1:8551", "0.0.0.0:8551", false),
            ("http://geth.1:8551", "127.0.0.1:8551", false),
        ] {
            let listened = listened.parse().expect("an address");
            assert_eq!(leads_to(&Uri::from_static(url), listened), leads, "{url} {listened}");
        }
        for (one, other, are) in [
            ("http://a:1", "http://A:1/", true),
            ("http://a", "http://a:80", true),
            ("http://10.0.0.1:1", "http://[::ffff:10.0.0.1]:1", true),
            ("http://a:1/el1", "http://a:1/el2", false),
            ("http://a:1", "http://a:2", false),
            ("http://127.0.0.1:1", "http://127.0.0.2:1", false),
            ("http://geth.1:1", "http://geth.2:1", false),
        ] {
            assert_eq!(same(&Uri::from_static(one), &Uri::from_static(other)), are, "{one} {other}");
        }
    }

    #[test]
    fn a_port_that_is_yet_to_be_chosen_is_no_place() {
        assert_eq!(taken_by("127.0.0.1:0", "http://elsewhere", "http://127.0.0.1:0"), None);
    }
}
