//! Several calls in one body.

use super::Proxy;
use crate::{peek, rpc};
use bytes::Bytes;
use serde_json::value::RawValue;
use std::sync::Arc;
use tokio::task::yield_now;

impl Proxy {
    /// Answers calls one after the other, so that they take effect in the order in which they were written. Other connections have their turn between two
    /// of them, though each may be answered from memory. Those without an id aren't answered; if there are no others, nothing is. The answers are kept until
    /// all are there, and take together no more room than one may.
    pub(super) async fn answer_batch(self: &Arc<Self>, calls: Vec<&RawValue>) -> Bytes {
        if calls.is_empty() {
            return rpc::failure(None, rpc::INVALID_REQUEST, "an empty batch");
        }
        let (mut answers, mut room) = (Vec::with_capacity(calls.len()), self.fallback.max_body());
        for (index, raw) in calls.into_iter().enumerate() {
            if index > 0 {
                yield_now().await;
            }
            let bytes = raw.get().as_bytes();
            let Some(call) = peek::call(bytes) else {
                answers.push(rpc::failure(None, rpc::INVALID_REQUEST, "not a JSON-RPC call"));
                continue;
            };
            let answer = self.answer_call(&call, Bytes::copy_from_slice(bytes)).await.0.joined();
            if call.id.is_none() && peek::is_notification(bytes) {
                continue;
            }
            // What isn't an answer would spoil the others.
            let is_answer = serde_json::from_slice::<&RawValue>(&answer).is_ok_and(|raw| raw.get().starts_with('{'));
            let problem = if !is_answer {
                "the fallback execution client's answer isn't JSON-RPC"
            } else if answer.len() > room {
                "the batch's answers exceed `engine.max_body_mb`; send fewer calls at once"
            } else {
                room -= answer.len();
                answers.push(answer);
                continue;
            };
            answers.push(rpc::failure(call.id, rpc::UPSTREAM_FAILED, problem));
        }
        if answers.is_empty() { Bytes::new() } else { rpc::batch(&answers) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{config::Config, gateways::Gateways, proxy::Also, upstream::Upstream};
    use baton_protocol::SlotClock;
    use baton_schedule::{Snapshot, channel};
    use std::{
        future::{Future, poll_fn},
        pin::pin,
    };

    /// A portal that is connected with nobody.
    fn alone() -> Arc<Proxy> {
        let secrets = tempfile::tempdir().expect("temporary directory");
        let secret = secrets.path().join("secret");
        std::fs::write(&secret, "01".repeat(32)).expect("written");
        let text = format!(
            r#"
            engine = {{ jwt_secret_file = {secret:?} }}
            fallback = {{ url = "http://127.0.0.1:1", jwt_secret_file = {secret:?} }}
            gateways = {{ jwt_secret_file = {secret:?}, overrides = [{{ id = 1, url = "http://127.0.0.1:2" }}] }}
            schedule = {{ fixed_gateway = 1 }}
            "#
        );
        let settings = Config::from_toml(&text).expect("a configuration").checked().expect("right");
        let clock = SlotClock {
            l1_genesis_time: 0,
            slot_length: 12,
            l2_genesis_time: 0,
            l2_block_time: 2,
            settlement_delay: 0,
        };
        let (_, schedule) = channel(Snapshot::unread(clock));
        let fallback = Upstream::new(settings.fallback.uri, None, settings.fallback_timeout, settings.max_body);
        let gateways = Gateways::new(settings.gateways, settings.max_body);
        Arc::new(Proxy::new(schedule, fallback, None, gateways, settings.live, Also::default()))
    }

    #[tokio::test]
    async fn answers_from_memory_let_others_have_their_turn() {
        const CALLS: usize = 50;
        let proxy = alone();
        let call = r#"{"id":1,"method":"registry_gateways","params":[]}"#;
        let mut answer = pin!(proxy.answer(format!("[{}]", [call; CALLS].join(",")).into()));
        let mut turns = 0;
        let (answer, _) = poll_fn(|context| {
            let polled = answer.as_mut().poll(context);
            turns += usize::from(polled.is_pending());
            polled
        })
        .await;
        let answers: Vec<serde_json::Value> = serde_json::from_slice(&answer.joined()).expect("a list");
        assert_eq!((answers.len(), turns), (CALLS, CALLS - 1));
    }
}
