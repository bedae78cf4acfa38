//! HTTP/1.1 as the forwarding path speaks it to nodes (RFC 9112): one exchange at a time over a connection that is kept, with the least work and the
//! fewest system calls that a call can take. One writes head and body, as far as the body is there and the node takes it; one reads a short answer.

mod answer;
mod link;

pub(crate) use link::{ExchangeError, Link};
