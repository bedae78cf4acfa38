//! What the status page shows, and the `debug_` methods, which are rollup-boost's.

use crate::{
    body::Pieces,
    decision::Decision,
    lane::Health,
    mode::Mode,
    object, peek,
    proxy::{Degree, GatewayStatus, Proxy},
    registry::{self, TimelineWindow},
    rpc,
};
use baton_protocol::GatewayId;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use std::time::{SystemTime, UNIX_EPOCH};

/// How many decisions the page gets: more than fit on a screen.
const SHOWN: usize = 256;

/// All that the page shows.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Status {
    version: &'static str,
    /// Unix milliseconds.
    now_ms: u64,
    mode: Mode,
    /// What /healthz says.
    health: Degree,
    fallback_up: bool,
    /// Why the schedule may be out of date.
    schedule_stale: Option<String>,
    l1_block: Option<u64>,
    /// The gateway that owns every block, where there is no schedule.
    fixed_gateway: Option<GatewayId>,
    validator: Option<Health>,
    gateways: Vec<GatewayStatus>,
    schedule: Vec<TimelineWindow>,
    /// Oldest first.
    decisions: Vec<Decision>,
}

/// What it looks like now.
pub(crate) fn status(proxy: &Proxy) -> Status {
    let snapshot = proxy.schedule.snapshot();
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Status {
        version: env!("CARGO_PKG_VERSION"),
        now_ms: u64::try_from(now.as_millis()).unwrap_or(u64::MAX),
        mode: proxy.live().modes.global,
        health: proxy.degree().0,
        fallback_up: proxy.fallback_trouble().is_none(),
        schedule_stale: snapshot.stale.as_deref().map(str::to_owned),
        l1_block: snapshot.l1_head.map(|head| head.number),
        fixed_gateway: proxy.fixed(),
        validator: proxy.validator_health(),
        gateways: proxy.gateway_status(),
        schedule: registry::timeline(&snapshot),
        decisions: proxy.decisions.last(SHOWN),
    }
}

#[derive(Deserialize)]
struct Call<'a> {
    method: &'a str,
    #[serde(borrow, default)]
    params: Option<&'a RawValue>,
}

/// `gateway` is ours: without it, the mode is everybody's, as in rollup-boost.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct SetMode {
    execution_mode: Mode,
    #[serde(default)]
    gateway: Option<GatewayId>,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct GetMode {
    #[serde(default)]
    gateway: Option<GatewayId>,
}

/// Parameters by position, as one object in a list, or by name, as an object: clients differ.
fn parameters<'a, T: Deserialize<'a>>(raw: &'a RawValue) -> Option<T> {
    if raw.get().starts_with('[') {
        let [only] = serde_json::from_str::<[&RawValue; 1]>(raw.get()).ok()?;
        return object::from_str(only.get()).ok();
    }
    object::from_str(raw.get()).ok().or_else(|| {
        #[derive(Deserialize)]
        struct Named<'a> {
            #[serde(borrow)]
            request: &'a RawValue,
        }
        object::from_str(object::from_str::<Named<'_>>(raw.get()).ok()?.request.get()).ok()
    })
}

/// Answers `debug_setExecutionMode` and `debug_getExecutionMode`.
pub(crate) fn debug(proxy: &Proxy, body: &[u8]) -> Pieces {
    let id = peek::id(body);
    let failure = |code, message: &str| Pieces::from(rpc::failure(id, code, message));
    let call: Call<'_> = match object::from_slice(body) {
        Ok(call) => call,
        Err(error) => {
            let code = if error.is_data() { rpc::INVALID_REQUEST } else { rpc::PARSE_ERROR };
            return failure(code, "not a JSON-RPC call");
        }
    };
    let answer = |mode: Mode| Pieces::from(rpc::success(id, format!("{{\"execution_mode\":\"{mode}\"}}")));
    let nobody = |gateway: GatewayId| {
        failure(rpc::INVALID_PARAMS, &format!("there is no gateway {gateway}; registry_gateways lists them"))
    };
    match call.method {
        "debug_setExecutionMode" => match call.params.and_then(parameters::<SetMode>) {
            Some(SetMode { gateway: Some(gateway), .. }) if !proxy.may_be(gateway) => nobody(gateway),
            Some(SetMode { execution_mode, gateway }) => {
                proxy.set_mode(gateway, execution_mode);
                answer(execution_mode)
            }
            None => failure(
                rpc::INVALID_PARAMS,
                "params must be [{\"execution_mode\": \"enabled\"}]; there are enabled, dry_run and disabled; \"gateway\": id is for one gateway",
            ),
        },
        "debug_getExecutionMode" => {
            let query = call.params.filter(|raw| raw.get() != "[]" && raw.get() != "null");
            let modes = &proxy.live().modes;
            match query.map_or_else(|| Some(GetMode::default()), parameters::<GetMode>) {
                Some(GetMode { gateway: Some(gateway) }) if !proxy.may_be(gateway) => nobody(gateway),
                Some(GetMode { gateway: Some(id) }) => answer(modes.of(id)),
                Some(GetMode { gateway: None }) => answer(modes.global),
                None => failure(rpc::INVALID_PARAMS, "params must be [] or [{\"gateway\": id}]"),
            }
        }
        _ => failure(
            rpc::METHOD_NOT_FOUND,
            "unknown method; there are debug_setExecutionMode and debug_getExecutionMode",
        ),
    }
}
