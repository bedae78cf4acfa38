//! Whether a valid payload of the owner is good enough beside the fallback's own. Validity always comes first; these rules are the operator's.

use alloy::primitives::{B256, U256};
use serde::{Deserialize, Serialize};
use std::{
    collections::{HashMap, HashSet},
    fmt,
};

/// What rules look at in a payload.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Offer {
    /// Gas used by the block.
    pub gas_used: u64,
    /// What its builder says that it is worth to the fee recipient, in wei.
    pub value: U256,
    /// How many transactions there are beside the forced ones.
    pub own_transactions: usize,
    /// Their hashes; only if a rule looks at them.
    pub hashes: Vec<B256>,
}

/// Both payloads of a block.
#[derive(Clone, Copy, Debug)]
pub struct Candidates<'a> {
    /// The owner's, which is valid.
    pub gateway: &'a Offer,
    /// The fallback's own.
    pub fallback: &'a Offer,
    /// Transactions that should have been in a block by now.
    pub overdue: &'a HashSet<B256>,
}

/// Why the fallback's payload is preferred.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Objection {
    /// Too little gas used.
    Gas {
        /// By the owner's.
        gateway: u64,
        /// By the fallback's.
        fallback: u64,
    },
    /// Worth too little, in wei.
    Value {
        /// The owner's.
        gateway: U256,
        /// The fallback's.
        fallback: U256,
    },
    /// A transaction is missing that the fallback has had ready for several blocks.
    Missing(B256),
}

impl fmt::Display for Objection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Gas { gateway, fallback } => write!(f, "{gateway} gas used instead of {fallback}"),
            Self::Value { gateway, fallback } => write!(f, "worth {gateway} wei instead of {fallback}"),
            Self::Missing(hash) => write!(f, "transaction {hash} is left out again"),
        }
    }
}

/// A rule.
pub trait Policy: fmt::Debug + Send + Sync {
    /// Says what it has against the owner's payload.
    fn judge(&self, candidates: Candidates<'_>) -> Result<(), Objection>;

    /// Whether it looks at transactions' hashes.
    fn wants_hashes(&self) -> bool {
        false
    }
}

/// The owner's payload must use a part of the gas that the fallback's uses, in percent.
#[derive(Clone, Copy, Debug)]
pub struct GasRatio(pub u64);

impl Policy for GasRatio {
    fn judge(&self, Candidates { gateway, fallback, .. }: Candidates<'_>) -> Result<(), Objection> {
        let enough = u128::from(gateway.gas_used) * 100 >= u128::from(fallback.gas_used) * u128::from(self.0);
        if enough { Ok(()) } else { Err(Objection::Gas { gateway: gateway.gas_used, fallback: fallback.gas_used }) }
    }
}

/// The owner's payload must be worth a part of what the fallback's is, in percent. Builders say themselves what their payload is worth.
#[derive(Clone, Copy, Debug)]
pub struct ValueRatio(pub u64);

impl Policy for ValueRatio {
    fn judge(&self, Candidates { gateway, fallback, .. }: Candidates<'_>) -> Result<(), Objection> {
        let enough = gateway.value.saturating_mul(U256::from(100)) >= fallback.value.saturating_mul(U256::from(self.0));
        if enough { Ok(()) } else { Err(Objection::Value { gateway: gateway.value, fallback: fallback.value }) }
    }
}

/// The owner's payload must hold every transaction that is overdue.
#[derive(Clone, Copy, Debug)]
pub struct InclusionList;

impl Policy for InclusionList {
    fn judge(&self, Candidates { gateway, fallback, overdue }: Candidates<'_>) -> Result<(), Objection> {
        // What the fallback leaves out too can't be included now.
        let missing = fallback.hashes.iter().find(|hash| overdue.contains(*hash) && !gateway.hashes.contains(hash));
        missing.map_or(Ok(()), |hash| Err(Objection::Missing(*hash)))
    }

    fn wants_hashes(&self) -> bool {
        true
    }
}

/// Which rules there are, as configured.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Rules {
    /// [`GasRatio`]'s percentage.
    pub gas_ratio: Option<u64>,
    /// [`ValueRatio`]'s percentage.
    pub value_ratio: Option<u64>,
    /// [`InclusionList`]: after how many blocks a transaction that the fallback would have included is overdue.
    pub include_after: Option<u32>,
}

impl Rules {
    /// The rules in the order in which they are asked.
    pub fn policies(&self) -> Vec<Box<dyn Policy>> {
        let gas = self.gas_ratio.map(|percent| Box::new(GasRatio(percent)) as Box<dyn Policy>);
        let value = self.value_ratio.map(|percent| Box::new(ValueRatio(percent)) as Box<dyn Policy>);
        let list = self.include_after.map(|_| Box::new(InclusionList) as Box<dyn Policy>);
        [gas, value, list].into_iter().flatten().collect()
    }
}

/// Transactions that the fallback would have included and that weren't, with how often in a row.
#[derive(Clone, Debug, Default)]
pub struct Waiting(HashMap<B256, u32>);

impl Waiting {
    /// Notes a block: what the fallback would have included, and what was included.
    pub fn note(&mut self, fallback: &[B256], included: &[B256]) {
        let included: HashSet<_> = included.iter().collect();
        let next = fallback.iter().filter(|hash| !included.contains(hash));
        // What the fallback doesn't want any more is gone from its pool.
        self.0 = next.map(|hash| (*hash, self.0.get(hash).copied().unwrap_or(0).saturating_add(1))).collect();
    }

    /// Those that were left out so many times in a row.
    pub fn overdue(&self, after: u32) -> HashSet<B256> {
        self.0.iter().filter(|(_, blocks)| **blocks >= after).map(|(hash, _)| *hash).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn offer(gas_used: u64, value: u64, hashes: &[u8]) -> Offer {
        let hashes: Vec<_> = hashes.iter().map(|byte| B256::repeat_byte(*byte)).collect();
        Offer { gas_used, value: U256::from(value), own_transactions: hashes.len(), hashes }
    }

    fn judge(policy: &dyn Policy, gateway: &Offer, fallback: &Offer, overdue: &[u8]) -> Result<(), Objection> {
        let overdue = overdue.iter().map(|byte| B256::repeat_byte(*byte)).collect();
        policy.judge(Candidates { gateway, fallback, overdue: &overdue })
    }

    #[test]
    fn a_part_of_the_gas_is_enough() {
        let ask = |gateway, fallback| judge(&GasRatio(10), &offer(gateway, 0, &[]), &offer(fallback, 0, &[]), &[]);
        assert_eq!(ask(10, 100), Ok(()));
        assert_eq!(ask(9, 100), Err(Objection::Gas { gateway: 9, fallback: 100 }));
        assert_eq!(ask(0, 0), Ok(()));
        assert_eq!(ask(u64::MAX, u64::MAX), Ok(()));
    }

    #[test]
    fn a_part_of_the_value_is_enough() {
        let ask = |gateway, fallback| judge(&ValueRatio(90), &offer(0, gateway, &[]), &offer(0, fallback, &[]), &[]);
        assert_eq!(ask(90, 100), Ok(()));
        assert!(ask(89, 100).is_err());
    }

    #[test]
    fn what_is_overdue_must_be_in_if_it_can() {
        let fallback = offer(0, 0, &[1, 2]);
        assert_eq!(judge(&InclusionList, &offer(0, 0, &[1]), &fallback, &[1]), Ok(()));
        assert_eq!(
            judge(&InclusionList, &offer(0, 0, &[1]), &fallback, &[2]),
            Err(Objection::Missing(B256::repeat_byte(2)))
        );
        // Nor could the fallback include this one.
        assert_eq!(judge(&InclusionList, &offer(0, 0, &[]), &fallback, &[3]), Ok(()));
    }

    #[test]
    fn a_transaction_is_overdue_after_so_many_blocks_without_it() {
        let hash = B256::repeat_byte(1);
        let mut waiting = Waiting::default();
        waiting.note(&[hash], &[]);
        waiting.note(&[hash], &[]);
        assert!(waiting.overdue(3).is_empty());
        waiting.note(&[hash], &[]);
        assert_eq!(waiting.overdue(3), HashSet::from([hash]));
        waiting.note(&[hash], &[hash]);
        assert!(waiting.overdue(1).is_empty());
        // Out of the pool for one block: counted anew.
        waiting.note(&[hash], &[]);
        waiting.note(&[], &[]);
        waiting.note(&[hash], &[]);
        assert!(waiting.overdue(2).is_empty());
    }

    #[test]
    fn rules_are_those_that_are_configured() {
        assert!(Rules::default().policies().is_empty());
        let rules = Rules { gas_ratio: Some(10), include_after: Some(3), ..Rules::default() };
        assert_eq!(rules.policies().len(), 2);
        assert!(rules.policies().iter().any(|policy| policy.wants_hashes()));
    }
}
