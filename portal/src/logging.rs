//! What is logged, and how: always to standard error.

use crate::cli::LogFormat;
use std::{ffi::OsString, io::IsTerminal};
use tracing_subscriber::{
    EnvFilter,
    filter::{Directive, LevelFilter},
};

/// The variable that says what is logged.
pub(crate) const VARIABLE: &str = "RUST_LOG";
/// What never is logged: a library that quotes the whole request for a websocket, which may hold a key.
const NEVER: &str = "tungstenite::handshake::client=off";
/// What isn't logged unless it is asked for: what alloy says about a lost websocket. The schedule's follower says it, too, and what follows from it.
const NOT_TWICE: &str = "alloy_pubsub=off,alloy_transport_ws=off";

/// RUST_LOG asks for something that isn't there.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "RUST_LOG: \"{0}\" is neither a level (error, warn, info, debug, trace, off) nor target=level, such as baton_portal=debug; several stand with commas between them"
)]
pub struct FilterError(String);

/// What RUST_LOG asks for, or else a level. A target alone, which the library would take for all of that target's and nothing else, is refused: it is a
/// level with a slip in it more often than not, and a portal that logs nothing looks like one that is well.
fn filter(variable: Option<OsString>, level: LevelFilter) -> Result<EnvFilter, FilterError> {
    let wanted = variable.unwrap_or_default().to_string_lossy().trim().to_owned();
    let wanted = if wanted.is_empty() { format!("{level},{NOT_TWICE}") } else { wanted };
    let parts: Vec<_> = wanted.split(',').map(str::trim).filter(|part| !part.is_empty()).collect();
    let is_right = |part: &str| {
        // What stands in brackets, a span and its fields, says nothing of a level.
        let (target, rest) = part.split_once('[').unwrap_or((part, ""));
        let rest = rest.rsplit_once(']').map_or("", |(_, rest)| rest);
        let level = format!("{target}{rest}");
        let level = level.rsplit_once('=').map_or(&*level, |(_, level)| level);
        !level.is_empty() && level.parse::<LevelFilter>().is_ok()
    };
    if let Some(wrong) = parts.iter().find(|part| !is_right(part) || part.parse::<Directive>().is_err()) {
        return Err(FilterError((*wrong).to_owned()));
    }
    let filter = EnvFilter::try_new(parts.join(",")).map_err(|_| FilterError(wanted.clone()))?;
    Ok(match NEVER.parse() {
        Ok(never) => filter.add_directive(never),
        Err(_) => filter,
    })
}

/// Whether RUST_LOG can be followed.
pub fn check() -> Result<(), FilterError> {
    filter(std::env::var_os(VARIABLE), LevelFilter::INFO).map(drop)
}

/// Whether lines may be coloured: where somebody looks at them and hasn't said no (no-color.org).
fn colours(is_terminal: bool, no_color: Option<OsString>) -> bool {
    is_terminal && no_color.is_none_or(|value| value.is_empty())
}

/// Begins to log as RUST_LOG says, or else by a level.
pub fn begin(level: LevelFilter, format: LogFormat) -> Result<(), FilterError> {
    let filter = filter(std::env::var_os(VARIABLE), level)?;
    let colours = colours(std::io::stderr().is_terminal(), std::env::var_os("NO_COLOR"));
    let subscriber = tracing_subscriber::fmt().with_env_filter(filter).with_ansi(colours).with_writer(std::io::stderr);
    match format {
        LogFormat::Text => subscriber.init(),
        LogFormat::Json => subscriber.json().init(),
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wanted(variable: &str) -> Result<String, FilterError> {
        filter(Some(variable.into()), LevelFilter::WARN).map(|filter| {
            // In an order of the library's own.
            let mut parts: Vec<_> = filter.to_string().split(',').map(str::to_owned).collect();
            parts.sort();
            parts.join(",")
        })
    }

    #[test]
    fn a_filter_that_would_silence_everything_is_refused() {
        for (variable, wrong) in [
            ("bogus", "bogus"),
            ("baton_portal", "baton_portal"),
            ("info,verbose", "verbose"),
            ("baton_portal=verbose", "baton_portal=verbose"),
            ("info,h2=", "h2="),
            ("baton_portal[call]", "baton_portal[call]"),
            ("[call{id=7}]", "[call{id=7}]"),
        ] {
            assert_eq!(wanted(variable), Err(FilterError(wrong.to_owned())), "{variable}");
        }
    }

    #[test]
    fn levels_and_targets_are_followed() {
        for (variable, followed) in [
            ("debug", "debug"),
            ("OFF", "off"),
            ("warn, baton_portal=debug,", "baton_portal=debug,warn"),
            ("hyper=info", "hyper=info"),
            ("info,[call{id=7}]=trace", "[call{id=7}]=trace,info"),
        ] {
            let followed = format!("{followed},{NEVER}");
            let mut parts: Vec<_> = followed.split(',').collect();
            parts.sort_unstable();
            assert_eq!(wanted(variable).expect("a filter"), parts.join(","), "{variable}");
        }
        // Without the variable, or with nothing in it, the level counts.
        let plain = format!("{NOT_TWICE},{NEVER},warn");
        assert_eq!(wanted("").expect("a filter"), plain);
        assert_eq!(wanted(" ").expect("a filter"), plain);
    }

    #[test]
    fn only_terminals_get_colours_unless_they_are_unwanted() {
        assert!(colours(true, None) && colours(true, Some("".into())));
        assert!(!colours(true, Some("1".into())) && !colours(false, None));
    }
}
