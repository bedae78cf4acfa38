//! What to pay: pure arithmetic.

/// Kinds of transactions; they differ in what a replacement must pay more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TransactionKind {
    /// EIP-1559.
    Plain,
    /// EIP-4844.
    Blob,
}

/// What the L1 asks now, in wei.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MarketFees {
    /// Base fee per gas of the newest block.
    pub base: u128,
    /// Priority fee per gas that the node suggests.
    pub tip: u128,
    /// Base fee per blob gas.
    pub blob_base: u128,
}

/// What a transaction offers, in wei.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fees {
    /// Per gas at most.
    pub max: u128,
    /// Of that, for the proposer.
    pub tip: u128,
    /// Per blob gas at most; 0 for a plain transaction.
    pub max_blob: u128,
}

impl Fees {
    /// Twice as much of everything.
    pub const fn doubled(&self) -> Self {
        Self {
            max: self.max.saturating_mul(2),
            tip: self.tip.saturating_mul(2),
            max_blob: self.max_blob.saturating_mul(2),
        }
    }
}

impl MarketFees {
    /// A first offer: base fees may double until it is included, which takes six full blocks in a row.
    pub const fn offer(&self, kind: TransactionKind) -> Fees {
        // A tip of zero is refused by default by geth's pool (`--miner.gasprice`).
        let tip = if self.tip == 0 { 1 } else { self.tip };
        Fees {
            max: self.base.saturating_mul(2).saturating_add(tip),
            tip,
            max_blob: match kind {
                TransactionKind::Plain => 0,
                // Below the minimum of one wei no blob is ever included.
                TransactionKind::Blob if self.blob_base == 0 => 2,
                TransactionKind::Blob => self.blob_base.saturating_mul(2),
            },
        }
    }

    /// An offer that replaces an earlier one: what the market asks, but at least what pools ask of a replacement (geth: 10% more on each
    /// field for a plain transaction, 100% for a blob transaction).
    pub fn replace(&self, kind: TransactionKind, earlier: &Fees) -> Fees {
        let raised = |value: u128| match kind {
            TransactionKind::Plain => value.saturating_add(value.div_ceil(10)),
            TransactionKind::Blob => value.saturating_mul(2),
        };
        let offer = self.offer(kind);
        let tip = offer.tip.max(raised(earlier.tip));
        Fees {
            max: offer.max.max(raised(earlier.max)).max(tip),
            tip,
            max_blob: offer.max_blob.max(raised(earlier.max_blob)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_first_offer_covers_doubled_base_fees() {
        let market = MarketFees { base: 100, tip: 7, blob_base: 3 };
        assert_eq!(market.offer(TransactionKind::Blob), Fees { max: 207, tip: 7, max_blob: 6 });
        assert_eq!(market.offer(TransactionKind::Plain), Fees { max: 207, tip: 7, max_blob: 0 });
        let free = MarketFees { base: 0, tip: 0, blob_base: 0 };
        assert_eq!(free.offer(TransactionKind::Blob), Fees { max: 1, tip: 1, max_blob: 2 });
    }

    proptest! {
        #[test]
        fn a_replacement_pays_what_pools_ask(
            base in 0u128..1 << 60, tip in 0u128..1 << 60, blob_base in 0u128..1 << 60,
            max in 1u128..1 << 60, early_tip in 1u128..1 << 60, max_blob in 1u128..1 << 60,
        ) {
            let (market, earlier) = (MarketFees { base, tip, blob_base }, Fees { max, tip: early_tip, max_blob });
            let blob = market.replace(TransactionKind::Blob, &earlier);
            prop_assert!(blob.max >= 2 * max && blob.tip >= 2 * early_tip && blob.max_blob >= 2 * max_blob);
            let plain = market.replace(TransactionKind::Plain, &earlier);
            prop_assert!(plain.max * 10 >= 11 * max && plain.tip * 10 >= 11 * early_tip);
            let doubled = earlier.doubled();
            prop_assert!((doubled.max, doubled.tip, doubled.max_blob) == (2 * max, 2 * early_tip, 2 * max_blob));
            prop_assert!(blob.max >= blob.tip && plain.max >= plain.tip);
        }
    }
}
