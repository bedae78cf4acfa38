//! The gateways' URLs, folded from the registry's `UrlsSet` events, rule `[G2]`.

use crate::GatewayUrls;
use baton_protocol::GatewayId;
use std::collections::BTreeMap;

/// One `UrlsSet` event and where it stands in the L1 chain.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UrlsLog {
    /// L1 block number.
    pub block: u64,
    /// Position among the block's logs.
    pub index: u64,
    /// Whose URLs.
    pub gateway: GatewayId,
    /// What they are from here on.
    pub urls: GatewayUrls,
}

/// How many blocks behind the newest read one a superseded URL is kept, in case a reorg brings it back.
const REORG_MEMORY: u64 = 10_000;

/// All events that may still matter, by gateway and position.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct UrlBook {
    gateways: BTreeMap<GatewayId, BTreeMap<(u64, u64), GatewayUrls>>,
}

impl UrlBook {
    /// Adds events. Order doesn't matter, and adding one twice is adding it once.
    pub fn add(&mut self, logs: impl IntoIterator<Item = UrlsLog>) {
        for log in logs {
            self.gateways.entry(log.gateway).or_default().insert((log.block, log.index), log.urls);
        }
    }

    /// Takes back everything from blocks after `block`, because a reorg dropped them. `None` takes back everything.
    pub fn roll_back(&mut self, block: Option<u64>) {
        let Some(first_dropped) = block.map(|last| last.saturating_add(1)) else {
            self.gateways.clear();
            return;
        };
        for history in self.gateways.values_mut() {
            history.split_off(&(first_dropped, 0));
        }
    }

    /// Forgets superseded URLs that no reorg can bring back, given the newest block read.
    pub fn prune(&mut self, newest: u64) {
        let bound = (newest.saturating_sub(REORG_MEMORY), 0);
        for history in self.gateways.values_mut() {
            if let Some(keep) = history.range(..=bound).next_back().map(|(at, _)| *at) {
                *history = history.split_off(&keep);
            }
        }
    }

    /// A gateway's URLs now; empty if it never set them.
    pub fn urls(&self, gateway: GatewayId) -> GatewayUrls {
        let history = self.gateways.get(&gateway);
        history.and_then(|history| history.values().next_back()).cloned().unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn log(block: u64, index: u64, gateway: GatewayId) -> UrlsLog {
        let urls = GatewayUrls { endpoint: format!("http://{block}/{index}"), feed: format!("ws://{block}/{index}") };
        UrlsLog { block, index, gateway, urls }
    }

    #[test]
    fn the_last_event_wins_within_a_block_too() {
        let mut book = UrlBook::default();
        book.add([log(3, 4, 1), log(3, 2, 1), log(2, 9, 1), log(9, 0, 2)]);
        assert_eq!(book.urls(1), log(3, 4, 1).urls);
        assert_eq!(book.urls(2), log(9, 0, 2).urls);
        assert_eq!(book.urls(3), GatewayUrls::default());
    }

    #[test]
    fn a_reorg_brings_the_earlier_urls_back() {
        let mut book = UrlBook::default();
        book.add([log(3, 0, 1), log(8, 0, 1)]);
        book.roll_back(Some(8));
        assert_eq!(book.urls(1), log(8, 0, 1).urls);
        book.roll_back(Some(7));
        assert_eq!(book.urls(1), log(3, 0, 1).urls);
        book.roll_back(None);
        assert_eq!(book.urls(1), GatewayUrls::default());
    }

    #[test]
    fn pruning_keeps_what_a_reorg_can_bring_back() {
        let mut book = UrlBook::default();
        book.add([log(1, 0, 1), log(2, 0, 1), log(20_000, 0, 1)]);
        book.prune(20_001);
        assert_eq!(book.gateways[&1].len(), 2);
        book.roll_back(Some(19_999));
        assert_eq!(book.urls(1), log(2, 0, 1).urls);
    }

    proptest! {
        /// Reading one branch, rolling back and reading another gives what reading only the other gives.
        #[test]
        fn rolling_back_equals_never_having_read(
            common in prop::collection::vec((0u64..50, 0u64..4, 1u16..4), 0..20),
            dropped in prop::collection::vec((50u64..99, 0u64..4, 1u16..4), 0..20),
            kept in prop::collection::vec((50u64..99, 4u64..8, 1u16..4), 0..20),
        ) {
            let logs = |from: &[(u64, u64, u16)]| from.iter().map(|&(b, i, g)| log(b, i, g)).collect::<Vec<_>>();
            let mut followed = UrlBook::default();
            followed.add(logs(&common));
            followed.add(logs(&dropped));
            followed.roll_back(Some(49));
            followed.add(logs(&kept));
            let mut fresh = UrlBook::default();
            fresh.add(logs(&common));
            fresh.add(logs(&kept));
            for gateway in 1..4 {
                prop_assert_eq!(followed.urls(gateway), fresh.urls(gateway));
            }
        }
    }
}
