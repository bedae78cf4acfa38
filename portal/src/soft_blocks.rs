//! The optional rule that a gateway whose block was adopted must sign it in time: its soft block is looked for in its feed.
//!
//! A gateway signs a block once op-node has adopted it (rule `[K1]` in `docs/protocol.md`), so time runs from the forkchoice update that makes the
//! served payload the head. A valid signature over another block of that number is evidence, and is archived with the payload, the feed's item
//! unchanged: that is the form in which keepers keep and report soft blocks.

use crate::upstream::Upstream;
use alloy::primitives::{Address, B256, Bytes as Binary, Signature};
use baton_protocol::{Domain, GatewayId, SignedSoftBlock, SoftBlock};
use bytes::Bytes;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use std::{
    path::{Path, PathBuf},
    time::Duration,
};
use tokio::time::{Instant, sleep_until};
use tracing::warn;

/// How long to wait before a feed is asked again; for as long as the last answer took, if that is longer.
const INTERVAL: Duration = Duration::from_millis(50);
/// How long a feed may take to answer, or for as long as a gateway has for signing, if that is longer.
pub(crate) const PATIENCE: Duration = Duration::from_secs(1);
/// The least time for signing, in milliseconds: a gateway has a head up to 30 ms after the fallback, and must still sign and serve the block.
pub(crate) const SHORTEST: u64 = 100;
/// How many of a feed's signatures over one block are looked at. There is one for each anchor on which its gateway has signed it.
const MOST: usize = 16;

/// The rule as configured.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SoftBlockRule {
    /// Milliseconds from a block's adoption until its soft block must be in the feed; at least 100.
    pub within_ms: u64,
    /// After how many blocks in a row without its signature a gateway loses the rest of its turn. 0: never.
    #[serde(default = "default_after")]
    pub after: u32,
    /// Directory for evidence; none: it is logged only.
    #[serde(default)]
    pub archive: Option<PathBuf>,
    /// L1's chain id, which soft blocks are signed for.
    pub chain_id: u64,
    /// The rollup's inbox, which soft blocks are signed for.
    pub inbox: Address,
}

const fn default_after() -> u32 {
    1
}

impl SoftBlockRule {
    /// Where signatures hold.
    pub const fn domain(&self) -> Domain {
        Domain { chain_id: self.chain_id, inbox: self.inbox }
    }
}

/// A block of a gateway's that op-node was given.
#[derive(Clone, Debug)]
pub(crate) struct Expected {
    pub(crate) gateway: GatewayId,
    pub(crate) number: u64,
    pub(crate) hash: B256,
    /// `getPayload`'s result as it was served, in JSON.
    pub(crate) payload: Bytes,
}

/// What a feed says about a block.
#[derive(Debug)]
pub(crate) enum Said {
    /// The gateway has signed it, and another block of that number before, if there is an item.
    Signed(Option<Box<RawValue>>),
    /// The gateway has signed another block of that number: the item as it stands in the feed.
    Another(Box<RawValue>),
    /// Nothing that counts.
    Nothing,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Item {
    gateway: GatewayId,
    soft_block: SoftBlock,
    signature: Binary,
}

#[derive(Deserialize)]
struct Answer<'a> {
    #[serde(borrow)]
    result: Vec<&'a RawValue>,
}

/// Reads a feed's answer. Only what the gateway's key has signed counts, so that nobody else can incriminate it.
pub(crate) fn judge(answer: &[u8], expected: &Expected, key: Address, domain: &Domain) -> Said {
    let items = serde_json::from_slice::<Answer<'_>>(answer).map(|answer| answer.result).unwrap_or_default();
    let mut another = None;
    let items = items.into_iter().filter_map(|raw| Some((raw, serde_json::from_str::<Item>(raw.get()).ok()?)));
    let about_it =
        items.filter(|(_, item)| item.gateway == expected.gateway && item.soft_block.number == expected.number);
    for (raw, item) in about_it.take(MOST) {
        let Ok(signature) = Signature::from_raw(&item.signature) else { continue };
        let hash = item.soft_block.blockHash;
        if (SignedSoftBlock { soft_block: item.soft_block, signature }).verify(domain, key).is_err() {
            continue;
        }
        if hash == expected.hash {
            return Said::Signed(another);
        }
        another = Some(raw.to_owned());
    }
    another.map_or(Said::Nothing, Said::Another)
}

/// Looks into the gateway's feed until it has signed the block, or the time is over. What is in the feed by then counts, however long the feed takes to say so: the last
/// look begins at the end.
pub(crate) async fn look(feed: &Upstream, expected: &Expected, key: Address, rule: &SoftBlockRule) -> Said {
    let deadline = Instant::now() + Duration::from_millis(rule.within_ms);
    let number = expected.number;
    let request =
        Bytes::from(format!(r#"{{"jsonrpc":"2.0","id":1,"method":"baton_softBlocks","params":[{number},1]}}"#));
    let mut said = Said::Nothing;
    loop {
        let asked = Instant::now();
        if let Ok(answer) = feed.call(request.clone()).await {
            match judge(&answer, expected, key, &rule.domain()) {
                Said::Signed(before) => {
                    let seen = if let Said::Another(item) = said { Some(item) } else { None };
                    return Said::Signed(seen.or(before));
                }
                // It may yet sign the right one, on a new anchor.
                Said::Another(item) => said = Said::Another(item),
                Said::Nothing => {}
            }
        }
        if asked >= deadline {
            return said;
        }
        // Whoever answers with a lot isn't read more than half of the time.
        let now = Instant::now();
        sleep_until(deadline.min(now + asked.elapsed().max(INTERVAL)).max(now)).await;
    }
}

/// Keeps evidence as a file of its own.
pub(crate) async fn archive(directory: &Path, expected: &Expected, item: &RawValue) {
    #[derive(Serialize)]
    struct Evidence<'a> {
        item: &'a RawValue,
        payload: &'a RawValue,
    }
    let path = directory.join(format!("{}-{}.json", expected.number, expected.hash));
    let written = async {
        let payload = serde_json::from_slice(&expected.payload)?;
        let text = serde_json::to_vec(&Evidence { item, payload })?;
        tokio::fs::create_dir_all(directory).await?;
        // Under its name it is there whole or not at all.
        let partial = path.with_extension("partial");
        tokio::fs::write(&partial, text).await?;
        tokio::fs::rename(&partial, &path).await
    };
    if let Err(error) = written.await {
        warn!(path = %path.display(), %error, "evidence can't be archived");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloy::signers::{SignerSync, local::PrivateKeySigner};
    use serde_json::{Value, json};

    const DOMAIN: Domain = Domain { chain_id: 1, inbox: Address::ZERO };

    fn signer() -> PrivateKeySigner {
        PrivateKeySigner::from_bytes(&B256::repeat_byte(5)).expect("a key")
    }

    fn answer(gateway: GatewayId, number: u64, hash: u8, domain: &Domain) -> Vec<u8> {
        let soft_block = SoftBlock {
            number,
            parentLink: B256::ZERO,
            blockHash: B256::repeat_byte(hash),
            anchorNumber: 1,
            anchorHash: B256::ZERO,
        };
        let signature = signer().sign_hash_sync(&soft_block.digest(domain)).expect("signed");
        let signature = Binary::from(signature.as_bytes().to_vec());
        let item = json!({"gateway": gateway, "softBlock": soft_block, "signature": signature, "block": "0x"});
        json!({"jsonrpc": "2.0", "id": 1, "result": [item]}).to_string().into_bytes()
    }

    fn said(answer: &[u8], key: Address) -> &'static str {
        let expected = Expected { gateway: 3, number: 7, hash: B256::repeat_byte(1), payload: "{}".into() };
        match judge(answer, &expected, key, &DOMAIN) {
            Said::Signed(_) => "signed",
            Said::Another(_) => "another",
            Said::Nothing => "nothing",
        }
    }

    #[test]
    fn only_the_gateways_own_signature_counts() {
        let key = signer().address();
        assert_eq!(said(&answer(3, 7, 1, &DOMAIN), key), "signed");
        assert_eq!(said(&answer(3, 7, 2, &DOMAIN), key), "another");
        // Another gateway's, another block's, another chain's, another key's, and none.
        assert_eq!(said(&answer(4, 7, 2, &DOMAIN), key), "nothing");
        assert_eq!(said(&answer(3, 8, 2, &DOMAIN), key), "nothing");
        assert_eq!(said(&answer(3, 7, 2, &Domain { chain_id: 2, ..DOMAIN }), key), "nothing");
        assert_eq!(said(&answer(3, 7, 2, &DOMAIN), Address::ZERO), "nothing");
        // Only so many signatures are looked at.
        let item = |domain: &Domain| {
            let answer: Value = serde_json::from_slice(&answer(3, 7, 1, domain)).expect("JSON");
            answer["result"][0].clone()
        };
        for (count, expected) in [(MOST - 1, "signed"), (MOST, "nothing")] {
            let mut items = vec![item(&Domain { chain_id: 2, ..DOMAIN }); count];
            items.push(item(&DOMAIN));
            assert_eq!(said(json!({"result": items}).to_string().as_bytes(), key), expected);
        }
        for nothing in ["{}", "", r#"{"result":[]}"#, r#"{"result":[{}]}"#] {
            assert_eq!(said(nothing.as_bytes(), key), "nothing");
        }
    }
}
