//! Following the execution client over blocks that can't be posted.

mod blocks;
#[path = "../src/scripted_node.rs"]
mod scripted_node;

use alloy::primitives::{B256, Bytes, keccak256};
use baton_keeper::{adopted::AdoptedChain, anchor::Anchor, archive::Archive, l2::L2};
use serde_json::{Value, json};
use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
};

/// A client's blocks by hash with number and parent, and its head.
#[derive(Default)]
struct Client {
    blocks: HashMap<B256, (u64, B256, Bytes)>,
    head: B256,
}

impl Client {
    fn good(&mut self, number: u64) -> B256 {
        let origin = Anchor { number: 1, hash: B256::repeat_byte(1) };
        let (block, raw) = blocks::block(number, number, self.head, origin, 0);
        self.add(number, block.id().hash, raw)
    }

    /// Its first deposit tells no L1 origin.
    fn bad(&mut self, number: u64) -> B256 {
        let raw = blocks::raw_block(number, number, self.head, vec![], 0);
        let mut list = &raw[..];
        let payload = alloy_rlp::Header::decode_bytes(&mut list, true).expect("a list");
        let mut rest = payload;
        let header = alloy_rlp::Header::decode(&mut rest).expect("a header");
        let end = payload.len() - rest.len() + header.payload_length;
        self.add(number, keccak256(&payload[..end]), raw)
    }

    fn add(&mut self, number: u64, hash: B256, raw: Bytes) -> B256 {
        self.blocks.insert(hash, (number, self.head, raw));
        self.head = hash;
        hash
    }

    fn answer(&self, method: &str, params: &Value) -> Value {
        let hash = params[0].as_str().and_then(|hash| hash.parse().ok()).unwrap_or(self.head);
        let (number, parent, raw) = &self.blocks[&hash];
        match method {
            "debug_getRawBlock" => json!(raw),
            _ => json!({"number": format!("{number:#x}"), "hash": hash, "parentHash": parent}),
        }
    }
}

#[tokio::test]
async fn what_lies_below_a_block_that_cannot_be_posted_is_adopted() {
    let client = Arc::new(Mutex::new(Client::default()));
    let asked = Arc::new(AtomicUsize::new(0));
    let (script, counter) = (client.clone(), asked.clone());
    let url = scripted_node::serve(move |method, params| {
        counter.fetch_add(usize::from(method == "debug_getRawBlock"), Ordering::Relaxed);
        Ok(script.lock().expect("lock").answer(method, params))
    })
    .await;
    let with = |change: &dyn Fn(&mut Client) -> B256| change(&mut client.lock().expect("lock"));
    let dir = tempfile::tempdir().expect("temporary directory");
    let archive = Archive::open(&dir.path().join("archive.sqlite")).expect("opened");
    let (mut chain, mut l2) = (AdoptedChain::default(), L2::new(&url).expect("a URL"));

    let second = with(&|client| [client.good(1), client.good(2)][1]);
    let fifth = with(&|client| [client.bad(3), client.good(4), client.good(5)][2]);
    l2.follow(&mut chain, &archive, 1, 0).await.expect("followed");
    assert_eq!(chain.head().map(|block| block.hash), Some(second));

    // Nothing is read twice, and what comes on top stays out.
    let before = asked.load(Ordering::Relaxed);
    with(&|client| client.good(6));
    assert_eq!(l2.follow(&mut chain, &archive, 1, 0).await.expect("followed"), Some(0));
    assert_eq!((chain.head().map(|block| block.number), asked.load(Ordering::Relaxed)), (Some(2), before + 1));

    // Once somebody settled it, it is no obstacle.
    l2.follow(&mut chain, &archive, 1, 3).await.expect("followed");
    assert_eq!(chain.head().map(|block| block.number), Some(6));
    assert!(chain.knows(5, fifth) && chain.blocks().len() == 3);
}
