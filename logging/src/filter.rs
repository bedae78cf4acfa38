//! What is logged, and how.

use std::{env, ffi::OsString, io, io::IsTerminal};
use tracing_subscriber::{
    EnvFilter,
    filter::{Directive, LevelFilter},
};

/// The variable that says what is logged.
pub const VARIABLE: &str = "RUST_LOG";

/// RUST_LOG asks for something that isn't there.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "RUST_LOG: \"{wrong}\" is neither a level (error, warn, info, debug, trace, off) nor target=level, such as {own}=debug; several stand with commas between them"
)]
pub struct FilterError {
    /// The part that is neither.
    wrong: String,
    /// A target that the program has.
    own: &'static str,
}

/// One program's log.
#[derive(Clone, Copy, Debug)]
pub struct Log {
    /// The target of what the program says itself.
    pub own: &'static str,
    /// What is never logged, whatever RUST_LOG asks for: `target=off`.
    pub never: &'static str,
    /// What isn't logged unless it is asked for, with commas between several; empty for nothing.
    pub unasked: &'static str,
}

impl Log {
    /// Whether RUST_LOG can be followed.
    pub fn check(&self) -> Result<(), FilterError> {
        self.filter(env::var_os(VARIABLE), LevelFilter::INFO).map(drop)
    }

    /// Begins to log as RUST_LOG says, or else by a level; a line is for machines (JSON) or for people.
    pub fn begin(&self, level: LevelFilter, json: bool) -> Result<(), FilterError> {
        let filter = self.filter(env::var_os(VARIABLE), level)?;
        let colours = colours(io::stderr().is_terminal(), env::var_os("NO_COLOR"));
        let lines = tracing_subscriber::fmt().with_env_filter(filter).with_ansi(colours).with_writer(io::stderr);
        if json {
            lines.json().init()
        } else {
            lines.init()
        }
        Ok(())
    }

    /// What RUST_LOG asks for, or else a level. A target alone, which the library would take for all of that target's and nothing else, is refused: it is a
    /// level with a slip in it more often than not, and a program that logs nothing looks like one that is well.
    fn filter(&self, variable: Option<OsString>, level: LevelFilter) -> Result<EnvFilter, FilterError> {
        let wanted = variable.unwrap_or_default().to_string_lossy().into_owned();
        let mut parts = parts(&wanted);
        // Nothing but commas asks for nothing, and the library would log errors only.
        let default = format!("{level},{}", self.unasked);
        if parts.is_empty() {
            parts = self::parts(&default);
        }
        let refused = |wrong: &str| FilterError { wrong: wrong.to_owned(), own: self.own };
        if let Some(wrong) = parts.iter().find(|part| !has_level(part) || part.parse::<Directive>().is_err()) {
            return Err(refused(wrong));
        }
        let filter = EnvFilter::try_new(parts.join(",")).map_err(|_| refused(wanted.trim()))?;
        Ok(match self.never.parse() {
            Ok(never) => filter.add_directive(never),
            Err(_) => filter,
        })
    }
}

fn parts(filter: &str) -> Vec<&str> {
    filter.split(',').map(str::trim).filter(|part| !part.is_empty()).collect()
}

/// Whether a part of a filter is a level or has one behind its target.
fn has_level(part: &str) -> bool {
    // What stands in brackets, a span and its fields, says nothing of a level.
    let (target, rest) = part.split_once('[').unwrap_or((part, ""));
    let rest = rest.rsplit_once(']').map_or("", |(_, rest)| rest);
    let level = format!("{target}{rest}");
    let level = level.rsplit_once('=').map_or(&*level, |(_, level)| level);
    !level.is_empty() && level.parse::<LevelFilter>().is_ok()
}

/// Whether lines may be coloured: where somebody looks at them and hasn't said no (no-color.org).
fn colours(is_terminal: bool, no_color: Option<OsString>) -> bool {
    is_terminal && no_color.is_none_or(|value| value.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    const LOG: Log = Log { own: "baton", never: "secret=off", unasked: "noise=off,more_noise=off" };

    fn wanted(variable: &str) -> Result<String, FilterError> {
        LOG.filter(Some(variable.into()), LevelFilter::WARN).map(|filter| sorted(&filter.to_string()))
    }

    /// In an order of its own, since the library has one.
    fn sorted(filter: &str) -> String {
        let mut parts = parts(filter);
        parts.sort_unstable();
        parts.join(",")
    }

    #[test]
    fn a_filter_that_would_silence_everything_is_refused() {
        for (variable, wrong) in [
            ("bogus", "bogus"),
            ("baton", "baton"),
            ("info,verbose", "verbose"),
            ("baton=verbose", "baton=verbose"),
            ("info,h2=", "h2="),
            ("baton[call]", "baton[call]"),
            ("[call{id=7}]", "[call{id=7}]"),
        ] {
            let error = wanted(variable).expect_err(variable).to_string();
            assert!(error.starts_with(&format!("RUST_LOG: \"{wrong}\" is neither")), "{error}");
            assert!(error.contains("such as baton=debug"), "{error}");
        }
    }

    #[test]
    fn levels_and_targets_are_followed() {
        for (variable, followed) in [
            ("debug", "debug"),
            (" OFF ", "off"),
            ("warn, baton=debug,", "baton=debug,warn"),
            ("hyper=info", "hyper=info"),
            ("info,[call{id=7}]=trace", "[call{id=7}]=trace,info"),
        ] {
            assert_eq!(wanted(variable).expect("a filter"), sorted(&format!("{followed},secret=off")), "{variable}");
        }
        // Without the variable, or with nothing in it, the level counts.
        let plain = sorted("warn,noise=off,more_noise=off,secret=off");
        for nothing in ["", " ", ",", " , ,"] {
            assert_eq!(wanted(nothing).expect("a filter"), plain, "{nothing:?}");
        }
        let unset = LOG.filter(None, LevelFilter::WARN).expect("a filter").to_string();
        assert_eq!(sorted(&unset), plain);
        let all = Log { unasked: "", ..LOG }.filter(None, LevelFilter::WARN).expect("a filter").to_string();
        assert_eq!(sorted(&all), "secret=off,warn");
    }

    #[test]
    fn only_terminals_get_colours_unless_they_are_unwanted() {
        assert!(colours(true, None) && colours(true, Some("".into())));
        assert!(!colours(true, Some("1".into())) && !colours(false, None));
    }
}
