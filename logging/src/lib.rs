//! What Baton's programs say of themselves: their log, as RUST_LOG asks for it, and the error that they end with. Both always to standard error.

mod filter;
mod told;

pub use filter::{FilterError, Log, VARIABLE};
pub use told::{in_one_line, told};
pub use tracing_subscriber::filter::LevelFilter;
