//! The `keeper` binary.

mod cli;

use std::{io::Write, process::ExitCode};

fn main() -> ExitCode {
    match cli::main() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // Where that can't be written, there is nobody to tell.
            let _ = writeln!(std::io::stderr(), "Error: {}", said(&error));
            ExitCode::FAILURE
        }
    }
}

/// An error and its causes, but for those that it quotes itself.
fn said(error: &eyre::Report) -> String {
    error.chain().map(|cause| cause.to_string().trim().to_owned()).fold(String::new(), |said, cause| {
        if said.is_empty() {
            cause
        } else if said.contains(&cause) {
            said
        } else {
            format!("{said}: {cause}")
        }
    })
}
