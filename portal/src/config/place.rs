//! Where a gateway may not be: at the portal's own ports, which would have the portal call itself, and at the operator's execution clients, each of which has a
//! place of its own as well.

use http::Uri;
use std::net::{IpAddr, SocketAddr};

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
    fn a_port_that_is_yet_to_be_chosen_is_no_place() {
        assert_eq!(taken_by("127.0.0.1:0", "http://elsewhere", "http://127.0.0.1:0"), None);
    }
}
