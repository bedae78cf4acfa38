//! The payload calls of every fork, from op-node to gateways and fallback.

use crate::{
    node::{Arrived, GENESIS},
    stand::{OpNode, Stand, builder},
};
use serde_json::json;

/// A fork's versions of `forkchoiceUpdated` with attributes, `getPayload` and `newPayload`, and how many parameters the latter takes.
const FORKS: [(&str, [u8; 3], usize); 5] = [
    ("canyon", [2, 2, 2], 1),
    ("ecotone", [3, 3, 3], 3),
    ("isthmus", [3, 4, 4], 4),
    ("karst", [3, 5, 4], 4),
    // As drafted.
    ("amsterdam", [4, 6, 5], 4),
];

fn methods(arrived: &[Arrived]) -> Vec<&str> {
    arrived.iter().map(|call| call.method.as_str()).collect()
}

#[tokio::test]
async fn each_forks_versions_reach_gateways_and_fallback() {
    for (fork, [update, get, new], count) in FORKS {
        let stand = Stand::start().await;
        let [update, get, new] = [("forkchoiceUpdated", update), ("getPayload", get), ("newPayload", new)]
            .map(|(name, version)| format!("engine_{name}V{version}"));
        let mut attributes = OpNode::attributes(1);
        if fork == "canyon" {
            attributes.as_object_mut().expect("attributes").remove("parentBeaconBlockRoot");
        }
        let order = stand.call(&update, json!([OpNode::forkchoice(GENESIS), attributes])).await;
        let id = order["result"]["payloadId"].as_str().unwrap_or_else(|| panic!("{fork}: {order}")).to_owned();
        let answer = stand.call(&get, json!([id])).await;
        assert_eq!(builder(&answer), "gateway 1", "{fork}: {}", stand.decision().await);
        let envelope = &answer["result"];
        let payload = &envelope["executionPayload"];

        // As the gateway was asked, and the fallback with it, which was given the payload to check as its fork has it.
        assert_eq!(methods(&stand.gateways[0].arrived("engine_")), [update.as_str(), &get], "{fork}");
        let others = stand.gateways[1].wait_for("engine_", 1).await;
        assert_eq!(methods(&others), [update.as_str()], "{fork}");
        assert!(others[0].json["params"][1].is_null(), "{fork}");
        let checked = stand.fallback.wait_for("engine_newPayload", 1).await;
        assert_eq!(methods(&checked), [new.as_str()], "{fork}");
        let mut whole = vec![payload.clone(), json!([]), envelope["parentBeaconBlockRoot"].clone(), json!([])];
        whole.truncate(count);
        assert_eq!(checked[0].json["params"], json!(whole), "{fork}");
        assert_eq!(methods(&stand.fallback.wait_for("engine_getPayload", 1).await), [get.as_str()], "{fork}");

        // And adopted in the same version by everybody.
        let adopted = stand.call(&new, json!(whole)).await;
        assert_eq!(adopted["result"]["status"], "VALID", "{fork}");
        for node in [&stand.gateways[0], &stand.gateways[1]] {
            let arrived = node.wait_for("engine_newPayload", 1).await;
            assert_eq!((methods(&arrived), &arrived[0].json["params"]), (vec![new.as_str()], &json!(whole)), "{fork}");
        }
        let head =
            json!([OpNode::forkchoice(serde_json::from_value(payload["blockHash"].clone()).expect("a hash")), null]);
        let updated = stand.call(&update, head).await;
        assert_eq!(updated["result"]["payloadStatus"]["status"], "VALID", "{fork}");
    }
}
