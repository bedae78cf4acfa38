//! op-node goes away in the middle of a call.

use crate::{
    node::{Fault, GENESIS},
    stand::{OpNode, Stand},
    updates::payload,
};
use serde_json::json;
use std::time::Duration;

#[tokio::test]
async fn an_update_reaches_gateways_though_op_node_hangs_up() {
    use tokio::io::AsyncWriteExt;
    let stand = Stand::start().await;
    stand.fallback.fail("engine_newPayload", Fault::Held);
    let body = format!(r#"{{"jsonrpc":"2.0","id":7,"method":"engine_newPayloadV4","params":{}}}"#, payload(1, GENESIS));
    let mut stream = tokio::net::TcpStream::connect(stand.portal.engine).await.expect("connects");
    let (token, length) = (OpNode::token(), body.len());
    let head = format!("POST / HTTP/1.1\r\nhost: x\r\nauthorization: {token}\r\ncontent-length: {length}\r\n\r\n");
    stream.write_all(format!("{head}{body}").as_bytes()).await.expect("written");
    stand.fallback.wait_for("engine_newPayload", 1).await;
    drop(stream);
    for node in &stand.gateways {
        node.wait_for("engine_newPayload", 1).await;
    }
}

/// A call in a batch comes up only when the one before it is answered, and that op-node doesn't wait for here.
#[tokio::test]
async fn all_that_arrived_is_done_though_op_node_hangs_up() {
    use http_body_util::Full;
    use hyper_util::rt::{TokioExecutor, TokioIo};
    let batch = json!([
        {"jsonrpc": "2.0", "id": 1, "method": "eth_chainId", "params": []},
        {"jsonrpc": "2.0", "id": 2, "method": "engine_newPayloadV4", "params": payload(1, GENESIS)},
    ]);
    for http2 in [true, false] {
        let stand = Stand::start().await;
        stand.wait_for_admin("/healthz", 200).await;
        let asked = || stand.fallback.arrived("eth_chainId").iter().filter(|call| call.json["id"] == 1).count();
        stand.fallback.fail("eth_chainId", Fault::Held);
        let stream = tokio::net::TcpStream::connect(stand.portal.engine).await.expect("connects");
        let request = hyper::Request::post(format!("http://{}", stand.portal.engine))
            .header("authorization", OpNode::token())
            .body(Full::<hyper::body::Bytes>::from(batch.to_string()))
            .expect("a request");
        // Dropped with all that belongs to it, the socket too.
        let op_node = if http2 {
            let (mut sender, connection) =
                hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(stream))
                    .await
                    .expect("HTTP/2");
            let answer = sender.send_request(request);
            tokio::spawn(async move { tokio::join!(connection, answer, async { drop(sender) }).0 })
        } else {
            let (mut sender, connection) =
                hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.expect("HTTP/1.1");
            let answer = sender.send_request(request);
            tokio::spawn(async move { tokio::join!(connection, answer).0 })
        };
        let arrived = async {
            while asked() == 0 {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        tokio::time::timeout(Duration::from_secs(10), arrived).await.expect("the first call arrives");
        op_node.abort();
        assert!(op_node.await.is_err_and(|error| error.is_cancelled()));
        // The portal hears of it before it hears from the fallback.
        for _ in 0..20 {
            stand.call("eth_getBlockByNumber", json!(["latest", false])).await;
        }
        stand.fallback.release();
        for node in [&stand.fallback, &stand.gateways[0], &stand.gateways[1]] {
            assert_eq!(node.wait_for("engine_newPayload", 1).await[0].json["id"], 2, "HTTP/2: {http2}");
        }
    }
}
