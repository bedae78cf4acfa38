//! Values that can't be meant: they take a part of the portal out of use, or are in another unit than their key's.

use super::{Config, ConfigError};
use crate::breaker::Limits;
use baton_protocol::SLOTS_PER_EPOCH;
use std::net::{IpAddr, SocketAddr};

/// What may stand in one key.
struct Bound {
    field: &'static str,
    /// `None`: the key isn't there.
    value: Option<u64>,
    least: u64,
    most: u64,
    why: &'static str,
}

impl Bound {
    const fn new(field: &'static str, value: u64, least: u64, most: u64, why: &'static str) -> Self {
        Self { field, value: Some(value), least, most, why }
    }

    const fn check(&self) -> Result<(), ConfigError> {
        let Self { field, value, least, most, why } = *self;
        match value {
            Some(value) if value < least => Err(ConfigError::Zero(field)),
            Some(value) if value > most => Err(ConfigError::TooMuch { field, value, most, why }),
            _ => Ok(()),
        }
    }
}

/// The longest that one answer of a node may take, in milliseconds: ten minutes.
const PATIENCE: u64 = 600_000;
/// The longest that somebody who waits for the portal may be kept waiting, in milliseconds.
const WAIT: u64 = 30_000;
/// The longest that a gateway may be left out, in milliseconds: a week.
const PAUSE: u64 = 7 * 86_400_000;
/// How many updates may wait for one node.
const QUEUE: u64 = 65_536;

/// Checks all numbers of a configuration.
pub(super) fn check(config: &Config) -> Result<(), ConfigError> {
    let Config { engine, fallback, validator, gateways, schedule, .. } = config;
    let (breaker, policy) = (&gateways.breaker, &gateways.policy);
    let (next_waits, in_memory) = ("the next update waits behind it", "all that wait are kept in memory");
    let bounds = [
        Bound::new("engine.max_body_mb", engine.max_body_mb as u64, 1, 1024, "bodies are kept in memory"),
        Bound::new("fallback.timeout_ms", fallback.timeout_ms, 1, PATIENCE, "op-node gives up long before"),
        Bound::new(
            "gateways.payload_budget_ms",
            gateways.payload_budget_ms,
            1,
            WAIT,
            "op-node waits for so long, and its block should be there by then",
        ),
        Bound::new("gateways.timeout_ms", gateways.timeout_ms, 1, PATIENCE, next_waits),
        Bound::new("gateways.queue", gateways.queue as u64, 1, QUEUE, in_memory),
        Bound::new("gateways.read_timeout_ms", gateways.read_timeout_ms, 1, WAIT, "users wait for so long"),
        Bound::new("gateways.breaker.pause_ms", breaker.pause_ms, 1, PAUSE, "for good, there is `mode = \"disabled\"`"),
        Bound::new(
            "gateways.breaker.longest_pause_ms",
            breaker.longest_pause_ms,
            1,
            PAUSE,
            "for good, there is `mode = \"disabled\"`",
        ),
        Bound {
            field: "gateways.policy.gas_ratio",
            value: policy.gas_ratio,
            least: 0,
            most: 100,
            why: "it is a percentage, and no payload can use more gas than a full one",
        },
        Bound {
            field: "gateways.policy.value_ratio",
            value: policy.value_ratio,
            least: 0,
            most: 1000,
            why: "it is a percentage of what the fallback's payload is worth",
        },
        Bound {
            field: "gateways.policy.include_after",
            value: policy.include_after.map(u64::from),
            // Elsewhere 0 is never. Here never is to leave it away, and 0 would be as strict as 1.
            least: 1,
            most: u64::MAX,
            why: "",
        },
        Bound {
            field: "gateways.soft_blocks.within_ms",
            value: gateways.soft_blocks.as_ref().map(|rule| rule.within_ms),
            least: 0,
            most: WAIT,
            why: "whose turn it is may have changed by then",
        },
        Bound {
            field: "validator.timeout_ms",
            value: validator.as_ref().map(|validator| validator.timeout_ms),
            least: 1,
            most: PATIENCE,
            why: next_waits,
        },
        Bound {
            field: "validator.queue",
            value: validator.as_ref().map(|validator| validator.queue as u64),
            least: 1,
            most: QUEUE,
            why: in_memory,
        },
        Bound {
            field: "schedule.poll_interval_ms",
            value: schedule.poll_interval_ms,
            least: 1,
            // The most depends on the clock.
            most: u64::MAX,
            why: "",
        },
        Bound {
            field: "schedule.clock.settlement_delay",
            value: schedule.clock.map(|clock| clock.settlement_delay),
            least: 0,
            most: SLOTS_PER_EPOCH - 1,
            why: "it is the registry's, in slots, and less than an epoch",
        },
    ];
    bounds.iter().try_for_each(Bound::check)?;
    let queues =
        [("gateways.queue", Some(gateways.queue)), ("validator.queue", validator.as_ref().map(|own| own.queue))];
    if let Some((field, _)) = queues.into_iter().find(|(_, queue)| *queue == Some(1)) {
        return Err(ConfigError::ShortQueue(field));
    }
    // Left away, it is no word against a longer first pause: then all pauses are as long.
    if breaker.longest_pause_ms < breaker.pause_ms && breaker.longest_pause_ms != Limits::default().longest_pause_ms {
        return Err(ConfigError::Pauses { first: breaker.pause_ms, longest: breaker.longest_pause_ms });
    }
    Ok(())
}

/// Whether not both addresses can be listened on. Port 0 is any free one.
pub(super) fn collide(one: SocketAddr, other: SocketAddr) -> bool {
    /// Whether listening on the first takes the second's port: `[::]` stands for IPv4 as well.
    fn covers(wide: IpAddr, narrow: IpAddr) -> bool {
        wide.is_unspecified() && (wide.is_ipv6() || narrow.is_ipv4())
    }
    let (ip, other_ip) = (one.ip().to_canonical(), other.ip().to_canonical());
    one.port() != 0 && one.port() == other.port() && (ip == other_ip || covers(ip, other_ip) || covers(other_ip, ip))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_collide_where_listening_on_both_fails() {
        let address = |text: &str| text.parse::<SocketAddr>().expect("an address");
        for (one, other, collides) in [
            ("127.0.0.1:1", "127.0.0.1:1", true),
            ("127.0.0.1:1", "127.0.0.1:2", false),
            ("127.0.0.1:0", "127.0.0.1:0", false),
            ("127.0.0.1:1", "0.0.0.0:1", true),
            ("127.0.0.1:1", "[::]:1", true),
            ("127.0.0.1:1", "[::ffff:127.0.0.1]:1", true),
            ("127.0.0.1:1", "127.0.0.2:1", false),
            ("127.0.0.1:1", "[::1]:1", false),
            ("0.0.0.0:1", "[::1]:1", false),
            ("[::]:1", "[::1]:1", true),
        ] {
            assert_eq!(collide(address(one), address(other)), collides, "{one} {other}");
            assert_eq!(collide(address(other), address(one)), collides, "{other} {one}");
        }
    }
}
