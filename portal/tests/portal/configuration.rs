//! What the configuration says of single gateways, and what of it can change while the portal runs.

use crate::{
    node::{Fault, GENESIS, Node},
    stand::{GATEWAYS, OpNode, Options, Stand, builder, config, secret_file, snapshot, write_config},
};
use baton_portal::{Config, Running, Secret, ValidatorConfig, run, run_with_schedule};
use baton_schedule::channel;
use serde_json::{Value, json};
use tempfile::TempDir;
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
    let mut stand = Stand::start().await;
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
        // Nor is it after a reload.
        let config = stand.config();
        stand.portal.reload(&config).expect("right");
        assert_eq!(builder(&stand.block(GENESIS, 2).await), "fallback");
        // Back to the gateway, so that each case is one.
        stand.publisher.publish(snapshot([stand.gateways[0].url(), stand.gateways[1].url()]));
        stand.wait_for_admin("/readyz", 200).await;
    }
}

/// The portal goes on listening where it was started, whatever a file that it is given says.
#[tokio::test]
async fn no_entry_of_a_reload_leads_to_what_runs() {
    let mut stand = Stand::start().await;
    let fallback = stand.fallback.url();
    // Neither is in the file: one was chosen at the start, the other stands there no more.
    for (place, key) in [
        (format!("http://{}", stand.portal.engine), "engine.listen"),
        (format!("http://{}", stand.portal.admin), "admin.listen"),
        (fallback, "fallback.url"),
    ] {
        let mut config = stand.config();
        config.fallback.url = "http://127.0.0.1:1".to_owned();
        for name in ["url", "feed"] {
            let entry = json!({"id": 1, name: place});
            config.gateways.overrides = vec![serde_json::from_value(entry).expect("an entry")];
            let error = stand.portal.reload(&config).expect_err("its own side").to_string();
            assert!(error.contains(&format!("gateways.overrides[0].{name}")) && error.contains(key), "{error}");
        }
        assert_eq!(builder(&stand.block(GENESIS, 1).await), "gateway 1");
    }
}

/// What takes a restart goes on with the secret that it has, which gateways then mustn't know.
#[tokio::test]
async fn no_reload_tells_gateways_a_secret_that_is_still_in_use() {
    let mut stand = Stand::start_with(Options { validator: true, ..Options::DEFAULT }).await;
    let theirs = secret_file(&stand.secrets, "theirs", GATEWAYS);
    let next = secret_file(&stand.secrets, "next", [7; 32]);
    let file = |name: &str| stand.secrets.path().join(name);
    let (op_node, fallback, validator) = (file("op-node"), file("fallback"), file("validator"));
    for (taken, key) in [
        (&op_node, "engine.jwt_secret_file"),
        (&fallback, "fallback.jwt_secret_file"),
        // Which isn't in the file any more.
        (&validator, "validator.jwt_secret_file"),
    ] {
        let mut config = stand.config();
        config.engine.jwt_secret_file = next.clone();
        config.fallback.jwt_secret_file = next.clone();
        config.gateways.jwt_secret_file = taken.clone();
        // By itself it is right: nobody else has that secret in it.
        assert_eq!(config.check().expect("right"), []);
        let error = stand.portal.reload(&config).expect_err("in use").to_string();
        assert!(error.contains("`gateways.jwt_secret_file`") && error.contains(key), "{error}");
        assert!(error.contains("restart"), "{error}");
        let entry = json!({"id": 1, "jwt_secret_file": taken});
        config.gateways.jwt_secret_file = theirs.clone();
        config.gateways.overrides = vec![serde_json::from_value(entry).expect("an entry")];
        let error = stand.portal.reload(&config).expect_err("in use").to_string();
        assert!(error.contains("`gateways.overrides(id 1).jwt_secret_file`") && error.contains(key), "{error}");
    }
    // A file that holds another secret by now doesn't tell which is in use.
    let mut config = stand.config();
    secret_file(&stand.secrets, "op-node", [8; 32]);
    config.gateways.jwt_secret_file = secret_file(&stand.secrets, "as before", [1; 32]);
    assert_eq!(config.check().expect("right"), []);
    let error = stand.portal.reload(&config).expect_err("in use").to_string();
    assert!(error.contains("`engine.jwt_secret_file`"), "{error}");
    assert_eq!(builder(&stand.block(GENESIS, 1).await), "gateway 1");
}

#[tokio::test]
async fn secrets_that_change_in_their_files_are_said_to() {
    let mut stand = Stand::start().await;
    let config = stand.config();
    assert_eq!(said(&mut stand.portal, &config), [""; 0]);
    for (name, byte) in [("fallback", 7), ("gateways", 8)] {
        secret_file(&stand.secrets, name, [byte; 32]);
    }
    let own = "fallback.jwt_secret_file (content): a secret -> another (takes a restart)";
    let theirs = "gateways.jwt_secret_file (content): a secret -> another";
    assert_eq!(said(&mut stand.portal, &config), [own, theirs]);
    // The gateways' is in use now; the fallback's is not until the next start.
    assert_eq!(said(&mut stand.portal, &config), [own]);
}

#[tokio::test]
async fn a_reload_ends_modes_set_by_hand_and_says_so() {
    let mut stand = Stand::start().await;
    let set = |params: Value| stand.debug("debug_setExecutionMode", params);
    set(json!([{"execution_mode": "disabled", "gateway": 1}])).await;
    set(json!([{"execution_mode": "dry_run"}])).await;
    assert_eq!(builder(&stand.block(GENESIS, 1).await), "fallback");
    let config = stand.config();
    assert_eq!(
        said(&mut stand.portal, &config),
        [
            "gateways.mode: \"dry_run\" by debug_setExecutionMode -> \"enabled\"",
            "gateways.overrides(id 1).mode: \"disabled\" by debug_setExecutionMode -> \"enabled\"",
        ]
    );
    assert_eq!(builder(&stand.block(GENESIS, 2).await), "gateway 1");
    assert_eq!(said(&mut stand.portal, &config), [""; 0]);
}

#[tokio::test]
async fn modes_are_only_for_gateways_that_there_are() {
    let stand = Stand::start().await;
    for gateway in [0, 9] {
        for method in ["debug_setExecutionMode", "debug_getExecutionMode"] {
            let mut params = json!({"gateway": gateway});
            if method == "debug_setExecutionMode" {
                params["execution_mode"] = json!("disabled");
            }
            let answer = stand.debug(method, json!([params])).await;
            let message = answer["error"]["message"].as_str().unwrap_or_else(|| panic!("{answer}"));
            assert!(message.contains(&gateway.to_string()), "{message}");
        }
    }
    let answer = stand.debug("debug_getExecutionMode", json!([{"gateway": 2}])).await;
    assert_eq!(answer["result"]["execution_mode"], "enabled");
}

/// One gateway for every block, and perhaps a second one.
fn fixed(secrets: &TempDir, fallback: &Node, gateways: &[&Node]) -> Config {
    let mut config = config(secrets, &fallback.url(), &Options::DEFAULT);
    config.schedule = Default::default();
    config.schedule.fixed_gateway = Some(1);
    let entry = |(index, node): (usize, &&Node)| {
        let entry = json!({"id": index + 1, "url": node.url()});
        serde_json::from_value(entry).expect("an entry")
    };
    config.gateways.overrides = gateways.iter().enumerate().map(entry).collect();
    config
}

#[tokio::test]
async fn without_a_registry_a_new_entry_is_a_new_gateway() {
    let fallback = Node::start("fallback", 3, Secret::new([2; 32])).await;
    let one = Node::start("gateway 1", 4, Secret::new(GATEWAYS)).await;
    let two = Node::start("gateway 2", 4, Secret::new(GATEWAYS)).await;
    let secrets = tempfile::tempdir().expect("temporary directory");
    let before = fixed(&secrets, &fallback, &[&one]);
    let mut portal = run(&before, CancellationToken::new()).await.expect("the portal starts");
    let op_node = OpNode::new(&portal);
    let answer = op_node.block(GENESIS, 1).await;
    assert_eq!(builder(&answer), "gateway 1");
    portal.reload(&fixed(&secrets, &fallback, &[&one, &two])).expect("right");
    let head = op_node.adopt(&answer["result"]).await;
    two.wait_for("engine_newPayload", 1).await;
    assert_eq!(builder(&op_node.block(head, 2).await), "gateway 1");
    // And gone again.
    portal.reload(&before).expect("right");
    let status: Value = serde_json::from_str(&op_node.admin("/status.json").await.1).expect("JSON");
    assert_eq!(status["gateways"].as_array().map(Vec::len), Some(1), "{status}");
}

/// The schedule takes a restart, entries don't: the gateway that owns every block keeps its URL as long as it does.
#[tokio::test]
async fn no_reload_leaves_blocks_without_an_owner() {
    let fallback = Node::start("fallback", 3, Secret::new([2; 32])).await;
    let one = Node::start("gateway 1", 4, Secret::new(GATEWAYS)).await;
    let secrets = tempfile::tempdir().expect("temporary directory");
    let before = fixed(&secrets, &fallback, &[&one]);
    let mut portal = run(&before, CancellationToken::new()).await.expect("the portal starts");
    let op_node = OpNode::new(&portal);
    let mut after = before.clone();
    after.schedule.fixed_gateway = Some(2);
    after.gateways.overrides[0].id = 2;
    assert_eq!(after.check().expect("right"), []);
    let error = portal.reload(&after).expect_err("nobody's blocks").to_string();
    assert!(error.contains("`schedule.fixed_gateway` is 1") && error.contains("restart"), "{error}");
    // Nor are turns taken away where there are none yet.
    let mut with_turns = config(&secrets, &fallback.url(), &Options::DEFAULT);
    with_turns.gateways.overrides = before.gateways.overrides.clone();
    let rule = json!({"within_ms": 2000, "chain_id": 1, "inbox": "0x00000000000000000000000000000000000000b2"});
    with_turns.gateways.soft_blocks = Some(serde_json::from_value(rule).expect("a rule"));
    assert_eq!(with_turns.check().expect("right"), []);
    let error = portal.reload(&with_turns).expect_err("no turns").to_string();
    assert!(error.contains("gateways.soft_blocks") && error.contains("restart"), "{error}");
    assert_eq!(builder(&op_node.block(GENESIS, 1).await), "gateway 1");
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
