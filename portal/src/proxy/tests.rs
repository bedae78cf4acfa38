use super::*;
use crate::{
    builds::{Build, Mark, Purpose},
    config::Config,
    demand::Demand,
    route::Skip,
    telemetry::lookups::Lookups,
    trace::Ordered,
};
use alloy::primitives::B256;
use baton_protocol::SlotClock;
use baton_schedule::{GatewayInfo, Publisher, Snapshot};
use futures::FutureExt;
use metrics_exporter_prometheus::PrometheusBuilder;
use std::{cell::Cell, sync::Mutex};

/// A portal of a chain that isn't known yet, whose fallback is down.
fn portal() -> (Arc<Proxy>, Publisher) {
    let folder = tempfile::tempdir().expect("temporary directory");
    let secret = |name: &str, byte: &str| {
        let path = folder.path().join(name);
        std::fs::write(&path, byte.repeat(32)).expect("written");
        path
    };
    let (op_node, own, shared) = (secret("op-node", "01"), secret("fallback", "02"), secret("gateways", "03"));
    let text = format!(
        r#"
        [engine]
        jwt_secret_file = {op_node:?}
        [fallback]
        url = "http://127.0.0.1:1"
        jwt_secret_file = {own:?}
        [gateways]
        jwt_secret_file = {shared:?}
        [schedule]
        l1_urls = ["http://127.0.0.1:1"]
        registry = "0x00000000000000000000000000000000000000b1"
        clock = {{ l1_genesis_time = 0, slot_length = 1, l2_genesis_time = 0, l2_block_time = 1, settlement_delay = 2 }}
        "#
    );
    let config = Config::from_toml(&text).expect("a configuration").checked().expect("a good one");
    let clock =
        SlotClock { l1_genesis_time: 0, slot_length: 1, l2_genesis_time: 0, l2_block_time: 1, settlement_delay: 2 };
    let (publisher, schedule) = baton_schedule::channel(Snapshot::unread(clock));
    let fallback = Upstream::new(config.fallback.uri, config.fallback.secret, config.fallback_timeout, config.max_body);
    let gateways = Gateways::new(config.gateways, config.max_body);
    (Arc::new(Proxy::new(schedule, fallback, None, gateways, config.live, Also::default())), publisher)
}

/// Has gateway 1 be at a URL, by the registry; gives its lane.
fn gateway_at(url: &str, portal: &Proxy, publisher: &Publisher) -> Arc<Lane> {
    publisher.publish(Snapshot {
        gateways: [(1, GatewayInfo::unregistered(1, url))].into(),
        ..Snapshot::clone(&publisher.latest())
    });
    portal.follow();
    portal.gateways.lanes().get(1).cloned().expect("a lane")
}

/// A block of gateway 1's.
fn build(purpose: Purpose, orders: Vec<Building>) -> Build<Building> {
    Build {
        demand: Demand::default(),
        owner: Owner::Ask(1),
        orders: Mutex::new(orders),
        purpose,
        ordered: Ordered::default(),
        judged: Mark::default(),
        counted: Mark::default(),
    }
}

#[tokio::test]
async fn a_probe_puts_right_what_metrics_say_of_the_fallback() {
    let recorder = PrometheusBuilder::new().build_recorder();
    let metrics = recorder.handle();
    let _recorded = metrics::set_default_local_recorder(&recorder);
    let (portal, _publisher) = portal();
    // As of the slower of two threads that had news.
    telemetry::fallback_up(true);
    portal.probe(Duration::from_secs(10)).await;
    assert!(metrics.render().contains("baton_portal_fallback_up 0\n"));
}

#[tokio::test]
async fn op_nodes_thread_does_not_wait_for_the_gauges_of_breakers() {
    let (portal, _publisher) = portal();
    lock(&portal.breakers).insert(1, Breaker::default());
    let set = Cell::new(0);
    let recorder = Lookups(|| {
        assert!(portal.breakers.try_lock().is_ok(), "breakers are locked");
        set.set(set.get() + 1);
    });
    let _watched = metrics::set_default_local_recorder(&recorder);
    portal.show_breakers();
    assert_eq!(set.get(), 1);
}

#[tokio::test]
async fn an_answer_in_pieces_counts_as_what_it_is() {
    let (portal, _publisher) = portal();
    for (method, pieces, outcome) in [("engine_exchangeCapabilities", 3, "ok"), ("eth_chainId", 1, "error")] {
        let (answer, rest) = portal.answer(rpc::request(1, method, &["[]"])).await;
        assert_eq!((answer.bytes().count(), rpc::outcome(&answer.joined())), (pieces, outcome), "{method}");
        let rest = format!("{rest:?}");
        assert!(rest.contains(&format!("outcome: {outcome:?}")), "{rest}");
    }
}

#[tokio::test]
async fn a_feed_is_looked_into_once_op_node_knows_that_the_block_is_the_head() {
    let (portal, _publisher) = portal();
    let hash = B256::repeat_byte(1);
    *lock(&portal.served) = Some(Expected { gateway: 1, number: 1, parent: B256::ZERO, hash, payload: Bytes::new() });
    let adopt = async |head: B256| {
        let state = format!(r#"{{"headBlockHash":"{head}","safeBlockHash":"{head}","finalizedBlockHash":"{head}"}}"#);
        let call = rpc::request(1, "engine_forkchoiceUpdatedV3", &[&state, "null"]);
        let (_answer, rest) = portal.answer(call).await;
        let before = lock(&portal.served).is_some();
        drop(rest);
        (before, lock(&portal.served).is_some())
    };
    assert_eq!(adopt(B256::repeat_byte(2)).await, (true, true), "another block");
    assert_eq!(adopt(hash).await, (true, false));
    assert_eq!(adopt(hash).await, (false, false));
}

#[test]
fn feeds_are_not_read_on_op_nodes_thread() {
    let others = runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().expect("a runtime");
    let engine = runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let (portal, _publisher) = others.block_on(async { portal() });
    let hash = B256::repeat_byte(1);
    *lock(&portal.served) = Some(Expected { gateway: 1, number: 1, parent: B256::ZERO, hash, payload: Bytes::new() });
    let tasks = engine.block_on(async {
        portal.adopted(hash);
        // What it had begun here would still be there, since nothing is waited for.
        runtime::Handle::current().metrics().num_alive_tasks()
    });
    assert!(lock(&portal.served).is_none(), "its feed is looked into");
    assert_eq!(tasks, 0);
}

#[tokio::test]
async fn what_op_node_will_not_get_is_tried_elsewhere() {
    let (portal, _publisher) = portal();
    let alive = || runtime::Handle::current().metrics().num_alive_tasks();
    for (purpose, more) in [(Purpose::Serve, 0), (Purpose::DryRun, 1), (Purpose::Trial, 1)] {
        let before = alive();
        let build = Arc::new(build(purpose, Vec::new()));
        let call = portal.serve(None, Bytes::new(), 4, PayloadId::default(), build, Instant::now());
        // Far enough for the attempt to have begun.
        assert!(call.now_or_never().is_none());
        assert_eq!(alive() - before, more, "{purpose:?}");
    }
}

#[tokio::test]
async fn an_order_that_goes_with_its_lane_is_no_fault_however_soon_that_is_seen() {
    let (portal, publisher) = portal();
    let lane = gateway_at("http://127.0.0.1:2", &portal, &publisher);
    // Nothing is taken from the lane as long as this doesn't wait.
    let build = build(Purpose::Serve, vec![lane.order("engine_any", Bytes::new())]);
    // Another isn't in its place yet.
    lane.close();
    let attempt = portal.attempt(4, &build, Instant::now() + Duration::from_secs(10)).await;
    assert_eq!(attempt.outcome.name(), "lane_closed", "{}", attempt.outcome);
}

#[tokio::test]
async fn a_call_that_has_seen_other_lanes_tells_those_that_there_are() {
    let state = format!(r#"{{"headBlockHash":"{}"}}"#, B256::ZERO);
    let order = rpc::request(1, "engine_forkchoiceUpdatedV3", &[&state, r#"{"timestamp":"0x1"}"#]);
    let call = peek::call(&order).expect("a call");
    for (kind, owner) in [
        (Kind::Payload, None),
        (Kind::Head, None),
        (Kind::Build, Some(Owner::Ask(1))),
        (Kind::Build, Some(Owner::Skip(Skip::OpenSlot))),
    ] {
        let (portal, publisher) = portal();
        gateway_at("http://127.0.0.1:2", &portal, &publisher);
        let (before, live) = (portal.gateways.lanes(), portal.live());
        let lane = gateway_at("http://127.0.0.1:3", &portal, &publisher);
        // Nothing is taken from the lane as long as this doesn't wait.
        match owner {
            None => portal.tell(kind, &before.ids, "engine_any", &Bytes::new().into(), &before, &live),
            Some(owner) => {
                let answer = portal.build(&call, order.clone(), owner, Some(1), &before, &live).now_or_never();
                assert!(answer.is_none(), "the fallback is asked");
            }
        }
        assert_eq!(lane.waiting(), 1, "{kind:?} {owner:?}");
    }
}

#[tokio::test]
async fn a_call_may_take_what_the_fallback_and_a_gateway_before_it_may() {
    let (portal, _publisher) = portal();
    // By default, a tenth of a second for a read.
    let fallback = portal.fallback.timeout();
    assert_eq!(portal.longest_call(), fallback + Duration::from_millis(100));
    let with = |change: &dyn Fn(&mut Live)| {
        let mut live = Live::clone(&portal.live());
        change(&mut live);
        portal.live.store(Arc::new(live));
        portal.longest_call()
    };
    assert_eq!(with(&|live| live.multiplex = None), fallback + Duration::from_millis(10));
    assert_eq!(with(&|live| live.payload_budget = 2 * fallback), 2 * fallback);
}
