//! What reaches whom, in which order and in which form.

use crate::{
    node::{Fault, GENESIS, Node},
    stand::{GATEWAYS, OpNode, Options, Stand, builder, snapshot},
};
use alloy::primitives::B256;
use baton_portal::Secret;
use serde_json::{Value, json};
use std::time::Duration;

pub(crate) fn hash(number: u8) -> B256 {
    B256::repeat_byte(number)
}

pub(crate) fn payload(number: u8, parent: B256) -> Value {
    json!([{"blockHash": hash(number), "parentHash": parent, "blockNumber": format!("0x{number:x}"),
        "timestamp": format!("0x{:x}", 1000 + u64::from(number))}, [], B256::ZERO, []])
}

#[tokio::test]
async fn each_block_is_built_by_its_owner() {
    let stand = Stand::start().await;
    let mut head = GENESIS;
    // Block n belongs to slot n + 2; gateway 1's slots end with 15.
    for number in 10..18 {
        let answer = stand.block(head, number).await;
        let owner = if number + 2 < 16 { "gateway 1" } else { "gateway 2" };
        assert_eq!(builder(&answer), owner, "block {number}");
        head = stand.adopt(&answer["result"]).await;
    }
    let decision = stand.decision().await;
    assert_eq!(decision["choice"], "gateway");
    assert_eq!(decision["owner"], 2);
    assert_eq!(decision["ownerSlot"], 19);
    assert_eq!(decision["blockHash"], json!(head));
}

#[tokio::test]
async fn payload_ids_are_mapped_when_they_differ_and_when_they_are_the_same() {
    for id_prefixes in [[3, 4], [3, 3]] {
        let stand = Stand::start_with(Options { id_prefixes, ..Options::default() }).await;
        let id = stand.order(GENESIS, 1).await;
        // op-node knows the fallback's id; the gateway is asked for its own.
        assert!(id.starts_with("0x03"), "{id}");
        assert_eq!(builder(&stand.payload(&id).await), "gateway 1");
        let asked = &stand.gateways[0].arrived("engine_getPayload")[0].json["params"][0];
        assert!(asked.as_str().is_some_and(|asked| asked.starts_with(&format!("0x0{}", id_prefixes[1]))), "{asked}");
        // And again: op-node may ask twice.
        assert_eq!(builder(&stand.payload(&id).await), "gateway 1");
    }
}

#[tokio::test]
async fn only_the_owner_is_asked_to_build_and_the_others_get_the_head() {
    let stand = Stand::start().await;
    stand.order(GENESIS, 1).await;
    let owner = &stand.gateways[0].wait_for("engine_forkchoiceUpdated", 1).await[0].json;
    let other = &stand.gateways[1].wait_for("engine_forkchoiceUpdated", 1).await[0].json;
    assert_eq!(owner["params"], json!([OpNode::forkchoice(GENESIS), OpNode::attributes(1)]));
    assert_eq!(other["method"], "engine_forkchoiceUpdatedV3");
    assert_eq!(other["params"], json!([OpNode::forkchoice(GENESIS), null]));
}

#[tokio::test]
async fn a_derived_block_is_built_by_the_fallback_alone() {
    let stand = Stand::start().await;
    let mut attributes = OpNode::attributes(1);
    attributes["noTxPool"] = json!(true);
    let params = json!([OpNode::forkchoice(GENESIS), attributes]);
    let answer = stand.call("engine_forkchoiceUpdatedV3", params).await;
    let id = answer["result"]["payloadId"].as_str().expect("an id").to_owned();
    assert_eq!(builder(&stand.payload(&id).await), "fallback");
    // Whose it would have been is said: that it wasn't asked is no hand-over.
    let decision = stand.decision().await;
    assert_eq!((&decision["owner"], &decision["outcome"]), (&json!(1), &json!("not_asked")), "{decision}");
    let told = &stand.gateways[0].wait_for("engine_forkchoiceUpdated", 1).await[0].json;
    assert_eq!(told["params"][1], Value::Null);
}

#[tokio::test]
async fn heads_and_blocks_reach_everybody() {
    let stand = Stand::start().await;
    let answer = stand.block(GENESIS, 1).await;
    let head = stand.adopt(&answer["result"]).await;
    for node in [&stand.fallback, &stand.gateways[0], &stand.gateways[1]] {
        node.wait_for("engine_forkchoiceUpdated", 2).await;
        assert_eq!(node.head(), head);
    }
}

#[tokio::test]
async fn bodies_are_forwarded_byte_by_byte() {
    let stand = Stand::start().await;
    // Spacing, key order, escapes and an id that no serializer would write like this.
    let block = payload(1, GENESIS).to_string();
    let body = format!(
        "{{ \"id\" : 1.50e1 ,\n\t\"params\": {block},\"method\":\"engine_new\\u0050ayloadV4\", \"jsonrpc\":\"2.0\" }}"
    );
    let response = stand.post(body.clone(), &OpNode::token()).await;
    assert_eq!(response.status(), 200);
    for node in [&stand.fallback, &stand.gateways[0], &stand.gateways[1]] {
        assert_eq!(node.wait_for("engine_newPayload", 1).await[0].body, body.as_bytes());
    }
}

#[tokio::test]
async fn blocks_reach_gateways_while_the_fallback_is_busy() {
    // A body that is there at once, and one that is sent on while it still comes.
    for size in [0, 600_000] {
        let stand = Stand::start().await;
        stand.fallback.fail("engine_newPayload", Fault::Held);
        let mut params = payload(1, GENESIS);
        params[0]["extraData"] = json!(format!("0x{}", "00".repeat(size)));
        let arrives = async {
            for node in &stand.gateways {
                let arrived = node.wait_for("engine_newPayload", 1).await;
                assert_eq!(arrived[0].json["params"], params);
            }
            stand.fallback.release();
        };
        let (answer, ()) = tokio::join!(stand.call("engine_newPayloadV4", params.clone()), arrives);
        assert_eq!(answer["result"]["status"], "VALID");
        // Once only.
        stand.call("engine_forkchoiceUpdatedV3", json!([OpNode::forkchoice(hash(1)), null])).await;
        for node in &stand.gateways {
            node.wait_for("engine_forkchoiceUpdated", 1).await;
            assert_eq!(node.arrived("engine_newPayload").len(), 1);
        }
    }
}

#[tokio::test]
async fn limits_and_transactions_reach_gateways_while_the_fallback_is_busy() {
    for (method, params) in
        [("miner_setMaxDASize", json!(["0x1", "0x1"])), ("eth_sendRawTransaction", json!(["0x02f8"]))]
    {
        let stand = Stand::start().await;
        stand.fallback.fail(method, Fault::Held);
        let arrives = async {
            for node in &stand.gateways {
                node.wait_for(method, 1).await;
            }
            stand.fallback.release();
        };
        tokio::join!(stand.call(method, params), arrives);
    }
}

#[tokio::test]
async fn a_block_under_way_when_the_portal_ends_reaches_gateways() {
    let stand = Stand::start().await;
    stand.fallback.fail("engine_newPayload", Fault::Held);
    let ends = async {
        stand.fallback.wait_for("engine_newPayload", 1).await;
        stand.shutdown.cancel();
        for node in &stand.gateways {
            node.wait_for("engine_newPayload", 1).await;
        }
        stand.fallback.release();
    };
    let (answer, ()) = tokio::join!(stand.call("engine_newPayloadV4", payload(1, GENESIS)), ends);
    assert_eq!(answer["result"]["status"], "VALID");
}

#[tokio::test]
async fn what_is_answered_when_the_portal_ends_reaches_gateways() {
    let stand = Stand::start().await;
    stand.call("eth_sendRawTransaction", json!(["0x02f8"])).await;
    stand.call("engine_newPayloadV4", payload(1, GENESIS)).await;
    stand.shutdown.cancel();
    stand.portal.stopped().await;
    for node in &stand.gateways {
        for method in ["eth_sendRawTransaction", "engine_newPayload"] {
            assert_eq!(node.arrived(method).len(), 1, "{method}");
        }
    }
}

#[tokio::test]
async fn a_gateway_that_hangs_does_not_keep_the_portal_from_ending() {
    let stand = Stand::start().await;
    stand.gateways[0].fail("", Fault::Held);
    stand.call("engine_newPayloadV4", payload(1, GENESIS)).await;
    stand.shutdown.cancel();
    // Half of what an update to a gateway may take.
    assert!(tokio::time::timeout(Duration::from_secs(10), stand.portal.stopped()).await.is_ok());
}

#[tokio::test]
async fn a_body_that_breaks_off_reaches_nobody_else() {
    use tokio::io::AsyncWriteExt;
    let stand = Stand::start().await;
    let body =
        json!({"jsonrpc": "2.0", "id": 1, "method": "engine_newPayloadV4", "params": payload(1, GENESIS)}).to_string();
    let text = body.replacen("{\"id\":1,\"jsonrpc\":\"2.0\",", "{", 1);
    let mut stream = tokio::net::TcpStream::connect(stand.portal.engine).await.expect("connects");
    let head =
        format!("POST / HTTP/1.1\r\nhost: x\r\nauthorization: {}\r\ncontent-length: 900000\r\n\r\n", OpNode::token());
    stream.write_all(head.as_bytes()).await.expect("written");
    stream.write_all(text.as_bytes()).await.expect("written");
    stream.write_all(&vec![b' '; 400_000]).await.expect("written");
    drop(stream);
    // The next one goes its way, and everything that was to reach anybody before it has.
    stand.call("engine_newPayloadV4", payload(2, GENESIS)).await;
    for node in [&stand.fallback, &stand.gateways[0], &stand.gateways[1]] {
        let arrived = node.wait_for("engine_newPayload", 1).await;
        assert_eq!(arrived[0].json["params"], payload(2, GENESIS));
    }
}

#[tokio::test]
async fn a_body_that_breaks_off_says_nothing_about_the_fallback() {
    use tokio::io::AsyncWriteExt;
    let stand = Stand::start().await;
    stand.wait_for_admin("/healthz", 200).await;
    for _ in 0..5 {
        let mut stream = tokio::net::TcpStream::connect(stand.portal.engine).await.expect("connects");
        let text = r#"{"method":"engine_newPayloadV4","params":["#;
        let head = format!(
            "POST / HTTP/1.1\r\nhost: x\r\nauthorization: {}\r\ncontent-length: 900000\r\n\r\n",
            OpNode::token()
        );
        stream.write_all(format!("{head}{text}{}", " ".repeat(1000)).as_bytes()).await.expect("written");
        tokio::time::sleep(Duration::from_millis(30)).await;
        drop(stream);
        for _ in 0..10 {
            assert_eq!(stand.admin("/healthz").await.0, 200);
        }
    }
}

#[tokio::test]
async fn a_body_that_stalls_says_nothing_about_the_fallback() {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let stand = Stand::start_with(Options { fallback_timeout_ms: 300, ..Options::DEFAULT }).await;
    stand.wait_for_admin("/healthz", 200).await;
    for _ in 0..3 {
        let mut stream = tokio::net::TcpStream::connect(stand.portal.engine).await.expect("connects");
        let text = r#"{"method":"engine_newPayloadV4","params":["#;
        let token = OpNode::token();
        let head = format!("POST / HTTP/1.1\r\nhost: x\r\nauthorization: {token}\r\ncontent-length: 900000\r\n\r\n");
        stream.write_all(format!("{head}{text}{}", " ".repeat(1000)).as_bytes()).await.expect("written");
        let mut answer = [0; 15];
        stream.read_exact(&mut answer).await.expect("an answer");
        assert_eq!(&answer, b"HTTP/1.1 200 OK");
        for _ in 0..10 {
            assert_eq!(stand.admin("/healthz").await.0, 200);
        }
    }
}

#[tokio::test]
async fn a_body_that_stalls_is_not_a_fallback_that_hangs() {
    let stand = Stand::start().await;
    stand.wait_for_admin("/healthz", 200).await;
    let mut block = std::pin::pin!(slow_block(&stand, Duration::from_millis(1500)));
    loop {
        tokio::select! {
            _stream = &mut block => return,
            health = stand.admin("/healthz") => assert_eq!(health, (200, "ok".to_owned())),
        }
    }
}

/// A block whose body takes its time.
async fn slow_block(stand: &Stand, pause: std::time::Duration) -> tokio::net::TcpStream {
    use tokio::io::AsyncWriteExt;
    let mut params = payload(1, GENESIS);
    params[0]["extraData"] = json!(format!("0x{}", "00".repeat(300_000)));
    let body = format!(r#"{{"jsonrpc":"2.0","id":7,"method":"engine_newPayloadV4","params":{params}}}"#);
    let mut stream = tokio::net::TcpStream::connect(stand.portal.engine).await.expect("connects");
    let (token, length) = (OpNode::token(), body.len());
    let head = format!("POST / HTTP/1.1\r\nhost: x\r\nauthorization: {token}\r\ncontent-length: {length}\r\n\r\n");
    let (first, rest) = body.split_at(1000);
    stream.write_all(format!("{head}{first}").as_bytes()).await.expect("written");
    tokio::time::sleep(pause).await;
    stream.write_all(rest.as_bytes()).await.expect("written");
    stream
}

#[tokio::test]
async fn a_block_that_comes_slowly_reaches_gateways_while_the_fallback_is_busy() {
    let stand = Stand::start().await;
    stand.fallback.fail("engine_newPayload", Fault::Held);
    let _stream = slow_block(&stand, Duration::from_millis(100)).await;
    for node in &stand.gateways {
        node.wait_for("engine_newPayload", 1).await;
    }
}

#[tokio::test]
async fn a_block_reaches_gateways_though_the_fallback_is_down() {
    use tokio::io::AsyncReadExt;
    let mut stand = Stand::start().await;
    stand.stop_fallback().await;
    let mut stream = slow_block(&stand, Duration::from_millis(100)).await;
    for node in &stand.gateways {
        node.wait_for("engine_newPayload", 1).await;
    }
    // And op-node, which is still writing when the fallback turns out to be down, is told.
    let mut answer = vec![0; 15];
    stream.read_exact(&mut answer).await.expect("an answer");
    assert_eq!(answer, b"HTTP/1.1 200 OK");
}

#[tokio::test]
async fn updates_never_overtake_and_superseded_heads_coalesce() {
    let stand = Stand::start().await;
    let slow = &stand.gateways[1];
    slow.fail("engine_", Fault::Held);
    let mut parent = GENESIS;
    for number in 1..=9 {
        stand.call("engine_newPayloadV4", payload(number, parent)).await;
        parent = hash(number);
        stand.call("engine_forkchoiceUpdatedV3", json!([OpNode::forkchoice(parent), null])).await;
    }
    // op-node has its answers and the other gateway is done, while the slow one still holds the first update.
    let quick = stand.gateways[0].wait_for("engine_forkchoiceUpdated", 1).await;
    assert!(!quick.is_empty());
    assert_eq!(slow.wait_for("engine_", 1).await.len(), 1);
    slow.release();
    let blocks = slow.wait_for("engine_newPayload", 9).await;
    let heads = slow.wait_for("engine_forkchoiceUpdated", 1).await;
    let numbers: Vec<_> = blocks.iter().map(|call| call.json["params"][0]["blockNumber"].clone()).collect();
    assert_eq!(numbers, (1..=9).map(|number| json!(format!("0x{number:x}"))).collect::<Vec<_>>());
    assert_eq!(heads.len(), 1, "superseded heads went out");
    assert_eq!(slow.head(), hash(9));
}

#[tokio::test]
async fn the_shortest_lane_has_room_for_a_block_and_its_head() {
    let stand = Stand::start_with(Options { queue: 2, ..Options::DEFAULT }).await;
    stand.call("engine_newPayloadV4", payload(1, GENESIS)).await;
    stand.call("engine_forkchoiceUpdatedV3", json!([OpNode::forkchoice(hash(1)), null])).await;
    for node in &stand.gateways {
        node.wait_for("engine_forkchoiceUpdated", 1).await;
        assert_eq!(node.arrived("engine_newPayload").len(), 1);
    }
}

#[tokio::test]
async fn a_full_lane_drops_the_oldest_and_recovers() {
    let stand = Stand::start_with(Options { queue: 4, ..Options::default() }).await;
    let slow = &stand.gateways[1];
    slow.fail("engine_", Fault::Held);
    let mut parent = GENESIS;
    for number in 1..=9 {
        stand.call("engine_newPayloadV4", payload(number, parent)).await;
        parent = hash(number);
        slow.wait_for("engine_", 1).await;
    }
    stand.call("engine_forkchoiceUpdatedV3", json!([OpNode::forkchoice(parent), null])).await;
    slow.release();
    slow.wait_for("engine_forkchoiceUpdated", 1).await;
    let numbers: Vec<_> =
        slow.arrived("engine_newPayload").iter().map(|call| call.json["params"][0]["blockNumber"].clone()).collect();
    assert_eq!(numbers, [json!("0x1"), json!("0x7"), json!("0x8"), json!("0x9")]);
}

#[tokio::test]
async fn a_lane_is_full_at_64_mib_too() {
    let stand = Stand::start_with(Options { max_body_mb: 16, ..Options::DEFAULT }).await;
    // Reading so much isn't for more nodes than it takes.
    stand.debug("debug_setExecutionMode", json!([{"execution_mode": "disabled", "gateway": 1}])).await;
    let slow = &stand.gateways[1];
    slow.fail("engine_", Fault::Held);
    let mut parent = GENESIS;
    // Four of them fit.
    let filler = json!("0".repeat(15 << 20));
    for number in 1..=6 {
        let mut block = payload(number, parent);
        block[0]["extraData"] = filler.clone();
        stand.call("engine_newPayloadV4", block).await;
        parent = hash(number);
        slow.wait_for("engine_", 1).await;
    }
    slow.release();
    let arrived = slow.wait_for("engine_newPayload", 5).await;
    let numbers: Vec<_> = arrived.iter().map(|call| call.json["params"][0]["blockNumber"].clone()).collect();
    assert_eq!(numbers, ["0x1", "0x3", "0x4", "0x5", "0x6"].map(Value::from));
}

#[tokio::test]
async fn a_get_payload_that_overtakes_the_gateways_answer_waits_for_it() {
    let stand = Stand::start().await;
    stand.gateways[0].fail("engine_forkchoiceUpdated", Fault::Held);
    let id = stand.order(GENESIS, 1).await;
    let release = async {
        // The fallback's getPayload shows that op-node's is under way.
        stand.fallback.wait_for("engine_getPayload", 1).await;
        stand.gateways[0].release();
    };
    let (answer, ()) = tokio::join!(stand.payload(&id), release);
    assert_eq!(builder(&answer), "gateway 1");
}

#[tokio::test]
async fn gateways_at_one_endpoint_get_everything_once() {
    let mut stand = Stand::start().await;
    stand.gateways[1].stop().await;
    stand.call("engine_newPayloadV4", payload(1, GENESIS)).await;
    let second = async |last: &str| {
        let is = async {
            loop {
                let status: Value = serde_json::from_str(&stand.admin("/status.json").await.1).expect("JSON");
                if status["gateways"][1]["last"] == last {
                    return;
                }
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        tokio::time::timeout(Duration::from_secs(10), is).await.expect("its status");
    };
    second("connection").await;
    stand.publish(|[one, _]| snapshot([one.clone(), one]));
    // By the lane that both have.
    second("valid").await;
    let node = &stand.gateways[0];
    let [blocks, heads] = ["engine_newPayload", "engine_forkchoiceUpdated"].map(|method| node.arrived(method).len());
    // The second's turn, at the first's engine.
    let answer = stand.block(GENESIS, 17).await;
    assert_eq!(builder(&answer), "gateway 1");
    assert_eq!(stand.decision().await["owner"], 2);
    stand.adopt(&answer["result"]).await;
    stand.call("eth_sendRawTransaction", json!(["0x02f8"])).await;
    node.wait_for("engine_forkchoiceUpdated", heads + 2).await;
    node.wait_for("eth_sendRawTransaction", 1).await;
    assert_eq!(node.arrived("engine_newPayload").len(), blocks + 1);
    assert_eq!(node.arrived("engine_forkchoiceUpdated").len(), heads + 2);
}

#[tokio::test]
async fn everything_else_is_between_op_node_and_the_fallback() {
    let stand = Stand::start().await;
    for node in &stand.gateways {
        node.fail("", Fault::Garbage);
    }
    let answer = stand.call("engine_exchangeCapabilities", json!([[]])).await;
    assert_eq!(answer["result"], json!(["engine_newPayloadV4"]));
    let answer = stand.call("eth_getBlockByNumber", json!(["latest", false])).await;
    assert_eq!(answer["result"]["by"], "fallback");
    let answer = stand.call("engine_somethingNewV1", json!([1])).await;
    assert_eq!(answer["result"]["method"], "engine_somethingNewV1");
    stand.call("engine_newPayloadV4", payload(1, GENESIS)).await;
    for node in &stand.gateways {
        node.wait_for("engine_newPayload", 1).await;
        assert_eq!(node.arrived("").len(), 1, "{:?}", node.arrived(""));
    }
}

#[tokio::test]
async fn batches_are_answered_call_by_call() {
    let stand = Stand::start().await;
    let id = stand.order(GENESIS, 1).await;
    let batch = json!([
        {"jsonrpc": "2.0", "id": 1, "method": "engine_getPayloadV4", "params": [id]},
        {"jsonrpc": "2.0", "id": "two", "method": "eth_chainId", "params": []},
        7,
    ]);
    let answer = stand.exchange(batch.to_string()).await;
    assert_eq!(builder(&answer[0]), "gateway 1");
    assert_eq!(answer[0]["id"], 1);
    assert_eq!(answer[1], json!({"jsonrpc": "2.0", "id": "two", "result": "0x1"}));
    assert_eq!(answer[2]["error"]["code"], -32600);
    assert_eq!(stand.exchange("[]".to_owned()).await["error"]["code"], -32600);
    assert_eq!(stand.exchange("{\"a\":".to_owned()).await["error"]["code"], -32700);
}

#[tokio::test]
async fn the_schedule_is_answered_from_memory() {
    let stand = Stand::start().await;
    let at = stand.call("registry_gatewayAtBlock", json!([14])).await;
    assert_eq!(at["result"]["gateway"]["id"], 2);
    assert_eq!(at["result"]["gateway"]["endpoint"], stand.gateways[1].url());
    assert_eq!(at["result"]["ownerSlot"], 16);
    let all = stand.call("registry_gateways", json!([])).await;
    assert_eq!(all["result"].as_array().map(Vec::len), Some(2));
    // The test chain's schedule ended long ago.
    let current = stand.call("registry_currentGateway", json!([])).await;
    assert_eq!(current["error"]["code"], -32001);
    let told = stand.call("registry_registeredGateways", json!([])).await;
    let told: Vec<_> = told["result"].as_array().expect("a list").iter().map(|told| told[0].clone()).collect();
    assert_eq!(told, [stand.gateways[0].url(), stand.gateways[1].url()], "in based-op's form");
    assert_eq!(stand.call("registry_x", json!([])).await["error"]["code"], -32601);
    assert!(stand.fallback.arrived("registry_").is_empty());
}

/// Ids stand first as op-node writes calls, and behind the parameters as kona-node does; short bodies are read as a whole, long ones pass as they come.
#[tokio::test]
async fn a_fallback_that_is_down_is_told_under_the_calls_own_id() {
    let mut stand = Stand::start_with(Options { max_body_mb: 8, ..Options::DEFAULT }).await;
    stand.stop_fallback().await;
    for size in [10, 100_000, 1 << 20] {
        let mut block = payload(1, GENESIS);
        block[0]["extraData"] = json!("0".repeat(size));
        for body in [
            format!(r#"{{"jsonrpc":"2.0","id":"a-77","method":"engine_newPayloadV4","params":{block}}}"#),
            format!(r#"{{"method":"engine_newPayloadV4","params":{block},"id":"a-77","jsonrpc":"2.0"}}"#),
            format!(r#"{{"jsonrpc":"2.0","method":"engine_newPayloadV4","params":{block},"id":"a-77"}}"#),
        ] {
            let answer = stand.exchange(body).await;
            assert_eq!(answer["error"]["code"], -32000, "{answer}");
            assert_eq!(answer["id"], "a-77", "{size}: {answer}");
        }
    }
}

/// A form that this portal doesn't know is no reason for gateways to miss the head, nor to keep silent about the block.
#[tokio::test]
async fn an_order_in_an_unknown_form_is_the_fallbacks_and_its_head_is_everybodys() {
    unknown_order("eip1559Params", json!([250, 6])).await;
    // Of a fork that is to come.
    unknown_order("anything", json!("0x1")).await;
}

async fn unknown_order(key: &str, value: Value) {
    let stand = Stand::start().await;
    let head = hash(7);
    for node in [&stand.fallback, &stand.gateways[0], &stand.gateways[1]] {
        node.knows(head);
    }
    let mut attributes = OpNode::attributes(1);
    attributes[key] = value;
    let id = stand.order_with(head, &attributes).await;
    for node in &stand.gateways {
        let arrived = node.wait_for("engine_forkchoiceUpdated", 1).await;
        assert_eq!(arrived[0].json["params"], json!([OpNode::forkchoice(head), null]));
    }
    assert_eq!(stand.fallback.arrived("engine_forkchoiceUpdated")[0].json["params"][1], attributes);
    assert_eq!(builder(&stand.payload(&id).await), "fallback");
    let decision = stand.decision().await;
    assert_eq!((&decision["number"], &decision["choice"]), (&json!(1), &json!("fallback")), "{decision}");
    assert_eq!(decision["outcome"], "not_asked");
    assert!(decision["reason"].as_str().is_some_and(|reason| reason.contains("attributes")), "{decision}");
}

#[tokio::test]
async fn a_gateway_that_moves_is_told_where_the_chain_is() {
    let stand = Stand::start().await;
    let answer = stand.block(GENESIS, 1).await;
    let head = stand.adopt(&answer["result"]).await;
    let moved = Node::start("gateway 2, elsewhere", 4, Secret::new(GATEWAYS)).await;
    stand.publisher.publish(snapshot([stand.gateways[0].url(), moved.url()]));
    // Without waiting for the next block.
    let payloads = moved.wait_for("engine_newPayload", 1).await;
    let theirs = stand.gateways[0].wait_for("engine_newPayload", 1).await;
    assert_eq!(payloads[0].body, theirs[0].body);
    let has_head = async {
        while moved.head() != head {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(10), has_head).await.expect("it has the head");
}
