//! What is logged, and how: always to standard error.

use eyre::{Result, WrapErr, bail};
use std::{ffi::OsString, io::IsTerminal};
use tracing_subscriber::{
    EnvFilter,
    filter::{Directive, LevelFilter},
};

/// What never is logged: a library that gives all it says the URL that was asked, which may hold a key.
const NEVER: &str = "alloy_transport_http::reqwest_transport=off";

/// What RUST_LOG asks for, or else a level. A target alone, which the library would take for all of that target's and nothing else, is refused: it is a
/// level with a slip in it more often than not.
fn filter(variable: Option<OsString>, level: &str) -> Result<EnvFilter> {
    let wanted = variable.unwrap_or_default().to_string_lossy().trim().to_owned();
    let wanted = if wanted.is_empty() { level } else { &wanted };
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
        bail!(
            "RUST_LOG: \"{wrong}\" is neither a level (error, warn, info, debug, trace, off) nor target=level, such as baton_keeper=debug; several stand with commas between them"
        );
    }
    let filter = EnvFilter::try_new(parts.join(",")).wrap_err("RUST_LOG")?;
    Ok(match NEVER.parse() {
        Ok(never) => filter.add_directive(never),
        Err(_) => filter,
    })
}

/// Whether lines may be coloured: where somebody looks at them and hasn't said no (no-color.org).
fn colours(is_terminal: bool, no_color: Option<OsString>) -> bool {
    is_terminal && no_color.is_none_or(|value| value.is_empty())
}

/// Begins to log as RUST_LOG says, or else by a level.
pub(super) fn begin(level: &str, json: bool) -> Result<()> {
    let filter = filter(std::env::var_os("RUST_LOG"), level)?;
    let colours = colours(std::io::stderr().is_terminal(), std::env::var_os("NO_COLOR"));
    let logs = tracing_subscriber::fmt().with_env_filter(filter).with_ansi(colours).with_writer(std::io::stderr);
    if json {
        logs.json().init()
    } else {
        logs.init()
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_filter_that_would_silence_everything_is_refused() {
        let wanted = |variable: &str| filter(Some(variable.into()), "warn").map(|filter| filter.to_string());
        for (variable, wrong) in [
            ("bogus", "bogus"),
            ("info,verbose", "verbose"),
            ("a=verbose", "a=verbose"),
            ("a=", "a="),
            ("a[b]", "a[b]"),
        ] {
            let error = wanted(variable).expect_err("refused").to_string();
            assert!(error.contains(&format!("RUST_LOG: \"{wrong}\" is neither")), "{error}");
        }
        for (variable, level) in
            [("debug", "debug"), ("", "warn"), (" OFF ", "off"), ("info,baton_keeper=debug", "info")]
        {
            let filter = wanted(variable).expect("a filter");
            assert!(filter.split(',').any(|part| part == level) && filter.contains(NEVER), "{filter}");
        }
    }

    #[test]
    fn only_terminals_get_colours_unless_they_are_unwanted() {
        assert!(colours(true, None) && colours(true, Some("".into())));
        assert!(!colours(true, Some("1".into())) && !colours(false, None));
    }
}
