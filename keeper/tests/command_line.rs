//! What the program makes of its environment.

use std::{ffi::OsStr, os::unix::ffi::OsStrExt, process::Command};

/// What `keeper check-config` says on stderr, with a variable and without a file.
fn said(name: &str, value: &[u8]) -> String {
    let mut command = Command::new(env!("CARGO_BIN_EXE_keeper"));
    command.env_clear().args(["check-config", "--config", "no-such-file"]).env(name, OsStr::from_bytes(value));
    let output = command.output().expect("it runs");
    assert_eq!(output.status.code(), Some(1));
    String::from_utf8(output.stderr).expect("text")
}

#[test]
fn variables_that_are_no_text_are_no_matter() {
    for name in ["OTHER", "BATON_KEEPER_L2__URL"] {
        let said = said(name, b"\xff");
        assert!(said.contains("no-such-file") && !said.contains("panicked"), "{said}");
    }
}

#[test]
fn a_filter_that_would_silence_the_log_is_no_right_configuration() {
    assert!(said("RUST_LOG", b"bogus").contains("RUST_LOG: \"bogus\""));
}
