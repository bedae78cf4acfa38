//! A real L1 for tests: anvil, with the project's own registry on it. Needs `npm ci` and `forge build` at the top level, as `make test` does.
//!
//! What a test needs and can't have ends it: these functions panic, and say what is missing.

pub mod beacon_roots;
pub mod programs;
mod registry;

pub use registry::{ETHER, RegistryL1};

/// Waits until something holds.
///
/// # Panics
/// When it doesn't within a minute.
pub async fn until(what: &str, mut holds: impl AsyncFnMut() -> bool) {
    let wait = async {
        while !holds().await {
            tokio::time::sleep(std::time::Duration::from_millis(10)).await;
        }
    };
    let limit = std::time::Duration::from_secs(60);
    tokio::time::timeout(limit, wait).await.unwrap_or_else(|_| panic!("it never came to this: {what}"));
}
