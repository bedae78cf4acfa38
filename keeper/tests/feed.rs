//! Feeds over real sockets, and what is refused.

mod blocks;

use alloy::{
    primitives::{Address, B256, Bytes, U256, Uint},
    signers::{SignerSync, local::PrivateKeySigner},
};
use baton_keeper::{
    anchor::Anchor,
    archive::{Archive, ArchivedSoftBlock},
    config::FeedConfig,
    feed::{FeedFollowers, FeedItem, FeedServer, FollowerContext, ItemError, MAX_COUNT, SOFT_BLOCKS, check},
};
use baton_protocol::{
    Domain, EpochSchedule, GatewayId, Kind, Link, NOBODY, SignatureError, SignedSoftBlock, SlotClock, SoftBlock,
};
use baton_schedule::{GatewayInfo, L1Head, SequencerKeys, Snapshot};
use jsonrpsee::{core::client::ClientT, http_client::HttpClientBuilder, rpc_params};
use std::{
    sync::{Arc, atomic::AtomicU64},
    time::{Duration, Instant, SystemTime},
};
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

const DOMAIN: Domain = Domain { chain_id: 1, inbox: Address::repeat_byte(5) };
const CLOCK: SlotClock =
    SlotClock { l1_genesis_time: 100, slot_length: 2, l2_genesis_time: 100, l2_block_time: 1, settlement_delay: 2 };
const ORIGIN: Anchor = Anchor { number: 3, hash: B256::repeat_byte(3) };
const OWNER: GatewayId = 1;
const OTHER: GatewayId = 2;

fn key(id: GatewayId) -> PrivateKeySigner {
    PrivateKeySigner::from_bytes(&B256::from(U256::from(id + 1))).expect("a valid key")
}

/// Slots 0 to 15 are gateway 1's, 16 to 31 gateway 2's. Keys of epoch 0; gateway 2 has a new one from epoch 1 on.
fn snapshot() -> Snapshot {
    let mut snapshot = Snapshot::unread(CLOCK);
    let slots = std::array::from_fn(|slot| (if slot < 16 { OWNER } else { OTHER }, Kind::Fallback));
    snapshot.schedule.insert(EpochSchedule { epoch: 0, slots });
    snapshot.l1_head = Some(L1Head { number: 10, hash: B256::ZERO, parent_hash: B256::ZERO, timestamp: 100 });
    snapshot.updated_at = SystemTime::now();
    for id in [NOBODY, OWNER, OTHER] {
        let keys = SequencerKeys { current: key(id).address(), previous: Address::ZERO, from_epoch: 0 };
        let info = GatewayInfo { keys, eligible: id != NOBODY, ..GatewayInfo::unregistered(id, "") };
        snapshot.gateways.insert(id, info);
    }
    snapshot
}

fn sign(gateway: GatewayId, soft_block: SoftBlock, block: Bytes) -> ArchivedSoftBlock {
    let signature = key(gateway).sign_hash_sync(&soft_block.digest(&DOMAIN)).expect("signed");
    ArchivedSoftBlock { gateway, signed: SignedSoftBlock { soft_block, signature }, block }
}

/// A signed soft block for a number, and its block's parent.
fn archived(gateway: GatewayId, number: u64) -> (ArchivedSoftBlock, B256) {
    let parent = B256::with_last_byte(u8::try_from(number).expect("small"));
    let (block, raw) = blocks::block(number, CLOCK.block_time(number), parent, ORIGIN, 0);
    let soft_block = SoftBlock {
        number,
        parentLink: Link(B256::repeat_byte(9)).0,
        blockHash: block.id().hash,
        anchorNumber: ORIGIN.number,
        anchorHash: ORIGIN.hash,
    };
    (sign(gateway, soft_block, raw), parent)
}

fn item(gateway: GatewayId, number: u64) -> FeedItem {
    archived(gateway, number).0.into()
}

/// The item with its commitment changed, and signed again.
fn resigned(number: u64, change: impl FnOnce(&mut SoftBlock)) -> FeedItem {
    let (archived, _) = archived(OWNER, number);
    let mut soft_block = archived.signed.soft_block;
    change(&mut soft_block);
    sign(OWNER, soft_block, archived.block).into()
}

fn refusal(item: FeedItem, feed_of: GatewayId) -> ItemError {
    check(item, feed_of, &snapshot(), &DOMAIN).expect_err("refused")
}

#[test]
fn owners_and_the_operators_items_are_taken() {
    let (expected, parent) = archived(OWNER, 4);
    assert_eq!(check(item(OWNER, 4), OWNER, &snapshot(), &DOMAIN).expect("taken"), (expected, parent));
    check(item(OTHER, 30), OTHER, &snapshot(), &DOMAIN).expect("taken");
    for number in [4, 30] {
        check(item(NOBODY, number), NOBODY, &snapshot(), &DOMAIN).expect("the operator may sign any block");
    }
    // An anchor above the origin is an anchor, too.
    check(resigned(4, |block| block.anchorNumber = 8), OWNER, &snapshot(), &DOMAIN).expect("taken");
}

#[test]
fn items_in_the_wrong_feed_are_refused() {
    assert!(matches!(refusal(item(OWNER, 4), OTHER), ItemError::OtherGateway { .. }));
}

#[test]
fn blocks_of_others_are_refused() {
    assert!(matches!(refusal(item(OTHER, 4), OTHER), ItemError::NotOwner { number: 4, owner: OWNER }));
}

#[test]
fn unknown_epochs_are_for_later() {
    let error = refusal(item(OWNER, 70), OWNER);
    assert!(matches!(error, ItemError::UnknownEpoch { number: 70 }) && error.is_retryable());
}

#[test]
fn other_keys_are_refused() {
    let (archived, _) = archived(OWNER, 4);
    let mut forged: FeedItem = sign(OTHER, archived.signed.soft_block, archived.block).into();
    forged.gateway = OWNER;
    assert!(matches!(refusal(forged, OWNER), ItemError::Signature { source: SignatureError::WrongSigner { .. }, .. }));
}

#[test]
fn the_key_of_the_slots_epoch_counts() {
    let mut snapshot = snapshot();
    let keys = SequencerKeys { current: Address::repeat_byte(7), previous: key(OWNER).address(), from_epoch: 1 };
    snapshot.gateways.get_mut(&OWNER).expect("known").keys = keys;
    check(item(OWNER, 4), OWNER, &snapshot, &DOMAIN).expect("the previous key in epoch 0");
    snapshot.gateways.get_mut(&OWNER).expect("known").keys = SequencerKeys { previous: Address::ZERO, ..keys };
    assert!(matches!(check(item(OWNER, 4), OWNER, &snapshot, &DOMAIN), Err(ItemError::NoKey { .. })));
}

#[test]
fn malleable_signatures_are_refused() {
    let mut twin = item(OWNER, 4);
    let mut bytes = twin.signature.to_vec();
    let order: U256 =
        Uint::from_str_radix("fffffffffffffffffffffffffffffffebaaedce6af48a03bbfd25e8cd0364141", 16).expect("hex");
    let s = order - U256::from_be_slice(&bytes[32..64]);
    bytes[32..64].copy_from_slice(&s.to_be_bytes::<32>());
    bytes[64] = 55 - bytes[64];
    twin.signature = bytes.into();
    assert!(matches!(refusal(twin, OWNER), ItemError::Signature { source: SignatureError::HighS, .. }));
    let short = FeedItem { signature: Bytes::from(vec![0; 64]), ..item(OWNER, 4) };
    assert!(matches!(refusal(short, OWNER), ItemError::Signature { .. }));
}

#[test]
fn blocks_that_are_not_what_was_signed_are_refused() {
    let field = |item| match refusal(item, OWNER) {
        ItemError::Mismatch { field, .. } => field,
        other => panic!("{other}"),
    };
    assert_eq!(field(FeedItem { block: archived(OWNER, 5).0.block, ..item(OWNER, 4) }), "hash");
    let (_, late) = blocks::block(4, CLOCK.block_time(4) + 1, B256::ZERO, ORIGIN, 0);
    let hash = baton_batch::L2Block::from_rlp(&late).expect("a block").id().hash;
    let late = FeedItem { block: late, ..resigned(4, |block| block.blockHash = hash) };
    assert_eq!(field(late), "timestamp");
    assert_eq!(field(resigned(4, |block| block.number = 5)), "number");
    assert_eq!(field(resigned(4, |block| block.anchorNumber = 2)), "anchor");
    assert_eq!(field(resigned(4, |block| block.anchorHash = B256::ZERO)), "anchor");
    assert_eq!(field(resigned(4, |block| block.anchorNumber = 1_000)), "anchor");
    let cut = item(OWNER, 4).block;
    assert!(matches!(
        refusal(FeedItem { block: cut.slice(..cut.len() - 1), ..item(OWNER, 4) }, OWNER),
        ItemError::Block(_)
    ));
}

fn open(dir: &tempfile::TempDir, name: &str) -> Arc<Archive> {
    Arc::new(Archive::open(&dir.path().join(name)).expect("opened"))
}

fn put(archive: &Archive, numbers: impl IntoIterator<Item = u64>) {
    for number in numbers {
        let (archived, parent) = archived(OWNER, number);
        assert!(archive.put_soft_block(&archived, parent).expect("put"));
    }
}

async fn serve(archive: &Arc<Archive>, port: u16) -> FeedServer {
    FeedServer::start(([127, 0, 0, 1], port).into(), OWNER, archive.clone()).await.expect("served")
}

fn numbers(archive: &Archive) -> Vec<u64> {
    let found = archive.soft_blocks(OWNER, 0, 1_000, usize::MAX).expect("read");
    found.iter().map(|item| item.signed.soft_block.number).collect()
}

async fn until(what: &str, is_so: impl Fn() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(30);
    while !is_so() {
        assert!(Instant::now() < deadline, "{what} didn't come");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test]
async fn a_range_is_served_over_http() {
    let dir = tempfile::tempdir().expect("temporary directory");
    let archive = open(&dir, "served");
    put(&archive, 1..20);
    let server = serve(&archive, 0).await;
    let client = HttpClientBuilder::default().build(format!("http://{}", server.address())).expect("client");
    let items: Vec<FeedItem> = client.request(SOFT_BLOCKS, rpc_params![7, 3]).await.expect("answered");
    assert_eq!(items, [item(OWNER, 7), item(OWNER, 8), item(OWNER, 9)]);
    let items: Vec<FeedItem> = client.request(SOFT_BLOCKS, rpc_params![18, 1_000_000]).await.expect("answered");
    assert_eq!(items.len(), 2);
    assert!(items.len() <= MAX_COUNT);
    client.request::<Vec<FeedItem>, _>(SOFT_BLOCKS, rpc_params!["x"]).await.expect_err("refused");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_follower_catches_up_and_follows_over_a_restart() {
    let dir = tempfile::tempdir().expect("temporary directory");
    let (served, followed) = (open(&dir, "served"), open(&dir, "followed"));
    put(&served, 1..=5);
    let server = serve(&served, 0).await;
    let port = server.address().port();

    let (_publisher, schedule) = baton_schedule::channel(snapshot());
    let context = Arc::new(FollowerContext {
        domain: DOMAIN,
        schedule,
        archive: followed.clone(),
        settled: AtomicU64::new(2),
        news: Notify::new(),
    });
    let config =
        FeedConfig { peers: [(OWNER.to_string(), format!("http://127.0.0.1:{port}"))].into(), ..FeedConfig::default() };
    let shutdown = CancellationToken::new();
    let mut followers = FeedFollowers::new(OTHER, config, context, shutdown.clone());
    followers.update(&snapshot());
    until("what was there, above the settled head", || numbers(&followed) == [3, 4, 5]).await;

    put(&served, 6..=6);
    server.publish(&item(OWNER, 6));
    // Not worth keeping, and no reason to give the feed up.
    server.publish(&item(OTHER, 7));
    put(&served, 8..=8);
    server.publish(&item(OWNER, 8));
    until("what is new", || numbers(&followed) == [3, 4, 5, 6, 8]).await;
    assert_eq!(followers.connected(), [(OWNER, true)].into());

    drop(server);
    until("the loss", || followers.connected() == [(OWNER, false)].into()).await;
    put(&served, 9..=10);
    let _server = {
        // The port may take a moment to be free.
        let deadline = Instant::now() + Duration::from_secs(30);
        loop {
            match FeedServer::start(([127, 0, 0, 1], port).into(), OWNER, served.clone()).await {
                Ok(server) => break server,
                Err(error) => assert!(Instant::now() < deadline, "{error}"),
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    until("what was missed", || numbers(&followed) == [3, 4, 5, 6, 8, 9, 10]).await;
    shutdown.cancel();
}
