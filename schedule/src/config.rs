//! What the follower must be told, and what is wrong with it.

use crate::NodeUrl;
use alloy::primitives::Address;
use baton_protocol::{SlotClock, SlotClockError};
use std::time::Duration;
use url::Url;

/// How L1 nodes can be reached.
const SCHEMES: [&str; 4] = ["http", "https", "ws", "wss"];

/// What to follow and how.
#[derive(Clone, Debug)]
pub struct FollowerConfig {
    /// JSON-RPC of L1 nodes: `http`, `https`, `ws`, `wss`, also mixed. The first is asked until it fails, then the next. One that is asked over a
    /// websocket announces its heads, and is asked at once when it does.
    pub l1_urls: Vec<NodeUrl>,
    /// The registry contract.
    pub registry: Address,
    /// The L1 block in which the registry was deployed, or any before it: events are read from here on.
    pub deployment_block: u64,
    /// How many blocks one query for events may span; public nodes refuse more than some thousand. A node that doesn't answer about so many is asked about fewer.
    pub log_span: u64,
    /// The deployment's arithmetic of time.
    pub clock: SlotClock,
    /// How often to look for a new L1 block, whatever a websocket announces or doesn't.
    pub poll_interval: Duration,
    /// How long one JSON-RPC request may take, and a websocket's handshake.
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
    #[error("`l1_urls[{index}]`, {url}, can't be used: {reason}")]
    BadUrl {
        /// Its position in `l1_urls`.
        index: usize,
        /// Which.
        url: NodeUrl,
        /// What is wrong and what to do.
        reason: String,
    },
    /// The registry can't be the zero address.
    #[error("`registry` is the zero address; set it to the deployed registry contract")]
    NoRegistry,
    /// No blocks can be read.
    #[error("`log_span` is 0; set it to how many blocks the L1 nodes answer a query for events about, such as 2000")]
    NoSpan,
    /// A duration is zero.
    #[error("`{0}` is 0; set it to a positive duration")]
    ZeroDuration(&'static str),
    /// The clock is wrong.
    #[error("`clock`: {0}")]
    Clock(#[from] SlotClockError),
}

impl FollowerConfig {
    /// A configuration with defaults for everything that has one: a poll every sixth of a slot (0.1 to 2 s), 2 s for a request, 2,000 blocks
    /// in a query for events, four past epochs, eight slots until a head counts as stuck.
    pub fn new(l1_urls: impl IntoIterator<Item = impl Into<NodeUrl>>, registry: Address, clock: SlotClock) -> Self {
        let slot = Duration::from_secs(clock.slot_length);
        Self {
            l1_urls: l1_urls.into_iter().map(Into::into).collect(),
            registry,
            deployment_block: 0,
            log_span: 2_000,
            clock,
            poll_interval: (slot / 6).clamp(Duration::from_millis(100), Duration::from_secs(2)),
            request_timeout: Duration::from_secs(2),
            past_epochs: 4,
            max_head_age: slot * 8,
        }
    }

    /// Checks every field. Dials nobody.
    pub fn validate(&self) -> Result<(), ConfigError> {
        self.clock.validate()?;
        if self.registry.is_zero() {
            return Err(ConfigError::NoRegistry);
        }
        if self.log_span == 0 {
            return Err(ConfigError::NoSpan);
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
        self.l1_urls.iter().enumerate().try_for_each(|(index, url)| parse_url(index, url).map(|_| ()))
    }
}

/// The URL of a node, if it can be dialled.
pub(crate) fn parse_url(index: usize, url: &NodeUrl) -> Result<Url, ConfigError> {
    let bad = |reason| ConfigError::BadUrl { index, url: url.clone(), reason };
    let parsed = url.parse().map_err(|reason| bad(format!("{reason}; write it as \"ws://host:port\"")))?;
    if !SCHEMES.contains(&parsed.scheme()) {
        return Err(bad("its scheme isn't supported; use http://, https://, ws:// or wss://".to_owned()));
    }
    // What the libraries that dial take is a little less than what a URL may be.
    let _: http::Uri = url.as_str().parse().map_err(|error: http::uri::InvalidUri| bad(error.to_string()))?;
    Ok(parsed)
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
        FollowerConfig::new(["http://127.0.0.1:8545"], Address::repeat_byte(1), clock)
    }

    fn with_url(url: &str) -> FollowerConfig {
        FollowerConfig { l1_urls: vec!["http://127.0.0.1:1".into(), url.into()], ..config() }
    }

    #[test]
    fn accepts_the_defaults_and_every_way_to_reach_a_node() {
        assert_eq!(config().validate(), Ok(()));
        for url in ["https://node/key", "ws://127.0.0.1:8546", "wss://user:pass@node/ws?key=1", "WS://[::1]:1"] {
            assert_eq!(with_url(url).validate(), Ok(()), "{url}");
        }
    }

    #[test]
    fn refuses_a_missing_l1() {
        assert_eq!(FollowerConfig { l1_urls: vec![], ..config() }.validate(), Err(ConfigError::NoL1));
    }

    #[test]
    fn refuses_urls_it_cannot_dial_and_names_their_position_but_no_key() {
        for (bad, said) in [
            ("ipc://node/secret-key", "use http://, https://, ws:// or wss://"),
            ("secret-key", "write it as \"ws://host:port\""),
            ("wss://node:port/secret-key", "invalid port number"),
            ("https://node/{secret-key\u{7f}}", "invalid uri character"),
        ] {
            let error = with_url(bad).validate().expect_err("unusable");
            for text in [error.to_string(), format!("{error:?}")] {
                assert!(!text.contains("secret-key"), "{text}");
            }
            assert!(error.to_string().contains("`l1_urls[1]`") && error.to_string().contains(said), "{error}");
        }
    }

    #[test]
    fn keys_are_not_shown_by_debug() {
        let shown = format!("{:?}", with_url("wss://user:secret-key@node/secret-key?key=secret-key"));
        assert!(shown.contains("wss://node/…") && !shown.contains("secret-key"), "{shown}");
    }

    #[test]
    fn refuses_zeroes() {
        assert_eq!(FollowerConfig { registry: Address::ZERO, ..config() }.validate(), Err(ConfigError::NoRegistry));
        assert_eq!(
            FollowerConfig { poll_interval: Duration::ZERO, ..config() }.validate(),
            Err(ConfigError::ZeroDuration("poll_interval"))
        );
        assert_eq!(FollowerConfig { log_span: 0, ..config() }.validate(), Err(ConfigError::NoSpan));
        let mut unset = config();
        unset.clock.slot_length = 0;
        assert_eq!(unset.validate(), Err(ConfigError::Clock(SlotClockError::Zero("slot_length"))));
    }
}
