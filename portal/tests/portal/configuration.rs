//! What the configuration says of single gateways, and what of it can change while the portal runs.

use crate::{
    node::{Fault, GENESIS, Node},
    stand::{GATEWAYS, OpNode, Options, Stand, builder, config, secret_file, snapshot, write_config},
};
use baton_portal::{Config, Running, Secret, ValidatorConfig, run_with_schedule};
use baton_schedule::channel;
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

fn said(running: &mut Running, config: &Config) -> Vec<String> {
    running.reload(config).expect("right").iter().map(ToString::to_string).collect()
}

#[tokio::test]
async fn a_gateway_has_the_secret_and_mode_of_its_entry() {
    const OWN: [u8; 32] = [9; 32];
    let fallback = Node::start("fallback", 3, Secret::new([2; 32])).await;
    let one = Node::start("gateway 1", 4, Secret::new(OWN)).await;
    let two = Node::start("gateway 2", 4, Secret::new(GATEWAYS)).await;
    let secrets = tempfile::tempdir().expect("temporary directory");
    let own = secret_file(&secrets, "own", OWN);
    let text = write_config(&secrets, &fallback.url(), &Options { gateways: "overrides = []", ..Options::DEFAULT });
    let entries = format!("overrides = [{{ id = 1, jwt_secret_file = {own:?} }}, {{ id = 2, mode = \"dry_run\" }}]");
    let config = Config::from_toml(&text.replace("overrides = []", &entries)).expect("a configuration");
    let (_publisher, schedule) = channel(snapshot([one.url(), two.url()]));
    let portal = run_with_schedule(&config, schedule, CancellationToken::new()).await.expect("the portal starts");
    let op_node = OpNode::new(&portal);
    assert_eq!(builder(&op_node.block(GENESIS, 1).await), "gateway 1");
    // The other one is asked under the common secret, and not served.
    assert_eq!(builder(&op_node.block(GENESIS, 20).await), "fallback");
    let decision = op_node.decision_about(20).await;
    assert_eq!((&decision["purpose"], &decision["outcome"]), (&json!("dry_run"), &json!("valid")), "{decision}");
}

#[tokio::test]
async fn a_registered_url_that_leads_to_the_portals_own_side_is_not_used() {
    let stand = Stand::start().await;
    let port = |url: &str| url.rsplit_once(':').expect("a port").1.to_owned();
    let fallback = port(&stand.fallback.url());
    for own in [fallback, stand.portal.engine.port().to_string(), stand.portal.admin.port().to_string()] {
        stand.publisher.publish(snapshot([format!("http://localhost:{own}"), stand.gateways[1].url()]));
        let gone = async {
            loop {
                let status: Value = serde_json::from_str(&stand.admin("/status.json").await.1).expect("JSON");
                let gateways = status["gateways"].as_array().expect("a list");
                if gateways.iter().map(|gateway| gateway["id"].as_u64()).eq([Some(2)]) {
                    return;
                }
                tokio::time::sleep(std::time::Duration::from_millis(5)).await;
            }
        };
        tokio::time::timeout(std::time::Duration::from_secs(10), gone).await.expect("no lane to itself");
        assert_eq!(builder(&stand.block(GENESIS, 1).await), "fallback");
        let decision = stand.decision().await;
        assert!(decision["reason"].as_str().is_some_and(|reason| reason.contains("no usable endpoint")), "{decision}");
        // Back to the gateway, so that each case is one.
        stand.publisher.publish(snapshot([stand.gateways[0].url(), stand.gateways[1].url()]));
        stand.wait_for_admin("/readyz", 200).await;
    }
}

#[tokio::test]
async fn the_validator_has_a_time_of_its_own() {
    let fallback = Node::start("fallback", 3, Secret::new([2; 32])).await;
    let gateway = Node::start("gateway 1", 4, Secret::new(GATEWAYS)).await;
    let validator = Node::start("validator", 4, Secret::new([4; 32])).await;
    let secrets = tempfile::tempdir().expect("temporary directory");
    let mut config = config(&secrets, &fallback.url(), &Options::DEFAULT);
    // Gateways have longer than op-node has patience here.
    config.validator = Some(ValidatorConfig {
        url: validator.url(),
        jwt_secret_file: secret_file(&secrets, "validator", [4; 32]),
        timeout_ms: 50,
        queue: 64,
    });
    let (_publisher, schedule) = channel(snapshot([gateway.url(), String::new()]));
    let mut portal = run_with_schedule(&config, schedule, CancellationToken::new()).await.expect("the portal starts");
    let op_node = OpNode::new(&portal);
    validator.fail("engine_newPayload", Fault::Held);
    assert_eq!(builder(&op_node.block(GENESIS, 1).await), "fallback");
    let mut changed = config.clone();
    changed.gateways.timeout_ms = 30_000;
    changed.validator.as_mut().expect("a validator").timeout_ms = 60;
    assert_eq!(
        said(&mut portal, &changed),
        ["gateways.timeout_ms: 20000 -> 30000", "validator.timeout_ms: 50 -> 60 (takes a restart)"]
    );
}
