//! Keys in L1 URLs: sent to the node, told to nobody else. Also what TLS URLs do.

use crate::{
    l1::{L1, until_snapshot},
    log::Log,
};
use alloy::primitives::Address;
use baton_protocol::SlotClock;
use baton_schedule::{Follower, FollowerConfig, Handle};
use std::{
    sync::{Arc, Mutex},
    time::Duration,
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpListener,
};
use tokio_util::sync::CancellationToken;

const KEY: &str = "s3cret-k3y";
const CLOCK: SlotClock =
    SlotClock { l1_genesis_time: 0, slot_length: 12, l2_genesis_time: 0, l2_block_time: 2, settlement_delay: 2 };

/// Takes connections, keeps the first bytes of each, and answers in HTTP that there is nothing, naming what was asked for.
async fn nothing_here() -> (String, Arc<Mutex<Vec<Vec<u8>>>>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address").to_string();
    let heard = Arc::<Mutex<Vec<Vec<u8>>>>::default();
    let keep = heard.clone();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let keep = keep.clone();
            tokio::spawn(async move {
                let mut bytes = vec![0; 4096];
                let length = stream.read(&mut bytes).await.unwrap_or_default();
                bytes.truncate(length);
                let asked = String::from_utf8_lossy(&bytes).lines().next().unwrap_or_default().to_owned();
                keep.lock().expect("lock").push(bytes);
                let body = format!("no such project: {asked}");
                let answer = format!("HTTP/1.1 404 Not Found\r\nContent-Length: {}\r\n\r\n{body}", body.len());
                // The other side may have gone.
                let _ = stream.write_all(answer.as_bytes()).await;
            });
        }
    });
    (address, heard)
}

fn follow(urls: &[&str]) -> Handle {
    let config = FollowerConfig {
        poll_interval: Duration::from_millis(20),
        ..FollowerConfig::new(urls.iter().copied(), Address::repeat_byte(1), CLOCK)
    };
    assert!(!format!("{config:?}").contains(KEY), "{config:?}");
    Follower::spawn(config, CancellationToken::new()).expect("a good configuration")
}

#[tokio::test]
async fn keys_are_in_no_error_and_no_log() {
    let (log, _guard) = Log::of(tracing::Level::TRACE);
    let (node, heard) = nothing_here().await;
    for (url, said) in [
        (format!("http://{node}/v2/{KEY}"), "404"),
        (format!("http://{node}/?key={KEY}"), "404"),
        (format!("http://user:{KEY}@{node}"), "404"),
        (format!("http://127.0.0.1:1/{KEY}"), "refused"),
        (format!("https://{node}/{KEY}"), "L1 node: "),
        (format!("ws://{node}/v2/{KEY}"), "404"),
        (format!("ws://{node}/?key={KEY}"), "404"),
        (format!("ws://user:{KEY}@{node}"), "404"),
        (format!("ws://127.0.0.1:1/{KEY}"), "refused"),
        (format!("wss://{node}/{KEY}"), "L1 node: "),
    ] {
        let handle = follow(&[&url]);
        let failed = |why: &str| why.contains(said);
        let stale = until_snapshot(&handle, &url, |now| now.stale.as_deref().is_some_and(failed)).await;
        assert!(!format!("{stale:?}").contains(KEY), "{url}: {stale:?}");
    }
    // It did go where it belongs.
    let heard = heard.lock().expect("lock");
    let heard = |what: &str| heard.iter().any(|bytes| String::from_utf8_lossy(bytes).contains(what));
    for what in ["POST /v2/s3cret-k3y ", "POST /?key=s3cret-k3y ", "GET /v2/s3cret-k3y ", "GET /?key=s3cret-k3y "] {
        assert!(heard(what), "{what}");
    }
    let log = log.text();
    assert!(log.contains("an L1 node failed"), "{log}");
    let lines: Vec<_> = log.lines().filter(|line| line.contains(KEY)).collect();
    assert!(lines.is_empty(), "{lines:#?}");
}

#[tokio::test]
async fn userinfo_becomes_a_header() {
    let (node, heard) = nothing_here().await;
    for scheme in ["http", "ws"] {
        heard.lock().expect("lock").clear();
        let handle = follow(&[&format!("{scheme}://user:{KEY}@{node}/path")]);
        until_snapshot(&handle, "an answer", |now| now.stale.as_deref().is_some_and(|why| why.contains("404"))).await;
        let first = heard.lock().expect("lock")[0].clone();
        let request = String::from_utf8(first).expect("text").to_ascii_lowercase();
        // The Base64 of both, with a colon between.
        assert!(request.contains("authorization: basic dxnlcjpzm2nyzxqtazn5"), "{request}");
        assert!(request.contains(&format!("host: {node}")), "{request}");
    }
}

#[tokio::test]
async fn tls_is_spoken_where_the_url_says_so() {
    let l1 = L1::start().await;
    let (node, heard) = nothing_here().await;
    for scheme in ["https", "wss"] {
        heard.lock().expect("lock").clear();
        let mut config = l1.config();
        config.l1_urls.insert(0, format!("{scheme}://{node}").into());
        let handle = Follower::spawn(config, CancellationToken::new()).expect("a good configuration");
        // It fails, since what is there speaks no TLS, and the next node is used.
        until_snapshot(&handle, "the next node", |now| now.is_known() && now.stale.is_none()).await;
        // A TLS record with a handshake message begins with 22 and 3.
        assert_eq!(heard.lock().expect("lock")[0][..2], [22, 3], "{scheme}");
    }
}
