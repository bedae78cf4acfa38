//! The L1 origin of a payload's block, from the deposit that op-node's order puts first (specs: protocol/deposits): what a signature over the block may hang on, `[L4]`.
//! Pure.

use crate::payload::transactions_of;
use alloy::primitives::{B256, hex};
use baton_protocol::{SoftBlock, rlp::list};

/// Type of a deposit transaction.
const DEPOSIT: u8 = 0x7e;
/// A string of up to 255 bytes, whose length is in one byte.
const STRING: u8 = 0xb8;
/// The L1 attributes of Ecotone, Isthmus and Jovian: selector and length. Up to the origin's hash they are alike.
const KNOWN: [([u8; 4], u8); 3] =
    [([0x44, 0x0a, 0x5e, 0x20], 164), ([0x09, 0x89, 0x99, 0xbe], 176), ([0x3d, 0xb6, 0xbe, 0x2b], 178)];
/// How far a gateway's L1 may be ahead of the one known here, in blocks. Keepers allow as much.
const LEAD: u64 = 64;
/// Where the origin's number is in them, and its hash.
const NUMBER: usize = 28;
const HASH: usize = 100;

/// The L1 block that an L2 block takes its deposits from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Origin {
    number: u64,
    hash: B256,
}

impl Origin {
    /// The origin of `getPayload`'s result, in JSON; `None` if its first transaction isn't a deposit of L1 attributes that is known here.
    pub(super) fn of_payload(payload: &[u8]) -> Option<Self> {
        Self::of_deposit(&hex::decode(transactions_of(payload)?.first()?).ok()?)
    }

    /// The attributes are the last that a deposit holds.
    fn of_deposit(raw: &[u8]) -> Option<Self> {
        let fields = raw.strip_prefix(&[DEPOSIT])?;
        let (own, content) = list(fields)?;
        if own.checked_add(content)? != fields.len() {
            return None;
        }
        let attributes = KNOWN.iter().find_map(|(selector, length)| {
            let (before, attributes) = fields.split_at_checked(fields.len().checked_sub(usize::from(*length))?)?;
            (before.ends_with(&[STRING, *length]) && attributes.starts_with(selector)).then_some(attributes)
        })?;
        let number = u64::from_be_bytes(*attributes.get(NUMBER..)?.first_chunk()?);
        Some(Self { number, hash: B256::from(*attributes.get(HASH..)?.first_chunk::<32>()?) })
    }

    /// Whether a signature over the block may hang on what it does, as far as can be told without the L1, whose newest known block is given: no keeper takes
    /// another, `[L4]`.
    pub(super) fn allows(&self, soft_block: &SoftBlock, newest: u64) -> bool {
        let latest = newest.max(self.number).saturating_add(LEAD);
        let is_later = self.number < soft_block.anchorNumber && soft_block.anchorNumber <= latest;
        is_later || self.anchors(soft_block)
    }

    /// Whether a signature hangs on the origin itself.
    pub(super) fn anchors(&self, soft_block: &SoftBlock) -> bool {
        soft_block.anchorNumber == self.number && soft_block.anchorHash == self.hash
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use serde_json::json;

    /// A payload whose first transaction deposits the attributes of a fork.
    pub(in crate::soft_blocks) fn payload(fork: usize, number: u64, hash: B256) -> String {
        let (selector, length) = KNOWN[fork];
        let mut attributes = vec![0; length.into()];
        attributes[..4].copy_from_slice(&selector);
        attributes[NUMBER..NUMBER + 8].copy_from_slice(&number.to_be_bytes());
        attributes[HASH..HASH + 32].copy_from_slice(&hash[..]);
        let fields = [&[0xa0][..], &[1; 32], &[0x94], &[2; 20], &[STRING, length], &attributes].concat();
        let raw = [&[DEPOSIT, 0xf8, fields.len().try_into().expect("short")][..], &fields].concat();
        let transactions = [hex::encode_prefixed(raw), "0x02".to_owned()];
        json!({"executionPayload": {"blockNumber": "0x7", "transactions": transactions}}).to_string()
    }

    #[test]
    fn the_origin_is_what_each_forks_deposit_says() {
        let hash = B256::repeat_byte(9);
        for fork in 0..KNOWN.len() {
            let origin = Origin::of_payload(payload(fork, 0x0102_0304, hash).as_bytes());
            assert_eq!(origin, Some(Origin { number: 0x0102_0304, hash }));
        }
        // One that the keeper reads, too.
        let evidence: serde_json::Value =
            serde_json::from_str(include_str!("../../../protocol/tests/evidence/payload.json")).expect("JSON");
        let origin = Origin::of_payload(evidence["delivered"]["payload"].to_string().as_bytes());
        assert_eq!(origin, Some(Origin { number: 3, hash: B256::repeat_byte(3) }));
    }

    #[test]
    fn what_is_no_such_deposit_has_none() {
        let right = payload(0, 1, B256::ZERO);
        for wrong in [
            String::new(),
            "{}".to_owned(),
            r#"{"executionPayload":{"transactions":[]}}"#.to_owned(),
            right.replace("440a5e20", "440a5e21"),
            right.replace("0x7e", "0x02"),
            right.replace("0x7e", "0x7e00"),
            right.replacen("\",\"0x02", "00\",\"0x02", 1),
        ] {
            assert_ne!(wrong, right);
            assert_eq!(Origin::of_payload(wrong.as_bytes()), None, "{wrong}");
        }
    }
}
