//! The `keeper` binary.

mod cli;

fn main() -> eyre::Result<()> {
    cli::main()
}
