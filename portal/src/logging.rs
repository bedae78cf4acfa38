//! What the portal logs.

use baton_logging::Log;

/// The portal's log.
pub const LOG: Log = Log {
    own: "baton_portal",
    // A library that quotes the whole request for a websocket, which may hold a key.
    never: "tungstenite::handshake::client=off",
    // What alloy says about a lost websocket. The schedule's follower says it, too, and what follows from it.
    unasked: "alloy_pubsub=off,alloy_transport_ws=off",
};

#[cfg(test)]
mod tests {
    use super::*;

    /// What can't be read as a filter would be left away.
    #[test]
    fn what_is_never_logged_can_be_read() {
        for part in [LOG.never].into_iter().chain(LOG.unasked.split(',')) {
            assert!(part.parse::<tracing_subscriber::filter::Directive>().is_ok(), "{part}");
        }
    }
}
