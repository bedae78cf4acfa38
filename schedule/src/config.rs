//! What the follower must be told, and what is wrong with it.

use alloy::{primitives::Address, transports::http::reqwest::Url};
use baton_protocol::{SlotClock, SlotClockError};
use std::time::Duration;

/// What to follow and how.
#[derive(Clone, Debug)]
pub struct FollowerConfig {
    /// HTTP JSON-RPC of L1 nodes. The first is asked until it fails, then the next.
    pub l1_urls: Vec<String>,
    /// The registry contract.
    pub registry: Address,
    /// The L1 block in which the registry was deployed, or any before it: events are read from here on.
    pub deployment_block: u64,
    /// The deployment's arithmetic of time.
    pub clock: SlotClock,
    /// How often to look for a new L1 block.
    pub poll_interval: Duration,
    /// How long one JSON-RPC request may take.
    pub request_timeout: Duration,
    /// How many epochs before the current one to keep. A portal needs one, a keeper as many as it has unsettled blocks in.
    pub past_epochs: u64,
    /// From which age on an L1 head counts as stuck, so that another L1 node is asked and the snapshot marked.
    pub max_head_age: Duration,
}

/// Why a [`FollowerConfig`] can't be used.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum ConfigError {
    /// There is no L1 to follow.
    #[error("`l1_urls` is empty; name at least one L1 JSON-RPC URL such as \"http://127.0.0.1:8545\"")]
    NoL1,
    /// One URL can't be used.
    #[error("`l1_urls[{index}]` ({host}) can't be used: {reason}")]
    BadUrl {
        /// Its position in `l1_urls`.
        index: usize,
        /// Its host, since the rest may hold a key.
        host: String,
        /// What is wrong and what to do.
        reason: String,
    },
    /// The registry can't be the zero address.
    #[error("`registry` is the zero address; set it to the deployed registry contract")]
    NoRegistry,
    /// A duration is zero.
    #[error("`{0}` is 0; set it to a positive duration")]
    ZeroDuration(&'static str),
    /// The clock is wrong.
    #[error("`clock`: {0}")]
    Clock(#[from] SlotClockError),
}

impl FollowerConfig {
    /// A configuration with defaults for everything that has one: a poll every sixth of a slot (0.1 to 2 s), 2 s for a request, four past
    /// epochs, eight slots until a head counts as stuck.
    pub fn new(l1_urls: Vec<String>, registry: Address, clock: SlotClock) -> Self {
        let slot = Duration::from_secs(clock.slot_length);
        Self {
            l1_urls,
            registry,
            deployment_block: 0,
            clock,
            poll_interval: (slot / 6).clamp(Duration::from_millis(100), Duration::from_secs(2)),
            request_timeout: Duration::from_secs(2),
            past_epochs: 4,
            max_head_age: slot * 8,
        }
    }

    /// Checks every field and gives the parsed URLs.
    pub fn validate(&self) -> Result<Vec<Url>, ConfigError> {
        self.clock.validate()?;
        if self.registry.is_zero() {
            return Err(ConfigError::NoRegistry);
        }
        for (name, duration) in [
            ("poll_interval", self.poll_interval),
            ("request_timeout", self.request_timeout),
            ("max_head_age", self.max_head_age),
        ] {
            if duration.is_zero() {
                return Err(ConfigError::ZeroDuration(name));
            }
        }
        if self.l1_urls.is_empty() {
            return Err(ConfigError::NoL1);
        }
        self.l1_urls.iter().enumerate().map(|(index, url)| parse_url(index, url)).collect()
    }
}

fn parse_url(index: usize, text: &str) -> Result<Url, ConfigError> {
    let bad = |host: &str, reason: String| ConfigError::BadUrl { index, host: host.to_owned(), reason };
    let url: Url = text.parse().map_err(|error| bad("?", format!("{error}; write it as \"http://host:port\"")))?;
    let host = url.host_str().unwrap_or("?").to_owned();
    match url.scheme() {
        "http" => Ok(url),
        scheme => {
            Err(bad(&host, format!("scheme \"{scheme}\" isn't supported; use http:// (a local node or TLS proxy)")))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config() -> FollowerConfig {
        let clock = SlotClock {
            l1_genesis_time: 1000,
            slot_length: 12,
            l2_genesis_time: 1000,
            l2_block_time: 2,
            settlement_delay: 2,
        };
        FollowerConfig::new(vec!["http://127.0.0.1:8545".to_owned()], Address::repeat_byte(1), clock)
    }

    #[test]
    fn accepts_the_defaults() {
        assert_eq!(config().validate().map(|urls| urls.len()), Ok(1));
    }

    #[test]
    fn refuses_a_missing_l1() {
        assert_eq!(FollowerConfig { l1_urls: vec![], ..config() }.validate(), Err(ConfigError::NoL1));
    }

    #[test]
    fn refuses_urls_it_cannot_dial_and_names_their_position() {
        for bad in ["ws://node:8546", "https://node/secret-key", "not a url"] {
            let urls = vec!["http://127.0.0.1:1".to_owned(), bad.to_owned()];
            let error = FollowerConfig { l1_urls: urls, ..config() }.validate().expect_err("unusable");
            assert!(error.to_string().contains("`l1_urls[1]`"), "{error}");
            assert!(!error.to_string().contains("secret-key"), "{error}");
        }
    }

    #[test]
    fn refuses_zeroes() {
        assert_eq!(FollowerConfig { registry: Address::ZERO, ..config() }.validate(), Err(ConfigError::NoRegistry));
        assert_eq!(
            FollowerConfig { poll_interval: Duration::ZERO, ..config() }.validate(),
            Err(ConfigError::ZeroDuration("poll_interval"))
        );
        let mut unset = config();
        unset.clock.slot_length = 0;
        assert_eq!(unset.validate(), Err(ConfigError::Clock(SlotClockError::Zero("slot_length"))));
    }
}
