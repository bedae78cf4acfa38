//! Variables that look like the portal's settings and are none: a slip in a name would else go unnoticed.

use super::{Cli, Unused};
use crate::{Config, jwt};
use clap::CommandFactory;
use std::path::Path;

/// How the names of the portal's variables begin.
const PREFIX: &str = "BATON_PORTAL_";

/// Those that a subcommand doesn't read and the configuration doesn't name as a secret's.
pub(super) fn unknown(command: &str, config: &Config, names: impl IntoIterator<Item = String>) -> Vec<Unused> {
    let cli = Cli::command();
    let arguments = cli.find_subcommand(command).into_iter().flat_map(clap::Command::get_arguments);
    let read: Vec<_> = arguments.filter_map(|argument| argument.get_env()).collect();
    let secrets: Vec<_> = secrets(config).collect();
    let is_known = |name: &str| read.iter().any(|known| *known == name) || secrets.contains(&name);
    let ours = names.into_iter().filter(|name| name.starts_with(PREFIX) && !is_service(name));
    let mut unknown: Vec<_> = ours.filter(|name| !is_known(name)).collect();
    unknown.sort_unstable();
    let reason = format!("there is no such setting; `portal {command} --help` names those there are");
    unknown.into_iter().map(|setting| Unused { setting, reason: reason.clone() }).collect()
}

/// Variables that hold secrets.
fn secrets(config: &Config) -> impl Iterator<Item = &str> {
    let all = [&config.engine.jwt_secret_file, &config.fallback.jwt_secret_file, &config.gateways.jwt_secret_file];
    let validator = config.validator.as_ref().map(|validator| &validator.jwt_secret_file);
    let single = config.gateways.overrides.iter().filter_map(|entry| entry.jwt_secret_file.as_ref());
    let all = all.into_iter().chain(validator).chain(single).map(|path| Path::new(path).to_str());
    all.filter_map(|path| path?.strip_prefix(jwt::VARIABLE))
}

/// Whether Kubernetes sets such a variable where a service is called baton-portal, or so begins: _SERVICE_HOST, _SERVICE_PORT_ENGINE, _PORT_8551_TCP_ADDR.
fn is_service(name: &str) -> bool {
    let has_number = |port: &str| port.starts_with(|first: char| first.is_ascii_digit());
    name.contains("_SERVICE_HOST")
        || name.contains("_SERVICE_PORT")
        || name.ends_with("_PORT")
        || name.split_once("_PORT_").is_some_and(|(_, port)| has_number(port))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn named(command: &str, names: &[&str]) -> Vec<String> {
        let text =
            include_str!("../../portal.example.toml").replace("/etc/baton/fallback.hex", "env:BATON_PORTAL_EL_SECRET");
        let config = Config::from_toml(&text).expect("a configuration");
        let unknown = unknown(command, &config, names.iter().map(|name| (*name).to_owned()));
        unknown.into_iter().map(|unused| unused.setting).collect()
    }

    #[test]
    fn a_slip_in_a_name_is_named() {
        let names = ["BATON_PORTAL_PAYLOAD_BUDGT_MS", "BATON_PORTAL_L1_URL", "PATH", "BATON_KEEPER_CONFIG"];
        assert_eq!(named("run", &names), ["BATON_PORTAL_L1_URL", "BATON_PORTAL_PAYLOAD_BUDGT_MS"]);
    }

    #[test]
    fn settings_secrets_and_services_are_not() {
        let names = [
            "BATON_PORTAL_CONFIG",
            "BATON_PORTAL_PAYLOAD_BUDGET_MS",
            "BATON_PORTAL_EL_SECRET",
            "BATON_PORTAL_SERVICE_HOST",
            "BATON_PORTAL_SERVICE_PORT",
            "BATON_PORTAL_SERVICE_PORT_ENGINE",
            "BATON_PORTAL_ADMIN_SERVICE_HOST",
            "BATON_PORTAL_PORT",
            "BATON_PORTAL_PORT_8551_TCP",
            "BATON_PORTAL_PORT_8551_TCP_PROTO",
            "BATON_PORTAL_PORT_8551_TCP_PORT",
            "BATON_PORTAL_PORT_8551_TCP_ADDR",
        ];
        assert_eq!(named("run", &names), [""; 0]);
        // rollup-boost's flags have another name for how to log.
        assert_eq!(named("run", &["BATON_PORTAL_LOG_FORMAT"]), [""; 0]);
        assert_eq!(named("boost", &["BATON_PORTAL_LOG_FORMAT"]), ["BATON_PORTAL_LOG_FORMAT"]);
    }
}
