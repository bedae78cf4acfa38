//! The optional rule that a gateway whose block was adopted must sign it in time: its soft block is looked for in its feed.
//!
//! A gateway signs a block once op-node has adopted it (rule `[K1]` in `docs/protocol.md`), so time runs from the forkchoice update that makes the
//! served payload the head. A valid signature over another block of that number, which no gateway that follows `[K3]` has made, is evidence, and is
//! archived in the form that keepers read; so are two of which the L1 alone can tell whether it has.

mod archive;
mod header;
mod origin;

pub(crate) use archive::{Shelf, keep, try_out};

use crate::{config::contract, object, upstream::Upstream};
use alloy::primitives::{Address, B256, Bytes as Binary};
use baton_protocol::{Delivered, Domain, Evidence, FeedItem, GatewayId, SoftBlock};
use bytes::Bytes;
use origin::Origin;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use std::{borrow::Cow, path::PathBuf, time::Duration};
use tokio::time::{Instant, sleep_until};

/// How long to wait before a feed is asked again; for as long as the last answer took, if that is longer.
const INTERVAL: Duration = Duration::from_millis(50);
/// How long a feed may take to answer, or for as long as a gateway has for signing, if that is longer.
pub(crate) const PATIENCE: Duration = Duration::from_secs(1);
/// The least time for signing, in milliseconds: a gateway has a head up to 30 ms after the fallback, and must still sign and serve the block.
pub(crate) const SHORTEST: u64 = 100;
/// How many of a feed's signatures over blocks of one number are looked at. There is one for each anchor on which its gateway has signed it.
const MOST: usize = 16;
/// The longest block that is kept of an item, in hexadecimal digits. Of a longer one its header is: whose child the block is may be what accuses.
const LONGEST_BLOCK: usize = 4 << 20;

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
    #[serde(deserialize_with = "contract")]
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
    pub(crate) parent: B256,
    pub(crate) hash: B256,
    /// `getPayload`'s result as it was served, in JSON.
    pub(crate) payload: Bytes,
}

/// What a gateway has signed of a number: valid signatures of its own alone, so that nobody else can incriminate it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Seen {
    /// What the block that was served hangs on, if that can be read.
    origin: Option<Origin>,
    /// The newest L1 block's number, as far as is known.
    newest: u64,
    /// Over the block that was served, on anchors that it may have, `[L4]`.
    own: Vec<Signed>,
    /// Over others.
    others: Vec<Signed>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Signed {
    item: FeedItem,
    /// The parent of its block; `None` if the feed hasn't the block.
    parent: Option<B256>,
}

/// What is to be said about a block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// Signed, with its block, and no other that contradicts it for sure.
    Signed,
    /// Signed, and so was another block that contradicts it.
    Contradicted,
    /// Another was signed, and this one wasn't.
    Another,
    /// Signed, and the feed hasn't the block.
    WithoutBlock,
    /// Nothing that counts.
    Nothing,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Item<'a> {
    gateway: GatewayId,
    soft_block: SoftBlock,
    signature: Binary,
    #[serde(borrow, default)]
    block: Cow<'a, str>,
}

#[derive(Deserialize)]
struct Answer<'a> {
    #[serde(borrow)]
    result: Vec<&'a RawValue>,
}

impl Item<'_> {
    fn signed(self) -> Signed {
        let read = header::read(&self.block, self.soft_block.blockHash);
        let parent = read.as_ref().map(|read| read.parent);
        let block = if self.block.len() <= LONGEST_BLOCK {
            self.block.parse().unwrap_or_default()
        } else {
            read.map(|read| read.header).unwrap_or_default()
        };
        let Self { gateway, soft_block, signature, .. } = self;
        Signed { item: FeedItem { gateway, soft_block, signature, block }, parent }
    }
}

impl Seen {
    /// Nothing yet.
    fn of(expected: &Expected, newest: u64) -> Self {
        Self { origin: Origin::of_payload(&expected.payload), newest, ..Self::default() }
    }

    /// Reads a feed's whole answer, for what is in it besides what was seen before.
    pub(crate) fn read(&mut self, answer: &[u8], expected: &Expected, key: Address, domain: &Domain) {
        let items = object::from_slice::<Answer<'_>>(answer).map(|answer| answer.result).unwrap_or_default();
        let items = items.into_iter().filter_map(|raw| serde_json::from_str::<Item<'_>>(raw.get()).ok());
        let about_it =
            items.filter(|item| item.gateway == expected.gateway && item.soft_block.number == expected.number);
        for signed in about_it.take(MOST).map(Item::signed) {
            let is_valid = signed.item.signed().is_ok_and(|signed| signed.verify(domain, key).is_ok());
            let is_own = signed.item.soft_block.blockHash == expected.hash;
            // One over the served block on an anchor that it can't have binds nobody.
            let binds = !is_own || self.origin.is_none_or(|origin| origin.allows(&signed.item.soft_block, self.newest));
            let seen = if is_own { &mut self.own } else { &mut self.others };
            if !is_valid || !binds {
                continue;
            }
            let is_room = seen.len() < MOST;
            match seen.iter_mut().find(|known| known.item.soft_block == signed.item.soft_block) {
                // Its block may have come since.
                Some(known) if known.parent.is_none() => *known = signed,
                Some(_) => {}
                None if is_room => seen.push(signed),
                None => {}
            }
        }
    }

    /// Whether the served block is signed, and in the feed.
    pub(crate) fn is_signed(&self) -> bool {
        self.own.iter().any(|own| own.parent.is_some())
    }

    pub(crate) fn verdict(&self, expected: &Expected) -> Verdict {
        if self.pair(|own, other| is_contradiction(own, other, expected)).is_some() {
            Verdict::Contradicted
        } else if self.is_signed() {
            Verdict::Signed
        } else if !self.own.is_empty() {
            Verdict::WithoutBlock
        } else if self.another(expected).is_some() {
            Verdict::Another
        } else {
            Verdict::Nothing
        }
    }

    /// The first two signatures of which something is so, the one over the served block first.
    fn pair(&self, is_so: impl Fn(&Signed, &Signed) -> bool) -> Option<(&Signed, &Signed)> {
        let mut pairs = self.own.iter().flat_map(|own| self.others.iter().map(move |other| (own, other)));
        pairs.find(|(own, other)| is_so(own, other))
    }

    /// Whether nothing here tells if two signatures are honest. On the origin of the block that op-node has adopted, the one over it binds, and one that its
    /// anchor excludes is of a chain that is no more; on a later anchor either may be made up. So may the base of one without its block.
    fn is_doubtful(&self, own: &Signed, other: &Signed, expected: &Expected) -> bool {
        let (ours, theirs) = (&own.item.soft_block, &other.item.soft_block);
        let is_excused = excludes(ours, theirs) && self.origin.is_some_and(|origin| origin.anchors(ours));
        let may_be_on_its_base = other.parent.is_none_or(|parent| parent == expected.parent);
        !is_excused && (ours.parentLink == theirs.parentLink || may_be_on_its_base)
    }

    /// A signature over another block on the served one's base, if that one isn't signed at all.
    fn another(&self, expected: &Expected) -> Option<&Signed> {
        let is_on_its_base = |other: &&Signed| other.parent.is_none_or(|parent| parent == expected.parent);
        self.own.is_empty().then(|| self.others.iter().find(is_on_its_base)).flatten()
    }

    /// What accuses the gateway, or might: where anchors exclude each other, the L1 tells.
    pub(crate) fn evidence<'a>(&self, expected: &'a Expected, domain: &Domain) -> Option<Evidence<&'a RawValue>> {
        let pair = self.pair(|own, other| is_contradiction(own, other, expected));
        let (other, delivered) = match pair.or_else(|| self.pair(|own, other| self.is_doubtful(own, other, expected))) {
            Some((own, other)) => (other, Delivered::Item(own.item.clone())),
            None => {
                let payload = serde_json::from_slice(&expected.payload).ok()?;
                (self.another(expected)?, Delivered::Payload(payload))
            }
        };
        let &Domain { chain_id, inbox } = domain;
        Some(Evidence { chain_id, inbox, other: other.item.clone(), delivered })
    }
}

/// Whether no L1 chain holds both anchors.
fn excludes(one: &SoftBlock, other: &SoftBlock) -> bool {
    one.anchorNumber == other.anchorNumber && one.anchorHash != other.anchorHash
}

/// Whether a gateway signed the served block and another on one base, with anchors that one L1 chain may hold. Blocks on one parent are on one base, whatever links
/// are signed: a link follows from the blocks before. After an L1 reorg a number is rightly signed again, on an anchor that excludes the earlier one or on another
/// base, `[K3]`.
fn is_contradiction(own: &Signed, other: &Signed, expected: &Expected) -> bool {
    let (ours, theirs) = (&own.item.soft_block, &other.item.soft_block);
    let is_on_one_parent = other.parent == Some(expected.parent) && !excludes(ours, theirs);
    ours.contradicts(theirs) || is_on_one_parent
}

/// Looks into the gateway's feed until it has signed the block, or the time is over. What is in the feed by then counts, however long the feed takes to say so: the last
/// look begins at the end. `newest` is the number of the newest L1 block known.
pub(crate) async fn look(
    feed: &Upstream,
    expected: &Expected,
    key: Address,
    rule: &SoftBlockRule,
    newest: u64,
) -> Seen {
    let deadline = Instant::now() + Duration::from_millis(rule.within_ms);
    let number = expected.number;
    let request =
        Bytes::from(format!(r#"{{"jsonrpc":"2.0","id":1,"method":"baton_softBlocks","params":[{number},1]}}"#));
    let mut seen = Seen::of(expected, newest);
    loop {
        let asked = Instant::now();
        if let Ok(answer) = feed.call(request.clone()).await {
            // One that signed another may yet sign the right one, on a new anchor.
            seen.read(&answer, expected, key, &rule.domain());
        }
        if seen.is_signed() || asked >= deadline {
            return seen;
        }
        // Whoever answers with a lot isn't read more than half of the time.
        let now = Instant::now();
        sleep_until(deadline.min(now + asked.elapsed().max(INTERVAL)).max(now)).await;
    }
}

#[cfg(test)]
mod tests;
