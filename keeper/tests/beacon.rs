//! Beacon nodes: states that stream in however they are cut, nodes that fail in every way, and what is said of it.

mod beacon_node;

use alloy::primitives::B256;
use baton_keeper::{
    beacon::{BeaconClient, BeaconError, NodeFailure, Progress},
    config::BeaconConfig,
};
use baton_protocol::beacon::{BeaconHeader, Fork, StateError};
use beacon_node::{BeaconNode, Manners, VectorState, field};
use std::sync::Mutex;

fn client(urls: Vec<String>) -> BeaconClient {
    BeaconClient::new(&BeaconConfig { urls }).expect("good URLs")
}

fn silent(_: Progress) {}

/// The failure of a single node asked for a state, and what is said of it.
async fn failure(manners: Manners) -> (NodeFailure, String) {
    let state = VectorState::load(Fork::Fulu, 5);
    let node = BeaconNode::start(vec![state.clone()]).await;
    node.behave(manners);
    let client = client(vec![node.url()]);
    let asked = async {
        let header = client.header(state.root).await?;
        client.prove(&header, &[], &silent).await
    };
    let error = asked.await.expect_err("a failure");
    let text = error.to_string();
    assert!(text.contains(&node.address), "{text}");
    let BeaconError::Nodes(mut errors) = error else { panic!("{text}") };
    (errors.pop().expect("one").failure, text)
}

#[tokio::test]
async fn states_are_proven_however_they_are_cut() {
    for fork in [Fork::Fulu, Fork::Gloas] {
        let state = VectorState::load(fork, 22);
        let node = BeaconNode::start(vec![state.clone()]).await;
        let client = client(vec![format!("{}/", node.url())]);
        for (piece, says_length) in [(1_000_003, true), (8_191, true), (977, false)] {
            node.behave(Manners { piece, says_length, ..Manners::default() });
            let header = client.header(state.root).await.expect("a header");
            assert_eq!(header, state.header);
            let seen = Mutex::new(Vec::new());
            let progress = |progress| seen.lock().expect("lock").push(progress);
            let proven = client.prove(&header, &[3, 21], &progress).await.expect("proven");
            let proof = proven.prove_lookahead(header).expect("a proof");
            assert!(proof.holds(fork, state.root));
            let next: Vec<u64> = proof.proposers().to_vec();
            let expected = state.vector["lookahead"].as_array().expect("a list");
            let expected: Vec<u64> =
                expected[32..].iter().map(|index| index.as_str().expect("text").parse().expect("a number")).collect();
            assert_eq!(next, expected);
            assert!(proven.prove_validator(header, 21).expect("wanted").holds(fork, state.root));
            assert!(matches!(proven.validator(22), Err(StateError::NoSuchValidator { index: 22, count: 22 })));
            let seen = seen.into_inner().expect("lock");
            let length = state.ssz.len() as u64;
            assert_eq!(seen.last(), Some(&Progress { received: length, length: says_length.then_some(length) }));
            assert!(seen.windows(2).all(|pair| pair[0].received < pair[1].received));
        }
    }
}

#[tokio::test]
async fn another_node_is_asked_when_one_fails_and_stays_the_one_asked() {
    let state = VectorState::load(Fork::Fulu, 2);
    let (down, up) = (BeaconNode::start(vec![state.clone()]).await, BeaconNode::start(vec![state.clone()]).await);
    down.behave(Manners { down: Some(503), ..Manners::default() });
    // Nobody listens at the first.
    let client = client(vec!["http://127.0.0.1:1".to_owned(), down.url(), up.url()]);
    let header = client.header(state.root).await.expect("a header");
    assert_eq!(down.asked().len(), 1);
    client.prove(&header, &[], &silent).await.expect("a state");
    assert_eq!((down.asked().len(), up.asked().len()), (1, 2));
    // A state that breaks off begins anew at another node.
    down.behave(Manners::default());
    up.behave(Manners { cut: 1_000_000, ..Manners::default() });
    client.prove(&header, &[], &silent).await.expect("a state");
    assert_eq!((down.states_served(), up.states_served()), (1, 2));
    // With all down, each is told of.
    for node in [&down, &up] {
        node.behave(Manners { down: Some(503), ..Manners::default() });
    }
    let error = client.header(state.root).await.expect_err("all are down");
    assert!(error.is_retryable());
    let text = error.to_string();
    for host in ["127.0.0.1:1", &down.address, &up.address] {
        assert!(text.contains(host), "{text}");
    }
}

#[tokio::test]
async fn each_failure_has_a_name_and_a_remedy() {
    let manners = Manners::default;
    let (failed, text) = failure(Manners { down: Some(503), ..manners() }).await;
    assert!(matches!(failed, NodeFailure::Status { status: 503, .. }), "{text}");
    for status in [400, 404, 405, 501] {
        let (failed, text) = failure(Manners { no_states: Some(status), ..manners() }).await;
        assert!(matches!(failed, NodeFailure::NoState { .. }) && text.contains("debug API"), "{text}");
    }
    let (failed, text) = failure(Manners { version: Some("electra"), ..manners() }).await;
    assert!(matches!(failed, NodeFailure::UnknownFork(_)) && !failed.is_retryable(), "{text}");
    assert!(text.contains("electra") && text.contains("update Baton"), "{text}");
    let (failed, text) = failure(Manners { content_type: "application/json", ..manners() }).await;
    assert!(matches!(failed, NodeFailure::NotSsz(_)) && text.contains("application/json"), "{text}");
    // Another fork's name over this fork's bytes.
    let (failed, text) = failure(Manners { version: Some("gloas"), ..manners() }).await;
    assert!(matches!(failed, NodeFailure::State { .. } | NodeFailure::OtherState { .. }), "{text}");
}

#[tokio::test]
async fn bytes_that_are_missing_or_anothers_prove_nothing() {
    let manners = Manners::default;
    for cut in [100_000, 2_739_242] {
        let (failed, text) = failure(Manners { cut, ..manners() }).await;
        assert!(matches!(failed, NodeFailure::BrokenOff { .. }) && failed.is_retryable(), "{cut}: {text}");
    }
    for cut in [0, 1, 100_000, 2_739_242] {
        let (failed, text) = failure(Manners { cut, says_length: false, ..manners() }).await;
        assert!(matches!(failed, NodeFailure::State { .. } | NodeFailure::OtherState { .. }), "{cut}: {text}");
    }
    let other = VectorState::load(Fork::Fulu, 6);
    let (failed, text) = failure(Manners { other_state: Some(other.ssz.clone()), ..manners() }).await;
    let NodeFailure::OtherState { computed, .. } = failed else { panic!("{text}") };
    assert_eq!(computed, field::<B256>(&other.vector["header"], "stateRoot"));
    let lie = BeaconHeader { slot: 1, ..other.header };
    let (failed, text) = failure(Manners { other_header: Some(lie), ..manners() }).await;
    assert!(matches!(failed, NodeFailure::WrongHeader { computed, .. } if computed == lie.root()), "{text}");
}

#[tokio::test]
async fn a_block_that_a_node_lags_behind_for_is_named() {
    let node = BeaconNode::start(Vec::new()).await;
    let error = client(vec![node.url()]).header(B256::repeat_byte(7)).await.expect_err("unknown");
    assert!(error.is_retryable() && error.to_string().contains("0x0707"), "{error}");
}

#[tokio::test]
async fn what_a_url_holds_beside_the_host_is_never_told() {
    let url = "http://user:secret@127.0.0.1:1/token".to_owned();
    let error = client(vec![url]).header(B256::ZERO).await.expect_err("nobody listens");
    let text = format!("{error} {error:?}");
    assert!(text.contains("127.0.0.1:1") && !text.contains("secret") && !text.contains("token"), "{text}");
    assert!(matches!(BeaconClient::new(&BeaconConfig { urls: Vec::new() }), Err(BeaconError::NoNode)));
    let bad = BeaconClient::new(&BeaconConfig { urls: vec!["http://".to_owned()] });
    assert!(matches!(bad, Err(BeaconError::BadUrl { index: 0 })));
}
