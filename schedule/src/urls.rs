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

    /// Forgets superseded URLs that [`Self::roll_back`] can't bring back if it goes to this block or a later one.
    pub fn prune(&mut self, block: u64) {
        let bound = (block, u64::MAX);
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
    use crate::{HeadTrail, L1Head};
    use alloy::primitives::B256;
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
        book.add([log(1, 0, 1), log(2, 0, 1), log(2, 1, 1), log(3, 0, 1)]);
        book.prune(2);
        assert_eq!(book.gateways[&1].len(), 2);
        book.roll_back(Some(2));
        assert_eq!(book.urls(1), log(2, 1, 1).urls);
    }

    proptest! {
        /// Whatever blocks were said to be there meanwhile, nothing is missed once they are gone.
        #[test]
        fn what_is_forgotten_is_not_missed_after_a_reorg(
            gaps in prop::collection::vec(1u64..20_000, 1..300),
            events in prop::collection::vec((0u64..3_000_000, 0u64..2, 1u16..3), 0..60),
            dropped in 0usize..300,
        ) {
            let events: Vec<_> = events.into_iter().map(|(block, index, gateway)| log(block, index, gateway)).collect();
            let up_to = |block| events.iter().filter(move |event| event.block <= block).cloned();
            let (mut trail, mut followed, mut number) = (HeadTrail::default(), UrlBook::default(), 0);
            for gap in gaps {
                number += gap;
                trail.push(&L1Head { number, hash: B256::ZERO, parent_hash: B256::ZERO, timestamp: 0 });
                followed.add(up_to(number));
                followed.prune(trail.oldest());
            }
            (0..dropped).for_each(|_| trail.drop_newest());
            let kept = trail.newest().map(|(number, _)| number);
            followed.roll_back(kept);
            let mut fresh = UrlBook::default();
            fresh.add(kept.into_iter().flat_map(up_to));
            for gateway in 1..3 {
                prop_assert_eq!(followed.urls(gateway), fresh.urls(gateway));
            }
        }

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
