//! What files of a portal's archive prove. The portal makes the same files in its tests.

mod blocks;

use alloy::{
    primitives::{Address, B256, Bytes, U256},
    signers::{SignerSync, local::PrivateKeySigner},
};
use baton_keeper::{
    anchor::Anchor,
    archive::Archive,
    evidence::{CheckedEvidence, EvidenceError, Excuse, Proof},
    feed::{FeedItem, ItemError},
};
use baton_protocol::{Delivered, Domain, EpochSchedule, Evidence, Kind, SlotClock, SoftBlock, rlp::BlockHeader};
use baton_schedule::{GatewayInfo, L1Head, SequencerKeys, Snapshot};
use serde_json::{Value, json};

const SIGNATURES: &str = include_str!("../../protocol/tests/evidence/signatures.json");
const PAYLOAD: &str = include_str!("../../protocol/tests/evidence/payload.json");
const DOMAIN: Domain = Domain { chain_id: 1, inbox: Address::repeat_byte(5) };
const CLOCK: SlotClock =
    SlotClock { l1_genesis_time: 100, slot_length: 2, l2_genesis_time: 100, l2_block_time: 1, settlement_delay: 2 };
const ORIGIN: Anchor = Anchor { number: 3, hash: B256::repeat_byte(3) };
const PARENT: B256 = B256::repeat_byte(6);
const NUMBER: u64 = 7;

fn key() -> PrivateKeySigner {
    PrivateKeySigner::from_bytes(&B256::from(U256::from(2))).expect("a valid key")
}

/// Gateway 1 has every slot of epoch 0.
fn snapshot() -> Snapshot {
    let mut snapshot = Snapshot::unread(CLOCK);
    snapshot.schedule.insert(EpochSchedule { epoch: 0, slots: [(1, Kind::Fallback); 32] });
    snapshot.l1_head = Some(L1Head { number: 10, hash: B256::ZERO, parent_hash: B256::ZERO, timestamp: 100 });
    let keys = SequencerKeys { current: key().address(), previous: Address::ZERO, from_epoch: 0 };
    let info = GatewayInfo { keys, ..GatewayInfo::unregistered(1, "") };
    snapshot.gateways.insert(1, info);
    snapshot
}

/// A block of gateway 1's, signed, with something changed in the commitment.
fn item(parent: B256, salt: u8, change: impl FnOnce(&mut SoftBlock)) -> FeedItem {
    let (block, raw) = blocks::block(NUMBER, CLOCK.block_time(NUMBER), parent, ORIGIN, salt);
    let mut soft_block = SoftBlock {
        number: NUMBER,
        parentLink: B256::repeat_byte(9),
        blockHash: block.id().hash,
        anchorNumber: ORIGIN.number,
        anchorHash: ORIGIN.hash,
    };
    change(&mut soft_block);
    let signature = key().sign_hash_sync(&soft_block.digest(&DOMAIN)).expect("signed");
    FeedItem { gateway: 1, soft_block, signature: Bytes::from(signature.as_bytes().to_vec()), block: raw }
}

fn payload(parent: B256, hash: B256, origin: Anchor) -> Value {
    let (_, raw) = blocks::block(NUMBER, CLOCK.block_time(NUMBER), parent, origin, 1);
    let transactions = baton_batch::L2Block::from_rlp(&raw).expect("a block").transactions().to_vec();
    json!({"executionPayload": {"blockHash": hash, "parentHash": parent, "transactions": transactions}})
}

fn evidence(other: FeedItem, delivered: Delivered<Value>) -> String {
    let evidence = Evidence { chain_id: DOMAIN.chain_id, inbox: DOMAIN.inbox, other, delivered };
    serde_json::to_string(&evidence).expect("JSON")
}

fn read(text: &str) -> Result<CheckedEvidence, EvidenceError> {
    CheckedEvidence::read(text.as_bytes(), &snapshot(), &DOMAIN)
}

fn proof(text: &str) -> Proof {
    read(text).expect("right signatures").proof
}

/// Two signatures, the second one's commitment with a change.
fn pair(parent: B256, salt: u8, change: impl FnOnce(&mut SoftBlock)) -> String {
    evidence(item(PARENT, 2, |_| {}), Delivered::Item(item(parent, salt, change)))
}

#[test]
fn the_files_are_what_they_say() {
    assert_eq!(pair(PARENT, 1, |_| {}), SIGNATURES.trim_end());
    let delivered = Delivered::Payload(payload(PARENT, B256::repeat_byte(1), ORIGIN));
    assert_eq!(evidence(item(PARENT, 2, |_| {}), delivered), PAYLOAD.trim_end());
}

#[test]
fn a_portals_two_signatures_prove_a_conflict_and_are_kept_like_a_feeds() {
    let evidence = read(SIGNATURES).expect("right signatures");
    assert_eq!((evidence.gateway, &evidence.proof), (1, &Proof::Conflict));
    let directory = tempfile::tempdir().expect("temporary directory");
    let archive = Archive::open(&directory.path().join("archive.sqlite")).expect("opened");
    assert_eq!(evidence.keep(&archive).expect("kept"), 2);
    assert_eq!(evidence.keep(&archive).expect("kept"), 0, "they are there");
    let kept = archive.soft_blocks(1, NUMBER, 9, usize::MAX).expect("read");
    assert!(evidence.items.iter().all(|item| kept.contains(&item.archived)), "{kept:?}");
}

#[test]
fn a_portals_payload_proves_only_what_was_signed() {
    let evidence = read(PAYLOAD).expect("a right signature");
    assert_eq!(evidence.proof, Proof::OtherBlock { delivered: B256::repeat_byte(1) });
    assert!(evidence.items.len() == 1 && evidence.items[0].parent.as_ref().is_ok_and(|parent| *parent == PARENT));
}

#[test]
fn what_an_honest_gateway_signs_proves_nothing() {
    let reorg = |soft_block: &mut SoftBlock| soft_block.anchorHash = B256::repeat_byte(4);
    let again = proof(&pair(PARENT, 1, reorg));
    assert_eq!((again, again.known(Some(false), Some(true))), (Proof::Excluding, Proof::Nothing(Excuse::Reorg)));
    let other_base = |soft_block: &mut SoftBlock| soft_block.parentLink = B256::ZERO;
    assert_eq!(proof(&pair(B256::ZERO, 1, other_base)), Proof::Nothing(Excuse::OtherBase));
    assert_eq!(proof(&pair(PARENT, 2, |_| {})), Proof::Nothing(Excuse::SameBlock));
    let delivered = |parent, hash, origin| {
        proof(&evidence(item(PARENT, 2, |_| {}), Delivered::Payload(payload(parent, hash, origin))))
    };
    let (hash, reorged) = (B256::repeat_byte(1), Anchor { hash: B256::repeat_byte(4), ..ORIGIN });
    assert_eq!(delivered(PARENT, hash, reorged), Proof::Nothing(Excuse::Reorg));
    assert_eq!(delivered(B256::ZERO, hash, ORIGIN), Proof::Nothing(Excuse::OtherBase));
    let header =
        |item: &FeedItem| BlockHeader::of_block(&item.block, item.soft_block.blockHash).expect("a block").alone();
    let elsewhere = item(B256::ZERO, 2, |_| {});
    let other = FeedItem { block: header(&elsewhere).into(), ..elsewhere };
    let portals = Delivered::Payload(payload(PARENT, hash, ORIGIN));
    assert_eq!(proof(&evidence(other, portals)), Proof::Nothing(Excuse::OtherBase));
    let signed = item(PARENT, 2, |_| {}).soft_block.blockHash;
    assert_eq!(delivered(PARENT, signed, ORIGIN), Proof::Nothing(Excuse::SameBlock));
}

#[test]
fn a_made_up_anchor_excuses_nobody() {
    let made_up = |soft_block: &mut SoftBlock| soft_block.anchorHash = B256::repeat_byte(4);
    let proof = proof(&pair(PARENT, 1, made_up));
    for other_binds in [true, false] {
        let known = proof.known(Some(other_binds), Some(false));
        assert_eq!(known, Proof::Unbound { other_binds });
        assert!(!known.to_string().contains("nothing"), "{known}");
        // Only what depends on anchors that exclude each other depends on which is canonical.
        assert_eq!(Proof::Conflict.known(Some(other_binds), Some(false)), Proof::Conflict);
    }
    // An L1 node that hasn't come to them says nothing against anybody.
    assert_eq!(proof.known(None, None), Proof::Excluding);
}

#[test]
fn a_made_up_link_excuses_nobody_whose_blocks_tell_their_parent() {
    let made_up = |soft_block: &mut SoftBlock| soft_block.parentLink = B256::ZERO;
    assert_eq!(proof(&pair(PARENT, 1, made_up)), Proof::OneParent);
    let both = |soft_block: &mut SoftBlock| (soft_block.parentLink, soft_block.anchorHash) = (B256::ZERO, B256::ZERO);
    assert_eq!(proof(&pair(PARENT, 1, both)), Proof::Excluding);
    // The header says it, whatever transactions are put behind it, and a portal keeps nothing else of a long block.
    let (signed, whole) = (item(PARENT, 2, |_| {}), item(PARENT, 2, |_| {}).block);
    let header = BlockHeader::of_block(&whole, signed.soft_block.blockHash).expect("a block");
    for block in [header.alone(), [&header.alone()[..], &[0xc0]].concat()] {
        let other = FeedItem { block: block.into(), ..signed.clone() };
        assert_eq!(proof(&evidence(other, Delivered::Item(item(PARENT, 1, made_up)))), Proof::OneParent);
    }
    let bare = FeedItem { block: Bytes::new(), ..signed };
    assert_eq!(proof(&evidence(bare, Delivered::Item(item(PARENT, 1, made_up)))), Proof::UnknownParent);
}

#[test]
fn signatures_prove_without_their_blocks_and_are_not_kept_then() {
    let bare = |salt| FeedItem { block: Bytes::new(), ..item(PARENT, salt, |_| {}) };
    let evidence = read(&evidence(bare(2), Delivered::Item(bare(1)))).expect("right signatures");
    assert_eq!(evidence.proof, Proof::Conflict);
    let directory = tempfile::tempdir().expect("temporary directory");
    let archive = Archive::open(&directory.path().join("archive.sqlite")).expect("opened");
    assert_eq!(evidence.keep(&archive).expect("nothing fails"), 0);
    assert_eq!(archive.soft_blocks(1, NUMBER, 9, usize::MAX).expect("read"), []);
}

#[test]
fn who_has_not_signed_is_not_accused() {
    for index in 0..2 {
        let mut forged: Evidence<Value> = serde_json::from_str(SIGNATURES).expect("evidence");
        let Delivered::Item(delivered) = &mut forged.delivered else { panic!("two signatures") };
        [&mut forged.other, delivered][index].soft_block.anchorNumber = 4;
        let error = read(&serde_json::to_string(&forged).expect("JSON")).expect_err("refused");
        assert!(matches!(error, EvidenceError::Item(ItemError::Signature { number: NUMBER, .. })), "{error}");
    }
    let elsewhere = Domain { chain_id: 2, ..DOMAIN };
    let error = CheckedEvidence::read(SIGNATURES.as_bytes(), &snapshot(), &elsewhere).expect_err("refused");
    assert!(matches!(error, EvidenceError::OtherDomain { chain_id: 1, chain_here: 2, .. }), "{error}");
    let hostile = format!(r#"{{"\u001b[2J{}":1}}"#, "a".repeat(10_000));
    for text in ["", "{}", "[]", r#"{"item":{},"payload":{}}"#, &hostile] {
        let error = read(text).expect_err("refused");
        assert!(matches!(error, EvidenceError::Json(_)), "{text}");
        let said = error.to_string();
        assert!(said.len() < 400 && !said.contains('\u{1b}'), "{said}");
    }
}
