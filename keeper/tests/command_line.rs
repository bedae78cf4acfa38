//! What the program makes of its environment.

use std::{ffi::OsStr, os::unix::ffi::OsStrExt, process::Command};

/// What `keeper check-config` says on stderr of a file that holds nothing, with a variable.
fn said(name: &str, value: &[u8]) -> String {
    let file = tempfile::NamedTempFile::new().expect("a file");
    let mut command = Command::new(env!("CARGO_BIN_EXE_keeper"));
    command.env_clear().args(["check-config", "--config"]).arg(file.path()).env(name, OsStr::from_bytes(value));
    let output = command.output().expect("it runs");
    let said = String::from_utf8(output.stderr).expect("text");
    assert_eq!(output.status.code(), Some(1), "{said}");
    said
}

#[test]
fn variables_that_are_no_text_are_no_matter() {
    for name in ["OTHER", "BATON_KEEPER_L2__URL"] {
        let said = said(name, b"\xff");
        assert!(said.contains("missing field"), "{said}");
    }
}

#[test]
fn a_filter_that_would_silence_the_log_is_no_right_configuration() {
    assert!(said("RUST_LOG", b"bogus").contains("RUST_LOG: \"bogus\""));
}
