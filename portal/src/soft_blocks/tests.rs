//! What a feed's answer is worth.

use super::*;
use alloy::{
    consensus::Header,
    primitives::{U256, hex},
    signers::{SignerSync, local::PrivateKeySigner},
};
use baton_protocol::{Delivered, rlp::BlockHeader};
use serde_json::{Value, json};

const DOMAIN: Domain = Domain { chain_id: 1, inbox: Address::ZERO };
const PARENT: B256 = B256::repeat_byte(0x99);

fn signer() -> PrivateKeySigner {
    PrivateKeySigner::from_bytes(&B256::repeat_byte(5)).expect("a key")
}

/// A block on a parent: its hash and RLP.
fn block_on(parent: B256, salt: u64) -> (B256, String) {
    let header = Header { parent_hash: parent, difficulty: U256::from(salt), ..Header::default() };
    let mut content = alloy::rlp::encode(&header);
    content.extend([0xc0, 0xc0]);
    let mut block = Vec::new();
    alloy::rlp::Header { list: true, payload_length: content.len() }.encode(&mut block);
    block.extend(content);
    (header.hash_slow(), hex::encode_prefixed(block))
}

fn own() -> (B256, String) {
    block_on(PARENT, 1)
}

fn other() -> (B256, String) {
    block_on(PARENT, 2)
}

fn expected() -> Expected {
    Expected { gateway: 3, number: 7, parent: PARENT, hash: own().0, payload: "{}".into() }
}

fn soft_block((hash, _): &(B256, String)) -> SoftBlock {
    SoftBlock { number: 7, parentLink: B256::ZERO, blockHash: *hash, anchorNumber: 1, anchorHash: B256::ZERO }
}

fn signed_by(signer: &PrivateKeySigner, soft_block: &SoftBlock, block: &str, domain: &Domain) -> Value {
    let signature = signer.sign_hash_sync(&soft_block.digest(domain)).expect("signed");
    let signature = Binary::from(signature.as_bytes().to_vec());
    json!({"gateway": 3, "softBlock": soft_block, "signature": signature, "block": block})
}

fn item(block: &(B256, String)) -> Value {
    changed(block, |_| {})
}

fn changed(block: &(B256, String), change: impl FnOnce(&mut SoftBlock)) -> Value {
    let mut soft_block = soft_block(block);
    change(&mut soft_block);
    signed_by(&signer(), &soft_block, &block.1, &DOMAIN)
}

fn without_block(mut item: Value) -> Value {
    item.as_object_mut().expect("an item").remove("block");
    item
}

fn with_block(mut item: Value, block: &str) -> Value {
    item["block"] = json!(block);
    item
}

fn read(items: &[Value]) -> Seen {
    let mut seen = Seen::default();
    let answer = json!({"jsonrpc": "2.0", "id": 1, "result": items}).to_string();
    seen.read(answer.as_bytes(), &expected(), signer().address(), &DOMAIN);
    seen
}

fn verdict(items: &[Value]) -> Verdict {
    read(items).verdict(&expected())
}

/// The hashes of the block that accuses and of the signed one that it contradicts, if anything accuses.
fn accusing(items: &[Value]) -> Option<(B256, Option<B256>)> {
    let evidence = read(items).evidence(&expected(), &DOMAIN).map(|evidence| {
        let text = serde_json::to_string(&evidence).expect("JSON");
        serde_json::from_str::<Evidence<Value>>(&text).expect("read back")
    })?;
    let own = match evidence.delivered {
        Delivered::Item(own) => Some(own.soft_block.blockHash),
        Delivered::Payload(payload) => {
            assert_eq!(payload, json!({}));
            None
        }
    };
    Some((evidence.other.soft_block.blockHash, own))
}

#[test]
fn only_the_gateways_own_signature_counts() {
    assert_eq!(verdict(&[item(&own())]), Verdict::Signed);
    assert_eq!(verdict(&[item(&other())]), Verdict::Another);
    // Another gateway's, another block's, another chain's, another key's, and none.
    let mut anothers = item(&other());
    anothers["gateway"] = json!(4);
    let stranger = PrivateKeySigner::from_bytes(&B256::repeat_byte(6)).expect("a key");
    for nothing in [
        anothers,
        changed(&other(), |soft_block| soft_block.number = 8),
        signed_by(&signer(), &soft_block(&other()), &other().1, &Domain { chain_id: 2, ..DOMAIN }),
        signed_by(&stranger, &soft_block(&other()), &other().1, &DOMAIN),
        json!({}),
    ] {
        assert_eq!(verdict(std::slice::from_ref(&nothing)), Verdict::Nothing, "{nothing}");
        assert_eq!(accusing(&[nothing]), None);
    }
    for nothing in ["{}", "", r#"{"result":[]}"#] {
        let mut seen = Seen::default();
        seen.read(nothing.as_bytes(), &expected(), signer().address(), &DOMAIN);
        assert_eq!(seen.verdict(&expected()), Verdict::Nothing);
    }
}

#[test]
fn only_so_many_signatures_are_looked_at() {
    let invalid = signed_by(&signer(), &soft_block(&own()), &own().1, &Domain { chain_id: 2, ..DOMAIN });
    for (count, expected) in [(MOST - 1, Verdict::Signed), (MOST, Verdict::Nothing)] {
        let mut items = vec![invalid.clone(); count];
        items.push(item(&own()));
        assert_eq!(verdict(&items), expected);
    }
    // Nor are more kept, however often it is asked.
    let mut seen = Seen::default();
    for anchor in 0..3 * MOST as u64 {
        let answer = json!({"result": [changed(&other(), |soft_block| soft_block.anchorNumber = anchor)]}).to_string();
        seen.read(answer.as_bytes(), &self::expected(), signer().address(), &DOMAIN);
    }
    assert_eq!(seen.others.len(), MOST);
}

#[test]
fn a_signature_without_its_block_is_not_in_the_feed() {
    let own = own();
    for nothing in [
        without_block(item(&own)),
        with_block(item(&own), "0x"),
        with_block(item(&own), &other().1),
        with_block(item(&own), &own.1[..own.1.len() - 2]),
    ] {
        assert_eq!(verdict(&[nothing]), Verdict::WithoutBlock);
    }
    // The block may come later.
    let mut seen = read(&[without_block(item(&own))]);
    assert!(!seen.is_signed());
    let answer = json!({"result": [item(&own)]}).to_string();
    seen.read(answer.as_bytes(), &expected(), signer().address(), &DOMAIN);
    assert_eq!(seen.verdict(&expected()), Verdict::Signed);
}

#[test]
fn two_signatures_that_contradict_each_other_accuse_in_either_order() {
    let both = Some((other().0, Some(own().0)));
    for items in [[item(&own()), item(&other())], [item(&other()), item(&own())]] {
        assert_eq!(verdict(&items), Verdict::Contradicted);
        assert_eq!(accusing(&items), both);
    }
    // Blocks aren't needed for that, nor is it the first that accuses.
    let harmless = changed(&block_on(B256::ZERO, 3), |soft_block| soft_block.parentLink = PARENT);
    let items = [harmless, without_block(item(&other())), without_block(item(&own()))];
    assert_eq!(verdict(&items), Verdict::Contradicted);
    assert_eq!(accusing(&items), both);
}

/// The block that soft blocks of these tests hang on.
const ORIGIN: (u64, B256) = (1, B256::ZERO);

/// The newest L1 block known.
const NEWEST: u64 = 40;

/// What is seen where the served block's origin can be read.
fn read_with_origin(items: &[Value], (number, hash): (u64, B256)) -> (Verdict, Option<Evidence<Value>>) {
    let expected = Expected { payload: origin::tests::payload(1, number, hash).into(), ..expected() };
    let mut seen = Seen::of(&expected, NEWEST);
    seen.read(json!({"result": items}).to_string().as_bytes(), &expected, signer().address(), &DOMAIN);
    let evidence = seen
        .evidence(&expected, &DOMAIN)
        .map(|evidence| serde_json::from_str(&serde_json::to_string(&evidence).expect("JSON")).expect("read back"));
    (seen.verdict(&expected), evidence)
}

#[test]
fn who_signs_again_after_an_l1_reorg_is_not_accused() {
    let elsewhere = block_on(B256::repeat_byte(0x98), 2);
    for honest in [
        // An anchor that excludes the other, and another base.
        changed(&other(), |soft_block| soft_block.anchorHash = PARENT),
        changed(&elsewhere, |soft_block| soft_block.parentLink = PARENT),
    ] {
        for items in [[item(&own()), honest.clone()], [honest.clone(), item(&own())]] {
            assert_eq!(verdict(&items), Verdict::Signed);
            assert_eq!(read_with_origin(&items, ORIGIN), (Verdict::Signed, None));
        }
    }
    // On another parent it is on another base, though the new signature isn't there yet.
    assert_eq!(verdict(&[item(&elsewhere)]), Verdict::Nothing);
    assert_eq!(accusing(&[item(&elsewhere)]), None);
}

#[test]
fn a_signature_on_an_anchor_that_the_served_block_cannot_have_is_none() {
    let honest = item(&other());
    for (number, hash) in [(1, PARENT), (0, B256::ZERO), (NEWEST + 65, PARENT), (u64::MAX, PARENT)] {
        let made_up = changed(&own(), |soft_block| {
            (soft_block.anchorNumber, soft_block.anchorHash) = (number, hash);
        });
        assert_eq!(read_with_origin(std::slice::from_ref(&made_up), ORIGIN), (Verdict::Nothing, None));
        for items in [[made_up.clone(), honest.clone()], [honest.clone(), made_up]] {
            let (verdict, evidence) = read_with_origin(&items, ORIGIN);
            assert_eq!(verdict, Verdict::Another);
            let evidence = evidence.expect("it accuses");
            assert_eq!(evidence.other.soft_block.blockHash, other().0);
            assert!(matches!(evidence.delivered, Delivered::Payload(_)));
        }
    }
}

#[test]
fn later_anchors_that_exclude_each_other_are_for_the_l1_to_judge() {
    // After a reorg to a chain on which its origin is earlier, an honest gateway signs so, too: it stays.
    for (origin, is_kept) in [((0, B256::ZERO), true), (ORIGIN, false)] {
        let items = [item(&own()), changed(&other(), |soft_block| soft_block.anchorHash = PARENT)];
        let (verdict, evidence) = read_with_origin(&items, origin);
        assert_eq!((verdict, evidence.is_some()), (Verdict::Signed, is_kept));
        assert!(evidence.is_none_or(|evidence| matches!(evidence.delivered, Delivered::Item(_))));
    }
    // Where the origin can't be read, that is all that is known.
    let items = [item(&own()), changed(&other(), |soft_block| soft_block.anchorHash = PARENT)];
    assert_eq!(accusing(&items), Some((other().0, Some(own().0))));
}

#[test]
fn blocks_on_one_parent_are_on_one_base_whatever_their_links() {
    let both = Some((other().0, Some(own().0)));
    let made_up = |block: &(B256, String)| changed(block, |soft_block| soft_block.parentLink = PARENT);
    for items in [[item(&own()), made_up(&other())], [made_up(&own()), item(&other())]] {
        assert_eq!(verdict(&items), Verdict::Contradicted);
        assert_eq!(accusing(&items), both);
    }
    // Without the block nobody knows: it is kept, and the gateway stays.
    let items = [item(&own()), without_block(made_up(&other()))];
    assert_eq!(verdict(&items), Verdict::Signed);
    assert_eq!(accusing(&items), both);
}

#[test]
fn a_signature_over_another_block_alone_accuses_with_the_payload() {
    for items in [[item(&other())], [without_block(item(&other()))]] {
        assert_eq!(verdict(&items), Verdict::Another);
        assert_eq!(accusing(&items), Some((other().0, None)));
    }
}

/// A block that is longer by so many bytes, which aren't transactions.
fn padded(header: &Header, bytes: usize) -> String {
    let mut content = alloy::rlp::encode(header);
    alloy::rlp::Encodable::encode(&vec![1u8; bytes][..], &mut content);
    let mut block = Vec::new();
    alloy::rlp::Header { list: true, payload_length: content.len() }.encode(&mut block);
    block.extend(content);
    hex::encode_prefixed(block)
}

#[test]
fn of_a_block_that_is_too_long_to_be_kept_the_header_is() {
    let header = Header { parent_hash: PARENT, difficulty: U256::from(2), ..Header::default() };
    let (short, long) = (padded(&header, 1000), padded(&header, LONGEST_BLOCK / 2));
    let whole: Binary = short.parse().expect("hexadecimal");
    let alone = header::read(&long, header.hash_slow()).expect("a block").header;
    for (block, kept) in [(short, whole), (long, alone)] {
        // The link is made up: only the header says that it is on the same parent.
        let other = changed(&(header.hash_slow(), block), |soft_block| soft_block.parentLink = PARENT);
        let (seen, expected) = (read(&[other, item(&own())]), expected());
        assert_eq!(seen.verdict(&expected), Verdict::Contradicted);
        let evidence = seen.evidence(&expected, &DOMAIN).expect("it accuses");
        assert_eq!(evidence.other.block, kept);
        assert!(BlockHeader::of_block(&kept, header.hash_slow()).is_some_and(|header| header.parent == PARENT));
    }
    // What is no block isn't kept.
    let none = with_block(item(&other()), &format!("0x{}", "0".repeat(LONGEST_BLOCK)));
    let (seen, expected) = (read(&[none]), expected());
    assert!(seen.evidence(&expected, &DOMAIN).expect("it accuses").other.block.is_empty());
}

/// Files that the keeper reads in its tests.
#[test]
fn evidence_has_the_form_that_keepers_read() {
    for text in [
        include_str!("../../../protocol/tests/evidence/signatures.json"),
        include_str!("../../../protocol/tests/evidence/payload.json"),
    ] {
        let evidence: Evidence<Box<RawValue>> = serde_json::from_str(text).expect("evidence");
        let domain = evidence.domain();
        let other = evidence.other.signed().expect("a signature");
        let key = Domain::recover(other.soft_block.digest(&domain), &other.signature).expect("signed");
        let block = header::read(&evidence.other.block.to_string(), other.soft_block.blockHash).expect("a block");
        let mut items = vec![&evidence.other];
        let (hash, payload) = match &evidence.delivered {
            Delivered::Item(item) => {
                items.push(item);
                (item.soft_block.blockHash, "{}")
            }
            Delivered::Payload(payload) => (B256::repeat_byte(1), payload.get()),
        };
        let expected = Expected {
            gateway: evidence.other.gateway,
            number: other.soft_block.number,
            parent: block.parent,
            hash,
            payload: Bytes::copy_from_slice(payload.as_bytes()),
        };
        let mut seen = Seen::default();
        seen.read(json!({"result": items}).to_string().as_bytes(), &expected, key, &domain);
        let made = seen.evidence(&expected, &domain).expect("it accuses");
        assert_eq!(serde_json::to_string(&made).expect("JSON"), text.trim_end());
    }
}
