//! The configuration's keys that rollup-boost's flags set, and how its operators know them.

/// A key, the flags and variables that set it, and the fields that hold their values.
#[derive(Debug)]
pub(super) struct Key {
    pub(super) path: &'static str,
    pub(super) flags: &'static str,
    pub(super) fields: &'static [&'static str],
}

const fn key(path: &'static str, flags: &'static str, fields: &'static [&'static str]) -> Key {
    Key { path, flags, fields }
}

/// All of them. That op-node's secret is another than the fallback's is usual, so no field is behind it.
pub(super) static KEYS: [Key; 15] = [
    key("engine.listen", "--rpc-host, RPC_HOST, --rpc-port, RPC_PORT", &["rpc_host", "rpc_port"]),
    key("engine.jwt_secret_file", "--l2-jwt-path, L2_JWT_PATH or L2_JWT_TOKEN", &[]),
    key("fallback.url", "--l2-url, L2_URL", &["l2_url"]),
    key("fallback.jwt_secret_file", "--l2-jwt-path, L2_JWT_PATH or L2_JWT_TOKEN", &["l2_jwt_path"]),
    key("fallback.timeout_ms", "--l2-timeout, L2_TIMEOUT", &["l2_timeout"]),
    key("fallback.max_head_age_s", "--max-unsafe-interval, MAX_UNSAFE_INTERVAL", &["max_unsafe_interval"]),
    key("gateways.jwt_secret_file", "--builder-jwt-path, BUILDER_JWT_PATH or BUILDER_JWT_TOKEN", &["builder_jwt_path"]),
    key(BUILDER, "--builder-url, BUILDER_URL", &["builder_url"]),
    key("gateways.payload_budget_ms", "--builder-timeout, BUILDER_TIMEOUT", &["builder_timeout"]),
    key("gateways.timeout_ms", "--builder-timeout, BUILDER_TIMEOUT", &["builder_timeout"]),
    key("gateways.mode", "--execution-mode, EXECUTION_MODE", &["execution_mode"]),
    key("gateways.policy.gas_ratio", "--block-selection-policy, BLOCK_SELECTION_POLICY", &["block_selection_policy"]),
    key(ADMIN, "--metrics-host, METRICS_HOST, --metrics-port, METRICS_PORT", &["metrics_host", "metrics_port"]),
    key("admin.debug_listen", DEBUG_FLAGS, &["debug_host", "debug_server_port"]),
    key("tracing.otlp_url", "--otlp-endpoint, OTLP_ENDPOINT", &["otlp_endpoint"]),
];
/// The builder's, where it is the only gateway.
pub(super) const BUILDER: &str = "gateways.overrides";
/// The admin port's, which without --metrics is where the debug port's flags say.
pub(super) const ADMIN: &str = "admin.listen";
pub(super) const DEBUG_FLAGS: &str = "--debug-host, DEBUG_HOST, --debug-server-port, DEBUG_SERVER_PORT";

/// The one of a path.
pub(super) fn of(path: &str) -> Option<&'static Key> {
    KEYS.iter().find(|key| key.path == path)
}
