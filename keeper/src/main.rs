//! The `keeper` binary.

mod cli;

use baton_logging::told;
use std::{io::Write, process::ExitCode};

fn main() -> ExitCode {
    match cli::main() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // Where that can't be written, there is nobody to tell.
            let _ = writeln!(std::io::stderr(), "Error: {}", told(error.as_ref()));
            ExitCode::FAILURE
        }
    }
}
